"""Snapshots on the real libvirtd, of VMs without an image: they run, and have nothing to boot."""

from __future__ import annotations

from typing import Any

import pytest

from kvirt.providers.kvm import Kvirt, snapshots

pytestmark = pytest.mark.e2e

BARE: dict[str, Any] = {'virttype': 'qemu', 'cloudinit': False, 'nets': [], 'memory': 64, 'numcpus': 1, 'disks': [1]}


def current(kvm: Kvirt, name: str) -> list[str]:
    return [each['snapshot'] for each in kvm.info(name)['snapshots'] if each['current']]


@pytest.mark.parametrize('start', [False, True], ids=['stopped', 'running'])
def test_internal_snapshots(kvm: Kvirt, prefix: str, start: bool) -> None:
    name = f'{prefix}-a'
    kvm.create(name, **BARE, start=start).expect()
    for snapshot in ('zebra', 'ant'):
        kvm.create_snapshot(snapshot, name).expect()
    assert kvm.list_snapshots(name) == ['zebra', 'ant']
    assert current(kvm, name) == ['ant']
    kvm.stop(name).expect()
    kvm.revert_snapshot('zebra', name).expect()
    assert kvm.status(name) == ('running' if start else 'stopped')
    assert current(kvm, name) == ['zebra']
    kvm.delete_snapshot('zebra', name).expect()
    assert kvm.list_snapshots(name) == ['ant']
    assert kvm.delete(name)['error'] == 'Conflict'
    kvm.delete(name, snapshots=True).expect()


@pytest.mark.parametrize('start', [False, True], ids=['stopped', 'running'])
def test_external_snapshots(kvm: Kvirt, prefix: str, start: bool) -> None:
    name = f'{prefix}-a'
    kvm.create(name, **{**BARE, 'disks': [1, {'size': 1, 'thin': False}]}, start=start).expect()
    before = kvm.info(name)['disks']
    assert [disk['format'] for disk in before] == ['qcow2', 'raw']
    only_internal = {} if 'externalSnapshot' not in kvm.libvirt.getCapabilities() else {'external': False}
    for kind in ({'external': False}, only_internal):
        refused = kvm.create_snapshot('old', name, **kind)
        assert refused['error'] == 'NotSupported' and 'vdb is raw' in refused['reason']
    for snapshot in ('old', 'new'):
        kvm.create_snapshot(snapshot, name, external=True).expect()
    assert [disk['path'].rpartition('/')[2] for disk in kvm.info(name)['disks']] == [
        f'{name}_vda.new.img', f'{name}_vdb.new.img']
    assert current(kvm, name) == ['new']
    refused = kvm.delete_disk(None, f'{name}_0.img')
    assert refused['error'] == 'Conflict' and name in refused['reason'], 'what a snapshot froze is in use'
    assert not [row for row in kvm.volumes() if row.startswith(prefix)]
    if 'externalSnapshot' not in kvm.libvirt.getCapabilities():
        refused = kvm.revert_snapshot('old', name)
        assert refused['error'] == 'NotSupported' and '9.9' in refused['reason']
        if not start:
            refused = kvm.delete_snapshot('old', name)
            assert refused['error'] == 'Conflict' and 'younger' in refused['reason']
    for snapshot in ('old', 'new') if start else ('new', 'old'):
        kvm.delete_snapshot(snapshot, name).expect()
    assert kvm.info(name)['disks'] == before
    kvm.create_snapshot('last', name, external=True).expect()
    kvm.delete(name, snapshots=True).expect()


def test_kinds_are_not_mixed(kvm: Kvirt, prefix: str) -> None:
    name = f'{prefix}-a'
    kvm.create(name, **BARE, start=False).expect()
    kvm.create_snapshot('first', name).expect()
    assert kvm.create_snapshot('second', name, external=True)['error'] == 'Conflict'
    kvm.delete(name, snapshots=True).expect()


def test_a_snapshot_that_can_not_be_taken_leaves_nothing(kvm: Kvirt, prefix: str) -> None:
    name = f'{prefix}-a'
    kvm.create(name, **BARE, start=False).expect()
    volume = f'{name}_vda.first.img'
    kvm.create_disk(volume, 1).expect()
    assert kvm.create_snapshot('first', name, external=True)['error'] == 'AlreadyExists'
    kvm.delete_disk(None, volume).expect()
    kvm.delete(name).expect()


def test_a_disk_that_was_there_before_the_vm(kvm: Kvirt, prefix: str) -> None:
    name, volume = f'{prefix}-a', f'{prefix}-data'
    kvm.create_disk(volume, 1).expect()
    kvm.create(name, **{**BARE, 'disks': [1, volume]}, start=False).expect()
    refused = kvm.create_snapshot('first', name, external=True)
    assert refused['error'] == 'NotSupported' and 'outlives' in refused['reason']
    kvm.create_snapshot('first', name).expect()
    kvm.delete(name, snapshots=True).expect()
    found = kvm.get_volume(volume)
    kvm.create(f'{prefix}-b', **{**BARE, 'disks': [volume]}, start=False).expect()
    kvm.create_snapshot('first', f'{prefix}-b').expect()  # the old one of that name went with the first VM
    kvm.delete(f'{prefix}-b', snapshots=True).expect()
    found.delete(0)


def test_a_revert_keeps_what_was_made_since(kvm: Kvirt, prefix: str) -> None:
    name = f'{prefix}-a'
    kvm.create(name, **BARE, start=False).expect()
    kvm.create_snapshot('first', name).expect()
    kvm.add_disk(name, 1).expect()
    kvm.revert_snapshot('first', name).expect()
    assert len(kvm.info(name)['disks']) == 1
    kvm.delete(name, snapshots=True).expect()  # and with it the disk that the snapshot did not know


def test_a_disk_that_is_gone_is_told_before_anything_is_reverted(kvm: Kvirt, prefix: str) -> None:
    name = f'{prefix}-a'
    kvm.create(name, **{**BARE, 'disks': [1, 1]}, start=False).expect()
    kvm.create_snapshot('first', name).expect()
    kvm.delete_disk(name, 'vdb').expect()
    refused = kvm.revert_snapshot('first', name)
    assert refused['error'] == 'Conflict' and f'{name}_1.img' in refused['reason']
    kvm.delete(name, snapshots=True).expect()


def test_a_snapshot_that_libvirt_refuses_leaves_the_journal_as_it_was(kvm: Kvirt, prefix: str,
                                                                      monkeypatch: pytest.MonkeyPatch) -> None:
    name = f'{prefix}-a'
    kvm.create(name, **BARE, start=False).expect()
    before = kvm.persistent(kvm.domain_of(name)).journal
    monkeypatch.setattr(snapshots, 'snapshot_xml', lambda *_: '<domainsnapshot><disks><disk/></disks></domainsnapshot>')
    assert not kvm.create_snapshot('first', name, external=True).ok
    assert kvm.persistent(kvm.domain_of(name)).journal == before
    assert kvm.list_snapshots(name) == []
    kvm.delete(name).expect()
