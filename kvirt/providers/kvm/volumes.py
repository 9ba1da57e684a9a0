"""Volumes of pools: finding, making and removing them, and who has them."""

from __future__ import annotations

import contextlib
import io
import logging
import xml.etree.ElementTree as ET
from collections.abc import Callable, Iterator
from typing import BinaryIO

import libvirt

from kvirt.errors import Conflict, InvalidInput, NotFound, NotSupported
from kvirt.names import did_you_mean
from kvirt.providers.kvm import domain
from kvirt.providers.kvm.lookup import Lookup

log = logging.getLogger(__name__)

GIB = 1024**3
_CHUNK = 1024**2
_FILE_POOLS = ('dir', 'fs', 'netfs')


class Volumes(Lookup):
    """The volumes of a libvirt host."""

    # finding

    def pool(self, name: str | None) -> libvirt.virStoragePool:
        """Return the active pool *name* (``default`` when None)."""
        name = name or 'default'
        try:
            pool = self.libvirt.storagePoolLookupByName(name)
        except libvirt.libvirtError as error:
            if error.get_error_code() != libvirt.VIR_ERR_NO_STORAGE_POOL:
                raise
            raise NotFound(f"storage pool '{name}' does not exist{did_you_mean(name, self._list_pools())}",
                           hint="'kvirt create pool' makes one") from None
        if not pool.isActive():
            raise Conflict(f"storage pool '{name}' is not running", hint=f'Run: virsh pool-start {name}')
        return pool

    def pools(self) -> list[libvirt.virStoragePool]:
        """Return the active pools."""
        return list(self.libvirt.listAllStoragePools(libvirt.VIR_CONNECT_LIST_STORAGE_POOLS_ACTIVE))

    def find_volume(self, name: str, pool: str | None = None, refresh: bool = True) -> libvirt.virStorageVol | None:
        """Return volume *name* (or an absolute path): of *pool* when given, else of the first pool that has it.

        libvirt does not see what other programs put into a pool, so what is not found is looked for once more after the
        pools were read anew.
        """
        if name.startswith('/'):
            return self._lookup(self.libvirt.storageVolLookupByPath, name)
        pools = [self.pool(pool)] if pool else self.pools()
        for candidate in pools:
            volume = self._lookup(candidate.storageVolLookupByName, name)
            if volume is not None:
                return volume
        if not refresh:
            return None
        if pool:
            self.refresh(pools[0])
        else:
            self.refresh_all()
        return self.find_volume(name, pool, refresh=False)

    def refresh_all(self) -> None:
        """Read all pools anew. One that can't be read, since its folder or server is gone, is no obstacle to the others."""
        for pool in self.pools():
            self.refresh_told(pool)

    def refresh_told(self, pool: libvirt.virStoragePool) -> None:
        """Read a pool anew. That it can't be read is told, and no more."""
        try:
            self.refresh(pool)
        except libvirt.libvirtError as error:
            log.warning('pool %s can not be read: %s', pool.name(), error.get_error_message())

    @staticmethod
    def refresh(pool: libvirt.virStoragePool) -> None:
        """Read a pool anew; not while something is being written to it, which libvirt does not allow."""
        try:
            pool.refresh(0)
        except libvirt.libvirtError as error:
            if 'asynchronous jobs' not in str(error):
                raise

    @staticmethod
    def _lookup(look: Callable[[str], libvirt.virStorageVol], name: str) -> libvirt.virStorageVol | None:
        try:
            return look(name)
        except libvirt.libvirtError as error:
            if error.get_error_code() == libvirt.VIR_ERR_NO_STORAGE_VOL:
                return None
            raise

    def get_volume(self, name: str, pool: str | None = None) -> libvirt.virStorageVol:
        """Return volume *name*; NotFound names the pool."""
        volume = self.find_volume(name, pool)
        if volume is None:
            raise NotFound(f"volume '{name}' does not exist{f' in pool {pool}' if pool else ''}")
        return volume

    def volumes_in(self, pool: libvirt.virStoragePool) -> Iterator[tuple[libvirt.virStorageVol, int]]:
        """Return the volumes of *pool* with their sizes in bytes.

        libvirt remembers what it saw when it last read the pool. What is gone since is left out, and so are folders and
        hidden files: what is being brought here, by us or by others.
        """
        for volume in pool.listAllVolumes(0):
            if volume.name().startswith('.'):
                continue
            try:
                kind, capacity, _ = volume.info()
            except libvirt.libvirtError as error:
                if error.get_error_code() != libvirt.VIR_ERR_NO_STORAGE_VOL:
                    raise
                continue
            if kind != libvirt.VIR_STORAGE_VOL_DIR:
                yield volume, capacity

    # making and removing

    def make_volume(self, pool: libvirt.virStoragePool, name: str, size: int, *, thin: bool = True,
                    image: libvirt.virStorageVol | None = None, form: str | None = None) -> libvirt.virStorageVol:
        """Make a volume of *size* bytes. A thick clone of *image* is copied, which may take minutes."""
        kind = self.kind(pool)
        on_files = kind in _FILE_POOLS
        form = self.format_of(pool, thin, image is not None, form) if on_files else None
        if image is None or (thin and on_files):
            # LVM would make a thin volume that breaks when what it was given at first is full.
            empty = thin and kind != 'logical'
            root = volume_element(name, size, form, allocation=0 if empty else size, backing=image)
            full = form == 'qcow2' and not empty  # without the flag qcow2 is allocated on write, whatever was asked for
            return pool.createXML(domain.to_text(root), libvirt.VIR_STORAGE_VOL_CREATE_PREALLOC_METADATA if full else 0)
        copy = pool.createXMLFrom(domain.to_text(volume_element(name, size, form)), image, 0)
        if copy.info()[1] < size:
            copy.resize(size, 0)
        return copy

    def copy_volume(self, pool: libvirt.virStoragePool, name: str, source: libvirt.virStorageVol,
                    full: bool) -> libvirt.virStorageVol:
        """Copy *source*; with *full* into one piece, else on the same image that it is a thin clone of."""
        root = volume_element(name, source.info()[1], volume_format(source) if self.on_files(pool) else None)
        below = ET.fromstring(source.XMLDesc()).find('backingStore')
        if below is not None and below.find('path') is not None and not full:
            root.append(below)
        return pool.createXMLFrom(domain.to_text(root), source, 0)

    def format_of(self, pool: libvirt.virStoragePool, thin: bool, clone: bool, form: str | None = None) -> str:
        """Return the format that a volume of *pool* gets: the one asked for, where it can be. InvalidInput."""
        on_files = self.on_files(pool)
        if form not in (None, 'raw', 'qcow2'):
            raise InvalidInput(f"a disk can not be made in the format '{form}'", hint='Use raw or qcow2')
        if form == 'qcow2' and not on_files:
            raise InvalidInput(f'pool {pool.name()} holds block devices, which are raw')
        if form == 'raw' and thin and clone and on_files:
            raise InvalidInput('a raw disk can not be a thin clone of an image', hint='Give thin: false as well')
        return form or ('qcow2' if on_files and (thin or clone) else 'raw')

    def kind(self, pool: libvirt.virStoragePool) -> str:
        """Return libvirt's word for the type of *pool*."""
        return ET.fromstring(pool.XMLDesc()).get('type', '')

    def refuse_ceph(self, pool: libvirt.virStoragePool) -> None:
        """Raise NotSupported for a pool whose volumes are neither files nor devices of the host."""
        if self.kind(pool) == 'rbd':
            raise NotSupported(f'pool {pool.name()} is on Ceph: disks of VMs there are not supported yet, only volumes')

    def on_files(self, pool: libvirt.virStoragePool) -> bool:
        """Tell if the volumes of *pool* are files, which can be thin clones."""
        return self.kind(pool) in _FILE_POOLS

    def pool_folder(self, pool: libvirt.virStoragePool) -> str:
        """Return where *pool* keeps its volumes."""
        return ET.fromstring(pool.XMLDesc()).findtext('target/path') or ''

    def upload(self, volume: libvirt.virStorageVol, source: BinaryIO, length: int,
               progress: Callable[[int, int | None], None] | None = None) -> None:
        """Fill *volume* with *length* bytes of *source*."""
        stream = self.libvirt.newStream(0)
        done = 0
        try:
            volume.upload(stream, 0, length, 0)
            while chunk := source.read(_CHUNK):
                view = memoryview(chunk)
                while view:
                    sent = stream.send(bytes(view))
                    if sent < 0:
                        raise libvirt.libvirtError('the stream to the volume broke')
                    view = view[sent:]
                done += len(chunk)
                if progress:
                    progress(done, length)
            stream.finish()
        except BaseException:
            with contextlib.suppress(libvirt.libvirtError):  # the first error is the one to tell
                stream.abort()
            raise

    def make_seed(self, pool: libvirt.virStoragePool, name: str, content: bytes) -> libvirt.virStorageVol:
        """Make a raw volume that holds *content*."""
        volume = pool.createXML(domain.to_text(volume_element(name, len(content), 'raw')), 0)
        self.upload(volume, io.BytesIO(content), len(content))
        return volume

    def remove_volume(self, pool: str, name: str) -> None:
        """Delete a volume; one that is gone already is fine."""
        try:
            volume = self._lookup(self.libvirt.storagePoolLookupByName(pool).storageVolLookupByName, name)
            if volume is not None:
                volume.delete(0)
        except libvirt.libvirtError as error:
            if error.get_error_code() not in (libvirt.VIR_ERR_NO_STORAGE_POOL, libvirt.VIR_ERR_NO_STORAGE_VOL):
                raise

    # who has one

    def volume_of(self, disk: domain.DiskView) -> libvirt.virStorageVol | None:
        """Return the volume that a disk is; None when it is in no pool."""
        if disk.pool and disk.volume:
            return self._of_pool(disk.pool, disk.volume)
        return self._lookup(self.libvirt.storageVolLookupByPath, disk.path) if disk.path else None

    def backed_by(self, path: str) -> list[str]:
        """Return the names of the volumes that are thin clones of the one at *path*."""
        return [volume.name() for volume in self.clones_of(path)]

    def clones_of(self, path: str) -> list[libvirt.virStorageVol]:
        """Return the volumes that are thin clones of the one at *path*."""
        return [volume for pool in self.pools() for volume, _ in self.volumes_in(pool) if below(volume) == path]

    def users_of(self, path: str) -> list[str]:
        """Return the names of the VMs that have the volume at *path* as a disk."""
        return sorted(view.name for view in self.domains_read() if path in self.paths_of(view))

    def paths_of(self, view: domain.Domain) -> list[str]:
        """Return the paths of the disks of a domain, and of the other volumes that were made for it."""
        paths = []
        for disk in view.disks:
            if disk.path:
                paths.append(disk.path)
            elif disk.pool and disk.volume:
                volume = self._of_pool(disk.pool, disk.volume)
                paths += [volume.path()] if volume else []
        names = {path.rpartition('/')[2] for path in paths}
        for pool, name in view.journal.volumes if view.journal else ():  # what lies below a snapshot is no disk itself
            if name not in names:
                volume = self._of_pool(pool, name)
                paths += [volume.path()] if volume else []
        return paths

    def _of_pool(self, pool: str, name: str) -> libvirt.virStorageVol | None:
        """Return a volume that a journal tells of; None when it, or its pool, is gone."""
        try:
            return self.find_volume(name, pool, refresh=False)
        except (NotFound, Conflict):
            return None


