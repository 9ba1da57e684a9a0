"""Disks and pools."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from kvirt.providers.fake import Kfake

from .conftest import create, everything, ok, refused

Make = Callable[..., str]


def devices(fake: Kfake, name: str = 'web') -> list[str]:
    return [disk['device'] for disk in fake.info(name)['disks']]


def test_disks_as_they_were_asked_for(fake: Kfake, vm: Make) -> None:
    vm(disks=[12, '2G', {'size': 3, 'thin': False, 'interface': 'scsi', 'pool': 'fast'}, {'size': 1, 'name': 'logs'},
              {'size': 1, 'interface': 'nvme'}])
    shown = fake.info('web')['disks']
    assert [(disk['device'], disk['size'], disk['format'], disk['type']) for disk in shown] == [
        ('vda', 12, 'qcow2', 'virtio'), ('vdb', 2, 'qcow2', 'virtio'), ('sda', 3, 'raw', 'scsi'),
        ('vdc', 1, 'qcow2', 'virtio'), ('nvme0n1', 1, 'qcow2', 'nvme')]
    assert fake.list_disks()['logs'] == {'pool': 'default', 'path': '/var/lib/fake/default/logs', 'size': 1, 'vms': ['web']}
    assert shown[2]['path'] == 'fakegroup/fast/web_2.img'


def test_a_vm_with_more_disks_than_letters(fake: Kfake, vm: Make) -> None:
    vm(disks=[10] + [1] * 28)
    assert devices(fake)[25:] == ['vdz', 'vdaa', 'vdab', 'vdac']


@pytest.mark.parametrize(('disks', 'error', 'words'), [
    ([1], 'InvalidInput', ['web_0.img of 1 GiB is smaller than its image debian12 of 2 GiB']),
    ([10, {'size': 1, 'pool': 'fats'}], 'NotFound', ["pool 'fats'", "did you mean 'fast'"]),
    ([10, {'size': 5, 'image': 'debian1'}], 'NotFound', ["image 'debian1'"]),
    ([10, 'data', 'data'], 'InvalidInput', ['disk data is there twice']),
    ([10, {'size': 150, 'pool': 'fast', 'thin': False}, {'size': 60, 'pool': 'fast', 'thin': False}], 'OutOfCapacity',
     ['pool fast has 50 GiB left', 'web_2.img needs 60'])])
def test_disks_that_can_not_be(fake: Kfake, state: Path, disks: list[object], error: str, words: list[str]) -> None:
    ok(fake.create_disk('data', 1))
    before = everything(state)
    refused(create(fake, 'web', disks=disks), error, *words)
    assert everything(state) == before


def test_no_disk_is_smaller_than_its_image_by_default(fake: Kfake, vm: Make) -> None:
    ok(fake.add_image('https://images.example/big.qcow2', size=30))
    vm(image='big.qcow2')
    assert fake.info('web')['disks'][0]['size'] == 30


def test_a_vm_without_disks(fake: Kfake, vm: Make) -> None:
    vm('diskless', image=None, disks=[])
    vm('imaged', disks=[])
    assert (fake.info('diskless')['disks'], len(fake.info('imaged')['disks'])) == ([], 1)
    ok(fake.add_disk('diskless', 4))
    assert devices(fake, 'diskless') == ['vda']


def test_a_disk_is_added_named_and_removed(fake: Kfake, vm: Make) -> None:
    vm()
    first = ok(fake.add_disk('web', '3G', overrides={'diskname': 'logs', 'serial': 'S1'}))
    second = ok(fake.add_disk('web', 1, pool='fast', thin=False, interface='sata'))
    assert (first['device'], first['path']) == ('vdb', '/var/lib/fake/default/logs')
    assert (second['device'], second['path']) == ('sda', 'fakegroup/fast/web_2.img')
    refused(fake.add_disk('web', 1, overrides={'diskname': 'logs'}), 'AlreadyExists', 'logs')
    refused(fake.add_disk('web', 1, interface='sat'), 'InvalidInput', "did you mean 'sata'")
    refused(fake.delete_disk('web', 'vdz'), 'NotFound', 'VM web has no disk vdz')
    ok(fake.delete_disk('web', second['path']))
    ok(fake.delete_disk('web', 'vdb'))
    assert (devices(fake), list(fake.list_disks())) == (['vda'], ['web_0.img'])


def test_a_freed_device_is_used_again(fake: Kfake, vm: Make) -> None:
    vm(disks=[10, 1, 1])
    ok(fake.delete_disk('web', 'vdb'))
    assert ok(fake.add_disk('web', 1))['device'] == 'vdb'
    assert sorted(fake.list_disks()) == ['web_0.img', 'web_2.img', 'web_3.img']


def test_disks_of_a_new_vm_are_there_or_shared(fake: Kfake, vm: Make) -> None:
    ok(fake.create_disk('data', 7))
    vm('one', disks=[10, {'existing': 'data', 'shareable': True}])
    vm('two', disks=[10, {'existing': 'data', 'shareable': True}])
    assert fake.list_disks()['data']['vms'] == ['one', 'two']
    refused(fake.create('three', disks=[10, {'existing': 'dta'}]), 'NotFound', "did you mean 'data'")
    ok(fake.create_disk('alone', 7))
    vm('four', disks=[10, {'existing': 'alone'}])
    refused(fake.create('five', disks=[10, {'existing': 'alone'}]), 'Conflict', 'alone is a disk of four')


def test_a_shared_disk_stays_until_the_last_vm(fake: Kfake, vm: Make) -> None:
    vm('one')
    vm('two')
    ok(fake.add_disk('one', 5, shareable=True, overrides={'diskname': 'both'}))
    refused(fake.add_disk('two', existing='both'), 'Conflict', 'volume both is a disk of one')
    ok(fake.add_disk('two', existing='both', shareable=True))
    assert fake.list_disks()['both']['vms'] == ['one', 'two']
    assert ok(fake.delete('one'))['kept'] == ['both']
    ok(fake.delete_disk('two', 'both'))
    assert 'both' not in fake.list_disks()


def test_detached_disks_are_kept(fake: Kfake, vm: Make) -> None:
    vm(disks=[10, 2, 3])
    detached = ok(fake.detach_disks('web'))['disks']
    assert detached == ['/var/lib/fake/default/web_1.img', '/var/lib/fake/default/web_2.img']
    ok(fake.delete('web'))
    assert list(fake.list_disks()) == ['web_1.img', 'web_2.img']


def test_a_disk_grows(fake: Kfake, vm: Make) -> None:
    vm(disks=[10, {'size': 20, 'pool': 'fast', 'thin': False}])
    ok(fake.resize_disk('web', 'vdb', '200G'))
    refused(fake.resize_disk('web', 'vdb', 201), 'OutOfCapacity', 'pool fast has 0 GiB left')
    refused(fake.resize_disk('web', 'web_1.img', 199), 'InvalidInput', '200 GiB', 'smaller')
    assert [disk['size'] for disk in fake.info('web')['disks']] == [10, 200]
    assert fake.info_pool('fast')['available'] == 0


def test_volumes_without_a_vm(fake: Kfake, vm: Make) -> None:
    assert ok(fake.create_disk('data', 7, image='debian12'))['path'] == '/var/lib/fake/default/data'
    refused(fake.create_disk('data', 7), 'AlreadyExists', 'volume data exists')
    ok(fake.add_disk('more', 2, novm=True))
    assert (fake.disk_exists(None, 'data'), fake.disk_exists('fast', 'data')) == (True, False)
    vm()
    ok(fake.add_disk('web', existing='data'))
    refused(fake.delete_disk(None, 'data'), 'Conflict', 'volume data is a disk of web')
    refused(fake.delete_disk(None, 'mor'), 'NotFound', "did you mean 'more'")
    ok(fake.delete_disk('web', 'more', novm=True))
    assert fake.list_disks().keys() == {'data', 'web_0.img'}


def test_pools(fake: Kfake, vm: Make) -> None:
    assert fake.list_pools() == ['default', 'fast']
    ok(fake.create_pool('tank', 'tank/vms', 'zfs'))
    assert fake.info_pool('tank') == {'name': 'tank', 'type': 'zfs', 'path': 'tank/vms', 'status': 'running',
                                      'capacity': 1000.0, 'available': 1000.0}
    assert (fake.get_pool_path('tank'), fake.get_pool_path('tnak'), fake.info_pool('tnak')) == ('tank/vms', None, {})
    refused(fake.create_pool('tank', '/srv'), 'AlreadyExists', 'pool tank exists')
    refused(fake.create_pool('other', 'tank/vms', 'zfs'), 'Conflict', 'tank/vms is the place of pool tank')
    refused(fake.create_pool('other', None), 'InvalidInput', 'needs a path')
    refused(fake.create_pool('other', 'here'), 'InvalidInput', 'absolute')
    refused(fake.create_pool('other', '/srv', 'ceph'), 'InvalidInput', "unknown type of pool 'ceph'")
    vm(disks=[{'size': 10, 'pool': 'tank'}])
    refused(fake.delete_pool('tank', full=True), 'Conflict', 'pool tank holds disks of web')
    ok(fake.delete('web'))
    ok(fake.create_disk('data', 1, pool='tank'))
    refused(fake.delete_pool('tank'), 'Conflict', 'pool tank holds data')
    ok(fake.delete_pool('tank', full=True))
    assert (fake.list_pools(), fake.list_disks()) == (['default', 'fast'], {})
    refused(fake.delete_pool('tank'), 'NotFound', "pool 'tank'")
