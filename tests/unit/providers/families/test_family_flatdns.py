"""DNS over single records: what is made, replaced, written down, and taken back when a part of it fails."""

from __future__ import annotations

import itertools
from typing import Any

import pytest

from kvirt.errors import Conflict, NotFound, Unavailable
from kvirt.providers.families.flatdns import FIELD, FlatDns, Record, full_name, relative
from kvirt.shapes import VmInfo
from kvirt.testing.platform import ok, refused
from kvirt.testing.sweep import Haste


class Toy(FlatDns):
    """A platform with two zones and one VM, in memory."""

    def __init__(self) -> None:
        self.clock = Haste()
        self.kept: dict[str, list[dict[str, Any]]] = {'a.example': [], 'b.example': []}
        self.vm: dict[str, Any] = {'id': '1', 'name': 'web', 'ip': '192.0.2.7', 'domain': 'a.example'}
        self.fails_at = 0
        self._numbers = itertools.count(1)

    def zones(self) -> list[str]:
        return list(self.kept)

    def records(self, zone: str) -> list[dict[str, Any]]:
        return list(self.kept[zone])

    def put_record(self, zone: str, record: Record, there: Any = None) -> None:
        self.fails_at -= 1
        if not self.fails_at:
            raise Unavailable('the platform stumbles')
        new = {**record, 'id': there or next(self._numbers), 'data': record['data'].rstrip('.')}
        self.kept[zone] = [each for each in self.kept[zone] if each['id'] != there] + [new]

    def drop_record(self, zone: str, record: Record) -> None:
        self.kept[zone] = [each for each in self.kept[zone] if each['id'] != record['id']]

    def _info(self, name: str) -> VmInfo:
        if name not in ('web', '1'):
            raise NotFound(f'VM {name} does not exist')
        return VmInfo(**self.vm)  # type: ignore[typeddict-item]

    def _update_metadata(self, name: str, metatype: str, metavalue: str | None, append: bool = False) -> None:
        self.vm[metatype] = metavalue

    def told(self, zone: str = 'a.example') -> list[tuple[str, str, str]]:
        return sorted((each['name'], each['type'], each['data']) for each in self.kept[zone])


@pytest.mark.parametrize(('name', 'short', 'whole'), [
    ('web', 'web', 'web.a.example'), ('web.a.example', 'web', 'web.a.example'), ('web.a.example.', 'web', 'web.a.example'),
    ('@', '@', 'a.example'), ('a.example', '@', 'a.example'), ('x.web', 'x.web', 'x.web.a.example')])
def test_names_in_a_zone(name: str, short: str, whole: str) -> None:
    assert (relative(name, 'a.example'), full_name(name, 'a.example')) == (short, whole)


def test_the_address_and_the_domain_are_the_vms() -> None:
    toy = Toy()
    ok(toy.reserve_dns('web', alias=['www']))
    assert toy.told() == [('web', 'A', '192.0.2.7'), ('www', 'CNAME', 'web.a.example')]
    assert toy.vm[FIELD] == 'web@a.example,www@a.example'
    ok(toy.reserve_dns('api', domain='b.example', ip='2001:db8::1', instanceid='web'))
    assert toy.vm[FIELD].endswith(',api@b.example')
    assert [(row['name'], row['type']) for row in toy.list_dns('b.example')] == [('api.b.example', 'AAAA')]
    toy.kept['b.example'].append({'id': 99, 'type': 'A', 'name': 'theirs', 'data': '192.0.2.7'})
    toy.forget_records(toy.vm)
    assert toy.told() == []
    assert toy.told('b.example') == [('theirs', 'A', '192.0.2.7')]


def test_a_zone_that_is_gone_keeps_no_vm() -> None:
    toy = Toy()
    ok(toy.reserve_dns('web'))
    del toy.kept['a.example']
    toy.forget_records(toy.vm)


def test_what_is_there_is_changed_by_force_only() -> None:
    toy = Toy()
    toy.kept['a.example'] = [{'id': 50, 'type': 'CNAME', 'name': 'web', 'data': 'x.example'},
                             {'id': 51, 'type': 'TXT', 'name': 'web', 'data': 'hello'}]
    refused(toy.reserve_dns('web'), 'AlreadyExists', names='web.a.example')
    ok(toy.reserve_dns('web', force=True))
    assert toy.told() == [('web', 'A', '192.0.2.7'), ('web', 'TXT', 'hello')]
    [record] = [each for each in toy.kept['a.example'] if each['type'] == 'A']
    ok(toy.reserve_dns('web', ip='192.0.2.8', force=True))
    assert record['id'] in [each['id'] for each in toy.kept['a.example']], 'changed in its place'
    assert ('web', 'A', '192.0.2.8') in toy.told()


def test_a_part_that_fails_takes_back_the_others() -> None:
    toy = Toy()
    toy.fails_at = 2
    refused(toy.reserve_dns('web', alias=['www']), 'Unavailable')
    assert toy.told() == []


def test_what_can_not_be() -> None:
    toy = Toy()
    refused(toy.reserve_dns('db', domain='a.example'), 'NotFound', names='db')
    refused(toy.reserve_dns('db', domain='c.example', ip='192.0.2.9'), 'NotFound', names='c.example')
    refused(toy.reserve_dns('db', ip='192.0.2.9'), 'InvalidInput', names='domain')
    toy.vm['ip'] = None
    assert isinstance(toy.reserve_dns('web').error, Conflict)


def test_numbers_of_a_record_stand_before_its_data() -> None:
    toy = Toy()
    toy.kept['a.example'] = [{'id': 1, 'type': 'SRV', 'name': '_sip', 'data': 'sip', 'priority': 1, 'weight': 2,
                              'port': 5060},
                             {'id': 2, 'type': 'MX', 'name': '@', 'data': 'mail', 'priority': 10, 'weight': None},
                             {'id': 3, 'type': 'MX', 'name': '@', 'data': 'mail2', 'priority': 20}]
    assert [(row['name'], row['data']) for row in toy.list_dns('a.example.')] == [
        ('_sip.a.example', ['1 2 5060 sip']), ('a.example', ['10 mail', '20 mail2'])]


def test_all_entries_of_an_address_are_deleted() -> None:
    toy = Toy()
    ok(toy.reserve_dns('web', alias=['www']))
    toy.kept['a.example'].append({'id': 98, 'type': 'A', 'name': 'other', 'data': '192.0.2.7'})
    toy.kept['a.example'].append({'id': 99, 'type': 'A', 'name': 'third', 'data': '192.0.2.8'})
    ok(toy.delete_dns('web', 'a.example', allentries=True))
    assert toy.told() == [('third', 'A', '192.0.2.8')]
    refused(toy.delete_dns('web', 'a.example'), 'NotFound', names='web')
