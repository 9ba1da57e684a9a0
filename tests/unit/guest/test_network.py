"""The network of a guest: golden network-configs, what each keyword means, and what is refused."""

from __future__ import annotations

import ipaddress
from collections.abc import Callable
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from kvirt.errors import InvalidInput
from kvirt.guest import network
from kvirt.spec import VmSpec, decode_vm
from tests.unit.guest.conftest import MACS, Make

STATIC = {'name': 'lan', 'ip': '10.0.0.5', 'netmask': '255.255.255.0', 'gateway': '10.0.0.1'}

CASES: dict[str, dict[str, Any]] = {
    'plain': {},
    'two': {'nets': ['default', 'lan']},
    'static': {'nets': [{**STATIC, 'dns': '1.1.1.1,9.9.9.9', 'domain': 'example.com', 'vips': ['10.0.0.6', '10.9.0.7/16'],
                         'mtu': 9000}, 'default']},
    'static-keywords': {'ip0': '10.0.0.5', 'netmask0': 24, 'gateway': '10.0.0.1', 'domain': 'example.com',
                        'nets': ['lan', {'name': 'b', 'ip': '10.1.0.5/24'}]},
    'static6': {'nets': [{'name': 'lan', 'ip': 'fd00::5/64', 'gateway': 'fd00::1'}]},
    'families': {'nets': [{'name': 'a', 'ipv6': True}, {'name': 'b', 'dualstack': True},
                          {**STATIC, 'dualstack': True}, {'name': 'd', 'ip': 'fd00::5/64', 'dualstack': True}]},
    'noconf': {'nets': ['default', {'name': 'lan', 'noconf': True}]},
    'named': {'nets': [{'name': 'default', 'nic': 'wan0'}, {'name': 'lan', 'nic': 'lan0'}]},
    'vlan': {'nets': ['default', {**STATIC, 'vlan': 10}, {'name': 'b', 'vlan': 10}]},
    'bridge': {'nets': [{'name': 'default', 'bridge': True}, {**STATIC, 'bridge': True, 'bridgename': 'br-lan'},
                        {'name': 'storage', 'bridge': True}]},
    'bond': {'nets': [{**STATIC, 'bond': 'bond0', 'mtu': 9000}, {'name': 'lan', 'bond': 'bond0'}, 'default']},
    'tower': {'nets': [{**STATIC, 'bond': 'bond0', 'bridge': True, 'bridgename': 'br0', 'vlan': 7},
                       {'name': 'lan', 'bond': 'bond0'}]},
}


def config(early: bool = False, **keywords: Any) -> dict[str, Any]:
    cards = decode_vm(keywords).cards()
    return network.network_config(cards, MACS[:len(cards)], early=early)


@pytest.mark.parametrize('case', CASES)
def test_golden(case: str, make: Make, golden: Callable[[str, str], None]) -> None:
    guest = make(**CASES[case])
    golden(f'network-{case}.yaml', guest.network_config(MACS[:len(guest.spec.nets)]))


def test_golden_for_an_early_cloud_init(make: Make, golden: Callable[[str, str], None]) -> None:
    golden('network-early.yaml', make(image='debian11', **CASES['static']).network_config(MACS[:2]))


def test_a_card_keeps_its_name_unless_it_must_have_one() -> None:
    assert 'set-name' not in config()['ethernets']['nic0']
    assert config(early=True)['ethernets']['nic0']['set-name'] == 'nic0'
    assert config(**CASES['vlan'])['ethernets']['nic1']['set-name'] == 'nic1'


def test_the_network_default_can_not_name_a_bridge() -> None:
    """The kernel has no device of that name: /proc/sys/net/ipv4/conf/default is taken."""
    assert list(config(**CASES['bridge'])['bridges']) == ['br0', 'br-lan', 'storage']


def test_the_gateway_is_asked_for_names_when_nobody_else_is() -> None:
    assert config(nets=[STATIC])['ethernets']['nic0']['nameservers'] == {'addresses': ['10.0.0.1']}
    assert 'nameservers' not in config(nets=[{'name': 'a', 'gateway': '10.0.0.1'}])['ethernets']['nic0']


