"""The life of VMs, what is known of them, and changes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from kvirt.errors import Conflict, NotFound
from kvirt.providers.fake import Kfake
from kvirt.spec import SPECIAL

from .conftest import Clock, create, everything, ok, refused

Make = Callable[..., str]


def test_a_vm_boots_by_the_clock(state: Path, clock: Clock) -> None:
    fake = Kfake(state=str(state), clock=clock, boot_seconds=30)
    ok(create(fake, 'web'))
    assert (fake.status('web'), fake.ip('web')) == ('pending', None)
    assert fake.info('web')['native_status'] == 'booting'
    clock.time += 29
    assert fake.status('web') == 'pending'
    clock.time += 1
    assert (fake.status('web'), fake.ip('web')) == ('running', '192.168.122.2')
    ok(fake.restart('web'))
    assert fake.status('web') == 'pending'


def test_a_vm_that_is_asked_to_stop_takes_its_time(state: Path, clock: Clock) -> None:
    fake = Kfake(state=str(state), clock=clock, boot_seconds=30)
    ok(create(fake, 'web'))
    clock.time += 30
    ok(fake.stop('web', soft=True))
    assert fake.status('web') == 'stopping'
    refused(fake.export('web'), 'Conflict', 'still stopping')
    ok(fake.stop('web', soft=True))
    clock.time += 29
    assert fake.status('web') == 'stopping', 'asking again does not begin anew'
    ok(fake.stop('web'))
    assert (fake.status('web'), fake.ip('web')) == ('stopped', None)


def test_without_boot_seconds_it_runs_at_once(fake: Kfake) -> None:
    ok(create(fake, 'web'))
    assert fake.status('web') == 'running'


def test_a_list_is_one_query(fake: Kfake, vm: Make) -> None:
    for name in ('b', 'c', 'a'):
        vm(name)
    asked: list[str] = []
    with fake.conn.read() as world:
        connection = world.execute.__self__  # type: ignore[attr-defined]
    connection.set_trace_callback(asked.append)
    assert [row['name'] for row in fake.list()] == ['a', 'b', 'c']
    assert len([text for text in asked if text.startswith('SELECT')]) == 1


def test_a_flavor_wins_over_sizes(fake: Kfake, vm: Make) -> None:
    vm('sold', flavor='medium', numcpus=1, memory=512)
    vm('free', numcpus=3, memory=777)
    sold, free = fake.info('sold'), fake.info('free')
    assert (sold['flavor'], sold['numcpus'], sold['memory'], sold['disks'][0]['size']) == ('medium', 2, 4096, 40)
    assert (free['flavor'], free['numcpus'], free['memory'], free['disks'][0]['size']) == ('', 3, 777, 10)
    assert sold['firewall'] is True  # type: ignore[typeddict-item]


def test_a_flavor_that_is_not_there(fake: Kfake) -> None:
    refused(create(fake, 'web', flavor='smal'), 'NotFound', "flavor 'smal'", "did you mean 'small'")
    refused(create(fake, 'web', flavor='gpu-small'), 'NotFound', 'sold in oslo, and not in lisbon')
    assert fake.list() == []


def test_what_a_flavor_forbids_is_refused(fake: Kfake, state: Path, vm: Make) -> None:
    ok(create(fake, 'box', flavor='container'))
    refused(fake.stop('box'), 'NotSupported', 'flavor container', 'not stoppable')
    refused(fake.restart('box'), 'NotSupported', 'flavor container', 'not rebootable')
    assert fake.status('box') == 'running'
    ok(create(fake, 'spare', spot=True))
    refused(fake.stop('spare'), 'NotSupported', 'spare capacity', 'not stoppable')
    refused(create(fake, 'no', spot=True, flavor='small'), 'InvalidInput', 'flavor small is not sold as spare capacity')
    oslo = Kfake(state=str(state), location='oslo')
    ok(create(oslo, 'gpu', flavor='gpu-small', start=False))
    refused(oslo.update_memory('gpu', 1024), 'NotSupported', 'not resizable')
    refused(oslo.update_flavor('gpu', 'small'), 'NotSupported', 'not resizable')


def test_another_size_has_no_flavor(fake: Kfake, vm: Make) -> None:
    vm(flavor='small')
    ok(fake.update_cpus('web', 2))
    assert fake.info('web')['flavor'] == 'small', 'nothing was changed'
    ok(fake.update_cpus('web', 5))
    known = fake.info('web')
    assert (known['flavor'], known['numcpus'], known['memory']) == ('', 5, 2048)


def test_a_running_vm_is_only_resized_where_that_was_prepared(fake: Kfake) -> None:
    ok(create(fake, 'plain'))
    ok(create(fake, 'ready', cpuhotplug=True, memoryhotplug=True))
    refused(fake.update_cpus('plain', 4), 'Conflict', 'plain is running', 'Stop it first')
    refused(fake.update_flavor('ready', 'large'), 'Conflict', 'ready is running')
    ok(fake.update_cpus('ready', 4))
    ok(fake.update_memory('ready', '1g'))
    refused(fake.update_memory('ready', 512), 'Conflict', 'ready is running')
    assert (fake.info('ready')['numcpus'], fake.info('ready')['memory']) == (4, 1024)


def test_what_can_be_changed(fake: Kfake, vm: Make) -> None:
    vm(flavor='small')
    ok(fake.update_flavor('web', 'small'))
    ok(fake.update_flavor('web', 'large'))
    ok(fake.update_start('web'))
    ok(fake.update_information('web', 'the shop'))
    ok(fake.update_metadata('web', 'team', 'a'))
    ok(fake.update_metadata('web', 'team', 'b', append=True))
    known = dict(fake.info('web'))
    assert {'flavor': 'large', 'numcpus': 4, 'memory': 8192, 'autostart': True, 'information': 'the shop',
            'team': 'a,b'}.items() <= known.items()
    ok(fake.update_metadata('web', 'team', None))
    assert 'team' not in fake.info('web')


def test_locations_are_apart(fake: Kfake, state: Path, vm: Make) -> None:
    vm()
    tokyo, everywhere = Kfake(state=str(state), location='tokyo'), Kfake(state=str(state), location='all')
    assert (tokyo.list(), tokyo.info('web'), tokyo.exists('web'), tokyo.list_disks()) == ([], {}, False, {})
    refused(tokyo.start('web'), 'NotFound', 'VM web does not exist')
    ok(create(tokyo, 'web'))
    assert [row['location'] for row in everywhere.list()] == ['lisbon', 'tokyo']
    with pytest.raises(Conflict, match='2 VMs are called web'):
        everywhere.info('web')
    refused(everywhere.delete('web'), 'Conflict', '2 VMs are called web', 'Give the id')
    ok(everywhere.delete(fake.info('web')['id']))
    assert [row['location'] for row in everywhere.list()] == ['tokyo']
    assert everywhere.info('web')['location'] == 'tokyo'


def test_ids_are_as_good_as_names(fake: Kfake, vm: Make) -> None:
    vm()
    known = fake.info('web')
    assert fake.info(known['id']) == known
    ok(fake.start(known['id']))
    assert fake.status('web') == 'running'


def test_hardware_is_kept_and_shown(fake: Kfake, vm: Make) -> None:
    given = {'virttype': 'qemu', 'machine': 'q35', 'cpumodel': 'host-passthrough', 'cpuflags': ['vmx'],
             'cpupinning': [{'vcpus': '0', 'hostcpus': '1'}], 'numa': [{'id': 0, 'vcpus': '0', 'memory': '1g'}],
             'boot_order': ['network', 'hd'], 'sockets': 2, 'tpm': True, 'vnc': False, 'sharedfolders': ['/srv']}
    vm(**given, vncpassword='hidden-word')
    known = dict(fake.info('web'))
    assert known['cpuflags'] == [{'name': 'vmx', 'policy': 'require'}]
    assert known['numa'][0]['memory'] == 1024  # type: ignore[index]
    assert {key: known[key] for key in ('virttype', 'machine', 'cpumodel', 'boot_order', 'sockets', 'tpm', 'vnc')} == {
        key: given[key] for key in ('virttype', 'machine', 'cpumodel', 'boot_order', 'sockets', 'tpm', 'vnc')}
    assert 'hidden-word' not in str(known)
    assert Kfake.honours == SPECIAL


def test_a_uuid_that_was_asked_for(fake: Kfake, vm: Make) -> None:
    vm('first', uuid='6f1b1c9e-0000-4000-8000-000000000001')
    before = fake.info('first')
    assert before['id'] == '6f1b1c9e-0000-4000-8000-000000000001'
    refused(create(fake, 'second', uuid=before['id']), 'AlreadyExists')
    assert fake.info('first') == before, 'the VM that has it must survive the rollback of the other'


def test_consoles(fake: Kfake, vm: Make) -> None:
    vm(vncpassword='hidden-word')
    with pytest.raises(Conflict, match='web is stopped'):
        fake.console('web')
    with pytest.raises(Conflict, match='web is stopped'):
        fake.serialconsole('web')
    ok(fake.start('web'))
    shown = fake.console('web')
    assert shown['url'] == f"vnc://{shown['host']}:{shown['port']}"
    assert shown['password'] == 'hidden-word'
    assert fake.console('web', web=True)['url'].startswith('https://')
    assert fake.console('web', tunnel=True, tunnelhost='jump')['tunnel'] == 'jump'
    output = fake.serialconsole('web')['output']
    assert 'web login:' in output and '192.168.122.2' in output


def test_what_a_guest_was_told_is_kept_for_tests(fake: Kfake, vm: Make, tmp_path: Path) -> None:
    vm(cmds=['[ -f /x ] && echo "a: b"'], rootpassword='hidden-word')
    told = fake.user_data('web')
    assert told.startswith('#cloud-config')
    assert 'hidden-word' in told
    assert 'hidden-word' not in str([fake.info('web'), fake.list(), fake.info_host()])
    ok(fake.remove_cloudinit('web'))
    with pytest.raises(NotFound, match='web has no seed'):
        fake.user_data('web')
    vm('bare', cloudinit=False)
    with pytest.raises(NotFound, match='bare has no seed'):
        fake.user_data('bare')
    assert 'hostkey' not in fake.info('bare')


@pytest.mark.parametrize('field', ['status', 'ip', 'id', 'disks', 'virttype', 'stoppable'])
def test_metadata_can_not_hide_what_the_platform_tells(fake: Kfake, vm: Make, field: str) -> None:
    vm()
    refused(fake.update_metadata('web', field, 'x'), 'InvalidInput', field)
    refused(create(fake, 'other', metadata={field: 'x'}), 'InvalidInput', field)
    assert not fake.exists('other')


def test_a_clone(fake: Kfake, state: Path, vm: Make) -> None:
    vm(disks=[10, 5], flavor='small', metadata={'team': 'a'}, cmds=['echo once'], domain='example.com', vmport=2222)
    made = ok(fake.clone('web', 'copy'))
    old, new = fake.info('web'), fake.info('copy')
    assert made['hostkey'].startswith('ssh-ed25519 ')
    assert old['hostkey'] != new['hostkey']
    assert (new['flavor'], new['team'], new['securitygroups']) == ('small', 'a', ['ssh-2222'])  # type: ignore[typeddict-item]
    assert not {nic['mac'] for nic in old['nets']} & {nic['mac'] for nic in new['nets']}
    assert not {nic['ip'] for nic in old['nets']} & {nic['ip'] for nic in new['nets']}
    assert [disk['path'].rpartition('/')[2] for disk in new['disks']] == ['copy_0.img', 'copy_1.img']
    assert 'echo once' not in fake.user_data('copy'), 'what ran in the old one does not run again'
    assert {record['name'] for record in fake.list_dns('example.com')} == {'web.example.com', 'copy.example.com'}
    ok(fake.delete('copy'))
    assert fake.info('web') == old


def test_a_full_clone_needs_no_image(fake: Kfake, vm: Make) -> None:
    vm()
    ok(fake.clone('web', 'thin'))
    ok(fake.clone('web', 'full', full=True))
    ok(fake.delete('web'))
    refused(fake.delete_image('debian12'), 'Conflict', 'thin')
    ok(fake.delete('thin'))
    ok(fake.delete_image('debian12'))


def test_a_rename_takes_the_dns_record_along(fake: Kfake, vm: Make) -> None:
    vm(domain='example.com')
    vm('taken', domain='example.com')
    refused(fake.rename('web', 'taken'), 'AlreadyExists', 'taken')
    ok(fake.rename('web', 'shop'))
    assert [record['name'] for record in fake.list_dns('example.com')] == ['shop.example.com', 'taken.example.com']
    ok(fake.delete('shop'))
    assert [record['name'] for record in fake.list_dns('example.com')] == ['taken.example.com']


def test_a_running_vm_is_not_renamed(fake: Kfake) -> None:
    ok(create(fake, 'web'))
    refused(fake.rename('web', 'shop'), 'Conflict', 'web is running')


def test_delete_leaves_the_world_as_it_was(fake: Kfake, state: Path) -> None:
    fake.list()
    before = everything(state)
    ok(create(fake, 'web', disks=[10, {'size': 5, 'thin': False}], nets=['default', 'default'], domain='example.com',
              vmport=2222))
    ok(fake.create_snapshot('clean', 'web'))
    ok(fake.add_nic('web', 'default'))
    ok(fake.add_disk('web', 3))
    refused(fake.delete('web'), 'Conflict', 'web has snapshots')
    assert len(everything(state)) > len(before) + 8
    ok(fake.delete('web', snapshots=True))
    assert everything(state) == before


def test_the_disk_of_somebody_else_outlives_the_vm(fake: Kfake, vm: Make) -> None:
    ok(fake.create_disk('data', 7))
    vm(disks=[10, 'data'])
    refused(create(fake, 'other', disks=[10, 'data']), 'Conflict', 'volume data is a disk of web')
    assert ok(fake.delete('web'))['kept'] == ['data']
    assert fake.list_disks()['data']['size'] == 7


def test_an_unknown_vm_suggests_the_likely_one(fake: Kfake, vm: Make) -> None:
    vm('frontend')
    refused(fake.start('fronted'), 'NotFound', "VM fronted does not exist, did you mean 'frontend'?")


def test_what_only_clouds_have(fake: Kfake, state: Path) -> None:
    ok(fake.create_security_group('web', {'ports': [8080]}))
    ok(create(fake, 'web', ports=[443, '53/udp'], securitygroups=['web'], sublocation='lisbon-b', placement='apart',
              publicip=False, start=False))
    known = dict(fake.info('web'))
    [shared] = set(known['securitygroups']) - {'default', 'web'}  # type: ignore[call-overload]
    assert [rule['to_port'] for rule in fake.info_security_group(shared)['rules']] == [443, 53]
    assert (known['sublocation'], known['placement'], known['publicip']) == ('lisbon-b', 'apart', False)
    ok(fake.clone('web', 'copy'))
    assert dict(fake.info('copy'))['securitygroups'] == known['securitygroups']
    refused(create(fake, 'no', sublocation='lisbon-z'), 'NotFound', "sublocation 'lisbon-z'")
    refused(create(fake, 'no', placement='apar'), 'NotFound', "did you mean 'apart'")
    refused(create(fake, 'no', securitygroups=['absent']), 'NotFound', "security group 'absent'")
    for name in ('web', 'copy'):
        assert shared in fake.list_security_groups()
        ok(fake.delete(name))
    assert fake.list_security_groups() == ['default', 'web']
    oslo = Kfake(state=str(state), location='oslo')
    ok(create(oslo, 'gpu', gpus=1))
    assert oslo.info('gpu')['flavor'] == 'gpu-small'
    refused(create(fake, 'gpu', gpus=1), 'NotFound', 'no flavor in lisbon', '1 GPUs')
