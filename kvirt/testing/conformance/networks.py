"""Networks, subnets, network cards, floating addresses."""

from __future__ import annotations

import ipaddress

import pytest

from kvirt.base import Kbase
from kvirt.shapes import NicShape
from kvirt.testing.platform import Platform, ok, refused

needs = pytest.mark.needs


def cards(provider: Kbase, name: str) -> list[NicShape]:
    """Return the network cards of a VM."""
    return provider.info(name)['nets']


@needs('create_network', 'list_networks', 'delete_network')
class TestNetworks:
    """Create, look at, change, delete."""

    def test_a_network(self, platform: Platform, provider: Kbase) -> None:
        name, cidr = platform.harness.name('net'), platform.harness.cidr()
        assert provider.info_network(name) == {}
        assert provider.net_exists(name) is False
        ok(provider.create_network(name, cidr=cidr, domain='lab.example', plan='shop'))
        known = provider.list_networks()[name]
        assert (known['cidr'], known['dhcp'], known['plan']) == (cidr, True, 'shop')
        assert provider.net_exists(name) is True
        assert {**known, **provider.info_network(name)} == provider.info_network(name)
        assert provider.info_network(name).get('domain', 'lab.example') == 'lab.example'
        ok(provider.delete_network(name))
        assert name not in provider.list_networks()
        refused(provider.delete_network(name), 'NotFound', names=name)

    def test_a_network_may_be_isolated_or_without_dhcp(self, platform: Platform, provider: Kbase) -> None:
        plain, bare = platform.net(), platform.net(nat=False, dhcp=False)
        shapes = provider.list_networks()
        assert (shapes[plain]['dhcp'], shapes[bare]['dhcp']) == (True, False)
        assert shapes[plain]['mode'] != shapes[bare]['mode']

    def test_a_network_that_can_not_be_makes_nothing(self, platform: Platform, provider: Kbase) -> None:
        cidr = platform.harness.cidr()
        there, name = platform.net(cidr=cidr), platform.harness.name('net')
        half = str(next(ipaddress.ip_network(cidr).subnets()))
        with platform.nothing_made():
            refused(provider.create_network(there, cidr=platform.harness.cidr()), 'AlreadyExists', names=there)
            refused(provider.create_network(name, cidr=cidr), 'Conflict', names=there)
            refused(provider.create_network(name, cidr=half), 'Conflict', names=there)
            for wrong in ('10.0.0.0/33', '10.0.0.1/24', 'x', ''):
                refused(provider.create_network(name, cidr=wrong), 'InvalidInput')
            refused(provider.create_network(name, cidr=platform.harness.cidr(), overrides={'no_such_setting': 1}),
                    'InvalidInput', names='no_such_setting')

    def test_a_network_is_found_by_its_addresses(self, platform: Platform, provider: Kbase) -> None:
        cidr = platform.harness.cidr()
        name = platform.net(cidr=cidr)
        ok(provider.delete_network(cidr=cidr))
        assert name not in provider.list_networks()
        refused(provider.delete_network(cidr=cidr), 'NotFound', names=cidr)
        refused(provider.delete_network(), 'InvalidInput')

    @needs('create', 'info', 'delete', 'network_ports', 'start')
    def test_a_network_in_use_is_not_deleted(self, platform: Platform, provider: Kbase) -> None:
        net = platform.net()
        boots = platform.harness.boots  # where no guest is there to let go of a card, the VM must be stopped
        first, second = platform.vm(nets=[net]), platform.vm(start=boots, nets=[platform.network, net])
        assert provider.network_ports(net) == sorted([first, second])
        reason = refused(provider.delete_network(net), 'Conflict', names=first)
        assert second in reason
        assert net in provider.list_networks()
        ok(provider.delete_network(net, force=True))
        assert net not in provider.list_networks()
        assert provider.exists(first)
        assert [card['net'] for card in cards(provider, second)] == [platform.network]
        assert provider.status(second) == ('running' if boots else 'stopped')

    @needs('update_network')
    def test_a_network_is_changed(self, platform: Platform, provider: Kbase) -> None:
        name = platform.net()
        before = provider.info_network(name)
        ok(provider.update_network(name, dhcp=False))
        assert provider.info_network(name) == {**before, 'dhcp': False}
        ok(provider.update_network(name, dhcp=True, plan='shop'))
        assert provider.info_network(name) == {**before, 'plan': 'shop'}
        refused(provider.update_network('no-such-network', dhcp=False), 'NotFound', names='no-such-network')


