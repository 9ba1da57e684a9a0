"""Security groups."""

from __future__ import annotations

from typing import Any

import pytest

from kvirt.base import Kbase
from kvirt.testing.platform import Platform, ok, refused

needs = pytest.mark.needs

SSH = ('tcp', 22, 22)

PortRange = tuple[Any, Any, Any]
"""Protocol, first port, last port."""


def ranges(rules: Any) -> set[PortRange]:
    """Return the ports of rules; icmp has none."""
    return {(rule['protocol'], rule.get('from_port'), rule.get('to_port')) for rule in rules}


def rules(provider: Kbase, name: str) -> set[PortRange]:
    """Return the ports that a group lets in."""
    return ranges(provider.info_security_group(name)['rules'])


def let_in(provider: Kbase, vm: str) -> set[PortRange]:
    """Return the ports that all groups of a VM let in."""
    return {each for group in groups_of(provider, vm) for each in rules(provider, group)}


def groups_of(provider: Kbase, vm: str) -> list[str]:
    """Return the names of the groups of a VM."""
    known: dict[str, Any] = {**provider.info(vm)}
    return list(known['securitygroups'])


@needs('create_security_group', 'list_security_groups', 'info_security_group', 'delete_security_group')
class TestSecurityGroups:
    """Which inbound traffic is allowed."""

    def test_a_group(self, platform: Platform, provider: Kbase) -> None:
        name = platform.harness.name('group')
        assert provider.info_security_group(name) == {}
        ok(provider.create_security_group(name, {'ports': [22, '8000-8100', '53/udp']}))
        assert name in provider.list_security_groups()
        assert rules(provider, name) == {('tcp', 22, 22), ('tcp', 8000, 8100), ('udp', 53, 53)}
        refused(provider.create_security_group(name), 'AlreadyExists', names=name)
        ok(provider.delete_security_group(name))
        platform.shows(lambda: name in provider.list_security_groups(), False)
        refused(provider.delete_security_group(name), 'NotFound', names=name)

    def test_a_rule_may_be_written_out(self, platform: Platform, provider: Kbase) -> None:
        name = platform.harness.name('group')
        ok(provider.create_security_group(name, {'ports': [
            {'protocol': 'tcp', 'from_port': 443, 'to_port': 443, 'cidr': '10.0.0.0/8'}, 'icmp']}))
        found = provider.info_security_group(name)['rules']
        [rule] = [rule for rule in found if rule['protocol'] == 'tcp']
        assert (rule['protocol'], rule['from_port'], rule['to_port'], rule['cidr']) == ('tcp', 443, 443, '10.0.0.0/8')
        assert ('icmp', None, None) in ranges(found)

    def test_a_group_without_rules_lets_nothing_in(self, platform: Platform, provider: Kbase) -> None:
        name = platform.harness.name('group')
        ok(provider.create_security_group(name))
        assert provider.info_security_group(name)['rules'] == []

    @needs('update_security_group')
    def test_rules_are_replaced(self, platform: Platform, provider: Kbase) -> None:
        name = platform.harness.name('group')
        ok(provider.create_security_group(name, {'ports': [22, 80]}))
        ok(provider.update_security_group(name, {'ports': [443]}))
        platform.shows(lambda: rules(provider, name), {('tcp', 443, 443)})
        refused(provider.update_security_group('no-such-group', {'ports': [22]}), 'NotFound', names='no-such-group')

    @pytest.mark.parametrize('port', [0, 70000, '80-22', 'http', '53/xyz', '', {'protocol': 'tcp'}, {'from_port': 'x'}, -1])
    def test_a_port_that_is_none_makes_nothing(self, platform: Platform, provider: Kbase, port: Any) -> None:
        with platform.nothing_made():
            refused(provider.create_security_group(platform.harness.name('group'), {'ports': [22, port]}), 'InvalidInput')


@needs('list_security_groups', 'info_security_group', 'create', 'info', 'delete')
class TestFirewallOfVms:
    """What reaches a VM: ssh, and what was asked for."""

    def test_ssh_is_let_in_and_nothing_else(self, platform: Platform, provider: Kbase) -> None:
        assert let_in(provider, platform.vm()) == {SSH}

    def test_another_port_of_ssh_takes_the_place_of_the_usual_one(self, platform: Platform, provider: Kbase) -> None:
        assert let_in(provider, platform.vm(vmport=2222)) == {('tcp', 2222, 2222)}

    def test_ports_are_let_in_beside_ssh(self, platform: Platform, provider: Kbase) -> None:
        _honoured(provider, 'ports')
        vm = platform.vm(ports=[80, '8000-8100', '53/udp'])
        assert let_in(provider, vm) == {SSH, ('tcp', 80, 80), ('tcp', 8000, 8100), ('udp', 53, 53)}

    def test_the_same_rules_are_one_group_which_goes_with_its_last_vm(self, platform: Platform, provider: Kbase) -> None:
        _honoured(provider, 'ports')
        ports = [{'from_port': 8765, 'cidr': '10.9.8.0/24'}]
        before = provider.list_security_groups()
        first, second = platform.vm(ports=ports), platform.vm(ports=ports)
        assert groups_of(provider, first) == groups_of(provider, second)
        ok(provider.delete(first))
        platform.gone(first)
        assert ('tcp', 8765, 8765) in let_in(provider, second)
        ok(provider.delete(second))
        platform.gone(second)
        platform.shows(provider.list_security_groups, before)

    @needs('create_security_group', 'delete_security_group')
    def test_a_vm_can_have_groups_that_are_there(self, platform: Platform, provider: Kbase) -> None:
        _honoured(provider, 'securitygroups')
        group = platform.harness.name('group')
        ok(provider.create_security_group(group, {'ports': [8080]}))
        vm = platform.vm(securitygroups=[group])
        assert group in groups_of(provider, vm)
        assert let_in(provider, vm) == {SSH, ('tcp', 8080, 8080)}
        refused(provider.delete_security_group(group), 'Conflict', names=group)
        ok(provider.delete(vm))
        platform.gone(vm)
        assert group in provider.list_security_groups(), 'a group that was not made for the VM outlives it'
        ok(provider.delete_security_group(group))

    def test_what_can_not_be_let_in_makes_nothing(self, platform: Platform, provider: Kbase) -> None:
        name = platform.harness.name('vm')
        with platform.nothing_made():
            if 'securitygroups' in provider.honours:
                refused(provider.create(name, **platform.asked(securitygroups=['no-such-group'])), 'NotFound',
                        names='no-such-group')
            for wrong in (0, '80-22', 'http', {'protocol': 'tcp'}):
                refused(provider.create(name, **platform.asked(ports=[wrong])), 'InvalidInput')
        assert not provider.exists(name)


def _honoured(provider: Kbase, keyword: str) -> None:
    """Skip where a keyword means nothing; that it is refused there, the contract sees to."""
    if keyword not in provider.honours:
        pytest.skip(f'{type(provider).__name__} does not honour {keyword}')
