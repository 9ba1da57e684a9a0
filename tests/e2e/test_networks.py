"""Networks of every mode that this machine can make, on the real libvirtd; no guest is booted."""

from __future__ import annotations

import ipaddress
import json
import subprocess
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import libvirt
import pytest

from kvirt.errors import Conflict
from kvirt.providers.kvm import Kvirt
from kvirt.providers.kvm.domain import to_text
from kvirt.providers.kvm.netxml import network_element

pytestmark = pytest.mark.e2e

BARE: dict[str, Any] = {'virttype': 'qemu', 'cloudinit': False, 'memory': 64, 'numcpus': 1, 'disks': [1]}
CIDR, CIDR6 = '10.213.77.0/24', 'fd4b:2d5:77::/64'

GOLDEN = Path(__file__).parents[1] / 'unit' / 'providers' / 'kvm' / 'golden'

MODES: dict[str, dict[str, Any]] = {
    'nat': {}, 'isolated': {'nat': False}, 'routed': {'overrides': {'forward_mode': 'routed'}},
    'open': {'overrides': {'forward_mode': 'open'}}}


@pytest.mark.parametrize('mode', MODES)
@pytest.mark.parametrize('family', ['ipv4', 'ipv6', 'dual'])
def test_modes(kvm: Kvirt, prefix: str, mode: str, family: str) -> None:
    name = f'{prefix}-net'
    asked = dict(MODES[mode])
    dual = {'dual_cidr': CIDR6} if family == 'dual' else {}
    asked['overrides'] = {**asked.get('overrides', {}), **dual}
    cidr = CIDR6 if family == 'ipv6' else CIDR
    kvm.create_network(name, cidr=cidr, **asked).expect()
    known = kvm.info_network(name)
    assert (known['mode'], known['cidr'], known['dhcp']) == (mode, cidr, True)
    assert known.get('dual_cidr') == dual.get('dual_cidr')
    kvm.delete_network(name).expect()


@pytest.mark.parametrize('path', sorted(GOLDEN.glob('*.network')), ids=lambda path: path.stem)
def test_libvirt_takes_every_golden_description(kvm: Kvirt, prefix: str, path: Path) -> None:
    root = ElementTree.fromstring(path.read_text())
    name = root.find('name')
    assert name is not None
    name.text = f'{prefix}-net'
    described = to_text(root)
    network = kvm.libvirt.networkDefineXML(described)
    kept = ElementTree.fromstring(network.XMLDesc(libvirt.VIR_NETWORK_XML_INACTIVE))
    network.undefine()
    # libvirt adds a uuid, a MAC address and the like. What it does not know it would leave out.
    assert {each.tag for each in root.iter()} <= {each.tag for each in kept.iter()}
    for each in root.iter():
        assert any(each.attrib.items() <= other.attrib.items() for other in kept.iter(each.tag)), each.tag


def test_settings(kvm: Kvirt, prefix: str) -> None:
    name = f'{prefix}-net'
    kvm.create_network(name, cidr=CIDR, domain='lab.test', overrides={
        'bridgename': prefix[:15], 'mtu': 1400,
        'forwarders': ['9.9.9.9', {'domain': 'corp.test', 'addr': '10.0.0.53'}],
        'dhcp_start': '10.213.77.100', 'dhcp_end': '10.213.77.199', 'dhcp_lease': 90, 'pxe': '10.213.77.9',
        'dhcp_options': {'ntp-server': '10.213.77.9', 26: 1400}}).expect()
    network = kvm.libvirt.networkLookupByName(name)
    text = network.XMLDesc(0)
    for wanted in ("size='1400'", "addr='9.9.9.9'", "start='10.213.77.100'", "expiry='90'", "file='pxelinux.0'",
                   "value='dhcp-option=option:ntp-server,10.213.77.9'"):
        assert wanted in text
    link = subprocess.run(['ip', '-o', 'link', 'show', network.bridgeName()], capture_output=True, text=True, check=True)
    assert 'mtu 1400' in link.stdout
    kvm.delete_network(name).expect()


