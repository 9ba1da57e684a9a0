"""VMs that have flavors: what is known of them, their life, and changes to them.

A provider says which VMs there are (as a :class:`Machine` each, with all that a row tells), what else it knows of one, and
how one is started, stopped, restarted, renamed and given another flavor. Who waits and who only accepts a request is told
with each primitive.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, ClassVar, cast

import msgspec

from kvirt.base import unsupported, waits
from kvirt.base.vms import Rows
from kvirt.errors import AlreadyExists, Conflict
from kvirt.providers.families import marks
from kvirt.providers.families.machines import Machine
from kvirt.providers.families.snapshots import SNAPSHOT, Snapshots
from kvirt.providers.families.volumes import Volumes
from kvirt.shapes import Flavor, NicShape, Status, VmInfo

_BY_FLAVOR = 'a VM has the size of its flavor: update the flavor'

class CloudVms(Volumes, Snapshots):
    """VMs over nine primitives."""

    stops_to_resize: ClassVar[bool] = True
    """A running VM is stopped for another flavor, and started again; else its user has to stop it first."""

    # primitives: what is known

    def machines(self) -> Iterable[Machine]:
        """Return the VMs in the client's location, in a constant number of calls per page."""
        raise NotImplementedError

    def nics_of(self, machine: Machine) -> Sequence[NicShape]:
        """Return the cards of a VM on networks, the first one first."""
        raise NotImplementedError

    def more_of_vm(self, machine: Machine) -> Mapping[str, Any]:
        """Return what else ``info`` tells of a VM: ``securitygroups``, ``autostart``, ...; what is None is left out."""
        return {}

    # primitives: life and changes

    def start_vm(self, machine: Machine) -> None:
        """Ask for a VM that does not run to be started. One that is being started is fine. Conflict."""
        raise NotImplementedError

    def stop_vm(self, machine: Machine, soft: bool) -> None:
        """Ask for a VM to be stopped: with *soft* by its guest, else at once. Conflict."""
        raise NotImplementedError

    def restart_vm(self, machine: Machine) -> None:
        """Ask for a VM that is not stopped to be rebooted. Conflict."""
        raise NotImplementedError

    def halt_vm(self, machine: Machine) -> None:
        """Stop a VM at once, and return when it is stopped."""
        raise NotImplementedError

    def rename_vm(self, machine: Machine, new: str) -> None:
        """Give a VM a name that the platform takes and no other VM has, and return when it has it."""
        raise NotImplementedError

    def resize_vm(self, machine: Machine, flavor: str) -> None:
        """Give a stopped VM this flavor, and return when it has it. Its disks stay as they are, so there is a way back."""
        raise NotImplementedError

    # what a platform may do in another way

    def shown(self, machine: Machine) -> Mapping[str, str]:
        """Return the fields of a VM that are shown."""
        fields = {**({'user': self.login} if self.login else {}), **marks.unshown(machine.fields)}
        return {key: text for key, text in fields.items() if not (self.remembers_snapshot and key == SNAPSHOT)}

    def check_resize(self, machine: Machine, flavor: Flavor) -> None:
        """Raise what forbids to give a VM this flavor."""

    # hooks

    def _list(self) -> Rows:
        rows = sorted((machine.row for machine in self.machines()), key=lambda row: (row['name'], row['id']))
        if not rows:
            self.check_location()
        return rows

    def _info(self, name: str) -> VmInfo:
        machine = self.machine(name)
        flags = {'stoppable': True, 'rebootable': True, 'preemptible': False, 'firewall': True,
                 'resizable': self.stops_to_resize or machine.status == 'stopped'}
        known = {**self.shown(machine), **machine.row, **flags, 'nets': list(self.nics_of(machine)),
                 'disks': self.disks_of(machine), 'snapshots': self.snapshot_shapes(machine),
                 'creationdate': marks.iso_date(machine.created) if machine.created else None,
                 'native_status': machine.native_status, **self.more_of_vm(machine)}
        return cast(VmInfo, {key: value for key, value in known.items() if value is not None or key == 'ip'})

    def _exists(self, name: str) -> bool:
        try:
            return self.find_machine(name) is not None
        except Conflict:  # several bear the name
            return True

    def _status(self, name: str) -> Status | None:
        found = self.find_machine(name)
        return found.status if found else None

    def _ip(self, name: str) -> str | None:
        found = self.find_machine(name)
        return found.ip if found else None

    def _start(self, name: str) -> None:
        machine = self.machine(name)
        if machine.status != 'running':
            self.start_vm(machine)

    def _stop(self, name: str, soft: bool = False) -> None:
        machine = self.machine(name)
        if machine.status != 'stopped':
            self.stop_vm(machine, soft)

    def _restart(self, name: str) -> None:
        machine = self.machine(name)
        (self.start_vm if machine.status == 'stopped' else self.restart_vm)(machine)

    @waits
    def _rename(self, name: str, new: str) -> None:
        machine = self.machine(name)
        if self.machine_exists(self.check_machine_name(new)):
            raise AlreadyExists(f'VM {new} exists')
        self.rename_vm(machine, new)

    @waits
    def _update_flavor(self, name: str, flavor: str) -> None:
        """Change the flavor. A VM that ran runs again afterwards, with the flavor that it had when it can't be changed."""
        wanted, machine = self.flavor_named(flavor), self.machine(name)
        if machine.flavor == wanted.name:
            return
        self.check_resize(machine, wanted)
        if machine.status == 'stopped':
            self.resize_vm(machine, wanted.name)
            return
        if not self.stops_to_resize:
            raise Conflict(f'VM {name} is not stopped', hint='Stop it first')
        with self.undo() as undo:
            undo.add(f'the stop of VM {name}', lambda: self._resume(machine))
            self.halt_vm(machine)
            stopped = msgspec.structs.replace(machine, status='stopped')
            self.resize_vm(stopped, wanted.name)
            self.insist(lambda: self.start_vm(stopped), f'starting VM {name}')  # there may be no room for the new one

    def _resume(self, machine: Machine) -> None:
        """Let a VM run again as it did."""
        now = self.machine(machine.id)
        if now.flavor != machine.flavor:
            self.resize_vm(now, machine.flavor)
        if now.status != 'running':
            self.start_vm(now)

    _update_memory = unsupported(_BY_FLAVOR)
    _update_cpus = unsupported(_BY_FLAVOR)
    _update_start = unsupported('the platform starts a VM again after a fault of its own in any case')
    _update_iso = unsupported('VMs have no CD drives')
    _remove_cloudinit = unsupported('what a guest was told at its birth can not be taken back')
    _clone = unsupported('VMs can not be copied as they are: export one, and make another of that image')
