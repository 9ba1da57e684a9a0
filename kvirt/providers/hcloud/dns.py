"""DNS: zones, and sets of records in them."""

from __future__ import annotations

from contextlib import suppress

from hcloud.zones.domain import ZoneRecord

from kvirt.errors import NotFound
from kvirt.providers.families.dns import CloudDns, Record, Zone
from kvirt.providers.hcloud.account import Account


class Dns(CloudDns, Account):
    """The zones of a project."""

    def dns_zones(self) -> list[Zone]:
        return [Zone(name=zone.name, native=zone) for zone in self.conn.zones.get_all()]

    def dns_records(self, zone: Zone) -> list[Record]:
        return [Record(name=rrset.name, type=rrset.type, ttl=rrset.ttl, native=rrset,
                       values=tuple(each.value for each in rrset.records)) for rrset in zone.native.get_rrset_all()]

    def put_record(self, zone: Zone, record: Record) -> None:
        values = [ZoneRecord(value=value) for value in record.values]
        if record.native is None:
            answer = zone.native.create_rrset(name=record.name, type=record.type, ttl=record.ttl, records=values)
            self.done(answer.action)
        else:
            self.done(record.native.set_rrset_records(values))

    def drop_record(self, zone: Zone, record: Record) -> None:
        with suppress(NotFound):
            self.done(self.patiently(f'deleting record {record.name}', record.native.delete_rrset).action)
