"""Load balancers of clouds: what is looked up first, made whole or not at all, recorded, and found again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
import pytest

from kvirt.errors import Conflict, NotFound, Unavailable
from kvirt.providers.families.balancers import Balancer, CloudBalancers, NewBalancer
from kvirt.providers.families.dns import Record, Zone
from kvirt.providers.families.machines import Machine
from kvirt.providers.families.marks import MARK, RECORDS
from kvirt.testing.platform import ok, refused
from kvirt.testing.sweep import Haste


class Toy(CloudBalancers):
    """A platform with one zone and three VMs, whose balancers get their address after a while, in memory."""

    balancer_names = (r'[a-z-]+', 'Use small letters and dashes')

    def __init__(self) -> None:
        self.clock = Haste()
        self.kept: dict[str, Balancer] = {}
        self.behind: dict[str, list[str]] = {}
        self.records: list[Record] = []
        self.dnsname: str | None = None
        self.looks_until_address = 3
        self.fails = ''
        self.deeds: list[str] = []

    def dns_zones(self) -> list[Zone]:
        return [Zone(name='a.example')]

    def dns_records(self, zone: Zone) -> list[Record]:
        return self.records

    def change_records(self, zone: Zone, drop: Sequence[Record], put: Sequence[Record] = ()) -> None:
        self._did('records')
        self.records = [each for each in self.records if each not in drop] + [
            msgspec.structs.replace(each, native=1) for each in put]

    def machine(self, name: str) -> Machine:
        if name not in ('one', 'two', 'three'):
            raise NotFound(f'VM {name} does not exist')
        return Machine(id=f'id-{name}', name=name, ip='192.0.2.1')

    def balancers(self) -> list[Balancer]:
        self.looks_until_address -= 1
        if self.looks_until_address <= 0 and not self.dnsname:
            self.kept = {key: msgspec.structs.replace(each, ip='192.0.2.7') for key, each in self.kept.items()}
        return list(self.kept.values())

    def members(self, balancers: Sequence[Balancer]) -> dict[str, list[str]]:
        return {each.id: self.behind[each.id] for each in balancers if each.id in self.behind}

    def balancer_fields(self, balancer: Balancer) -> Mapping[str, str]:
        return balancer.native or {}

    def make_balancer(self, wanted: NewBalancer, needs: Any) -> Balancer:
        self._did('make')
        made = Balancer(id='lb-1', name=wanted.name, ports=wanted.ports, dnsname=self.dnsname, native=wanted.fields)
        self.kept[made.id], self.behind[made.id] = made, [vm.name for vm in wanted.vms]
        self._did('answer')
        return made

    def drop_balancer(self, balancer: Balancer) -> None:
        self._did('drop')
        self.kept.pop(balancer.id, None)

    def add_member(self, balancer: Balancer, vm: Machine) -> None:
        self.behind[balancer.id].append(vm.name)

    def serve_ports(self, balancer: Balancer, ports: Sequence[int]) -> None:
        self.kept[balancer.id] = msgspec.structs.replace(balancer, ports=[*balancer.ports, *ports])

    def _did(self, deed: str) -> None:
        self.deeds.append(deed)
        if deed == self.fails:
            self.fails = ''
            raise Unavailable('the platform stumbles')

    def told(self) -> list[tuple[str, str, tuple[str, ...]]]:
        return [(each.name, each.type, each.values) for each in self.records]


def test_one_is_made_listed_changed_and_deleted() -> None:
    toy = Toy()
    ok(toy.create_loadbalancer('web', ports=[443, 80, 80], vms=['two', 'one', 'two'], checkpath='health'))
    assert toy.list_loadbalancers() == [
        {'name': 'web', 'ip': None, 'protocol': 'tcp', 'ports': [80, 443], 'vms': ['one', 'two']}]
    ok(toy.add_vm_to_loadbalancer('three', 'lb-1', ports=[80, 81]))
    [row] = toy.list_loadbalancers()
    assert (row['ports'], row['vms']) == ([80, 81, 443], ['one', 'three', 'two'])
    ok(toy.delete_loadbalancer('web'))
    assert toy.list_loadbalancers() == []
    refused(toy.delete_loadbalancer('web'), 'NotFound', names='web')
    assert 'records' not in toy.deeds


def test_what_others_made_has_no_vms_that_are_known() -> None:
    toy = Toy()
    toy.kept['x'] = Balancer(id='x', name='theirs', ports=(), dnsname='x.cloud.example', protocol='http', location='here')
    assert toy.list_loadbalancers() == [{'name': 'theirs', 'ip': None, 'protocol': 'http', 'ports': [],
                                         'dnsname': 'x.cloud.example', 'location': 'here'}]


def test_its_address_is_waited_for_and_recorded() -> None:
    toy = Toy()
    assert ok(toy.create_loadbalancer('web', ports=[80], domain='a.example', alias=['www']))['ip'] == '192.0.2.7'
    assert toy.told() == [('web', 'A', ('192.0.2.7',)), ('www', 'A', ('192.0.2.7',))]
    toy.records += [Record(name='theirs', type='A', values=('192.0.2.9',), native=1),
                    Record(name='web', type='AAAA', values=('2001:db8::9',), native=1)]
    ok(toy.delete_loadbalancer('web'))
    assert [(name, kind) for name, kind, _ in toy.told()] == [('theirs', 'A'), ('web', 'AAAA')]


def test_where_it_has_a_name_that_is_recorded() -> None:
    toy = Toy()
    toy.dnsname, toy.balancer_records = 'lb-1.cloud.example', 'CNAME'  # type: ignore[misc]
    assert ok(toy.create_loadbalancer('web', ports=[80], domain='a.example', alias=['www']))['dnsname'] == toy.dnsname
    assert toy.told() == [(name, 'CNAME', ('lb-1.cloud.example.',)) for name in ('web', 'www')]


@pytest.mark.parametrize(('name', 'keywords', 'kind', 'words'), [
    ('Web', {}, 'InvalidInput', 'small letters'), ('web', {'ports': []}, 'InvalidInput', 'ports'),
    ('web', {'ports': [70000]}, 'InvalidInput', '70000'), ('web', {'checkport': 0}, 'InvalidInput', '0'),
    ('web', {'ip': '192.0.2.1'}, 'NotSupported', 'address'), ('web', {'dnsclient': 'other'}, 'NotSupported', 'records'),
    ('web', {'vms': ['one', 'four']}, 'NotFound', 'four'), ('web', {'domain': 'b.example'}, 'NotFound', 'b.example'),
    ('there', {}, 'AlreadyExists', 'there')])
def test_what_can_not_be_is_refused_before_anything_is_made(name: str, keywords: dict[str, Any], kind: str,
                                                            words: str) -> None:
    toy = Toy()
    toy.kept['x'] = Balancer(id='x', name='there', ports=[80])
    refused(toy.create_loadbalancer(name, **{'ports': [80], **keywords}), kind, names=words)
    assert toy.deeds == []


def test_what_the_platform_forbids_is_told_before_anything_is_made() -> None:
    def needs(wanted: NewBalancer) -> None:
        raise Conflict('no network')
    toy = Toy()
    toy.balancer_needs = needs  # type: ignore[method-assign]
    refused(toy.create_loadbalancer('web', ports=[80]), 'Conflict')
    assert toy.deeds == []


@pytest.mark.parametrize('fails', ['make', 'answer', 'records'])
def test_it_is_made_whole_or_not_at_all(fails: str) -> None:
    toy = Toy()
    toy.fails = fails
    refused(toy.create_loadbalancer('web', ports=[80], domain='a.example'), 'Unavailable')
    assert (toy.kept, toy.records) == ({}, [])


def test_one_of_that_name_which_another_made_meanwhile_stays() -> None:
    toy = Toy()
    toy.fails = 'make'
    toy.balancer_exists = lambda name: False  # type: ignore[method-assign]
    toy.kept['x'] = Balancer(id='x', name='web', ports=[80], native={MARK: 'other'})
    refused(toy.create_loadbalancer('web', ports=[80]), 'Unavailable')
    assert list(toy.kept) == ['x']


def test_a_record_that_was_there_outlives_a_balancer_that_could_not_be_made() -> None:
    toy = Toy()
    toy.records.append(Record(name='web', type='A', values=('192.0.2.9',), native=1))
    refused(toy.create_loadbalancer('web', ports=[80], domain='a.example'), 'AlreadyExists', names='web.a.example')
    assert toy.told() == [('web', 'A', ('192.0.2.9',))]
    assert toy.deeds == []


def test_it_bears_which_records_are_its() -> None:
    toy = Toy()
    ok(toy.create_loadbalancer('web', ports=[80], domain='A.example.', alias=['@']))
    assert toy.kept['lb-1'].native[RECORDS] == 'A/web@a.example,A/@@a.example'
