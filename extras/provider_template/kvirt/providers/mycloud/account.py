"""What every area of My Cloud stands on: the client's options, the API, finding servers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Annotated, Any, ClassVar

from kvirt.base import Kbase, Options, option
from kvirt.errors import AlreadyExists, KvirtError, NotFound, OutOfCapacity, QuotaExceeded, Unauthorized
from kvirt.providers.mycloud.mapping import Thing
from kvirt.rest import Api, Call, by_number
from kvirt.wait import SYSTEM, Clock

NAME = 'My Cloud'
EVERYWHERE = 'all'
PAGE = 50
"""The most things that a page may have."""

_MEANINGS: Mapping[str, type[KvirtError]] = {
    'name_taken': AlreadyExists, 'limit_reached': QuotaExceeded, 'no_capacity': OutOfCapacity}
"""What a code of the platform means, where the status does not tell."""


class MyCloudOptions(Options, frozen=True, kw_only=True):
    """The keys that a client of My Cloud may have in config.yml."""

    token: Annotated[str | None, option('Token of the API', secret=True, env=('MYCLOUD_TOKEN',))] = None
    location: Annotated[str, option("Region where VMs are made and looked for, or 'all'; see list location")] = 'north'
    api: Annotated[str, option('Address of the API')] = 'https://api.mycloud.example/v1'
    insecure: Annotated[bool, option('Do not verify the certificate of the API')] = False


class Account(Kbase):
    """An account of My Cloud."""

    Options: ClassVar[type[Options]] = MyCloudOptions
    conn: Api | None

    def __init__(self, token: str | None = None, location: str = 'north', api: str = 'https://api.mycloud.example/v1',
                 insecure: bool = False, home: str | None = None, debug: bool = False,
                 clock: Clock | None = None) -> None:
        """Open an account; nothing is asked before the first use. *clock* is time for tests."""
        self.debug, self.location, self.undo_clock = debug, location, clock
        self.conn = Api(api, name=NAME, token=token, insecure=insecure, meaning=_meaning, clock=clock or SYSTEM,
                        next_page=by_number('meta', 'page', of=('meta', 'last_page'))) if token else None
        self.unreachable = None if token else 'no token of the API is given'

    def close(self) -> None:
        if self.conn:
            self.conn.close()

    @property
    def api(self) -> Api:
        """The API. Unauthorized when there is no token."""
        if self.conn is None:
            raise Unauthorized(f'{NAME}: {self.unreachable}', hint='Set token in the client, or MYCLOUD_TOKEN')
        return self.conn

    def all(self, path: str, **query: Any) -> Iterator[dict[str, Any]]:
        """Yield what there is at *path*, of all pages."""
        return self.api.pages(path, path.rpartition('/')[2], per_page=PAGE, **query)

    @property
    def here(self) -> str:
        """The region that this client makes things in."""
        usual: str = MyCloudOptions().location
        return usual if self.location == EVERYWHERE else self.location

    def seen(self, thing: Thing) -> bool:
        """Tell if something is in this client's location."""
        return self.location in (EVERYWHERE, thing['region'])

    def servers(self, **query: Any) -> Iterator[dict[str, Any]]:
        """Yield the servers of this client's location."""
        return filter(self.seen, self.all('/servers', **query))

    def server(self, name: str) -> dict[str, Any]:
        """Return the server with this name or id. NotFound; Conflict when several bear the name."""
        found = [server for server in self.servers(name=name) if server['name'] == name]
        if not found and name.isascii() and name.isdigit():
            found = [server for server in self._by_id(name) if self.seen(server)]
        server: dict[str, Any] = self.one('VM', name, found)
        return server

    def _by_id(self, number: str) -> list[dict[str, Any]]:
        try:
            return [self.api.get(f'/servers/{number}')['server']]
        except NotFound:
            return []

    def act(self, server: Thing, kind: str) -> None:
        """Ask for an action on a server. Conflict while another one is under way."""
        self.api.post(f"/servers/{server['id']}/actions", {'type': kind})


def _meaning(call: Call) -> KvirtError | None:
    """Return what a refusal means where its code tells more than its status."""
    error = call.data.get('error') if isinstance(call.data, Mapping) else None
    kind = _MEANINGS.get(error.get('code', '')) if isinstance(error, Mapping) else None
    return kind(f'{NAME} refuses {call.method} {call.path}: {call.message}') if kind else None