def test_bandwidth(kvm: Kvirt, prefix: str) -> None:
    name, overrides = f'{prefix}-net', {'bandwidth_inbound_average': 1000, 'bandwidth_outbound_average': 1000}
    made = kvm.create_network(name, cidr=CIDR, overrides=overrides)
    if not made.ok:  # a kernel without a shaper of traffic: the network is not made, and libvirt took its description
        assert 'qdisc' in made['reason'] and not kvm.net_exists(name)
        kvm.libvirt.networkDefineXML(to_text(network_element(name, CIDR, True, True, None, 'kvirt', overrides)))
    assert "average='1000'" in kvm.libvirt.networkLookupByName(name).XMLDesc(0)
    kvm.delete_network(name).expect()


@pytest.fixture
def link(prefix: str) -> Iterator[Callable[..., str]]:
    """Return a function that makes a device of this machine, and returns its name."""
    made: list[str] = []

    def make(kind: str, *words: str) -> str:
        name = f'{prefix[:13]}{len(made)}'
        subprocess.run(['ip', 'link', 'add', name, 'type', kind, *words], check=True)
        made.append(name)
        subprocess.run(['ip', 'link', 'set', name, 'up'], check=True)
        return name
    yield make
    for name in made:
        subprocess.run(['ip', 'link', 'del', name], check=True)


def links(*words: str) -> list[dict[str, Any]]:
    """The devices of this machine that *words* choose."""
    shown = subprocess.run(['ip', '-j', '-d', 'link', 'show', *words], capture_output=True, text=True, check=True)
    return [each for each in json.loads(shown.stdout) if each]


def test_a_bridge_that_is_there(kvm: Kvirt, prefix: str, link: Callable[..., str]) -> None:
    name, bridge, vm = f'{prefix}-net', link('bridge'), f'{prefix}-a'
    kvm.create_network(name, overrides={'bridge': True, 'bridgename': bridge}).expect()
    assert kvm.info_network(name) == {'dhcp': False, 'type': 'libvirt', 'mode': 'bridge', 'plan': 'kvirt',
                                       'bridgename': bridge}
    kvm.create(vm, **BARE, nets=[name, bridge]).expect()  # a card on the network, and one on the bridge itself
    assert len(links('master', bridge)) == 2
    assert [nic['net'] for nic in kvm.info(vm)['nets']] == [name, bridge]
    for refused in (kvm.delete_network(name), kvm.update_network(name, overrides={'bandwidth_inbound_average': 1000})):
        assert refused['error'] == 'Conflict' and vm in refused['reason']
    kvm.delete(vm).expect()
    kvm.delete_network(name).expect()
    assert [each['ifname'] for each in links('dev', bridge)] == [bridge], 'the bridge is not ours'


@pytest.mark.parametrize('settings', [{'bridge': True, 'bridgename': 'nosuchdev0'}, {'macvtap': True, 'nic': 'nosuchdev0'},
                                      {'forward_mode': 'routed', 'nic': 'nosuchdev0'}], ids=lambda settings: min(settings))
def test_a_device_that_is_not_there_is_told(kvm: Kvirt, prefix: str, settings: dict[str, Any]) -> None:
    cidr = CIDR if 'forward_mode' in settings else None
    refused = kvm.create_network(f'{prefix}-net', cidr=cidr, overrides=settings)
    assert refused['error'] == 'NotFound' and "'nosuchdev0'" in refused['reason']
    assert not kvm.net_exists(f'{prefix}-net')


def test_macvtap_on_a_device(kvm: Kvirt, prefix: str, link: Callable[..., str]) -> None:
    name, vm = f'{prefix}-net', f'{prefix}-a'
    device = link('veth', 'peer', 'name', f'{prefix[:13]}p')
    kvm.create_network(name, overrides={'macvtap': True, 'nic': device}).expect()
    assert kvm.info_network(name)['mode'] == 'macvtap'
    kvm.create(vm, **BARE, nets=[name]).expect()
    [tap] = [each for each in links('type', 'macvtap') if each.get('link') == device]
    assert [nic['mac'] for nic in kvm.info(vm)['nets']] == [tap['address']]
    kvm.delete(vm).expect()
    assert [each for each in links('type', 'macvtap') if each.get('link') == device] == []
    kvm.delete_network(name).expect()


