"""Private networks of clouds: ranges of addresses that may not overlap, and that go when nothing is on them any more."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, ClassVar, cast

import msgspec

from kvirt import units
from kvirt.base import unsupported, waits
from kvirt.base.networks import Unlike
from kvirt.errors import AlreadyExists, Conflict, NotSupported
from kvirt.providers.families import cloud, marks
from kvirt.providers.families.machines import Machines
from kvirt.shapes import NetworkShape

_PRIVATE = units.network('10.0.0.0/8')
_ONE_CARD = 'a VM is on one network, chosen when it is made, and has no further cards'
_WHOLE = 'networks are not divided into subnets'


class Network(msgspec.Struct, frozen=True, kw_only=True):
    """A network that is there."""

    id: str
    name: str
    cidr: str
    row: NetworkShape
    """What ``list_networks`` tells of it, without what is None."""

    place: str = ''
    fields: Mapping[str, str] = {}
    """What ``make_network`` and ``change_network`` were told to remember."""

    native: Any = None
    """The network as the platform tells it."""


class Member(msgspec.Struct, frozen=True, kw_only=True):
    """What is on a network: a VM, or something else that holds it (a load balancer, a database)."""

    name: str
    is_vm: bool = True
    native: Any = None


class Networks(Machines):
    """Networks over six primitives."""

    network_settings: ClassVar[Sequence[str]] = ()
    """What ``overrides`` of a new network may hold."""

    network_changes: ClassVar[Sequence[str]] = ()
    """What ``overrides`` of ``update_network`` may hold."""

    members_can_leave: ClassVar[bool] = True
    """A network can be taken away from a VM that stays."""

    network_prefix: ClassVar[int | None] = None
    """The prefix of a network whose addresses are not given; None where the platform chooses them."""

    refused_of_networks: ClassVar[Mapping[str, str]] = {}
    """What a network can not have or be, with the reason: ``no dhcp``, ``no nat``, ``domain``; ``nat`` at a change."""

    # primitives

    def read_networks(self) -> Iterable[Network]:
        """Return all networks that a new one may not clash with, by name or by its addresses."""
        raise NotImplementedError

    def make_network(self, name: str, cidr: str | None, fields: Mapping[str, str], settings: Mapping[str, Any]) -> None:
        """Make a network that remembers *fields*: its request, plan and domain. *settings* are those known."""
        raise NotImplementedError

    def change_network(self, network: Network, fields: Mapping[str, str], settings: Mapping[str, Any]) -> None:
        """Let a network remember these *fields* as well (there may be none), and give it *settings*."""
        raise NotImplementedError

    def drop_network(self, network: Network) -> None:
        """Delete a network that nothing is on; wait for what has left it just before. One that is gone is fine."""
        raise NotImplementedError

    def network_members(self, network: Network) -> Sequence[Member]:
        """Return what is on a network."""
        raise NotImplementedError

    def take_away(self, network: Network, member: Member) -> None:
        """Take a network away from one of its members; only asked where ``members_can_leave``."""
        raise NotImplementedError

    # what a platform may do in another way

    def check_network(self, dhcp: bool | None, nat: bool | None, domain: str | None) -> None:
        """Raise NotSupported for what a network can't be; what is None was not said."""
        said = {'no dhcp': dhcp is False, 'no nat': nat is False, 'domain': bool(domain)}
        self._refuse(what for what, is_said in said.items() if is_said)

    def network_in_sight(self, network: Network) -> bool:
        """Tell if a network is in the client's location, where ``read_networks`` returns others as well."""
        return not network.place or self.is_seen(network.place)

    # hooks

    @classmethod
    def network_unlike(cls, there: NetworkShape, settings: Mapping[str, Any]) -> dict[str, Unlike]:
        """Return which settings a network does not have, of those that its row tells."""
        known: Mapping[str, Any] = there
        return {key: Unlike(known[key], value, key not in cls.network_changes) for key, value in settings.items()
                if key in known and known[key] != value}

    @waits
    def _create_network(self, name: str, cidr: str | None, dhcp: bool, nat: bool, domain: str | None, plan: str,
                        overrides: Mapping[str, Any]) -> None:
        cloud.check_settings('a new network', overrides, self.network_settings)
        self.check_network(dhcp, nat, domain)
        known = list(self.read_networks())
        if any(network.name == name for network in known):
            raise AlreadyExists(f'network {name} exists')
        if cidr is None and self.network_prefix:
            cidr = str(free_range([network.cidr for network in known], self.network_prefix))
        if cidr is not None:
            check_overlap(name, cidr, [(network.name, network.cidr) for network in known])
        request = marks.new_request()
        fields = {marks.MARK: request, 'plan': plan, **({'domain': domain} if domain else {})}
        with self.undo() as undo:
            undo.add(f'network {name}', lambda: self._unmake_network(request))
            self.make_network(name, cidr, fields, overrides)

    def _unmake_network(self, request: str) -> None:
        for network in self.read_networks():
            if network.fields.get(marks.MARK) == request:
                self.drop_network(network)

    @waits
    def _delete_network(self, name: str, force: bool = False) -> None:
        network = self.network_named(name)
        self.vacate(f'network {name}', network, self.network_members(network), force)
        self.drop_network(network)

    @waits
    def _update_network(self, name: str, dhcp: bool | None, nat: bool | None, domain: str | None, plan: str | None,
                        overrides: Mapping[str, Any]) -> None:
        cloud.check_settings('a network', overrides, self.network_changes)
        self.check_network(dhcp, nat, domain)
        self._refuse(['nat'] if nat else ())
        network = self.network_named(name)
        fields = {key: value for key, value in (('domain', domain), ('plan', plan)) if value is not None}
        if fields or overrides:
            self.change_network(network, fields, overrides)

    def _refuse(self, said: Iterable[str]) -> None:
        for what in said:
            if what in self.refused_of_networks:
                raise NotSupported(self.refused_of_networks[what])

    def _list_networks(self) -> dict[str, NetworkShape]:
        seen = sorted(filter(self.network_in_sight, self.read_networks()), key=lambda network: network.name)
        return {network.name: cast(NetworkShape, {key: value for key, value in network.row.items() if value is not None})
                for network in seen}

    def _network_ports(self, name: str) -> list[str]:
        return sorted(member.name for member in self.network_members(self.network_named(name)) if member.is_vm)

    # for the areas beside this one

    def network_named(self, name: str) -> Network:
        """Return the network with this name or id, in the client's location. NotFound, Conflict."""
        return cloud.find('network', name, filter(self.network_in_sight, self.read_networks()),
                          lambda network: network.name, lambda network: network.id)

    def vacate(self, what: str, network: Network, members: Sequence[Member], force: bool) -> None:
        """Take a network away from its *members*. Conflict names them, unless *force*."""
        if members and not (force and self.members_can_leave):
            hint = 'Delete those first, or take the network from them with force' if self.members_can_leave else \
                'Delete those first: they can not leave it'
            raise Conflict(f"{what} is in use by {', '.join(sorted(member.name for member in members))}", hint=hint)
        for member in members:
            self.take_away(network, member)


