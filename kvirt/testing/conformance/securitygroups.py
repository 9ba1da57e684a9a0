"""Security groups."""

from __future__ import annotations

from typing import Any

import pytest

from kvirt.base import Kbase
from kvirt.testing.platform import Platform, ok, refused

needs = pytest.mark.needs


def rules(provider: Kbase, name: str) -> set[tuple[Any, ...]]:
    """Return the rules of a group: protocol, first and last port."""
    return {(rule['protocol'], rule['from_port'], rule['to_port']) for rule in provider.info_security_group(name)['rules']}


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
        assert name not in provider.list_security_groups()
        refused(provider.delete_security_group(name), 'NotFound', names=name)

    def test_a_rule_may_be_written_out(self, platform: Platform, provider: Kbase) -> None:
        name = platform.harness.name('group')
        ok(provider.create_security_group(name, {'ports': [
            {'protocol': 'tcp', 'from_port': 443, 'to_port': 443, 'cidr': '10.0.0.0/8'}]}))
        [rule] = provider.info_security_group(name)['rules']
        assert (rule['protocol'], rule['from_port'], rule['to_port'], rule['cidr']) == ('tcp', 443, 443, '10.0.0.0/8')

    def test_a_group_without_rules_lets_nothing_in(self, platform: Platform, provider: Kbase) -> None:
        name = platform.harness.name('group')
        ok(provider.create_security_group(name))
        assert provider.info_security_group(name)['rules'] == []

    @needs('update_security_group')
    def test_rules_are_replaced(self, platform: Platform, provider: Kbase) -> None:
        name = platform.harness.name('group')
        ok(provider.create_security_group(name, {'ports': [22, 80]}))
        ok(provider.update_security_group(name, {'ports': [443]}))
        assert rules(provider, name) == {('tcp', 443, 443)}
        refused(provider.update_security_group('no-such-group', {'ports': [22]}), 'NotFound', names='no-such-group')

    @pytest.mark.parametrize('port', [0, 70000, '80-22', 'http', '53/xyz', '', {'protocol': 'tcp'}, {'from_port': 'x'}, -1])
    def test_a_port_that_is_none_makes_nothing(self, platform: Platform, provider: Kbase, port: Any) -> None:
        with platform.nothing_made():
            refused(provider.create_security_group(platform.harness.name('group'), {'ports': [22, port]}), 'InvalidInput')
