"""VMs that are there: their disks, snapshots, images and size, where moto would let pass what AWS does not."""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from kvirt.providers.aws import Kaws
from kvirt.providers.aws.images import BLOCK
from kvirt.providers.aws.storage import block_device, free_device
from kvirt.providers.aws.wellknown import WELL_KNOWN, short_name, short_of
from kvirt.providers.families.ec2 import tags_of
from kvirt.testing.wire import Wire
from tests.providers.aws.cloud import ACCOUNT, IMAGE_GIB, REGION, Account, operation_of
from tests.providers.aws.conftest import create, ok, refused

CALLS = ('Describe', 'Get')


@pytest.fixture
def web(aws: Kaws, account: Account) -> Iterator[str]:
    """A VM with two disks, which is gone after the test with all that was made of it."""
    ok(create(aws, 'web', disks=[10, 5]))
    yield 'web'
    for name in aws.volumes():
        if name not in WELL_KNOWN:
            ok(aws.delete_image(name))
    for row in aws.list():
        ok(aws.delete(row['id'], snapshots=True))
    for name in aws.list_disks():
        ok(aws.delete_disk(None, name))
    assert account.left() == []


@pytest.fixture
def changes(wire: Wire) -> Callable[[Callable[[], object]], list[str]]:
    """Return a function that returns the changes that some work asks for, in order."""
    def made(work: Callable[[], object]) -> list[str]:
        before = len(wire.exchanges)
        work()
        called = [operation_of(exchange.request) for exchange in wire.exchanges[before:]]
        return [call for call in called if not call.startswith(CALLS)]
    return made


@pytest.fixture
def fail(aws: Kaws) -> Iterator[Callable[..., None]]:
    """Return a function that lets an operation of EC2 fail, from its *nth* call on."""
    hooks: list[tuple[str, Callable[..., None]]] = []

    def start(operation: str, nth: int = 1, times: int = 1) -> None:
        seen: list[int] = []

        def hook(**kwargs: Any) -> None:
            seen.append(1)
            if nth <= len(seen) < nth + times:
                raise ClientError({'Error': {'Code': 'InvalidParameterValue', 'Message': 'broken by a test'}}, operation)
        hooks.append((f'before-send.ec2.{operation}', hook))
        aws.ec2.meta.events.register(*hooks[-1])
    yield start
    for event, hook in hooks:
        aws.ec2.meta.events.unregister(event, hook)


# size

def test_a_vm_that_runs_is_stopped_for_another_size_and_started_again(aws: Kaws, web: str, changes: Any) -> None:
    assert changes(lambda: ok(aws.update_flavor(web, 't3.small'))) == [
        'StopInstances', 'ModifyInstanceAttribute', 'StartInstances']
    known = aws.info(web)
    assert (known['flavor'], known['memory'], known['status']) == ('t3.small', 2048, 'running')
    ok(aws.stop(web))
    assert changes(lambda: ok(aws.update_flavor(web, 't3.micro'))) == ['ModifyInstanceAttribute']
    assert aws.status(web) == 'stopped'
    assert changes(lambda: ok(aws.update_flavor(web, 't3.micro'))) == []


def test_a_size_that_can_not_be_leaves_the_vm_running(aws: Kaws, web: str, changes: Any, fail: Any) -> None:
    assert changes(lambda: refused(aws.update_flavor(web, 't4g.nano'), 'InvalidInput', 'x86_64', 'aarch64')) == []
    assert changes(lambda: refused(aws.update_flavor(web, 't9.nano'), 'NotFound', 't9.nano')) == []
    for operation in ('ModifyInstanceAttribute', 'StartInstances'):
        fail(operation)
        refused(aws.update_flavor(web, 't3.small'), 'InvalidInput', 'broken by a test')
        assert (aws.status(web), aws.info(web)['flavor']) == ('running', 't3.micro')


def test_a_spot_vm_can_not_be_stopped(aws: Kaws, web: str, changes: Any) -> None:
    from moto.ec2.models import ec2_backends
    [vm] = [each for each in ec2_backends[ACCOUNT][REGION].all_instances() if each.state == 'running']
    vm.instance_lifecycle = 'spot'
    known = aws.info(web)
    assert (known['stoppable'], known['preemptible']) == (False, True)  # type: ignore[typeddict-item]
    for work in (lambda: aws.stop(web), lambda: aws.update_flavor(web, 't3.small')):
        assert changes(lambda work=work: refused(work(), 'NotSupported', 'spot')) == []


def test_the_seed_of_a_vm_that_runs_stays(aws: Kaws, web: str, changes: Any) -> None:
    assert changes(lambda: refused(aws.remove_cloudinit(web), 'Conflict', 'running')) == []


