from __future__ import annotations

import json
import os
import stat
from pathlib import Path

import pytest
import yaml

from .conftest import Run
from .test_output import on_a_terminal


def written(home: Path, file: str = 'config.yml') -> dict[str, object]:
    data: dict[str, object] = yaml.safe_load((home / file).read_text())
    return data


def test_a_client_is_created_used_and_deleted(kvirt: Run, home: Path) -> None:
    before = (home / 'config.yml').read_text()
    done = kvirt('create', 'client', 'fake', 'new', '--seed', 'x', '--boot-seconds', '0', '--faults', 'capacity,quota=9',
                 '--pool', 'fast', '--param', 'numcpus=4')
    assert (done.code, done.out) == (0, ''), done.err
    assert (home / 'config.yml').read_text().startswith(before), 'what was there stays as it was'
    assert written(home)['new'] == {'type': 'fake', 'seed': 'x', 'boot_seconds': 0, 'faults': ['capacity', 'quota=9'],
                                   'pool': 'fast', 'numcpus': 4}
    done = kvirt('create', 'vm', '-C', 'new', '-i', 'debian12', 'web')
    assert (done.code, len(done.errors)) == (1, 1), 'it has no room, as it was told'
    shown = json.loads(kvirt('info', 'vm-config', '-C', 'new', '-i', 'debian12', '-o', 'json').out)
    assert next(row for row in shown if row['keyword'] == 'numcpus') == {
        'keyword': 'numcpus', 'value': 4, 'origin': 'section new'}
    assert kvirt('create', 'client', 'fake', 'new').errors == ['Error: client new exists']
    assert kvirt('delete', 'client', 'new').code == 2
    assert kvirt('delete', 'client', '-y', 'new').code == 0
    assert (home / 'config.yml').read_text() == before


def test_options_are_checked_before_they_are_written(kvirt: Run, home: Path) -> None:
    before = (home / 'config.yml').read_text()
    for words, said in (
            (('kvm', 'x', '-P', 'carrier-pigeon'), 'option protocol'), (('kvm', 'x', '-p', 'many'), 'option port'),
            (('fake', 'x', '--param', 'memory=-1'), 'keyword memory'), (('fake', 'x', '--param', 'memry=1'), "'memory'"),
            (('fake', 'all'), "'all' can not name a client"), (('fake', 'default'), 'a meaning of its own'),
            (('group', 'x', '-m', 'nope'), "'nope' does not exist"), (('group', 'x', '-m', 'both'), 'is a group itself'),
            (('group', 'x', '-m', ','), 'needs members')):
        done = kvirt('create', 'client', *words)
        assert done.code in (1, 2) and len(done.errors) == 1 and said in done.err, (words, done.err)
    assert (home / 'config.yml').read_text() == before


def test_kcli_s_flags_of_kvm(kvirt: Run, home: Path) -> None:
    assert kvirt('create', 'host', 'kvm', '-H', 'h1', '-p', '2222', '-u', 'me', '-P', 'ssh', '--pool', 'big',
                 'lab1').code == 0
    assert written(home)['lab1'] == {'type': 'kvm', 'host': 'h1', 'port': 2222, 'user': 'me', 'protocol': 'ssh',
                                     'pool': 'big'}
    assert kvirt('create', 'host', 'kvm', '-U', 'test:///default', 'lab2').code == 0
    assert kvirt('create', 'host', 'kvm', '--session', 'lab3').code == 0
    assert written(home)['lab3'] == {'type': 'kvm', 'session': True}


def test_groups(kvirt: Run, home: Path) -> None:
    assert kvirt('create', 'client', 'group', '-m', 'lab,two', '-a', 'free', 'g').code == 0
    assert written(home)['g'] == {'type': 'group', 'members': ['lab', 'two'], 'algorithm': 'free'}
    assert kvirt('delete', 'client', '-y', 'lab').errors == ['Error: client lab is a member of group both, g']


