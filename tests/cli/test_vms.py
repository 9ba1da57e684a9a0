from __future__ import annotations

import json
from pathlib import Path

import pytest

from .conftest import Run


def names(kvirt: Run, *words: str) -> list[str]:
    return kvirt('list', 'vm', '-o', 'name', *words).out.split()


def test_a_whole_life(kvirt: Run) -> None:
    made = kvirt('create', 'vm', '-i', 'debian12', '-P', 'numcpus=3', '-P', 'memory=2g', '-P', 'disks=[20,5]', 'web')
    assert (made.code, made.out, made.err) == (0, '', 'VM web created on lab\n')
    known = json.loads(kvirt('info', 'vm', 'web', '-o', 'json').out)
    assert (known['numcpus'], known['memory'], [disk['size'] for disk in known['disks']]) == (3, 2048, [20, 5])
    for words, status in ((('stop',), 'stopped'), (('start',), 'running'), (('restart',), 'running'),
                          (('stop', '--soft'), 'stopped'), (('restart', '--hard'), 'running')):
        done = kvirt(words[0], 'vm', *words[1:], 'web')
        assert (done.code, done.out) == (0, ''), done.err
        assert kvirt('info', 'vm', 'web', '-f', 'status', '-v').out == f'{status}\n'
    gone = kvirt('delete', 'vm', '-y', 'web')
    assert (gone.code, gone.err) == (0, 'VM web deleted on lab\n')
    assert kvirt('list', 'disk', '-o', 'name').out == ''
    assert kvirt('delete', 'vm', '-y', 'web').errors == ['Error: VM web does not exist']


def test_without_a_name_it_gets_one(kvirt: Run) -> None:
    assert kvirt('create', 'vm', '-i', 'debian12').code == 0
    name, = names(kvirt)
    assert kvirt('create', 'vm', '-i', 'debian12', '-o', 'name').out.strip() in names(kvirt)
    assert '-' in name


def test_parameters_may_name_it_as_in_kcli(kvirt: Run) -> None:
    done = kvirt('create', 'vm', '-P', 'name=web', '-P', 'client=two', '-P', 'image=debian12')
    assert (done.code, done.err) == (0, 'VM web created on two\n')
    assert names(kvirt, '-C', 'two') == ['web']


def test_the_file_of_parameters_in_the_folder_counts(kvirt: Run) -> None:
    Path('kcli_parameters.yml').write_text('image: debian12\nmemory: 3072\n')
    assert kvirt('create', 'vm', 'web').code == 0
    assert kvirt('info', 'vm', '-f', 'memory', '-v').out == '3072\n'
    assert kvirt('list', 'vm').code == 0


def test_several_at_once(kvirt: Run) -> None:
    done = kvirt('create', 'vm', '-i', 'debian12', '-c', '3', '-P', 'nets=[{name: default, mac: 52:54:00:aa:bb:09}]', 'n',
                 '-o', 'json')
    assert done.code == 0, done.err
    assert [row['name'] for row in json.loads(done.out)] == ['n-0', 'n-1', 'n-2']
    macs = [json.loads(kvirt('info', 'vm', f'n-{index}', '-o', 'json').out)['nets'][0]['mac'] for index in range(3)]
    assert macs == ['52:54:00:aa:bb:09', '52:54:00:aa:bb:0a', '52:54:00:aa:bb:0b']
    assert {row['plan'] for row in json.loads(kvirt('list', 'vm', '-o', 'json').out)} == {'n'}
    assert kvirt('delete', 'vm', '-y', '-c', '3', 'n').code == 0
    assert names(kvirt) == []


