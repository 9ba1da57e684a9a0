"""What every area of DigitalOcean stands on: the client's options, the API, finding droplets, waiting for actions."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import suppress
from typing import Annotated, Any, ClassVar

from kvirt.base import Options, option
from kvirt.errors import (
    AlreadyExists,
    Conflict,
    KvirtError,
    NotFound,
    OutOfCapacity,
    QuotaExceeded,
    Unauthorized,
)
from kvirt.providers.digitalocean import mapping
from kvirt.providers.digitalocean.mapping import Thing
from kvirt.providers.families import marks, s3
from kvirt.providers.families.machines import Machine
from kvirt.providers.families.places import EVERYWHERE, Places
from kvirt.rest import Api, Call, by_link
from kvirt.wait import SYSTEM, Clock, until

NAME = 'DigitalOcean'
API = 'https://api.digitalocean.com/v2'
DEFAULT = 'nyc3'
"""The region of a client that names none, and where one that sees them all makes things."""

PAGE = 200
"""The most things that a page may have."""

HOST = r'[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?'

_MEANINGS: tuple[tuple[str, type[KvirtError]], ...] = (
    # The first expression that is found in the message of a refusal tells what it means; else its status does.
    (r'exceed\w* .*limit|limit (was |is |has been )?(exceeded|reached)|reached .*limit', QuotaExceeded),
    (r'(is|are) (currently )?(not available|unavailable|sold out)|not available in|no capacity', OutOfCapacity),
    (r'already (in use|exists|taken)|duplicate|is taken|must be unique', AlreadyExists),
    (r'pending event|in progress|locked|attached|overlap|has members|with members|still (contains|in use)|powered o(n|ff)|'
     r'default vpc', Conflict),
)


class DigitalOceanOptions(Options, frozen=True, kw_only=True):
    """The keys that a client of DigitalOcean may have in config.yml."""

    token: Annotated[str | None, option('Token of the API', secret=True,
                                        env=('DIGITALOCEAN_TOKEN', 'DIGITALOCEAN_ACCESS_TOKEN'))] = None
    location: Annotated[str, option("Region where VMs are made and looked for, or 'all'; see list location")] = DEFAULT
    api: Annotated[str, option('Address of the API')] = API
    vpc: Annotated[str | None, option("VPC of VMs that name no network; the default one of the region when absent")] = None
    project: Annotated[str | None, option('Project that VMs are put in; the default one when absent')] = None
    spaces_key: Annotated[str | None, option('Access key of Spaces, for buckets', env=('SPACES_ACCESS_KEY_ID',))] = None
    spaces_secret: Annotated[str | None, option('Secret key of Spaces', secret=True,
                                                env=('SPACES_SECRET_ACCESS_KEY',))] = None
    spaces_endpoint: Annotated[str | None, option('Address of Spaces; that of the region when absent')] = None
    insecure: Annotated[bool, option('Do not verify the certificate of the API')] = False


class Account(Places, s3.KeyedBuckets):
    """An account of DigitalOcean, or the resources of a team."""

    Options: ClassVar[type[Options]] = DigitalOceanOptions
    store_url: ClassVar[str] = 'https://{}.digitaloceanspaces.com'
    conn: Api | None

    def __init__(self, token: str | None = None, location: str = DEFAULT, api: str = API,
                 vpc: str | None = None, project: str | None = None, spaces_key: str | None = None,
                 spaces_secret: str | None = None, spaces_endpoint: str | None = None, insecure: bool = False,
                 home: str | None = None, debug: bool = False, clock: Clock | None = None) -> None:
        """Open an account; nothing is asked before the first use. *clock* is time for tests."""
        self.debug, self.location, self.vpc, self.project = debug, location, vpc, project
        self.clock = clock or SYSTEM
        self.keep_store(spaces_endpoint, spaces_key, spaces_secret, verify=not insecure,
                        hint='Set spaces_key and spaces_secret in the client')
        self.conn = Api(api, name=NAME, token=token, insecure=insecure, meaning=_meaning, next_page=by_link,
                        clock=self.clock) if token else None
        self.unreachable = None if token else 'it needs token: write it in its section, or set DIGITALOCEAN_TOKEN'

    def close(self) -> None:
        if self.conn:
            self.conn.close()

    @property
    def api(self) -> Api:
        """The API. Unauthorized when there is no token."""
        if self.conn is None:
            raise Unauthorized(f'{NAME}: {self.unreachable}', hint='Set token in the client, or DIGITALOCEAN_TOKEN')
        return self.conn

    def all(self, path: str, key: str = '', **query: Any) -> Iterator[dict[str, Any]]:
        """Yield what there is at *path*, of all pages; answers have it under *key*, or under the last word of the path."""
        return self.api.pages(path, key or path.rpartition('/')[2], per_page=PAGE, **query)

    # locations

    def made_in(self) -> str:
        """Return the region that this client makes things in."""
        return DEFAULT if self.location == EVERYWHERE else self.location

    def location_names(self) -> list[str]:
        return [region['slug'] for region in self.all('/regions')]

    def seen(self, thing: Thing) -> bool:
        """Tell if something is in this client's location."""
        return self.is_seen(mapping.region(thing))

    # droplets

    def droplets(self, everywhere: bool = False, **query: Any) -> Iterator[dict[str, Any]]:
        """Yield the droplets of this client's location, or of all. Those with GPUs are a list of their own."""
        for kind in ('droplets', 'gpus'):
            for droplet in self.all('/droplets', type=kind, **query):
                if everywhere or self.seen(droplet):
                    yield droplet

    def bearers(self, name: str) -> list[dict[str, Any]]:
        """Return the droplets with this name; DigitalOcean does not mind if there are several."""
        return [droplet for droplet in self.droplets(name=name) if droplet['name'] == name]

    def droplet(self, name: str) -> dict[str, Any]:
        """Return the droplet with this name or id. NotFound; Conflict when several bear the name."""
        found = self.bearers(name) if re.fullmatch(HOST, name) else []
        if not found and name.isascii() and name.isdigit():
            found = [droplet for droplet in self._by_id(int(name)) if self.seen(droplet)]
        droplet: dict[str, Any] = self.one('VM', name, found)
        return droplet

    def machine(self, name: str) -> Machine:
        return self.machine_of(self.droplet(name))

    @staticmethod
    def machine_of(droplet: Thing) -> Machine:
        """Return a droplet as families see it."""
        return mapping.machine(droplet)

    def vm_names(self, ids: Collection[str]) -> dict[str, str]:
        return {str(droplet['id']): droplet['name'] for droplet in self.droplets(everywhere=True)}

    def set_field(self, machine: Machine, key: str, text: str | None) -> None:
        droplet = machine.native
        before = {tag for tag in droplet['tags'] if key in marks.from_tags([tag])}
        after = set(mapping.to_tags({key: text})) if text else set()
        self.tag(after - before, 'droplet', droplet['id'])
        self.untag(before - after, 'droplet', droplet['id'])

    def _by_id(self, number: int) -> list[dict[str, Any]]:
        try:
            return [self.api.get(f'/droplets/{number}')['droplet']] if number else []
        except NotFound:
            return []

    # changes

    def act(self, droplet: Thing, kind: str, **more: Any) -> Thing:
        """Ask for an action on a droplet, and return the answer. Conflict while another one is under way."""
        answer: Thing = self.api.post(f"/droplets/{droplet['id']}/actions", {'type': kind, **more})
        return answer

    def finish(self, answer: Thing, what: str, timeout: float = 600) -> None:
        """Wait until the action of *answer* is complete. Conflict when it failed; *what* says what it was for."""
        def look() -> bool:
            status = self.api.get(f"/actions/{answer['action']['id']}")['action']['status']
            if status == 'errored':
                raise Conflict(f'{what} failed on the side of {NAME}', hint='Its control panel may tell more')
            return bool(status == 'completed')
        until(look, what=what, timeout=timeout, clock=self.clock)

    def insist(self, call: Callable[[], object], what: str) -> None:
        """Call until the platform has let go of what it holds; what is gone already is fine."""
        def unless_gone() -> None:
            with suppress(NotFound):
                call()
        super().insist(unless_gone, what)

    # tags

    def tag(self, names: Iterable[str], kind: str = '', thing_id: Any = None) -> None:
        """Make tags, and give them to a thing of a *kind* (droplet, volume) where one is named."""
        for name in sorted(names):
            with suppress(AlreadyExists):
                self.api.post('/tags', {'name': name})
            if kind:
                self.api.post(f'/tags/{name}/resources', _resource(kind, thing_id))

    def untag(self, names: Iterable[str], kind: str, thing_id: Any) -> None:
        """Take tags from a thing, and remove those that nothing bears any more."""
        for name in sorted(names):
            self.api.delete(f'/tags/{name}/resources', _resource(kind, thing_id))
        self.forget(names)

    def forget(self, names: Iterable[str]) -> None:
        """Remove those tags that nothing bears."""
        counted = self.counted() if names else {}
        for name in sorted(counted.keys() & set(names)):
            if not counted[name]:
                self.drop(f'/tags/{name}')

    def counted(self) -> dict[str, int]:
        """Return every tag, and how many things bear it."""
        return {tag['name']: (tag.get('resources') or {}).get('count') or 0 for tag in self.all('/tags')}

    def drop(self, path: str) -> None:
        """Delete what is at *path*, unless it is gone."""
        with suppress(NotFound):
            self.api.delete(path)


def _resource(kind: str, thing_id: Any) -> dict[str, Any]:
    return {'resources': [{'resource_id': str(thing_id), 'resource_type': kind}]}


def _meaning(call: Call) -> KvirtError | None:
    """Return what a refusal means where its text tells more than its status."""
    if call.status not in (400, 403, 409, 422):
        return None
    for expression, kind in _MEANINGS:
        if re.search(expression, call.message, re.IGNORECASE):
            return kind(f'{NAME} refuses {call.method} {call.path}: {call.message}')
    return None
