"""Golden descriptions of networks, checked against libvirt's own schema; changes to them; and what must be refused."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from kvirt.errors import InvalidInput
from kvirt.providers.kvm import Kvirt, domain
from kvirt.providers.kvm.netsettings import told, unlike
from kvirt.providers.kvm.networks import network_shape
from kvirt.providers.kvm.netxml import SETTINGS, changed, differences, network_element

SCHEMA = Path('/usr/share/libvirt/schemas/network.rng')
LAB = '10.1.2.0/24'

CASES: dict[str, dict[str, Any]] = {
    'nat': {}, 'isolated': {'nat': False}, 'routed': {'forward_mode': 'routed'}, 'open': {'forward_mode': 'open'},
    'nodhcp': {'dhcp': False}, 'domain': {'domain_name': 'lab.test'},
    'localdomain': {'domain_name': 'lab.test', 'localdomain': False},
    'ipv6': {'cidr': 'fd00:1::/64'}, 'dual': {'dual_cidr': 'fd00:1::/64'},
    'nic': {'nic': 'eth0'}, 'bridgename': {'bridgename': 'virbr77', 'fwzone': 'public'},
    'bridge': {'cidr': None, 'bridge': True, 'bridgename': 'br0'},
    'macvtap': {'cidr': None, 'macvtap': True, 'nic': 'eth0'},
    'ovs': {'cidr': None, 'ovs': True, 'bridgename': 'ovsbr0'},
    'vlan': {'cidr': None, 'ovs': True, 'bridgename': 'ovsbr0', 'vlan': 42},
    'vlans': {'cidr': None, 'ovs': True, 'bridgename': 'ovsbr0', 'vlans': [42, 43]},
    'dhcp_range': {'dhcp_start': '10.1.2.100', 'dhcp_end': '10.1.2.199', 'dhcp_lease': 90},
    'dhcp_options': {'dhcp_options': {'ntp-server': ['10.1.2.9', '10.1.2.8'], 26: 1400, 'option6:dns-server': '[fd00::1]'}},
    'pxe': {'pxe': '10.1.2.9', 'bootfile': 'grub/grubx64.efi'},
    'nodns': {'dns': False}, 'mtu': {'mtu': 9000},
    'forwarders': {'forwarders': ['9.9.9.9', {'domain': 'corp.test', 'addr': '10.0.0.53'}]},
    'bandwidth': {'bandwidth_inbound_average': 1000, 'bandwidth_inbound_peak': 5000, 'bandwidth_inbound_burst': 512,
                  'bandwidth_outbound_average': 128, 'bandwidth_outbound_peak': 256, 'bandwidth_outbound_burst': 64}}


def element(name: str = 'lab', cidr: str | None = LAB, dhcp: bool = True, nat: bool = True, domain_name: str | None = None,
            **settings: Any) -> ElementTree.Element:
    return network_element(name, cidr, dhcp, nat, domain_name, 'shop', settings)


def validate(text: str) -> None:
    if SCHEMA.exists() and shutil.which('xmllint'):
        subprocess.run(['xmllint', '--noout', '--relaxng', str(SCHEMA), '-'], input=text, text=True, check=True,
                       capture_output=True)


@pytest.mark.parametrize('case', CASES)
def test_golden(case, golden):
    text = domain.to_text(element(**CASES[case]))
    golden(f'{case}.network', text)
    validate(text)


def test_every_setting_has_a_golden_file():
    assert set(SETTINGS) <= {key for case in CASES.values() for key in case}


@pytest.mark.parametrize(('settings', 'fragment'), [
    ({'mtu': 20}, 'from 68'), ({'mtu': True}, 'whole number'), ({'mtuu': 1500}, "did you mean 'mtu'"),
    ({'forward_mode': 'ruoted'}, "did you mean 'routed'"), ({'bridge': True, 'ovs': True}, 'one mode'),
    ({'bridge': True, 'bridgename': 'br0'}, 'cidr can not be honoured'),
    ({'cidr': None, 'bridge': True}, 'needs a bridgename'),
    ({'cidr': None, 'macvtap': True}, 'needs a nic'), ({'cidr': None, 'macvtap': True, 'nic': '../x'}, 'name of a device'),
    ({'cidr': None, 'ovs': True, 'bridgename': 'b', 'mtu': 1500}, 'mtu can not be honoured'),
    ({'cidr': None, 'ovs': True, 'bridgename': 'b', 'nic': 'eth0'}, 'nic means nothing'),
    ({'dual_cidr': '10.9.9.0/24'}, 'same family'), ({'dual_cidr': 'fd00::/127'}, 'too small'),
    ({'dhcp_start': '10.9.9.9'}, 'no range of 10.1.2.0/24'), ({'dhcp_start': 'x'}, 'address'),
    ({'dhcp_start': '10.1.2.9', 'dhcp_end': '10.1.2.8'}, 'no range'),
    ({'dhcp': False, 'dhcp_start': '10.1.2.9'}, 'given out'),
    ({'dhcp_options': 'x'}, 'mapping'), ({'dhcp_options': {'x y': 1}}, 'no option of DHCP'),
    ({'dhcp_options': {'ntp-server': 'a\ndhcp-script=/bin/sh'}}, 'value of an option'),
    ({'dhcp_options': {'6\nlog-queries': '1'}}, 'no option of DHCP'),
    ({'forwarders': ['nine']}, 'address'), ({'forwarders': [{'host': 'x'}]}, 'mapping of addr and domain'),
    ({'vlan': 42}, 'VLANs'), ({'cidr': None, 'ovs': True, 'bridgename': 'b', 'vlan': 5000}, 'from 1 to 4094'),
    ({'bandwidth_inbound_peak': 5}, 'average'),
    ({'bandwidth_inbound_average': 9, 'bandwidth_inbound_peak': 5}, 'less than the average'),
    ({'nat': False, 'nic': 'eth0'}, 'no way out'),
    ({'ovs': 'yes'}, 'true or false')])
def test_what_can_not_be(settings, fragment):
    with pytest.raises(InvalidInput, match=fragment):
        element(**settings)


def test_what_the_kernel_passes_over_is_said(caplog):
    element(bandwidth_inbound_average=9, bandwidth_inbound_peak=10)
    assert not caplog.records
    element(bandwidth_outbound_average=9, bandwidth_outbound_peak=10)
    assert 'bandwidth_outbound_peak: Linux has no peak' in caplog.text


@pytest.mark.parametrize(('case', 'change', 'parts'), [
    ('nat', {'plan': 'other'}, {'metadata'}), ('nat', {'dhcp': False}, {'range'}), ('nat', {'dhcp': True}, set()),
    ('nodhcp', {'dhcp': True}, {'range'}), ('nat', {'nat': False}, {'forward'}), ('nat', {'nat': True}, set()),
    ('isolated', {'nat': True}, {'forward'}), ('nat', {'forward_mode': 'routed'}, {'forward'}),
    ('nat', {'domain_name': 'lab.test'}, {'domain'}), ('domain', {'domain_name': ''}, {'domain'}),
    ('domain', {'localdomain': False}, {'domain'}), ('nat', {'mtu': 9000}, {'mtu'}), ('mtu', {'mtu': 9000}, set()),
    ('nat', {'dhcp_start': '10.1.2.100'}, {'range'}), ('dhcp_range', {'dhcp': True}, set()),
    ('nat', {'dual_cidr': 'fd00:9::/64'}, {'ip'}), ('forwarders', {'forwarders': '1.1.1.1'}, {'dns'}),
    ('ovs', {'vlan': 7}, {'vlan'}), ('bandwidth', {'bandwidth_inbound_peak': 6000}, {'bandwidth'}),
    ('dhcp_options', {'dhcp_options': {}}, {'{http://libvirt.org/schemas/network/dnsmasq/1.0}options'})])
def test_changes(case, change, parts):
    before = element(**CASES[case])
    given = {key: change.get(key) for key in ('dhcp', 'nat', 'domain_name', 'plan')}
    after = changed(before, **given, settings={key: value for key, value in change.items() if key not in given})
    assert differences(before, after) == parts
    validate(domain.to_text(after))


@pytest.mark.parametrize(('case', 'settings', 'fragment'), [
    ('nat', {'ovs': True}, 'can not be changed'), ('ovs', {'mtu': 9000}, 'gives no addresses'),
    ('nat', {'forward_mode': 'bridge'}, 'only'), ('nat', {'colour': 'red'}, 'colour'),
    ('bandwidth', {'bandwidth_inbound_average': 6000}, 'peak: 5000 is less than the average of 6000')])
def test_changes_that_can_not_be(case, settings, fragment):
    with pytest.raises(InvalidInput, match=fragment):
        changed(element(**CASES[case]), None, None, None, None, settings)


NAMED = ('cidr', 'dhcp', 'domain_name')


def as_listed(root: ElementTree.Element) -> dict[str, Any]:
    return {**told(root), **network_shape(root)}


def test_what_is_usual_is_not_told():
    assert told(element()) == told(element(dhcp=False)) == told(element(dual_cidr='fd00:1::/64')) == {}


@pytest.mark.parametrize('case', CASES)
def test_a_network_has_all_the_settings_that_it_was_made_with(case):
    settings = {key: value for key, value in CASES[case].items() if key not in NAMED}
    assert unlike(as_listed(element(**CASES[case])), settings) == {}
    texts = {key: str(value) if type(value) is int else value for key, value in settings.items()}
    assert unlike(as_listed(element(**CASES[case])), texts) == {}


@pytest.mark.parametrize('before', sorted({*CASES} - {'isolated', 'nodhcp', 'open', 'ipv6', 'bridgename'}))
@pytest.mark.parametrize('case', [case for case in CASES if case not in ('nodhcp', 'domain', 'ipv6')])
def test_what_a_network_lacks_is_told_and_what_is_not_fixed_can_be_given_to_it(before, case):
    start = element(**CASES[before])
    settings = {key: value for key, value in CASES[case].items() if key not in NAMED}
    found = unlike(as_listed(start), settings)
    bridged = before in ('bridge', 'macvtap', 'ovs', 'vlan', 'vlans')
    if any(each.fixed for each in found.values()) or bridged:
        assert bridged or {'bridge', 'macvtap', 'ovs', 'bridgename'} & set(found)
        return
    wanted = {key: each.wanted for key, each in found.items()}
    after = changed(start, None, wanted.pop('nat', None), None, None, wanted)
    assert unlike(as_listed(after), settings) == {}
    kept = {key: value for key, value in CASES[before].items() if key not in (*NAMED, *settings)}
    if settings.get('dns') is False:
        kept.pop('forwarders', None)  # nobody asks them any longer
    if not {'forward_mode', 'nat'} & set(settings):
        assert unlike(as_listed(after), kept) == {}, 'what was not to change, changed'


@pytest.mark.parametrize(('case', 'settings', 'expected'), [
    ('nat', {'nat': False}, {'nat': (True, False, False)}), ('routed', {'nat': True}, {'nat': ('routed', True, False)}),
    ('ovs', {'nat': False}, {}), ('nat', {'forward_mode': 'route'}, {'forward_mode': ('nat', 'routed', False)}),
    ('nat', {'forward_mode': 'bridge'}, {'forward_mode': ('nat', 'bridge', True)}),
    ('nat', {'ovs': True, 'bridgename': 'b0'}, {'ovs': (False, True, True), 'bridgename': (None, 'b0', True)}),
    ('macvtap', {'nic': 'eth1'}, {'nic': ('eth0', 'eth1', True)}), ('nat', {'mtu': None, 'colour': 'red'}, {}),
    ('mtu', {'mtu': 'huge'}, {'mtu': (9000, 'huge', False)}), ('vlans', {'vlan': 42}, {'vlan': ([], [42], False)}),
    ('nat', {'dhcp_start': '10.1.2.2', 'dhcp_end': '10.1.2.99'}, {'dhcp_end': ('10.1.2.254', '10.1.2.99', False)}),
    ('nodhcp', {'dhcp_start': '10.1.2.9'}, {'dhcp_start': (None, '10.1.2.9', False)}),
    ('vlans', {'vlans': [42, 43]}, {}), ('vlans', {'vlan': 42, 'vlans': 43}, {}),
    ('vlan', {'vlan': []}, {'vlan': ([42], [], False)}), ('nat', {'localdomain': False}, {}),
    ('nat', {'localdomain': False, 'domain': 'lab.test'}, {'localdomain': (None, False, False)}),
    ('dual', {'dhcp_start': 'fd00:1::2'}, {}), ('dual', {'dual_cidr': 'fd00:1:0::/64'}, {}),
    ('forwarders', {'forwarders': '9.9.9.9'}, {'forwarders': (
        [{'addr': '9.9.9.9'}, {'domain': 'corp.test', 'addr': '10.0.0.53'}], [{'addr': '9.9.9.9'}], False)})])
def test_how_a_network_differs(case, settings, expected):
    assert unlike(as_listed(element(**CASES[case])), settings) == expected


def test_networks_are_changed_and_deleted():
    with Kvirt(url='test:///default') as kvm:
        kvm.create_network('lab', cidr=LAB, overrides={'dual_cidr': 'fd00:1::/64'}).expect()
        known = kvm.info_network('lab')
        assert (known['mode'], known['cidr'], known['dual_cidr']) == ('nat', LAB, 'fd00:1::/64')
        clash = kvm.create_network('other', cidr='10.1.3.0/24', overrides={'dual_cidr': 'fd00:1::/72'})
        assert clash['error'] == 'Conflict' and 'lab' in clash['reason']
        kvm.update_network('lab', nat=False, domain='lab.test', overrides={'mtu': 1400}).expect()
        assert (kvm.info_network('lab')['mode'], kvm.info_network('lab')['domain']) == ('isolated', 'lab.test')
        assert kvm.update_network('lba', plan='x')['error'] == 'NotFound'
        kvm.create('web', cloudinit=False, pool='default-pool', disks=[1], nets=['lab']).expect()
        assert kvm.network_ports('lab') == ['web']
        assert Kvirt.network_unlike(kvm.info_network('lab'), {'nat': True, 'mtu': 1500}) == {
            'nat': (False, True, False), 'mtu': (1400, 1500, False)}
        busy = kvm.update_network('lab', nat=True)
        assert busy['error'] == 'Conflict' and 'web' in busy['reason']
        kvm.update_network('lab', plan='other').expect()
        for refused in (kvm.delete_network('lab'), kvm.delete_network(cidr=LAB)):
            assert refused['error'] == 'Conflict' and 'web' in refused['reason']
        kvm.delete('web').expect()
        kvm.delete_network('lab').expect()
        kvm.create_network('shared', overrides={'bridge': True, 'bridgename': 'br0'}).expect()
        assert kvm.info_network('shared')['mode'] == 'bridge'
        kvm.delete_network('shared').expect()