def test_the_default_client(kvirt: Run, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert kvirt('switch', 'client', 'two').code == 0
    current = {row['name']: row['current'] for row in json.loads(kvirt('list', 'client', '-o', 'json').out)}
    assert [name for name in current if current[name]] == ['two']
    monkeypatch.setenv('KVIRT_CLIENT', 'lab')
    assert 'KVIRT_CLIENT is set' in kvirt('switch', 'client', 'two').err
    monkeypatch.delenv('KVIRT_CLIENT')
    assert "client 'twoo' does not exist, did you mean 'two'?" in kvirt('switch', 'client', 'twoo').err
    assert kvirt('delete', 'client', '-y', 'both', 'two').code == 0
    assert 'default' not in written(home)


def test_disabled_clients_take_no_part(web: Run) -> None:
    assert web('disable', 'client', 'lab').code == 0
    assert web('list', 'vm', '-C', 'all', '-o', 'name').out == ''
    assert web('enable', 'client', 'lab').code == 0
    assert web('list', 'vm', '-C', 'all', '-o', 'name').out == 'web\n'
    assert web('enable', 'client', 'fake').code == 1


def test_info_of_a_client(web: Run) -> None:
    known = json.loads(web('info', 'client', '-o', 'json').out)
    assert (known['name'], known['type'], known['vms'], known['connection']) == ('lab', 'fake', 1, 'fake://lisbon')
    assert json.loads(web('info', 'host', 'two', '-o', 'json').out)['vms'] == 0


@pytest.fixture
def cloud(monkeypatch: pytest.MonkeyPatch) -> None:
    """A provider with a secret, in the catalog for the time of a test: the sample that authors copy."""
    from kvirt.providers import catalog, registry
    entry = catalog.Entry('sample', 'A sample', 'kvirt.providers.sampleprovider:Ksample')
    monkeypatch.setattr(registry, 'CATALOG', (*catalog.CATALOG, entry))


def test_a_secret_is_asked_for_and_kept_for_its_owner_only(cloud: None, kvirt: Run, home: Path,
                                                           monkeypatch: pytest.MonkeyPatch) -> None:
    import io
    monkeypatch.setattr('sys.stdin', io.StringIO('a-secret-token\n'))
    done = kvirt('create', 'client', 'sample', 'mine', '--token')
    assert done.code == 0, done.err
    assert 'a-secret-token' not in done.out + done.err + (home / 'config.yml').read_text()
    assert written(home)['mine'] == {'type': 'sample', 'token': '?secret'}
    assert written(home, 'secrets.yml') == {'mine': {'token': 'a-secret-token'}}
    assert stat.S_IMODE(os.stat(home / 'secrets.yml').st_mode) == 0o600
    assert kvirt('list', 'vm', '-C', 'mine').code == 0
    assert kvirt('delete', 'client', '-y', 'mine').code == 0
    assert written(home, 'secrets.yml') is None


@pytest.mark.parametrize(('words', 'value'), [
    (('--token-env', 'MY_TOKEN'), '${MY_TOKEN}'), (('--token-command', 'pass show x'), '?command:pass show x'),
    (('--token-file', '/k'), '?file:/k')])
def test_where_a_secret_is_found(words: tuple[str, ...], value: str, cloud: None, kvirt: Run, home: Path) -> None:
    assert kvirt('create', 'client', 'sample', 'mine', *words).code == 0
    assert written(home)['mine'] == {'type': 'sample', 'token': value}
    assert kvirt('create', 'client', 'sample', 'other', *words, '--token').errors == [
        'Error: token is given in more than one way']


def test_a_secret_is_never_an_argument(cloud: None, kvirt: Run) -> None:
    done = kvirt('create', 'client', 'sample', '--token', 'a-secret-token', 'mine')
    assert done.code == 2
    assert '--token-env VARIABLE' in kvirt('create', 'client', 'sample', '--help').out


def test_a_provider_that_is_not_installed_says_how(kvirt: Run, monkeypatch: pytest.MonkeyPatch, home: Path) -> None:
    from kvirt.providers import catalog, registry
    entry = catalog.Entry('moon', 'The moon', 'moonsdk.provider:Kmoon', ('moonsdk>=1',))
    monkeypatch.setattr(registry, 'CATALOG', (*catalog.CATALOG, entry))
    (home / 'config.yml').write_text('m:\n  type: moon\n')
    said = "Error: provider moon needs moonsdk>=1. Run: pip install 'kvirt[moon]'"
    for words in (('list', 'vm'), ('create', 'client', 'moon', 'x'), ('info', 'provider', 'moon')):
        done = kvirt(*words)
        assert (done.code, done.errors) == (1, [said])
    rows = {row['name']: row for row in json.loads(kvirt('list', 'provider', '-o', 'json').out)}
    assert (rows['moon']['installed'], rows['moon']['install']) == (False, "pip install 'kvirt[moon]'")


def test_the_help_of_a_type_on_a_terminal(home: Path) -> None:
    code, shown = on_a_terminal('create', 'client', 'fake', 'x', '--help')
    assert code == 0 and 'Options' in shown


def test_a_secret_of_the_configuration_is_never_shown(cloud: None, kvirt: Run, home: Path,
                                                      monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv('MY_TOKEN', 'token-from-the-environment')
    assert kvirt('create', 'client', 'sample', 'mine', '--token-env', 'MY_TOKEN', '--param', 'owner=me').code == 0
    for words in (('list', 'client', '-o', 'yaml'), ('-d', '-C', 'mine', 'list', 'vm'), ('-C', 'mine', 'info', 'client'),
                  ('-C', 'mine', 'info', 'vm-config', '-i', 'x', '-v'), ('-d', '-C', 'mine', 'info', 'vm', 'nope')):
        done = kvirt(*words)
        assert 'token-from-the-environment' not in done.out + done.err, words
