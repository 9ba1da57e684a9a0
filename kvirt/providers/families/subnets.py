"""Subnets: parts of the addresses of networks. A provider says how they are read, made, changed, emptied and deleted."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, ClassVar, cast

import msgspec

from kvirt import units
from kvirt.base import waits
from kvirt.errors import AlreadyExists, InvalidInput
from kvirt.providers.families import cloud, marks
from kvirt.providers.families.machines import Machines
from kvirt.shapes import NetworkShape


class Subnet(msgspec.Struct, frozen=True, kw_only=True):
    """A subnet that is there."""

    id: str
    name: str
    """What it is called; what tells it apart where it bears no name."""

    cidr: str
    fields: Mapping[str, str] = {}
    """What ``make_subnet`` was told to remember, where a subnet can bear it."""

    more: Mapping[str, Any] = {}
    """What a row tells of it beside id, addresses and plan: its ``network``, ``az``, ``private``."""

    native: Any = None
    """The subnet as the platform tells it."""


class Subnets(Machines):
    """Subnets over five primitives."""

    subnet_settings: ClassVar[Sequence[str]] = ('network',)
    """What ``overrides`` of a new subnet may hold."""

    subnet_network: ClassVar[str | None] = None
    """The network of a subnet that names none; None where it has to name one."""

    # primitives

    def read_subnets(self) -> Iterable[Subnet]:
        """Return the subnets in the client's location."""
        raise NotImplementedError

    def make_subnet(self, name: str, cidr: str, network: str, nat: bool, fields: Mapping[str, str],
                    settings: Mapping[str, Any]) -> None:
        """Make a subnet of a *network*, given by name or id, that remembers *fields*: its request and plan.

        Without *nat* the internet is not reached from it, where the platform tells that apart. NotFound, Conflict.
        """
        raise NotImplementedError

    def change_subnet(self, subnet: Subnet, fields: Mapping[str, str]) -> None:
        """Let a subnet remember these *fields* as well."""
        raise NotImplementedError

    def empty_subnet(self, subnet: Subnet, force: bool) -> None:
        """Take a subnet away from the VMs on it. Conflict names them, unless *force*."""
        raise NotImplementedError

    def drop_subnet(self, subnet: Subnet) -> None:
        """Delete a subnet that nothing is on. One that is gone is fine."""
        raise NotImplementedError

    # what a platform may do in another way

    def check_subnet(self, dhcp: bool, domain: str | None) -> None:
        """Raise NotSupported for what a subnet can't be."""

    # hooks

    @waits
    def _create_subnet(self, name: str, cidr: str, dhcp: bool, nat: bool, domain: str | None, plan: str,
                       overrides: Mapping[str, Any]) -> None:
        cloud.check_settings('a subnet', overrides, self.subnet_settings)
        self.check_subnet(dhcp, domain)
        network = overrides.get('network') or self.subnet_network
        if not network:
            raise InvalidInput(f'subnet {name} needs a network', hint="Name it in overrides: {'network': ...}")
        if any(subnet.name == name for subnet in self.read_subnets()):
            raise AlreadyExists(f'subnet {name} exists')
        request = marks.new_request()
        with self.undo() as undo:
            undo.add(f'subnet {name}', lambda: self._unmake_subnet(request))
            self.make_subnet(name, str(units.network(cidr)), str(network), nat, {marks.MARK: request, 'plan': plan},
                             overrides)

    def _unmake_subnet(self, request: str) -> None:
        for subnet in self.read_subnets():
            if subnet.fields.get(marks.MARK) == request:
                self.drop_subnet(subnet)

    @waits
    def _delete_subnet(self, name: str, force: bool = False) -> None:
        subnet = self._subnet(name)
        self.empty_subnet(subnet, force)
        self.drop_subnet(subnet)

    def _update_subnet(self, name: str, overrides: Mapping[str, Any]) -> None:
        changes = cloud.check_settings('a subnet', overrides, ('plan',))
        subnet = self._subnet(name)
        if changes:
            self.change_subnet(subnet, {key: str(value) for key, value in changes.items()})

    def _list_subnets(self) -> dict[str, NetworkShape]:
        rows = {subnet.name: {'cidr': subnet.cidr, 'id': subnet.id, 'plan': subnet.fields.get('plan', ''), **subnet.more}
                for subnet in self.read_subnets()}
        return cast('dict[str, NetworkShape]', dict(sorted(rows.items())))

    def _subnet(self, name: str) -> Subnet:
        return cloud.find('subnet', name, self.read_subnets(), lambda subnet: subnet.name, lambda subnet: subnet.id)
