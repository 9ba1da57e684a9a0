"""Images and ISOs: the volumes that root disks are cloned from."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import libvirt

from kvirt.base import waits
from kvirt.base.images import Progress
from kvirt.errors import AlreadyExists, Conflict, InvalidInput, NotFound, NotSupported
from kvirt.names import did_you_mean, safe_name
from kvirt.providers.kvm import domain
from kvirt.providers.kvm.storage import GIB, Storage, is_iso, ours_by_name, volume_element
from kvirt.undo import Undo

if TYPE_CHECKING:
    from kvirt.guest.images import Image

_SUFFIXES = ('', '.qcow2', '.img', '.raw')


class Images(Storage):
    """Images of a libvirt host."""

    def get_image(self, image: str, pool: str | None = None) -> libvirt.virStorageVol:
        """Return the volume of *image*: a volume's name or path, or a short name (``debian12``). NotFound.

        The pool of the disk is looked into first, then all others.
        """
        names = self._names_of(image)
        for where in ([pool] if pool else []) + [None]:
            for refresh in (False, True):
                for name in names:
                    volume = self.find_volume(name, where, refresh=refresh)
                    if volume is not None:
                        return volume
        known = [row['name'] for row in self._volumes(extended=True)]
        short = well_known(image, self.arch) is not None
        hint = f'Run: kvirt download image {image}' if short else "'kvirt list image' shows what is there"
        likely = '' if short else did_you_mean(image, known)
        raise NotFound(f"image '{image}' does not exist on {self.uri}{likely}", hint=hint)

    def _names_of(self, image: str) -> list[str]:
        from kvirt.download import file_name
        if image.startswith('/'):
            return [image]
        known = well_known(image, self.arch)
        return [image + suffix for suffix in _SUFFIXES] + ([known.file or file_name(known.url)] if known else [])

    def iso_path(self, iso: str, what: str = 'ISO') -> str:
        """Return the path of an image for a drive: a volume of a pool, or an absolute path on the host. NotFound."""
        volume = self.find_volume(iso)
        if volume is not None:
            return str(volume.path())
        if iso.startswith('/') and (self.remote or Path(iso).is_file()):
            return iso
        raise NotFound(f"{what} '{iso}' does not exist on {self.uri}",
                       hint="'kvirt list iso' shows what is there" if what == 'ISO' else None)

    def _volumes(self, iso: bool = False, extended: bool = False) -> list[Any]:
        used = set() if iso else {path for view in self.domains_read() for path in self.paths_of(view)}
        rows = []
        for pool in self.pools():
            for volume, capacity in self.volumes_in(pool):
                name = volume.name()
                if is_iso(name) != iso or (not iso and (ours_by_name(name) or volume.path() in used)):
                    continue
                rows.append({'name': name, 'id': volume.path(), 'pool': pool.name(),
                             **({'size': -(-capacity // GIB)} if extended else {})})
        rows.sort(key=lambda row: (row['name'], row['pool']))
        return rows if extended else [row['name'] for row in rows]

    @waits
    def _add_image(self, url: str, pool: str | None = None, short: str | None = None, cmds: Sequence[str] = (),
                   name: str | None = None, size: int | None = None, convert: bool = False,
                   progress: Progress | None = None) -> Mapping[str, Any] | None:
        if cmds:
            raise NotSupported('commands for an image are not supported yet', hint='Run them in a VM, and export it')
        from kvirt.download import file_name, local_copy
        where = self.pool(pool)
        known = well_known(short, self.arch) if short else None
        final = safe_name('image', name or file_name(url))
        if self.find_volume(final, where.name()) is not None:
            return {'image': final, 'found': True}
        folder = self._writable_folder(where)
        with local_copy(url, folder=folder, checksums=known.checksums if known and known.url == url else None,
                        progress=progress) as content:
            _refuse_odd(content, url, final)
            if folder is not None:
                self._place(content, folder / final, move=content.parent.parent == folder)
                self.refresh(where)
            else:
                self._send(where, content, final, progress)
        if size:
            self.get_volume(final, where.name()).resize(size * GIB, 0)
        return {'image': final}

    def _writable_folder(self, pool: libvirt.virStoragePool) -> Path | None:
        """Return the pool's folder when it is one that this process can write to."""
        if self.remote or not self.on_files(pool):
            return None
        folder = Path(self.pool_folder(pool))
        return folder if folder.is_dir() and os.access(folder, os.W_OK) else None

    @staticmethod
    def _place(content: Path, final: Path, move: bool) -> None:
        """Put *content* at *final*, which bears its name only when it is complete."""
        import shutil
        source = content
        if not move:
            source = final.with_name(f'.{final.name}.part')
            shutil.copyfile(content, source)
        try:
            os.chmod(source, 0o644)
            os.link(source, final)
        except FileExistsError:
            raise AlreadyExists(f'{final} exists') from None
        finally:
            source.unlink(missing_ok=True)

    def _send(self, pool: libvirt.virStoragePool, content: Path, final: str, progress: Progress | None) -> None:
        """Send *content* through libvirt, for pools that this process can't write to."""
        part = f'.{final}.part'
        self.remove_volume(pool.name(), part)
        volume = pool.createXML(domain.to_text(volume_element(part, content.stat().st_size, 'raw')), 0)
        with self._removing(pool.name(), part), content.open('rb') as source:
            self.upload(volume, source, content.stat().st_size, progress)
            self.refresh(pool)
            volume = self.get_volume(part, pool.name())
            form = 'qcow2' if _is_qcow2(content) else 'raw'
            pool.createXMLFrom(domain.to_text(volume_element(final, volume.info()[1], form)), volume, 0)

    @contextlib.contextmanager
    def _removing(self, pool: str, name: str) -> Iterator[None]:
        try:
            yield
        finally:
            self.remove_volume(pool, name)

    def _delete_image(self, image: str, pool: str | None = None) -> None:
        volume = self.get_image(image, pool)
        users = self.users_of(volume.path()) + self.backed_by(volume.path())
        if users:
            raise Conflict(f"image {image} is in use by {', '.join(sorted(set(users)))}")
        volume.delete(0)

    @waits
    def _export(self, name: str, image: str | None = None) -> Mapping[str, Any] | None:
        native = self.domain_of(name)
        if native.isActive():
            raise Conflict(f'VM {name} is running', hint='Stop it first: its disk changes while it would be copied')
        root = next((disk for disk in self.persistent(native).disks if disk.device == 'disk' and not disk.readonly), None)
        if root is None or not root.path:
            raise NotFound(f'VM {name} has no disk')
        source = self.libvirt.storageVolLookupByPath(root.path)
        pool = source.storagePoolLookupByVolume()
        final = safe_name('image', image or name) + ('' if '.' in (image or '') else '.qcow2')
        if self.find_volume(final, pool.name()) is not None:
            raise AlreadyExists(f'image {final} exists in pool {pool.name()}')
        with Undo().translating(self.translate) as undo:
            undo.add(f'image {final}', lambda: self.remove_volume(pool.name(), final))
            self.copy_volume(pool, final, source, full=True)
        return {'image': final}


def _is_qcow2(path: Path) -> bool:
    with path.open('rb') as file:
        return file.read(4) == b'QFI\xfb'


def _refuse_odd(content: Path, url: str, name: str) -> None:
    """Raise InvalidInput for what is no disk image: an error page, an empty file."""
    with content.open('rb') as file:
        head = file.read(512)
    if len(head) < 512 or head.lstrip()[:1] == b'<':
        raise InvalidInput(f'{url} is not an image of a disk', hint='Is it a web page? Give the URL of the file itself')
    if name.endswith('.qcow2') and head[:4] != b'QFI\xfb':
        raise InvalidInput(f'{url} is called qcow2, but is not in that format')


def well_known(short: str, arch: str) -> Image | None:
    """Return the well-known image with this short name, None when there is none."""
    from kvirt.guest import images  # its table is not loaded for a list of VMs
    return images.find(short, arch)
