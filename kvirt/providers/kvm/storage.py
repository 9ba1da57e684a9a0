"""Disks of nobody, and pools."""

from __future__ import annotations

import contextlib
import re
import xml.etree.ElementTree as ET
from collections.abc import Mapping
from typing import Any

import libvirt

from kvirt.base import waits
from kvirt.errors import AlreadyExists, Conflict, NotFound, NotSupported
from kvirt.providers.kvm import domain
from kvirt.providers.kvm.volumes import GIB, Volumes, below, clone_size
from kvirt.shapes import DiskRow, PoolShape, Status

_POOL_STATUS: dict[int, Status] = {
    libvirt.VIR_STORAGE_POOL_INACTIVE: 'stopped', libvirt.VIR_STORAGE_POOL_BUILDING: 'pending',
    libvirt.VIR_STORAGE_POOL_RUNNING: 'running', libvirt.VIR_STORAGE_POOL_DEGRADED: 'failed',
    libvirt.VIR_STORAGE_POOL_INACCESSIBLE: 'failed'}
_IMAGE_SUFFIXES = ('.qcow2', '.img', '.raw', '.qc2', '.vmdk', '.vdi')


def is_iso(name: str) -> bool:
    """Tell by its name if a volume is an ISO image."""
    return name.lower().endswith('.iso')


class Storage(Volumes):
    """Disks and pools of a libvirt host."""

    @waits
    def _create_disk(self, name: str, size: int, pool: str | None = None, thin: bool = True,
                     image: str | None = None) -> Mapping[str, Any] | None:
        where = self.pool(pool)
        source = self.get_image(image, pool) if image else None
        if self.find_volume(name, where.name()) is not None:
            raise AlreadyExists(f"volume '{name}' exists in pool {where.name()}")
        return {'path': self.make_volume(where, name, clone_size(size, source, name), thin=thin, image=source).path()}

    def get_image(self, image: str, pool: str | None = None) -> libvirt.virStorageVol:
        """Return the volume of an image; see Images."""
        raise NotImplementedError

    def _list_disks(self) -> dict[str, DiskRow]:
        used: dict[str, list[str]] = {}
        for view in self.domains_read():
            for path in self.paths_of(view):
                used.setdefault(path, []).append(view.name)
        rows: dict[str, DiskRow] = {}
        for pool in self.pools():
            for volume, capacity in self.volumes_in(pool):
                path = volume.path()
                if is_iso(volume.name()) or (path not in used and volume.name().endswith(_IMAGE_SUFFIXES)
                                             and not ours_by_name(volume.name())):
                    continue
                name = path if volume.name() in rows else volume.name()  # another pool has one of that name
                rows[name] = {'pool': pool.name(), 'path': path, 'size': -(-capacity // GIB),
                              'vms': sorted(used.get(path, []))}
        return dict(sorted(rows.items()))

    def _disk_exists(self, pool: str | None, name: str) -> bool:
        try:
            return self.find_volume(name, pool) is not None
        except NotFound:
            return False  # there is no such pool

    def _create_pool(self, name: str, poolpath: str | None, pooltype: str = 'dir', user: str = 'qemu',
                     thinpool: str | None = None) -> None:
        self._create_pool_with(name, poolpath, pooltype, user, thinpool, {})

    @classmethod
    def pool_settings(cls, pooltype: str) -> frozenset[str]:
        """Return the settings that pools of this type have beside their path."""
        from kvirt.providers.kvm import pools  # not for a list of VMs
        return frozenset(pools.SETTINGS[pools.kind_of(pooltype)])

    def _create_pool_with(self, name: str, poolpath: str | None, pooltype: str, user: str, thinpool: str | None,
                          overrides: Mapping[str, Any]) -> None:
        from kvirt.providers.kvm import pools  # not for a list of VMs
        root = pools.pool_element(name, poolpath, pooltype, thinpool, overrides)
        self._no_such_pool(name)
        try:
            pool = self.libvirt.storagePoolDefineXML(domain.to_text(root), 0)
        except libvirt.libvirtError as error:
            if 'missing backend' in str(error):
                package = f"libvirt-daemon-driver-storage-{root.get('type')}"
                raise NotSupported(f'{self.uri} has no storage driver for pools of type {pooltype}',
                                   hint=f'Install {package} there, and restart libvirtd') from None
            raise
        folder = root.get('type') in pools.BUILT
        new = folder and not self.remote and pools.absent(root.findtext('target/path') or '/')
        try:
            if folder:
                pool.build(0)
            pool.create(0)
            pool.setAutostart(1)
        except BaseException:
            if pool.isActive():
                pool.destroy()
            if new:
                with contextlib.suppress(libvirt.libvirtError):  # the first error is the one to tell
                    pool.delete(0)
            pool.undefine()
            raise

    def _no_such_pool(self, name: str) -> None:
        if name in self._list_pools():
            raise AlreadyExists(f'pool {name} exists')

    def _delete_pool(self, name: str, full: bool = False) -> None:
        pool = self.libvirt.storagePoolLookupByName(name)
        if pool.isActive():
            volumes = pool.listAllVolumes(0)
            paths = {volume.path() for volume in volumes}
            users = sorted(view.name for view in self.domains_read() if paths & set(self.paths_of(view)))
            if users:
                raise Conflict(f"pool {name} holds disks of {', '.join(users)}", hint='Delete those VMs first')
            if full:
                if self.kind(pool) == 'rbd':
                    raise NotSupported(f'what is in pool {name} may be in use by other hosts: kvirt does not delete it all',
                                       hint='Delete the volumes one by one, or the pool without them')
                clones = sorted(volume.name() for other in self.pools() if other.name() != name
                                for volume, _ in self.volumes_in(other) if below(volume) in paths)
                if clones:
                    raise Conflict(f"pool {name} holds what {', '.join(clones)} lies upon", hint='Delete those first')
                for volume in volumes:
                    volume.delete(0)
            pool.destroy()
        pool.undefine()

    def _list_pools(self) -> list[str]:
        return sorted(pool.name() for pool in self.libvirt.listAllStoragePools(0))

    def _info_pool(self, name: str) -> PoolShape:
        try:
            pool = self.libvirt.storagePoolLookupByName(name)
        except libvirt.libvirtError as error:
            if error.get_error_code() == libvirt.VIR_ERR_NO_STORAGE_POOL:
                return {}
            raise
        root = ET.fromstring(pool.XMLDesc())
        if pool.isActive():
            self.refresh_told(pool)  # what others take from a volume group or a file system libvirt does not hear of
        state, capacity, _, available = pool.info()
        shape: PoolShape = {'name': name, 'type': root.get('type', ''), 'status': _POOL_STATUS.get(state, 'unknown'),
                            'capacity': round(capacity / GIB, 2), 'available': round(available / GIB, 2)}
        path = root.findtext('target/path')
        if path:
            shape['path'] = path
        return shape


def ours_by_name(name: str) -> bool:
    """Tell if a volume bears a name that kvirt and kcli give to the disks of VMs: ``web_0.img``."""
    return re.fullmatch(r'.+_\d+\.img', name) is not None