def test_vlans_where_this_machine_can_have_them(kvm: Kvirt, prefix: str, link: Callable[..., str]) -> None:
    name, vm, bridge = f'{prefix}-net', f'{prefix}-a', link('bridge')
    plain = kvm.create_network(name, overrides={'bridge': True, 'bridgename': bridge, 'vlan': 42})
    if kvm.libvirt.getLibVersion() >= 11_000_000:
        kvm.delete_network(name).expect()
    else:
        assert plain['error'] == 'NotSupported' and '11.0' in plain['reason'] and not kvm.net_exists(name)
    kvm.create_network(name, overrides={'ovs': True, 'bridgename': bridge, 'vlans': [42, 43]}).expect()
    assert kvm.info_network(name)['mode'] == 'ovs'
    made = kvm.create(vm, **BARE, nets=[name])
    if not made.ok:  # Open vSwitch is not installed, or has no such bridge: the reason is told, and nothing is left
        assert f'OVS bridge {bridge}' in made['reason']
        assert not kvm.exists(vm)
    else:
        kvm.delete(vm).expect()
    kvm.delete_network(name).expect()


def test_networks_that_are_made_at_once_do_not_get_in_each_others_way(kvm: Kvirt, prefix: str) -> None:
    names = [f'{prefix}-net{number}' for number in range(4)]  # libvirt may choose one name of a bridge for two of them
    with ThreadPoolExecutor(len(names)) as pool:
        made = list(pool.map(lambda name: kvm.create_network(name, cidr=f'10.213.8{name[-1]}.0/24', dhcp=False), names))
    assert [result.get('reason') for result in made] == [None] * len(names)
    for name in names:
        kvm.delete_network(name).expect()


def test_a_network_that_does_not_start_leaves_nothing(kvm: Kvirt, prefix: str) -> None:
    refused = kvm.create_network(f'{prefix}-net', cidr=CIDR, overrides={'bridgename': 'eth0'})
    assert not refused.ok
    assert not kvm.net_exists(f'{prefix}-net')


def test_changes(kvm: Kvirt, prefix: str) -> None:
    name, vm = f'{prefix}-net', f'{prefix}-a'
    kvm.create_network(name, cidr=CIDR, plan='one').expect()
    kvm.update_network(name, nat=False, overrides={'mtu': 1400}).expect()
    network = kvm.libvirt.networkLookupByName(name)
    assert "size='1400'" in network.XMLDesc(0) and '<forward' not in network.XMLDesc(0)
    kvm.update_network(name, domain='lab.test', overrides={
        'forwarders': ['9.9.9.9'], 'dhcp_options': {'ntp-server': '10.213.77.9'}, 'dual_cidr': CIDR6}).expect()
    for wanted in ("<domain name='lab.test'", "addr='9.9.9.9'", 'option:ntp-server,10.213.77.9', "size='1400'"):
        assert wanted in network.XMLDesc(0)
    assert (kvm.info_network(name)['domain'], kvm.info_network(name)['dual_cidr']) == ('lab.test', CIDR6)
    kvm.create(vm, **BARE, nets=[name]).expect()
    assert kvm.network_ports(name) == [vm]
    for refused in (kvm.update_network(name, nat=True), kvm.delete_network(name)):
        assert refused['error'] == 'Conflict' and vm in refused['reason']
    kvm.update_network(name, dhcp=False, plan='two').expect()  # nothing that a VM on it would notice
    assert (kvm.info_network(name)['dhcp'], kvm.info_network(name)['plan']) == (False, 'two')
    assert '<range' not in network.XMLDesc(0)
    kvm.update_network(name, dhcp=True, overrides={'dhcp_start': '10.213.77.50'}).expect()
    assert "start='10.213.77.50'" in network.XMLDesc(0)
    kvm.delete(vm).expect()
    broken = kvm.update_network(name, overrides={'forward_mode': 'nat', 'nic': 'nosuchnic0', 'mtu': 60000})
    assert broken['error'] == 'NotFound' and "'nosuchnic0'" in broken['reason']
    assert "size='1400'" in network.XMLDesc(0)
    assert network.isActive()
    kvm.delete_network(name).expect()


