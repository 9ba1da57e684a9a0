"""Images and ISOs: the volumes that root disks are cloned from."""

from __future__ import annotations

import os
import xml.etree.ElementTree as ET
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import libvirt

from kvirt.base import waits
from kvirt.base.images import Progress
from kvirt.errors import AlreadyExists, Conflict, NotFound, NotSupported, OutOfCapacity
from kvirt.names import did_you_mean, safe_name
from kvirt.providers.kvm import domain
from kvirt.providers.kvm.lookup import still_there
from kvirt.providers.kvm.storage import Storage, is_iso, ours_by_name
from kvirt.providers.kvm.volumes import GIB, volume_element
from kvirt.space import shown
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
        if image.startswith('/'):
            return [image]
        known = well_known(image, self.arch)
        return [image + suffix for suffix in _SUFFIXES] + ([known.file] if known else [])

    def iso_path(self, iso: str, what: str = 'ISO') -> str:
        """Return the path of an image for a drive: a volume of a pool, or an absolute path on the host. NotFound."""
        volume = self.find_volume(iso)
        if volume is not None:
            pool = volume.storagePoolLookupByVolume()
            if not self.writable(pool):
                raise NotSupported(f"{what} '{iso}' is in pool {pool.name()}, and a drive takes what the host has itself")
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
                   progress: Progress | None = None, checksum: str | None = None) -> Mapping[str, Any] | None:
        if cmds:
            raise NotSupported('commands for an image are not supported yet', hint='Run them in a VM, and export it')
        from kvirt.providers.kvm.arrivals import Arrival  # not for a list of VMs
        where = self.pool(pool)
        if not self.writable(where):
            raise NotSupported(f'libvirt can not write an image into pool {where.name()}',
                               hint='Download it into a pool in a folder: disks elsewhere are copied from there')
        arrival = Arrival(url, name, size)
        self.refresh(where)  # libvirt goes on to show a file that was removed by hand
        if self.find_volume(arrival.name, where.name(), refresh=False) is not None:
            return {'image': arrival.name, 'found': True}
        folder = self._writable_folder(where)
        kept = Path(self.home, 'downloads') if self.home else None
        admit = arrival.admission(folder, kept) if folder else partial(self._need_room, where, url)
        with arrival.fetched(checksum or vendors_checksums(short, url), kept, folder, progress, admit), \
                Undo().translating(self.translate) as undo:
            if folder is not None:
                arrival.place(folder)
                undo.add(f'image {arrival.name}', lambda: self._take_out(where, folder / arrival.name))
                self.refresh(where)
            else:
                with arrival.unpacked() as content:
                    self._send(where, content, arrival.name, progress, undo, (size or 0) * GIB)
            if size and self.on_files(where):
                self.get_volume(arrival.name, where.name()).resize(size * GIB, 0)
        return {'image': arrival.name}

    def _writable_folder(self, pool: libvirt.virStoragePool) -> Path | None:
        """Return the pool's folder when it is one that this process can write to."""
        if self.remote or not self.on_files(pool):
            return None
        folder = Path(self.pool_folder(pool))
        return folder if folder.is_dir() and os.access(folder, os.W_OK) else None

    def _need_room(self, pool: libvirt.virStoragePool, what: str, size: int) -> None:
        """Raise OutOfCapacity when *what*, of *size* bytes, does not fit in *pool* twice: as it is sent, and as kept."""
        self.refresh(pool)
        available = pool.info()[3]
        if available < 2 * size:
            raise OutOfCapacity(f'{what} needs {shown(2 * size)} while it is sent, and pool {pool.name()} has '
                                f'{shown(available)} free', hint='Make room there')

    def _send(self, pool: libvirt.virStoragePool, content: Path, final: str, progress: Progress | None, undo: Undo,
              size: int) -> None:
        """Send *content* through libvirt, into a pool that can't be written to; a block device gets *size* at once."""
        from kvirt.providers.families import diskfile  # not for a list of VMs, nor to make one
        part, length, form = f'.{final}.part', content.stat().st_size, diskfile.read(content, final).form
        on_files = self.on_files(pool)
        first = pool if on_files or form == 'raw' else self._files_beside(pool, final, length)
        if first is pool:
            self._need_room(pool, f'image {final}', length)
        self.remove_volume(first.name(), part)  # of one that was killed
        undo.add(f'volume {part}', lambda: self.remove_volume(first.name(), part))
        volume = first.createXML(domain.to_text(volume_element(part, length, 'raw')), 0)
        with content.open('rb') as source:
            self.upload(volume, source, length, progress)
        self.refresh(first)
        volume = self.get_volume(part, first.name())
        if self.find_volume(final, pool.name()) is not None:
            raise AlreadyExists(f'image {final} exists in pool {pool.name()}')
        undo.add(f'image {final}', lambda: self.remove_volume(pool.name(), final))
        root = volume_element(final, volume.info()[1], form) if on_files else volume_element(
            final, max(volume.info()[1], size), None)
        pool.createXMLFrom(domain.to_text(root), volume, 0)
        self.remove_volume(first.name(), part)

    def _files_beside(self, pool: libvirt.virStoragePool, final: str, length: int) -> libvirt.virStoragePool:
        """Return a pool of files with room for an image that is not raw, of which the host makes the block device."""
        for other in sorted(self.pools(), key=lambda other: (other.name() != 'default', other.name())):
            if self.on_files(other):
                self.refresh_told(other)
                if other.info()[3] >= length:
                    return other
        raise OutOfCapacity(f'pool {pool.name()} holds block devices, which are raw: image {final} is unpacked from a pool '
                            f'of files there, and none has {shown(length)} free',
                            hint='Make a pool of a folder of the host')

    def _take_out(self, pool: libvirt.virStoragePool, file: Path) -> None:
        file.unlink(missing_ok=True)
        self.refresh(pool)  # which libvirt would go on to show

    def _delete_image(self, image: str, pool: str | None = None) -> None:
        volume = self.get_image(image, pool)
        self.refresh_all()  # other programs make clones as well
        users = self._dependents(volume.path())
        if users:
            raise Conflict(f"image {image} is in use by {', '.join(sorted(users.values()))}")
        self.delete_volume(volume, snapshots=True)

    def _dependents(self, path: str) -> dict[str, str]:
        """Return who needs the volume at *path*, and how to say it: VMs with their thin clone, and clones of nobody."""
        found = {vm: vm for vm in (*self.users_of(path), *self._live_above(path))}
        for clone in self.clones_of(path):
            volume = f'volume {clone.name()}'
            found |= {who: who if who.startswith('volume ') else f'{who} ({clone.name()})'
                      for who in self._dependents(clone.path()) or (volume,)}
        return found

    def _live_above(self, path: str) -> Iterator[str]:
        """Yield the running VMs one of whose disks, which may be in no pool, lies upon the file at *path*."""
        running = self.libvirt.listAllDomains(libvirt.VIR_CONNECT_LIST_DOMAINS_ACTIVE)
        for name, root in still_there(running, lambda native: (native.name(), ET.fromstring(native.XMLDesc(0)))):
            if any(source.get('file') == path for source in root.iterfind('devices/disk//backingStore/source')):
                yield name

    @waits
    def _export(self, name: str, image: str | None = None) -> Mapping[str, Any] | None:
        native = self.domain_of(name)
        if native.isActive():
            raise Conflict(f'VM {name} is running', hint='Stop it first: its disk changes while it would be copied')
        root = next((disk for disk in self.persistent(native).disks if disk.device == 'disk' and not disk.readonly), None)
        source = self.volume_of(root) if root else None
        if source is None:
            raise NotFound(f'VM {name} has no disk{" in a pool" if root else ""}')
        pool = source.storagePoolLookupByVolume()
        suffix = '.qcow2' if self.on_files(pool) else '.raw'
        final = safe_name('image', image or name) + ('' if '.' in (image or '') else suffix)
        self.format_of(pool, thin=False, clone=True)  # refused where none can be made
        if self.find_volume(final, pool.name()) is not None:
            raise AlreadyExists(f'image {final} exists in pool {pool.name()}')
        with Undo().translating(self.translate) as undo:
            undo.add(f'image {final}', lambda: self.remove_volume(pool.name(), final))
            self.copy_volume(pool, final, source, full=True)
        return {'image': final}


def well_known(short: str, arch: str) -> Image | None:
    """Return the well-known image with this short name, None when there is none."""
    from kvirt.guest import images  # its table is not loaded for a list of VMs
    return images.find(short, arch)


def vendors_checksums(short: str | None, url: str) -> str | None:
    """Return what verifies the well-known image *short* that comes from *url*, None when nothing is known."""
    from kvirt.guest import images
    return images.checksums_of(short, url) if short else None
