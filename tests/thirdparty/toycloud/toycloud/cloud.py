"""The toy cloud itself: servers, sizes, images, volumes and firewalls, over http."""

from __future__ import annotations

from typing import Any

from kvirt.testing.cloud import FakeCloud, Refusal, Thing, route
from kvirt.testing.wire import Request

SIZES = [{'name': 'tiny', 'cores': 1, 'ram': 1024, 'disk': 10, 'hourly': 0.006, 'monthly': 4.0, 'stop': True},
         {'name': 'mid', 'cores': 2, 'ram': 4096, 'disk': 40, 'hourly': 0.02, 'monthly': 13.0, 'stop': True},
         {'name': 'big', 'cores': 8, 'ram': 16384, 'disk': 80, 'hourly': 0.1, 'monthly': 60.0, 'stop': True},
         {'name': 'burst', 'cores': 2, 'ram': 4096, 'disk': 40, 'hourly': 0.03, 'monthly': 20.0, 'stop': False}]
REGIONS = [{'name': 'east', 'country': 'DE'}, {'name': 'west', 'country': 'US'}]
IMAGES = [{'name': 'debian12'}, {'name': 'rocky9'}, {'name': 'ubuntu2404'}]

Reply = Thing | tuple[Thing | None, int] | None


class ToyCloud(FakeCloud):
    """All of it."""

    prefix = '/v1'
    token = 'toy-token-6f1d'

    def _page(self, request: Request, kind: str, things: list[Thing]) -> Thing:
        page, number, last = self.paged(request, things)
        return {kind: page, 'page': number, 'last': last}

    @route('GET', '/sizes')
    def sizes(self, request: Request) -> Reply:
        return self._page(request, 'sizes', SIZES)

    @route('GET', '/regions')
    def regions(self, request: Request) -> Reply:
        return self._page(request, 'regions', REGIONS)

    @route('GET', '/images')
    def images(self, request: Request) -> Reply:
        return self._page(request, 'images', IMAGES)

    @route('GET', '/servers')
    def servers(self, request: Request) -> Reply:
        region, name = request.asked('region'), request.asked('name')
        found = [server for server in self.all('servers') if name in (None, server['name'], str(server['id']))]
        return self._page(request, 'servers', [server for server in found if region in (None, server['region'])])

    @route('POST', '/servers')
    def create_server(self, request: Request) -> Reply:
        asked = request.json
        if self.find('servers', name=asked['name']):
            raise Refusal(409, 'name_taken', f"{asked['name']} is taken")
        if len(asked['user_data']) > 20_000:
            raise Refusal(422, 'too_long', 'user_data is too long')
        volumes = [self.get('volumes', volume) for volume in asked['volumes']]
        if any(volume['server'] for volume in volumes):
            raise Refusal(409, 'in_use', 'a volume is in use')
        server = self.add('servers', {**asked, 'ip': None, 'created': '2030-01-31T12:00:00Z'})
        for volume in volumes:
            volume['server'] = server['id']
        self.become(server, state=('starting', 'running'), ip=(None, f"10.77.0.{server['id'] % 250 + 1}"))
        return {'server': server}, 201

    @route('PATCH', '/servers/{id}')
    def change_server(self, request: Request, id: str) -> Reply:
        server = self.get('servers', id)
        server.update(request.json)
        return {'server': server}

    @route('POST', '/servers/{id}/power')
    def power(self, request: Request, id: str) -> Reply:
        server, on = self.get('servers', id), request.json['on']
        if self.changing(server):
            raise Refusal(409, 'busy', f"{server['name']} is busy")
        self.become(server, state=('starting', 'running') if on else ('stopping', 'off'))
        return {'server': server}

    @route('DELETE', '/servers/{id}')
    def delete_server(self, request: Request, id: str) -> Reply:
        server = self.get('servers', id)
        for volume in self.things.get('volumes', {}).values():
            if volume['server'] == server['id']:
                volume['server'] = None
        self.become(server, lambda: self.drop('servers', id), state=('deleting', 'deleted'))
        return None

    @route('GET', '/volumes')
    def volumes(self, request: Request) -> Reply:
        return self._page(request, 'volumes', self.all('volumes'))

    @route('POST', '/volumes')
    def create_volume(self, request: Request) -> Reply:
        if self.find('volumes', name=request.json['name']):
            raise Refusal(409, 'name_taken', f"{request.json['name']} is taken")
        return {'volume': self.add('volumes', {**request.json, 'server': None})}, 201

    @route('DELETE', '/volumes/{id}')
    def delete_volume(self, request: Request, id: str) -> Reply:
        if self.get('volumes', id)['server']:
            raise Refusal(409, 'in_use', 'the volume is in use')
        self.drop('volumes', id)
        return None

    def words(self) -> list[str]:
        """Return what there is, in words, with what is under way completed."""
        self.settle()
        return sorted(f'{kind[:-1]} {thing["name"]}' for kind, things in self.things.items() for thing in things.values())


def status_of(thing: Any) -> str:
    """Return the state of a server in the toy cloud's own word."""
    return str(thing.get('state', ''))
