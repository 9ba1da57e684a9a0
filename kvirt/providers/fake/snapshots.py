"""Snapshots: the size, disks, CD and texts of a VM, and whether it runs. Network cards stay as they are.

A disk that was added since is taken off by a revert; its volume stays, and goes with the VM.
"""

from __future__ import annotations

from kvirt.errors import Conflict
from kvirt.names import safe_name
from kvirt.providers.fake.account import Account, lacks
from kvirt.providers.fake.records import Snapshot, Vm, Volume
from kvirt.providers.fake.storage import users_of
from kvirt.providers.fake.world import Transaction

_KEPT = ('numcpus', 'memory', 'flavor', 'power', 'disks', 'iso', 'autostart', 'fields', 'hardware')
"""What a snapshot brings back; what else a VM has is its identity, or its place in the network."""


class Snapshots(Account):
    """The snapshots of VMs."""

    def _create_snapshot(self, name: str, base: str) -> None:
        safe_name('snapshot', name)
        with self.conn.change() as world:
            vm = self.settled(world, base)
            volumes = [world.need(Volume, f'{vm.location}/{disk.volume}') for disk in vm.disks]
            world.add(Snapshot(name=name, owner=vm.id, number=world.number('snapshot'), saved=vm, volumes=volumes))
            vm.snapshot = name
            world.put(vm)

    def _delete_snapshot(self, name: str, base: str) -> None:
        with self.conn.change() as world:
            vm = self.settled(world, base)
            world.drop(_get(world, vm, name))
            if vm.snapshot == name:
                vm.snapshot = None
                world.put(vm)

    def _revert_snapshot(self, name: str, base: str) -> None:
        with self.conn.change() as world:
            vm = self.settled(world, base)
            snapshot = _get(world, vm, name)
            for volume in snapshot.volumes:
                now = world.get(Volume, volume.key)
                others = [user for user in users_of(world, volume) if user != vm.name] if now else []
                if others and not volume.shareable:
                    raise Conflict(f"volume {volume.name} of snapshot {name} is a disk of {', '.join(others)} now")
                world.put(volume)
            for field in _KEPT:
                setattr(vm, field, getattr(snapshot.saved, field))
            vm.snapshot = name
            vm.settles = self.time() + (self.boot_seconds if vm.power == 'on' else 0)
            world.put(vm)

    def _list_snapshots(self, base: str) -> list[str]:
        with self.conn.read() as world:
            return names_of(world, self.get(world, base))


def names_of(world: Transaction, vm: Vm) -> list[str]:
    """Return the names of the snapshots of *vm*, oldest first."""
    return [each.name for each in sorted(world.of(Snapshot, vm.id), key=lambda each: each.number)]


def _get(world: Transaction, vm: Vm, name: str) -> Snapshot:
    snapshot = world.get(Snapshot, f'{vm.id}/{name}')
    if snapshot is None:
        raise lacks(vm, 'snapshot', name, names_of(world, vm))
    return snapshot
