"""The platform itself: its host or account, and what was left behind."""

from __future__ import annotations

import ipaddress
import re

import pytest

from kvirt.base import Kbase
from kvirt.testing.platform import Platform, ok, refused

needs = pytest.mark.needs


class TestHost:
    """What the provider is connected to."""

    @needs('info_host')
    def test_the_connection_is_known(self, provider: Kbase) -> None:
        assert provider.info_host()['connection']

    @needs('list_locations')
    def test_locations_have_names(self, provider: Kbase) -> None:
        locations = provider.list_locations()
        names = [location['name'] for location in locations]
        assert names
        assert len(names) == len(set(names))
        for location in locations:
            assert isinstance(location.get('available', True), bool)
            assert re.fullmatch('[A-Z]{2}', location.get('country', 'PT')), f'two letters of ISO 3166, not {location}'

    @needs('list_locations', 'create', 'list', 'info', 'delete')
    def test_a_vm_is_in_one_of_the_locations(self, platform: Platform, provider: Kbase) -> None:
        name = platform.vm()
        [row] = [row for row in provider.list() if row['name'] == name]
        assert row['location'] in [location['name'] for location in provider.list_locations()]
        assert provider.info(name)['location'] == row['location']

    @needs('list_locations', 'create', 'list', 'info', 'delete')
    def test_all_locations_can_be_seen_at_once(self, platform: Platform, provider: Kbase) -> None:
        everywhere = platform.harness.everywhere() if platform.harness.shared else None
        if everywhere is None:
            pytest.skip('the provider has no option location, or lives within one connection')
        name = platform.vm()
        with everywhere:
            [row] = [row for row in everywhere.list() if row['name'] == name]
            assert row == next(row for row in provider.list() if row['name'] == name)
            assert everywhere.info(name)['location'] == row['location']
            ok(everywhere.delete(name))
        platform.gone(name)

    @needs('create', 'info', 'delete')
    def test_a_vm_may_be_put_in_a_zone(self, platform: Platform, provider: Kbase) -> None:
        if 'sublocation' not in provider.honours:
            pytest.skip(f'{type(provider).__name__} does not honour sublocation')
        zone = provider.info(platform.vm())['sublocation']
        assert provider.info(platform.vm(sublocation=zone))['sublocation'] == zone
        with platform.nothing_made():
            refused(provider.create(platform.harness.name('vm'), **platform.asked(sublocation='no-such-zone')), 'NotFound',
                    'InvalidInput', names='no-such-zone')

    @needs('create', 'info', 'delete')
    def test_a_placement_that_is_not_there_makes_nothing(self, platform: Platform, provider: Kbase) -> None:
        if 'placement' not in provider.honours:
            pytest.skip(f'{type(provider).__name__} does not honour placement')
        with platform.nothing_made():
            refused(provider.create(platform.harness.name('vm'), **platform.asked(placement='no-such-group')), 'NotFound',
                    'InvalidInput', names='no-such-group')

    @needs('create', 'info', 'delete')
    def test_a_vm_may_be_without_a_public_address(self, platform: Platform, provider: Kbase) -> None:
        if 'publicip' not in provider.honours:
            pytest.skip(f'{type(provider).__name__} does not honour publicip')
        address = provider.info(platform.running(publicip=False)).get('ip')
        assert address is None or ipaddress.ip_address(address).is_private

    @needs('list_quotas')
    def test_quotas_have_a_maximum(self, provider: Kbase) -> None:
        for quota in provider.list_quotas():
            assert quota['name']
            assert isinstance(quota.get('unit', ''), str)
            assert quota['maximum'] is None or quota['maximum'] >= 0
            assert quota.get('current') is None or quota['current'] >= 0

    @needs('list_orphans', 'create', 'delete')
    def test_what_is_finished_is_no_orphan(self, platform: Platform, provider: Kbase) -> None:
        name = platform.running(disks=[10, platform.gib(1)])
        assert [orphan for orphan in provider.list_orphans() if name in orphan['name']] == []
        ok(provider.delete(name))
        platform.shows(lambda: [orphan for orphan in provider.list_orphans() if name in orphan['name']], [])

    @needs('list_orphans', 'delete_orphans', 'create', 'delete')
    def test_deleting_orphans_leaves_what_is_finished(self, platform: Platform, provider: Kbase) -> None:
        if provider.list_orphans():
            pytest.fail('there are orphans that no test made: look at list_orphans, delete them, and run this again')
        name = platform.vm()
        assert ok(provider.delete_orphans())['deleted'] == []
        assert provider.exists(name)
