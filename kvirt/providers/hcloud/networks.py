"""Networks and their subnets, network cards."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, ClassVar

from hcloud.networks.domain import NetworkRoute, NetworkSubnet

from kvirt import units
from kvirt.base import unsupported, waits
from kvirt.errors import Conflict, InvalidInput
from kvirt.providers.families import marks, networks
from kvirt.providers.families.cards import find_cards
from kvirt.providers.families.networks import Member, Network
from kvirt.providers.families.subnets import Subnet, Subnets
from kvirt.providers.hcloud import mapping
from kvirt.providers.hcloud.account import PLATFORM, Native
from kvirt.providers.hcloud.storage import Storage

SETTINGS = ('expose_routes_to_vswitch', 'protected', 'routes')
"""What ``overrides`` of a network may hold; routes are mappings of destination and gateway."""

class Networks(networks.Networks, Subnets, Storage):
    """The networks of a project."""

    network_settings: ClassVar[Sequence[str]] = SETTINGS
    network_changes: ClassVar[Sequence[str]] = SETTINGS
    network_prefix: ClassVar[int | None] = 24
    refused_of_networks: ClassVar[Mapping[str, str]] = {
        'no dhcp': f'{PLATFORM} gives out the addresses of its networks itself',
        'nat': f'a network of {PLATFORM} never has NAT'}
    subnet_settings: ClassVar[Sequence[str]] = ('network', 'network_zone')

    def read_networks(self) -> Iterator[Network]:
        return map(mapping.network, self.conn.networks.get_all())

    def make_network(self, name: str, cidr: str | None, fields: Mapping[str, str], settings: Mapping[str, Any]) -> None:
        """Make a network with one subnet of all its addresses, which the first one that is asked for takes the place of."""
        assert cidr is not None  # one is chosen where none is given
        made = self.conn.networks.create(
            name, cidr, [NetworkSubnet(cidr, 'cloud', self.zones[self.usual_place])],
            _routes(settings.get('routes', ())), settings.get('expose_routes_to_vswitch'), marks.to_labels(fields))
        if settings.get('protected'):
            self.done(made.change_protection(delete=True))

    def change_network(self, network: Network, fields: Mapping[str, str], settings: Mapping[str, Any]) -> None:
        native = network.native
        if fields:
            self.relabel(native, **fields)
        if settings.get('expose_routes_to_vswitch') is not None:
            native.update(expose_routes_to_vswitch=settings['expose_routes_to_vswitch'])
        if 'routes' in settings:
            have, want = ({(route.destination, route.gateway): route for route in routes}
                          for routes in (native.routes or (), _routes(settings['routes'])))
            for key in have.keys() - want.keys():
                self.done(native.delete_route(have[key]))
            for key in want.keys() - have.keys():
                self.done(native.add_route(want[key]))
        if 'protected' in settings:
            self.done(native.change_protection(delete=bool(settings['protected'])))

    def drop_network(self, network: Network) -> None:
        self.gone(network.native)

    def network_members(self, network: Network) -> list[Member]:
        return self._on_network(network.native, network.cidr)

    def _on_network(self, native: Native, cidr: str) -> list[Member]:
        """Return the VMs on a network whose addresses are in *cidr*."""
        part = units.network(cidr)
        return [Member(name=server.name, native=server) for server in self.conn.servers.get_all()
                for card in server.private_net or ()
                if card.network.id == native.id and (not card.ip or units.address(card.ip) in part)]

    def take_away(self, network: Network, member: Member) -> None:
        self._disconnect(member.native, network.native)

    # cards

    @waits
    def _add_nic(self, name: str, network: str, model: str = 'virtio') -> Mapping[str, Any] | None:
        server, native = self.server(name), self.get('network', self.conn.networks, network)
        if server.private_net_for(native):
            raise Conflict(f'VM {name} has a card on network {network} already')
        self.carry_out(f'connecting VM {name}', lambda: server.attach_to_network(native))
        card = self.conn.servers.get_by_id(server.id).private_net_for(native)
        return {'mac': card.mac_address.lower(), 'ip': card.ip} if card else None

    @waits
    def _delete_nic(self, name: str, interface: str) -> None:
        server = self.server(name)
        names = {network.id: network.name for network in self.conn.networks.get_all()}
        card = find_cards(name, interface, [
            (card, {card.mac_address.lower(), names.get(card.network.id, ''), str(card.network.id)})
            for card in server.private_net or ()])[0]
        self._disconnect(server, card.network)

    def _disconnect(self, server: Native, network: Native) -> None:
        self.carry_out(f'disconnecting VM {server.name}', lambda: server.detach_from_network(network))

    _update_nic = unsupported('a card of Hetzner Cloud belongs to its network: delete it, and add another')

    # subnets

    def read_subnets(self) -> Iterator[Subnet]:
        """Yield them by the names that labels of their networks tell; one that nobody named is called after its network."""
        for network in self.conn.networks.get_all():
            known = marks.from_labels(network.labels or {})
            for subnet in network.subnets or ():
                cidr = subnet.ip_range
                yield Subnet(id=f'{network.id}/{cidr}', name=known.get(label(cidr)) or f'{network.name}-{_dashed(cidr)}',
                             cidr=cidr, fields={'plan': known.get(label(cidr, 'plan'), '')}, native=(network, subnet),
                             more={'network': network.name, 'az': subnet.network_zone, 'private': True})

    def check_subnet(self, dhcp: bool, domain: str | None) -> None:
        self.check_network(dhcp, None, None)

    def make_subnet(self, name: str, cidr: str, network: str, nat: bool, fields: Mapping[str, str],
                    settings: Mapping[str, Any]) -> None:
        native = self.get('network', self.conn.networks, network)
        whole = next((each for each in native.subnets if each.ip_range == native.ip_range != cidr), None)
        if whole and not self._on_network(native, native.ip_range):
            self.done(native.delete_subnet(whole))
        wanted = NetworkSubnet(cidr, 'cloud', settings.get('network_zone') or self.zones[self.usual_place])
        self.carry_out(f'making subnet {name}', lambda: native.add_subnet(wanted))
        self.relabel(native, **{label(cidr): name, label(cidr, 'plan'): fields['plan']})

    def change_subnet(self, subnet: Subnet, fields: Mapping[str, str]) -> None:
        network, _ = subnet.native
        self.relabel(network, **{label(subnet.cidr, key): text for key, text in fields.items()})

    def empty_subnet(self, subnet: Subnet, force: bool) -> None:
        network, _ = subnet.native
        self.vacate(f'subnet {subnet.name}', mapping.network(network), self._on_network(network, subnet.cidr), force)

    def drop_subnet(self, subnet: Subnet) -> None:
        network, native = subnet.native
        self.carry_out(f'deleting subnet {subnet.name}', lambda: network.delete_subnet(native))
        self.relabel(network, **{label(subnet.cidr): None, label(subnet.cidr, 'plan'): None})


def label(cidr: str, field: str = 'name') -> str:
    """Return which label of a network holds a *field* of its subnet with these addresses: subnets have no labels."""
    return f'subnet-{_dashed(cidr)}-{field}'


def _dashed(cidr: str) -> str:
    return cidr.replace('/', '-')


def _routes(given: Any) -> list[NetworkRoute]:
    try:
        return [NetworkRoute(str(units.network(route['destination'])), str(units.address(route['gateway'])))
                for route in given]
    except (TypeError, KeyError):
        raise InvalidInput(f'{given!r} are no routes', hint='Give mappings of destination and gateway') from None
