"""Networks, firewalls and addresses of the pretended project."""

from __future__ import annotations

import ipaddress
from collections.abc import Callable
from typing import Any

from kvirt.testing.cloud import FakeCloud, Refusal, Thing, route
from kvirt.testing.wire import Request

from .catalogue import NOW


class NetworkRoutes(FakeCloud):
    """What servers are reached through."""

    # networks

    def network(self, name: str, cidr: str, zone: str = 'eu-central', **more: Any) -> Thing:
        """Add a network with one subnet of all its addresses."""
        return self.add('networks', {
            'name': name, 'ip_range': cidr, 'routes': [], 'servers': [], 'load_balancers': [], 'labels': {}, 'created': NOW,
            'subnets': [_subnet({'type': 'cloud', 'ip_range': cidr, 'network_zone': zone})],
            'protection': {'delete': False}, 'expose_routes_to_vswitch': False, **more})

    def connect(self, server: Thing, network: Thing) -> Callable[[], None]:
        """Give a server a card on a network; one that is there gets it when the returned function is called."""
        if any(card['network'] == network['id'] for card in server['private_net']):
            raise Refusal(422, 'server_already_attached', 'server is attached already')
        zone = server['location']['network_zone']
        ranges = [each['ip_range'] for each in network['subnets'] if each['network_zone'] == zone]
        if not ranges:
            raise Refusal(422, 'no_subnet_available', 'no subnet in this network zone')
        taken = [card['ip'] for each in self.things.get('servers', {}).values() for card in each['private_net']
                 if card['network'] == network['id']]
        number = self.number()
        card = {'network': network['id'], 'ip': self.host_of(ranges[0], taken), 'alias_ips': [],
                'mac_address': f'86:00:00:{number // 65536 % 256:02x}:{number // 256 % 256:02x}:{number % 256:02x}'}

        def plugged() -> None:
            server['private_net'].append(card)
            network['servers'].append(server['id'])
        if str(server['id']) in self.things.get('servers', {}):
            return plugged
        plugged()
        return lambda: None

    def disconnect(self, server: Thing, network: Thing) -> None:
        """Take the card on a network away from a server."""
        server['private_net'] = [card for card in server['private_net'] if card['network'] != network['id']]
        network['servers'].remove(server['id'])

    @route('GET', '/networks')
    def list_networks(self, request: Request) -> Any:
        return self.listing(request, 'networks', self.all('networks'))

    @route('GET', '/networks/{id}')
    def get_network(self, request: Request, id: str) -> Any:
        return {'network': self.get('networks', id)}

    @route('POST', '/networks')
    def create_network(self, request: Request) -> Any:
        body = request.json
        self.unique('networks', body['name'])
        if not ipaddress.ip_network(body['ip_range']).is_private:
            raise self.invalid('ip_range', 'is not private')
        network = self.network(body['name'], body['ip_range'], labels=self.labels(body), routes=body.get('routes', []),
                               subnets=[_subnet(each) for each in body.get('subnets', [])],
                               expose_routes_to_vswitch=body.get('expose_routes_to_vswitch', False))
        return {'network': network}, 201

    @route('PUT', '/networks/{id}')
    def update_network(self, request: Request, id: str) -> Any:
        return {'network': self.changed('networks', id, request, 'expose_routes_to_vswitch')}

    @route('DELETE', '/networks/{id}')
    def delete_network(self, request: Request, id: str) -> Any:
        network = self.unlocked('networks', id)
        self.deletable(network)
        for server in self.things.get('servers', {}).values():
            if server['id'] in network['servers']:
                self.disconnect(server, network)
        self.drop('networks', id)
        return None

    @route('POST', '/networks/{id}/actions/{what}')
    def act_on_network(self, request: Request, id: str, what: str) -> Any:
        network = self.get('networks', id)
        if self.busy(self.seen(network)):
            raise Refusal(409, 'conflict', 'a change of the network is under way')
        then = getattr(self, f'_{what}_of_network')(network, request.json)
        return {'action': self.act(what, ('network', network), then=then)}, 201

    def _add_subnet_of_network(self, network: Thing, body: Thing) -> Callable[[], object]:
        wanted, whole = ipaddress.ip_network(body['ip_range']), ipaddress.ip_network(network['ip_range'])
        if not wanted.subnet_of(whole):
            raise self.invalid('ip_range', 'is not a part of the network')
        if any(wanted.overlaps(ipaddress.ip_network(each['ip_range'])) for each in network['subnets']):
            raise self.invalid('ip_range', 'overlaps another subnet')
        return lambda: network['subnets'].append(_subnet(body))

    def _delete_subnet_of_network(self, network: Thing, body: Thing) -> Callable[[], object]:
        part = ipaddress.ip_network(body['ip_range'])
        subnet = next((each for each in network['subnets'] if each['ip_range'] == body['ip_range']), None)
        if subnet is None:
            raise Refusal(404, 'not_found', 'no such subnet')
        if any(card['network'] == network['id'] and ipaddress.ip_address(card['ip']) in part
               for server in self.things.get('servers', {}).values() for card in server['private_net']):
            raise Refusal(422, 'resource_in_use', 'servers are attached')
        return lambda: network['subnets'].remove(subnet)

    def _add_route_of_network(self, network: Thing, body: Thing) -> Callable[[], object]:
        return lambda: network['routes'].append(body)

    def _delete_route_of_network(self, network: Thing, body: Thing) -> Callable[[], object]:
        return lambda: network['routes'].remove(body)

    def _change_protection_of_network(self, network: Thing, body: Thing) -> Callable[[], object]:
        return lambda: network['protection'].update(body)

    # firewalls

    def shown_firewall(self, firewall: Thing) -> Thing:
        """Return a firewall as answers have it."""
        shown = {key: value for key, value in firewall.items() if key != 'servers'}
        return {**shown, 'applied_to': [{'type': 'server', 'server': {'id': each}} for each in firewall['servers']]}

    @route('GET', '/firewalls')
    def list_firewalls(self, request: Request) -> Any:
        return self.listing(request, 'firewalls', map(self.shown_firewall, self.all('firewalls')))

    @route('GET', '/firewalls/{id}')
    def firewall(self, request: Request, id: str) -> Any:
        return {'firewall': self.shown_firewall(self.get('firewalls', id))}

    @route('POST', '/firewalls')
    def create_firewall(self, request: Request) -> Any:
        body = request.json
        self.unique('firewalls', body['name'])
        firewall = self.add('firewalls', {'name': body['name'], 'labels': self.labels(body), 'created': NOW, 'servers': [],
                                          'rules': [_rule(rule) for rule in body.get('rules', [])]})
        return {'firewall': self.shown_firewall(firewall), 'actions': []}, 201

    @route('POST', '/firewalls/{id}/actions/set_rules')
    def set_rules(self, request: Request, id: str) -> Any:
        firewall, rules = self.unlocked('firewalls', id), [_rule(rule) for rule in request.json['rules']]
        return {'actions': [self.act('set_firewall_rules', ('firewall', firewall),
                                     then=lambda: firewall.update(rules=rules))]}, 201

    @route('DELETE', '/firewalls/{id}')
    def delete_firewall(self, request: Request, id: str) -> Any:
        if self.get('firewalls', id)['servers']:
            raise Refusal(422, 'resource_in_use', 'firewall is still in use')
        self.drop('firewalls', id)
        return None

    # floating addresses

    @route('GET', '/floating_ips')
    def list_floating_ips(self, request: Request) -> Any:
        return self.listing(request, 'floating_ips', self.all('floating_ips'))

    @route('GET', '/floating_ips/{id}')
    def floating_ip(self, request: Request, id: str) -> Any:
        return {'floating_ip': self.get('floating_ips', id)}

    @route('POST', '/floating_ips')
    def create_floating_ip(self, request: Request) -> Any:
        body, number = request.json, self.number()
        self.unique('floating_ips', body['name'])
        place = self.named('locations', body['home_location'], 'location')
        made = self.add('floating_ips', {
            'id': number, 'name': body['name'], 'description': body.get('description'),
            'ip': f'198.51.100.{number % 250 + 1}', 'type': body['type'], 'server': None, 'dns_ptr': [],
            'home_location': place, 'blocked': False,
            'protection': {'delete': False}, 'labels': self.labels(body), 'created': NOW})
        return {'floating_ip': made}, 201

    @route('DELETE', '/floating_ips/{id}')
    def delete_floating_ip(self, request: Request, id: str) -> Any:
        floating = self.unlocked('floating_ips', id)
        self.deletable(floating)
        if floating['server']:
            raise Refusal(422, 'must_be_unassigned', 'the address is assigned')
        self.drop('floating_ips', id)
        return None

    @route('POST', '/floating_ips/{id}/actions/assign')
    def assign(self, request: Request, id: str) -> Any:
        floating, server = self.unlocked('floating_ips', id), self.get('servers', request.json['server'])
        return {'action': self.act('assign_floating_ip', ('floating_ip', floating), ('server', server),
                                   then=lambda: floating.update(server=server['id']))}, 201

    @route('POST', '/floating_ips/{id}/actions/unassign')
    def unassign(self, request: Request, id: str) -> Any:
        floating = self.unlocked('floating_ips', id)
        return {'action': self.act('unassign_floating_ip', ('floating_ip', floating),
                                   then=lambda: floating.update(server=None))}, 201


def _subnet(given: Thing) -> Thing:
    gateway = str(next(ipaddress.ip_network(given['ip_range']).hosts()))
    return {'type': given['type'], 'ip_range': given['ip_range'], 'network_zone': given['network_zone'], 'gateway': gateway,
            'vswitch_id': None}


def _rule(given: Thing) -> Thing:
    return {'description': None, 'source_ips': [], 'destination_ips': [], 'port': None, **given}
