"""What every area of Hetzner Cloud stands on: options, the vendor's client, errors, finding, waiting; and what is sold."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import suppress
from functools import cached_property, partial
from typing import Annotated, Any
from urllib.parse import urlsplit

from hcloud import APIException, Client
from requests.exceptions import RequestException

from kvirt import errors, rest
from kvirt.base import Options, option, unsupported
from kvirt.names import did_you_mean
from kvirt.providers.families import marks, s3
from kvirt.providers.families.accounts import CloudAccount
from kvirt.providers.families.machines import Machine
from kvirt.providers.families.places import EVERYWHERE
from kvirt.providers.hcloud import mapping
from kvirt.redact import remember
from kvirt.shapes import CostItem, Flavor
from kvirt.spec import VmSpec
from kvirt.version import __version__

Native = Any
"""A thing as the vendor's client has it."""

PLATFORM = 'Hetzner Cloud'

_BUSY = ('locked', 'conflict', 'resource_in_use')

_MEANINGS: Mapping[type[errors.KvirtError], tuple[str | int, ...]] = {
    errors.NotFound: ('not_found', 'firewall_resource_not_found', 404),
    errors.AlreadyExists: ('uniqueness_error',),
    errors.InvalidInput: ('invalid_input', 'json_error', 'invalid_server_type', 'invalid_load_balancer_type', 400, 422),
    errors.NotSupported: ('unsupported_error', 'method_not_allowed', 'deprecated_api_endpoint', 405),
    errors.Unauthorized: ('unauthorized', 'forbidden', 'token_readonly', 401, 403),
    errors.QuotaExceeded: ('resource_limit_exceeded',),
    errors.OutOfCapacity: ('resource_unavailable', 'placement_error', 'no_space_left_in_location', 'no_subnet_available',
                           'ip_not_available'),
    errors.RateLimited: ('rate_limit_exceeded', 429),
    errors.Unavailable: ('maintenance', 'unavailable', 'timeout', 'server_error', 'service_error', 'bad_gateway'),
}
_KINDS = {code: kind for kind, codes in _MEANINGS.items() for code in codes}


class HcloudOptions(Options, frozen=True, kw_only=True):
    """The keys that a client of Hetzner Cloud may have in config.yml."""

    token: Annotated[str, option('API token of the project, with read and write', secret=True, env=('HCLOUD_TOKEN',),
                                  kcli='apikey')]
    location: Annotated[str, option("Where VMs are made and looked for; 'all' looks everywhere, and makes them where their "
                                    'flavor is to be had')] = EVERYWHERE
    network: Annotated[str | None, option('Private network that the name default stands for; none when absent')] = None
    s3_key: Annotated[str | None, option('Access key of the object storage, for buckets')] = None
    s3_secret: Annotated[str | None, option('Secret key of the object storage', secret=True)] = None
    s3_endpoint: Annotated[str | None, option("Address of the object storage; that of the location when absent")] = None
    api: Annotated[str, option('Address of the API')] = 'https://api.hetzner.cloud/v1'
    insecure: Annotated[bool, option('Do not verify the certificate of the API')] = False


