"""What every area of AWS stands on: the options, the clients of boto3, what its errors mean, and finding instances."""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Annotated, Any, ClassVar, TypeVar

from kvirt.base import Options, option
from kvirt.errors import Conflict, InvalidInput, KvirtError, QuotaExceeded, Unauthorized
from kvirt.parallel import in_parallel
from kvirt.providers.families import boto
from kvirt.providers.families.machines import Machine, Machines
from kvirt.providers.families.marks import MAKER, MARK
from kvirt.shapes import Status
from kvirt.wait import until

T = TypeVar('T')

EVERYWHERE = 'all'
"""The location of a client that sees the VMs of all regions. It makes its own in the default one."""

DEFAULT_REGION = 'us-east-1'

STATUS: Mapping[str, Status] = {'pending': 'pending', 'running': 'running', 'stopping': 'stopping', 'stopped': 'stopped',
                                'shutting-down': 'terminating', 'terminated': 'terminated'}
"""Every word of EC2 for the state of an instance, and the standard one."""

GONE = frozenset({'shutting-down', 'terminated'})
"""States of instances from which there is no way back: they stay visible for an hour, and do not exist."""

PAGE = 1000
"""How many instances are asked for at once: the most that EC2 gives."""

_TAG_CHARACTERS = 256
_HINTS: dict[type[KvirtError], str] = {QuotaExceeded: "'kvirt list quota' shows the limits of the account",
                                       Unauthorized: 'Look at the keys of the client, and at what their user may do'}


class AwsOptions(Options, frozen=True, kw_only=True):
    """The keys that a client of AWS may have in config.yml.

    Credentials that are not given are looked for as the tools of AWS do: variables AWS_*, profiles, the machine's role.
    """

    access_key_id: Annotated[str | None, option('Id of the access key')] = None
    access_key_secret: Annotated[str | None, option('Secret of the access key', secret=True)] = None
    session_token: Annotated[str | None, option('Token of temporary credentials', secret=True)] = None
    credentials: Annotated[str | None, option('Profile of ~/.aws/config to take credentials and region from')] = None
    location: Annotated[str | None, option("Region where VMs are made and looked for, or 'all'; see list location",
                                           env=('AWS_REGION', 'AWS_DEFAULT_REGION'))] = None
    region: Annotated[str | None, option('The same, in the words of AWS; wins over location')] = None
    zone: Annotated[str | None, option('Availability zone of VMs and volumes; AWS chooses when absent')] = None
    vpc: Annotated[str | None, option("VPC that the network 'default' means: a name or id; AWS's own when absent")] = None
    subnet: Annotated[str | None, option('Subnet of VMs on that network: a name or id')] = None
    endpoint_url: Annotated[str | None, option('Where all services are, for what imitates AWS')] = None
    pricing_endpoint_url: Annotated[str | None, option('Where the service of prices is')] = None
    insecure: Annotated[bool, option('Do not verify TLS certificates')] = False


class Clients:
    """The clients of boto3, one for each service and region, made when they are first used.

    boto3 takes a third of a second to load, so that waits as well. Its clients may be used by several threads, its
    session may not.
    """

    def __init__(self, options: AwsOptions) -> None:
        self._options = options
        self._lock = threading.Lock()
        self._session: Any = None
        self._clients: dict[tuple[str, str], Any] = {}
        self._observers: list[tuple[str, Callable[..., Any]]] = []

    @property
    def region(self) -> str:
        """The region that things are made in."""
        asked = self._options.region or self._options.location
        if asked and asked != EVERYWHERE:
            return asked
        with self._lock:
            return str(self._opened().region_name or DEFAULT_REGION)

    def get(self, service: str, region: str) -> Any:
        """Return the client of a service in a region."""
        with self._lock:
            if (service, region) not in self._clients:
                self._clients[service, region] = self._made(service, region)
            return self._clients[service, region]

    def observe(self, event: str, hook: Callable[..., Any]) -> None:
        """Let boto3 call *hook* at an *event* of every client: ``before-send.ec2``, ``before-parameter-build.ec2``, ..."""
        with self._lock:
            self._observers.append((event, hook))
            for client in self._clients.values():
                client.meta.events.register(event, hook)

    def close(self) -> None:
        """Close all connections."""
        with self._lock:
            for client in self._clients.values():
                client.close()
            self._clients.clear()

    def _opened(self) -> Any:
        if self._session is None:
            given = self._options
            self._session = boto.session('aws', key_id=given.access_key_id, secret=given.access_key_secret,
                                         token=given.session_token, profile=given.credentials)
        return self._session

    def _made(self, service: str, region: str) -> Any:
        url = (self._options.pricing_endpoint_url if service == 'pricing' else None) or self._options.endpoint_url
        client = self._opened().client(service, region_name=region, endpoint_url=url, config=boto.config(service),
                                       verify=False if self._options.insecure else None)
        for event, hook in self._observers:
            client.meta.events.register(event, hook)
        return client


