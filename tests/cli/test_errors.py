from __future__ import annotations

import io
import re
import subprocess
import sys
from pathlib import Path

import pytest

from kvirt import errors
from kvirt.cli.main import main
from kvirt.providers.fake import Kfake

from .conftest import KEY, ROOT, Run, command

CODES = {'InvalidInput': 2, 'Cancelled': 130}


@pytest.mark.parametrize('kind', errors.BY_NAME.values(), ids=lambda kind: kind.__name__)
def test_every_kind_of_failure_is_one_line_and_a_code(kind: type[errors.KvirtError], kvirt: Run,
                                                      monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(self: Kfake, *args: object) -> object:
        raise kind('the thing is so', hint='Do that')

    monkeypatch.setattr(Kfake, '_list', fail)
    monkeypatch.setattr(Kfake, '_start', fail)
    for words in (('list', 'vm'), ('start', 'vm', 'web'), ('list', 'vm', '-o', 'json')):
        done = kvirt(*words)
        assert (done.code, done.out) == (CODES.get(kind.__name__, 1), '')
        assert done.err == 'Error: the thing is so. Do that\n'


def test_every_problem_of_an_input_has_its_line(kvirt: Run) -> None:
    done = kvirt('create', 'vm', '-i', 'debian12', '-P', 'memory=-1', '-P', 'numcpus=x', '-P', 'memry=1', 'web')
    assert done.code == 2
    assert done.err.splitlines() == ["Error: parameter: unknown keyword 'memry', did you mean 'memory'?"]
    done = kvirt('create', 'vm', '-i', 'debian12', '-P', 'memory=-1', '-P', 'numcpus=x', 'web')
    assert [re.sub(r'\. Write.*', '', line) for line in done.err.splitlines()] == [
        'Error: parameter: keyword memory: -1 is not a size',
        'Error: parameter: keyword numcpus: expected a whole number, got text']


def test_the_text_of_a_platform_is_one_line(kvirt: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(self: Kfake) -> object:
        raise errors.Unavailable('first\n  second\x1b[2J\r\nthird')

    monkeypatch.setattr(Kfake, '_list', fail)
    assert kvirt('list', 'vm').err == 'Error: first second\\x1b[2J third\n'


def test_a_secret_in_an_error_is_masked(kvirt: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    from kvirt import redact
    redact.remember('s3cr3t-in-error')

    def fail(self: Kfake) -> object:
        raise errors.Unauthorized('token s3cr3t-in-error was refused')

    monkeypatch.setattr(Kfake, '_list', fail)
    assert kvirt('list', 'vm').err == 'Error: token ******** was refused\n'


def test_a_bug_is_owned_up_to_in_one_line(kvirt: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def bug(self: Kfake) -> object:
        raise KeyError('colour')

    monkeypatch.setattr(Kfake, '_list', bug)
    done = kvirt('list', 'vm')
    assert (done.code, done.out) == (1, '')
    assert re.fullmatch(r"Error: kvirt has a bug: KeyError: 'colour' \(test_errors\.py:\d+\)\. "
                        r'Run it again with -d, and report what it shows\n', done.err)
    with pytest.raises(KeyError, match='colour'):
        main(['-d', 'list', 'vm'])


def test_debugging_shows_where_a_known_error_came_from(kvirt: Run) -> None:
    done = kvirt('-d', 'info', 'flavor', 'nope')
    assert done.code == 1
    assert 'Traceback' in done.err
    assert done.errors == ["Error: flavor nope does not exist on client lab. 'kvirt list flavor' shows them all"]
    assert 'Traceback' not in kvirt('info', 'flavor', 'nope').err


def test_warnings_go_to_stderr_without_tracebacks(web: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    import logging

    def warn(self: Kfake) -> object:
        log = logging.getLogger('kvirt.providers.fake')
        log.warning('mind %s', 'the gap')
        try:
            raise ValueError('inner')
        except ValueError:
            log.exception('could not tidy')
        logging.getLogger('paramiko.transport').error('noise')
        return []

    monkeypatch.setattr(Kfake, '_list', warn)
    done = web('list', 'vm', '-o', 'json')
    assert done.out == '[]\n'
    assert done.err.splitlines() == ['Warning: mind the gap', 'Error: could not tidy']
    assert web('list', 'vm', '-q').err == 'Error: could not tidy\n'
    loud = web('list', 'vm', '-d').err
    assert 'ValueError: inner' in loud and 'noise' in loud


HOSTILE = ["it's", 'a"b', '../../etc/passwd', '/abs', 'a/b', 'a\nb', 'a\x00b'.replace('\x00', '\x01'), '<name/>', ']]>',
           '&amp;', '$(touch pwned)', '`touch pwned`', '; touch pwned', '{{ 7*7 }}', '{% raw %}', 'x' * 300, ' ', '-', '..',
           '.hidden', 'a b', 'ünïcode', '\x1b[31mred', "'; DROP TABLE vm; --", '%s%n', 'a:b', 'a,b', '*', '\\']


def is_clear(code: int, out: str, err: str) -> None:
    """Check that a failure is what failures have to be."""
    assert code in (1, 2)
    assert out == ''
    assert err.startswith('Error: ') and err.count('\n') == 1, err
    assert 'bug' not in err and 'Traceback' not in err
    assert len(err) < 1000 and err[:-1].isprintable()


@pytest.mark.parametrize('before', [
    ('create', 'vm', '-i', 'debian12'), ('create', 'network', '-c', '10.9.0.0/24'), ('create', 'pool', '-p', '/tmp/p'),
    ('create', 'profile', '-i', 'debian12'), ('create', 'client', 'fake'), ('create', 'disk', '-n'),
    ('clone', '-b', 'web'), ('rename', 'vm', 'web'), ('create', 'client', 'group', '-m', 'lab'),
    ('create', 'key', '-k', KEY), ('create', 'floating-ip'), ('create', 'security-group', '-P', 'ports=80'),
    ('create', 'subnet', '-c', '192.168.122.0/28', '--network', 'default'), ('create', 'bucket'),
    ('create', 'bucket-file', 'nope'), ('create', 'dns', '-d', 'example.com', '-i', '10.0.0.5'),
    ('create', 'loadbalancer', '-P', 'ports=80'), ('create', 'snapshot', '-n', 'web'),
    ('create', 'vm', '--dry-run', '-i', 'debian12'), ('export', 'vm', 'web', '-i')], ids=' '.join)
def test_a_hostile_name_makes_nothing(before: tuple[str, ...], web: Run, home: Path) -> None:
    assert web('stop', 'vm', 'web').code == 0
    state = everything(home)
    for name in HOSTILE:
        if name == '*' and before[1] == 'dns':
            continue  # that is a name: DNS has wildcards
        done = web(*before, name) if before[-1] == '-i' else web(*before, '--', name)
        is_clear(done.code, done.out, done.err)
    assert everything(home) == state
    assert list(Path.cwd().iterdir()) == []


@pytest.mark.parametrize('before', [
    ('start', 'vm'), ('delete', 'vm', '-y'), ('info', 'vm'), ('update', 'vm', '-P', 'memory=1g'), ('console',), ('serial',),
    ('info', 'network'), ('delete', 'network', '-y'), ('info', 'pool'), ('delete', 'image', '-y'), ('delete', 'pool', '-y'),
    ('info', 'profile'), ('delete', 'profile', '-y'), ('info', 'flavor'), ('info', 'keyword'), ('info', 'provider'),
    ('switch', 'client'), ('enable', 'client'), ('delete', 'client', '-y'), ('list', 'nic'), ('download', 'image'),
    ('create', 'nic', '-n', 'default'), ('create', 'disk'), ('ssh',), ('delete', 'key', '-y'),
    ('delete', 'floating-ip', '-y'), ('attach', 'floating-ip', 'nope'), ('detach', 'floating-ip'),
    ('info', 'security-group'), ('update', 'security-group', '-P', 'ports=80'), ('delete', 'security-group', '-y'),
    ('info', 'subnet'), ('update', 'subnet', '-P', 'dhcp=false'), ('delete', 'subnet', '-y'),
    ('update', 'network', '--nodhcp'), ('delete', 'bucket', '-y'), ('list', 'bucket-file'),
    ('download', 'bucket-file', 'nope'), ('delete', 'bucket-file', '-y', 'nope'), ('list', 'dns'),
    ('delete', 'dns', '-y', '-d', 'example.com'), ('delete', 'loadbalancer', '-y'), ('attach', 'loadbalancer', 'nope'),
    ('list', 'snapshot'), ('delete', 'snapshot', '-y', '-n', 'web'), ('revert', 'snapshot', '-y', '-n', 'web'),
    ('export', 'vm'), ('update', 'nic', '-n', 'default'), ('update', 'disk', '--vm', 'web', '-s', '40'),
    ('update', 'vm', 'web', '--flavor')], ids=' '.join)
def test_a_hostile_name_is_not_found(before: tuple[str, ...], web: Run, home: Path) -> None:
    state = everything(home)
    for name in HOSTILE:
        done = web(*before, name) if before[-1] == '--flavor' else web(*before, '--', name)
        is_clear(done.code, done.out, done.err)
    assert everything(home) == state


@pytest.mark.parametrize('words', [
    ('-P', 'memory=-1'), ('-P', 'memory=10Q'), ('-P', 'memory=0'), ('-P', 'memory=' + '9' * 300), ('-P', 'memory=[1]'),
    ('-P', 'numcpus=-1'), ('-P', 'numcpus=0'), ('-P', 'numcpus=1.5'), ('-P', 'numcpus=many'), ('-P', 'disks=[-1]'),
    ('-P', 'disks=[10Q]'), ('-P', 'disks=[{size: 10, colour: red}]'), ('-P', 'disks=[[10]]'), ('-P', 'disks=['),
    ('-P', 'disks=nothere/x'), ('-P', 'disksize=-1'), ('-P', 'nets=[nope]'), ('-P', 'nets=[{name: default, mac: zz}]'),
    ('-P', 'nets=[{name: default, ip: 1.2.3}]'), ('-P', 'nets=[{name: default, ip: 10.0.0.5}]'), ('-P', 'nets=[<x/>]'),
    ('-P', 'pool=nope'), ('-P', 'pool=../x'), ('-P', 'image=nope'), ('-P', 'image=../../etc/passwd'), ('-P', 'iso=nope'),
    ('-P', 'flavor=nope'), ('-P', 'plan=../x'), ('-P', 'plan=$(x)'), ('-P', 'memry=1'), ('-P', 'start=maybe'),
    ('-P', 'autostart=2'), ('-P', 'keys=[/does/not/exist.pub]'), ('-P', 'keys=[not a key]'),
    ('-P', 'scripts=[/does/not/exist.sh]'), ('-P', 'files=[/does/not/exist]'), ('-P', 'cmds={a: b}'),
    ('-P', 'cmds=["{{ 1/0 }}"]'), ('-P', 'cmds=["{{ nope.x }}"]'), ('-P', "cmds=[\"{{ ''.__class__.__mro__ }}\"]"),
    ('-P', 'virttype=magic'), ('-P', 'diskinterface=floppy'), ('-P', 'tags={a: 1}'), ('-P', 'metadata=x'),
    ('-P', 'dns=nope'), ('-P', 'gateway=1.2.3.4.5'), ('-P', 'waittimeout=-1'), ('-P', 'ip0=1.2.3.4'), ('-p', 'nope'),
    ('--profilefile', 'nope.yml'), ('--paramfile', 'nope.yml'), ('--paramfile', '/'), ('-C', 'nope'), ('-C', 'a,b'),
    ('-C', ''), ('-c', '0'), ('-c', '-1'), ('-c', '1000000'), ('-P', 'memory'), ('-P', 'memory=1', '-P', 'memory=2'),
], ids=lambda words: ' '.join(words)[:60])
def test_hostile_values_make_nothing(words: tuple[str, ...], kvirt: Run, home: Path) -> None:
    image = () if any('image=' in word for word in words) else ('-i', 'debian12')
    done = kvirt('create', 'vm', *image, *words, 'web')
    is_clear(done.code, done.out, done.err)
    assert (everything(home)['list'], everything(home)['list_disks']) == ([], {})


def everything(home: Path) -> dict[str, object]:
    """Return all that commands could have changed: the world of the client, and the files of home."""
    seen: dict[str, object] = {path.name: path.read_bytes() for path in home.iterdir() if path.suffix in ('.yml', '')}
    with Kfake(state=str(home / 'lab.db')) as world:
        for read in ('list', 'list_networks', 'list_pools', 'volumes', 'list_disks', 'list_orphans', 'list_keys',
                     'list_floating_ips', 'list_security_groups', 'list_subnets', 'list_buckets', 'list_loadbalancers'):
            seen[read] = getattr(world, read)()
        seen['dns'] = [world.list_dns(zone) for zone in world.list_dns_zones()]
        seen['snapshots'] = [world.list_snapshots(row['name']) for row in world.list()]
    return seen


def test_missing_things_are_named(web: Run) -> None:
    for words, said in (
            (('create', 'vm', '-i', 'debain12', 'x'), "'debain12'"), (('create', 'nic', '-n', 'nope', 'web'), 'nope'),
            (('create', 'disk', '-p', 'nope', 'web'), 'nope'), (('info', 'network', 'nope'), 'network nope'),
            (('info', 'pool', 'nope'), 'pool nope'), (('info', 'profile', 'nope'), "'nope'"),
            (('info', 'keyword', 'memry'), "did you mean 'memory'"), (('delete', 'image', '-y', 'nope'), 'nope'),
            (('delete', 'disk', '-y', '--vm', 'web', 'vdz'), 'vdz'), (('delete', 'nic', '-y', '-i', 'eth9', 'web'), 'eth9'),
            (('download', 'image', 'debain12'), "did you mean 'debian12'")):
        done = web(*words)
        is_clear(done.code, done.out, done.err)
        assert said in done.err


def test_a_wrong_key_in_the_configuration_is_named_with_its_place(kvirt: Run, home: Path) -> None:
    (home / 'config.yml').write_text('lab:\n  type: fake\n  sede: x\n')
    done = kvirt('list', 'vm')
    assert done.code == 2
    assert done.err == f"Error: {home}/config.yml:3: unknown key 'sede' in client lab, did you mean 'seed'?\n"


@pytest.mark.parametrize(('text', 'said'), [
    ('lab: [1]\n', ":1: section 'lab' must be a mapping"), ('lab:\n  type: fake\n lab: x\n', ':3: this is not YAML'),
    ('lab:\n  type: fake\n  type: kvm\n', ":3: key 'type' stands here again, after line 2"),
    ('lab:\n  type: nope\n', "unknown provider 'nope'"), ('- a\n', ':1: expected a mapping of clients'),
    ('lab:\n  type: fake\n  boot_seconds: soon\n', ':3: option of client lab: boot_seconds: expected a number, got text'),
    ('lab:\n  type: fake\n  location: ${NOWHERE_SET}\n', 'the environment variable NOWHERE_SET is not set'),
    ('default:\n  client: gone\nlab:\n  type: fake\n', "client 'gone' does not exist"),
    ('default:\n  memroy: 4g\nlab:\n  type: fake\n',
     "config.yml:2: unknown key 'memroy' in section default, did you mean 'memory'?"),
    ('default:\n  slacktoken: x\nlab:\n  type: fake\n',
     "config.yml:2: kcli's key 'slacktoken' is not supported in section default"),
    ('lab:\n  type: hcloud\n  apikey: x\n', "config.yml:3: unknown key 'apikey' in client lab, which is 'token' here"),
    ('lab:\n  type: fake\n  memory: -1\n', ':3: keyword memory: -1 is not a size'),
])
def test_a_broken_configuration_is_told_with_its_place(text: str, said: str, kvirt: Run, home: Path) -> None:
    (home / 'config.yml').write_text(text)
    done = kvirt('create', 'vm', '-i', 'debian12', 'web')
    is_clear(done.code, done.out, done.err)
    assert said in done.err


def test_a_configuration_that_can_not_be_read(spawn: Run, home: Path) -> None:
    (home / 'config.yml').write_bytes(b'\xff\xfe\x00')
    done = spawn('list', 'vm')
    is_clear(done.code, done.out, done.err)
    assert f'{home}/config.yml' in done.err


def test_without_any_configuration_the_way_out_is_told(spawn: Run, tmp_path: Path) -> None:
    done = spawn('-C', 'fake', 'list', 'vm', env={'KVIRT_HOME': str(tmp_path / 'absent')})
    assert (done.code, done.err) == (0, 'There are no VMs\n')


@pytest.mark.parametrize('words', [('list', 'keyword'), ('list', 'vm', '-o', 'json'), ('--help',)])
def test_a_reader_that_goes_away_is_no_error(words: tuple[str, ...], home: Path) -> None:
    process = subprocess.Popen(command(*words), stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=ROOT)
    assert process.stdout is not None and process.stderr is not None
    process.stdout.close()
    assert process.stderr.read() == b''
    assert process.wait(timeout=60) == 141
    process.stderr.close()


def test_closed_or_odd_streams_are_no_bug(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    out = io.StringIO()
    monkeypatch.setattr(sys, 'stdout', out)
    assert main(['list', 'vm', '-o', 'json']) == 0
    assert out.getvalue() == '[]\n'


def test_a_file_that_can_not_be_written_is_no_bug(spawn: Run, home: Path) -> None:
    (home / 'vm').mkdir()
    done = spawn('create', 'vm', '-i', 'debian12', 'web')
    assert done.code == 1
    assert len(done.errors) == 1 and done.errors[0].endswith(': Is a directory')


@pytest.mark.skipif(not Path('/dev/full').exists(), reason='this machine has no /dev/full')
def test_a_full_disk_behind_the_output_is_told(home: Path) -> None:
    with open('/dev/full', 'w') as full:
        done = subprocess.run(command('list', 'keyword'), stdout=full, stderr=subprocess.PIPE, text=True, cwd=ROOT)
    assert (done.returncode, done.stderr) == (1, 'Error: the output: No space left on device\n')


def test_streams_that_are_not_there(home: Path) -> None:
    script = f'exec {" ".join(command("list", "keyword"))} <&- >&- 2>&-'
    assert subprocess.run(['sh', '-c', script], cwd=ROOT).returncode == 0
    script = f'exec {" ".join(command("delete", "client", "two"))} <&-'
    done = subprocess.run(['sh', '-c', script], cwd=ROOT, capture_output=True, text=True)
    assert (done.returncode, done.stderr.count('Nobody can be asked here')) == (2, 1)


def test_an_output_that_can_not_hold_a_name(web: Run, spawn: Run) -> None:
    assert web('update', 'vm', '-P', 'team=雪', 'web').code == 0
    done = spawn('info', 'vm', 'web', '-f', 'team', '-v', env={'PYTHONIOENCODING': 'latin-1'})
    assert (done.code, done.out) == (0, '\\u96ea\n')


def test_bytes_that_are_no_text(spawn: Run) -> None:
    odd = b'a\xff'.decode(errors='surrogateescape')
    for words in (('info', 'vm', odd), ('-C', odd, 'list', 'vm'), ('create', 'vm', '-i', 'debian12', '-P', f'{odd}=1', 'x'),
                  ('create', 'vm', '-i', 'debian12', '--paramfile', odd, 'x'),
                  ('create', 'vm', '-i', 'debian12', '-P', f'cmds=[{odd}]', 'x'), (odd,)):
        done = spawn(*words)
        is_clear(done.code, done.out, done.err)