def test_several_are_made_at_the_same_time_and_wait_together(kvirt: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    import threading

    from kvirt.config import AT_ONCE
    from kvirt.providers.fake import Kfake
    create, meeting = Kfake._create, threading.Barrier(AT_ONCE, timeout=10)

    def patient(self: Kfake, *args: object) -> object:
        meeting.wait()  # goes on when all the others are being made as well
        return create(self, *args)  # type: ignore[arg-type]

    monkeypatch.setattr(Kfake, '_create', patient)
    assert kvirt('create', 'vm', '-i', 'debian12', '-c', str(AT_ONCE), 'n').code == 0
    meeting = threading.Barrier(AT_ONCE + 2, timeout=10)
    assert kvirt('create', 'vm', '-i', 'debian12', '-c', str(AT_ONCE + 2), '--wait', 'm').code == 0


def test_copies_of_a_profile_differ_where_they_must(kvirt: Run, home: Path) -> None:
    (home / 'profiles.yml').write_text('fixed:\n  image: debian12\n  plan: mine\n  uuid: '
                                       '00000000-0000-0000-0000-00000000000f\n  ip0: 192.168.122.50\n  netmask0: 24\n')
    assert kvirt('create', 'vm', '-p', 'fixed', '-c', '2', 'n').code == 0
    rows = json.loads(kvirt('list', 'vm', '-o', 'json').out)
    assert [(row['name'], row['ip'], row['id'][-2:], row['plan']) for row in rows] == [
        ('n-0', '192.168.122.50', '0f', 'mine'), ('n-1', '192.168.122.51', '10', 'mine')]
    (home / 'profiles.yml').write_text('last:\n  image: debian12\n  ip0: 255.255.255.255\n  netmask0: 24\n')
    done = kvirt('create', 'vm', '-p', 'last', '-c', '2', 'm')
    assert (done.code, len(done.errors), names(kvirt)) == (2, 1, ['n-0', 'n-1']), 'nothing is made of what can not be'


def test_all_that_fail_are_told(kvirt: Run, home: Path) -> None:
    text = (home / 'config.yml').read_text()
    (home / 'config.yml').write_text(text.replace('lab.db\n', 'lab.db\n  faults: [capacity]\n', 1))
    done = kvirt('create', 'vm', '-i', 'debian12', '-c', '3', 'n', '-o', 'json')
    assert (done.code, len(done.errors)) == (1, 3)
    assert [(row['name'], row['error']) for row in json.loads(done.out)] == [
        (f'n-{index}', 'OutOfCapacity') for index in range(3)]


def test_one_that_fails_among_several_is_told_and_the_others_stand(kvirt: Run) -> None:
    assert kvirt('create', 'vm', '-i', 'debian12', 'n-1').code == 0
    done = kvirt('create', 'vm', '-i', 'debian12', '-c', '3', 'n')
    assert done.code == 1
    assert done.errors == ['Error: VM n-1: VM n-1 exists']
    assert names(kvirt) == ['n-0', 'n-1', 'n-2']


def test_force_makes_it_anew(web: Run) -> None:
    assert web('create', 'vm', '-i', 'debian12', 'web').code == 1
    done = web('create', 'vm', '--force', '-i', 'ubuntu2404', 'web')
    assert done.err.splitlines() == ['VM web deleted on lab', 'VM web created on lab']
    assert web('info', 'vm', 'web', '-f', 'image', '-v').out == 'ubuntu2404\n'


def test_keep_leaves_data_disks(web: Run) -> None:
    assert web('create', 'disk', '-s', '3', '-P', 'diskname=data.img', 'web').code == 0
    assert web('delete', 'vm', '-y', '-k', 'web').code == 0
    assert web('list', 'disk', '-o', 'name').out == 'data.img\n'


def test_profiles_and_images_may_stand_for_each_other(kvirt: Run, home: Path) -> None:
    (home / 'profiles.yml').write_text('small:\n  image: debian12\n  memory: 256\n')
    assert kvirt('create', 'vm', '-p', 'small', 'a').code == 0
    assert kvirt('create', 'vm', '-i', 'small', 'b').code == 0
    assert kvirt('create', 'vm', '-p', 'small', '-i', 'ubuntu2404', 'c').code == 0
    rows = json.loads(kvirt('list', 'vm', '-o', 'json').out)
    assert [(row['image'], row['memory'], row['profile']) for row in rows] == [
        ('debian12', 256, 'small'), ('debian12', 256, 'small'), ('ubuntu2404', 256, 'small')]


def test_a_profile_in_a_file(kvirt: Run) -> None:
    Path('one.yml').write_text('mine:\n  image: debian12\n  memory: 300\n')
    Path('two.yml').write_text('a:\n  image: x\nb:\n  image: y\n')
    for words in (('--profilefile', 'one.yml'), ('-p', 'one.yml')):
        assert kvirt('create', 'vm', *words, '--force', 'web').code == 0
        assert kvirt('info', 'vm', 'web', '-f', 'memory,profile', '-v').out == '300\nmine\n'
    done = kvirt('create', 'vm', '--profilefile', 'two.yml', 'x')
    assert (done.code, done.errors) == (2, ['Error: two.yml: expected one profile, found 2'])


def test_a_vm_that_could_not_boot_is_refused_unless_it_need_not(kvirt: Run) -> None:
    done = kvirt('create', 'vm', 'empty')
    assert (done.code, names(kvirt)) == (2, [])
    assert 'VM empty would have nothing to boot. Give -i IMAGE' in done.errors[0]
    assert kvirt('create', 'vm', '-P', 'start=false', 'empty').code == 0


def test_the_configuration_of_a_vm_tells_origins(kvirt: Run, home: Path) -> None:
    (home / 'profiles.yml').write_text('small:\n  image: debian12\n  numcpus: 1\n')
    done = kvirt('info', 'vm-config', '-p', 'small', '-P', 'memory=2g', 'web', '-o', 'json')
    origins = {row['keyword']: (row['value'], row['origin']) for row in json.loads(done.out)}
    assert origins['memory'] == ('2g', 'parameter')
    assert origins['numcpus'] == (1, 'profile small')
    assert origins['pool'] == ('default', 'built-in')
    assert names(kvirt) == []
    assert kvirt('info', 'vm-config', '-p', 'small', '-P', 'memory=2q', 'web').code == 2


def test_filters_and_sorting(web: Run) -> None:
    assert web('create', 'vm', '-i', 'ubuntu2404', '-P', 'start=false', '-P', 'memory=256', '-P', 'plan=p', 'db').code == 0
    assert names(web, '-P', 'status=running') == ['web']
    assert names(web, '-P', 'image=ubuntu*', '-P', 'plan=p') == ['db']
    assert names(web, '-P', 'network=default') == ['db', 'web']
    assert names(web, '-P', 'ip=') == ['db']
    assert names(web, '--sort', 'memory') == ['db', 'web']
    assert names(web, '--sort', 'image') == ['web', 'db']
    assert web('list', 'vm', '-P', 'stat=running').errors == [
        "Error: VMs can not be chosen by 'stat', did you mean 'status'? "
        'Choose by name, status, ip, image, network, plan, profile']
    assert web('list', 'vm', '--sort', 'colour').code == 2


def test_info_of_fields_and_of_several(web: Run) -> None:
    assert web('create', 'vm', '-i', 'debian12', 'db').code == 0
    assert web('info', 'vm', 'web', '-f', 'status,colour,memory', '-v').out == 'running\n\n1024\n'
    assert web('info', 'vm', 'web', '-f', 'status').out == 'status: running\n'
    both = web('info', 'vm', 'web', 'db', '-o', 'json')
    assert [known['name'] for known in json.loads(both.out)] == ['web', 'db']
    some = web('info', 'vm', 'web', 'nope', 'db', '-o', 'name')
    assert (some.code, some.out) == (1, 'web\ndb\n')
    assert some.errors == ["Error: VM nope does not exist on client lab. 'kvirt list vm' shows them all"]


def test_without_a_name_the_last_one_is_meant(web: Run, home: Path) -> None:
    assert web('create', 'vm', '-i', 'debian12', 'web2').code == 0
    assert web('create', 'vm', '-C', 'two', '-i', 'debian12', 'other').code == 0
    done = web('stop', 'vm')
    assert done.err.splitlines() == ['Using VM web2 on lab, the last one created', 'VM web2 stopped on lab']
    assert (home / 'vm').read_text() == 'two other\nlab web2\nlab web\n'
    assert web('delete', 'vm', '-y', 'web').code == 0
    assert (home / 'vm').read_text() == 'two other\nlab web2\n', 'web2 only begins like web'
    assert web('info', 'vm', '-f', 'name', '-v').out == 'web2\n'
    assert web('delete', 'vm', '-y').code == 0
    done = web('info', 'vm')
    assert (done.code, done.errors) == (2, ['Error: no VM is named, and none was created with client lab yet'])


def test_renaming_and_cloning_are_remembered(web: Run, home: Path) -> None:
    assert web('stop', 'vm', 'web').code == 0
    assert web('rename', 'vm', 'web', 'www').err == 'VM web renamed to www on lab\n'
    assert (home / 'vm').read_text() == 'lab www\n'
    done = web('clone', '-b', 'www', '-s', 'copy')
    assert (done.code, done.err) == (0, 'VM copy cloned from www on lab\n')
    assert (home / 'vm').read_text() == 'lab copy\nlab www\n'
    assert names(web, '-P', 'status=running') == ['copy']


def test_updates(web: Run) -> None:
    assert web('stop', 'vm', 'web').code == 0
    done = web('update', 'vm', '-P', 'memory=4g', '-P', 'numcpus=4', '-P', 'autostart=true', '-P', 'information=hello',
               '-P', 'team=blue', 'web', '-o', 'json')
    assert done.code == 0, done.err
    assert json.loads(done.out)['updated'] == ['memory', 'numcpus', 'autostart', 'information', 'team']
    known = json.loads(web('info', 'vm', 'web', '-o', 'json').out)
    assert (known['memory'], known['numcpus'], known['autostart'], known['information'], known['team']) == (
        4096, 4, True, 'hello', 'blue')
    assert web('update', 'vm', 'web').code == 2
    assert web('update', 'vm', '-P', 'memory=-4', 'web').code == 2
    assert 'keyword disksize can not be changed' in web('update', 'vm', '-P', 'disksize=30', 'web').err


def test_a_wrong_value_changes_nothing(web: Run) -> None:
    assert web('stop', 'vm', 'web').code == 0
    done = web('update', 'vm', '-P', 'team=red', '-P', 'numcpus=zero', 'web')
    assert (done.code, len(done.errors)) == (2, 1)
    assert 'team' not in json.loads(web('info', 'vm', 'web', '-o', 'json').out)


def test_several_clients(web: Run) -> None:
    assert web('create', 'vm', '-C', 'two', '-i', 'debian12', 'other').code == 0
    for client in ('lab,two', 'all', 'both'):
        done = web('list', 'vm', '-C', client)
        assert done.out.splitlines()[0].split()[:2] == ['NAME', 'CLIENT']
        assert [line.split()[:2] for line in done.out.splitlines()[1:]] == [['other', 'two'], ['web', 'lab']]
    rows = json.loads(web('list', 'vm', '-C', 'lab,two', '-o', 'json').out)
    assert {row['client'] for row in rows} == {'lab', 'two'}
    done = web('stop', 'vm', '-C', 'all', 'other', 'web')
    assert sorted(done.err.splitlines()) == ['VM other stopped on two', 'VM web stopped on lab']
    assert web('stop', 'vm', '-C', 'all', 'nope').errors == ['Error: VM nope does not exist on any of the clients']
    assert web('create', 'vm', '-C', 'two', '-i', 'debian12', 'web').code == 0
    assert web('stop', 'vm', '-C', 'all', 'web').errors == [
        'Error: VM web exists on lab and on two. Name one client with -C']
    assert web('stop', 'vm', '-C', 'all').code == 2


def test_one_client_that_fails_does_not_hide_the_others(web: Run) -> None:
    done = web('list', 'vm', '-C', 'lab,broken,two', '-o', 'name')
    assert (done.code, done.out) == (1, 'web\n')
    assert len(done.errors) == 1 and done.errors[0].startswith('Error: client broken: the fake provider stumbled')


def test_a_group_creates_on_one_of_its_members(kvirt: Run) -> None:
    assert kvirt('create', 'vm', '-C', 'both', '-i', 'debian12', 'somewhere').code == 0
    assert names(kvirt, '-C', 'both') == ['somewhere']
    assert kvirt('delete', 'vm', '-C', 'both', '-y', 'somewhere').code == 0


def test_all_are_deleted_only_when_said_so(web: Run) -> None:
    assert web('create', 'vm', '-i', 'debian12', 'db').code == 0
    done = web('delete', 'vm', '-a')
    assert (done.code, names(web)) == (2, ['db', 'web'])
    assert done.errors == ['Error: Delete VM db on lab, web on lab? Nobody can be asked here. Give -y to go on without']
    assert web('delete', 'vm', '-a', '-y', 'web').code == 2
    assert web('delete', '-y', 'vm', '-a').code == 0
    assert names(web) == []
    assert web('delete', '-y', 'vm', '-a').err == 'There are no VMs\n'


def test_consoles(web: Run) -> None:
    done = web('console', 'web')
    assert (done.code, done.out, done.err) == (0, 'vnc://console.fake.invalid:5901\n', '')
    assert 'web login:' in web('serial', 'web').out
    assert web('console', '-s', 'web').out == web('serial', 'web').out
    assert json.loads(web('console', 'web', '-o', 'json').out)['url'] == 'vnc://console.fake.invalid:5901'
    assert web('stop', 'vm', 'web').code == 0
    assert web('console', 'web').code == 1


@pytest.mark.parametrize('form', ['json', 'name'])
def test_changes_tell_programs_what_came_of_them(form: str, web: Run) -> None:
    done = web('stop', 'vm', 'web', 'nope', '-o', form)
    assert done.code == 1
    if form == 'name':
        assert done.out == 'web\n'
        return
    good, bad = json.loads(done.out)
    assert good == {'name': 'web', 'result': 'success'}
    assert (bad['name'], bad['result'], bad['error']) == ('nope', 'failure', 'NotFound')


@pytest.mark.parametrize('words', [
    ('create', 'vm', '-i', 'debian12', 'x'), ('create', 'network', '-c', '10.9.0.0/24', 'x'),
    ('info', 'network', 'default'), ('delete', 'network', '-y', 'default'), ('info', 'pool', 'default'),
    ('delete', 'image', '-y', 'debian12'), ('info', 'client'), ('create', 'disk', '-n', 'x'),
    ('download', 'image', 'debian12')], ids=' '.join)
def test_what_is_done_on_one_client_is_not_done_on_several(words: tuple[str, ...], kvirt: Run) -> None:
    done = kvirt(*words, '-C', 'lab,two')
    assert (done.code, done.errors) == (
        2, ['Error: this is done on one client, and there are lab, two. Name one with -C'])
    if words[0] in ('info', 'delete'):
        assert kvirt(*words, '-C', 'both').code == 2, 'a group would choose one at random'
