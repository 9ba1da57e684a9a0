"""Disks where the root one is the flavor's, and all others are empty volumes of a block storage: as on most clouds."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable
from typing import Any, TypeVar

from kvirt.base import Kbase, unsupported
from kvirt.errors import InvalidInput, NotFound
from kvirt.shapes import Flavor
from kvirt.spec import VmSpec

T = TypeVar('T')

_NO_POOLS = 'there are no storage pools: volumes are in the block storage of their location'
_PLAIN = 'volumes are plain and empty, and a disk of one VM'


class NoPools(Kbase):
    """A platform without storage pools."""

    _create_pool = unsupported(_NO_POOLS)
    _delete_pool = unsupported(_NO_POOLS)
    _list_pools = unsupported(_NO_POOLS)
    _info_pool = unsupported(_NO_POOLS)


def refuse(pool: str | None = None, **given: Any) -> None:
    """Raise what forbids a volume for which *pool* and more was *given*."""
    if pool not in (None, 'default'):
        raise NotFound(f'there is no pool {pool}: {_NO_POOLS}')
    for key, value in given.items():
        if value:
            raise InvalidInput(f'{key} can not be honoured: {_PLAIN}')


def planned(vm: str, spec: VmSpec, flavor: Flavor, taken: Callable[[], Collection[str]],
            free: Callable[[str], T]) -> tuple[list[T], dict[str, int]]:
    """Return the volumes that are there, and the sizes of those to be made, by name, for the disks of *spec* but the first.

    *taken* tells the names of the volumes there are, and *free* returns one that no VM has. InvalidInput for a root disk
    that the flavor does not have.
    """
    if not spec.disks:
        return [], {}
    root, *others = spec.disks
    refuse(root.pool, image=root.image, name=root.name, interface=root.interface, serial=root.serial, wwn=root.wwn)
    if not root.default and flavor.disk is not None and spec.disk_size(root) > flavor.disk:
        raise InvalidInput(f'flavor {flavor.name} has a root disk of {flavor.disk} GiB, and not of {spec.disk_size(root)}',
                           hint='Name a larger flavor, or a further disk')
    names = set(taken()) if others else set()
    there: list[T] = []
    new: dict[str, int] = {}
    for disk in others:
        refuse(disk.pool, image=disk.image, interface=disk.interface, serial=disk.serial, wwn=disk.wwn)
        if disk.name in names:
            there.append(free(str(disk.name)))
        else:
            new[disk.name or next_name(vm, {*names, *new})] = spec.disk_size(disk)
    return there, new


def next_name(vm: str, taken: Iterable[str]) -> str:
    """Return the next name of the form web-1 that no volume bears: small letters, digits and dashes, up to 63."""
    known = set(taken)
    stem = re.sub('[^a-z0-9-]', '-', vm.lower())[:58]
    stem = stem if stem[0].isalpha() else f'v{stem}'
    return next(name for name in (f'{stem}-{number}' for number in range(1, len(known) + 2)) if name not in known)
