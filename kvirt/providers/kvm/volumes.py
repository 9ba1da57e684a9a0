"""Volumes of pools: finding, making and removing them, and who has them."""

from __future__ import annotations

import contextlib
import io
import logging
import re
import xml.etree.ElementTree as ET
from collections.abc import Callable, Iterator
from typing import Any, BinaryIO

import libvirt

from kvirt.errors import AlreadyExists, Conflict, InvalidInput, NotFound, NotSupported
from kvirt.names import did_you_mean
from kvirt.providers.kvm import domain
from kvirt.providers.kvm.domain import Disk
from kvirt.providers.kvm.lookup import Lookup
from kvirt.undo import Undo

log = logging.getLogger(__name__)

GIB = 1024**3
_CHUNK = 1024**2
_FILE_POOLS = ('dir', 'fs', 'netfs')
_LISTED_POOLS = ('iscsi', 'iscsi-direct')
"""Pools whose volumes are made on their server, and only listed by libvirt."""

_CEPH = 'rbd'
"""Its volumes are raw, and reached by QEMU alone: libvirt makes, grows and removes them, and can't write to one."""


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
        if kind == _CEPH:
            return self._make_on_ceph(pool, name, size, image, thin)
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
        if self.kind(pool) == _CEPH:
            return self._copy_to_ceph(pool, name, source)
        root = volume_element(name, source.info()[1], volume_format(source) if self.on_files(pool) else None)
        below = ET.fromstring(source.XMLDesc()).find('backingStore')
        if below is not None and below.find('path') is not None and not full:
            root.append(below)
        return pool.createXMLFrom(domain.to_text(root), source, 0)

    def _make_on_ceph(self, pool: libvirt.virStoragePool, name: str, size: int, image: libvirt.virStorageVol | None,
                      thin: bool) -> libvirt.virStorageVol:
        """Make an empty volume, or a clone of *image*: a thin one where Ceph can, which is within the pool, else a copy."""
        if image is None:
            return self._new_on_ceph(pool, name, size)
        self.refuse_source(image)
        if not thin or image.storagePoolLookupByVolume().name() != pool.name():
            return self._copy_to_ceph(pool, name, image, size)
        # When a clone fails libvirt deletes what bears its name, even if another host made it: so it is looked for first.
        self._new_on_ceph(pool, name, size).delete(0)
        clone = pool.createXMLFrom(domain.to_text(volume_element(name, size, None)), image, 0)
        with Undo().translating(self.translate) as undo:
            undo.add(f'volume {name}', lambda: self.remove_volume(pool.name(), name))
            if clone.info()[1] < size:
                clone.resize(size, 0)
        return clone

    def refuse_source(self, image: libvirt.virStorageVol) -> None:
        """Raise Conflict for a disk on Ceph that is no image: no lock keeps anybody from copying what changes meanwhile."""
        users = self.users_of(image.path()) if self.kind(image.storagePoolLookupByVolume()) == _CEPH else ()
        if users:
            raise Conflict(f"volume {image.name()} is a disk of {', '.join(users)}, and no image",
                           hint=f"'kvirt export vm {users[0]}' makes one of it")

    def _copy_to_ceph(self, pool: libvirt.virStoragePool, name: str, source: libvirt.virStorageVol,
                      size: int = 0) -> libvirt.virStorageVol:
        """Make a volume of *size* bytes, or more, that begins with what is in *source*."""
        from kvirt.providers.kvm.copying import copy_disk  # not for a list of VMs
        have = source.info()[1]
        copy = self._new_on_ceph(pool, name, have)
        with Undo().translating(self.translate) as undo:
            undo.add(f'volume {name}', lambda: self.remove_volume(pool.name(), name))
            copy_disk(self.libvirt, self.arch, self.disk_of(source), self.disk_of(copy))
            if have < size:
                copy.resize(size, 0)
        return copy

    @staticmethod
    def _new_on_ceph(pool: libvirt.virStoragePool, name: str, size: int) -> libvirt.virStorageVol:
        """Make an empty volume. AlreadyExists for one that another host made, of which libvirt may not know yet."""
        try:
            return pool.createXML(domain.to_text(volume_element(name, size, None)), 0)
        except libvirt.libvirtError as error:
            if not (error.get_error_message() or '').startswith('failed to create volume'):
                raise
            raise AlreadyExists(f'Ceph makes no volume {name} in pool {pool.name()}: it exists there, or the user of the '
                                'pool may not make one', hint="'rbd ls' and 'ceph auth get' tell which") from None

    def disk_of(self, volume: libvirt.virStorageVol, **settings: Any) -> Disk:
        """Return *volume* as a disk of a VM."""
        pool = volume.storagePoolLookupByVolume()
        return Disk(**self.whereabouts(pool, volume.name(), volume.path()), format=volume_format(volume), **settings)

    def whereabouts(self, pool: libvirt.virStoragePool, name: str, path: str | None = None) -> dict[str, Any]:
        """Return what a disk says of where its volume is, which may be yet to be made."""
        root = ET.fromstring(pool.XMLDesc())
        if root.get('type') == 'iscsi-direct':
            return {'pool': pool.name(), 'volume': name}
        if root.get('type') == _CEPH:
            source = domain.ceph_source(root, name)
            return {'path': source.get('name'), 'network': source}
        return {'path': path or f"{root.findtext('target/path') or ''}/{name}"}

    def format_of(self, pool: libvirt.virStoragePool, thin: bool, clone: bool, form: str | None = None) -> str:
        """Return the format that a volume of *pool* gets: the one asked for, where it can be. InvalidInput."""
        kind = self.kind(pool)
        on_files = kind in _FILE_POOLS
        if kind in _LISTED_POOLS:
            raise NotSupported(f'pool {pool.name()} can not make a disk: its server does', hint='Attach one with existing')
        if form not in (None, 'raw', 'qcow2'):
            raise InvalidInput(f"a disk can not be made in the format '{form}'", hint='Use raw or qcow2')
        if form == 'qcow2' and not on_files:
            raise InvalidInput(f'pool {pool.name()} holds no files, and what is in it is raw')
        if form == 'raw' and thin and clone and on_files:
            raise InvalidInput('a raw disk can not be a thin clone of an image', hint='Give thin: false as well')
        return form or ('qcow2' if on_files and (thin or clone) else 'raw')

    def kind(self, pool: libvirt.virStoragePool) -> str:
        """Return libvirt's word for the type of *pool*."""
        return ET.fromstring(pool.XMLDesc()).get('type', '')

    def on_files(self, pool: libvirt.virStoragePool) -> bool:
        """Tell if the volumes of *pool* are files, which can be thin clones."""
        return self.kind(pool) in _FILE_POOLS

    def refuse_deletion(self, volume: libvirt.virStorageVol) -> None:
        """Raise NotSupported for a volume that only its server can delete."""
        pool = volume.storagePoolLookupByVolume()
        if self.kind(pool) in _LISTED_POOLS:
            raise NotSupported(f'volume {volume.name()} is in pool {pool.name()}, and only its server can delete it')

    def writable(self, pool: libvirt.virStoragePool) -> bool:
        """Tell if libvirt can write into the volumes of *pool*, not only QEMU."""
        return self.kind(pool) not in (_CEPH, 'iscsi-direct')

    def can_grow(self, pool: libvirt.virStoragePool) -> bool:
        """Tell if the volumes of *pool* can be grown: by QEMU while a VM runs on one, else by libvirt."""
        return self.kind(pool) in (*_FILE_POOLS, _CEPH)

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
                self.delete_volume(volume)
        except libvirt.libvirtError as error:
            if error.get_error_code() not in (libvirt.VIR_ERR_NO_STORAGE_POOL, libvirt.VIR_ERR_NO_STORAGE_VOL):
                raise

    def delete_volume(self, volume: libvirt.virStorageVol, snapshots: bool = False) -> None:
        """Delete *volume*; what Ceph keeps is Conflict. With *snapshots* those that it has on Ceph go too.

        A volume that thin clones were made of has such snapshots, also when the clones are gone.
        """
        try:
            taken = snapshots and self.driver != 'test' and self.kind(volume.storagePoolLookupByVolume()) == _CEPH
            volume.delete(libvirt.VIR_STORAGE_VOL_DELETE_WITH_SNAPSHOTS if taken else 0)
        except libvirt.libvirtError as error:
            if not re.match('failed to (remove volume|unprotect snapshot)', error.get_error_message() or ''):
                raise
            what = 'thin clones' if snapshots else 'snapshots or thin clones'
            raise Conflict(f'Ceph does not delete volume {volume.name()}: it has {what}, or is in use',
                           hint="'rbd snap ls', 'rbd children' and 'rbd status' tell which") from None

    # who has one

    def volume_of(self, disk: domain.DiskView) -> libvirt.virStorageVol | None:
        """Return the volume that a disk is; None when it is in no pool."""
        if disk.pool and disk.volume:
            return self._of_pool(disk.pool, disk.volume)
        if disk.ceph:
            return self._on_ceph(disk)
        return self._lookup(self.libvirt.storageVolLookupByPath, disk.path) if disk.path else None

    def _on_ceph(self, disk: domain.DiskView) -> libvirt.virStorageVol | None:
        """Return the volume of a disk on Ceph. Two Cephs may have pools, and volumes, of one name."""
        above, _, name = (disk.path or '').rpartition('/')
        for pool in self.pools():
            root = ET.fromstring(pool.XMLDesc())
            if root.get('type') == _CEPH and root.findtext('source/name') == above:
                hosts = domain.hosts_of(root.find('source'))
                if hosts & disk.hosts or hosts == disk.hosts:
                    return self._of_pool(pool.name(), name)
        return None

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
        paths = [path for path in map(self.path_of, view.disks) if path]
        names = {path.rpartition('/')[2] for path in paths}
        for pool, name in view.journal.volumes if view.journal else ():  # what lies below a snapshot is no disk itself
            if name not in names:
                volume = self._of_pool(pool, name)
                paths += [volume.path()] if volume else []
        return paths

    def path_of(self, disk: domain.DiskView) -> str | None:
        """Return the path of a disk; None when it has none, or is a volume of a pool that is gone."""
        volume = self._of_pool(disk.pool, disk.volume) if disk.pool and disk.volume else None
        return volume.path() if volume else disk.path

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
