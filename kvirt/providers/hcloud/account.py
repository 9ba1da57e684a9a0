"""What every area of Hetzner Cloud stands on: its options, the vendor's client, what errors mean, finding, waiting."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Mapping
from contextlib import suppress
from functools import cached_property, partial
from typing import Annotated, Any, ClassVar, TypeVar
from urllib.parse import urlsplit

from hcloud import APIException, Client
from requests.exceptions import RequestException

from kvirt import rest
from kvirt.base import Options, option
from kvirt.errors import (
    AlreadyExists,
    Conflict,
    InvalidInput,
    KvirtError,
    NotFound,
    NotSupported,
    OutOfCapacity,
    QuotaExceeded,
    RateLimited,
    Unauthorized,
    Unavailable,
)
from kvirt.names import did_you_mean
from kvirt.providers.families import marks, s3
from kvirt.providers.families.machines import Machine
from kvirt.providers.families.places import EVERYWHERE, Places
from kvirt.providers.hcloud import mapping
from kvirt.redact import remember
from kvirt.version import __version__
from kvirt.wait import until

T = TypeVar('T')
Native = Any
"""A thing as the vendor's client has it."""

PLATFORM = 'Hetzner Cloud'
PATIENCE = 300.0
"""Seconds that the platform may take to do what it accepted."""

_BUSY = ('locked', 'conflict', 'resource_in_use')
_KEYS_OF_BUCKETS = 'Make some in the console, and give s3_key and s3_secret'

