"""DNS: zones, and sets of records in them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from hcloud.zones.domain import ZoneRecord

from kvirt import units
from kvirt.base import waits
from kvirt.errors import AlreadyExists, Conflict, InvalidInput, NotFound
from kvirt.names import did_you_mean
from kvirt.providers.families import marks
from kvirt.providers.hcloud import mapping
from kvirt.providers.hcloud.account import Account, Native
from kvirt.shapes import DnsRecord

TTL = 300
"""Seconds that a record may be remembered: addresses of VMs come and go."""

_ADDRESSES = ('A', 'AAAA')


class Dns(Account):
    """The zones of a project."""

    def _list_dns_zones(self) -> list[str]:
        return sorted(zone.name for zone in self.conn.zones.get_all())

    def _list_dns(self, domain: str) -> list[DnsRecord]:
        zone = self._zone_of(domain)
        return sorted((mapping.record(rrset, zone.name) for rrset in zone.get_rrset_all()),
                      key=lambda record: (record['name'], record['type']))

    @waits
    def _reserve_dns(self, name: str, nets: Sequence[Any] = (), domain: str | None = None, ip: str | None = None,
                     alias: Sequence[str] = (), force: bool = False, primary: bool = False,
                     instanceid: str | None = None) -> None:
        server = self.find(self.conn.servers, instanceid or name)
        fields = marks.from_labels(server.labels or {}) if server else {}
        domain = domain or fields.get('domain')
        if domain is None:
            raise InvalidInput(f'the record {name} needs a domain')
        zone = self._zone_of(domain)
        data = ip or self._address_of(instanceid or name, server)
        kind = 'A' if units.address(data).version == 4 else 'AAAA'
        names = [_relative(each, zone.name) for each in (name, *alias)]
        there = {rrset.name: rrset for rrset in zone.get_rrset_all() if rrset.type == kind and rrset.name in names}
        if there and not force:
            raise AlreadyExists(f"{zone.name} has records for {', '.join(sorted(there))}", hint='Replace them with force')
        mark = self.machine_of(server).mark if server else 'record'
        if server:  # which gets it before the record is made, so that it goes with the VM in any case
            known = {zone.name, *filter(None, fields.get(mapping.ZONES, '').split(','))}
            self.relabel(server, **{mapping.ZONES: ','.join(sorted(known))})
        for each in names:
            records = [ZoneRecord(value=data)]
            if each in there:
                self.done(there[each].set_rrset_records(records))
            else:
                self.done(zone.create_rrset(name=each, type=kind, ttl=TTL, labels={marks.MARK: mark},
                                            records=records).action)

    @staticmethod
    def _address_of(vm: str, server: Native | None) -> str:
        if server is None:
            raise NotFound(f'there is no VM {vm} to take the address of', hint='Give an ip')
        address = mapping.address(server)
        if address is None:
            raise Conflict(f'VM {vm} has no address yet', hint='Wait for it, or give an ip')
        return address

    def forget_records(self, server: Native) -> None:
        """Delete the records that were made for a VM."""
        zones = marks.from_labels(server.labels or {}).get(mapping.ZONES, '').split(',')
        for zone in filter(None, map(self.find_zone, zones)):
            for rrset in zone.get_rrset_all(label_selector=f'{marks.MARK}={self.machine_of(server).mark}'):
                self.done(rrset.delete_rrset().action)

    @waits
    def _delete_dns(self, name: str, domain: str, allentries: bool = False) -> None:
        zone, wanted = self._zone_of(domain), _relative(name, domain)
        known = zone.get_rrset_all()
        found = [rrset for rrset in known if rrset.name == wanted and rrset.type in (*_ADDRESSES, 'CNAME')]
        if not found:
            raise NotFound(f'{domain} has no record {name}{did_you_mean(wanted, [rrset.name for rrset in known])}')
        if allentries:
            data = {record.value for rrset in found for record in rrset.records}
            found = [rrset for rrset in known if rrset.type in (*_ADDRESSES, 'CNAME') and (
                rrset in found or {record.value for record in rrset.records} == data)]
        for rrset in found:
            self.done(rrset.delete_rrset().action)

    def find_zone(self, domain: str) -> Native | None:
        """Return the zone of this name."""
        return next(iter(self.conn.zones.get_all(name=domain)), None) if domain else None

    def _zone_of(self, domain: str) -> Native:
        zone = self.find_zone(domain)
        if zone is None:
            names = self._list_dns_zones()
            raise NotFound(f'zone {domain} does not exist{did_you_mean(domain, names)}',
                           hint=f"There are {', '.join(names) or 'none'}")
        return zone


def _relative(name: str, zone: str) -> str:
    """Return the name of a record as the platform has it: without its zone, in lower case, @ for the zone itself."""
    plain = name.rstrip('.').lower()
    return '@' if plain in ('', '@', zone) else plain.removesuffix(f'.{zone}')