class Account(Machines):
    """An account of AWS, seen in one region or in all."""

    Options: ClassVar[type[Options]] = AwsOptions
    honours: ClassVar[frozenset[str]] = frozenset({'ports', 'securitygroups', 'spot', 'sublocation', 'gpus', 'publicip',
                                                   'placement', 'arch'})
    starts_at_once: ClassVar[bool] = True
    conn: Clients

    def __init__(self, debug: bool = False, **options: Any) -> None:
        """Open an account; nothing is read before the first use. *options* are those of :class:`AwsOptions`."""
        self.debug = debug
        self.options = AwsOptions(**options)
        if bool(self.options.access_key_id) != bool(self.options.access_key_secret):
            raise InvalidInput('access_key_id and access_key_secret belong together: give both, or none')
        self.conn = Clients(self.options)

    def close(self) -> None:
        self.conn.close()

    def translate(self, error: Exception) -> KvirtError | None:
        known = boto.translate(error)
        if known is not None and known.hint is None:
            known.hint = _HINTS.get(type(known))
        return known

    # where

    @property
    def location(self) -> str:
        """The region that is seen, or ``all``."""
        return self.options.region or self.options.location or self.conn.region

    @property
    def here(self) -> str:
        """The region that things are made in."""
        return self.conn.region

    def client(self, service: str, region: str | None = None) -> Any:
        """Return the client of a service, in the region that things are made in when none is given."""
        return self.conn.get(service, region or self.here)

    @property
    def ec2(self) -> Any:
        """The client of EC2 in the region that things are made in."""
        return self.client('ec2')

    def ec2_of(self, thing: Mapping[str, Any]) -> Any:
        """Return the client of EC2 for the region of *thing*, which ``instances`` or ``everywhere`` returned."""
        return self.client('ec2', thing['Region'])

    @functools.cached_property
    def regions(self) -> list[str]:
        """The regions that are seen: one, or with location ``all`` those that the account may use."""
        if self.location != EVERYWHERE:
            return [self.location]
        return sorted(each['RegionName'] for each in self.ec2.describe_regions()['Regions']
                      if each.get('OptInStatus') != 'not-opted-in')

    def everywhere(self, work: Callable[[Any], Iterable[Mapping[str, Any]]],
                   regions: Sequence[str] | None = None) -> list[dict[str, Any]]:
        """Return what *work* finds with the EC2 client of each region that is seen; ``Region`` is added to each thing."""
        return self.in_regions(lambda region: [{**thing, 'Region': region} for thing in work(self.client('ec2', region))],
                               regions)

    def in_regions(self, work: Callable[[str], Iterable[T]], regions: Sequence[str] | None = None) -> list[T]:
        """Return what *work* finds in each region that is seen, in several at once."""
        return [thing for found in in_parallel(regions or self.regions, work, workers=16) for thing in found]

    def look(self, kind: str, filters: Mapping[str, Sequence[str]] | None = None,
             regions: Sequence[str] | None = None, size: int | None = None) -> list[dict[str, Any]]:
        """Return what there is of a *kind*, as :func:`described` tells it, in the regions that are seen."""
        return self.everywhere(lambda ec2: described(ec2, kind, filters, size), regions)

    @staticmethod
    def completed(ec2: Any, *things: str) -> None:
        """Take the mark of the maker off *things* (ids) that are complete: without it, they are no orphans."""
        ec2.delete_tags(Resources=list(things), Tags=[{'Key': MAKER}])

    def await_state(self, ec2: Any, kind: str, thing: str, wanted: str, *, seconds: float, interval: float = 5.0) -> None:
        """Wait until a *kind* of thing (image, snapshot, volume), given by its id, is *wanted*. Conflict when it failed."""
        def reached() -> bool:
            found = list(described(ec2, kind, {f'{kind}-id': [thing]}))
            states = {each['State'] for each in found}
            if states & {'error', 'failed', 'invalid'}:
                told = found[0].get('StateMessage') or found[0].get('StateReason')
                raise Conflict(f'{kind} {thing} failed{f": {told}" if told else ""}')
            return states == {wanted}
        until(reached, what=f'{kind} {thing} becoming {wanted}', timeout=seconds, interval=interval, clock=self.clock)

    # instances

    def instances(self, filters: Mapping[str, Sequence[str]] | None = None,
                  regions: Sequence[str] | None = None) -> list[dict[str, Any]]:
        """Return the instances that exist, as DescribeInstances tells them, with their ``Region``.

        *filters* are those of DescribeInstances: ``{'tag:plan': ['web']}``; what is a pattern to EC2 is taken literally.
        """
        def read(ec2: Any) -> Iterator[Mapping[str, Any]]:
            for reservation in pages(ec2, 'describe_instances', 'Reservations', filters, size=PAGE):
                yield from reservation['Instances']
        return [each for each in self.everywhere(read, regions) if each['State']['Name'] not in GONE]

    def instance(self, name: str) -> dict[str, Any]:
        """Return the instance with this name or id. NotFound; Conflict when several bear the name."""
        found: dict[str, Any] = self.one('VM', name, self.named(name))
        return found

    def named(self, name: str, regions: Sequence[str] | None = None) -> list[dict[str, Any]]:
        """Return the instances with this name or id, oldest first: names are not unique here."""
        if not name or '\0' in name:
            return []
        found = self.instances({'instance-id' if name.startswith('i-') else 'tag:Name': [name]}, regions)
        if not found and name.startswith('i-'):
            found = self.instances({'tag:Name': [name]}, regions)
        # A VM that was not meant must never be changed, so the platform's own way to compare has not the last word.
        return sorted((each for each in found if name in (name_of(each), each['InstanceId'])), key=age)

    def machine(self, name: str) -> Machine:
        return self.machine_of(self.instance(name))

    @staticmethod
    def machine_of(instance: Mapping[str, Any]) -> Machine:
        """Return an instance as families see it."""
        native, state, fields = instance['InstanceId'], instance['State']['Name'], tags_of(instance)
        return Machine(id=native, name=fields.get('Name') or native, status=STATUS.get(state, 'unknown'),
                       native_status=state, ip=address_of(instance), fields=fields, location=instance['Region'],
                       place=instance.get('Placement', {}).get('AvailabilityZone', ''),
                       flavor=instance.get('InstanceType', ''), image=instance.get('ImageId', ''),
                       created=created(instance) if 'LaunchTime' in instance else None, native=instance)

    def vm_names(self, ids: Collection[str], regions: Sequence[str] | None = None) -> dict[str, str]:
        found = self.instances({'instance-id': sorted(ids)}, regions)
        return {each['InstanceId']: name_of(each) or each['InstanceId'] for each in found}

    def set_field(self, machine: Machine, key: str, text: str | None) -> None:
        instance = machine.native
        ec2, ids = self.ec2_of(instance), [instance['InstanceId']]
        tags = [] if text is None else to_tags({key: text})
        if tags:
            ec2.create_tags(Resources=ids, Tags=tags)
        # What is left of a longer text goes after the new one stands, so that a reader never finds nothing.
        left = {tag['Key'] for tag in to_tags({key: machine.fields.get(key, '')})} - {tag['Key'] for tag in tags}
        there = {tag['Key'] for tag in instance.get('Tags', ())}
        if left & there:
            ec2.delete_tags(Resources=ids, Tags=[{'Key': each} for each in sorted(left & there)])

    def snapshots_of_vm(self, instance: Mapping[str, Any]) -> list[dict[str, Any]]:
        """Return the EBS snapshots that make up the snapshots of a VM, oldest first."""
        found = described(self.ec2_of(instance), 'snapshot', {'tag:vm': [instance['InstanceId']]}, OwnerIds=['self'])
        return sorted((each for each in found if {MARK, 'snapshot'} <= set(tags_of(each))),
                      key=lambda each: (each['StartTime'], tags_of(each).get('taken', ''), each['SnapshotId']))