_MEANINGS: Mapping[type[KvirtError], tuple[str | int, ...]] = {
    NotFound: ('not_found', 'firewall_resource_not_found', 404),
    AlreadyExists: ('uniqueness_error',),
    InvalidInput: ('invalid_input', 'json_error', 'invalid_server_type', 'invalid_load_balancer_type', 400, 422),
    NotSupported: ('unsupported_error', 'method_not_allowed', 'deprecated_api_endpoint', 405),
    Unauthorized: ('unauthorized', 'forbidden', 'token_readonly', 401, 403),
    QuotaExceeded: ('resource_limit_exceeded',),
    OutOfCapacity: ('resource_unavailable', 'placement_error', 'no_space_left_in_location', 'no_subnet_available',
                    'ip_not_available'),
    RateLimited: ('rate_limit_exceeded', 429),
    Unavailable: ('maintenance', 'unavailable', 'timeout', 'server_error', 'service_error', 'bad_gateway'),
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


class Account(Places, s3.KeyedBuckets):
    """A project of Hetzner Cloud."""

    Options: ClassVar[type[Options]] = HcloudOptions
    store_url: ClassVar[str] = 'https://{}.your-objectstorage.com'

    def __init__(self, token: str, location: str = EVERYWHERE, network: str | None = None, s3_key: str | None = None,
                 s3_secret: str | None = None, s3_endpoint: str | None = None, api: str = 'https://api.hetzner.cloud/v1',
                 insecure: bool = False, home: str | None = None, debug: bool = False) -> None:
        """Prepare a connection. Nothing is asked before the first use."""
        self.debug, self.location, self.network, self.host = debug, location, network, urlsplit(api).netloc
        self.keep_store(s3_endpoint, s3_key, s3_secret, verify=not insecure, hint=_KEYS_OF_BUCKETS)
        for secret in (token, s3_secret):
            remember(secret)
        self.conn: Any = Client(token, api_endpoint=api.rstrip('/'), application_name='kvirt',
                                application_version=__version__, timeout=(10, 60))
        # The SDK's own retries sleep where nothing can wake them, and send a creation twice when its answer is late.
        self.conn._client._retry_max_retries = 0
        session = self.conn._client._session
        session.verify = not insecure
        rest.mount(session, backoff=1.0, refills=True, clock=self.clock)

    def close(self) -> None:
        self.conn._client._session.close()

    def store_place(self) -> str:
        return 'fsn1' if self.location == EVERYWHERE else self.location

    def translate(self, error: Exception) -> KvirtError | None:
        if isinstance(error, APIException):
            return meaning(error.code, error.message, error.details)
        if isinstance(error, RequestException):
            return rest.trouble(error, f'{PLATFORM} ({self.host})', 'a request')
        return super().translate(error)

    # finding

    @cached_property
    def zones(self) -> dict[str, str]:
        """The network zones of the locations by name, the platform's first location first."""
        return {each.name: each.network_zone for each in sorted(self.conn.locations.get_all(), key=lambda each: each.id)}

    def location_names(self) -> Iterable[str]:
        return self.zones

    @property
    def place(self) -> str | None:
        """The location that this client is bound to, None for all of them. InvalidInput when there is no such one."""
        if self.location == EVERYWHERE:
            return None
        self.check_location()
        return self.location

    @property
    def usual_place(self) -> str:
        """The location of what is made without a VM: the client's, or the platform's first one."""
        return self.place or next(iter(self.zones))

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
            raise NotFound(f'{kind} {name} does not exist{did_you_mean(name, [each.name for each in client.get_all()])}')
        return found

    def server(self, name: str) -> Native:
        """Return the VM with this name or id, in the client's location. NotFound."""
        found = self.get('VM', self.conn.servers, name)
        if self.place not in (None, found.location.name):
            raise NotFound(f'VM {name} does not exist in {self.place}', hint=f'It is in {found.location.name}')
        return found

    def machine(self, name: str) -> Machine:
        return self.machine_of(self.server(name))

    @staticmethod
    def machine_of(server: Native) -> Machine:
        """Return a server as families see it."""
        return mapping.machine(server)

    def vm_names(self, ids: Collection[str]) -> dict[str, str]:
        return {str(server.id): server.name for server in self.conn.servers.get_all()}

    def find_machine(self, name: str) -> Machine | None:
        found = self.find(self.conn.servers, name)  # without asking for all names to suggest one
        return self.machine_of(found) if found and self.is_seen(found.location.name) else None

    def set_field(self, machine: Machine, key: str, text: str | None) -> None:
        self.relabel(machine.native, **{key: text})

    def free(self, kind: str, client: Any, name: str) -> None:
        """Raise AlreadyExists when a thing of *client* is called *name*."""
        there = client.get_by_name(name)
        if there is not None and there.name == name:
            raise AlreadyExists(f'{kind} {name} exists')

    # labels

    @staticmethod
    def relabel(thing: Native, **fields: str | None) -> None:
        """Give a thing these fields, and take away those that are None. Other labels stay, whoever they are of."""
        kept = {key: value for key, value in (thing.labels or {}).items() if re.sub(r'\.\d+$', '', key) not in fields}
        thing.update(labels={**kept, **marks.to_labels({key: text for key, text in fields.items() if text is not None})})

    # waiting

    def done(self, *actions: Native) -> None:
        """Wait until the platform has done what it accepted. Raises what went wrong with it."""
        for action in actions:
            self._until(f'{action.command} of {PLATFORM}', partial(self._finished, action))

    def patiently(self, what: str, call: Callable[[], T]) -> T:
        """Return what *call* answers, once the platform is through with what else it does to the thing."""
        def attempt() -> tuple[T] | None:
            try:
                return (call(),)
            except APIException as error:
                if error.code in _BUSY:
                    return None
                raise
        return self._until(what, attempt)[0]

    def gone(self, thing: Native) -> None:
        """Delete a thing that was found a moment ago, as soon as the platform lets go of it. If it is gone, fine."""
        with suppress(NotFound):
            self.patiently(f'deleting {thing.name or thing.id}', thing.delete)

    @staticmethod
    def _finished(action: Native) -> bool:
        if action.status == 'running':
            action.reload()
        if action.status == 'error':
            error = action.error or {}
            raise meaning(error.get('code', 'error'), error.get('message', f'{action.command} failed'))
        return bool(action.status == 'success')

    def _until(self, what: str, check: Callable[[], T | None]) -> T:
        def known() -> T | None:
            try:
                return check()
            except (APIException, RequestException) as error:
                raise self.translate(error) or error from error
        return until(known, what=what, timeout=PATIENCE, interval=1.0, clock=self.clock)


def meaning(code: str | int, message: str, details: Any = None) -> KvirtError:
    """Return what an error of the API means: by its code, or by the status where an answer has none."""
    fields = details.get('fields') or () if isinstance(details, Mapping) else ()
    told = '; '.join(f"{field.get('name')}: {', '.join(field.get('messages') or ())}".rstrip(': ') for field in fields)
    reason = f'{PLATFORM}: {message}{f" ({told})" if told else ""} ({code})'
    if isinstance(code, int) and (code < 400 or code >= 500):  # no answer of the API, but of something before it
        return Unavailable(reason)
    kind = _KINDS.get(code, Conflict)  # the many codes of single operations say that a state forbids it
    return kind(reason, hint='Check the token, and that it may write') if kind is Unauthorized else kind(reason)
