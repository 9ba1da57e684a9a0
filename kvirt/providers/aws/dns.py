"""DNS in Route 53.

A record can't bear a mark, so beside each that is made here stands a TXT record ``_kvirt.<name>``, which tells what the
record was made for: a VM, a load balancer, or nobody. Those with a routing policy, and aliases of things of AWS, are shown
and left alone.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from kvirt import units
from kvirt.errors import AlreadyExists, Conflict, InvalidInput, NotFound
from kvirt.names import did_you_mean
from kvirt.providers.aws.account import Account, pages, tags_of, to_tags
from kvirt.providers.aws.mapping import address_of
from kvirt.providers.families import boto
from kvirt.shapes import DnsRecord

ZONES = 'dnszones'
"""The tag of a VM that names the zones with records that were made for it."""

_TTL = 300
_OF_THE_ZONE = ('NS', 'SOA')
_COMPANION = '_kvirt'

Record = Mapping[str, Any]


class Dns(Account):
    """The DNS of an account."""

    @property
    def route53(self) -> Any:
        """The client of Route 53, which is the same everywhere."""
        return self.client('route53')

    def _list_dns_zones(self) -> list[str]:
        return sorted({_plain(zone['Name']) for zone in self._zones()})

    def _list_dns(self, domain: str) -> list[DnsRecord]:
        rows = [_row(record) for record in self._records(self._dns_zone(domain))]
        return sorted(rows, key=lambda row: (row['name'], row['type']))

    def _reserve_dns(self, name: str, nets: Sequence[Any] = (), domain: str | None = None, ip: str | None = None,
                     alias: Sequence[str] = (), force: bool = False, primary: bool = False,
                     instanceid: str | None = None) -> None:
        found = self.named(instanceid or name)
        vm = self.one('VM', instanceid or name, found) if found else None
        domain = domain or (tags_of(vm).get('domain') if vm else None)
        if domain is None:
            raise InvalidInput(f'give the domain to record {name} in', hint="'kvirt list dns' shows the zones")
        zone = self._dns_zone(domain)
        if ip is None:
            if vm is None:
                raise NotFound(f'there is no VM {name} to take the address of', hint='Give the address')
            ip = address_of(vm)
            if ip is None:
                raise Conflict(f'VM {name} has no address')
        if vm is not None:  # recorded on its owner before it is made
            zones = {*filter(None, tags_of(vm).get(ZONES, '').split(',')), _plain(zone['Name'])}
            self.ec2_of(vm).create_tags(Resources=[vm['InstanceId']], Tags=to_tags({ZONES: ','.join(sorted(zones))}))
        address = str(units.address(ip))
        self.record_dns(zone, [name, *alias], 'AAAA' if ':' in address else 'A', address,
                        owner=vm['InstanceId'] if vm else 'nobody', force=force)

    def record_dns(self, zone: Record, names: Sequence[str], kind: str, value: str, *, owner: str,
                   force: bool = False) -> None:
        """Make records of a *kind* for *names*, all or none. AlreadyExists unless *force*; Conflict: it is left alone."""
        wanted = list(dict.fromkeys(_full(name, zone) for name in names))
        changes = []
        for record in self._records(zone):
            if _plain(record['Name']) in wanted and (record['Type'] in (kind, 'CNAME') or kind == 'CNAME'):
                if not force:
                    raise AlreadyExists(f"DNS record {_plain(record['Name'])} exists",
                                        hint='Delete it first, or replace it with force')
                changes.append(_deletion(record))
        for name in wanted:
            changes += [_change('UPSERT' if force else 'CREATE', name, kind, value),
                        _change('UPSERT', _companion(name), 'TXT', f'"kvirt {owner}"')]
        self._apply(zone, changes)

    def _delete_dns(self, name: str, domain: str, allentries: bool = False) -> None:
        zone = self._dns_zone(domain)
        records = [record for record in self._records(zone) if record['Type'] not in _OF_THE_ZONE]
        full = _full(name, zone)
        found = [record for record in records if _plain(record['Name']) == full]
        if not found:
            known = [_plain(record['Name']) for record in records]
            raise NotFound(f'{domain} has no record {name}{did_you_mean(full, known)}')
        addresses = {value for record in found for value in _data(record)} | {full} if allentries else set()
        surplus = [record for record in records if record in found or addresses & set(_data(record))]
        self._drop_records(zone, records, surplus)

    def release_dns(self, instance: Mapping[str, Any]) -> None:
        """Delete the records that were made for an instance."""
        for domain in filter(None, tags_of(instance).get(ZONES, '').split(',')):
            try:
                zone = self._dns_zone(domain)
            except NotFound:
                continue
            self.release_dns_of(zone, instance['InstanceId'])

    def release_dns_of(self, zone: Record, owner: str) -> None:
        """Delete the records of a zone that were made for *owner*."""
        records = self._records(zone)
        text = f'kvirt {owner}'
        mine = {_plain(record['Name']) for record in records if record['Type'] == 'TXT' and text in _data(record)}
        self._drop_records(zone, records, [record for record in records if _companion(_plain(record['Name'])) in mine])

    def zone_of(self, domain: str) -> dict[str, Any] | None:
        """Return the zone called *domain*, None when there is none."""
        try:
            return self._dns_zone(domain)
        except NotFound:
            return None

    def _drop_records(self, zone: Record, records: Sequence[Record], surplus: Sequence[Record]) -> None:
        """Delete *surplus* of the *records* of a zone, with what stands beside them."""
        companions = {_companion(_plain(record['Name'])) for record in surplus}
        beside = [record for record in records if _plain(record['Name']) in companions and record not in surplus]
        self._apply(zone, [_deletion(record) for record in (*surplus, *beside)])

    def _apply(self, zone: Record, changes: list[dict[str, Any]]) -> None:
        """Make all *changes*, or none."""
        if changes:
            with boto.about(f"DNS zone {_plain(zone['Name'])}"):
                self.route53.change_resource_record_sets(HostedZoneId=zone['Id'], ChangeBatch={'Changes': changes})

    def _records(self, zone: Record) -> list[dict[str, Any]]:
        return list(pages(self.route53, 'list_resource_record_sets', 'ResourceRecordSets', HostedZoneId=zone['Id']))

    def _zones(self) -> list[dict[str, Any]]:
        return list(pages(self.route53, 'list_hosted_zones', 'HostedZones'))

    def _dns_zone(self, domain: str) -> dict[str, Any]:
        """Return the zone called *domain*; of a public and a private one, the public one. NotFound, Conflict."""
        zones = self._zones()
        found = [zone for zone in zones if _plain(zone['Name']) == _plain(domain)]
        if not found:
            known = sorted({_plain(zone['Name']) for zone in zones})
            raise NotFound(f'there is no DNS zone {domain}{did_you_mean(domain, known)}',
                           hint=f"There are {', '.join(known)}" if known else None)
        public = [zone for zone in found if not zone['Config']['PrivateZone']] or found
        if len(public) > 1:
            raise Conflict(f'{len(public)} DNS zones are called {domain}')
        return public[0]


def _plain(name: str) -> str:
    """Return a name of Route 53 as people write it."""
    return re.sub(r'\\(\d{3})', lambda match: chr(int(match[1], 8)), name).removesuffix('.').lower()


def _full(name: str, zone: Record) -> str:
    """Return *name* in a zone, fully qualified; ``@`` is the zone itself."""
    name, domain = _plain(name), _plain(zone['Name'])
    return domain if name in ('@', domain) else name if name.endswith(f'.{domain}') else f'{name}.{domain}'


def _companion(name: str) -> str:
    """Return the name of what stands beside record *name*."""
    return f"{_COMPANION}.{name.replace('*', '_any')}"


def _data(record: Record) -> list[str]:
    """Return what a record tells, as people write it."""
    if 'AliasTarget' in record:
        return [f"ALIAS {_plain(record['AliasTarget']['DNSName'])}"]
    values = (value['Value'] for value in record.get('ResourceRecords', ()))
    return [value.strip('"') if record['Type'] == 'TXT' else value.removesuffix('.') for value in values]


def _row(record: Record) -> DnsRecord:
    row: DnsRecord = {'name': _plain(record['Name']), 'type': record['Type'], 'data': _data(record)}
    if 'TTL' in record:
        row['ttl'] = record['TTL']
    return row


def _change(action: str, name: str, kind: str, value: str) -> dict[str, Any]:
    return {'Action': action, 'ResourceRecordSet': {'Name': name, 'Type': kind, 'TTL': _TTL,
                                                    'ResourceRecords': [{'Value': value}]}}


def _deletion(record: Record) -> dict[str, Any]:
    """Return the change that deletes a record. Conflict for one that belongs to a larger whole."""
    if 'AliasTarget' in record or 'SetIdentifier' in record:
        raise Conflict(f"DNS record {_plain(record['Name'])} is an alias or has a routing policy, and was not made here",
                       hint='Change it with the tools of AWS')
    return {'Action': 'DELETE', 'ResourceRecordSet': dict(record)}


