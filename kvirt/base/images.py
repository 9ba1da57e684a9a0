"""The area of images: what root disks are cloned from, and ISO images."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from kvirt.base.area import Area, area, serves
from kvirt.errors import NotSupported
from kvirt.names import safe_name
from kvirt.result import Result

Progress = Callable[[int, int | None], None]
"""Told the bytes done and, where known, the bytes in all."""


@area
class Images(Area):
    """Images and ISOs. The short names (``debian12``, ``ubuntu2404``, ...) mean the same on every provider."""

    def volumes(self, iso: bool = False, extended: bool = False) -> list[Any]:
        """Return the images, or with *iso* the ISO images: names as ``create`` takes them, sorted.

        *extended* returns a mapping for each: ``name``, and where known ``id``, ``pool``, ``size`` (GiB), ``short``.
        """
        return self._ask(self._volumes, iso, extended)

    def _volumes(self, iso: bool = False, extended: bool = False) -> list[Any]:
        raise NotSupported('')

    def add_image(self, url: str, pool: str | None = None, short: str | None = None, cmds: Sequence[str] = (),
                  name: str | None = None, size: int | None = None, convert: bool = False,
                  progress: Progress | None = None, checksum: str | None = None) -> Result:
        """Bring the image at *url* (http, https, or a local file) to *pool*, under *name*, *short*, or its own name.

        It has its name only when it is complete. *checksum* is ``sha256:...``, ``sha512:...``, or the URL of a list such as
        SHA256SUMS; a file that does not match is InvalidInput. A well-known image is verified without it where its maker
        publishes one. The success holds ``image``, and ``found: true`` when it was there.
        """
        return self._attempt(self._add_image_checked, url, pool, short, cmds, name, size, convert, progress, checksum)

    @serves('add_image')
    def _add_image_checked(self, url: str, pool: str | None, short: str | None, cmds: Sequence[str], name: str | None,
                           size: int | None, convert: bool, progress: Progress | None,
                           checksum: str | None) -> Mapping[str, Any] | None:
        for given in (short, name):
            if given is not None:
                safe_name('image', given)
        if checksum is not None and '://' not in checksum:
            from kvirt.checksums import parse  # not for every command to load
            parse(checksum)
        return self._add_image(url, pool, short, cmds, name, size, convert, progress, checksum)

    def _add_image(self, url: str, pool: str | None = None, short: str | None = None, cmds: Sequence[str] = (),
                   name: str | None = None, size: int | None = None, convert: bool = False,
                   progress: Progress | None = None, checksum: str | None = None) -> Mapping[str, Any] | None:
        raise NotSupported('')

    def delete_image(self, image: str, pool: str | None = None) -> Result:
        """Delete *image*. Conflict when a disk of a VM is a thin clone of it."""
        return self._attempt(self._delete_image, image, pool)

    def _delete_image(self, image: str, pool: str | None = None) -> None:
        raise NotSupported('')

    def export(self, name: str, image: str | None = None) -> Result:
        """Make *image* (the VM's name when absent) of the root disk of the stopped VM *name*. May block."""
        return self._attempt(self._export_checked, name, image)

    @serves('export')
    def _export_checked(self, name: str, image: str | None) -> Mapping[str, Any] | None:
        return self._export(name, image if image is None else safe_name('image', image))

    def _export(self, name: str, image: str | None = None) -> Mapping[str, Any] | None:
        raise NotSupported('')