def hosts(kvm: Kvirt, name: str) -> tuple[list[dict[str, str]], list[str]]:
    """What a network keeps and answers for, in what runs and in what is started the next time, which are the same."""
    network = kvm.libvirt.networkLookupByName(name)
    live, config = (ElementTree.fromstring(network.XMLDesc(flags)) for flags in (0, libvirt.VIR_NETWORK_XML_INACTIVE))
    kept, answers = ([[dict(host.attrib) for host in root.iterfind('ip/dhcp/host')] for root in (live, config)],
                     [[name.text or '' for name in root.iterfind('dns/host/hostname')] for root in (live, config)])
    assert kept[0] == kept[1] and answers[0] == answers[1]
    return kept[0], answers[0]


def test_addresses_are_reserved_and_given_back(kvm: Kvirt, prefix: str) -> None:
    net, vm = f'{prefix}-net', f'{prefix}-a'
    kvm.create_network(net, cidr=CIDR, domain='lab.test', overrides={'dual_cidr': CIDR6}).expect()
    card = {'name': net, 'ip': '10.213.77.9', 'netmask': 24, 'mac': '52:54:00:12:34:56'}
    asked: dict[str, Any] = {**BARE, 'start': False, 'nets': [card], 'reserveip': True, 'reservedns': True}
    kvm.create(vm, **asked).expect()
    assert hosts(kvm, net) == ([{'mac': card['mac'], 'name': vm, 'ip': '10.213.77.9'}], [vm, f'{vm}.lab.test'])
    taken = kvm.create(f'{prefix}-b', **asked)
    assert taken['error'] == 'Conflict' and vm in taken['reason']
    assert not kvm.exists(f'{prefix}-b')
    kvm.clone(vm, f'{prefix}-c').expect()
    kvm.delete(f'{prefix}-c').expect()
    kvm.rename(vm, f'{prefix}-d').expect()
    kvm.delete(f'{prefix}-d').expect()
    assert hosts(kvm, net) == ([], [])
    card |= {'ip': str(ipaddress.ip_network(CIDR6)[9]), 'netmask': 64}
    kvm.create(vm, **asked).expect()
    assert hosts(kvm, net)[0] == [{'name': vm, 'ip': card['ip']}]
    kvm.delete(vm).expect()
    assert hosts(kvm, net) == ([], [])
    kvm.delete_network(net).expect()


def test_what_is_reserved_bears_the_name_that_a_vm_gets(kvm: Kvirt, prefix: str) -> None:
    net, old, new = f'{prefix}-net', f'{prefix}-old', f'{prefix}-new'
    first, second = '10.213.77.9', str(ipaddress.ip_network(CIDR6)[9])
    mac = '52:54:00:12:34:57'
    kvm.create_network(net, cidr=CIDR, domain='lab.test', overrides={'dual_cidr': CIDR6}).expect()
    cards = [{'name': net, 'ip': first, 'netmask': 24, 'mac': mac}, {'name': net, 'ip': second, 'netmask': 64}]
    kvm.create(old, **BARE, start=False, nets=cards, reserveip=True, reservedns=True).expect()
    kvm.reserve_dns(f'{prefix}-alias', domain='lab.test', ip=first).expect()
    before = hosts(kvm, net)

    kvm.reserve_dns(new, domain='lab.test', ip='10.213.77.10').expect()
    taken = kvm.rename(old, new)
    assert taken['error'] == 'AlreadyExists' and f'{new}.lab.test' in taken['reason']
    assert kvm.exists(old) and not kvm.exists(new)
    kvm.delete_dns(new, 'lab.test').expect()
    assert hosts(kvm, net) == before

    kvm.rename(old, new).expect()
    kept, answers = hosts(kvm, net)
    assert sorted(kept, key=len) == [{'name': new, 'ip': second}, {'mac': mac, 'name': new, 'ip': first}]
    alias = [f'{prefix}-alias', f'{prefix}-alias.lab.test']
    assert sorted(answers) == sorted([new, f'{new}.lab.test', *alias, new, f'{new}.lab.test'])
    kvm.delete(new).expect()
    assert hosts(kvm, net) == ([], alias)
    kvm.delete_network(net).expect()


