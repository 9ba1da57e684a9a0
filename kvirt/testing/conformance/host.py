"""The platform itself: its host or account, and what was left behind."""

from __future__ import annotations

import pytest

from kvirt.base import Kbase
from kvirt.testing.platform import Platform, ok

needs = pytest.mark.needs


class TestHost:
    """What the provider is connected to."""

    @needs('info_host')
    def test_the_connection_is_known(self, provider: Kbase) -> None:
        assert provider.info_host()['connection']

    @needs('list_locations')
    def test_locations_have_names(self, provider: Kbase) -> None:
        names = [location['name'] for location in provider.list_locations()]
        assert names
        assert len(names) == len(set(names))

    @needs('list_quotas')
    def test_quotas_have_a_maximum(self, provider: Kbase) -> None:
        for quota in provider.list_quotas():
            assert quota['name']
            assert quota['maximum'] is None or quota['maximum'] >= 0
            assert quota.get('current') is None or quota['current'] >= 0

    @needs('list_orphans', 'create', 'delete')
    def test_what_is_finished_is_no_orphan(self, platform: Platform, provider: Kbase) -> None:
        name = platform.running(disks=[10, 1])
        assert [orphan for orphan in provider.list_orphans() if name in orphan['name']] == []
        ok(provider.delete(name))
        assert [orphan for orphan in provider.list_orphans() if name in orphan['name']] == []

    @needs('list_orphans', 'delete_orphans', 'create', 'delete')
    def test_deleting_orphans_leaves_what_is_finished(self, platform: Platform, provider: Kbase) -> None:
        if provider.list_orphans():
            pytest.fail('there are orphans that no test made: look at list_orphans, delete them, and run this again')
        name = platform.vm()
        assert ok(provider.delete_orphans())['deleted'] == []
        assert provider.exists(name)
