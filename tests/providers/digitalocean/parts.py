"""What the parts of the pretended DigitalOcean stand on: lists, refusals, tags, actions, limits."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterable
from typing import Any

from kvirt.testing.cloud import FakeCloud, Refusal, Thing, route
from kvirt.testing.wire import Request
from tests.providers.digitalocean import catalogue

TOKEN = 'dop_v1_a_token_of_the_tests'
CREATED = '2026-01-31T12:00:00Z'
TAGGED = {'droplet': 'droplets', 'image': 'images', 'volume': 'volumes'}


def no(message: str, status: int = 422, code: str = 'unprocessable_entity') -> Refusal:
    """Return a refusal in DigitalOcean's manner."""
    return Refusal(status, code, message)


class Part(FakeCloud):
    """A part of the cloud."""

    prefix = '/v2'
    token = TOKEN
    droplet_limit = 40
    long_page = 20
    """The most things on a page of a list that is long from the beginning, or soon: a test of pages makes it shorter."""

    def __init__(self) -> None:
        super().__init__()
        self.origins: dict[str, int] = {}
        """Which droplet each snapshot is of."""
        self.told: dict[str, str] = {}
        """The user data of each droplet."""
        for image in catalogue.images():
            self.add('images', image)

    def refusal(self, no: Refusal) -> Any:
        return {'id': no.code, 'message': no.message, 'request_id': str(uuid.uuid4())}

    def get(self, kind: str, key: Any) -> Thing:
        try:
            return super().get(kind, key)
        except Refusal:
            raise no('The resource you were accessing could not be found.', 404, 'not_found') from None

    def listed(self, request: Request, key: str, things: Iterable[Thing]) -> Any:
        """Return a page of things as the API shows it."""
        known = list(things)
        self.page = self.long_page if key in ('images', 'regions', 'sizes', 'tags') else 2
        page, number, last = self.paged(request, known)
        links: dict[str, Any] = {}
        if number < last:
            query = '&'.join(f'{name}={value}' for name, value in request.query if name != 'page')
            base = f'https://api.digitalocean.com{request.path}?{query}'
            links = {'pages': {'next': f'{base}&page={number + 1}', 'last': f'{base}&page={last}'}}
        return {key: page, 'links': links, 'meta': {'total': len(known)}}

    def region(self, slug: str | None) -> Thing:
        """Return a region. Refusal 422."""
        found = next((each for each in catalogue.regions() if each['slug'] == slug), None)
        if found is None:
            raise no('The region you specified is invalid.')
        return found

    def size(self, slug: str) -> Thing:
        """Return a size. Refusal 422."""
        found = next((each for each in catalogue.sizes() if each['slug'] == slug), None)
        if found is None:
            raise no('You specified an invalid size for Droplet creation.')
        return found

    # actions

    def act(self, kind: str, what: str, thing: Thing, done: Callable[[], object] = lambda: None,
            **fields: tuple[Any, Any]) -> Any:
        """Begin an action on *thing*, which is locked until it was looked at often enough."""
        if thing.get('locked') or self.changing(thing):
            raise no(f'{what.capitalize()} already has a pending event.')
        action = self.add('actions', {'status': 'in-progress', 'type': kind, 'started_at': CREATED, 'completed_at': None,
                                      'resource_id': thing.get('id') if what == 'droplet' else None, 'resource_type': what,
                                      'region_slug': thing['region']['slug'], 'region': thing['region']})

        def complete() -> None:
            action.update(status='completed', completed_at=CREATED)
            done()
        self._subjects[action['id']] = thing
        lock = {'locked': (True, False)} if 'locked' in thing else {}
        self.become(thing, complete, **fields, **lock)
        return {'action': action}, 201

    @property
    def _subjects(self) -> dict[int, Thing]:
        return self.__dict__.setdefault('_subjects_', {})

    @route('GET', '/actions/{id}')
    def action(self, request: Request, id: str) -> Any:
        action = self.get('actions', id)
        self._looked(self._subjects[action['id']])
        return {'action': action}

    # tags

    def canonical(self, name: str) -> str:
        """Make a tag unless it is there, and return how it was first written."""
        return str(self.things.setdefault('tags', {}).setdefault(name.lower(), {'name': name})['name'])

    def tagged(self, names: Iterable[str] | None) -> list[str]:
        """Return the tags of something new."""
        return [self.canonical(name) for name in names or ()]

    def _tag(self, name: str) -> Thing:
        tag = self.get('tags', name.lower())
        if tag['name'] != name:
            raise no('The resource you were accessing could not be found.', 404, 'not_found')
        counts = {kind: sum(name in thing.get('tags', ()) for thing in self.things.get(kind, {}).values())
                  for kind in TAGGED.values()}
        return {'name': name, 'resources': {'count': sum(counts.values()),
                                            **{kind: {'count': count} for kind, count in counts.items()}}}

    @route('GET', '/tags')
    def tags(self, request: Request) -> Any:
        return self.listed(request, 'tags', [self._tag(tag['name']) for tag in self.all('tags')])

    @route('GET', '/tags/{name}')
    def one_tag(self, request: Request, name: str) -> Any:
        return {'tag': self._tag(name)}

    @route('POST', '/tags')
    def create_tag(self, request: Request) -> Any:
        return {'tag': self._tag(self.canonical(request.json['name']))}, 201

    @route('DELETE', '/tags/{name}')
    def delete_tag(self, request: Request, name: str) -> None:
        self._tag(name)
        for things in self.things.values():
            for thing in things.values():
                if name in (thing.get('tags') or ()):
                    thing['tags'].remove(name)
        self.drop('tags', name.lower())

    @route('POST', '/tags/{name}/resources')
    @route('DELETE', '/tags/{name}/resources')
    def tag_resources(self, request: Request, name: str) -> None:
        self._tag(name)
        for resource in request.json['resources']:
            thing = self.get(TAGGED[resource['resource_type']], resource['resource_id'])
            thing['tags'] = [tag for tag in thing['tags'] if tag != name]
            if request.method == 'POST':
                thing['tags'].append(name)

    # the account

    @route('GET', '/account')
    def account(self, request: Request) -> Any:
        return {'account': {'droplet_limit': self.droplet_limit, 'floating_ip_limit': 10, 'volume_limit': 100,
                            'email': 'sammy@example.com', 'uuid': 'b6fr89dbf6d9156cace5f3c78dc9851d957381ef',
                            'email_verified': True, 'status': 'active', 'status_message': '', 'team': {
                                'uuid': '5df3e3004a17e242b7c20ca6c9fc25b701a47ece', 'name': 'Crew'}}}

    @route('GET', '/regions')
    def regions(self, request: Request) -> Any:
        return self.listed(request, 'regions', catalogue.regions())

    @route('GET', '/sizes')
    def sizes(self, request: Request) -> Any:
        return self.listed(request, 'sizes', catalogue.sizes())
