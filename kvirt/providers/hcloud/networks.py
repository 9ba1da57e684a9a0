"""Networks and their subnets, network cards."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, cast

from hcloud.networks.domain import NetworkRoute, NetworkSubnet

from kvirt import units
from kvirt.base import unsupported, waits
from kvirt.errors import AlreadyExists, Conflict, InvalidInput, NotFound, NotSupported
from kvirt.names import did_you_mean
from kvirt.providers.families import cloud, marks
from kvirt.providers.hcloud import mapping
from kvirt.providers.hcloud.account import PLATFORM, Native
from kvirt.providers.hcloud.storage import Storage
from kvirt.shapes import NetworkShape

SETTINGS = ('expose_routes_to_vswitch', 'protected', 'routes')
"""What ``overrides`` of a network may hold; routes are mappings of destination and gateway."""

class Networks(Storage):
    """The networks of a project."""

    @waits
    def _create_network(self, name: str, cidr: str | None, dhcp: bool, nat: bool, domain: str | None, plan: str,
                        overrides: Mapping[str, Any]) -> None:
        """Make a network with one subnet of all its addresses, which the first one that is asked for takes the place of."""
        cloud.check_settings('a network', overrides, SETTINGS)
        if not dhcp:
            raise NotSupported(f'{PLATFORM} gives out the addresses of its networks itself')
        self.free('network', self.conn.networks, name)
        known = self.conn.networks.get_all()
        wanted = units.network(cidr) if cidr else _free_range(known)
        other = next((each for each in known if wanted.overlaps(units.network(each.ip_range))), None)
        if other is not None:
            raise Conflict(f'{wanted} of network {name} overlaps {other.ip_range} of network {other.name}')
        fields = {marks.MARK: 'network', 'plan': plan, **({'domain': domain} if domain else {})}
        made = self.conn.networks.create(
            name, str(wanted), [NetworkSubnet(str(wanted), 'cloud', self.zones[self.usual_place])],
            _routes(overrides.get('routes', ())), overrides.get('expose_routes_to_vswitch'), marks.to_labels(fields))
        if overrides.get('protected'):
            self.done(made.change_protection(delete=True))

    @waits
    def _delete_network(self, name: str, force: bool = False) -> None:
        network = self.get('network', self.conn.networks, name)
        self._cut(network, self._members(network), f'network {name}', force)
        self.gone(network)

    def _members(self, network: Native, within: str | None = None) -> list[Native]:
        """Return the VMs on a network, or on a part of its addresses, sorted by name."""
        part = units.network(within or network.ip_range)
        return sorted((server for server in self.conn.servers.get_all() for card in server.private_net or ()
                       if card.network.id == network.id and (not card.ip or units.address(card.ip) in part)),
                      key=lambda server: str(server.name))

    def _cut(self, network: Native, servers: Sequence[Native], what: str, force: bool) -> None:
        """Take a network away from *servers*. Conflict names them, unless *force*."""
        if servers and not force:
            raise Conflict(f"{what} is in use by {', '.join(server.name for server in servers)}",
                           hint='Delete those VMs first, or take the network from them with force')
        for server in servers:
            self._detach(server, network)

    @waits
    def _update_network(self, name: str, dhcp: bool | None, nat: bool | None, domain: str | None, plan: str | None,
                        overrides: Mapping[str, Any]) -> None:
        cloud.check_settings('a network', overrides, SETTINGS)
        if dhcp is False or nat is True:
            raise NotSupported(f'a network of {PLATFORM} always has DHCP, and never NAT')
        network = self.get('network', self.conn.networks, name)
        fields = {key: value for key, value in (('domain', domain), ('plan', plan)) if value is not None}
        if fields:
            self.relabel(network, **fields)
        if overrides.get('expose_routes_to_vswitch') is not None:
            network.update(expose_routes_to_vswitch=overrides['expose_routes_to_vswitch'])
        if 'routes' in overrides:
            have, want = ({(route.destination, route.gateway): route for route in routes}
                          for routes in (network.routes or (), _routes(overrides['routes'])))
            for key in have.keys() - want.keys():
                self.done(network.delete_route(have[key]))
            for key in want.keys() - have.keys():
                self.done(network.add_route(want[key]))
        if 'protected' in overrides:
            self.done(network.change_protection(delete=bool(overrides['protected'])))

    def _list_networks(self) -> dict[str, NetworkShape]:
        return {network.name: mapping.network(network)
                for network in sorted(self.conn.networks.get_all(), key=lambda network: str(network.name))}

    def _network_ports(self, name: str) -> list[str]:
        return [server.name for server in self._members(self.get('network', self.conn.networks, name))]

    # cards

    @waits
    def _add_nic(self, name: str, network: str, model: str = 'virtio') -> Mapping[str, Any] | None:
        server, native = self.server(name), self.get('network', self.conn.networks, network)
        if server.private_net_for(native):
            raise Conflict(f'VM {name} has a card on network {network} already')
        self.done(self.patiently(f'connecting VM {name}', lambda: server.attach_to_network(native)))
        card = self.conn.servers.get_by_id(server.id).private_net_for(native)
        return {'mac': card.mac_address.lower(), 'ip': card.ip} if card else None

    @waits
    def _delete_nic(self, name: str, interface: str) -> None:
        server = self.server(name)
        names = {network.id: network.name for network in self.conn.networks.get_all()}
        for card in server.private_net or ():
            if interface in (card.mac_address.lower(), names.get(card.network.id), str(card.network.id)):
                self._detach(server, card.network)
                return
        raise NotFound(f'VM {name} has no network card {interface}{did_you_mean(interface, names.values())}')

    def _detach(self, server: Native, network: Native) -> None:
        self.done(self.patiently(f'disconnecting VM {server.name}', lambda: server.detach_from_network(network)))

    _update_nic = unsupported('a card of Hetzner Cloud belongs to its network: delete it, and add another')

    # subnets

    @waits
    def _create_subnet(self, name: str, cidr: str, dhcp: bool, nat: bool, domain: str | None, plan: str,
                       overrides: Mapping[str, Any]) -> None:
        cloud.check_settings('a subnet', overrides, ['network', 'network_zone'])
        if not overrides.get('network'):
            raise InvalidInput(f'subnet {name} needs a network', hint="Name it in overrides: {'network': ...}")
        if not dhcp:
            raise NotSupported(f'{PLATFORM} gives out the addresses of its networks itself')
        network = self.get('network', self.conn.networks, str(overrides['network']))
        if name in self._list_subnets():
            raise AlreadyExists(f'subnet {name} exists')
        whole = next((each for each in network.subnets if each.ip_range == network.ip_range != cidr), None)
        if whole and not self._members(network):
            self.done(network.delete_subnet(whole))
        subnet = NetworkSubnet(cidr, 'cloud', overrides.get('network_zone') or self.zones[self.usual_place])
        self.done(self.patiently(f'making subnet {name}', lambda: network.add_subnet(subnet)))
        self.relabel(network, **{label(cidr): name, label(cidr, 'plan'): plan})

    @waits
    def _delete_subnet(self, name: str, force: bool = False) -> None:
        network, subnet = self._subnet(name)
        self._cut(network, self._members(network, subnet.ip_range), f'subnet {name}', force)
        self.done(self.patiently(f'deleting subnet {name}', lambda: network.delete_subnet(subnet)))
        self.relabel(network, **{label(subnet.ip_range): None, label(subnet.ip_range, 'plan'): None})

    def _update_subnet(self, name: str, overrides: Mapping[str, Any]) -> None:
        cloud.check_settings('a subnet', overrides, ['plan'])
        network, subnet = self._subnet(name)
        self.relabel(network, **{label(subnet.ip_range, key): str(value) for key, value in overrides.items()})

    def _subnet(self, name: str) -> tuple[Native, Native]:
        """Return the network that a subnet is of, and the subnet. NotFound."""
        known = {known: (network, subnet) for network in self.conn.networks.get_all()
                 for known, subnet in _named(network)}
        if name not in known:
            raise NotFound(f'subnet {name} does not exist{did_you_mean(name, known)}')
        return known[name]

    def _list_subnets(self) -> dict[str, NetworkShape]:
        rows: dict[str, Any] = {}
        for network in self.conn.networks.get_all():
            fields = marks.from_labels(network.labels or {})
            for name, subnet in _named(network):
                rows[name] = {'cidr': subnet.ip_range, 'network': network.name, 'id': f'{network.id}/{subnet.ip_range}',
                              'az': subnet.network_zone, 'private': True,
                              'plan': fields.get(label(subnet.ip_range, 'plan'), '')}
        return cast('dict[str, NetworkShape]', dict(sorted(rows.items())))


def _named(network: Native) -> Iterable[tuple[str, Native]]:
    """Yield the subnets of a network with their names; one that nobody named is called after network and addresses."""
    fields = marks.from_labels(network.labels or {})
    for subnet in network.subnets or ():
        yield fields.get(label(subnet.ip_range)) or f"{network.name}-{subnet.ip_range.replace('/', '-')}", subnet


def label(cidr: str, field: str = 'name') -> str:
    """Return which label of a network holds a *field* of its subnet with these addresses: subnets have no labels."""
    return f"subnet-{cidr.replace('/', '-')}-{field}"


def _routes(given: Any) -> list[NetworkRoute]:
    try:
        return [NetworkRoute(str(units.network(route['destination'])), str(units.address(route['gateway'])))
                for route in given]
    except (TypeError, KeyError):
        raise InvalidInput(f'{given!r} are no routes', hint='Give mappings of destination and gateway') from None


def _free_range(known: Iterable[Native]) -> units.Network:
    """Return the first /24 of 10.0.0.0/8 that no network has."""
    taken = [units.network(each.ip_range) for each in known]
    for number in range(2**16):
        wanted = units.network(f'10.{number >> 8}.{number & 255}.0/24')
        if not any(wanted.overlaps(each) for each in taken):
            return wanted
    raise Conflict('no range of addresses is free', hint='Give a cidr')
