"""What every area of DigitalOcean stands on: options, the API, droplets, actions, tags; and the account itself."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from contextlib import suppress
from typing import Annotated, Any

from kvirt import errors
from kvirt.base import Options, option
from kvirt.providers.digitalocean import mapping
from kvirt.providers.digitalocean.mapping import Thing
from kvirt.providers.families import s3
from kvirt.providers.families.accounts import ApiAccount
from kvirt.providers.families.machines import Machine
from kvirt.providers.families.tags import Tags
from kvirt.rest import Api, Call, by_link
from kvirt.shapes import Flavor

NAME = 'DigitalOcean'

HOST = r'[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?'

_MEANINGS: tuple[tuple[str, type[errors.KvirtError]], ...] = (
    # The first expression that is found in the message of a refusal tells what it means; else its status does.
    (r'exceed\w* .*limit|limit (was |is |has been )?(exceeded|reached)|reached .*limit', errors.QuotaExceeded),
    (r'(is|are) (currently )?(not available|unavailable|sold out)|not available in|no capacity', errors.OutOfCapacity),
    (r'already (in use|exists|taken)|duplicate|is taken|must be unique', errors.AlreadyExists),
    (r'pending event|in progress|locked|attached|overlap|has members|with members|still (contains|in use)|powered o(n|ff)|'
     r'default vpc', errors.Conflict),
)

_LIMITS = {'floating_ip_limit': ('floating_ips', '/reserved_ips'), 'droplet_limit': ('vms', '/droplets'),
           'volume_limit': ('volumes', '/volumes')}
"""The limits that the account tells, what they are of, and where that is counted."""


class DigitalOceanOptions(Options, frozen=True, kw_only=True):
    """The keys that a client of DigitalOcean may have in config.yml."""

    token: Annotated[str | None, option('Token of the API', secret=True,
                                        env=('DIGITALOCEAN_TOKEN', 'DIGITALOCEAN_ACCESS_TOKEN'))] = None
    location: Annotated[str, option("Region where VMs are made and looked for, or 'all'; see list location")] = 'nyc3'
    api: Annotated[str, option('Address of the API')] = 'https://api.digitalocean.com/v2'
    vpc: Annotated[str | None, option("VPC of VMs that name no network; the default one of the region when absent")] = None
    project: Annotated[str | None, option('Project that VMs are put in; the default one when absent')] = None
    spaces_key: Annotated[str | None, option('Access key of Spaces, for buckets', env=('SPACES_ACCESS_KEY_ID',))] = None
    spaces_secret: Annotated[str | None, option('Secret key of Spaces', secret=True,
                                                env=('SPACES_SECRET_ACCESS_KEY',))] = None
    spaces_endpoint: Annotated[str | None, option('Address of Spaces; that of the region when absent')] = None
    insecure: Annotated[bool, option('Do not verify the certificate of the API')] = False


class Account(ApiAccount, Tags, s3.KeyedBuckets):
    """An account of DigitalOcean, or the resources of a team."""

    Options = DigitalOceanOptions
    options: DigitalOceanOptions
    platform = NAME
    page = {'per_page': 200}
    usual_location = 'nyc3'
    store_url = 'https://{}.digitaloceanspaces.com'

    def api_with(self, token: str) -> Api:
        return Api(self.options.api, name=NAME, token=token, insecure=self.options.insecure, meaning=_meaning,
                   next_page=by_link, clock=self.clock)

    def open(self) -> None:
        super().open()
        given = self.options
        self.keep_store(given.spaces_endpoint, given.spaces_key, given.spaces_secret, verify=not given.insecure,
                        hint='Set spaces_key and spaces_secret in the client')

    def store_place(self) -> str:
        return self.made_in()

    # the account itself

    def _info_host(self) -> dict[str, Any]:
        account = self.api.get('/account')['account']
        known = {'status_message': account['status_message'].strip(), 'team': (account.get('team') or {}).get('name')}
        return {'connection': self.api.base, 'location': self.location, 'status': account['status'],
                **{key: text for key, text in known.items() if text},
                **{limit: account[limit] for limit in _LIMITS if limit in account}}

    def _list_quotas(self) -> list[dict[str, Any]]:
        account = self.api.get('/account')['account']
        return [{'name': name, 'maximum': account[limit], 'current': self._count(path), 'unit': 'count'}
                for limit, (name, path) in _LIMITS.items() if limit in account]

    def _count(self, path: str) -> int:
        kinds = ('droplets', 'gpus') if path == '/droplets' else (None, )
        return sum(self.api.get(path, per_page=1, type=kind)['meta']['total'] for kind in kinds)

    def locations(self) -> Iterator[dict[str, Any]]:
        return map(mapping.location, self.all('/regions'))

    def flavors(self) -> Iterator[Flavor]:
        where = self.only_location
        return (mapping.flavor(size, where) for size in self.all('/sizes') if where in (None, *size['regions']))

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

    def machine(self, name: str) -> Machine:
        found = self.bearers(name) if re.fullmatch(HOST, name) else []
        if not found and re.fullmatch('[1-9][0-9]*', name):
            with suppress(errors.NotFound):
                found = list(filter(self.seen, [self.api.get(f'/droplets/{name}')['droplet']]))
        return mapping.machine(self.one('VM', name, found))

    def vm_names(self, ids: Collection[str]) -> dict[str, str]:
        return {str(droplet['id']): droplet['name'] for droplet in self.droplets(everywhere=True)}

    # actions, of droplets, volumes, addresses

    def act(self, path: str, **asked: Any) -> Thing:
        """Ask for an action on what is at *path*, and return it. Conflict while another one is under way."""
        action: Thing = self.api.post(f'{path}/actions', asked)['action']
        return action

    def acted(self, what: str, path: str, timeout: float = 600, **asked: Any) -> None:
        """Ask for an action, and wait until it is complete. Conflict when it failed; *what* says what it was for."""
        action = self.act(path, **asked)

        def look() -> bool:
            status = self.api.get(f"/actions/{action['id']}")['action']['status']
            if status == 'errored':
                raise errors.Conflict(f'{what} failed on the side of {NAME}', hint='Its control panel may tell more')
            return bool(status == 'completed')
        self.awaited(look, what, timeout)

    # tags

    def counted(self) -> dict[str, int]:
        return {tag['name']: (tag.get('resources') or {}).get('count') or 0 for tag in self.all('/tags')}

    def make_tag(self, name: str) -> None:
        with suppress(errors.AlreadyExists):
            self.api.post('/tags', {'name': name})

    def drop_tag(self, name: str) -> None:
        self.drop(f'/tags/{name}')

    def give_tag(self, name: str, kind: str, thing_id: str) -> None:
        self.api.post(f'/tags/{name}/resources', _resource(kind, thing_id))

    def take_tag(self, name: str, kind: str, thing_id: str) -> None:
        self.api.delete(f'/tags/{name}/resources', _resource(kind, thing_id))

def _resource(kind: str, thing_id: str) -> dict[str, Any]:
    return {'resources': [{'resource_id': thing_id, 'resource_type': kind}]}


def _meaning(call: Call) -> errors.KvirtError | None:
    """Return what a refusal means where its text tells more than its status."""
    if call.status not in (400, 403, 409, 422):
        return None
    for expression, kind in _MEANINGS:
        if re.search(expression, call.message, re.IGNORECASE):
            return kind(f'{NAME} refuses {call.method} {call.path}: {call.message}')
    return None
