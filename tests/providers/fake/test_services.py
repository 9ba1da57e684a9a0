"""Snapshots, buckets, security groups, DNS, load balancers, keys, and the account itself."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from kvirt.errors import NotFound
from kvirt.providers.fake import Kfake

from .conftest import KEY, Clock, create, everything, ok, refused

Make = Callable[..., str]


# snapshots


def test_a_snapshot_brings_back_what_there_was(fake: Kfake, vm: Make) -> None:
    vm(disks=[10, 5], numcpus=1, memory=512, metadata={'team': 'a'}, flavor='small', iso='rescue.iso')
    before = fake.info('web')
    ok(fake.create_snapshot('clean', 'web'))
    ok(fake.update_memory('web', 4096))
    ok(fake.resize_disk('web', 'vda', 30))
    ok(fake.delete_disk('web', 'vdb'))
    ok(fake.add_disk('web', 7))
    ok(fake.update_metadata('web', 'team', 'b'))
    ok(fake.update_iso('web', None))
    ok(fake.start('web'))
    ok(fake.revert_snapshot('clean', 'web'))
    assert fake.info('web') == {**before, 'snapshots': [{'snapshot': 'clean', 'current': True}]}
    assert fake.list_disks()['web_0.img']['size'] == 10
    ok(fake.delete('web', snapshots=True))
    assert fake.list_disks() == {}, 'the disk that the revert took off was made for the VM'


def test_a_running_vm_runs_again(state: Path, clock: Clock) -> None:
    fake = Kfake(state=str(state), clock=clock, boot_seconds=5)
    ok(create(fake, 'web'))
    clock.time += 5
    ok(fake.create_snapshot('up', 'web'))
    ok(fake.stop('web'))
    ok(fake.revert_snapshot('up', 'web'))
    assert fake.status('web') == 'pending'
    clock.time += 5
    assert fake.status('web') == 'running'


def test_snapshots_are_listed_oldest_first(fake: Kfake, vm: Make) -> None:
    vm()
    for name in ('c', 'a', 'b'):
        ok(fake.create_snapshot(name, 'web'))
    assert fake.list_snapshots('web') == ['c', 'a', 'b']
    assert [each['current'] for each in fake.info('web')['snapshots']] == [False, False, True]
    refused(fake.create_snapshot('a', 'web'), 'AlreadyExists', 'snapshot a exists')
    refused(fake.delete_snapshot('d', 'web'), 'NotFound', 'VM web has no snapshot d')
    refused(fake.create_snapshot('../x', 'web'), 'InvalidInput')
    ok(fake.revert_snapshot('a', 'web'))
    ok(fake.delete_snapshot('a', 'web'))
    assert not any(each['current'] for each in fake.info('web')['snapshots'])
    with pytest.raises(NotFound):
        fake.list_snapshots('wbe')


def test_a_disk_that_is_anothers_now_is_not_taken_back(fake: Kfake, vm: Make) -> None:
    ok(fake.create_disk('data', 1))
    vm(disks=[10, 'data'])
    ok(fake.create_snapshot('clean', 'web'))
    ok(fake.detach_disks('web'))
    vm('other', disks=[10, 'data'])
    refused(fake.revert_snapshot('clean', 'web'), 'Conflict', 'volume data', 'is a disk of other now')
    assert len(fake.info('web')['disks']) == 1


# buckets


def test_files_come_back_as_they_were(fake: Kfake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    content = bytes(range(256)) * 40
    (tmp_path / 'data.bin').write_bytes(content)
    (tmp_path / 'elsewhere').mkdir()
    ok(fake.create_bucket('box'))
    assert 'url' not in ok(fake.upload_to_bucket('box', str(tmp_path / 'data.bin')))
    ok(fake.upload_to_bucket('box', str(tmp_path / 'data.bin'), overrides={'path': 'deep/er.bin'}))
    assert fake.list_bucketfiles('box') == ['data.bin', 'deep/er.bin']
    monkeypatch.chdir(tmp_path / 'elsewhere')
    assert ok(fake.download_from_bucket('box', 'deep/er.bin'))['path'] == str(tmp_path / 'elsewhere' / 'er.bin')
    assert Path('er.bin').read_bytes() == content
    assert [path.name for path in Path('.').iterdir()] == ['er.bin']
    refused(fake.download_from_bucket('box', 'data.bni'), 'NotFound', "did you mean 'data.bin'")
    ok(fake.delete_from_bucket('box', 'data.bin'))
    refused(fake.delete_from_bucket('box', 'data.bin'), 'NotFound', 'bucket box has no file data.bin')


def test_an_upload_names_a_local_file_from_the_current_folder(fake: Kfake, tmp_path: Path,
                                                              monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path('note.txt').write_text('one')
    ok(fake.create_bucket('box'))
    ok(fake.upload_to_bucket('box', 'note.txt'))
    Path('note.txt').write_text('two')
    ok(fake.upload_to_bucket('box', 'note.txt'))
    Path('note.txt').unlink()
    ok(fake.download_from_bucket('box', 'note.txt'))
    assert Path('note.txt').read_text() == 'two'
    refused(fake.upload_to_bucket('box', 'none.txt'), 'NotFound', 'none.txt')
    refused(fake.upload_to_bucket('bxo', 'note.txt'), 'NotFound', "bucket 'bxo'", "did you mean 'box'")
    for path in ('../x', '/x', 'a/../../x', 'a\nb'):
        refused(fake.upload_to_bucket('box', 'note.txt', overrides={'path': path}), 'InvalidInput')


def test_what_can_be_read_has_an_address(state: Path, clock: Clock, tmp_path: Path) -> None:
    fake = Kfake(state=str(state), clock=clock)
    (tmp_path / 'a').write_text('')
    ok(fake.create_bucket('box'))
    ok(fake.create_bucket('open', public=True))
    assert ok(fake.upload_to_bucket('open', str(tmp_path / 'a')))['url'].endswith('/open/a')
    assert ok(fake.upload_to_bucket('box', str(tmp_path / 'a'), public=True))['url'].endswith('/box/a')
    assert ok(fake.upload_to_bucket('box', str(tmp_path / 'a'), temp_url=True))['url'].endswith(
        '?expires=2030-03-18T17:46:40Z')


def test_a_bucket_goes_with_its_files(fake: Kfake, state: Path, tmp_path: Path) -> None:
    fake.list()
    before = everything(state)
    (tmp_path / 'a').write_text('x')
    ok(fake.create_bucket('box'))
    refused(fake.create_bucket('box'), 'AlreadyExists', 'bucket box exists')
    refused(fake.create_bucket('../box'), 'InvalidInput')
    ok(fake.upload_to_bucket('box', str(tmp_path / 'a')))
    assert fake.list_buckets() == ['box']
    ok(fake.delete_bucket('box'))
    refused(fake.delete_bucket('box'), 'NotFound', "bucket 'box'")
    assert everything(state) == before


# security groups


def test_security_groups(fake: Kfake) -> None:
    ssh = {'protocol': 'tcp', 'cidr': '0.0.0.0/0', 'from_port': 22, 'to_port': 22}
    assert fake.list_security_groups() == ['default']
    assert fake.info_security_group('default')['rules'] == [ssh]
    ok(fake.create_security_group('web', {'ports': [80, '8000-8100', '53/udp', 'icmp', 80], 'description': 'shop'}))
    shown = fake.info_security_group('web')
    assert (shown['name'], shown['description'], shown['network'], len(shown['rules'])) == ('web', 'shop', 'default', 4)
    ok(fake.update_security_group('web', {'ports': [{'from_port': 443, 'cidr': '10.0.0.0/8'}]}))
    assert fake.info_security_group('web')['rules'] == [
        {'protocol': 'tcp', 'cidr': '10.0.0.0/8', 'from_port': 443, 'to_port': 443}]
    assert fake.list_security_groups(network='default') == ['default', 'web']
    with pytest.raises(NotFound):
        fake.list_security_groups(network='lab')
    refused(fake.create_security_group('web'), 'AlreadyExists')
    refused(fake.create_security_group('other', {'prots': []}), 'InvalidInput', "did you mean 'ports'")
    refused(fake.create_security_group('other', {'ports': ['http']}), 'InvalidInput', "'http' is no port")
    refused(fake.update_security_group('wbe', {}), 'NotFound', "did you mean 'web'")
    ok(fake.delete_security_group('web'))
    assert fake.info_security_group('web') == {}


def test_a_group_in_use_stays_and_a_made_one_goes_with_the_last(fake: Kfake, vm: Make) -> None:
    vm('a', vmport=2222)
    vm('b', vmport=2222)
    vm('c')
    assert fake.info('c')['securitygroups'] == ['default']  # type: ignore[typeddict-item]
    assert fake.info_security_group('ssh-2222')['rules'][0]['from_port'] == 2222
    refused(fake.delete_security_group('ssh-2222'), 'Conflict', 'in use by a, b')
    ok(fake.delete('a'))
    assert fake.list_security_groups() == ['default', 'ssh-2222']
    ok(fake.delete('b'))
    assert fake.list_security_groups() == ['default']
    ok(fake.delete('c'))
    refused(fake.delete_security_group('default'), 'Conflict', 'it stays')


# DNS


def test_dns(fake: Kfake, vm: Make) -> None:
    assert fake.list_dns_zones() == ['example.com', 'fake.test']
    ok(fake.reserve_dns('api', domain='example.com', ip='192.0.2.7', alias=['*.apps']))
    assert fake.list_dns('example.com') == [
        {'name': '*.apps.example.com', 'type': 'A', 'ttl': 300, 'data': ['192.0.2.7']},
        {'name': 'api.example.com', 'type': 'A', 'ttl': 300, 'data': ['192.0.2.7']}]
    refused(fake.reserve_dns('api', domain='example.com', ip='192.0.2.8'), 'AlreadyExists', 'api.example.com exists')
    ok(fake.reserve_dns('api', domain='example.com', ip='192.0.2.8', force=True))
    assert fake.list_dns('example.com.')[1]['data'] == ['192.0.2.8']
    refused(fake.reserve_dns('api', domain='exmaple.com', ip='192.0.2.8'), 'NotFound', "did you mean 'example.com'")
    refused(fake.reserve_dns('api', domain='example.com', ip='x'), 'InvalidInput')
    refused(fake.reserve_dns('api', domain='example.com'), 'NotFound', 'there is no VM api')
    refused(fake.reserve_dns('api', ip='192.0.2.8'), 'InvalidInput', 'give the domain')
    refused(fake.delete_dns('ipa', 'example.com'), 'NotFound', 'example.com has no record ipa')
    ok(fake.delete_dns('api.example.com', 'example.com'))
    ok(fake.delete_dns('*.apps', 'example.com'))
    with pytest.raises(NotFound):
        fake.list_dns('nowhere.test')


def test_all_records_of_an_address(fake: Kfake) -> None:
    ok(fake.reserve_dns('api', domain='fake.test', ip='192.0.2.7', alias=['a', 'b']))
    ok(fake.reserve_dns('other', domain='fake.test', ip='192.0.2.8'))
    ok(fake.delete_dns('api', 'fake.test', allentries=True))
    assert [record['name'] for record in fake.list_dns('fake.test')] == ['other.fake.test']


def test_what_is_recorded_for_a_vm_goes_with_it(fake: Kfake, vm: Make) -> None:
    vm(domain='lab.test')
    assert fake.dnsinfo('web') == (None, 'lab.test'), 'a domain without a zone is only what the guest searches'
    ok(fake.create_network('lab', '10.1.0.0/24', domain='lab.test'))
    ok(fake.reserve_dns('web', alias=['www']))
    assert [record['data'] for record in fake.list_dns('lab.test')] == [['192.168.122.2']] * 2
    ok(fake.delete('web'))
    assert fake.list_dns('lab.test') == []
    vm('bare', nets=[])
    refused(fake.reserve_dns('bare', domain='lab.test'), 'Conflict', 'bare has no address')


# load balancers


def test_load_balancers(fake: Kfake, state: Path, vm: Make) -> None:
    vm('a')
    vm('b')
    before = everything(state)
    made = ok(fake.create_loadbalancer('front', [443, 80], vms=['a'], domain='example.com', alias=['www']))
    ok(fake.add_vm_to_loadbalancer('b', 'front', [8080]))
    assert fake.list_loadbalancers() == [
        {'name': 'front', 'ip': made['ip'], 'protocol': 'tcp', 'ports': [80, 443, 8080], 'vms': ['a', 'b']}]
    assert [record['name'] for record in fake.list_dns('example.com')] == ['front.example.com', 'www.example.com']
    refused(fake.create_loadbalancer('front', [80]), 'AlreadyExists')
    refused(fake.create_loadbalancer('other', []), 'InvalidInput', 'needs a port')
    for ports, checkport in (([0], 80), ([65536], 80), ([True], 80), (['http'], 80), ([80], 10**30)):
        refused(fake.create_loadbalancer('other', ports, checkport=checkport), 'InvalidInput', 'ports')  # type: ignore[arg-type]
    refused(fake.create_loadbalancer('other', [80], vms=['c']), 'NotFound', 'VM c')
    refused(fake.create_loadbalancer('other', [80], ip=made['ip']), 'Conflict', made['ip'])
    refused(fake.add_vm_to_loadbalancer('a', 'fornt'), 'NotFound', "did you mean 'front'")
    ok(fake.delete_loadbalancer('front'))
    assert everything(state) == before
    refused(fake.delete_loadbalancer('front'), 'NotFound')


def test_an_internal_one_has_an_address_of_the_network(fake: Kfake, vm: Make) -> None:
    vm('a')
    assert ok(fake.create_loadbalancer('in', [80], vms=['a'], internal=True))['ip'] == '192.168.122.3'
    refused(fake.delete_network('default', force=True), 'Conflict', 'in use by load balancers: in')
    ok(fake.delete('a'))
    assert fake.list_loadbalancers()[0]['vms'] == []
    assert ok(fake.create_loadbalancer('own', [80], ip='203.0.113.77'))['ip'] == '203.0.113.77'


# keys, and the account


def test_keys(fake: Kfake) -> None:
    ok(fake.create_key('mine', f'{KEY}\n'))
    assert fake.list_keys() == {'mine': KEY}
    refused(fake.create_key('mine', KEY), 'AlreadyExists')
    refused(fake.create_key('other', 'ssh-ed25519 short'), 'InvalidInput', 'no public ssh key')
    refused(fake.create_key('other', '-----BEGIN OPENSSH PRIVATE KEY-----'), 'InvalidInput')
    refused(fake.delete_key('mien'), 'NotFound', "did you mean 'mine'")
    ok(fake.delete_key('mine'))
    assert fake.list_keys() == {}


def test_flavors(fake: Kfake, state: Path) -> None:
    flavors = fake.list_flavors()
    assert [flavor.name for flavor in flavors] == sorted(flavor.name for flavor in flavors)
    name, numcpus, memory = next(flavor for flavor in flavors if flavor.name == 'small')
    assert (name, numcpus, memory) == ('small', 2, 2048)
    everywhere = Kfake(state=str(state), location='all').list_flavors()
    assert len(everywhere) == 8
    assert {flavor.name: flavor.gpus for flavor in everywhere if flavor.gpus} == {'gpu-small': 1, 'gpu-large': 8}
    assert all(flavor.currency == 'EUR' and flavor.price_hourly and flavor.price_monthly for flavor in everywhere)
    assert {flavor.name for flavor in everywhere} - {flavor.name for flavor in flavors} == {'gpu-small', 'gpu-large'}
    small = fake.info_flavor('small')
    assert small is not None and small.price_hourly == 0.01
    assert fake.info_flavor('huge') is None


def test_the_account(fake: Kfake, state: Path, vm: Make) -> None:
    vm('a', numcpus=3, memory=1000)
    ok(create(fake, 'b', numcpus=1, memory=500))
    assert fake.info_host() == {'connection': 'fake://lisbon', 'state': str(state), 'vms': 2, 'vms_running': 1,
                                'cpus_used': 4, 'memory_used': 1500}
    assert [row['name'] for row in fake.list_locations()] == ['lisbon', 'oslo', 'tokyo']
    assert {row['name']: row['current'] for row in fake.list_quotas()} == {
        'vms': 2, 'floating_ips': 0, 'buckets': 0, 'loadbalancers': 0}
