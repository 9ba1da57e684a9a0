"""Flavors: the sizes of VM that a platform sells."""

from __future__ import annotations

import pytest

from kvirt.base import Kbase
from kvirt.testing.platform import Platform, ok, refused

needs = pytest.mark.needs


@needs('list_flavors')
class TestFlavors:
    """List, use."""

    def test_a_flavor_unpacks_as_name_cpus_memory(self, provider: Kbase) -> None:
        for flavor in provider.list_flavors():
            name, numcpus, memory = flavor
            assert (name, numcpus, memory) == (flavor.name, flavor.numcpus, flavor.memory)
            assert name
            assert numcpus >= 1
            assert memory >= 64, 'memory is MiB'

    def test_a_price_is_a_number_with_a_currency_or_not_told(self, provider: Kbase) -> None:
        for flavor in provider.list_flavors():
            for price in (flavor.price_hourly, flavor.price_monthly):
                assert price is None or (price >= 0 and flavor.currency and len(flavor.currency) == 3), flavor

    def test_names_are_unique_and_found(self, provider: Kbase) -> None:
        names = [flavor.name for flavor in provider.list_flavors()]
        assert len(names) == len(set(names))
        for name in names[:3]:
            flavor = provider.info_flavor(name)
            assert flavor is not None
            assert flavor.name == name
        assert provider.info_flavor('no-such-flavor') is None

    @needs('create', 'info', 'delete')
    def test_a_vm_of_a_flavor(self, platform: Platform, provider: Kbase) -> None:
        flavors = sorted(provider.list_flavors(), key=lambda flavor: (flavor.price_hourly or 0, flavor.memory))
        if not flavors:
            pytest.skip('any size can be had here, so there are no flavors')
        cheapest = flavors[0]
        known = provider.info(platform.vm(flavor=cheapest.name))
        assert (known['flavor'], known['numcpus'], known['memory']) == (cheapest.name, cheapest.numcpus, cheapest.memory)

    @needs('create', 'info', 'delete')
    def test_a_flavor_that_is_not_there_makes_nothing(self, platform: Platform, provider: Kbase) -> None:
        with platform.nothing_made():
            refused(provider.create(platform.harness.name('vm'), **platform.asked(flavor='no-such-flavor')),
                    'NotFound', 'InvalidInput', names='no-such-flavor')
        ok(provider.create(platform.harness.name('vm'), **platform.asked()))
