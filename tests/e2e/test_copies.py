"""Renaming and cloning on the real libvirtd; the VMs have no image, and stay off."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from kvirt.providers.kvm import Kvirt
from kvirt.providers.kvm.domain import JOURNAL_PREFIX, JOURNAL_URI
from kvirt.providers.kvm.volumes import below

pytestmark = pytest.mark.e2e

BARE: dict[str, Any] = {'virttype': 'qemu', 'cloudinit': False, 'nets': [], 'memory': 64, 'numcpus': 1, 'disks': [1],
                        'start': False}


def root_below(kvm: Kvirt, name: str) -> str | None:
    return below(kvm.get_volume(kvm.info(name)['disks'][0]['path']))


@pytest.mark.parametrize('full', [False, True], ids=['thin', 'full'])
def test_a_clone_stands_on_the_image_or_on_nothing(kvm: Kvirt, prefix: str, full: bool) -> None:
    image, old, new = f'{prefix}-root.qcow2', f'{prefix}-a', f'{prefix}-b'
    path = kvm.create_disk(image, 1).expect()['path']
    kvm.create(old, **{**BARE, 'disks': [{'size': 1, 'image': image}, {'size': 1, 'thin': False}]}).expect()
    kvm.clone(old, new, full=full).expect()
    assert root_below(kvm, new) == (None if full else path)
    assert [disk['format'] for disk in kvm.info(new)['disks']] == ['qcow2', 'raw']
    kvm.delete(old).expect()
    kvm.start(new).expect()
    kvm.delete(new).expect()
    kvm.delete_image(image).expect()


def test_a_clone_does_not_stand_on_what_a_snapshot_froze(kvm: Kvirt, prefix: str) -> None:
    old, new = f'{prefix}-a', f'{prefix}-b'
    kvm.create(old, **BARE).expect()
    kvm.create_snapshot('first', old, external=True).expect()
    kvm.clone(old, new).expect()
    assert kvm.list_snapshots(new) == []
    assert root_below(kvm, old) and root_below(kvm, new) is None
    kvm.delete(old, snapshots=True).expect()
    kvm.start(new).expect()
    kvm.delete(new).expect()


def test_a_clone_shares_a_shared_disk(kvm: Kvirt, prefix: str) -> None:
    old, new = f'{prefix}-a', f'{prefix}-b'
    kvm.create(old, **BARE).expect()
    shared = kvm.add_disk(old, 1, thin=False, shareable=True).expect()['path']
    kvm.clone(old, new).expect()
    assert [kvm.info(name)['disks'][1]['path'] for name in (old, new)] == [shared, shared]
    assert kvm.delete(old).expect()['kept']
    kvm.delete(new).expect()
    kvm.delete_disk(None, shared).expect()


def test_a_clone_copies_disks_that_are_named_by_pool_and_volume(kvm: Kvirt, prefix: str) -> None:
    old, new = f'{prefix}-a', f'{prefix}-b'
    kvm.create(old, **BARE).expect()
    root = ElementTree.fromstring(kvm.domain_of(old).XMLDesc(0))
    disk = root.find('devices/disk')
    source = root.find('devices/disk/source')
    assert disk is not None and source is not None
    disk.set('type', 'volume')
    source.attrib = {'pool': 'default', 'volume': f'{old}_0.img'}
    kvm.libvirt.defineXML(ElementTree.tostring(root, encoding='unicode'))
    kvm.clone(old, new).expect()
    assert kvm.info(new)['disks'][0]['path'].endswith(f'/{new}_0.img')
    assert kvm.list_disks()[f'{old}_0.img']['vms'] == [old]
    for name in (old, new):
        kvm.delete(name).expect()


def test_a_vm_is_renamed_with_what_is_its_own(kvm: Kvirt, prefix: str) -> None:
    old, new = f'{prefix}-a', f'{prefix}-b'
    kvm.create(old, **BARE).expect()
    kvm.domain_of(old).setMetadata(2, None, JOURNAL_PREFIX, JOURNAL_URI, 2)  # as one that kcli made
    kvm.rename(old, new).expect()
    taken = kvm.create(old, **BARE)
    assert taken['error'] == 'AlreadyExists' and f'is a disk of {new}' in taken['reason']
    kvm.create_snapshot('first', new).expect()
    refused = kvm.rename(new, old)
    assert refused['error'] == 'Conflict' and 'snapshots' in refused['reason']
    kvm.delete_snapshot('first', new).expect()
    kvm.start(new).expect()
    assert kvm.rename(new, old)['error'] == 'Conflict'
    kvm.delete(new).expect()


@pytest.mark.parametrize('started', [False, True])
def test_variables_of_uefi_are_not_left_to_the_next_vm_of_that_name(kvm: Kvirt, prefix: str, started: bool,
                                                                           libvirt_folder: Path) -> None:
    old, new, folder = f'{prefix}-a', f'{prefix}-b', libvirt_folder / 'qemu/nvram'
    kvm.create(old, **{**BARE, 'uefi': True, 'start': started}).expect()
    kvm.stop(old).expect()
    kvm.rename(old, new).expect()
    assert not [path.name for path in folder.iterdir() if path.name.startswith(old)]
    kvm.start(new).expect()
    assert f'/{new}_' in kvm.domain_of(new).XMLDesc(0)
    kvm.delete(new).expect()
    assert not [path.name for path in folder.iterdir() if path.name.startswith(prefix)]


def test_a_vm_of_kcli_keeps_its_disks_when_it_gets_another(kvm: Kvirt, prefix: str) -> None:
    name = f'{prefix}-a'
    kvm.create(name, **BARE).expect()
    kvm.domain_of(name).setMetadata(2, None, JOURNAL_PREFIX, JOURNAL_URI, 2)
    kvm.add_disk(name, 1).expect()
    assert 'kept' not in kvm.delete(name).expect()
