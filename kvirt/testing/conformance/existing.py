"""What is on a platform already can be read, also where a test can't make more of it."""

from __future__ import annotations

import pytest

from kvirt.base import Kbase
from kvirt.testing.platform import Platform

needs = pytest.mark.needs

FEW = 3
"""How many of a kind are looked at: an account may have thousands."""


class TestExisting:
    """One by one, as in the list; and what is in no list."""

    @needs('list_networks', 'info_network', 'net_exists')
    def test_networks(self, platform: Platform, provider: Kbase) -> None:
        networks = provider.list_networks()
        for name in [platform.network, *networks][:FEW]:
            known = provider.info_network(name)
            assert {key: known.get(key) for key in networks[name]} == networks[name]
            assert provider.net_exists(name) is True
        absent = platform.harness.name('absent')
        assert provider.info_network(absent) == {}
        assert provider.net_exists(absent) is False

    @needs('list_networks', 'network_ports')
    def test_vms_on_networks(self, platform: Platform, provider: Kbase) -> None:
        assert isinstance(provider.network_ports(platform.network), list)

    @needs('list_pools', 'info_pool', 'get_pool_path')
    def test_pools(self, platform: Platform, provider: Kbase) -> None:
        for name in [str(platform.pool), *provider.list_pools()][:FEW]:
            known = provider.info_pool(name)
            assert known['name'] == name
            assert provider.get_pool_path(name) == known.get('path')
        absent = platform.harness.name('absent')
        assert provider.info_pool(absent) == {}
        assert provider.get_pool_path(absent) is None

    @needs('list_disks', 'disk_exists')
    def test_disks(self, platform: Platform, provider: Kbase) -> None:
        for name, row in list(provider.list_disks().items())[:FEW]:
            assert provider.disk_exists(row.get('pool'), name)
        assert provider.disk_exists(None, platform.harness.name('absent')) is False

    @needs('list_subnets', 'info_subnet')
    def test_subnets(self, platform: Platform, provider: Kbase) -> None:
        subnets = provider.list_subnets()
        for name in list(subnets)[:FEW]:
            assert provider.info_subnet(name).get('cidr') == subnets[name].get('cidr')
        assert provider.info_subnet(platform.harness.name('absent')) == {}
