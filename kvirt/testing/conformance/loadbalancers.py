"""Load balancers."""

from __future__ import annotations

import pytest

from kvirt.base import Kbase
from kvirt.shapes import LoadBalancerShape
from kvirt.testing.platform import Platform, ok, refused

needs = pytest.mark.needs


def row(provider: Kbase, name: str) -> LoadBalancerShape | None:
    """Return the row of a load balancer, None when there is none."""
    return next((row for row in provider.list_loadbalancers() if row['name'] == name), None)


@needs('create_loadbalancer', 'list_loadbalancers', 'delete_loadbalancer', 'create', 'delete')
class TestLoadBalancers:
    """Create, add VMs, delete."""

    def test_a_load_balancer(self, platform: Platform, provider: Kbase) -> None:
        name, vm = platform.harness.name('lb'), platform.running()
        result = ok(provider.create_loadbalancer(name, ports=[80, 443], vms=[vm]))
        platform.shows(lambda: (row(provider, name) or {}).get('vms'), [vm])
        known = row(provider, name)
        assert known is not None
        assert sorted(known['ports']) == [80, 443]
        assert result.get('ip') in (None, known['ip'])
        refused(provider.create_loadbalancer(name, ports=[80]), 'AlreadyExists', names=name)
        ok(provider.delete_loadbalancer(name))
        platform.shows(lambda: row(provider, name), None)
        assert provider.exists(vm)
        refused(provider.delete_loadbalancer(name), 'NotFound', names=name)

    @needs('add_vm_to_loadbalancer')
    def test_a_vm_is_added(self, platform: Platform, provider: Kbase) -> None:
        name, first, second = platform.harness.name('lb'), platform.running(), platform.running()
        ok(provider.create_loadbalancer(name, ports=[80], vms=[first]))
        ok(provider.add_vm_to_loadbalancer(second, name))
        platform.shows(lambda: sorted((row(provider, name) or {}).get('vms', [])), sorted([first, second]))
        refused(provider.add_vm_to_loadbalancer('no-such-vm', name), 'NotFound', names='no-such-vm')
        refused(provider.add_vm_to_loadbalancer(first, 'no-such-lb'), 'NotFound', names='no-such-lb')

    def test_a_load_balancer_that_can_not_be_makes_nothing(self, platform: Platform, provider: Kbase) -> None:
        vm, name = platform.running(), platform.harness.name('lb')
        with platform.nothing_made():
            refused(provider.create_loadbalancer(name, ports=[80], vms=[vm, 'no-such-vm']), 'NotFound', names='no-such-vm')
            refused(provider.create_loadbalancer(name, ports=[70000], vms=[vm]), 'InvalidInput', names='70000')

    def test_a_vm_that_is_deleted_leaves_its_load_balancer(self, platform: Platform, provider: Kbase) -> None:
        name, stays, goes = platform.harness.name('lb'), platform.running(), platform.running()
        ok(provider.create_loadbalancer(name, ports=[80], vms=[stays, goes]))
        ok(provider.delete(goes))
        platform.gone(goes)
        platform.shows(lambda: (row(provider, name) or {}).get('vms'), [stays])
