"""DNS in Route 53."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from kvirt.providers.aws.account import Account
from kvirt.providers.families import boto
from kvirt.providers.families.dns import CloudDns, Record, Zone, full_name, relative
from kvirt.providers.families.ec2 import pages


class Dns(CloudDns, Account):
    """The DNS of an account."""

    @property
    def route53(self) -> Any:
        """The client of Route 53, which is the same everywhere."""
        return self.client('route53')

    def dns_zones(self) -> list[Zone]:
        """Return all zones, but for private ones that have the name of a public one."""
        known = list(pages(self.route53, 'list_hosted_zones', 'HostedZones'))
        public = {zone['Name'] for zone in known if not zone['Config']['PrivateZone']}
        return [Zone(name=_plain(zone['Name']), native=zone['Id']) for zone in known
                if not zone['Config']['PrivateZone'] or zone['Name'] not in public]

    def dns_records(self, zone: Zone) -> list[Record]:
        return [_record(each, zone) for each in pages(self.route53, 'list_resource_record_sets', 'ResourceRecordSets',
                                                      HostedZoneId=zone.native)]

    def change_records(self, zone: Zone, drop: Sequence[Record], put: Sequence[Record] = ()) -> None:
        changes = [*({'Action': 'DELETE', 'ResourceRecordSet': record.native} for record in drop),
                   *({'Action': 'CREATE' if record.native is None else 'UPSERT', 'ResourceRecordSet': {
                       'Name': full_name(record.name, zone.name), 'Type': record.type, 'TTL': record.ttl,
                       'ResourceRecords': [{'Value': value} for value in record.values]}} for record in put)]
        if changes:
            with boto.about(f'DNS zone {zone.name}'):
                self.route53.change_resource_record_sets(HostedZoneId=zone.native, ChangeBatch={'Changes': changes})


def _record(record: Mapping[str, Any], zone: Zone) -> Record:
    """Map a set of records. Fixed are aliases of things of AWS, and what has a routing policy."""
    alias = record.get('AliasTarget')
    values = [f"ALIAS {_plain(alias['DNSName'])}"] if alias else [
        each['Value'] for each in record.get('ResourceRecords', ())]
    return Record(name=relative(_plain(record['Name']), zone.name), type=record['Type'], ttl=record.get('TTL'),
                  values=tuple(values), fixed=bool(alias) or 'SetIdentifier' in record, native=record)


def _plain(name: str) -> str:
    """Return a name of Route 53 as people write it."""
    return re.sub(r'\\(\d{3})', lambda match: chr(int(match[1], 8)), name).removesuffix('.').lower()
