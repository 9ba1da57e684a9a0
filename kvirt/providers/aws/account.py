"""What every area of AWS stands on: the options, the clients of boto3, what its errors mean, and finding instances."""

from __future__ import annotations

import functools
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Annotated, Any, ClassVar, TypeVar

from kvirt.base import Options, option
from kvirt.errors import InvalidInput, KvirtError, QuotaExceeded, Unauthorized
from kvirt.parallel import in_parallel
from kvirt.providers.families import boto
from kvirt.providers.families.ec2 import Ec2, Filters, described, name_of, pages, retag, tags_of
from kvirt.providers.families.machines import Machine
from kvirt.providers.families.marks import check_field
from kvirt.providers.families.places import EVERYWHERE
from kvirt.shapes import Status

T = TypeVar('T')
Native = dict[str, Any]
"""A thing as AWS tells it, with its ``Region``."""

STATUS: Mapping[str, Status] = {'pending': 'pending', 'running': 'running', 'stopping': 'stopping', 'stopped': 'stopped',
                                'shutting-down': 'terminating', 'terminated': 'terminated'}
"""Every word of EC2 for the state of an instance, and the standard one."""

GONE = frozenset({'shutting-down', 'terminated'})
"""States of instances from which there is no way back: they stay visible for an hour, and do not exist."""

PAGE = 1000
"""How many instances are asked for at once: the most that EC2 gives."""

OURS = frozenset({'Name', 'attaching'})
"""Tags of a VM that are no fields of it."""

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


class Account(Ec2):
    """An account of AWS, seen in one region or in all."""

    Options: ClassVar[type[Options]] = AwsOptions
    honours: ClassVar[frozenset[str]] = frozenset({'ports', 'securitygroups', 'spot', 'sublocation', 'gpus', 'publicip',
                                                   'placement', 'arch'})
    starts_at_once: ClassVar[bool] = True
    options: AwsOptions
    conn: boto.Clients

    def __init__(self, debug: bool = False, **options: Any) -> None:
        """Open an account; nothing is read before the first use. *options* are those of :class:`AwsOptions`."""
        given = AwsOptions(**options)
        if bool(given.access_key_id) != bool(given.access_key_secret):
            raise InvalidInput('access_key_id and access_key_secret belong together: give both, or none')
        self.debug = debug
        self.options = given
        asked = given.region or given.location
        opened = functools.partial(boto.session, 'aws', key_id=given.access_key_id, secret=given.access_key_secret,
                                   token=given.session_token, profile=given.credentials)
        self.conn = boto.Clients(opened, region=None if asked == EVERYWHERE else asked, usual_region='us-east-1',
                                 url=given.endpoint_url, urls={'pricing': given.pricing_endpoint_url},
                                 verify=not given.insecure)

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
        return self.options.region or self.options.location or self.here

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
                   regions: Sequence[str] | None = None) -> list[Native]:
        """Return what *work* finds with the EC2 client of each region that is seen; ``Region`` is added to each thing."""
        return self.in_regions(lambda region: [{**thing, 'Region': region} for thing in work(self.client('ec2', region))],
                               regions)

    def in_regions(self, work: Callable[[str], Iterable[T]], regions: Sequence[str] | None = None) -> list[T]:
        """Return what *work* finds in each region that is seen, in several at once."""
        return [thing for found in in_parallel(regions or self.regions, work, workers=16) for thing in found]

    def look(self, kind: str, filters: Filters | None = None, regions: Sequence[str] | None = None,
             size: int | None = None) -> list[Native]:
        """Return what there is of a *kind*, as :func:`described` tells it, in the regions that are seen."""
        return self.everywhere(lambda ec2: described(ec2, kind, filters, size), regions)

    # instances

    def instances(self, filters: Filters | None = None, regions: Sequence[str] | None = None) -> list[Native]:
        """Return the instances that exist, as DescribeInstances tells them, with their ``Region``."""
        def read(ec2: Any) -> Iterator[Mapping[str, Any]]:
            for reservation in pages(ec2, 'describe_instances', 'Reservations', filters, size=PAGE):
                yield from reservation['Instances']
        return [each for each in self.everywhere(read, regions) if each['State']['Name'] not in GONE]

    def instance(self, name: str) -> Native:
        """Return the instance with this name or id. NotFound; Conflict when several bear the name."""
        found: Native = self.one('VM', name, self.named(name))
        return found

    def named(self, name: str, regions: Sequence[str] | None = None) -> list[Native]:
        """Return the instances with this name or id, oldest first: names are not unique here."""
        if not name or '\0' in name:
            return []
        found = self.instances({'instance-id' if name.startswith('i-') else 'tag:Name': [name]}, regions)
        if not found and name.startswith('i-'):
            found = self.instances({'tag:Name': [name]}, regions)
        # A VM that was not meant must never be changed, so the platform's own way to compare has not the last word.
        return sorted((each for each in found if name in (name_of(each), each['InstanceId'])),
                      key=lambda each: (created(each), each['InstanceId']))

    def machine(self, name: str) -> Machine:
        return self.machine_of(self.instance(name))

    @staticmethod
    def machine_of(instance: Native) -> Machine:
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

    @staticmethod
    def check_field(key: str) -> str:
        if key in OURS or key.lower() == 'name':
            raise InvalidInput(f"'{key}' can not be set as metadata: the tag of that name means something else here")
        return check_field(key)

    def set_field(self, machine: Machine, key: str, text: str | None) -> None:
        retag(self.ec2_of(machine.native), machine.native, machine.id, key, text)


def cards_of(instance: Mapping[str, Any]) -> list[Native]:
    """Return the network cards of an instance, the first one first."""
    return sorted(instance.get('NetworkInterfaces', ()), key=lambda card: int(card['Attachment'].get('DeviceIndex', 0)))


def groups_of(instance: Mapping[str, Any]) -> dict[str, str]:
    """Return the names of the security groups of an instance, by id. Each card has groups of its own."""
    return {group['GroupId']: group['GroupName'] for card in cards_of(instance) for group in card.get('Groups', ())}


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