@needs('create', 'info', 'delete')
class TestNics:
    """Network cards of VMs."""

    @needs('vm_ports')
    def test_the_networks_of_a_vm_are_told_in_the_order_of_its_cards(self, platform: Platform, provider: Kbase) -> None:
        assert provider.vm_ports(platform.vm()) == [platform.network]
        if provider.supports('create_network'):
            first, second = platform.net(), platform.net()
            wanted = [second, platform.network, first]
            assert provider.vm_ports(platform.vm(nets=wanted)) == wanted

    @needs('add_nic', 'delete_nic')
    @pytest.mark.parametrize('start', [False, True], ids=['stopped', 'running'])
    def test_a_card_is_added_and_taken_away(self, platform: Platform, provider: Kbase, start: bool) -> None:
        name = platform.vm(start=start)
        [first] = cards(provider, name)
        mac = ok(provider.add_nic(name, platform.network))['mac']
        assert [card['mac'] for card in cards(provider, name)] == [first['mac'], mac]
        result = provider.delete_nic(name, mac)
        if start and not platform.harness.boots and not result.ok:
            refused(result, 'Conflict', names=name)  # no guest is there to let go of the card, so it is kept
            assert [card['mac'] for card in cards(provider, name)] == [first['mac'], mac]
            return
        ok(result)
        assert [card['mac'] for card in cards(provider, name)] == [first['mac']]
        refused(provider.delete_nic(name, mac), 'NotFound', names=mac)

    @needs('add_nic', 'delete_nic')
    def test_a_card_is_named_by_its_device(self, platform: Platform, provider: Kbase) -> None:
        name = platform.vm(nets=[platform.network, platform.network])
        first, second = cards(provider, name)
        if second.get('device'):
            ok(provider.delete_nic(name, second['device']))
            assert [card['mac'] for card in cards(provider, name)] == [first['mac']]

    @needs('add_nic')
    def test_a_card_on_a_network_that_is_not_there_is_refused(self, platform: Platform, provider: Kbase) -> None:
        name = platform.vm()
        refused(provider.add_nic(name, 'no-such-network'), 'NotFound', names='no-such-network')
        assert len(cards(provider, name)) == 1

    @needs('update_nic', 'create_network', 'delete_network')
    def test_a_card_is_connected_elsewhere(self, platform: Platform, provider: Kbase) -> None:
        net = platform.net()
        name = platform.vm(nets=[platform.network, platform.network])
        macs = [card['mac'] for card in cards(provider, name)]
        ok(provider.update_nic(name, 1, net))
        assert [card['net'] for card in cards(provider, name)] == [platform.network, net]
        assert [card['mac'] for card in cards(provider, name)] == macs
        refused(provider.update_nic(name, 0, 'no-such-network'), 'NotFound', names='no-such-network')
        refused(provider.update_nic(name, 7, net), 'InvalidInput', 'NotFound')
        assert [card['net'] for card in cards(provider, name)] == [platform.network, net]


@needs('create_subnet', 'list_subnets', 'delete_subnet', 'create_network', 'delete_network')
class TestSubnets:
    """Subnets of a network."""

    @needs('info_subnet', 'update_subnet')
    def test_a_subnet(self, platform: Platform, provider: Kbase) -> None:
        cidr = platform.harness.cidr()
        inner, outer = list(ipaddress.ip_network(cidr).subnets())
        net, name = platform.net(cidr=cidr), platform.harness.name('subnet')
        assert provider.info_subnet(name) == {}
        ok(provider.create_subnet(name, str(outer), overrides={'network': net}))
        assert provider.list_subnets()[name]['cidr'] == str(outer)
        assert provider.info_subnet(name)['cidr'] == str(outer)
        refused(provider.create_subnet(name, str(inner), overrides={'network': net}), 'AlreadyExists', names=name)
        ok(provider.update_subnet(name, overrides={'plan': 'shop'}))
        assert provider.info_subnet(name)['plan'] == 'shop'
        ok(provider.delete_subnet(name))
        assert name not in provider.list_subnets()
        refused(provider.delete_subnet(name), 'NotFound', names=name)
        refused(provider.update_subnet(name, overrides={'plan': 'x'}), 'NotFound', names=name)

    def test_a_subnet_that_can_not_be_makes_nothing(self, platform: Platform, provider: Kbase) -> None:
        name, net = platform.harness.name('subnet'), platform.net()
        with platform.nothing_made():
            refused(provider.create_subnet(name, 'x', overrides={'network': net}), 'InvalidInput')
            refused(provider.create_subnet(name, platform.harness.cidr(), overrides={'network': 'no-such-network'}),
                    'NotFound', names='no-such-network')


@needs('create_floating_ip', 'list_floating_ips', 'delete_floating_ip')
class TestFloatingIps:
    """Addresses that can be moved from one VM to another."""

    def test_an_address_is_taken_and_given_back(self, platform: Platform, provider: Kbase) -> None:
        name = platform.harness.name('ip')
        address = ok(provider.create_floating_ip(name))['ip']
        assert ipaddress.ip_address(address)
        assert provider.list_floating_ips()[name] == {**provider.list_floating_ips()[name], 'ip': address, 'vm': None}
        refused(provider.create_floating_ip(name), 'AlreadyExists', names=name)
        ok(provider.delete_floating_ip(name))
        assert name not in provider.list_floating_ips()
        refused(provider.delete_floating_ip(name), 'NotFound', names=name)

    @needs('attach_floating_ip', 'detach_floating_ip', 'create', 'delete')
    def test_an_address_is_moved(self, platform: Platform, provider: Kbase) -> None:
        name, first, second = platform.harness.name('ip'), platform.running(), platform.running()
        ok(provider.create_floating_ip(name))
        ok(provider.attach_floating_ip(name, first))
        assert provider.list_floating_ips()[name]['vm'] == first
        refused(provider.delete_floating_ip(name), 'Conflict', names=first)
        ok(provider.detach_floating_ip(name))
        assert provider.list_floating_ips()[name]['vm'] is None
        ok(provider.attach_floating_ip(name, second))
        assert provider.list_floating_ips()[name]['vm'] == second
        refused(provider.attach_floating_ip(name, 'no-such-vm'), 'NotFound', names='no-such-vm')
        ok(provider.delete(second))
        assert provider.list_floating_ips()[name]['vm'] is None
        for result in (provider.attach_floating_ip('no-such-ip', first), provider.detach_floating_ip('no-such-ip')):
            refused(result, 'NotFound', names='no-such-ip')
