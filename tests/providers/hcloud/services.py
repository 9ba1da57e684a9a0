"""Volumes, keys, placement groups, load balancers and zones of the pretended project."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from urllib.parse import unquote

from kvirt.testing.cloud import FakeCloud, Refusal, Thing, route
from kvirt.testing.wire import Request

from .catalogue import NOW


class ServiceRoutes(FakeCloud):
    """What servers have beside them."""

    def changed(self, kind: str, key: str, request: Request, *fields: str) -> Thing:
        """Change labels, name and *fields* of a thing, as a PUT asks for."""
        thing, body = self.get(kind, key), request.json
        if 'labels' in body:
            thing['labels'] = self.labels(body)
        thing.update({field: body[field] for field in ('name', *fields) if field in body})
        return thing

    # volumes

    @route('GET', '/volumes')
    def list_volumes(self, request: Request) -> Any:
        for volume in self.all('volumes'):
            self.seen(volume)
        return self.listing(request, 'volumes', self.all('volumes'))

    @route('GET', '/volumes/{id}')
    def volume(self, request: Request, id: str) -> Any:
        return {'volume': self.seen(self.get('volumes', id))}

    @route('POST', '/volumes')
    def create_volume(self, request: Request) -> Any:
        body, number = request.json, self.number()
        if not 10 <= body['size'] <= 10240:
            raise self.invalid('size', 'must be between 10 and 10240')
        self.unique('volumes', body['name'])
        server = self.unlocked('servers', body['server']) if body.get('server') else None
        place = server['location'] if server else self.named('locations', body['location'], 'location')
        volume = self.add('volumes', {
            'id': number, 'created': NOW, 'name': body['name'], 'server': None, 'location': place, 'size': body['size'],
            'linux_device': f'/dev/disk/by-id/scsi-0HC_Volume_{number}', 'protection': {'delete': False},
            'labels': self.labels(body), 'status': 'creating', 'format': None})
        made = self.act('create_volume', ('volume', volume), then=lambda: volume.update(status='available'))
        attached = [self._attached(volume, server)] if server else []
        return {'volume': volume, 'action': made, 'next_actions': attached}, 201

    def free_volume(self, key: Any, server: Thing) -> Thing:
        """Return a volume that a server can get."""
        volume = self.unlocked('volumes', key)
        if volume['server']:
            raise Refusal(422, 'volume_already_attached', 'the volume is attached')
        if volume['location']['name'] != server['location']['name']:
            raise self.invalid('volumes', 'is in another location')
        return volume

    def _attached(self, volume: Thing, server: Thing) -> Thing:
        return self.act('attach_volume', ('volume', volume), ('server', server),
                        then=lambda: volume.update(server=server['id']))

    @route('PUT', '/volumes/{id}')
    def update_volume(self, request: Request, id: str) -> Any:
        return {'volume': self.changed('volumes', id, request)}

    @route('DELETE', '/volumes/{id}')
    def delete_volume(self, request: Request, id: str) -> Any:
        volume = self.unlocked('volumes', id)
        self.deletable(volume)
        if volume['server']:
            raise Refusal(422, 'resource_in_use', 'the volume is attached')
        self.drop('volumes', id)
        return None

    @route('POST', '/volumes/{id}/actions/{what}')
    def act_on_volume(self, request: Request, id: str, what: str) -> Any:
        volume, body = self.unlocked('volumes', id), request.json or {}
        if what == 'attach':
            server = self.unlocked('servers', body['server'])
            return {'action': self._attached(self.free_volume(id, server), server)}, 201
        if what == 'resize' and body['size'] < volume['size']:
            raise self.invalid('size', 'can not be smaller')
        then: dict[str, Callable[[], object]] = {
            'detach': lambda: volume.update(server=None), 'resize': lambda: volume.update(size=body['size']),
            'change_protection': lambda: volume['protection'].update(body)}
        return {'action': self.act(f'{what}_volume', ('volume', volume), then=then[what])}, 201

    # keys and placement groups

    @route('GET', '/ssh_keys')
    def list_ssh_keys(self, request: Request) -> Any:
        return self.listing(request, 'ssh_keys', self.all('ssh_keys'))

    @route('POST', '/ssh_keys')
    def create_ssh_key(self, request: Request) -> Any:
        body = request.json
        self.unique('ssh_keys', body['name'])
        text = ' '.join(body['public_key'].split()[:2])
        if any(each['public_key'].startswith(text) for each in self.things.get('ssh_keys', {}).values()):
            raise Refusal(409, 'uniqueness_error', 'SSH key with the same fingerprint already exists',
                          details={'fields': [{'name': 'public_key'}]})
        key = self.add('ssh_keys', {'name': body['name'], 'fingerprint': 'b7:2f:30:a0:2f:6c:58:6c:21:04:58:61:ba:06:3b:2f',
                                    'public_key': body['public_key'], 'labels': self.labels(body), 'created': NOW})
        return {'ssh_key': key}, 201

    @route('PUT', '/ssh_keys/{id}')
    def update_ssh_key(self, request: Request, id: str) -> Any:
        return {'ssh_key': self.changed('ssh_keys', id, request)}

    @route('DELETE', '/ssh_keys/{id}')
    def delete_ssh_key(self, request: Request, id: str) -> Any:
        self.drop('ssh_keys', id)
        return None

    @route('GET', '/placement_groups')
    def list_placement_groups(self, request: Request) -> Any:
        return self.listing(request, 'placement_groups', self.all('placement_groups'))

    # load balancers

    @route('GET', '/load_balancers')
    def list_load_balancers(self, request: Request) -> Any:
        return self.listing(request, 'load_balancers', self.all('load_balancers'))

    @route('GET', '/load_balancers/{id}')
    def load_balancer(self, request: Request, id: str) -> Any:
        return {'load_balancer': self.seen(self.get('load_balancers', id))}

    @route('POST', '/load_balancers')
    def create_load_balancer(self, request: Request) -> Any:
        body, number = request.json, self.number()
        self.unique('load_balancers', body['name'])
        enabled = body.get('public_interface', True)
        balancer = self.add('load_balancers', {
            'id': number, 'name': body['name'], 'location': self.named('locations', body['location'], 'location'),
            'public_net': {'enabled': enabled, 'ipv4': {'ip': f'192.0.2.{number % 250 + 1}', 'dns_ptr': 'lb.example'},
                           'ipv6': {'ip': f'2001:db8:1b::{number:x}', 'dns_ptr': 'lb.example'}},
            'private_net': [{'network': body['network'], 'ip': '10.7.0.250'}] if body.get('network') else [],
            'load_balancer_type': self.named('load_balancer_types', body['load_balancer_type'], 'type'),
            'protection': {'delete': False}, 'labels': self.labels(body), 'created': NOW, 'targets': [],
            'services': body.get('services', []), 'algorithm': body.get('algorithm', {'type': 'round_robin'}),
            'outgoing_traffic': 0, 'ingoing_traffic': 0, 'included_traffic': 1})
        for target in body.get('targets', []):
            balancer['targets'].append(self._target(target, balancer))
        return {'load_balancer': balancer, 'action': self.act('create_load_balancer', ('load_balancer', balancer))}, 201

    def _target(self, given: Thing, balancer: Thing) -> Thing:
        server = self.get('servers', given['server']['id'])
        if any(each['server']['id'] == server['id'] for each in balancer['targets']):
            raise Refusal(422, 'target_already_defined', 'the target is there')
        if not given.get('use_private_ip') and not server['public_net']['ipv4']:
            raise Refusal(422, 'resolve_cloud_public_targets_error', 'the server has no public address')
        return {'type': 'server', 'server': {'id': server['id']}, 'use_private_ip': bool(given.get('use_private_ip')),
                'health_status': [{'listen_port': each['listen_port'], 'status': 'unknown'}
                                  for each in balancer['services']]}

    @route('POST', '/load_balancers/{id}/actions/{what}')
    def act_on_load_balancer(self, request: Request, id: str, what: str) -> Any:
        balancer, body = self.unlocked('load_balancers', id), request.json
        if what == 'add_target':
            target, things = self._target(body, balancer), balancer['targets']
        elif any(each['listen_port'] == body['listen_port'] for each in balancer['services']):
            raise Refusal(412, 'source_port_already_used', 'the port is in use')
        else:
            target, things = body, balancer['services']
        return {'action': self.act(what, ('load_balancer', balancer), then=lambda: things.append(target))}, 201

    @route('DELETE', '/load_balancers/{id}')
    def delete_load_balancer(self, request: Request, id: str) -> Any:
        self.deletable(self.unlocked('load_balancers', id))
        self.drop('load_balancers', id)
        return None

    # zones

    @route('GET', '/zones')
    def list_zones(self, request: Request) -> Any:
        return self.listing(request, 'zones', self.all('zones'))

    @route('GET', '/zones/{zone}/rrsets')
    def list_rrsets(self, request: Request, zone: str) -> Any:
        number = self.named('zones', zone, 'zone')['id']
        rrsets = self.things.get('rrsets', {}).values()
        return self.listing(request, 'rrsets', [_rrset(each) for each in rrsets if each['zone'] == number])

    @route('POST', '/zones/{zone}/rrsets')
    def create_rrset(self, request: Request, zone: str) -> Any:
        body, native = request.json, self.named('zones', zone, 'zone')
        key = f"{native['id']}/{body['name']}/{body['type']}"
        if body['name'] != body['name'].lower():
            raise self.invalid('name', 'must be in lower case')
        if key in self.things.get('rrsets', {}):
            raise Refusal(409, 'uniqueness_error', 'the RRSet is there')
        rrset = self.add('rrsets', {
            'key': key, 'id': f"{body['name']}/{body['type']}", 'name': body['name'], 'type': body['type'],
            'ttl': body.get('ttl'), 'labels': self.labels(body), 'protection': {'change': False},
            'records': body['records'], 'zone': native['id']}, key='key')
        return {'rrset': _rrset(rrset), 'action': self.act('create_rrset', ('zone', native))}, 201

    @route('DELETE', '/zones/{zone}/rrsets/{name}/{kind}')
    def delete_rrset(self, request: Request, zone: str, name: str, kind: str) -> Any:
        native = self.named('zones', zone, 'zone')
        self.drop('rrsets', f"{native['id']}/{unquote(name)}/{kind}")
        return {'action': self.act('delete_rrset', ('zone', native))}, 201

    @route('POST', '/zones/{zone}/rrsets/{name}/{kind}/actions/set_records')
    def set_records(self, request: Request, zone: str, name: str, kind: str) -> Any:
        native = self.named('zones', zone, 'zone')
        self.get('rrsets', f"{native['id']}/{unquote(name)}/{kind}")['records'] = request.json['records']
        return {'action': self.act('set_rrset_records', ('zone', native))}, 201


def _rrset(rrset: Thing) -> Thing:
    return {key: value for key, value in rrset.items() if key != 'key'}
