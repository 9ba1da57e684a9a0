"""VMs as the areas around them see them: who has a disk or an address, and where that one is."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import msgspec

from kvirt.base import Kbase
from kvirt.providers.families import marks
from kvirt.undo import Undo
from kvirt.wait import SYSTEM, Clock


class Machine(msgspec.Struct, frozen=True, kw_only=True):
    """A VM."""

    id: str
    name: str
    place: str
    """Where a volume must be for this VM to get it: a region, location or zone."""

    mark: str
    """What volumes that go with this VM bear; see :func:`mark_of`."""

    volumes: Sequence[str] | None = None
    """The ids of its volumes in the order of its disks; None where the platform does not tell them with the VM."""

    native: Any = None
    """The VM as the platform tells it."""


def mark_of(fields: Mapping[str, str], native_id: Any) -> str:
    """Return the mark of a VM with these *fields*: the request that made it, or for one made elsewhere its id."""
    return fields.get(marks.MARK) or f'vm-{native_id}'


class Machines(Kbase):
    """A platform with VMs, over two primitives."""

    clock: Clock = SYSTEM

    def machine(self, name: str) -> Machine:
        """Return the VM with this name or id, in the client's location. NotFound; Conflict when several bear the name."""
        raise NotImplementedError

    def vm_names(self, ids: Collection[str]) -> Mapping[str, str]:
        """Return the names of the VMs with these *ids*, by id. Others may be among them; one that is gone is not."""
        raise NotImplementedError

    def undo(self) -> Undo:
        """Return a rollback that understands the platform's errors."""
        return Undo(clock=None if self.clock is SYSTEM else self.clock).translating(self.translate)