def test_a_shorter_text_leaves_nothing_of_a_longer_one(aws: Kaws, web: str, account: Account) -> None:
    ok(aws.update_metadata(web, 'note', 'x' * 600))
    ok(aws.update_metadata(web, 'note', 'short'))
    assert [tag['Key'] for tag in account.instances()[0]['Tags'] if tag['Key'].startswith('note')] == ['note']
    refused(aws.update_metadata(web, 'Name', 'other'), 'InvalidInput', 'Name')
    refused(aws.update_metadata(web, 'status', 'x'), 'InvalidInput', 'status')


# disks

def test_the_root_disk_is_not_taken_away(aws: Kaws, web: str, changes: Any) -> None:
    root = aws.info(web)['disks'][0]['device']
    assert changes(lambda: refused(aws.delete_disk(web, root), 'Conflict', 'root disk')) == []


def test_a_disk_that_can_not_be_attached_is_removed(aws: Kaws, web: str, account: Account, fail: Any) -> None:
    before = account.left()
    for operation in ('AttachVolume', 'ModifyInstanceAttribute', 'DeleteTags'):
        fail(operation)
        refused(aws.add_disk(web, 3), 'InvalidInput', 'broken by a test')
        assert account.left() == before, operation
    assert len(aws.info(web)['disks']) == 2


def test_a_volume_of_another_zone_or_vm_is_refused_before_it_is_asked_for(aws: Kaws, web: str, account: Account,
                                                                          changes: Any) -> None:
    far = account.ec2.create_volume(AvailabilityZone='us-east-1c', Size=1)['VolumeId']
    used = aws.info(web)['disks'][1]['path']
    assert changes(lambda: refused(aws.add_disk(web, existing=far), 'Conflict', 'us-east-1c', 'us-east-1a')) == []
    assert changes(lambda: refused(aws.add_disk(web, existing=used), 'Conflict', used, web)) == []
    assert changes(lambda: refused(aws.delete_disk(None, used), 'Conflict', used, web)) == []
    assert changes(lambda: refused(aws.add_disk(web, existing='vol-0'), 'NotFound', 'vol-0')) == []


def test_devices_and_types_of_volumes() -> None:
    assert free_device(['/dev/xvda', '/dev/sdf']) == '/dev/sdg'
    assert block_device('/dev/sdf', 10, 'io2')['Ebs']['Iops'] == 3000
    assert block_device('/dev/sdf', 4, 'io1')['Ebs']['Iops'] == 200
    assert 'Iops' not in block_device('/dev/sdf', 10, None)['Ebs']


# snapshots

def test_a_revert_takes_the_place_of_each_disk(aws: Kaws, web: str, account: Account, changes: Any) -> None:
    ok(aws.create_snapshot('first', web))
    before = {disk['device']: disk['path'] for disk in aws.info(web)['disks']}
    ok(aws.add_disk(web, 1))
    added = aws.info(web)['disks'][2]
    made = changes(lambda: ok(aws.revert_snapshot('first', web)))
    assert (made[2], made[-1]) == ('StopInstances', 'StartInstances')
    after = aws.info(web)['disks']
    assert [disk['device'] for disk in after] == [*before, added['device']]
    assert after[2] == added, 'a disk that was added since stays'
    assert not {disk['path'] for disk in after} & set(before.values())
    assert [disk['size'] for disk in after] == [10, 5, 1]
    ok(aws.revert_snapshot('first', web))  # the disks have other ids by now
    assert [each['DeleteOnTermination'] for each in
            (each['Ebs'] for each in account.instances()[0]['BlockDeviceMappings'])] == [True] * 3


@pytest.mark.parametrize(('operation', 'nth'), [('CreateVolume', 2), ('DetachVolume', 2), ('AttachVolume', 1),
                                                ('AttachVolume', 2), ('DeleteTags', 1)])
def test_a_revert_that_fails_gives_the_disks_back(aws: Kaws, web: str, account: Account, fail: Any, operation: str,
                                                  nth: int) -> None:
    ok(aws.create_snapshot('first', web))
    before, there = aws.info(web)['disks'], account.left()
    fail(operation, nth)
    refused(aws.revert_snapshot('first', web), 'InvalidInput', 'broken by a test')
    assert aws.info(web)['disks'] == before
    assert account.left() == there
    assert aws.status(web) == 'running'


def test_one_call_takes_a_snapshot_of_all_disks(aws: Kaws, web: str, account: Account, changes: Any) -> None:
    assert changes(lambda: ok(aws.create_snapshot('first', web))) == ['CreateSnapshots']
    parts = account.ec2.describe_snapshots(OwnerIds=['self'], Filters=[{'Name': 'tag:snapshot', 'Values': ['first']}])
    assert len(parts['Snapshots']) == 2
    assert {tags_of(each)['vm'] for each in parts['Snapshots']} == {account.instances()[0]['InstanceId']}


# images

