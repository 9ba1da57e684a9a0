"""Disks and pools on the real libvirtd. The VMs have no image: those that run have nothing to boot."""

from __future__ import annotations

import subprocess
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

import pytest

from kvirt.providers.kvm import Kvirt

pytestmark = pytest.mark.e2e

BARE: dict[str, Any] = {'virttype': 'qemu', 'cloudinit': False, 'nets': [], 'memory': 64, 'numcpus': 1, 'disks': [1]}


def disk(kvm: Kvirt, vm: str, target: str, live: bool) -> ET.Element:
    text = kvm.domain_of(vm).XMLDesc(0 if live else 2)
    disks = ET.fromstring(text).iterfind('devices/disk')
    return next(each for each in disks if each.find(f"target[@dev='{target}']") is not None)


@pytest.mark.parametrize('start', [False, True], ids=['stopped', 'running'])
def test_a_disk_is_what_was_asked_for(kvm: Kvirt, prefix: str, start: bool) -> None:
    name = f'{prefix}-a'
    kvm.create(name, **BARE, start=start).expect()
    settings = {'format': 'qcow2', 'cache': 'none', 'discard': 'ignore', 'serial': 'S1'}
    kvm.add_disk(name, 1, thin=False, overrides=settings).expect()
    kvm.add_disk(name, 1, interface='scsi', overrides={'format': 'raw', 'wwn': '5000c50015ea71aa'}).expect()
    for live in {False, start}:
        full, sparse = disk(kvm, name, 'vdb', live), disk(kvm, name, 'sda', live)
        driver = full.find('driver').attrib  # type: ignore[union-attr]
        found = {'format': driver['type'], 'serial': full.findtext('serial'), **driver}
        assert {key: found[key] for key in settings} == settings
        assert (sparse.find('driver').get('type'), sparse.findtext('wwn')) == ('raw', '5000c50015ea71aa')  # type: ignore
    assert "model='virtio-scsi'" in kvm.domain_of(name).XMLDesc(0)
    sizes = [kvm.get_volume(f'{name}_{index}.img').info() for index in (1, 2)]
    assert sizes[0][2] >= 1024**3 and sizes[1][1] == 1024**3 and sizes[1][2] < 1024**2, 'one is allocated, one is not'
    kvm.delete(name).expect()


@pytest.mark.parametrize('start', [False, True], ids=['stopped', 'running'])
def test_a_disk_is_shared(kvm: Kvirt, prefix: str, start: bool) -> None:
    first, second = f'{prefix}-a', f'{prefix}-b'
    for name in (first, second):
        kvm.create(name, **BARE, start=start).expect()
    made = kvm.add_disk(first, 1, thin=False, shareable=True).expect()
    volume = made['path'].rpartition('/')[2]
    assert kvm.add_disk(second, existing=volume)['error'] == 'Conflict'
    kvm.add_disk(second, existing=volume, shareable=True).expect()
    assert kvm.list_disks()[volume]['vms'] == [first, second]
    refused = kvm.add_disk(second, existing=f'{first}_0.img', shareable=True)
    assert refused['error'] == 'Conflict' and 'not shared there' in refused['reason']
    for name in (first, second):
        kvm.stop(name).expect()
    kvm.delete_disk(first, volume).expect()
    assert kvm.list_disks()[volume]['vms'] == [second], 'the other VM keeps it'
    kvm.add_disk(first, existing=volume, shareable=True).expect()
    again = kvm.add_disk(first, 1, thin=False, shareable=True).expect()['path'].rpartition('/')[2]
    kvm.add_disk(second, existing=again, shareable=True).expect()
    assert sorted(kvm.delete(first).expect()['kept']) == [volume, again]
    assert [kvm.list_disks()[each]['vms'] for each in (volume, again)] == [[second], [second]]
    kvm.delete(second).expect()
    for each in (volume, again):
        kvm.delete_disk(None, each).expect()


def test_a_disk_grows_while_its_vm_is_paused_and_while_it_is_stopped(kvm: Kvirt, prefix: str) -> None:
    name = f'{prefix}-a'
    kvm.create(name, **{**BARE, 'disks': [1, {'size': 1, 'thin': False}]}).expect()
    kvm.domain_of(name).suspend()
    for target in ('vda', 'vdb'):
        kvm.resize_disk(name, target, 2).expect()
    kvm.stop(name).expect()
    kvm.resize_disk(name, 'vda', 3).expect()
    assert [each['size'] for each in kvm.info(name)['disks']] == [3, 2]
    assert kvm.resize_disk(name, 'vda', 2)['error'] == 'InvalidInput'
    kvm.delete(name).expect()


def test_a_disk_that_can_not_be_plugged_in_leaves_nothing(kvm: Kvirt, prefix: str) -> None:
    name = f'{prefix}-a'
    kvm.create(name, **BARE).expect()
    for bus in ('sata', 'ide'):
        assert not kvm.add_disk(name, 1, interface=bus).ok
        assert [disk for disk in kvm.list_disks() if disk.startswith(prefix)] == [f'{name}_0.img']
    kvm.delete(name).expect()


