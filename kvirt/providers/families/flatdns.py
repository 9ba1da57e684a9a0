"""DNS of platforms whose zones hold single records. A provider says how zones and records are read, made and deleted.

A record can bear no mark. So those of a VM stand in a field of the VM, before they are made, and go with it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from kvirt import units
from kvirt.base import Kbase
from kvirt.errors import AlreadyExists, Conflict, InvalidInput, NotFound
from kvirt.names import did_you_mean
from kvirt.shapes import DnsRecord
from kvirt.undo import Undo
from kvirt.wait import SYSTEM, Clock

Record = Mapping[str, Any]
"""``type``, ``name`` (relative to its zone, ``@`` for the zone itself), ``data``, ``ttl``; of one that is there ``id``."""

FIELD = 'dnsrecords'
"""The field of a VM that holds ``<record>@<zone>`` for each record that was made for it."""

TTL = 300
"""Seconds that a record may be remembered: addresses of VMs come and go."""

_OURS = ('A', 'AAAA', 'CNAME')
_NUMBERS = ('priority', 'weight', 'port')


class FlatDns(Kbase):
    """DNS over four primitives."""

    clock: Clock = SYSTEM

    def zones(self) -> list[str]:
        """Return the names of the zones."""
        raise NotImplementedError

    def records(self, zone: str) -> list[dict[str, Any]]:
        """Return the records of a zone. NotFound."""
        raise NotImplementedError

    def put_record(self, zone: str, record: Record, there: Any = None) -> None:
        """Make *record*, or change the one with the id *there* into it."""
        raise NotImplementedError

    def drop_record(self, zone: str, record: Record) -> None:
        """Delete a record that was read. One that is gone is fine."""
        raise NotImplementedError

    # hooks

    def _list_dns_zones(self) -> list[str]:
        return sorted(self.zones())

    def _list_dns(self, domain: str) -> list[DnsRecord]:
        zone = domain.removesuffix('.')
        rows: dict[tuple[str, str], DnsRecord] = {}
        for record in self._records_of(domain):
            name = full_name(record['name'], zone)
            row = rows.setdefault((name, record['type']), {'name': name, 'type': record['type'],
                                                           'ttl': record.get('ttl') or 0, 'data': []})
            numbers = [str(record[key]) for key in _NUMBERS if record.get(key) is not None]
            row['data'] = [*row['data'], ' '.join([*numbers, str(record.get('data') or '')])]
        return [row for _, row in sorted(rows.items())]

    def _reserve_dns(self, name: str, nets: Sequence[Any] = (), domain: str | None = None, ip: str | None = None,
                     alias: Sequence[str] = (), force: bool = False, primary: bool = False,
                     instanceid: str | None = None) -> None:
        vm = self._vm(instanceid or name)
        domain = domain or vm.get('domain')
        if not domain:
            raise InvalidInput(f'give the domain to record {name} in')
        known, zone = self._records_of(domain), domain.removesuffix('.')
        address = str(units.address(ip)) if ip else _address_of(name, vm)
        wanted: list[Record] = [
            {'type': 'AAAA' if ':' in address else 'A', 'name': relative(name, zone), 'data': address, 'ttl': TTL},
            *({'type': 'CNAME', 'name': relative(each, zone), 'data': f'{full_name(name, zone)}.', 'ttl': TTL}
              for each in alias)]
        names = [str(each['name']) for each in wanted]
        old = [record for record in known if record['name'] in names and record['type'] in _OURS]
        if old and not force:
            raise AlreadyExists(f"DNS record {full_name(old[0]['name'], zone)} exists",
                                hint='Delete it first, or replace it with force')
        if vm:
            made = dict.fromkeys([*filter(None, vm.get(FIELD, '').split(',')), *(f'{each}@{zone}' for each in names)])
            self._update_metadata(vm['id'], FIELD, ','.join(made))
        self._replace(zone, old, wanted)

    def _replace(self, zone: str, old: Sequence[Record], wanted: Sequence[Record]) -> None:
        """Make the records that are *wanted*, out of the *old* ones where these are of the same type."""
        wishes = {_key(record) for record in wanted}
        kept = {_key(record): record['id'] for record in old if _key(record) in wishes}
        for record in old:  # first of all, since an alias can stand beside no other record of its name
            if record['id'] not in kept.values():
                self.drop_record(zone, record)

        def unmake() -> None:
            for record in self.records(zone):
                if _key(record) in wishes and record['id'] not in kept.values():
                    self.drop_record(zone, record)
        with Undo(clock=None if self.clock is SYSTEM else self.clock).translating(self.translate) as undo:
            undo.add(f'records of {zone}', unmake)
            for record in wanted:
                self.put_record(zone, record, kept.get(_key(record)))

    def _delete_dns(self, name: str, domain: str, allentries: bool = False) -> None:
        known, zone = self._records_of(domain), domain.removesuffix('.')
        found = [record for record in known if record['name'] == relative(name, zone) and record['type'] in _OURS]
        if not found:
            names = [record['name'] for record in known]
            raise NotFound(f'{domain} has no record {name}{did_you_mean(relative(name, zone), names)}')
        targets = {record['data'] for record in found} | {full_name(name, zone)} if allentries else set()
        for record in known:
            if record in found or (record['type'] in _OURS and record['data'].rstrip('.') in targets):
                self.drop_record(zone, record)

    # for providers

    def forget_records(self, fields: Mapping[str, str]) -> None:
        """Delete the records that were made for a VM with these *fields*."""
        made = [each for each in fields.get(FIELD, '').split(',') if each]
        for zone in sorted({each.partition('@')[2] for each in made} & set(self.zones() if made else ())):
            for record in self.records(zone):
                if f"{record['name']}@{zone}" in made and record['type'] in _OURS:
                    self.drop_record(zone, record)

    def _records_of(self, domain: str) -> list[dict[str, Any]]:
        zone, known = domain.removesuffix('.'), self.zones()
        if zone not in known:
            raise NotFound(f'there is no DNS zone {domain}{did_you_mean(zone, known)}')
        return self.records(zone)

    def _vm(self, name: str) -> dict[str, Any]:
        try:
            return {**self._info(name)}
        except NotFound:
            return {}


def full_name(name: str, zone: str) -> str:
    """Return *name* in *zone*, fully qualified; ``@`` is the zone itself."""
    return zone if relative(name, zone) == '@' else f'{relative(name, zone)}.{zone}'


def relative(name: str, zone: str) -> str:
    """Return *name* without its *zone*."""
    name = name.removesuffix('.')
    return '@' if name == zone else name.removesuffix(f'.{zone}')


def _key(record: Record) -> tuple[str, str]:
    return record['type'], record['name']


def _address_of(name: str, vm: Mapping[str, Any]) -> str:
    if not vm:
        raise NotFound(f'there is no VM {name} to take the address of', hint='Give the address')
    if not vm.get('ip'):
        raise Conflict(f'VM {name} has no address yet')
    return str(vm['ip'])
