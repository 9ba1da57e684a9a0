"""Networks, subnets, network cards, floating addresses."""

from __future__ import annotations

import ipaddress
from typing import Any

import pytest

from kvirt.base import Kbase
from kvirt.shapes import NicShape
from kvirt.testing.platform import Platform, can_not_be, card_id, ok, refused

needs = pytest.mark.needs


def cards(provider: Kbase, name: str) -> list[NicShape]:
    """Return the network cards of a VM."""
    return provider.info(name)['nets']


def ids(provider: Kbase, name: str) -> list[str]:
    """Return what tells the network cards of a VM apart, in their order."""
    return [card_id(card) for card in cards(provider, name)]


def holder(provider: Kbase, address: str) -> str | None:
    """Return the VM that a floating address points to."""
    vm: str | None = provider.list_floating_ips()[address]['vm']
    return vm


@needs('create_network', 'list_networks', 'delete_network')
class TestNetworks:
    """Create, look at, change, delete."""

    def test_a_network(self, platform: Platform, provider: Kbase) -> None:
        name, cidr = platform.harness.name('net'), platform.harness.cidr()
        assert provider.info_network(name) == {}
        assert provider.net_exists(name) is False
        domain = None if platform.lacks('domain') else 'lab.example'
        ok(provider.create_network(name, cidr=cidr, domain=domain, plan='shop'))
        known = provider.list_networks()[name]
        assert (known['cidr'], known['dhcp'], known['plan']) == (cidr, True, 'shop')
        assert provider.net_exists(name) is True
        assert {**known, **provider.info_network(name)} == provider.info_network(name)
        assert provider.info_network(name).get('domain', domain) == domain
        ok(provider.delete_network(name))
        platform.shows(lambda: name in provider.list_networks(), False)
        refused(provider.delete_network(name), 'NotFound', names=name)

    def test_a_network_may_be_isolated_or_without_dhcp(self, platform: Platform, provider: Kbase) -> None:
        settings: dict[str, Any] = {'nat': False, 'dhcp': False}
        with platform.nothing_made():
            for lacked, value in (('nat', False), ('dhcp', False), ('domain', 'lab.example')):
                if platform.lacks(lacked):
                    asked: dict[str, Any] = {'cidr': platform.harness.cidr(), lacked: value}
                    can_not_be(provider.create_network(platform.harness.name('net'), **asked))
        settings = {key: value for key, value in settings.items() if not platform.lacks(key)}
        plain, bare = platform.net(), platform.net(**settings)
        shapes = provider.list_networks()
        assert (shapes[plain]['dhcp'], shapes[bare]['dhcp']) == (True, 'dhcp' not in settings)
        may_differ = 'nat' in settings and not platform.lacks('gateway')
        assert may_differ == (shapes[plain].get('mode') != shapes[bare].get('mode'))

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
        platform.shows(lambda: name in provider.list_networks(), False)
        refused(provider.delete_network(cidr=cidr), 'NotFound', names=cidr)
        refused(provider.delete_network(), 'InvalidInput')

    @needs('create', 'info', 'delete', 'network_ports', 'start')
    def test_a_network_in_use_is_not_deleted(self, platform: Platform, provider: Kbase) -> None:
        net = platform.net()
        boots = platform.harness.boots  # where no guest is there to let go of a card, the VM must be stopped
        others = [] if platform.lacks('cards') else [platform.network]
        first, second = platform.vm(nets=[net]), (platform.running if boots else platform.stopped)(nets=[*others, net])
        platform.shows(lambda: provider.network_ports(net), sorted([first, second]))
        reason = refused(provider.delete_network(net), 'Conflict', names=first)
        assert second in reason
        assert net in provider.list_networks()
        if platform.lacks('first card'):
            refused(provider.delete_network(net, force=True), 'Conflict', 'NotSupported', names=first)
            ok(provider.delete(first))
            platform.gone(first)
        if platform.lacks('first card') and platform.lacks('cards'):
            return
        ok(provider.delete_network(net, force=True))
        platform.shows(lambda: net in provider.list_networks(), False)
        assert provider.exists(first) is not platform.lacks('first card')
        platform.shows(lambda: [card['net'] for card in cards(provider, second)], others)
        assert provider.status(second) == ('running' if boots else 'stopped')

    @needs('update_network')
    def test_a_network_is_changed(self, platform: Platform, provider: Kbase) -> None:
        name = platform.net()
        before = provider.info_network(name)
        if platform.lacks('dhcp'):
            can_not_be(provider.update_network(name, dhcp=False))
            assert provider.info_network(name) == before
        else:
            ok(provider.update_network(name, dhcp=False))
            assert provider.info_network(name) == {**before, 'dhcp': False}
        ok(provider.update_network(name, dhcp=True, plan='shop'))
        assert provider.info_network(name) == {**before, 'plan': 'shop'}
        refused(provider.update_network('no-such-network', plan='shop'), 'NotFound', names='no-such-network')


