"""DNS: domains, and their records, each of one value."""

from __future__ import annotations

from typing import Any

from kvirt.providers.digitalocean.account import Account
from kvirt.providers.digitalocean.mapping import Thing
from kvirt.providers.families.dns import CloudDns, Record, Zone, full_name

_NUMBERS = ('priority', 'weight', 'port')


class Dns(CloudDns, Account):
    """The zones of the account."""

    def dns_zones(self) -> list[Zone]:
        return [Zone(name=domain['name']) for domain in self.all('/domains')]

    def dns_records(self, zone: Zone) -> list[Record]:
        return [Record(name=record['name'].lower(), type=record['type'], ttl=record.get('ttl'), values=(_value(record),),
                       native=record['id']) for record in self.all(f'/domains/{zone.name}/records', 'domain_records')]

    def put_record(self, zone: Zone, record: Record) -> None:
        where, [value] = f'/domains/{zone.name}/records', record.values
        body: dict[str, Any] = {'type': record.type, 'name': record.name, 'data': value, 'ttl': record.ttl}
        if record.native is None:
            self.api.post(where, body)
        else:
            self.api.patch(f'{where}/{record.native}', body)

    def drop_record(self, zone: Zone, record: Record) -> None:
        self.drop(f'/domains/{zone.name}/records/{record.native}')

    def alias(self, zone: Zone, name: str, target: Record) -> Record:
        return Record(name=name, type='CNAME', values=(f'{full_name(target.name, zone.name)}.',), ttl=target.ttl)


def _value(record: Thing) -> str:
    """Return what a record tells as a zone file has it: the numbers of an MX or SRV record stand first."""
    numbers = [str(record[key]) for key in _NUMBERS if record.get(key) is not None]
    return ' '.join([*numbers, str(record.get('data') or '')])
