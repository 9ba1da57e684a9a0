"""A pretended DigitalOcean: stateful, slow to change, with pages of two, and as strict as the real one."""

from __future__ import annotations

import base64
import hashlib
import ipaddress
import uuid
from collections.abc import Iterator
from typing import Any

from kvirt.guest.keys import valid_key
from kvirt.testing.cloud import Thing, route
from kvirt.testing.wire import Request
from tests.providers.digitalocean import catalogue
from tests.providers.digitalocean.droplets import Droplets
from tests.providers.digitalocean.parts import CREATED, no

ZONE = 'kvirt.example'


class DigitalOcean(Droplets):
    """An account."""

    def __init__(self) -> None:
        super().__init__()
        for number, region in enumerate(catalogue.REGION_NAMES):
            self._add_vpc(f'default-{region}', region, f'10.{108 + number}.0.0/20', default=True)
        self.add('domains', {'name': ZONE, 'ttl': 1800, 'zone_file': ''}, key='name')
        self.add('records', self._record({'type': 'SOA', 'name': '@', 'data': '1800', 'zone': ZONE}))
        self.add('records', self._record({'type': 'NS', 'name': '@', 'data': 'ns1.digitalocean.com', 'zone': ZONE}))
        self.add('projects', {'id': str(uuid.uuid4()), 'owner_uuid': 'x', 'owner_id': 1, 'name': 'shop', 'description': '',
                              'purpose': 'Web', 'environment': 'Production', 'created_at': CREATED, 'updated_at': CREATED,
                              'is_default': False})
        self.assigned: list[str] = []

    def words(self) -> list[str]:
        """Return what there is beside what there always is, in a line each: of tags, those that nothing bears."""
        self.settle()
        return sorted(self._words())

    def _words(self) -> Iterator[str]:
        names = {droplet['id']: droplet['name'] for droplet in self.things.get('droplets', {}).values()}
        for kind in ('droplets', 'volumes', 'firewalls', 'account/keys', 'load_balancers'):
            for thing in self.things.get(kind, {}).values():
                users = ' '.join(sorted(names[number] for number in thing.get('droplet_ids') or ()))
                yield f"{kind} {thing['name']}{f' of {users}' if users else ''}"
        for image in self.things['images'].values():
            if not image['public']:
                yield f"images {image['name']}"
        for vpc in self.things['vpcs'].values():
            if not vpc['default']:
                yield f"vpcs {vpc['name']}"
        for record in self.things['records'].values():
            if record['type'] not in ('SOA', 'NS'):
                yield f"records {record['name']}"
        for address in self.things.get('reserved_ips', {}).values():
            yield f"reserved_ips {address['ip']}"
        for tag in self.things.get('tags', {}).values():
            if not self._tag(tag['name'])['resources']['count']:
                parts = tag['name'].split(':')
                maker = parts[0] == 'kvirt-maker'
                yield f"tags {':'.join([parts[0], *parts[2 if maker else 1:4 if maker else 2]])}"

    def behind(self, name: str) -> list[Thing]:
        """Return the firewalls that a droplet is behind."""
        droplet = self.find('droplets', name=name)
        assert droplet
        return [each for each in self.things.get('firewalls', {}).values()
                if droplet['id'] in each['droplet_ids'] or set(each['tags']) & set(droplet['tags'])]

    # keys

    @route('GET', '/account/keys')
    def keys(self, request: Request) -> Any:
        return self.listed(request, 'ssh_keys', self.all('account/keys'))

    @route('POST', '/account/keys')
    def create_key(self, request: Request) -> Any:
        text = valid_key(request.json['public_key'])
        if text is None:
            raise no('Key invalid, key should be of the format `type key [comment]`')
        digest = hashlib.md5(base64.b64decode(text.split()[1])).hexdigest()
        mark = ':'.join(digest[at:at + 2] for at in range(0, 32, 2))
        if self.find('account/keys', fingerprint=mark):
            raise no('SSH Key is already in use on your account')
        return {'ssh_key': self.add('account/keys', {'name': request.json['name'], 'fingerprint': mark,
                                                     'public_key': text})}, 201

    @route('PUT', '/account/keys/{id}')
    def rename_key(self, request: Request, id: str) -> Any:
        key = self.look('account/keys', id)
        key['name'] = request.json['name']
        return {'ssh_key': key}

    @route('DELETE', '/account/keys/{id}')
    def delete_key(self, request: Request, id: str) -> None:
        self.drop('account/keys', id)

    # firewalls

    @route('GET', '/firewalls')
    def firewalls(self, request: Request) -> Any:
        return self.listed(request, 'firewalls', self.all('firewalls'))

    @route('POST', '/firewalls')
    def create_firewall(self, request: Request) -> Any:
        if self.find('firewalls', name=request.json['name']):
            raise no('duplicate name', 409, 'conflict')
        firewall = self.add('firewalls', {'id': str(uuid.uuid4()), 'created_at': CREATED, 'pending_changes': [],
                                          **self._firewall(request.json)})
        self.become(firewall, status=('waiting', 'succeeded'))
        return {'firewall': firewall}, 202

    @route('PUT', '/firewalls/{id}')
    def update_firewall(self, request: Request, id: str) -> Any:
        firewall = self.look('firewalls', id)
        firewall.update(self._firewall(request.json))
        return {'firewall': firewall}

    def _firewall(self, asked: Thing) -> Thing:
        tags = asked.get('tags') or []
        if any(tag.lower() not in self.things.get('tags', {}) for tag in tags):
            raise no('tags: a tag does not exist')
        return {'name': asked['name'], 'droplet_ids': asked.get('droplet_ids') or [], 'tags': tags,
                'inbound_rules': asked.get('inbound_rules') or [], 'outbound_rules': asked.get('outbound_rules') or []}

    @route('POST', '/firewalls/{id}/tags')
    def tag_firewall(self, request: Request, id: str) -> None:
        firewall = self.look('firewalls', id)
        firewall['tags'] = sorted({*firewall['tags'], *request.json['tags']})
        self._firewall(firewall)

    @route('DELETE', '/firewalls/{id}')
    def delete_firewall(self, request: Request, id: str) -> None:
        self.drop('firewalls', id)

    # networks

    def _add_vpc(self, name: str, region: str, ip_range: str, description: str = '', default: bool = False) -> Thing:
        number = str(uuid.uuid4())
        return self.add('vpcs', {'id': number, 'name': name, 'region': region, 'ip_range': ip_range, 'default': default,
                                 'description': description, 'created_at': CREATED, 'urn': f'do:vpc:{number}'})

    @route('GET', '/vpcs')
    def vpcs(self, request: Request) -> Any:
        return self.listed(request, 'vpcs', self.all('vpcs'))

    @route('GET', '/vpcs/{id}')
    def vpc(self, request: Request, id: str) -> Any:
        return {'vpc': self.look('vpcs', id)}

    @route('POST', '/vpcs')
    def create_vpc(self, request: Request) -> Any:
        asked = request.json
        if self.find('vpcs', name=asked['name']):
            raise no('name must be unique')
        wanted = ipaddress.ip_network(asked.get('ip_range') or f"10.{200 + len(self.things['vpcs'])}.0.0/20")
        if not wanted.is_private or not 16 <= wanted.prefixlen <= 28:
            raise no('ip_range must be private, and from /28 to /16')
        if any(wanted.overlaps(ipaddress.ip_network(each['ip_range'])) for each in self.things['vpcs'].values()):
            raise no('This range/size overlaps with another VPC network in your account')
        return {'vpc': self._add_vpc(asked['name'], self.region(asked['region'])['slug'], str(wanted),
                                     asked.get('description', ''))}, 201

    @route('PATCH', '/vpcs/{id}')
    def update_vpc(self, request: Request, id: str) -> Any:
        vpc = self.look('vpcs', id)
        if request.json.get('default'):
            for other in self.things['vpcs'].values():
                other['default'] = other['default'] and other['region'] != vpc['region']
        vpc.update(request.json)
        return {'vpc': vpc}

    def _members(self, id: str) -> list[Thing]:
        return [{'name': each['name'], 'urn': f"do:droplet:{each['id']}", 'created_at': CREATED}
                for each in self.things.get('droplets', {}).values() if each['vpc_uuid'] == id]

    @route('GET', '/vpcs/{id}/members')
    def vpc_members(self, request: Request, id: str) -> Any:
        self.look('vpcs', id)
        return self.listed(request, 'members', self._members(id))

    @route('DELETE', '/vpcs/{id}')
    def delete_vpc(self, request: Request, id: str) -> None:
        if self.look('vpcs', id)['default']:
            raise no('Can not delete default VPCs', 403, 'forbidden')
        if self._members(id):
            raise no('Can not delete VPC with members', 403, 'forbidden')
        self.drop('vpcs', id)

    # reserved addresses

    @route('GET', '/reserved_ips')
    def reserved_ips(self, request: Request) -> Any:
        return self.listed(request, 'reserved_ips', self.all('reserved_ips'))

    @route('POST', '/reserved_ips')
    def create_reserved_ip(self, request: Request) -> Any:
        if len(self.things.get('reserved_ips', {})) >= 10:
            raise no('You have reached your reserved IP limit')
        address = self.add('reserved_ips', {
            'ip': f'198.51.100.{self.number() % 250 + 1}', 'region': self.region(request.json['region']), 'droplet': None,
            'locked': False, 'project_id': next(iter(self.things['projects']))}, key='ip')
        return {'reserved_ip': address, 'links': {}}, 202

    @route('POST', '/reserved_ips/{ip}/actions')
    def reserved_ip_action(self, request: Request, ip: str) -> Any:
        address, asked = self.look('reserved_ips', ip), request.json
        droplet = self.look('droplets', asked['droplet_id']) if asked['type'] == 'assign' else None
        return self.act(f"{asked['type']}_ip", 'reserved_ip', address, droplet=(address['droplet'], droplet))

    @route('DELETE', '/reserved_ips/{ip}')
    def delete_reserved_ip(self, request: Request, ip: str) -> None:
        if self.look('reserved_ips', ip)['locked']:
            raise no('The reserved IP already has a pending event.')
        self.drop('reserved_ips', ip)

    # DNS

    @route('GET', '/domains')
    def domains(self, request: Request) -> Any:
        return self.listed(request, 'domains', self.all('domains'))

    def _record(self, asked: Thing) -> Thing:
        return {'priority': None, 'port': None, 'weight': None, 'flags': None, 'tag': None, 'ttl': 1800, **asked}

    def _records(self, zone: str) -> list[Thing]:
        self.get('domains', zone)
        return [each for each in self.all('records') if each['zone'] == zone]

    @route('GET', '/domains/{zone}/records')
    def records(self, request: Request, zone: str) -> Any:
        return self.listed(request, 'domain_records', [_shown(each) for each in self._records(zone)])

    @route('POST', '/domains/{zone}/records')
    def create_record(self, request: Request, zone: str) -> Any:
        asked = request.json
        same = [each for each in self._records(zone) if each['name'] == asked['name']]
        if any('CNAME' in (each['type'], asked['type']) for each in same):
            raise no('CNAME records cannot share a name with other records')
        if asked['type'] == 'CNAME' and not asked['data'].endswith('.'):
            raise no('Data needs to end with a dot (.)')
        return {'domain_record': _shown(self.add('records', self._record(
            {**asked, 'data': asked['data'].removesuffix('.'), 'zone': zone})))}, 201

    @route('PATCH', '/domains/{zone}/records/{id}')
    def update_record(self, request: Request, zone: str, id: str) -> Any:
        record = self.look('records', id)
        record.update({**request.json, 'data': request.json['data'].removesuffix('.')})
        return {'domain_record': _shown(record)}

    @route('DELETE', '/domains/{zone}/records/{id}')
    def delete_record(self, request: Request, zone: str, id: str) -> None:
        self.drop('records', id)

    # load balancers

    @route('GET', '/load_balancers')
    def load_balancers(self, request: Request) -> Any:
        return self.listed(request, 'load_balancers', self.all('load_balancers'))

    @route('POST', '/load_balancers')
    def create_load_balancer(self, request: Request) -> Any:
        asked = request.json
        balancer = self.add('load_balancers', {
            'id': str(uuid.uuid4()), 'created_at': CREATED, 'size_unit': 1, 'tag': '', **asked,
            'region': self.region(asked['region'])})
        self.become(balancer, status=('new', 'active'), ip=('', f'203.0.113.{self.number() % 250 + 1}'))
        return {'load_balancer': balancer}, 202

    @route('POST', '/load_balancers/{id}/droplets')
    def add_droplets(self, request: Request, id: str) -> None:
        balancer = self.look('load_balancers', id)
        balancer['droplet_ids'] = sorted({*balancer['droplet_ids'], *request.json['droplet_ids']})

    @route('POST', '/load_balancers/{id}/forwarding_rules')
    def add_rules(self, request: Request, id: str) -> None:
        self.look('load_balancers', id)['forwarding_rules'].extend(request.json['forwarding_rules'])

    @route('DELETE', '/load_balancers/{id}')
    def delete_load_balancer(self, request: Request, id: str) -> None:
        self.drop('load_balancers', id)

    # projects

    @route('GET', '/projects')
    def projects(self, request: Request) -> Any:
        return self.listed(request, 'projects', self.all('projects'))

    @route('POST', '/projects/{id}/resources')
    def assign(self, request: Request, id: str) -> Any:
        self.look('projects', id)
        self.assigned += request.json['resources']
        return {'resources': [{'urn': urn, 'assigned_at': CREATED, 'links': {'self': 'https://api.digitalocean.com/v2'},
                               'status': 'assigned'} for urn in request.json['resources']]}


def _shown(record: Thing) -> Thing:
    return {key: value for key, value in record.items() if key != 'zone'}