@needs('create', 'info', 'delete')
class TestNics:
    """Network cards of VMs."""

    @needs('vm_ports')
    def test_the_networks_of_a_vm_are_told_in_the_order_of_its_cards(self, platform: Platform, provider: Kbase) -> None:
        assert provider.vm_ports(platform.vm()) == [platform.network]
        if provider.supports('create_network'):
            first, second = platform.net(), platform.net()
            wanted = [second] if platform.lacks('cards') else [second, platform.network, first]
            assert provider.vm_ports(platform.vm(nets=wanted)) == wanted

    @needs('add_nic', 'delete_nic')
    @pytest.mark.parametrize('start', [False, True], ids=['stopped', 'running'])
    def test_a_card_is_added_and_taken_away(self, platform: Platform, provider: Kbase, start: bool) -> None:
        name, net = platform.running() if start else platform.stopped(), platform.two_nets()[-1]
        [first] = ids(provider, name)
        mac = ok(provider.add_nic(name, net)).get('mac')
        platform.shows(lambda: len(ids(provider, name)), 2)
        _, added = both = ids(provider, name)
        assert both[0] == first
        assert mac in (None, added)
        result = provider.delete_nic(name, added)
        if start and not platform.harness.boots and not result.ok:
            refused(result, 'Conflict', names=name)  # no guest is there to let go of the card, so it is kept
            assert ids(provider, name) == both
            return
        ok(result)
        platform.shows(lambda: ids(provider, name), [first])
        refused(provider.delete_nic(name, added), 'NotFound', names=added)

    @needs('add_nic', 'delete_nic')
    def test_a_card_is_named_by_its_device(self, platform: Platform, provider: Kbase) -> None:
        if platform.lacks('cards'):
            pytest.skip('a VM has one card here')
        name = platform.vm(nets=platform.two_nets())
        first, second = cards(provider, name)
        if second.get('device'):
            ok(provider.delete_nic(name, second['device']))
            platform.shows(lambda: ids(provider, name), [card_id(first)])

    @needs('add_nic')
    def test_a_card_on_a_network_that_is_not_there_is_refused(self, platform: Platform, provider: Kbase) -> None:
        name = platform.vm()
        refused(provider.add_nic(name, 'no-such-network'), 'NotFound', names='no-such-network')
        assert len(cards(provider, name)) == 1

    @needs('update_nic', 'create_network', 'delete_network')
    def test_a_card_is_connected_elsewhere(self, platform: Platform, provider: Kbase) -> None:
        net = platform.net()
        name = platform.vm(nets=platform.two_nets())
        before = ids(provider, name)
        ok(provider.update_nic(name, 1, net))
        platform.shows(lambda: [card['net'] for card in cards(provider, name)], [platform.network, net])
        assert ids(provider, name) == before
        refused(provider.update_nic(name, 0, 'no-such-network'), 'NotFound', names='no-such-network')
        refused(provider.update_nic(name, 7, net), 'InvalidInput', 'NotFound')
        assert [card['net'] for card in cards(provider, name)] == [platform.network, net]


@needs('create_subnet', 'list_subnets', 'delete_subnet', 'create_network', 'delete_network')
class TestSubnets:
    """Subnets of a network."""

    @needs('info_subnet', 'update_subnet')
    def test_a_subnet(self, platform: Platform, provider: Kbase) -> None:
        cidr = platform.harness.cidr()
        part = platform.harness.subnet_cidr(cidr)
        net, name = platform.net(cidr=cidr), platform.harness.name('subnet')
        assert provider.info_subnet(name) == {}
        ok(provider.create_subnet(name, part, overrides={'network': net}))
        assert provider.list_subnets()[name]['cidr'] == part
        assert provider.info_subnet(name)['cidr'] == part
        refused(provider.create_subnet(name, part, overrides={'network': net}), 'AlreadyExists', names=name)
        ok(provider.update_subnet(name, overrides={'plan': 'shop'}))
        assert provider.info_subnet(name)['plan'] == 'shop'
        ok(provider.delete_subnet(name))
        platform.shows(lambda: name in provider.list_subnets(), False)
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
        platform.shows(lambda: name in provider.list_floating_ips(), False)
        refused(provider.delete_floating_ip(name), 'NotFound', names=name)

    @needs('attach_floating_ip', 'detach_floating_ip', 'create', 'delete')
    def test_an_address_is_moved(self, platform: Platform, provider: Kbase) -> None:
        name, first, second = platform.harness.name('ip'), platform.running(), platform.running()
        ok(provider.create_floating_ip(name))
        ok(provider.attach_floating_ip(name, first))
        platform.shows(lambda: holder(provider, name), first)
        refused(provider.delete_floating_ip(name), 'Conflict', names=first)
        ok(provider.detach_floating_ip(name))
        platform.shows(lambda: holder(provider, name), None)
        ok(provider.attach_floating_ip(name, second))
        platform.shows(lambda: holder(provider, name), second)
        refused(provider.attach_floating_ip(name, 'no-such-vm'), 'NotFound', names='no-such-vm')
        ok(provider.delete(second))
        platform.shows(lambda: holder(provider, name), None)
        for result in (provider.attach_floating_ip('no-such-ip', first), provider.detach_floating_ip('no-such-ip')):
            refused(result, 'NotFound', names='no-such-ip')
