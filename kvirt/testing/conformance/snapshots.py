"""Snapshots of VMs."""

from __future__ import annotations

import pytest

from kvirt.base import Kbase
from kvirt.errors import NotFound
from kvirt.testing.platform import Platform, ok, refused

needs = pytest.mark.needs


def take(platform: Platform, vm: str, name: str) -> None:
    """Take snapshot *name* of a VM, and wait until it is there."""
    ok(platform.provider.create_snapshot(name, vm))
    platform.shows(lambda: name in platform.provider.list_snapshots(vm), True)


@needs('create_snapshot', 'list_snapshots', 'delete_snapshot', 'create', 'info', 'delete')
class TestSnapshots:
    """Take, list, revert to, delete."""

    def test_snapshots_are_taken_and_deleted(self, platform: Platform, provider: Kbase) -> None:
        vm = platform.vm()
        assert provider.list_snapshots(vm) == []
        take(platform, vm, 'zebra')
        take(platform, vm, 'ant')
        assert provider.list_snapshots(vm) == ['zebra', 'ant'], 'the oldest comes first'
        assert sorted(each['snapshot'] for each in provider.info(vm)['snapshots']) == ['ant', 'zebra']
        if not platform.lacks('snapshot state'):
            assert [each['snapshot'] for each in provider.info(vm)['snapshots'] if each['current']] == ['ant']
        ok(provider.delete_snapshot('zebra', vm))
        platform.shows(lambda: provider.list_snapshots(vm), ['ant'])
        refused(provider.delete_snapshot('zebra', vm), 'NotFound', names='zebra')

    @needs('revert_snapshot')
    def test_a_vm_goes_back(self, platform: Platform, provider: Kbase) -> None:
        vm, disks_only = platform.stopped(), platform.lacks('snapshot state')
        take(platform, vm, 'first')
        take(platform, vm, 'second')
        ok(provider.revert_snapshot('first', vm))
        platform.wait(vm, 'stopped', *(['running'] if disks_only else []))
        assert provider.list_snapshots(vm) == ['first', 'second']
        if not disks_only:
            assert [each['snapshot'] for each in provider.info(vm)['snapshots'] if each['current']] == ['first']
        refused(provider.revert_snapshot('third', vm), 'NotFound', names='third')

    def test_a_snapshot_that_is_there_is_not_taken_again(self, platform: Platform, provider: Kbase) -> None:
        vm, other = platform.vm(), platform.vm()
        take(platform, vm, 'first')
        refused(provider.create_snapshot('first', vm), 'AlreadyExists', names='first')
        take(platform, other, 'first')
        assert provider.list_snapshots(vm) == ['first']

    def test_a_vm_with_snapshots_is_only_deleted_when_that_is_meant(self, platform: Platform, provider: Kbase) -> None:
        with platform.nothing_made():
            vm = platform.vm()
            take(platform, vm, 'first')
            refused(provider.delete(vm), 'Conflict', names=vm)
            assert provider.list_snapshots(vm) == ['first']
            ok(provider.delete(vm, snapshots=True))
            platform.gone(vm)

    def test_a_vm_that_is_not_there_has_none(self, platform: Platform, provider: Kbase) -> None:
        with pytest.raises(NotFound, match='no-such-vm'):
            provider.list_snapshots('no-such-vm')
