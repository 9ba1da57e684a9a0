"""Images. A provider says how they are read, deleted, brought from elsewhere, and copied from the disk of a VM."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import msgspec

from kvirt.base import waits
from kvirt.base.images import Progress
from kvirt.errors import AlreadyExists, Conflict, InvalidInput, NotFound, NotSupported
from kvirt.guest import images
from kvirt.names import safe_name
from kvirt.providers.families import cloud, marks
from kvirt.providers.families.machines import Machine, Machines


class Image(msgspec.Struct, frozen=True, kw_only=True):
    """An image that VMs can be made of, or an ISO image."""

    id: str
    name: str
    """What ``create`` calls it."""

    own: bool = False
    """It is the account's, and not the platform's."""

    size: int | None = None
    """GiB of the smallest root disk that holds it."""

    short: str | None = None
    """The portable name of the well-known image that it is, or was made of."""

    arch: str | None = None
    """Its architecture, in the words of keywords; None where that is not told."""

    family: str = ''
    """What all releases of it are called: the newest one is meant by that."""

    version: str = ''
    fields: Mapping[str, str] = {}
    """What ``copy_disk`` and ``bring_image`` were told to remember, where an image can bear it."""

    more: Mapping[str, Any] = {}
    """What else a row tells of it."""

    native: Any = None
    """The image as the platform tells it."""

    @property
    def row(self) -> dict[str, Any]:
        """What ``volumes`` tells of it."""
        known = {'id': self.id or None, 'size': self.size, 'short': self.short or None}
        return {'name': self.name, **{key: value for key, value in known.items() if value is not None}, **self.more}


class NewImage(msgspec.Struct, frozen=True, kw_only=True):
    """An image to be made."""

    name: str
    fields: Mapping[str, str]
    """What it remembers: the mark of its request, and as ``image`` what it was made of, where that is known."""

    url: str = ''
    """Where it is brought from."""

    size: int | None = None
    """GiB that it shall have, None for what is in it."""

    progress: Progress | None = None
    short: str | None = None
    """The well-known image that it is called by whoever asks for it."""

    checksum: str | None = None
    """What the file must match: ``sha256:...`` or the URL of a list; None where nothing was asked for."""


class CloudImages(Machines):
    """Images over four primitives; where none can be brought from elsewhere, ``_add_image`` is unsupported."""

    image_names: ClassVar[tuple[str, str]] = ('.*', '')
    """The names that the platform takes, of those that are safe: an expression, and the rule in words."""

    fetched_by_platform: ClassVar[bool] = False
    """The platform fetches images by itself, from where it can reach them, and takes them as they are."""

    verifies_images: ClassVar[bool] = False
    """What ``bring_image`` brings passes through this host, where its checksum is verified."""

    # primitives

    def read_images(self) -> Iterable[Image]:
        """Return the images that VMs can be made of in the client's location: the platform's, then the account's own.

        Snapshots of VMs are none.
        """
        raise NotImplementedError

    def drop_image(self, image: Image) -> None:
        """Delete an image of the account, and what it consists of. One that is gone is fine."""
        raise NotImplementedError

    def copy_disk(self, machine: Machine, wanted: NewImage) -> None:
        """Make an image of the root disk of a stopped VM, and wait until it can be used."""
        raise NotImplementedError

    def bring_image(self, wanted: NewImage) -> None:
        """Make an image of what is at a URL, and wait until it can be used. NotFound when nothing is there."""
        raise NotImplementedError

    # what a platform may do in another way

    def login_user(self, image: str | None) -> str:
        told = self.login if images.kind_of(image or '') == 'cloudinit' else None
        return told or super().login_user(image)

    def own_images(self, name: str | None = None) -> Iterable[Image]:
        """Return the account's own images, in all locations; with *name*, those of this name or id suffice."""
        return [image for image in self.read_images() if image.own]

    def read_isos(self) -> Iterable[Image]:
        """Return the ISO images."""
        return ()

    def image_exists(self, name: str) -> bool:
        """Tell if a new image can not have this name."""
        return any(image.name == name for image in self.own_images(name))

    def unmake_image(self, name: str, request: str) -> None:
        """Delete an image that was being made under *name* for a *request*, and what was made for it."""
        for image in self.own_images():
            if image.fields.get(marks.MARK) == request:
                self.drop_image(image)

    def check_source(self, url: str, pool: str | None, size: int | None) -> None:
        """Raise what forbids to bring an image from *url*, to a *pool* or with a *size*."""
        if not self.fetched_by_platform:
            return
        if not url.startswith(('http://', 'https://')):
            if not Path(url.removeprefix('file://')).expanduser().is_file():
                raise NotFound(f'{url} does not exist')
            raise NotSupported('the platform takes no files, and fetches images itself', hint='Give an address: https://...')
        if size or pool not in (None, 'default'):
            raise InvalidInput('the platform takes an image as it is: without size and pool')

    def made_of(self, machine: Machine) -> str | None:
        """Return the name that tells the kind of what a VM was made of: an image of its disk is of that kind."""
        return machine.fields.get('image')

    # hooks

    def _volumes(self, iso: bool = False, extended: bool = False) -> list[Any]:
        known = {image.name: image for image in (self.read_isos() if iso else self.read_images())}
        return [image.row if extended else name for name, image in sorted(known.items())]

    @waits
    def _add_image(self, url: str, pool: str | None = None, short: str | None = None, cmds: Sequence[str] = (),
                   name: str | None = None, size: int | None = None, convert: bool = False,
                   progress: Progress | None = None, checksum: str | None = None) -> Mapping[str, Any] | None:
        from kvirt.download import file_name  # reads need none of it
        if cmds:
            raise NotSupported('commands for an image are not run here', hint='Run them in a VM, and export it')
        final = self._image_name(name or short or file_name(url))
        self.check_source(url, pool, size)
        if checksum and not self.verifies_images:
            raise NotSupported('the platform fetches images itself, and verifies no checksum')
        if self.image_exists(final):
            return {'image': final, 'found': True}
        wanted = _wanted(final, short, url=url, size=size, progress=progress, short=short, checksum=checksum)
        with self.undo() as undo:
            undo.add(f'image {final}', lambda: self.unmake_image(final, wanted.fields[marks.MARK]))
            self.bring_image(wanted)
        return {'image': final}

    def _delete_image(self, image: str, pool: str | None = None) -> None:
        try:
            self.drop_image(self.own_image(image))
        except NotFound:
            if any(image in (each.name, each.short, each.id) for each in self.read_images()):
                raise Conflict(f"image '{image}' is not one of this account") from None
            raise

    @waits
    def _export(self, name: str, image: str | None = None) -> Mapping[str, Any] | None:
        machine, final = self.machine(name), self._image_name(image or name)
        if machine.status != 'stopped':
            raise Conflict(f'VM {name} is not stopped', hint='Stop it first')
        if self.image_exists(final):
            raise AlreadyExists(f'image {final} exists')
        wanted = _wanted(final, self.made_of(machine))
        with self.undo() as undo:
            undo.add(f'image {final}', lambda: self.unmake_image(final, wanted.fields[marks.MARK]))
            self.copy_disk(machine, wanted)
        return {'image': final}

    # for the areas beside this one

    def image_named(self, name: str, arch: str | None = None) -> Image:
        """Return the image with this native or portable name, family or id, for an architecture. NotFound, Conflict.

        The platform's own come first, so that nobody's image can take the place of one of them.
        """
        known = [image for image in self.read_images() if arch is None or image.arch in (None, arch)]
        offered = [image for image in known if not image.own]
        portable = images.find(name)
        found = next((image for image in offered if image.name == name), None) \
            or next((image for image in offered if portable and image.short == portable.short), None) \
            or max((image for image in offered if image.family == name), key=_age, default=None)
        if found:
            return found
        try:
            return cloud.find('image', name, known, lambda image: image.name, lambda image: image.id)
        except NotFound as error:
            raise NotFound(error.reason, hint="'kvirt list image' shows what is there") from None

    def find_image(self, name: str, arch: str | None) -> Any:
        """Return what a VM is made of: the platform's image with this portable or native name. NotFound, Conflict."""
        return self.image_named(name, arch).native

    def own_image(self, name: str) -> Image:
        """Return the account's own image with this name or id. NotFound, Conflict."""
        return cloud.find('image', name, self.own_images(name), lambda image: image.name, lambda image: image.id)

    def _image_name(self, name: str) -> str:
        """Return *name* if an image can have it. InvalidInput."""
        return cloud.check_name('image', safe_name('image', name), *self.image_names)


def _age(image: Image) -> tuple[int, ...]:
    return tuple(int(part) for part in image.version.split('.') if part.isdigit())


def _wanted(name: str, made_of: str | None, **more: Any) -> NewImage:
    fields = {marks.MARK: marks.new_request(), **({'image': made_of} if made_of else {})}
    return NewImage(name=name, fields=fields, **more)