def test_an_image_of_a_vm_remembers_who_logs_in(aws: Kaws, web: str, account: Account) -> None:
    ok(aws.stop(web))
    ok(aws.export(web, 'golden'))
    [row] = [row for row in aws.volumes(extended=True) if row['name'] == 'golden']
    assert (row['short'], row['size']) == ('debian12', 10)
    [image] = account.ec2.describe_images(Owners=['self'])['Images']
    assert len(image['BlockDeviceMappings']) == 1
    assert 'maker' not in tags_of(image)
    ok(create(aws, 'copy', image='golden', disks=[{}]))
    assert aws.info('copy')['user'] == 'admin'
    refused(aws.delete_image('debian12'), 'Conflict', 'not one of this account')


def test_an_image_that_can_not_be_finished_is_removed(aws: Kaws, web: str, account: Account, fail: Any) -> None:
    ok(aws.stop(web))
    before = account.left()
    for operation in ('CreateImage', 'DeleteTags'):
        fail(operation)
        refused(aws.export(web, 'golden'), 'InvalidInput', 'broken by a test')
        assert account.left() == before, operation


def test_only_blocks_with_content_are_sent(aws: Kaws, wire: Wire, account: Account, tmp_path: Path) -> None:
    raw = tmp_path / 'disk.img'
    raw.write_bytes(b'\0' * BLOCK * 3 + b'x' + b'\0' * BLOCK + b'y')
    before = len(wire.exchanges)
    ok(aws.add_image(str(raw), short='debian12', name='mine'))
    blocks = [exchange.request.path for exchange in wire.exchanges[before:] if exchange.request.method == 'PUT'
              and '/blocks/' in exchange.request.path]
    assert sorted(path.rpartition('/')[2] for path in blocks) == ['3', '4']
    assert aws.image_behind('mine') == 'debian12'
    assert aws.list_orphans() == []
    ok(aws.delete_image('mine'))
    assert account.left() == []


def test_an_image_is_verified_before_it_is_written(aws: Kaws, account: Account, tmp_path: Path) -> None:
    raw = tmp_path / 'disk.img'
    raw.write_bytes(b'x' * BLOCK)
    refused(aws.add_image(str(raw), name='mine', checksum=f'sha256:{"0" * 64}'), 'InvalidInput', 'another checksum')
    assert account.left() == []
    ok(aws.add_image(str(raw), name='mine', checksum=f'sha256:{sha256(raw.read_bytes()).hexdigest()}'))
    ok(aws.delete_image('mine'))


def test_an_image_that_would_read_a_file_of_this_host_is_refused(aws: Kaws, account: Account, tmp_path: Path) -> None:
    thin = tmp_path / 'disk.img'
    thin.write_bytes(b'QFI\xfb' + struct.pack('>IQI', 3, 112, 8) + bytes(1000))
    refused(aws.add_image(str(thin), name='mine'), 'InvalidInput', 'stands on another file')
    assert account.left() == []


def test_a_page_of_the_web_is_no_image(aws: Kaws, account: Account, tmp_path: Path) -> None:
    page = tmp_path / 'disk.img'
    page.write_bytes(b'<!doctype html>' * 100)
    refused(aws.add_image(str(page), name='mine'), 'InvalidInput', 'not an image')
    refused(aws.add_image(str(page), name='my'), 'InvalidInput', 'my')
    assert account.left() == []


@pytest.mark.parametrize(('image', 'user'), [
    ('debian12', 'admin'), ('ubuntu2404', 'ubuntu'), ('rocky9', 'rocky'), ('rockylinux9', 'rocky'), ('alma9', 'ec2-user'),
    ('centos9s', 'ec2-user'), ('centos10stream', 'ec2-user'), ('fedora42', 'fedora'), ('al2023', 'ec2-user'),
    ('fcos', 'core')])
def test_who_logs_in(aws: Kaws, image: str, user: str) -> None:
    assert aws.login_user(aws.image_behind(image)) == user


@pytest.mark.parametrize('image', ['debian12', 'ubuntu2404', 'al2023', 'almalinux9', 'rockylinux9', 'centos9stream',
                                   'fedora42', 'fcos'])
@pytest.mark.parametrize('arch', ['x86_64', 'aarch64'])
def test_a_well_known_image_is_found_and_known_again(aws: Kaws, image: str, arch: str) -> None:
    found = aws.image_of(image, arch)
    assert found['Architecture'] == {'aarch64': 'arm64'}.get(arch, arch)
    assert short_of(found['OwnerId'], found['Name']) == image
    assert aws.image_behind(found['ImageId']) == image
    assert IMAGE_GIB > 1


def test_short_names_mean_here_what_they_mean_elsewhere() -> None:
    from kvirt.guest import images
    ours = {'al2', 'al2023', 'rhel8', 'rhel9', 'rhel10'}
    assert set(WELL_KNOWN) - ours <= set(images.names())
    assert [short_name(image) for image in ('rocky9', 'alma10', 'centos9s', 'nothing')] == [
        'rockylinux9', 'almalinux10', 'centos9stream', None]
