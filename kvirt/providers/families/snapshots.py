"""Snapshots of VMs. A provider says how they are read, taken and deleted, and how a VM is brought back to one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import msgspec

from kvirt.base import waits
from kvirt.errors import AlreadyExists, NotFound
from kvirt.names import did_you_mean
from kvirt.providers.families import marks
from kvirt.providers.families.machines import Machine, Machines
from kvirt.shapes import SnapshotShape

SNAPSHOT = 'snapshot'
"""The field of a VM that names the snapshot that it is at, where the platform does not tell that."""


class Snapshot(msgspec.Struct, frozen=True, kw_only=True):
    """A snapshot of a VM, of all the disks that the platform takes together."""

    id: str
    name: str
    """What the user called it; no two of a VM are called alike."""

    request: str | None = None
    """What ``take_snapshot`` was told to remember, where a snapshot can bear it."""

    native: Any = None
    """The snapshot as the platform tells it, or its parts."""


class Snapshots(Machines):
    """Snapshots over four primitives."""

    remembers_snapshot: ClassVar[bool] = False
    """A field of a VM tells which snapshot it is at."""

    # primitives

    def read_snapshots(self, machine: Machine) -> Sequence[Snapshot]:
        """Return the snapshots of a VM, oldest first. Those that were not taken here (backups, images) are none."""
        raise NotImplementedError

    def take_snapshot(self, machine: Machine, name: str, request: str) -> None:
        """Take a snapshot of a VM, under a name that none of it has; it bears *request* if it can.

        This may return before the platform has copied what was there at that moment.
        """
        raise NotImplementedError

    def drop_snapshot(self, snapshot: Snapshot) -> None:
        """Delete a snapshot that was read. One that is gone is fine."""
        raise NotImplementedError

    def restore_snapshot(self, machine: Machine, snapshot: Snapshot) -> None:
        """Bring a VM back to a snapshot, and wait for that. It runs afterwards if it ran before, and only then."""
        raise NotImplementedError

    # what a platform may do in another way

    def current_snapshot(self, machine: Machine) -> str | None:
        """Return the name of the snapshot that a VM is at; None where that is not known."""
        return machine.fields.get(SNAPSHOT) if self.remembers_snapshot else None

    # hooks

    @waits
    def _create_snapshot(self, name: str, base: str) -> None:
        machine = self.machine(base)
        if any(snapshot.name == name for snapshot in self.read_snapshots(machine)):
            raise AlreadyExists(f'VM {base} has a snapshot {name}')
        request = marks.new_request()
        with self.undo() as undo:
            undo.add(f'snapshot {name} of VM {base}', lambda: self._untake(machine, request))
            self.take_snapshot(machine, name, request)
            self._remember(machine, name)

    def _untake(self, machine: Machine, request: str) -> None:
        for snapshot in self.read_snapshots(machine):
            if snapshot.request == request:
                self.drop_snapshot(snapshot)

    def _delete_snapshot(self, name: str, base: str) -> None:
        self.drop_snapshot(self._snapshot(self.machine(base), name))

    @waits
    def _revert_snapshot(self, name: str, base: str) -> None:
        machine = self.machine(base)
        self.restore_snapshot(machine, self._snapshot(machine, name))
        self._remember(machine, name)

    def _remember(self, machine: Machine, name: str) -> None:
        if self.remembers_snapshot:
            self.set_field(machine, SNAPSHOT, name)

    def _list_snapshots(self, base: str) -> list[str]:
        return [snapshot.name for snapshot in self.read_snapshots(self.machine(base))]

    # for the areas beside this one

    def snapshot_shapes(self, machine: Machine) -> list[SnapshotShape]:
        """Return the snapshots of a VM as ``info`` shows them."""
        current = self.current_snapshot(machine)
        return [{'snapshot': snapshot.name, 'current': snapshot.name == current}
                for snapshot in self.read_snapshots(machine)]

    def _snapshot(self, machine: Machine, name: str) -> Snapshot:
        """Return a snapshot of a VM. NotFound suggests the likely one."""
        known = {snapshot.name: snapshot for snapshot in self.read_snapshots(machine)}
        if name not in known:
            raise NotFound(f'VM {machine.name} has no snapshot {name}{did_you_mean(name, known)}')
        return known[name]
