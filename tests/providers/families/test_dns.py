"""DNS of clouds: what is made, replaced, written down, and taken back when a part of it fails."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kvirt.errors import AlreadyExists, Conflict, NotFound, Unavailable
from kvirt.providers.families.dns import CloudDns, Record, Zone, full_name, relative
from kvirt.providers.families.machines import Machine
from kvirt.providers.families.marks import RECORDS
from kvirt.testing.platform import ok, refused
from kvirt.testing.sweep import Haste


class Singles(CloudDns):
    """A platform with two zones of records of one value each, and one VM, in memory."""

    def __init__(self) -> None:
        self.clock = Haste()
        self.kept: dict[str, list[Record]] = {'a.example': [], 'b.example': []}
        self.fields = {'domain': 'a.example'}
        self.ip: str | None = '192.0.2.7'
        self.fails_at = 0
        self._numbers = itertools.count(1)

    def there(self, name: str, kind: str, *values: str, fixed: bool = False) -> None:
        """Let somebody else have made a record."""
        self.kept['a.example'].append(Record(name=name, type=kind, values=values, fixed=fixed, native=next(self._numbers)))

    def dns_zones(self) -> list[Zone]:
        return [Zone(name=name) for name in self.kept]

    def dns_records(self, zone: Zone) -> list[Record]:
        return list(self.kept[zone.name])

    def put_record(self, zone: Zone, record: Record) -> None:
        self.fails_at -= 1
        if not self.fails_at:
            raise Unavailable('the platform stumbles')
        new = msgspec.structs.replace(record, native=record.native or next(self._numbers))
        self.kept[zone.name] = [each for each in self.kept[zone.name] if each.native != new.native] + [new]

    def drop_record(self, zone: Zone, record: Record) -> None:
        self.kept[zone.name] = [each for each in self.kept[zone.name] if each.native != record.native]

    def machine(self, name: str) -> Machine:
        if name not in ('web', '1'):
            raise NotFound(f'VM {name} does not exist')
        return Machine(id='1', name='web', ip=self.ip, fields=self.fields)

    def set_field(self, machine: Machine, key: str, text: str | None) -> None:
        self.fields = {**self.fields, key: text or ''}

    def told(self, zone: str = 'a.example') -> list[tuple[str, str, str]]:
        return sorted((each.name, each.type, value) for each in self.kept[zone] for value in each.values)


class AtOnce(Singles):
    """A platform that changes several records at once."""

    put_record = drop_record = None  # type: ignore[assignment]

    def change_records(self, zone: Zone, drop: Sequence[Record], put: Sequence[Record] = ()) -> None:
        if self.fails_at:
            raise Unavailable('the platform stumbles')
        gone = {each.native for each in (*drop, *put)}
        self.kept[zone.name] = [each for each in self.kept[zone.name] if each.native not in gone]
        self.kept[zone.name] += [msgspec.structs.replace(each, native=each.native or next(self._numbers)) for each in put]


@pytest.fixture(params=[Singles, AtOnce])
def toy(request: pytest.FixtureRequest) -> Singles:
    made: Singles = request.param()
    return made


@pytest.mark.parametrize(('name', 'short', 'whole'), [
    ('web', 'web', 'web.a.example'), ('web.a.example', 'web', 'web.a.example'), ('web.a.example.', 'web', 'web.a.example'),
    ('@', '@', 'a.example'), ('a.example', '@', 'a.example'), ('x.web', 'x.web', 'x.web.a.example'),
    ('Web.A.example', 'web', 'web.a.example'), ('*', '*', '*.a.example')])
def test_names_in_a_zone(name: str, short: str, whole: str) -> None:
    assert relative(name, 'a.example') == short
    assert full_name(short, 'a.example') == whole


_LABEL = st.from_regex(r'[a-z0-9_]([a-z0-9_-]{0,6}[a-z0-9_])?', fullmatch=True)


@given(st.lists(_LABEL, min_size=1, max_size=3).map('.'.join), st.sampled_from(['a.example', 'example', 'x.y.z']))
def test_a_name_can_be_given_with_its_zone_and_without(name: str, zone: str) -> None:
    assert relative(full_name(name, zone), zone) == name
    assert relative(f'{full_name(name, zone).upper()}.', zone) == name


def test_the_address_and_the_domain_are_the_vms(toy: Singles) -> None:
    ok(toy.reserve_dns('web', alias=['www']))
    assert toy.told() == [('web', 'A', '192.0.2.7'), ('www', 'A', '192.0.2.7')]
    assert toy.fields[RECORDS] == 'A/web@a.example,A/www@a.example'
    ok(toy.reserve_dns('api', domain='b.example', ip='2001:DB8::1', instanceid='web'))
    assert toy.fields[RECORDS].endswith(',AAAA/api@b.example')
    assert toy.list_dns('b.example') == [{'name': 'api.b.example', 'type': 'AAAA', 'ttl': 300, 'data': ['2001:db8::1']}]
    toy.there('theirs', 'A', '192.0.2.7')
    toy.there('web', 'AAAA', '2001:db8::9')
    toy.forget_records(toy.fields)
    assert toy.told() == [('theirs', 'A', '192.0.2.7'), ('web', 'AAAA', '2001:db8::9')]
    assert toy.told('b.example') == []


def test_the_record_of_the_zone_itself_goes_with_its_vm(toy: Singles) -> None:
    toy.there('@', 'MX', '10 mail.a.example.')
    ok(toy.reserve_dns('@', domain='a.example', instanceid='web'))
    toy.forget_records(toy.fields)
    assert toy.told() == [('@', 'MX', '10 mail.a.example.')]


def test_a_zone_that_is_gone_keeps_no_vm(toy: Singles) -> None:
    ok(toy.reserve_dns('web'))
    del toy.kept['a.example']
    toy.forget_records(toy.fields)


def test_who_has_no_records_asks_for_no_zones(toy: Singles) -> None:
    toy.dns_zones = None  # type: ignore[assignment, method-assign]
    toy.forget_records({'plan': 'x'})


def test_what_is_there_is_changed_by_force_only(toy: Singles) -> None:
    toy.there('web', 'CNAME', 'x.example')
    refused(toy.reserve_dns('web'), 'AlreadyExists', names='web.a.example')
    assert RECORDS not in toy.fields
    ok(toy.reserve_dns('web', force=True))
    assert toy.told() == [('web', 'A', '192.0.2.7')]
    [record] = toy.kept['a.example']
    ok(toy.reserve_dns('web', ip='192.0.2.8', force=True))
    assert toy.told() == [('web', 'A', '192.0.2.8')]
    assert toy.kept['a.example'][0].native == record.native, 'changed in its place'


def test_of_several_of_one_name_one_stays(toy: Singles) -> None:
    for value in ('192.0.2.1', '192.0.2.2'):
        toy.there('web', 'A', value)
    ok(toy.reserve_dns('web', force=True))
    assert toy.told() == [('web', 'A', '192.0.2.7')]


def test_what_is_of_other_types_stands_beside_it(toy: Singles) -> None:
    toy.there('web', 'TXT', '"hello"')
    ok(toy.reserve_dns('web'))
    ok(toy.reserve_dns('web', ip='2001:db8::1'))
    assert [kind for _, kind, _ in toy.told()] == ['A', 'AAAA', 'TXT']
    ok(toy.delete_dns('web', 'a.example'))
    assert toy.told() == [('web', 'TXT', '"hello"')]
    refused(toy.delete_dns('web', 'a.example'), 'NotFound', names='web')


def test_what_is_fixed_stays(toy: Singles) -> None:
    zone = Zone(name='a.example')
    toy.there('split', 'A', '192.0.2.1', fixed=True)
    toy.there('mail', 'MX', '10 mail.example.')
    refused(toy.reserve_dns('split', domain='a.example', ip='192.0.2.9', force=True), 'Conflict', names='split')
    refused(toy.delete_dns('split', 'a.example'), 'Conflict', names='split')
    with pytest.raises(Conflict, match='mail'):
        toy.to_replace(zone, toy.records_for(zone, ['mail'], 'CNAME', 'lb.example.'), force=True)
    toy.forget_records({RECORDS: 'A/split@a.example'})
    assert len(toy.told()) == 2


def test_a_part_that_fails_takes_back_the_others(toy: Singles) -> None:
    toy.fails_at = 2
    refused(toy.reserve_dns('web', alias=['www']), 'Unavailable')
    assert toy.told() == []


def test_what_is_changed_in_its_place_is_not_taken_back() -> None:
    toy = Singles()
    toy.there('web', 'A', '192.0.2.1')
    toy.fails_at = 2
    refused(toy.reserve_dns('web', alias=['www'], force=True), 'Unavailable')
    assert [name for name, *_ in toy.told()] == ['web']


def test_a_record_that_another_made_meanwhile_is_not_taken_back() -> None:
    def meanwhile(zone: Zone, record: Record) -> None:
        toy.there('web', 'A', '192.0.2.9')
        raise AlreadyExists('web exists')
    toy = Singles()
    toy.put_record = meanwhile  # type: ignore[method-assign]
    refused(toy.reserve_dns('web'), 'AlreadyExists', names='web')
    assert toy.told() == [('web', 'A', '192.0.2.9')]


def test_names_that_are_given_twice_are_recorded_once(toy: Singles) -> None:
    ok(toy.reserve_dns('web', alias=['www', 'web', 'www.a.example.']))
    assert [name for name, *_ in toy.told()] == ['web', 'www']


def test_aliases_of_a_name(toy: Singles) -> None:
    zone = Zone(name='a.example')
    records = toy.records_for(zone, ['front', 'www.a.example'], 'CNAME', 'lb-1.cloud.example.')
    toy.change_records(zone, toy.to_replace(zone, records), records)
    assert toy.told() == [(name, 'CNAME', 'lb-1.cloud.example.') for name in ('front', 'www')]
    toy.forget_records(toy.fields_of_records(zone, records))
    assert toy.told() == []


def test_what_can_not_be(toy: Singles) -> None:
    refused(toy.reserve_dns('db', domain='a.example'), 'NotFound', names='db')
    refused(toy.reserve_dns('db', domain='aa.example', ip='192.0.2.9'), 'NotFound', names="did you mean 'a.example'")
    refused(toy.reserve_dns('db', ip='192.0.2.9'), 'InvalidInput', names='domain')
    toy.ip = None
    assert isinstance(toy.reserve_dns('web').error, Conflict)


def test_two_zones_of_one_name_are_not_guessed(toy: Singles) -> None:
    toy.dns_zones = lambda: [Zone(name='a.example', native=number) for number in (1, 2)]  # type: ignore[method-assign]
    with pytest.raises(Conflict, match='2 DNS zones'):
        toy.list_dns('a.example')


def test_rows_are_written_for_people(toy: Singles) -> None:
    toy.there('@', 'MX', '10 mail.')
    toy.there('@', 'MX', '20 mail2.')
    toy.there('_sip', 'SRV', '1 2 5060 sip.example.')
    toy.there('x', 'TXT', '"v=1."')
    assert toy.list_dns('A.example.') == [
        {'name': '_sip.a.example', 'type': 'SRV', 'data': ['1 2 5060 sip.example']},
        {'name': 'a.example', 'type': 'MX', 'data': ['10 mail', '20 mail2']},
        {'name': 'x.a.example', 'type': 'TXT', 'data': ['v=1.']}]


def test_all_entries_of_an_address_are_deleted(toy: Singles) -> None:
    ok(toy.reserve_dns('web', alias=['www']))
    toy.there('other', 'A', '192.0.2.7')
    toy.there('name', 'CNAME', 'Web.a.example.')
    toy.there('third', 'A', '192.0.2.8')
    ok(toy.delete_dns('web', 'a.example', allentries=True))
    assert toy.told() == [('third', 'A', '192.0.2.8')]
    refused(toy.delete_dns('web', 'a.example'), 'NotFound', names='web')
