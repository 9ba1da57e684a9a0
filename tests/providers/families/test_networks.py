"""Networks over the primitives of a platform."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kvirt.errors import Conflict, Unavailable
from kvirt.providers.families.networks import Member, Network, Networks, check_overlap, free_range
from kvirt.testing.platform import ok, refused
from kvirt.testing.sweep import Haste


class Memory(Networks):
    """Networks by name, each with its members."""

    network_settings = ('mtu',)
    network_prefix = 24

    def __init__(self) -> None:
        self.clock = Haste()
        self.there: dict[str, Network] = {}
        self.on: dict[str, list[Member]] = {}
        self.lost = False

    def read_networks(self) -> Iterable[Network]:
        return list(self.there.values())

    def make_network(self, name: str, cidr: str | None, fields: Mapping[str, str], settings: Mapping[str, Any]) -> None:
        row: Any = {'cidr': cidr, **settings, 'plan': fields['plan']}
        self.there[name] = Network(id=f'n-{name}', name=name, cidr=str(cidr), row=row, fields=fields)
        if self.lost:
            raise Unavailable('lost')

    def change_network(self, network: Network, fields: Mapping[str, str], settings: Mapping[str, Any]) -> None:
        row: Any = {**network.row, **fields, **settings}
        self.there[network.name] = Network(id=network.id, name=network.name, cidr=network.cidr, row=row)

    def drop_network(self, network: Network) -> None:
        del self.there[network.name]

    def network_members(self, network: Network) -> Sequence[Member]:
        return list(self.on.get(network.name, ()))

    def take_away(self, network: Network, member: Member) -> None:
        self.on[network.name].remove(member)


def test_a_network_is_made_changed_and_deleted() -> None:
    memory = Memory()
    ok(memory.create_network('lab', '10.1.0.0/16', plan='shop', overrides={'mtu': 1400}))
    assert memory.list_networks() == {'lab': {'cidr': '10.1.0.0/16', 'mtu': 1400, 'plan': 'shop'}}
    refused(memory.create_network('lab', '10.2.0.0/16'), 'AlreadyExists', names='lab')
    refused(memory.create_network('other', '10.1.2.0/24'), 'Conflict', names='lab')
    refused(memory.create_network('other', overrides={'mtv': 1}), 'InvalidInput', names='mtu')
    refused(memory.update_network('lab', overrides={'mtu': 1}), 'InvalidInput', names='mtu')
    ok(memory.update_network('n-lab', plan='bar'))
    assert memory.info_network('lab')['plan'] == 'bar'
    ok(memory.delete_network('lab'))
    refused(memory.delete_network('lab'), 'NotFound', names='lab')


def test_addresses_are_chosen_where_the_platform_does_not() -> None:
    memory = Memory()
    for name in ('one', 'two'):
        ok(memory.create_network(name))
    assert [network.cidr for network in memory.there.values()] == ['10.0.0.0/24', '10.0.1.0/24']
    memory.network_prefix = None  # type: ignore[misc]
    ok(memory.create_network('three'))
    assert memory.there['three'].cidr == 'None'


def test_a_network_whose_answer_is_lost_is_unmade_and_no_other() -> None:
    memory = Memory()
    ok(memory.create_network('kept'))
    memory.lost = True
    refused(memory.create_network('lab'), 'Unavailable')
    assert list(memory.there) == ['kept']


def test_a_network_in_use_is_deleted_by_force_where_members_can_leave() -> None:
    memory = Memory()
    ok(memory.create_network('lab'))
    memory.on['lab'] = [Member(name='web'), Member(name='balancer', is_vm=False)]
    assert memory.network_ports('lab') == ['web']
    memory.members_can_leave = False  # type: ignore[misc]
    for force in (False, True):
        refused(memory.delete_network('lab', force=force), 'Conflict', names='balancer, web')
    memory.members_can_leave = True  # type: ignore[misc]
    refused(memory.delete_network('lab'), 'Conflict', names='force')
    ok(memory.delete_network('lab', force=True))
    assert memory.on['lab'] == []


@given(st.lists(st.tuples(st.integers(0, 2**24 - 1), st.integers(9, 30)), max_size=12), st.integers(12, 28))
def test_a_range_that_is_free_overlaps_nothing(taken: list[tuple[int, int]], prefix: int) -> None:
    known = [str(ipaddress.ip_network((0x0a000000 + number, length), strict=False)) for number, length in taken]
    try:
        found = free_range(known, prefix)
    except Conflict:
        return
    assert found.prefixlen == prefix
    check_overlap('new', str(found), [('old', each) for each in known])
    before = int(found.network_address) - found.num_addresses
    if before >= 0x0a000000:
        with pytest.raises(Conflict):  # it is the first one
            check_overlap('new', f'{ipaddress.ip_address(before)}/{prefix}', [('old', each) for each in known])


def test_a_range_is_found_beside_large_ones_and_none_where_all_is_taken() -> None:
    assert str(free_range(['10.0.0.0/9', 'fd00::/8', '192.168.0.0/16'], 28)) == '10.128.0.0/28'
    assert str(free_range(['10.0.0.0/24', '10.0.2.0/24'], 24)) == '10.0.1.0/24'
    assert str(free_range(['10.0.0.0/30'], 16)) == '10.1.0.0/16'
    with pytest.raises(Conflict, match='no range of addresses is free'):
        free_range(['10.0.0.0/8'], 24)


def test_an_overlap_names_both() -> None:
    check_overlap('new', '10.0.0.0/8', [('six', 'fd00::/8'), ('other', '192.168.0.0/16')])
    with pytest.raises(Conflict, match='10.1.0.0/16 of network new overlaps 10.1.2.0/24 of network lab'):
        check_overlap('new', '10.1.0.0/16', [('lab', '10.1.2.0/24')])


def test_what_a_network_can_not_be_is_refused_with_the_reason() -> None:
    memory = Memory()
    memory.refused_of_networks = {'no dhcp': 'always told', 'domain': 'no domain'}  # type: ignore[misc]
    refused(memory.create_network('lab', dhcp=False), 'NotSupported', names='always told')
    ok(memory.create_network('lab', nat=False))
    refused(memory.update_network('lab', domain='a.example'), 'NotSupported', names='no domain')
    ok(memory.update_network('lab', dhcp=True, plan='shop'))


def test_what_is_none_stands_in_no_row() -> None:
    memory = Memory()
    memory.there['lab'] = Network(id='1', name='lab', cidr='10.1.0.0/24', row={'cidr': '10.1.0.0/24', 'domain': None})  # type: ignore[typeddict-item]
    assert memory.list_networks() == {'lab': {'cidr': '10.1.0.0/24'}}
