"""A pretended My Cloud: stateful, slow to change, with pages of two. It should be as strict as the real one."""

from __future__ import annotations

import ipaddress
from typing import Any

from kvirt.testing.cloud import FakeCloud, Refusal, Thing, route
from kvirt.testing.wire import Request

TOKEN = 'mycloud-token-of-a-test'
REGIONS = ({'name': 'north', 'description': 'In the north', 'country': 'NO'},
           {'name': 'south', 'description': 'In the south', 'country': 'PT'})
TYPES = tuple({'name': f's{number}', 'cpus': number, 'memory': number * 1024, 'disk': number * 20, 'available': True,
               'price_hourly': number / 100, 'price_monthly': number * 7.3, 'regions': ['north', 'south']}
              for number in (1, 2, 4))
IMAGES = ({'name': 'debian-12'}, {'name': 'debian-13'}, {'name': 'ubuntu-24.04'})
USER_DATA_LIMIT = 32 * 1024


class MyCloud(FakeCloud):
    """An account."""

    prefix = '/v1'
    token = TOKEN

    def words(self) -> list[str]:
        """Return what there is, in a line each, with what is on its way settled."""
        self.settle()
        return sorted(f"{kind} {thing['name']}" for kind, things in self.things.items() for thing in things.values())

    def listed(self, request: Request, kind: str, things: Any) -> Thing:
        """Return a page of *things*."""
        page, number, last = self.paged(request, things)
        return {kind: page, 'meta': {'page': number, 'last_page': last}}

    @route('GET', '/regions')
    def regions(self, request: Request) -> Thing:
        return self.listed(request, 'regions', REGIONS)

    @route('GET', '/types')
    def types(self, request: Request) -> Thing:
        return self.listed(request, 'types', TYPES)

    @route('GET', '/images')
    def images(self, request: Request) -> Thing:
        return self.listed(request, 'images', IMAGES)

    # servers

    @route('GET', '/servers')
    def servers(self, request: Request) -> Thing:
        name = request.asked('name')
        key, _, value = (request.asked('label') or '').partition('=')
        found = [server for server in self.all('servers')
                 if name in (None, server['name']) and (not key or server['labels'].get(key) == value)]
        return self.listed(request, 'servers', found)

    @route('GET', '/servers/{id}')
    def server(self, request: Request, id: str) -> Thing:
        return {'server': self.look('servers', id)}

    @route('POST', '/servers')
    def create_server(self, request: Request) -> tuple[Thing, int]:
        asked = request.json
        if self.find('servers', name=asked['name']):
            raise Refusal(409, 'name_taken', 'a server of this name exists')
        if not any(asked['image'] == image['name'] for image in IMAGES):
            raise Refusal(422, 'invalid', 'there is no such image')
        if len(asked.get('user_data', '').encode()) > USER_DATA_LIMIT:
            raise Refusal(422, 'invalid', 'the user data is too long')
        number = self.number()
        server = self.add('servers', {
            'id': number, 'name': asked['name'], 'region': asked['region'], 'labels': asked['labels'],
            'type': next(each for each in TYPES if each['name'] == asked['type']), 'image': asked['image'],
            'disks': asked['disks'], 'created': '2030-01-01T00:00:00Z',
            'address': str(ipaddress.ip_address('192.0.2.0') + number % 256)})
        self.become(server, status=('creating', 'on' if asked['start'] else 'off'))
        return {'server': server}, 201

    @route('PATCH', '/servers/{id}')
    def update_server(self, request: Request, id: str) -> Thing:
        server = self.look('servers', id)
        server['labels'] = request.json['labels']
        return {'server': server}

    @route('POST', '/servers/{id}/actions')
    def act(self, request: Request, id: str) -> None:
        server = self.look('servers', id)
        if self.changing(server):
            raise Refusal(409, 'busy', 'another action is under way')
        kind = request.json['type']
        if kind in ('start', 'reboot'):
            self.become(server, status=('starting', 'on'))
        elif kind in ('stop', 'shutdown'):
            self.become(server, status=('stopping', 'off'))
        else:
            raise Refusal(422, 'invalid', 'there is no such action')

    @route('DELETE', '/servers/{id}')
    def delete_server(self, request: Request, id: str) -> None:
        self.drop('servers', id)