@pytest.mark.parametrize(('pooltype', 'path', 'settings'), [
    ('netfs', '/export', {'host': '127.0.0.1', 'format': 'nfs'}), ('lvm', 'nosuchgroup', {}),
    ('iscsi', 'iqn.2013-06.com.example:disk', {'host': '127.0.0.1'}), ('rbd', 'vms', {'host': '127.0.0.1'}),
    ('zfs', 'nosuchpool', {})])
def test_a_pool_that_can_not_be_had_leaves_nothing(kvm: Kvirt, prefix: str, pooltype: str, path: str,
                                                   settings: dict[str, str]) -> None:
    name = f'{prefix}-pool'
    refused = kvm.create_pool(name, path, pooltype=pooltype, overrides=settings)
    assert not refused.ok and refused['reason']
    if 'storage driver' in refused['reason']:  # a package of libvirt that is not installed
        assert refused['error'] == 'NotSupported' and f'libvirt-daemon-driver-storage-{pooltype}' in str(refused.error)
    assert name not in kvm.list_pools() and not Path('/var/lib/libvirt', name).exists()


def test_a_folder_that_was_there_outlives_a_pool_that_can_not_be_had(kvm: Kvirt, prefix: str, tmp_path: Path) -> None:
    refused = kvm.create_pool(f'{prefix}-pool', '/export', pooltype='netfs',
                              overrides={'host': '127.0.0.1', 'format': 'nfs', 'target': str(tmp_path)})
    assert not refused.ok and tmp_path.is_dir() and f'{prefix}-pool' not in kvm.list_pools()


def test_a_pool_whose_folder_is_gone_is_in_nobodys_way(kvm: Kvirt, prefix: str, caplog: pytest.LogCaptureFixture) -> None:
    broken, folder = f'{prefix}-pool', Path('/var/lib/libvirt', f'{prefix}-pool')
    kvm.create_pool(broken, str(folder)).expect()
    folder.rmdir()
    refused = kvm.create(f'{prefix}-a', **{**BARE, 'image': f'{prefix}-image'})
    assert refused['error'] == 'NotFound' and f'{prefix}-image' in refused['reason']
    assert broken in caplog.text or not kvm.libvirt.storagePoolLookupByName(broken).isActive()  # somebody else was told
    assert kvm.info_pool(broken)['status'] != 'running' and broken in kvm.list_pools()
    kvm.create(f'{prefix}-a', **BARE, start=False).expect()
    kvm.delete(f'{prefix}-a').expect()
    assert kvm.create_disk(f'{prefix}-b', 1, pool=broken)['error'] == 'Conflict'
    kvm.delete_pool(broken).expect()


def test_a_pool_tells_its_sizes(kvm: Kvirt, pool: str) -> None:
    known = kvm.info_pool(pool)
    assert (known['type'], known['status']) == ('dir', 'running')
    assert 0 < known['available'] <= known['capacity']


def test_a_pool_that_holds_roots_of_clones_elsewhere_is_kept(kvm: Kvirt, prefix: str, pool: str) -> None:
    image, clone = f'{prefix}-image', f'{prefix}-clone'
    kvm.create_disk(image, 1, pool=pool).expect()
    kvm.create_disk(clone, 1, image=image).expect()
    refused = kvm.delete_pool(pool, full=True)
    assert refused['error'] == 'Conflict' and clone in refused['reason']
    kvm.delete_disk(None, clone).expect()


def test_volumes_of_one_name_in_two_pools_are_both_listed(kvm: Kvirt, prefix: str, pool: str) -> None:
    volume = f'{prefix}-data'
    paths = [kvm.create_disk(volume, 1, pool=where).expect()['path'] for where in ('default', pool)]
    rows = kvm.list_disks()
    assert sorted(row['path'] for row in rows.values() if row['path'] in paths) == sorted(paths)
    for path in paths:
        kvm.delete_disk(None, path).expect()


def test_a_vm_is_exported_to_an_image_that_stands_alone(kvm: Kvirt, prefix: str) -> None:
    name, image, root = f'{prefix}-a', f'{prefix}-image', f'{prefix}-root.qcow2'
    kvm.create_disk(root, 1).expect()
    kvm.create(name, **{**BARE, 'disks': [{'size': 2, 'image': root}]}).expect()
    for refused in (kvm.delete_image(root), kvm.delete_disk(None, root)):
        assert refused['error'] == 'Conflict' and f'{name}_0.img' in refused['reason']
    assert kvm.export(name, image)['error'] == 'Conflict', 'it runs'
    kvm.stop(name).expect()
    made = kvm.export(name, image).expect()['image']
    assert kvm.export(name, image)['error'] == 'AlreadyExists'
    facts = subprocess.run(['qemu-img', 'info', kvm.get_volume(made).path()], capture_output=True, text=True, check=True)
    assert 'backing file' not in facts.stdout and 'virtual size: 2 GiB' in facts.stdout
    kvm.delete(name).expect()
    kvm.delete_image(root).expect()
    kvm.create(name, **{**BARE, 'disks': [{'size': 2, 'image': made}]}, start=False).expect()
    kvm.delete(name).expect()
    kvm.delete_image(made).expect()