@pytest.mark.parametrize(('net', 'said'), [
    ({'nic': 'a name'}, "nic: 'a name' can not name"), ({'nic': '-x'}, 'nic'), ({'nic': 'a' * 16}, 'nic'),
    ({'nic': 'default'}, 'nic'), ({'nic': '../x'}, 'nic'), ({'bond': 'b\nc'}, 'bond'), ({'bridgename': '/'}, 'bridgename'),
    ({'vlan': 0}, 'vlan: 0'), ({'vlan': 4095}, 'vlan: 4095'), ({'mtu': 1}, 'mtu: 1'), ({'domain': 'a b'}, 'domain'),
    ({'domain': 'x\ny: z'}, 'domain'), ({'vips': ['10.0.0.300']}, "vips: '10.0.0.300'"),
    ({'ip': '10.0.0.5/24', 'gateway': 'fd00::1'}, 'gateway: fd00::1'),
])
def test_what_is_refused(make: Make, net: dict[str, Any], said: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        make(nets=['default', {'name': 'lan', **net}])
    assert f'nets 1: {said}' in str(caught.value)


@pytest.mark.parametrize(('nets', 'said'), [
    ([{'name': 'a', 'nic': 'x'}, {'name': 'b', 'nic': 'x'}], "the name 'x'"),
    ([{'name': 'a', 'nic': 'nic1'}, 'b'], "the name 'nic1'"),
    ([{'name': 'a', 'bond': 'x', 'bridge': True, 'bridgename': 'x'}], "the name 'x'"),
    ([{'name': 'a', 'bond': 'x'}, {'name': 'b', 'bond': 'x', 'ip': '10.0.0.1/8'}], 'x is configured by its first card'),
    ([{'name': 'a', 'bridge': True}, {'name': 'a', 'bridge': True, 'vlan': 3}], 'a is configured by its first card'),
])
def test_clashes_are_refused(make: Make, nets: list[Any], said: str) -> None:
    with pytest.raises(InvalidInput, match=said):
        make(nets=nets)


def test_as_many_mac_addresses_as_cards(make: Make) -> None:
    with pytest.raises(InvalidInput, match='1 network cards, but 2 MAC addresses'):
        make().network_config(MACS[:2])


NETWORKS = ['default', 'lan', 'a-name-that-is-too-long-for-a-bridge']
NETS = st.lists(st.fixed_dictionaries({'name': st.sampled_from(NETWORKS)}, optional={
    'ip': st.one_of(st.ip_addresses(v=4), st.ip_addresses(v=6)).map(lambda ip: f'{ip}/{24 if ip.version == 4 else 64}'),
    'vlan': st.integers(1, 4094), 'bond': st.sampled_from(['bond0', 'bond1']), 'bridge': st.booleans(),
    'noconf': st.booleans(), 'ipv6': st.booleans(), 'dualstack': st.booleans(), 'mtu': st.integers(1280, 9000),
    'vips': st.lists(st.ip_addresses(v=4).map(str), max_size=2)}), min_size=1, max_size=8)


@given(NETS)
@settings(deadline=None)
def test_every_card_is_there_once_and_every_part_exists(nets: list[dict[str, Any]]) -> None:
    cards = decode_vm({'nets': nets}).cards()
    if network.check(cards):
        return
    made = network.network_config(cards, MACS[:len(cards)])
    assert [each['match']['macaddress'] for each in made['ethernets'].values()] == list(MACS[:len(cards)])
    names = [name for kind, section in made.items() if kind != 'version' for name in section]
    assert len(set(names)) == len(names)
    assert all(len(name) <= 15 for name in names)
    parts = [part for kind in ('bonds', 'bridges') for each in made.get(kind, {}).values() for part in each['interfaces']]
    parts += [each['link'] for each in made.get('vlans', {}).values()]
    assert len(set(parts)) == len(parts)
    assert set(parts) <= set(names)
    addresses = [address for kind, section in made.items() if kind != 'version' for each in section.values()
                 for address in each.get('addresses', ())]
    assert all(ipaddress.ip_interface(address) for address in addresses)
    wanted = {str(card.interface) for card in cards if card.interface and not card.noconf}
    assert wanted <= set(addresses)


def test_a_vm_without_cards_has_no_network_config(make: Make) -> None:
    assert yaml.safe_load(make(nets=[]).network_config([])) == {'version': 2, 'ethernets': {}}
    assert VmSpec(nets=()).cards() == ()
