"""Disks: volumes of their own, and those of VMs."""

from __future__ import annotations

from typing import Any

import pytest

from kvirt.base import Kbase
from kvirt.shapes import DiskShape
from kvirt.testing.harness import REFUSALS
from kvirt.testing.platform import Platform, can_not_be, ok, refused

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
        size = platform.gib(2)
        ok(provider.create_disk(name, size, pool=platform.pool))
        row = provider.list_disks()[name]
        assert (row['size'], row.get('pool'), row.get('vms', [])) == (size, platform.pool, [])
        assert provider.disk_exists(platform.pool, name)
        assert provider.disk_exists(None, name)
        assert not provider.disk_exists('no-such-pool', name)
        ok(provider.delete_disk(None, name, pool=platform.pool))
        platform.shows(lambda: name in provider.list_disks(), False)
        assert not provider.disk_exists(platform.pool, name)
        refused(provider.delete_disk(None, name, pool=platform.pool), 'NotFound', names=name)

    @needs('create_disk', 'list_disks')
    def test_sizes_are_gib_or_have_a_unit(self, platform: Platform, provider: Kbase) -> None:
        least = platform.gib(1)
        for size, gib in ((f'{least + 2}', least + 2), (f'{least + 1}g', least + 1), (f'{(least + 1) * 1024}M', least + 1),
                          (f'{least * 1024 + 1}M', least + 1)):
            name = platform.harness.name('volume')
            ok(provider.create_disk(name, size, pool=platform.pool))
            assert provider.list_disks()[name]['size'] == gib

    @needs('create_disk', 'list_disks')
    def test_a_volume_that_can_not_be_makes_nothing(self, platform: Platform, provider: Kbase) -> None:
        name, there = platform.harness.name('volume'), platform.disk()
        with platform.nothing_made():
            refused(provider.create_disk(there, platform.gib(5), pool=platform.pool), 'AlreadyExists', names=there)
            for size in WRONG_SIZES:
                refused(provider.create_disk(name, size, pool=platform.pool), 'InvalidInput')
            absent = provider.create_disk(name, platform.gib(1), image='no-such-image')
            if platform.lacks('disk image'):
                refused(absent, 'NotFound', *REFUSALS)
            else:
                refused(absent, 'NotFound', names='no-such-image')
            if provider.supports('list_pools'):
                refused(provider.create_disk(name, 1, pool='no-such-pool'), 'NotFound', names='no-such-pool')
        assert provider.list_disks()[there]['size'] == platform.gib(1)

    @needs('create_disk', 'list_disks')
    def test_many_volumes_are_listed(self, platform: Platform, provider: Kbase) -> None:
        made = [platform.disk() for _ in range(platform.harness.many)]
        assert [name for name in provider.list_disks() if name in made] == sorted(made)

    @needs('create_disk', 'list_disks', 'volumes')
    def test_a_volume_of_an_image(self, platform: Platform, provider: Kbase) -> None:
        name = platform.harness.name('volume')
        if platform.lacks('disk image'):
            with platform.nothing_made():
                can_not_be(provider.create_disk(name, 12, pool=platform.pool, image=platform.image))
            return
        ok(provider.create_disk(name, 12, pool=platform.pool, image=platform.image))
        assert provider.list_disks()[name]['size'] == 12

    @needs('create', 'info', 'delete', 'add_disk', 'delete_disk')
    @pytest.mark.parametrize('start', [False, True], ids=['stopped', 'running'])
    def test_a_disk_is_added_and_deleted(self, platform: Platform, provider: Kbase, start: bool) -> None:
        name = platform.running() if start else platform.stopped()
        before, inventory = disks(provider, name), platform.inventory()
        ok(provider.add_disk(name, platform.gib(3), pool=platform.pool))
        platform.shows(lambda: len(disks(provider, name)), len(before) + 1)
        added = new_disk(provider, name, before)
        assert added['size'] == platform.gib(3)
        result = provider.delete_disk(name, added['device'])
        if start and not platform.harness.boots and not result.ok:
            refused(result, 'Conflict', names=name)  # no guest is there to let go of the disk, so it is kept
            assert disks(provider, name) == [*before, added]
            assert platform.inventory() != inventory or not provider.supports('list_disks')
            return
        ok(result)
        platform.shows(lambda: disks(provider, name), before)
        refused(provider.delete_disk(name, added['device']), 'NotFound', names=added['device'])
        platform.shows(platform.inventory, inventory)

    @needs('create', 'info', 'delete', 'add_disk', 'list_disks')
    def test_a_disk_that_was_added_goes_with_its_vm(self, platform: Platform, provider: Kbase) -> None:
        with platform.nothing_made():
            name = platform.vm()
            before = disks(provider, name)
            ok(provider.add_disk(name, platform.gib(1), pool=platform.pool))
            platform.shows(lambda: len(disks(provider, name)), len(before) + 1)
            ok(provider.delete(name))

    @needs('create', 'info', 'delete', 'add_disk', 'list_disks')
    def test_a_disk_that_was_added_may_have_a_name(self, platform: Platform, provider: Kbase) -> None:
        name, volume = platform.vm(), platform.harness.name('volume')
        result = provider.add_disk(name, platform.gib(1), pool=platform.pool, overrides={'diskname': volume})
        if platform.lacks('disk name'):
            can_not_be(result)
        else:
            ok(result)
            platform.shows(lambda: provider.list_disks()[volume]['vms'], [name])

    @needs('add_disk', 'create_disk', 'list_disks')
    def test_a_volume_may_be_made_without_a_vm(self, platform: Platform, provider: Kbase) -> None:
        volume = platform.harness.name('volume')
        ok(provider.add_disk(volume, platform.gib(1), pool=platform.pool, novm=True))
        assert volume in provider.list_disks()
        ok(provider.delete_disk(None, volume, novm=True))
        platform.shows(lambda: volume in provider.list_disks(), False)

    @needs('create', 'info', 'delete', 'add_disk', 'create_disk', 'list_disks', 'delete_disk')
    def test_a_volume_in_use_is_not_deleted(self, platform: Platform, provider: Kbase) -> None:
        name, volume = platform.vm(), platform.disk()
        before = disks(provider, name)
        ok(provider.add_disk(name, existing=volume, pool=platform.pool))
        platform.shows(lambda: provider.list_disks()[volume]['vms'], [name])
        new_disk(provider, name, before)
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
            platform.shows(lambda: provider.list_disks()[volume].get('vms', []), [])

    @needs('create', 'info', 'delete', 'add_disk', 'create_disk', 'list_disks')
    def test_a_volume_that_was_attached_outlives_the_vm(self, platform: Platform, provider: Kbase) -> None:
        volume = platform.disk()
        with platform.nothing_made():
            name = platform.vm()
            ok(provider.add_disk(name, existing=volume, pool=platform.pool))
            platform.shows(lambda: provider.list_disks()[volume]['vms'], [name])
            ok(provider.delete(name))
            platform.shows(lambda: provider.list_disks()[volume].get('vms', []), [])

    @needs('create', 'info', 'delete', 'add_disk')
    def test_a_disk_that_can_not_be_added_makes_nothing(self, platform: Platform, provider: Kbase) -> None:
        name = platform.vm()
        before = disks(provider, name)
        with platform.nothing_made():
            for size in WRONG_SIZES:
                refused(provider.add_disk(name, size, pool=platform.pool), 'InvalidInput')
            pools: list[dict[str, Any]] = [{'pool': 'no-such-pool'}] if provider.supports('list_pools') else []
            images = [] if platform.lacks('disk image') else [{'image': 'no-such-image'}]
            for absent in ({'existing': 'no-such-volume'}, *images, *pools):
                asked: dict[str, Any] = {'pool': platform.pool, **absent}
                refused(provider.add_disk(name, platform.gib(1), **asked), 'NotFound', names='no-such')
            refused(provider.add_disk('no-such-vm', platform.gib(1), pool=platform.pool), 'NotFound', names='no-such-vm')
        assert disks(provider, name) == before

    @needs('create', 'info', 'delete', 'detach_disks', 'list_disks', 'delete_disk')
    def test_disks_are_detached_and_kept(self, platform: Platform, provider: Kbase) -> None:
        sizes = [platform.gib(1), platform.gib(2)]
        name = platform.stopped(disks=[10, *sizes])
        root, *others = disks(provider, name)
        paths = [disk['path'] for disk in others]
        assert sorted(ok(provider.detach_disks(name))['disks']) == sorted(paths)
        platform.shows(lambda: disks(provider, name), [root])
        assert ok(provider.detach_disks(name))['disks'] == []
        ok(provider.delete(name))
        platform.gone(name)
        kept = {volume: row for volume, row in provider.list_disks().items() if row.get('path') in paths}
        assert sorted((row['size'], row.get('vms', [])) for row in kept.values()) == [(size, []) for size in sizes]
        for volume in kept:
            ok(provider.delete_disk(None, volume))

    @needs('create', 'info', 'delete', 'resize_disk')
    def test_a_disk_grows_and_never_shrinks(self, platform: Platform, provider: Kbase) -> None:
        first, then = platform.gib(1), platform.gib(3)
        name = platform.vm(disks=[10, first])
        root, other = disks(provider, name)
        assert other['size'] == first
        ok(provider.resize_disk(name, other['device'], then))
        larger = root['size'] + 2
        result = provider.resize_disk(name, root['device'], f'{larger}G')
        if not result.ok and provider.info(name).get('flavor'):
            can_not_be(result)  # the size of the root disk is the flavor's
            larger = root['size']
        else:
            ok(result)
        platform.shows(lambda: [disk['size'] for disk in disks(provider, name)], [larger, then])
        refused(provider.resize_disk(name, other['device'], first), 'InvalidInput')
        refused(provider.resize_disk(name, other['device'], '10Q'), 'InvalidInput')
        refused(provider.resize_disk(name, 'vdz', 20), 'NotFound', names='vdz')
        assert [disk['size'] for disk in disks(provider, name)] == [larger, then]
