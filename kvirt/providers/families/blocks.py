"""Disks where the root one is the flavor's, and all others are empty volumes of a block storage: as on most clouds."""

from __future__ import annotations

from typing import ClassVar

from kvirt.base import Kbase, unsupported
from kvirt.errors import InvalidInput, NotFound
from kvirt.names import did_you_mean
from kvirt.providers.families.volumes import Volume, Volumes, next_name
from kvirt.shapes import Flavor
from kvirt.spec import DiskSpec, VmSpec

_NO_POOLS = 'there are no storage pools: volumes are in the block storage of their location'
_PLAIN = 'volumes are plain and empty, and a disk of one VM'
_FURTHER = ('image', 'thin', 'interface', 'serial', 'wwn', 'format', 'cache', 'discard', 'shareable')
_ROOT = ('name', 'existing', *_FURTHER)
"""What can not be said of the root disk, and of the others."""


class NoPools(Kbase):
    """A platform without storage pools."""

    _create_pool = unsupported(_NO_POOLS)
    _delete_pool = unsupported(_NO_POOLS)
    _list_pools = unsupported(_NO_POOLS)
    _info_pool = unsupported(_NO_POOLS)


class Blocks(NoPools, Volumes):
    """Plain, empty volumes."""

    smallest_volume: ClassVar[int] = 1
    """GiB."""

    def check_volume(self, size: int | None = None, pool: str | None = None, image: str | None = None) -> None:
        if pool not in (None, 'default'):
            raise NotFound(f'there is no pool {pool}: {_NO_POOLS}')
        if image:
            raise InvalidInput(f'image can not be honoured: {_PLAIN}')
        if size is not None and size < self.smallest_volume:
            raise InvalidInput(f'a volume of {size} GiB is too small', hint=f'It has at least {self.smallest_volume} GiB')

    def planned(self, vm: str, spec: VmSpec, flavor: Flavor, place: str) -> tuple[list[Volume], dict[str, int]]:
        """Return the volumes that are there, and the sizes of those to be made, by name, for the disks of *spec*.

        The first disk is the flavor's. InvalidInput, when it has another; Conflict for a volume that can't be had.
        """
        if not spec.disks:
            return [], {}
        root, *others = spec.disks
        _refuse(root, _ROOT)
        self.check_volume(pool=root.pool)
        size = spec.disk_size(root)
        if not root.default and flavor.disk is not None and size > flavor.disk:
            raise InvalidInput(f'flavor {flavor.name} has a root disk of {flavor.disk} GiB, and not of {size}',
                               hint='Name a larger flavor, or a further disk')
        known = {key: volume for volume in (self.read_volumes() if others else ())
                 for key in (volume.id, volume.name) if volume.place == place or not self.names_are_local}
        there: list[Volume] = []
        new: dict[str, int] = {}
        for disk in others:
            _refuse(disk, _FURTHER)
            if disk.volume in known:
                self.need_unused(known[disk.volume], place)
                there.append(known[disk.volume])
            elif disk.existing:
                raise NotFound(f"volume '{disk.existing}' does not exist{did_you_mean(disk.existing, known)}")
            else:
                self.check_volume(spec.disk_size(disk), disk.pool)
                new[disk.name or next_name(vm, {*known, *new})] = spec.disk_size(disk)
        return there, new


def _refuse(disk: DiskSpec, keys: tuple[str, ...]) -> None:
    """Raise InvalidInput for those of *keys* that are given of a disk."""
    given = [key for key in keys if getattr(disk, key) is not None]
    if given:
        raise InvalidInput(f"{', '.join(given)} can not be honoured: {_PLAIN}")
