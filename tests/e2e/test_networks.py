"""Networks of every mode that this machine can make, on the real libvirtd; no guest is booted."""

from __future__ import annotations

import subprocess
from typing import Any

import pytest

from kvirt.providers.kvm import Kvirt
from kvirt.providers.kvm.domain import to_text
from kvirt.providers.kvm.netxml import network_element

pytestmark = pytest.mark.e2e

BARE: dict[str, Any] = {'virttype': 'qemu', 'cloudinit': False, 'memory': 64, 'numcpus': 1, 'disks': [1]}
CIDR, CIDR6 = '10.213.77.0/24', 'fd4b:2d5:77::/64'

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


def test_networks_on_what_is_there(kvm: Kvirt, prefix: str) -> None:
    name = f'{prefix}-net'
    for overrides, mode in (({'bridge': True, 'bridgename': 'virbr0'}, 'bridge'),
                            ({'macvtap': True, 'nic': 'eth0'}, 'macvtap'),
                            ({'ovs': True, 'bridgename': 'ovsbr0', 'vlans': [42, 43]}, 'ovs')):
        kvm.create_network(name, overrides=overrides).expect()
        assert kvm.info_network(name)['mode'] == mode
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
    assert broken.ok or "size='1400'" in network.XMLDesc(0)
    assert network.isActive()
    kvm.delete_network(name).expect()