class Account(CloudAccount, s3.KeyedBuckets):
    """A project of Hetzner Cloud, and what is sold there."""

    Options = HcloudOptions
    options: HcloudOptions
    platform = PLATFORM
    patience = 300.0
    pause = 1.0
    location_is_checked = True
    store_url = 'https://{}.your-objectstorage.com'

    def open(self) -> None:
        given = self.options
        self.host = urlsplit(given.api).netloc
        self.keep_store(given.s3_endpoint, given.s3_key, given.s3_secret, verify=not given.insecure,
                        hint='Make some in the console, and give s3_key and s3_secret')
        for secret in (given.token, given.s3_secret):
            remember(secret)
        self.conn: Any = Client(given.token, api_endpoint=given.api.rstrip('/'), application_name='kvirt',
                                application_version=__version__, timeout=(10, 60))
        # The SDK's own retries sleep where nothing can wake them, and send a creation twice when its answer is late.
        self.conn._client._retry_max_retries = 0
        session = self.conn._client._session
        session.verify = not given.insecure
        rest.mount(session, backoff=1.0, refills=True, clock=self.clock)

    def close(self) -> None:
        self.conn._client._session.close()

    def store_place(self) -> str:
        return self.made_in() or 'fsn1'

    def translate(self, error: Exception) -> errors.KvirtError | None:
        if isinstance(error, APIException):
            return meaning(error.code, error.message, error.details)
        if isinstance(error, RequestException):
            return rest.trouble(error, f'{PLATFORM} ({self.host})', 'a request')
        return super().translate(error)

    # the project itself, and what is sold there

    def _info_host(self) -> dict[str, Any]:
        meta = self.conn.servers.get_list(per_page=1).meta
        total = meta.pagination.total_entries if meta.pagination else None
        return {'connection': f'{PLATFORM} ({self.host})', 'location': self.location, 'currency': self.pricing['currency'],
                'vat_rate': float(self.pricing['vat_rate']), **({} if total is None else {'vms': total})}

    _list_quotas = unsupported('the API of Hetzner Cloud does not tell the limits of a project; the console does')

    def locations(self) -> Iterator[dict[str, Any]]:
        return map(mapping.location, self.conn.locations.get_all())

    def flavors(self) -> Iterator[Flavor]:
        return mapping.flavors(self.conn.server_types.get_all(), self.only_location, self.pricing['currency'])

    @cached_property
    def pricing(self) -> dict[str, Any]:
        """The price list, as it was at the first use."""
        return dict(self.conn.request('GET', '/pricing')['pricing'])

    def extra_costs(self, spec: VmSpec, flavor: Flavor | None) -> list[CostItem]:
        gigabyte = mapping.net(self.pricing['volume']['price_per_gb_month']) or 0
        items: list[CostItem] = [{'what': f'volume of {spec.disk_size(disk)} GiB',
                                  'monthly': round(gigabyte * spec.disk_size(disk), 2)} for disk in spec.disks[1:]]
        if spec.publicip and flavor:
            rows = next((row['prices'] for row in self.pricing['primary_ips'] if row['type'] == 'ipv4'), ())
            price = next((row['price_monthly'] for row in rows if row['location'] == flavor.location), None)
            items.append({'what': 'public IPv4 address', 'monthly': mapping.net(price)})
        return items

    # where

    @cached_property
    def zones(self) -> dict[str, str]:
        """The network zones of the locations by name, the platform's first location first."""
        return {each.name: each.network_zone for each in sorted(self.conn.locations.get_all(), key=lambda each: each.id)}

    def location_names(self) -> Collection[str]:
        return self.zones

    @property
    def usual_place(self) -> str:
        """The location of what is made without a VM: the client's, or the platform's first one."""
        return self.only_location or next(iter(self.zones))

    # finding

    @staticmethod
    def find(client: Any, name: str) -> Native | None:
        """Return the thing of *client* (``conn.servers``) with this id or name, which no two of a kind bear."""
        try:
            if name.isascii() and name.isdigit() and len(name) < 16:
                return client.get_by_id(int(name))
        except APIException as error:
            if error.code != 'not_found':
                raise
        found = client.get_by_name(name) if name.strip() else None  # an empty name would find them all
        return found if found is not None and found.name == name else None

    def get(self, kind: str, client: Any, name: str) -> Native:
        """Return the thing of *client* with this id or name. NotFound suggests the likely one."""
        found = self.find(client, name)
        if found is None:
            known = [each.name for each in client.get_all() if each.name]
            raise errors.NotFound(f'{kind} {name} does not exist{did_you_mean(name, known)}')
        return found

    def server(self, name: str) -> Native:
        """Return the VM with this name or id, in the client's location. NotFound."""
        found = self.get('VM', self.conn.servers, name)
        if not self.is_seen(found.location.name):
            raise errors.NotFound(f'VM {name} does not exist in {self.location}', hint=f'It is in {found.location.name}')
        return found

    def machine(self, name: str) -> Machine:
        return mapping.machine(self.server(name))

    def vm_names(self, ids: Collection[str]) -> dict[str, str]:
        return {str(server.id): server.name for server in self.conn.servers.get_all()}

    def find_machine(self, name: str) -> Machine | None:
        found = self.find(self.conn.servers, name)  # without asking for all names to suggest one
        return mapping.machine(found) if found and self.location in (EVERYWHERE, found.location.name) else None

    # labels

    def set_field(self, machine: Machine, key: str, text: str | None) -> None:
        self.relabel(machine.native, **{key: text})

    @staticmethod
    def relabel(thing: Native, **fields: str | None) -> None:
        """Give a thing these fields, and take away those that are None."""
        thing.update(labels=marks.relabelled(thing.labels or {}, fields))

    # waiting

    def done(self, *actions: Native) -> None:
        """Wait until the platform has done what it accepted. Raises what went wrong with it."""
        for action in actions:
            self.awaited(partial(_finished, action), f'{action.command} of {PLATFORM}', self.patience)

    def is_busy(self, error: Exception) -> bool:
        return isinstance(error, APIException) and error.code in _BUSY

    def carry_out(self, what: str, call: Callable[[], Native]) -> None:
        """Ask for an action once the platform is through with what else it does to the thing, and wait until it is done."""
        self.done(self.insist(call, what))

    def gone(self, thing: Native) -> None:
        """Delete a thing that was found a moment ago, as soon as the platform lets go of it. If it is gone, fine."""
        with suppress(errors.NotFound):
            self.insist(thing.delete, f'deleting {thing.name or thing.id}')


def _finished(action: Native) -> bool:
    if action.status == 'running':
        action.reload()
    if action.status == 'error':
        error = action.error or {}
        raise meaning(error.get('code', 'error'), error.get('message', f'{action.command} failed'))
    return bool(action.status == 'success')


def meaning(code: str | int, message: str, details: Any = None) -> errors.KvirtError:
    """Return what an error of the API means: by its code, or by the status where an answer has none."""
    fields = details.get('fields') or () if isinstance(details, Mapping) else ()
    told = '; '.join(f"{field.get('name')}: {', '.join(field.get('messages') or ())}".rstrip(': ') for field in fields)
    reason = f'{PLATFORM}: {message}{f" ({told})" if told else ""} ({code})'
    if isinstance(code, int) and (code < 400 or code >= 500):  # no answer of the API, but of something before it
        return errors.Unavailable(reason)
    kind = _KINDS.get(code, errors.Conflict)  # the many codes of single operations say that a state forbids it
    return kind(reason, hint='Check the token, and that it may write' if kind is errors.Unauthorized else None)