def volume_element(name: str, size: int, form: str | None, *, allocation: int | None = None,
                   backing: libvirt.virStorageVol | None = None) -> ET.Element:
    """Return the description of a volume of *size* bytes. *form* is None where the pool knows no formats."""
    root = ET.Element('volume')
    ET.SubElement(root, 'name').text = domain.check_text('volume', name)
    ET.SubElement(root, 'capacity', unit='bytes').text = str(size)
    if allocation is not None:
        ET.SubElement(root, 'allocation', unit='bytes').text = str(allocation)
    if form:
        ET.SubElement(ET.SubElement(root, 'target'), 'format', type=form)
    if backing is not None:
        below = ET.SubElement(root, 'backingStore')
        ET.SubElement(below, 'path').text = backing.path()
        ET.SubElement(below, 'format', type=volume_format(backing))
    return root


def below(volume: libvirt.virStorageVol) -> str | None:
    """Return the path of what *volume* is a thin clone of, None when it stands alone, or went away meanwhile."""
    try:
        return ET.fromstring(volume.XMLDesc()).findtext('backingStore/path')
    except libvirt.libvirtError as error:
        if error.get_error_code() != libvirt.VIR_ERR_NO_STORAGE_VOL:
            raise
        return None


def volume_format(volume: libvirt.virStorageVol) -> str:
    """Return the format of a volume: qcow2, raw, ..."""
    form = ET.fromstring(volume.XMLDesc()).find('target/format')
    found = form.get('type', 'raw') if form is not None else 'raw'
    return 'raw' if found in ('unknown', 'iso') else found


def clone_size(size: int, image: libvirt.virStorageVol | None, name: str) -> int:
    """Return the size in bytes of a disk of *size* GiB that is a clone of *image*; one smaller than it is InvalidInput."""
    if image is None:
        return size * GIB
    virtual = image.info()[1]
    if size * GIB < virtual:
        raise InvalidInput(f'disk {name} of {size} GiB is smaller than its image {image.name()} of '
                           f'{virtual / GIB:.1f} GiB', hint=f'Give it at least {-(-virtual // GIB)}')
    return size * GIB
