"""The area of storage: disks (volumes) and the pools that hold them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from kvirt import units
from kvirt.base.area import Area, area, built_from, serves
from kvirt.errors import InvalidInput, NotSupported
from kvirt.names import safe_name
from kvirt.result import Result
from kvirt.shapes import DiskRow, PoolShape


@area
class Storage(Area):
    """Disks and pools. Sizes are GiB, or texts with a unit. A *pool* of None is the provider's default one."""

    def create_disk(self, name: str, size: int | str, pool: str | None = None, thin: bool = True,
                    image: str | None = None) -> Result:
        """Create volume *name*, a clone of *image* when given. The success holds its ``path``. AlreadyExists."""
        return self._attempt(self._create_disk_decoded, name, size, pool, thin, image)

    @serves('create_disk')
    def _create_disk_decoded(self, name: str, size: int | str, pool: str | None, thin: bool,
                             image: str | None) -> Mapping[str, Any] | None:
        return self._create_disk(safe_name('volume', name), units.disk_gib(size), pool, thin, image)

    def _create_disk(self, name: str, size: int, pool: str | None = None, thin: bool = True,
                     image: str | None = None) -> Mapping[str, Any] | None:
        raise NotSupported('')

    def add_disk(self, name: str, size: int | str = 1, pool: str | None = None, thin: bool = True,
                 image: str | None = None, shareable: bool = False, existing: str | None = None,
                 interface: str = 'virtio', novm: bool = False, overrides: Mapping[str, Any] | None = None) -> Result:
        """Give VM *name* a further disk: a new one, or the volume *existing*. With *novm*, only make volume *name*.

        A running VM gets it live where the platform can. The success holds ``device`` and ``path`` where known.
        ``overrides`` may hold ``diskname`` (the volume's name), ``serial``, ``wwn``, and what else the provider knows:
        ``format``, ``cache``, ``discard``. All or nothing.
        """
        return self._attempt(self._add_disk_decoded, name, size, pool, thin, image, shareable, existing, interface,
                             novm, overrides or {})

    @serves('add_disk')
    def _add_disk_decoded(self, name: str, size: int | str, pool: str | None, thin: bool, image: str | None,
                          shareable: bool, existing: str | None, interface: str, novm: bool,
                          overrides: Mapping[str, Any]) -> Mapping[str, Any] | None:
        gib = units.disk_gib(size)
        if novm:
            return self._create_disk(safe_name('volume', name), gib, pool, thin, image)
        if overrides.get('diskname') is not None:
            safe_name('volume', overrides['diskname'])
        return self._add_disk(name, gib, pool, thin, image, shareable, existing, interface, overrides)

    def _add_disk(self, name: str, size: int, pool: str | None, thin: bool, image: str | None, shareable: bool,
                  existing: str | None, interface: str, overrides: Mapping[str, Any]) -> Mapping[str, Any] | None:
        raise NotSupported('')

    def delete_disk(self, name: str | None, diskname: str, pool: str | None = None, novm: bool = False) -> Result:
        """Detach disk *diskname* (a device or a volume) from VM *name* and delete it.

        With *novm*, or without a *name*, delete a volume that no VM uses; Conflict names the VMs that do.
        """
        return self._attempt(self._delete_disk, None if novm else name, diskname, pool)

    def _delete_disk(self, name: str | None, diskname: str, pool: str | None = None) -> None:
        raise NotSupported('')

    def detach_disks(self, name: str) -> Result:
        """Detach every disk but the root one from VM *name* and keep them. The success lists their paths in ``disks``."""
        return self._attempt(self._detach_disks, name)

    def _detach_disks(self, name: str) -> Mapping[str, Any] | None:
        raise NotSupported('')

    def resize_disk(self, name: str, diskname: str, size: int | str) -> Result:
        """Grow disk *diskname* of VM *name* to *size*. Making it smaller is InvalidInput."""
        return self._attempt(self._resize_disk_decoded, name, diskname, size)

    @serves('resize_disk')
    def _resize_disk_decoded(self, name: str, diskname: str, size: int | str) -> None:
        self._resize_disk(name, diskname, units.disk_gib(size))

    def _resize_disk(self, name: str, diskname: str, size: int) -> None:
        raise NotSupported('')

    def list_disks(self) -> dict[str, DiskRow]:
        """Return the volumes that are disks, by name; images and ISOs are listed by ``volumes``."""
        return self._ask(self._list_disks)

    def _list_disks(self) -> dict[str, DiskRow]:
        raise NotSupported('')

    def disk_exists(self, pool: str | None, name: str) -> bool:
        """Tell if volume *name* exists in *pool*."""
        return self._ask(self._disk_exists, pool, name)

    @built_from('list_disks')
    def _disk_exists(self, pool: str | None, name: str) -> bool:
        row = self._list_disks().get(name)
        return row is not None and pool in (None, row.get('pool'))

    def create_pool(self, name: str, poolpath: str | None, pooltype: str = 'dir', user: str = 'qemu',
                    thinpool: str | None = None, overrides: Mapping[str, Any] | None = None) -> Result:
        """Create storage pool *name* at *poolpath* (a folder, a volume group, a dataset). AlreadyExists.

        *overrides* are the provider's own settings; one that it does not know is InvalidInput.
        """
        return self._attempt(self._create_pool_checked, name, poolpath, pooltype, user, thinpool, overrides or {})

    @serves('create_pool')
    def _create_pool_checked(self, name: str, poolpath: str | None, pooltype: str, user: str,
                             thinpool: str | None, overrides: Mapping[str, Any]) -> None:
        name = safe_name('pool', name)
        if overrides:
            self._create_pool_with(name, poolpath, pooltype, user, thinpool, overrides)
        else:
            self._create_pool(name, poolpath, pooltype, user, thinpool)

    @classmethod
    def pool_settings(cls, pooltype: str) -> frozenset[str]:
        """Return what the provider takes as *overrides* of a pool of this type. InvalidInput for a type that it lacks."""
        return frozenset()

    def _create_pool_with(self, name: str, poolpath: str | None, pooltype: str, user: str, thinpool: str | None,
                          overrides: Mapping[str, Any]) -> None:
        raise InvalidInput(f"unknown setting of a pool: {', '.join(sorted(overrides))}")

    def _create_pool(self, name: str, poolpath: str | None, pooltype: str = 'dir', user: str = 'qemu',
                     thinpool: str | None = None) -> None:
        raise NotSupported('')

    def delete_pool(self, name: str, full: bool = False) -> Result:
        """Forget storage pool *name*; with *full*, delete the volumes in it as well. Conflict when a VM uses one."""
        return self._attempt(self._delete_pool, name, full)

    def _delete_pool(self, name: str, full: bool = False) -> None:
        raise NotSupported('')

    def list_pools(self) -> list[str]:
        """Return the names of the storage pools."""
        return self._ask(self._list_pools)

    def _list_pools(self) -> list[str]:
        raise NotSupported('')

    def info_pool(self, name: str) -> PoolShape:
        """Return what is known of storage pool *name*; ``{}`` when there is none."""
        return self._ask(self._info_pool, name)

    def _info_pool(self, name: str) -> PoolShape:
        raise NotSupported('')

    def get_pool_path(self, pool: str) -> str | None:
        """Return where storage pool *pool* keeps its volumes, None when there is no such pool."""
        return self._ask(self._get_pool_path, pool)

    @built_from('info_pool')
    def _get_pool_path(self, pool: str) -> str | None:
        return self._info_pool(pool).get('path')