class WholeNetworks(Networks):
    """Networks without subnets, of which a VM is on exactly one, from birth to end."""

    members_can_leave: ClassVar[bool] = False
    _add_nic = unsupported(_ONE_CARD)
    _delete_nic = unsupported(_ONE_CARD)
    _update_nic = unsupported(_ONE_CARD)
    _create_subnet = unsupported(_WHOLE)
    _delete_subnet = unsupported(_WHOLE)
    _update_subnet = unsupported(_WHOLE)
    _list_subnets = unsupported(_WHOLE)
    _info_subnet = unsupported(_WHOLE)


def check_overlap(name: str, cidr: str, known: Iterable[tuple[str, str]]) -> None:
    """Raise Conflict when *cidr* of a new network overlaps one of those *known*: pairs of a network's name and a range."""
    for other, taken in known:
        if units.network(cidr).overlaps(units.network(taken)):
            raise Conflict(f'{cidr} of network {name} overlaps {taken} of network {other}')


def free_range(taken: Iterable[str], prefix: int) -> units.Network:
    """Return the first range with this *prefix* of 10.0.0.0/8 that overlaps none that is *taken*. Conflict."""
    known = sorted((int(each.network_address), int(each.broadcast_address))
                   for each in map(units.network, taken) if each.version == 4)
    size, start = 2 ** (32 - prefix), int(_PRIVATE.network_address)
    for first, last in known:
        if first >= start + size:
            break
        start = max(start, -(-(last + 1) // size) * size)  # the first one of this size behind it
    if start + size - 1 <= int(_PRIVATE.broadcast_address):
        return ipaddress.ip_network((start, prefix))
    raise Conflict('no range of addresses is free', hint='Give a cidr')
