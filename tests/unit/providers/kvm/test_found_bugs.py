"""Faults that other programs of this kind had when they made and changed VMs on libvirt: not here."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from xml.etree import ElementTree

import pytest

from kvirt.providers.kvm import Kvirt
from kvirt.update import update_vm

BARE: dict[str, Any] = {'cloudinit': False, 'pool': 'default-pool', 'start': False}


@pytest.fixture
def kvm() -> Iterator[Kvirt]:
    with Kvirt(url='test:///default') as provider:
        yield provider
        for row in provider.list():
            if row['name'] != 'test':
                provider.delete(row['name']).expect()


def devices(kvm: Kvirt, name: str) -> ElementTree.Element:
    found = ElementTree.fromstring(kvm.domain_of(name).XMLDesc(0)).find('devices')
    assert found is not None
    return found


def sizes(kvm: Kvirt, name: str) -> list[int]:
    return [kvm.get_volume(disk['path'].rpartition('/')[2]).info()[1] // 1024**3 for disk in kvm.info(name)['disks']]


def test_disksize_counts_alone_and_beside_disks(kvm: Kvirt) -> None:
    kvm.create('a', **BARE, disksize=3).expect()
    kvm.create('b', **BARE, disksize=3, disks=[{'interface': 'scsi'}, 2]).expect()
    assert (sizes(kvm, 'a'), sizes(kvm, 'b')) == ([3], [3, 2])


def test_what_one_vm_was_given_is_not_given_to_the_next(kvm: Kvirt) -> None:
    kvm.create('big', **BARE, memory=8192, numcpus=4, tpm=False, nets=['default', 'default']).expect()
    kvm.create('plain', **BARE).expect()
    known = kvm.info('plain')
    assert (known['memory'], known['numcpus'], len(known['nets'])) == (512, 2, 1)


def test_a_create_that_fails_can_be_tried_again(kvm: Kvirt) -> None:
    for _ in range(2):
        assert kvm.create('a', **BARE, disks=[1, {'existing': 'absent'}])['error'] == 'NotFound'
    assert not [name for name in kvm.list_disks() if name.startswith('a_')]
    kvm.create('a', **BARE, disks=[1]).expect()


def test_markup_in_values_stays_text(kvm: Kvirt) -> None:
    hostile = '<a b="c">&amp;\'</a>'
    kvm.create('a', **BARE, owner=hostile, metadata={'note': hostile}).expect()
    known: dict[str, Any] = dict(kvm.info('a'))
    assert (known['owner'], known['note']) == (hostile, hostile)


def test_an_update_that_can_not_be_changes_nothing_before_it(kvm: Kvirt) -> None:
    kvm.create('a', **BARE).expect()
    for wrong in ({'memory': 2048, 'uefi': True}, {'numcpus': 4, 'memory': 'lots'}, {'numcpus': 4, 'disks': [1]}):
        assert not update_vm(kvm, 'a', wrong).ok
    assert (kvm.info('a')['memory'], kvm.info('a')['numcpus']) == (512, 2)


def test_memory_and_cpus_of_a_vm_that_is_off(kvm: Kvirt) -> None:
    kvm.create('a', **BARE).expect()
    assert update_vm(kvm, 'a', {'memory': '1g', 'numcpus': 3})['updated'] == ['memory', 'numcpus']
    assert (kvm.info('a')['memory'], kvm.info('a')['numcpus']) == (1024, 3)


def test_a_running_vm_says_what_it_was_made_with(kvm: Kvirt) -> None:
    kvm.create('a', **{**BARE, 'start': True}).expect()
    for change, words in (({'memory': 4096}, 'made with at most 512 MiB'), ({'numcpus': 8}, 'made with at most 2 CPUs')):
        refused = update_vm(kvm, 'a', change)
        assert (refused['error'], words in refused['reason']) == ('Conflict', True), refused


def test_a_clone_needs_no_copy_of_a_cd_that_is_in_no_pool(kvm: Kvirt, tmp_path: Any) -> None:
    (tmp_path / 'cd.iso').write_bytes(b'x')
    kvm.create('a', **BARE, disks=[1], iso=str(tmp_path / 'cd.iso')).expect()
    kvm.clone('a', 'b').expect()
    assert [source.get('file') for source in devices(kvm, 'b').iterfind('disk/source')] == [
        '/default-pool/b_0.img', str(tmp_path / 'cd.iso')]


def test_a_guest_that_can_not_be_asked_is_said_to_be_so(kvm: Kvirt, caplog: pytest.LogCaptureFixture) -> None:
    kvm.create('a', **{**BARE, 'start': True}, numcpus=4).expect()
    assert update_vm(kvm, 'a', {'numcpus': 2}).ok
    assert not caplog.text
    assert update_vm(kvm, 'a', {'numcpus': 3}).ok
    assert 'VM a has 3 CPUs now; whether its guest uses them is not known' in caplog.text
