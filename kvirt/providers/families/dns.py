"""DNS of clouds. A provider says which zones there are, and how records are read, made and deleted.

A record can bear no mark. So those that are made for a VM, or for a load balancer, stand in a field of that, written before
they are made, and go with it. Only addresses and aliases are ever changed here: what else a zone holds is shown.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import msgspec

from kvirt import units
from kvirt.base import waits
from kvirt.errors import AlreadyExists, Conflict, InvalidInput, NotFound
from kvirt.names import did_you_mean
from kvirt.providers.families.machines import Machine, Machines
from kvirt.providers.families.marks import RECORDS
from kvirt.shapes import DnsRecord

TTL = 300
"""Seconds that a record may be remembered: addresses of VMs come and go."""

_OURS = ('A', 'AAAA', 'CNAME')


class Zone(msgspec.Struct, frozen=True, kw_only=True):
    """A zone of a platform."""

    name: str
    """Without the dot at its end."""

    native: Any = None
    """The zone as the platform tells it."""


class Record(msgspec.Struct, frozen=True, kw_only=True):
    """A record; where the platform keeps records of one name and type as a set, that set."""

    name: str
    """Relative to its zone, in lower case; ``@`` for the zone itself."""

    type: str
    values: tuple[str, ...]
    """As in a zone file: ``192.0.2.1``, ``mail.example.com.``, ``10 mail.example.com.``; a dot at the end may lack."""

    ttl: int | None = None
    """Seconds, None when the platform tells none."""

    fixed: bool = False
    """It stands for something of the platform, or is one of several between which that chooses: shown, never changed."""

    native: Any = None
    """The record as the platform tells it; None for one that is to be made."""


class CloudDns(Machines):
    """DNS over four primitives, or three where a platform changes several records at once."""

    def dns_zones(self) -> Sequence[Zone]:
        """Return all zones."""
        raise NotImplementedError

    def dns_records(self, zone: Zone) -> Sequence[Record]:
        """Return all records of a zone."""
        raise NotImplementedError

    def put_record(self, zone: Zone, record: Record) -> None:
        """Make *record*; if its ``native`` is not None, change that one into it, of the same name and type.

        It has one value, and that of an alias ends with a dot. What exists already in spite of ``native`` is an error.
        """
        raise NotImplementedError

    def drop_record(self, zone: Zone, record: Record) -> None:
        """Delete a record that was read. One that is gone is fine."""
        raise NotImplementedError

    def change_records(self, zone: Zone, drop: Sequence[Record], put: Sequence[Record] = ()) -> None:
        """Delete the records *drop*, then make or change those to *put*; when one can't be, those that were made go again.

        A platform that changes several records at once, all or none, overrides this.
        """
        made = {_key(record): _targets(record) for record in put if record.native is None}

        def unmake() -> None:
            for record in self.dns_records(zone):
                if made.get(_key(record)) == _targets(record):  # and not one that somebody else made meanwhile
                    self.drop_record(zone, record)
        for record in drop:  # first of all, since an alias can stand beside no other record of its name
            self.drop_record(zone, record)
        with self.undo() as undo:
            undo.add(f'records of {zone.name}', unmake)
            for record in put:
                self.put_record(zone, record)

    def alias(self, zone: Zone, name: str, target: Record) -> Record:
        """Return the record that lets *name* be an alias of *target*: one that tells the same."""
        return msgspec.structs.replace(target, name=name)

    # hooks

    def _list_dns_zones(self) -> list[str]:
        return sorted(zone.name for zone in self.dns_zones())

    def _list_dns(self, domain: str) -> list[DnsRecord]:
        zone = self.dns_zone(domain)
        rows: dict[tuple[str, str], DnsRecord] = {}
        for record in self.dns_records(zone):
            name = full_name(record.name, zone.name)
            row = rows.setdefault((name, record.type), {'name': name, 'type': record.type, 'data': []})
            if record.ttl:
                row['ttl'] = record.ttl
            row['data'] += [_shown(record.type, value) for value in record.values]
        return [row for _, row in sorted(rows.items())]

    @waits
    def _reserve_dns(self, name: str, nets: Sequence[Any] = (), domain: str | None = None, ip: str | None = None,
                     alias: Sequence[str] = (), force: bool = False, primary: bool = False,
                     instanceid: str | None = None) -> None:
        vm = self.find_machine(instanceid or name)
        domain = domain or (vm.fields.get('domain') if vm else None)
        if not domain:
            raise InvalidInput(f'give the domain to record {name} in', hint="'kvirt list dns' shows the zones")
        zone, address = self.dns_zone(domain), str(units.address(ip or _address_of(instanceid or name, vm)))
        kind = 'AAAA' if ':' in address else 'A'
        records = self.records_for(zone, [name, *alias], kind, address)
        old = self.to_replace(zone, records, force=force)
        if vm:
            remembered = [*_listed(vm.fields), *(_remembered(zone, record) for record in records)]
            self.set_field(vm, RECORDS, ','.join(dict.fromkeys(remembered)))
        there = {_key(record): record for record in old}
        doubles = [record for record in old if there[_key(record)] is not record]
        put = []
        for record in records:
            known = there.pop(_key(record), None)
            put.append(msgspec.structs.replace(record, native=known.native) if known else record)
        self.change_records(zone, [*doubles, *there.values()], put)

    @waits
    def _delete_dns(self, name: str, domain: str, allentries: bool = False) -> None:
        zone = self.dns_zone(domain)
        known = [record for record in self.dns_records(zone) if record.type in _OURS]
        wanted = relative(name, zone.name)
        found = [record for record in known if record.name == wanted]
        if not found:
            raise NotFound(f'{domain} has no record {name}{did_you_mean(wanted, [record.name for record in known])}')
        targets = {each for record in found for each in _targets(record)} | {full_name(wanted, zone.name)}
        self.change_records(zone, _free(zone, [record for record in known if record.name == wanted or (
            allentries and targets & _targets(record))]))

    # for other areas

    def dns_zone(self, domain: str) -> Zone:
        """Return the zone called *domain*. NotFound; Conflict when there are several."""
        known = self.dns_zones()
        wanted = domain.removesuffix('.').lower()
        found = [zone for zone in known if zone.name == wanted]
        if not found:
            raise NotFound(f'there is no DNS zone {domain}{did_you_mean(wanted, [zone.name for zone in known])}')
        if len(found) > 1:
            raise Conflict(f'{len(found)} DNS zones are called {domain}')
        return found[0]

    def records_for(self, zone: Zone, names: Sequence[str], kind: str, value: str) -> list[Record]:
        """Return the records that are to be made: of a *kind* for the first of *names*, the others are its aliases."""
        first, *others = dict.fromkeys(relative(name, zone.name) for name in names)
        target = Record(name=first, type=kind, values=(value,), ttl=TTL)
        return [target, *(self.alias(zone, name, target) for name in others)]

    def to_replace(self, zone: Zone, records: Sequence[Record], *, force: bool = False) -> Sequence[Record]:
        """Return what can't stay as it is beside *records*, which are to be made.

        AlreadyExists unless *force*; Conflict for what is not to be replaced.
        """
        old = [record for record in self.dns_records(zone) if any(_clash(record, each) for each in records)]
        if old and not force:
            raise AlreadyExists(f'DNS record {full_name(old[0].name, zone.name)} exists',
                                hint='Delete it first, or replace it with force')
        return _free(zone, old)

    def fields_of_records(self, zone: Zone, records: Iterable[Record]) -> dict[str, str]:
        """Return what a thing must bear with which these *records* are to go; see :meth:`forget_records`."""
        return {RECORDS: ','.join(_remembered(zone, record) for record in records)}

    def forget_records(self, fields: Mapping[str, str]) -> None:
        """Delete the records that were made for a thing with these *fields*."""
        made = _listed(fields)
        for zone in self.dns_zones() if made else ():
            if any(each.endswith(f'@{zone.name}') for each in made):
                self.change_records(zone, [record for record in self.dns_records(zone)
                                           if _remembered(zone, record) in made and not record.fixed])


def full_name(name: str, zone: str) -> str:
    """Return the full name of a :class:`Record`, without the dot at its end."""
    return zone if name == '@' else f'{name}.{zone}'


def relative(name: str, zone: str) -> str:
    """Return *name*, which may be a full one, as a :class:`Record` of *zone* has it."""
    plain = name.removesuffix('.').lower()
    return '@' if plain == zone else plain.removesuffix(f'.{zone}')


def _key(record: Record) -> tuple[str, str]:
    return record.name, record.type


def _clash(record: Record, other: Record) -> bool:
    """Tell if two records can't stand beside one another."""
    return record.name == other.name and (record.type == other.type or 'CNAME' in (record.type, other.type))


def _free(zone: Zone, records: Sequence[Record]) -> Sequence[Record]:
    """Return *records* if all of them may be changed. Conflict."""
    for record in records:
        if record.fixed or record.type not in _OURS:
            raise Conflict(f'DNS record {full_name(record.name, zone.name)} ({record.type}) was not made here',
                           hint='Change it with the tools of the platform')
    return records


def _shown(kind: str, value: str) -> str:
    return value.strip('"') if kind == 'TXT' else value.removesuffix('.')


def _targets(record: Record) -> set[str]:
    return {value.rstrip('.').lower() for value in record.values}


def _remembered(zone: Zone, record: Record) -> str:
    return f'{record.type}/{record.name}@{zone.name}'


def _listed(fields: Mapping[str, str]) -> list[str]:
    return [each for each in fields.get(RECORDS, '').split(',') if each]


def _address_of(name: str, vm: Machine | None) -> str:
    if vm is None:
        raise NotFound(f'there is no VM {name} to take the address of', hint='Give the address')
    if not vm.ip:
        raise Conflict(f'VM {name} has no address yet', hint='Wait for it, or give the address')
    return vm.ip
