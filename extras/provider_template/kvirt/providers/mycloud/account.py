"""What every area of My Cloud stands on: the client's options, the API, finding servers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Annotated, Any

from kvirt.base import Options, option
from kvirt.errors import AlreadyExists, KvirtError, NotFound, OutOfCapacity, QuotaExceeded
from kvirt.providers.families.accounts import ApiAccount
from kvirt.providers.mycloud.mapping import Thing
from kvirt.rest import Api, Call, by_number

NAME = 'My Cloud'

_MEANINGS: Mapping[str, type[KvirtError]] = {
    'name_taken': AlreadyExists, 'limit_reached': QuotaExceeded, 'no_capacity': OutOfCapacity}
"""What a code of the platform means, where the status does not tell."""


class MyCloudOptions(Options, frozen=True, kw_only=True):
    """The keys that a client of My Cloud may have in config.yml."""

    token: Annotated[str | None, option('Token of the API', secret=True, env=('MYCLOUD_TOKEN',))] = None
    location: Annotated[str, option("Region where VMs are made and looked for, or 'all'; see list location")] = 'north'
    api: Annotated[str, option('Address of the API')] = 'https://api.mycloud.example/v1'
    insecure: Annotated[bool, option('Do not verify the certificate of the API')] = False


class Account(ApiAccount):
    """An account of My Cloud."""

    Options = MyCloudOptions
    platform = NAME
    usual_location = 'north'
    page = {'per_page': 50}

    def api_with(self, token: str) -> Api:
        return Api(self.options.api, name=NAME, token=token, insecure=self.options.insecure, meaning=_meaning,
                   clock=self.clock, next_page=by_number('meta', 'page', of=('meta', 'last_page')))

    def seen(self, thing: Thing) -> bool:
        """Tell if something is in this client's location."""
        return self.is_seen(thing['region'])

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
