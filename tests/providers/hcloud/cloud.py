"""Hetzner Cloud, pretended: a project that keeps the vendor's rules as far as the provider can notice them.

What takes time in the real one is an action here too: it is done when it, or what it is for, was looked at a few times,
and as long as it runs the server is locked.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Iterable
from typing import Any

from kvirt.testing.cloud import FakeCloud, Refusal, Thing, route
from kvirt.testing.wire import Request

from . import catalogue
from .catalogue import NOW
from .network import NetworkRoutes
from .services import ServiceRoutes

_HOST = re.compile(r'[A-Za-z0-9](?:[A-Za-z0-9.-]{0,61}[A-Za-z0-9])?')
_ACTIONS = ('poweron', 'poweroff', 'shutdown', 'reboot', 'reset', 'rebuild', 'change_type', 'create_image', 'attach_iso',
            'detach_iso', 'attach_to_network', 'detach_from_network', 'request_console', 'change_protection')


class HetznerCloud(NetworkRoutes, ServiceRoutes, FakeCloud):
    """A project."""

    prefix = '/v1'
    token = 'secret-token'
    most_servers = 10_000
    full = False
    """There is no room for servers anywhere."""

    def __init__(self) -> None:
        super().__init__()
        self._running: dict[int, list[Thing]] = {}
        for kind, things in (('locations', catalogue.LOCATIONS), ('server_types', catalogue.SERVER_TYPES),
                             ('images', catalogue.IMAGES), ('isos', catalogue.ISOS),
                             ('load_balancer_types', catalogue.LOAD_BALANCER_TYPES),
                             ('zones', [catalogue.zone(700, 'example.com'), catalogue.zone(701, 'kvirt.test')])):
            for thing in things:
                self.add(kind, {**thing})
        self.network('lan', '10.7.0.0/16')

    # rules that hold everywhere

    def act(self, command: str, *things: tuple[str, Thing], then: Callable[[], object] = lambda: None) -> Thing:
        """Begin an action for *things* (kind and thing): locked meanwhile, and *then* is what it comes to."""
        action = self.add('actions', {
            'command': command, 'status': 'running', 'progress': 0, 'started': NOW, 'finished': None, 'error': None,
            'resources': [{'id': thing['id'], 'type': kind} for kind, thing in things]})
        for _, thing in things:
            self._running.setdefault(id(thing), []).append(action)

        def finish() -> None:
            for _, thing in things:
                self._running[id(thing)].remove(action)
            then()
        self.become(action, after=finish, status=('running', 'success'), progress=(0, 100), finished=(None, NOW))
        return action

    def busy(self, thing: Thing) -> bool:
        """Tell if an action for a thing is under way."""
        return bool(self._running.get(id(thing)))

    def unlocked(self, kind: str, key: Any) -> Thing:
        """Return a thing that no action is under way for. Refusal 423."""
        thing = self.get(kind, key)
        if self.busy(self.seen(thing)):
            raise Refusal(423, 'locked', f'{kind[:-1]} is locked')
        return thing

    def seen(self, thing: Thing) -> Thing:
        """Look at a thing, which brings the actions for it forward."""
        for action in list(self._running.get(id(thing), ())):
            self._looked(action)
        return thing

    def unique(self, kind: str, name: str, mine: Thing | None = None) -> None:
        """Refuse a name that another thing of the kind has."""
        other = self.find(kind, name=name)
        if other is not None and other is not mine:
            raise Refusal(409, 'uniqueness_error', f'{kind[:-1]} name is already used',
                          details={'fields': [{'name': 'name'}]})

    def invalid(self, field: str, message: str) -> Refusal:
        """Return the refusal of a field's value."""
        return Refusal(422, 'invalid_input', f"invalid input in field '{field}'",
                       details={'fields': [{'name': field, 'messages': [message]}]})

    def labels(self, body: Thing) -> dict[str, str]:
        """Return the labels of a request. Refused where the vendor's rules are not kept."""
        labels: dict[str, str] = body.get('labels') or {}
        label = r'[a-zA-Z0-9](?:[a-zA-Z0-9._-]{0,61}[a-zA-Z0-9])?'
        for key, value in labels.items():
            if not re.fullmatch(label, key) or not re.fullmatch(f'(?:{label})?', value):
                raise self.invalid('labels', f'{key}={value} is no label')
        return dict(labels)

    def deletable(self, thing: Thing) -> None:
        """Refuse to delete what is protected."""
        if thing['protection'].get('delete'):
            raise Refusal(423, 'protected', 'delete protection is enabled')

    def named(self, kind: str, key: Any, field: str) -> Thing:
        """Return a thing by id or name, as requests that make something name it."""
        found = self.find(kind, name=str(key)) or self.things.get(kind, {}).get(str(key))
        if found is None:
            raise Refusal(404, 'not_found', f'{field} {key} not found')
        return found

    def listing(self, request: Request, kind: str, things: Iterable[Thing]) -> Thing:
        """Return a page of those *things* that the query chooses."""
        asked = dict.fromkeys(key for key, _ in request.query)
        chosen = []
        for thing in things:
            wanted = {key: [value for name, value in request.query if name == key] for key in asked}
            selector = wanted.pop('label_selector', [''])[0]
            plain = {key: values for key, values in wanted.items() if key not in ('page', 'per_page', 'sort')}
            fits = all(thing.get(key) in values for key, values in plain.items())
            if fits and _selected(thing.get('labels', {}), selector):
                chosen.append(thing)
        rows, number, last = self.paged(request, chosen)
        return {kind: rows, 'meta': {'pagination': {
            'page': number, 'per_page': self.page, 'previous_page': number - 1 or None,
            'next_page': number + 1 if number < last else None, 'last_page': last, 'total_entries': len(chosen)}}}

    # what is sold

    @route('GET', '/locations')
    def list_locations(self, request: Request) -> Any:
        return self.listing(request, 'locations', self.all('locations'))

    @route('GET', '/server_types')
    def list_server_types(self, request: Request) -> Any:
        return self.listing(request, 'server_types', self.all('server_types'))

    @route('GET', '/isos')
    def list_isos(self, request: Request) -> Any:
        return self.listing(request, 'isos', self.all('isos'))

    @route('GET', '/isos/{id}')
    def iso(self, request: Request, id: str) -> Any:
        return {'iso': self.get('isos', id)}

    @route('GET', '/pricing')
    def pricing(self, request: Request) -> Any:
        return {'pricing': catalogue.PRICING}

    @route('GET', '/actions/{id}')
    def action(self, request: Request, id: str) -> Any:
        return {'action': self.look('actions', id)}

    # servers

    def shown(self, server: Thing) -> Thing:
        """Return a server as answers have it: with what other things know of it."""
        firewalls = [{'id': each['id'], 'status': 'applied'} for each in self.things.get('firewalls', {}).values()
                     if server['id'] in each['servers']]
        floating = [each['id'] for each in self.things.get('floating_ips', {}).values() if each['server'] == server['id']]
        private = [{'network': card['network'], 'ip': card['ip'], 'alias_ips': [], 'mac_address': card['mac_address']}
                   for card in server['private_net']]
        volumes = [each['id'] for each in self.things.get('volumes', {}).values() if each['server'] == server['id']]
        return {**server, 'private_net': private, 'locked': self.busy(server), 'volumes': volumes,
                'public_net': {**server['public_net'], 'firewalls': firewalls, 'floating_ips': floating}}

    @route('GET', '/servers')
    def list_servers(self, request: Request) -> Any:
        for server in self.all('servers'):
            self.seen(server)
        return self.listing(request, 'servers', map(self.shown, self.all('servers')))

    @route('GET', '/servers/{id}')
    def server(self, request: Request, id: str) -> Any:
        self.seen(self.get('servers', id))
        return {'server': self.shown(self.get('servers', id))}

    @route('POST', '/servers')
    def create_server(self, request: Request) -> Any:
        body = request.json
        if not _HOST.fullmatch(body['name']):
            raise self.invalid('name', 'is no hostname')
        self.unique('servers', body['name'])
        if len((body.get('user_data') or '').encode()) > 32768:
            raise self.invalid('user_data', 'is too long')
        server, network_ids = self._new_server(body, self.labels(body)), body.get('networks', [])
        keys = [self.named('ssh_keys', key, 'SSH key') for key in body.get('ssh_keys', [])]
        volumes = [self.free_volume(each, server) for each in body.get('volumes', [])]
        firewalls = [self.get('firewalls', each['firewall']) for each in body.get('firewalls', [])]
        if len(firewalls) > 5:
            raise self.invalid('firewalls', 'too many')
        if firewalls and not server['public_net']['ipv4']:
            raise Refusal(422, 'private_net_only_server', 'server has no public interface')
        for each in network_ids:
            self.connect(server, self.get('networks', each))
        if self.full:
            raise Refusal(412, 'resource_unavailable', 'no room for this server type')
        if len(self.things.get('servers', {})) >= self.most_servers:
            raise Refusal(403, 'resource_limit_exceeded', 'server limit exceeded',
                          details={'limits': [{'name': 'server'}]})
        server = self.add('servers', server)
        for volume in volumes:
            volume['server'] = server['id']
        for firewall in firewalls:
            firewall['servers'].append(server['id'])
        start = body.get('start_after_create', True)
        made = self.act('create_server', ('server', server),
                        then=lambda: server.update(status='starting' if start else 'off'))
        started = [self._power(server, 'start_server', 'running')] if start else []
        return {'server': self.shown(server), 'action': made, 'next_actions': started,
                'root_password': None if keys else 'mailed-password'}, 201

    def _new_server(self, body: Thing, labels: dict[str, str]) -> Thing:
        kind = self.named('server_types', body['server_type'], 'server type')
        place = self.named('locations', body.get('location', 'fsn1'), 'location')
        sold = next((each for each in kind['locations'] if each['name'] == place['name']), None)
        if sold is None or sold['deprecation']:
            raise self.invalid('server_type', 'is not sold there')
        if not sold['available']:
            raise Refusal(412, 'resource_unavailable', 'no room for this server type')
        image = self.things['images'].get(body['image']) or self.find('images', name=body['image'],
                                                                      architecture=kind['architecture'])
        if image is None or image['status'] != 'available':
            raise Refusal(404, 'not_found', f"image {body['image']} not found")
        if image['architecture'] != kind['architecture']:
            raise self.invalid('image', 'is for another architecture')
        number = self.number()
        public = body.get('public_net', {})
        if not (public.get('enable_ipv4', True) or public.get('enable_ipv6', True) or body.get('networks')):
            raise self.invalid('public_net', 'a server needs a network')
        group = self.get('placement_groups', body['placement_group']) if body.get('placement_group') else None
        if group:
            group['servers'].append(number)
        return {
            'id': number, 'name': body['name'], 'status': 'initializing', 'created': NOW, 'server_type': kind,
            'image': image, 'location': place, 'datacenter': {
                'id': 1, 'name': f"{place['name']}-dc1", 'description': 'a hall', 'location': place,
                'server_types': {'supported': [], 'available': [], 'available_for_migration': []}},
            'iso': None, 'rescue_enabled': False, 'backup_window': None, 'outgoing_traffic': 0, 'ingoing_traffic': 0,
            'included_traffic': 0, 'protection': {'delete': False, 'rebuild': False}, 'labels': labels,
            'load_balancers': [], 'primary_disk_size': kind['disk'], 'placement_group': group,
            'private_net': [], 'public_net': {
                'ipv4': {'id': number, 'ip': f'203.0.{number // 250 % 250}.{number % 250 + 1}', 'blocked': False,
                         'dns_ptr': 'static.example'} if public.get('enable_ipv4', True) else None,
                'ipv6': {'id': number + 100_000, 'ip': f'2001:db8:{number:x}::/64', 'blocked': False,
                         'dns_ptr': []} if public.get('enable_ipv6', True) else None}}

    @route('PUT', '/servers/{id}')
    def update_server(self, request: Request, id: str) -> Any:
        server, body = self.get('servers', id), request.json
        if 'name' in body:
            if not _HOST.fullmatch(body['name']):
                raise self.invalid('name', 'is no hostname')
            self.unique('servers', body['name'], server)
            server['name'] = body['name']
        if 'labels' in body:
            server['labels'] = self.labels(body)
        return {'server': self.shown(server)}

    @route('DELETE', '/servers/{id}')
    def delete_server(self, request: Request, id: str) -> Any:
        server = self.unlocked('servers', id)
        self.deletable(server)
        server['status'] = 'deleting'
        return {'action': self.act('delete_server', ('server', server), then=lambda: self._forget(server))}

    def _forget(self, server: Thing) -> None:
        number = server['id']
        self.drop('servers', number)
        for kind in ('volumes', 'floating_ips'):
            for each in self.things.get(kind, {}).values():
                if each['server'] == number:
                    each['server'] = None
        for kind in ('firewalls', 'networks', 'placement_groups'):
            for each in self.things.get(kind, {}).values():
                if number in each['servers']:
                    each['servers'].remove(number)
        for each in self.things.get('load_balancers', {}).values():
            each['targets'] = [target for target in each['targets'] if target['server']['id'] != number]

    def _power(self, server: Thing, command: str, status: str) -> Thing:
        return self.act(command, ('server', server), then=lambda: server.update(status=status))

    @route('POST', '/servers/{id}/actions/{what}')
    def act_on_server(self, request: Request, id: str, what: str) -> Any:
        if what not in _ACTIONS:
            raise Refusal(404, 'not_found', f'no such action {what}')
        server = self.unlocked('servers', id)
        answer = getattr(self, f'_{what}')(server, request.json or {})
        return (answer if 'action' in answer else {'action': answer}), 201

    def _poweron(self, server: Thing, body: Thing) -> Thing:
        if not server['public_net']['ipv4'] and not server['private_net']:
            raise Refusal(422, 'server_without_network', 'a server needs an interface')
        server['status'] = 'starting'
        return self._power(server, 'start_server', 'running')

    def _poweroff(self, server: Thing, body: Thing) -> Thing:
        server['status'] = 'stopping'
        return self._power(server, 'stop_server', 'off')

    def _shutdown(self, server: Thing, body: Thing) -> Thing:
        server['status'] = 'stopping'
        return self._power(server, 'shutdown_server', 'off')

    def _reboot(self, server: Thing, body: Thing) -> Thing:
        return self._power(server, 'reboot_server', server['status'])

    _reset = _reboot

    def _rebuild(self, server: Thing, body: Thing) -> Thing:
        image = self.get('images', body['image'])
        server['status'] = 'rebuilding'

        def rebuilt() -> None:
            server.update(status='running', image=image)
        return {'action': self.act('rebuild_server', ('server', server), then=rebuilt), 'root_password': None}

    def _change_type(self, server: Thing, body: Thing) -> Thing:
        if server['status'] != 'off':
            raise Refusal(422, 'server_not_stopped', 'the server must be off')
        kind = self.named('server_types', body['server_type'], 'server type')
        if kind['architecture'] != server['server_type']['architecture'] or kind['disk'] < server['primary_disk_size']:
            raise Refusal(422, 'invalid_server_type', 'the server type does not fit')

        def changed() -> None:
            server['server_type'] = kind
            if body['upgrade_disk']:
                server['primary_disk_size'] = kind['disk']
        return self.act('change_server_type', ('server', server), then=changed)

    def _create_image(self, server: Thing, body: Thing) -> Thing:
        made = self.add('images', catalogue.image(
            self.number(), flavor=server['image']['os_flavor'], version=server['image']['os_version'], kind='snapshot',
            arch=server['image']['architecture'], created_from={'id': server['id'], 'name': server['name']},
            image_size=2.5, disk_size=server['primary_disk_size'], labels=self.labels(body), status='creating'))
        made['description'] = body.get('description', 'snapshot')

        def copied() -> None:
            made['status'] = 'available'
        return {'image': made, 'action': self.act('create_image', ('server', server), ('image', made), then=copied)}

    def _attach_iso(self, server: Thing, body: Thing) -> Thing:
        iso = self.named('isos', body['iso'], 'iso')
        return self.act('attach_iso', ('server', server), then=lambda: server.update(iso=iso))

    def _detach_iso(self, server: Thing, body: Thing) -> Thing:
        return self.act('detach_iso', ('server', server), then=lambda: server.update(iso=None))

    def _attach_to_network(self, server: Thing, body: Thing) -> Thing:
        network = self.get('networks', body['network'])
        return self.act('attach_to_network', ('server', server), then=self.connect(server, network))

    def _detach_from_network(self, server: Thing, body: Thing) -> Thing:
        network = self.get('networks', body['network'])
        return self.act('detach_from_network', ('server', server), then=lambda: self.disconnect(server, network))

    def _request_console(self, server: Thing, body: Thing) -> Thing:
        return {'wss_url': 'wss://console.example/?token=1', 'password': 'p4ss',
                'action': self.act('request_console', ('server', server))}

    def _change_protection(self, server: Thing, body: Thing) -> Thing:
        return self.act('change_protection', ('server', server), then=lambda: server['protection'].update(body))

    # images

    @route('GET', '/images')
    def list_images(self, request: Request) -> Any:
        return self.listing(request, 'images', self.all('images'))

    @route('DELETE', '/images/{id}')
    def delete_image(self, request: Request, id: str) -> Any:
        image = self.get('images', id)
        if image['type'] == 'system':
            raise Refusal(403, 'forbidden', 'system images stay')
        self.deletable(image)
        self.drop('images', id)
        return None

    def host_of(self, cidr: str, taken: Iterable[str]) -> str:
        """Return the first address of a range that is free; the very first one is the gateway's."""
        hosts = ipaddress.ip_network(cidr).hosts()
        next(hosts)
        busy = set(taken)
        return next(str(host) for host in hosts if str(host) not in busy)


def _selected(labels: dict[str, str], selector: str) -> bool:
    """Tell if labels are what a selector wants."""
    for term in filter(None, selector.split(',')):
        key, different, value = term.partition('!=')
        if different:
            if labels.get(key) == value:
                return False
            continue
        key, equal, value = term.replace('==', '=').partition('=')
        fits = labels.get(key) == value if equal else (key.lstrip('!') in labels) != key.startswith('!')
        if not fits:
            return False
    return True
