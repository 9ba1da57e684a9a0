"""Storage pools."""

from __future__ import annotations

import pytest

from kvirt.base import Kbase
from kvirt.testing.platform import Platform, ok, refused

needs = pytest.mark.needs


def make(platform: Platform) -> str:
    """Create a pool, and return its name."""
    name = platform.harness.name('pool')
    ok(platform.provider.create_pool(name, platform.harness.pool_path(name)))
    return name


@needs('create_pool', 'list_pools', 'delete_pool')
class TestPools:
    """Create, look at, delete."""

    @needs('info_pool')
    def test_a_pool(self, platform: Platform, provider: Kbase) -> None:
        name = platform.harness.name('pool')
        path = platform.harness.pool_path(name)
        assert provider.info_pool(name) == {}
        assert provider.get_pool_path(name) is None
        ok(provider.create_pool(name, path))
        assert name in provider.list_pools()
        known = provider.info_pool(name)
        assert (known['name'], known['status']) == (name, 'running')
        assert 0 <= known['available'] <= known['capacity']
        assert provider.get_pool_path(name) == path
        ok(provider.delete_pool(name))
        assert name not in provider.list_pools()
        assert provider.info_pool(name) == {}
        refused(provider.delete_pool(name), 'NotFound', names=name)

    def test_a_pool_that_is_there_is_not_made_again(self, platform: Platform, provider: Kbase) -> None:
        name, other = make(platform), platform.harness.name('pool')
        with platform.nothing_made():
            refused(provider.create_pool(name, platform.harness.pool_path(other)), 'AlreadyExists', names=name)
            refused(provider.create_pool(platform.harness.name('pool'), platform.harness.folder.as_posix(), 'no-such-type'),
                    'InvalidInput', names='no-such-type')

    @needs('create', 'delete', 'create_disk', 'list_disks')
    def test_a_pool_in_use_is_not_deleted(self, platform: Platform, provider: Kbase) -> None:
        pool = make(platform)
        volume = platform.harness.name('volume')
        ok(provider.create_disk(volume, 1, pool=pool))
        name = platform.vm(disks=[10, {'name': volume, 'pool': pool}])
        for full in (False, True):
            refused(provider.delete_pool(pool, full=full), 'Conflict', names=name)
        assert pool in provider.list_pools()
        assert provider.list_disks()[volume]['pool'] == pool
        ok(provider.delete(name))
        ok(provider.delete_pool(pool, full=True))
        assert volume not in provider.list_disks()

    @needs('create', 'delete', 'info')
    def test_a_vm_can_live_in_a_pool_that_was_made(self, platform: Platform, provider: Kbase) -> None:
        pool = make(platform)
        name = platform.vm(pool=pool)
        assert len(provider.info(name)['disks']) == 1
        refused(provider.delete_pool(pool, full=True), 'Conflict', names=name)
        ok(provider.delete(name))
        ok(provider.delete_pool(pool))
