"""Disks: volumes of their own, and those of VMs."""

from __future__ import annotations

from typing import Any

import pytest

from kvirt.base import Kbase
from kvirt.shapes import DiskShape
from kvirt.testing.platform import Platform, ok, refused

needs = pytest.mark.needs

WRONG_SIZES: list[Any] = [0, -1, '-1', '10Q', '', 'ten', '1e3', None, [], '9' * 40]


def disks(provider: Kbase, name: str) -> list[DiskShape]:
    """Return the disks of a VM."""
    return provider.info(name)['disks']


def new_disk(provider: Kbase, name: str, before: list[DiskShape]) -> DiskShape:
    """Return the one disk of a VM that was not there before."""
    [disk] = [disk for disk in disks(provider, name) if disk['device'] not in [old['device'] for old in before]]
    return disk


class TestDisks:
    """Create, add, resize, detach, delete."""

    @needs('create_disk', 'list_disks', 'delete_disk')
    def test_a_volume_of_its_own(self, platform: Platform, provider: Kbase) -> None:
        name = platform.harness.name('volume')
        assert not provider.disk_exists(platform.pool, name)
        ok(provider.create_disk(name, 2, pool=platform.pool))
        row = provider.list_disks()[name]
        assert (row['size'], row['pool'], row.get('vms', [])) == (2, platform.pool, [])
        assert provider.disk_exists(platform.pool, name)
        assert provider.disk_exists(None, name)
        assert not provider.disk_exists('no-such-pool', name)
        ok(provider.delete_disk(None, name, pool=platform.pool))
        assert name not in provider.list_disks()
        assert not provider.disk_exists(platform.pool, name)
        refused(provider.delete_disk(None, name, pool=platform.pool), 'NotFound', names=name)

    @needs('create_disk', 'list_disks')
    def test_sizes_are_gib_or_have_a_unit(self, platform: Platform, provider: Kbase) -> None:
        for size, gib in (('3', 3), ('2g', 2), ('2048M', 2), ('1025M', 2)):
            name = platform.harness.name('volume')
            ok(provider.create_disk(name, size, pool=platform.pool))
            assert provider.list_disks()[name]['size'] == gib

    @needs('create_disk', 'list_disks')
    def test_a_volume_that_can_not_be_makes_nothing(self, platform: Platform, provider: Kbase) -> None:
        name, there = platform.harness.name('volume'), platform.disk()
        with platform.nothing_made():
            refused(provider.create_disk(there, 5, pool=platform.pool), 'AlreadyExists', names=there)
            for size in WRONG_SIZES:
                refused(provider.create_disk(name, size, pool=platform.pool), 'InvalidInput')
            refused(provider.create_disk(name, 1, image='no-such-image'), 'NotFound', names='no-such-image')
            if provider.supports('list_pools'):
                refused(provider.create_disk(name, 1, pool='no-such-pool'), 'NotFound', names='no-such-pool')
        assert provider.list_disks()[there]['size'] == 1

    @needs('create_disk', 'list_disks', 'volumes')
    def test_a_volume_of_an_image(self, platform: Platform, provider: Kbase) -> None:
        name = platform.harness.name('volume')
        ok(provider.create_disk(name, 12, pool=platform.pool, image=platform.image))
        assert provider.list_disks()[name]['size'] == 12

    @needs('create', 'info', 'delete', 'add_disk', 'delete_disk')
    @pytest.mark.parametrize('start', [False, True], ids=['stopped', 'running'])
    def test_a_disk_is_added_and_deleted(self, platform: Platform, provider: Kbase, start: bool) -> None:
        name = platform.vm(start=start)
        before, inventory = disks(provider, name), platform.inventory()
        ok(provider.add_disk(name, 3, pool=platform.pool))
        added = new_disk(provider, name, before)
        assert added['size'] == 3
        result = provider.delete_disk(name, added['device'])
        if start and not platform.harness.boots and not result.ok:
            refused(result, 'Conflict', names=name)  # no guest is there to let go of the disk, so it is kept
            assert disks(provider, name) == [*before, added]
            assert platform.inventory() != inventory or not provider.supports('list_disks')
            return
        ok(result)
        assert disks(provider, name) == before
        refused(provider.delete_disk(name, added['device']), 'NotFound', names=added['device'])
        assert platform.inventory() == inventory

    @needs('create', 'info', 'delete', 'add_disk', 'list_disks')
    def test_a_disk_that_was_added_goes_with_its_vm(self, platform: Platform, provider: Kbase) -> None:
        with platform.nothing_made():
            name = platform.vm()
            before = disks(provider, name)
            ok(provider.add_disk(name, 1, pool=platform.pool))
            new_disk(provider, name, before)
            ok(provider.delete(name))

    @needs('create', 'info', 'delete', 'add_disk', 'list_disks')
    def test_a_disk_that_was_added_may_have_a_name(self, platform: Platform, provider: Kbase) -> None:
        name, volume = platform.vm(), platform.harness.name('volume')
        ok(provider.add_disk(name, 1, pool=platform.pool, overrides={'diskname': volume}))
        assert provider.list_disks()[volume]['vms'] == [name]

    @needs('add_disk', 'create_disk', 'list_disks')
    def test_a_volume_may_be_made_without_a_vm(self, platform: Platform, provider: Kbase) -> None:
        volume = platform.harness.name('volume')
        ok(provider.add_disk(volume, 1, pool=platform.pool, novm=True))
        assert volume in provider.list_disks()
        ok(provider.delete_disk(None, volume, novm=True))
        assert volume not in provider.list_disks()

    @needs('create', 'info', 'delete', 'add_disk', 'create_disk', 'list_disks', 'delete_disk')
    def test_a_volume_in_use_is_not_deleted(self, platform: Platform, provider: Kbase) -> None:
        name, volume = platform.vm(), platform.disk()
        before = disks(provider, name)
        ok(provider.add_disk(name, existing=volume, pool=platform.pool))
        new_disk(provider, name, before)
        assert provider.list_disks()[volume]['vms'] == [name]
        refused(provider.delete_disk(None, volume), 'Conflict', names=name)
        refused(provider.create(platform.harness.name('vm'), **platform.asked(disks=[10, volume])), 'Conflict', names=name)
        assert volume in provider.list_disks()

    @needs('create', 'info', 'delete', 'create_disk', 'list_disks')
    def test_a_volume_that_was_there_outlives_the_vm(self, platform: Platform, provider: Kbase) -> None:
        volume = platform.disk()
        with platform.nothing_made():
            name = platform.vm(disks=[10, volume])
            assert len(disks(provider, name)) == 2
            assert provider.list_disks()[volume]['vms'] == [name]
            ok(provider.delete(name))
            assert provider.list_disks()[volume].get('vms', []) == []

    @needs('create', 'info', 'delete', 'add_disk')
    def test_a_disk_that_can_not_be_added_makes_nothing(self, platform: Platform, provider: Kbase) -> None:
        name = platform.vm()
        before = disks(provider, name)
        with platform.nothing_made():
            for size in WRONG_SIZES:
                refused(provider.add_disk(name, size, pool=platform.pool), 'InvalidInput')
            pools: list[dict[str, Any]] = [{'pool': 'no-such-pool'}] if provider.supports('list_pools') else []
            for absent in ({'existing': 'no-such-volume'}, {'image': 'no-such-image'}, *pools):
                asked: dict[str, Any] = {'pool': platform.pool, **absent}
                refused(provider.add_disk(name, 1, **asked), 'NotFound', names='no-such')
            refused(provider.add_disk('no-such-vm', 1, pool=platform.pool), 'NotFound', names='no-such-vm')
        assert disks(provider, name) == before

    @needs('create', 'info', 'delete', 'detach_disks', 'list_disks', 'delete_disk')
    def test_disks_are_detached_and_kept(self, platform: Platform, provider: Kbase) -> None:
        name = platform.vm(disks=[10, 1, 2])
        root, *others = disks(provider, name)
        paths = [disk['path'] for disk in others]
        assert ok(provider.detach_disks(name))['disks'] == paths
        assert disks(provider, name) == [root]
        assert ok(provider.detach_disks(name))['disks'] == []
        ok(provider.delete(name))
        kept = {volume: row for volume, row in provider.list_disks().items() if row['path'] in paths}
        assert sorted((row['size'], row.get('vms', [])) for row in kept.values()) == [(1, []), (2, [])]
        for volume in kept:
            ok(provider.delete_disk(None, volume))

    @needs('create', 'info', 'delete', 'resize_disk')
    def test_a_disk_grows_and_never_shrinks(self, platform: Platform, provider: Kbase) -> None:
        name = platform.vm(disks=[10, 1])
        root, other = disks(provider, name)
        ok(provider.resize_disk(name, other['device'], 3))
        ok(provider.resize_disk(name, root['device'], '12G'))
        assert [disk['size'] for disk in disks(provider, name)] == [12, 3]
        refused(provider.resize_disk(name, other['device'], 2), 'InvalidInput')
        refused(provider.resize_disk(name, other['device'], '10Q'), 'InvalidInput')
        refused(provider.resize_disk(name, 'vdz', 20), 'NotFound', names='vdz')
        assert [disk['size'] for disk in disks(provider, name)] == [12, 3]
