"""Floating addresses. A provider says how addresses are read, reserved, released, assigned to VMs and taken from them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, ClassVar

import msgspec

from kvirt.base import waits
from kvirt.errors import AlreadyExists, Conflict, TimedOut, Unavailable
from kvirt.providers.families import cloud, marks
from kvirt.providers.families.machines import Machine, Machines


class Address(msgspec.Struct, frozen=True, kw_only=True):
    """An address that is reserved."""

    id: str
    name: str
    """What it is called; its id or the address itself where it bears no name."""

    ip: str
    place: str = ''
    vm_id: str | None = None
    """The id of the VM that has it, None for a free one."""

    vm: str | None = None
    """The name of that VM, where the platform tells it with the address."""

    other: str | None = None
    """What has it, in words, where that is no VM."""

    request: str | None = None
    """What ``reserve_address`` was told to remember, where an address can bear it."""

    native: Any = None
    """The address as the platform tells it."""


class Floating(Machines):
    """Floating addresses over five primitives."""

    one_address_each: ClassVar[bool] = False
    """A VM can have one floating address at a time."""

    addresses_bear_marks: ClassVar[bool] = True
    """An address bears its name and request from the moment it is reserved."""

    # primitives

    def addresses(self) -> Iterable[Address]:
        """Return the addresses in the client's location."""
        raise NotImplementedError

    def reserve_address(self, name: str, request: str) -> Address:
        """Take an address of the platform under *name*, which bears *request* where ``addresses_bear_marks``."""
        raise NotImplementedError

    def release_address(self, address: Address) -> None:
        """Give back an address that nothing has; wait for one that was unassigned just before. One that is gone is fine."""
        raise NotImplementedError

    def assign_address(self, address: Address, machine: Machine) -> None:
        """Point an address that no VM has to a VM. Conflict when it is elsewhere."""
        raise NotImplementedError

    def unassign_address(self, address: Address) -> None:
        """Take an address from what has it."""
        raise NotImplementedError

    # what a platform may do in another way

    def keep_name(self, address: Address) -> None:
        """Keep the name of an address that was reserved a moment ago, where it can't bear it."""

    def forget_name(self, address: Address) -> None:
        """Forget the name of an address that was released."""

    # hooks

    def _create_floating_ip(self, name: str) -> Mapping[str, Any] | None:
        if any(address.name == name for address in self.addresses()):
            raise AlreadyExists(f'floating address {name} exists')
        request = marks.new_request()
        with self.undo() as undo:
            undo.add(f'floating address {name}', lambda: self._unreserve(request))
            reserved = self._reserved(name, request)
            if not self.addresses_bear_marks:
                undo.add(f'address {reserved.ip}', lambda: self._release(reserved))
                self.keep_name(reserved)
        return {'ip': reserved.ip}

    def _reserved(self, name: str, request: str) -> Address:
        try:
            return self.reserve_address(name, request)
        except (Unavailable, TimedOut) as error:
            if not self.addresses_bear_marks:
                error.hint = "An address may have been taken: 'kvirt list floating-ip' shows it under no other name"
            raise

    def _unreserve(self, request: str) -> None:
        for address in self.addresses():
            if address.request == request:
                self._release(address)

    def _release(self, address: Address) -> None:
        self.release_address(address)
        self.forget_name(address)

    @waits
    def _delete_floating_ip(self, name: str) -> None:
        address = _find(name, self.addresses())
        self._need_unassigned(address)
        if address.vm_id:  # a VM that is going away
            self.unassign_address(address)
        self._release(address)

    @waits
    def _attach_floating_ip(self, name: str, vm: str) -> None:
        machine, known = self.machine(vm), list(self.addresses())
        address = _find(name, known)
        if address.vm_id == machine.id:
            return
        self._need_unassigned(address)
        others = [each.name for each in known if each.vm_id == machine.id]
        if others and self.one_address_each:
            raise Conflict(f"VM {vm} has a floating address already: {', '.join(others)}", hint='Detach it first')
        self.assign_address(address, machine)

    @waits
    def _detach_floating_ip(self, name: str) -> None:
        address = _find(name, self.addresses())
        if address.vm_id or address.other:
            self.unassign_address(address)

    def _list_floating_ips(self) -> dict[str, dict[str, Any]]:
        known = list(self.addresses())
        names = self._holders(known)
        rows: dict[str, dict[str, Any]] = {}
        for address in sorted(known, key=lambda address: (address.name, address.id)):
            rows[address.id if address.name in rows else address.name] = {
                'ip': address.ip, 'vm': names.get(address.vm_id or ''), 'id': address.id, 'location': address.place}
        return dict(sorted(rows.items()))

    def _need_unassigned(self, address: Address) -> None:
        """Raise Conflict when something has *address*, naming it. A VM that is going away has none any more."""
        holder = self._holders([address]).get(address.vm_id or '') or address.other
        if holder:
            raise Conflict(f'floating address {address.name} is in use by {holder}', hint='Detach it first')

    def _holders(self, addresses: Iterable[Address]) -> Mapping[str, str]:
        """Return the names of the VMs that have *addresses*, by id; nothing is asked where the platform told them."""
        held = {address.vm_id: address.vm for address in addresses if address.vm_id}
        unnamed = [each for each, name in held.items() if name is None]
        return {**(self.vm_names(unnamed) if unnamed else {}), **{each: name for each, name in held.items() if name}}


def _find(name: str, addresses: Iterable[Address]) -> Address:
    return cloud.find('floating address', name, addresses, lambda address: address.name, lambda address: address.id)