def pages(client: Any, operation: str, key: str, filters: Mapping[str, Sequence[str]] | None = None,
          size: int | None = None, **arguments: Any) -> Iterator[dict[str, Any]]:
    """Yield what is under *key* on all pages (of *size*) of an *operation* of a client. *filters* as in ``instances``."""
    if filters:
        arguments['Filters'] = [{'Name': name, 'Values': [literal(value) for value in values]}
                                for name, values in filters.items()]
    if client.can_paginate(operation):
        for page in client.get_paginator(operation).paginate(PaginationConfig={'PageSize': size}, **arguments):
            yield from page.get(key, ())
    else:
        yield from getattr(client, operation)(**arguments).get(key, ())


def described(ec2: Any, kind: str, filters: Mapping[str, Sequence[str]] | None = None, size: int | None = None,
              **arguments: Any) -> Iterator[dict[str, Any]]:
    """Yield what there is of a *kind* of thing (``route_table``), as EC2 describes it; see :func:`pages`."""
    return pages(ec2, f'describe_{kind}s', f"{kind.title().replace('_', '')}s", filters, size, **arguments)


def bearing(request: str) -> dict[str, list[str]]:
    """Return the filter for what bears the mark of a *request*."""
    return {f'tag:{MARK}': [request]}


def cards_of(instance: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the network cards of an instance, the first one first."""
    return sorted(instance.get('NetworkInterfaces', ()), key=lambda card: int(card['Attachment'].get('DeviceIndex', 0)))


def literal(text: str) -> str:
    """Return *text* as a filter of EC2 takes it, to which ``*`` and ``?`` are patterns."""
    return text.replace('\\', '\\\\').replace('*', '\\*').replace('?', '\\?')


def tags_of(resource: Mapping[str, Any]) -> dict[str, str]:
    """Return the tags of a thing; a text that was spread over several is put together."""
    tags = {tag['Key']: tag['Value'] for tag in resource.get('Tags') or ()}
    fields = {}
    for key, value in tags.items():
        first, _, number = key.rpartition('.')
        if first in tags and number.isdigit():
            continue
        part = 1
        while f'{key}.{part}' in tags:
            value += tags[f'{key}.{part}']
            part += 1
        fields[key] = value
    return fields


def to_tags(fields: Mapping[str, str]) -> list[dict[str, str]]:
    """Return *fields* as tags. What is longer than a tag may be goes on in ``key.1``, ``key.2``, ..."""
    return [{'Key': f'{key}.{start // _TAG_CHARACTERS}' if start else key, 'Value': value[start:start + _TAG_CHARACTERS]}
            for key, value in fields.items() for start in range(0, max(len(value), 1), _TAG_CHARACTERS)]


def marked(kind: str, fields: Mapping[str, str]) -> list[dict[str, Any]]:
    """Return the ``TagSpecifications`` of a thing of a *kind* that is about to be made."""
    return [{'ResourceType': kind, 'Tags': to_tags(fields)}]


def name_of(resource: Mapping[str, Any]) -> str | None:
    """Return the name of a thing, None when it has none."""
    return tags_of(resource).get('Name') or None


def address_of(instance: Mapping[str, Any]) -> str | None:
    """Return where to reach a VM. The private address of one that does not run yet would mislead: a public one follows."""
    private = instance.get('PrivateIpAddress') if instance['State']['Name'] == 'running' else None
    return instance.get('PublicIpAddress') or private


def created(instance: Mapping[str, Any]) -> datetime:
    """Return when an instance was made. Its LaunchTime is when it was last started, so its first card tells."""
    times = [card['Attachment']['AttachTime'] for card in instance.get('NetworkInterfaces', ())
             if card.get('Attachment', {}).get('DeviceIndex') == 0 and 'AttachTime' in card['Attachment']]
    first: datetime = min([*times, instance['LaunchTime']])
    return first


def age(instance: Mapping[str, Any]) -> tuple[datetime, str]:
    """Return what sorts instances from the oldest; all sides of a race see the same order."""
    return created(instance), instance['InstanceId']