def test_a_rename_that_fails_leaves_every_name_as_it_was(kvm: Kvirt, prefix: str, monkeypatch: pytest.MonkeyPatch) -> None:
    net, vm, new = f'{prefix}-net', f'{prefix}-a', f'{prefix}-b'
    kvm.create_network(net, cidr=CIDR, domain='lab.test').expect()
    card = {'name': net, 'ip': '10.213.77.9', 'netmask': 24}
    kvm.create(vm, **BARE, start=False, nets=[card], reserveip=True, reservedns=True).expect()
    before, amend, calls = hosts(kvm, net), kvm.amend, []

    def failing(*arguments: Any) -> None:
        calls.append(arguments)
        if len(calls) == limit:
            raise Conflict('the network is busy')
        amend(*arguments)
    monkeypatch.setattr(kvm, 'amend', failing)
    for limit in (2, 4):  # when the new entry of DHCP was to be made, and that of DNS
        calls.clear()
        refused = kvm.rename(vm, new)
        assert refused['error'] == 'Conflict' and 'busy' in refused['reason']
        assert len(calls) >= limit and hosts(kvm, net) == before
        assert kvm.exists(vm) and not kvm.exists(new)
    kvm.delete(vm).expect()
    assert hosts(kvm, net) == ([], [])
    kvm.delete_network(net).expect()


def test_names_are_kept_by_networks_of_one_domain(kvm: Kvirt, prefix: str) -> None:
    first, second, vm = f'{prefix}-net', f'{prefix}-net2', f'{prefix}-a'
    kvm.create_network(first, cidr=CIDR, domain='lab.test').expect()
    kvm.create_network(second, cidr='10.213.78.0/24', domain='lab.test').expect()
    kvm.create(vm, **BARE, start=False, nets=[{'name': second, 'ip': '10.213.78.9', 'netmask': 24}],
               reservedns=True).expect()
    assert hosts(kvm, second)[1] == [vm, f'{vm}.lab.test'] and hosts(kvm, first)[1] == []
    kvm.delete(vm).expect()
    for each in (first, second):
        kvm.delete_network(each).expect()


@pytest.mark.parametrize(('keywords', 'fragment'), [
    ({'reserveip': True}, 'no card'), ({'reservedns': True, 'nets': [{'ip': '10.9.9.9', 'netmask': 24}]}, 'no address of')])
def test_addresses_that_can_not_be_reserved(kvm: Kvirt, prefix: str, keywords: dict[str, Any], fragment: str) -> None:
    refused = kvm.create(f'{prefix}-a', **{**BARE, **keywords})
    assert refused['error'] == 'InvalidInput' and fragment in f"{refused['reason']} {refused}"


def test_a_create_that_fails_gives_addresses_back(kvm: Kvirt, prefix: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: Any) -> None:
        raise Conflict('a volume can not be made')
    net = f'{prefix}-net'
    kvm.create_network(net, cidr=CIDR).expect()
    monkeypatch.setattr(kvm, '_make', fail)
    card = {'name': net, 'ip': '10.213.77.9', 'netmask': 24}
    refused = kvm.create(f'{prefix}-a', **{**BARE, 'nets': [card], 'reserveip': True, 'reservedns': True})
    assert refused['error'] == 'Conflict'
    assert hosts(kvm, net) == ([], [])
    assert not kvm.exists(f'{prefix}-a')
    kvm.delete_network(net).expect()
