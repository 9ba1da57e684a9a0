from __future__ import annotations

import os
import stat
import sys
from pathlib import Path

import pytest
import yaml

from .conftest import Run


@pytest.fixture
def there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The home of another host, which a program in the place of ssh runs its commands on."""
    other = tmp_path / 'other'
    folder = tmp_path / 'bin'
    folder.mkdir()
    program = folder / 'ssh'
    program.write_text(f'#!{sys.executable}\nimport os, sys\nos.environ["KVIRT_HOME"] = {str(other)!r}\n'
                       'os.execvp("sh", ["sh", "-c", sys.argv[-1]])\n')
    program.chmod(0o755)
    monkeypatch.setenv('PATH', f"{folder}:{os.environ['PATH']}")
    return other


def test_clients_are_brought_to_another_host(kvirt: Run, home: Path, there: Path) -> None:
    done = kvirt('sync', 'config', 'ada@host', 'lab', 'both')
    assert done.code == 0, done.err
    ours = yaml.safe_load((home / 'config.yml').read_text())
    config = there / 'config.yml'
    assert yaml.safe_load(config.read_text()) == {'lab': ours['lab'], 'both': ours['both']}
    assert stat.S_IMODE(config.stat().st_mode) == 0o600 and sorted(os.listdir(there)) == ['config.yml']
    assert 'is on ada@host already' in kvirt('sync', 'config', 'ada@host', 'lab').err
    assert kvirt('sync', 'config', 'ada@host').code == 0
    assert set(yaml.safe_load(config.read_text())) == {'lab', 'two', 'broken', 'both'}


def test_what_is_there_stays(kvirt: Run, there: Path) -> None:
    there.mkdir()
    before = '# mine\ndefault:\n  client: own\nown:\n  type: fake\nlab:\n  type: kvm  # another one\n'
    (there / 'config.yml').write_text(before)
    done = kvirt('sync', 'config', 'ada@host', 'lab', 'two')
    assert done.code == 1 and 'client lab is another one there' in done.errors[0]
    assert (there / 'config.yml').read_text() == before
    assert kvirt('sync', 'config', '--force', 'ada@host', 'lab', 'two').code == 0
    after = yaml.safe_load((there / 'config.yml').read_text())
    assert after['lab']['type'] == after['two']['type'] == 'fake'
    assert after['default'] == {'client': 'own'} and after['own'] == {'type': 'fake'}
    assert (there / 'config.yml').read_text().startswith('# mine\n')


def test_secrets_go_only_when_that_is_said(kvirt: Run, home: Path, there: Path) -> None:
    (home / 'config.yml').write_text((home / 'config.yml').read_text() + 'sea:\n  type: digitalocean\n  token: ?secret\n')
    secrets = home / 'secrets.yml'
    secrets.write_text('sea:\n  token: sesame-sesame\nlab:\n  other: thing\n')
    secrets.chmod(0o600)
    done = kvirt('sync', 'config', 'ada@host', 'sea')
    assert done.code == 0 and 'the secrets of client sea stayed here' in done.err
    assert not (there / 'secrets.yml').exists()
    assert kvirt('sync', 'config', '--secrets', 'ada@host', 'sea').code == 2, 'nobody can be asked here'
    done = kvirt('sync', 'config', '--secrets', '-y', 'ada@host', 'sea')
    assert done.code == 0 and 'sesame' not in done.out + done.err
    assert yaml.safe_load((there / 'secrets.yml').read_text()) == {'sea': {'token': 'sesame-sesame'}}
    assert stat.S_IMODE((there / 'secrets.yml').stat().st_mode) == 0o600


@pytest.mark.parametrize(('words', 'code', 'said'), [
    (('ada@host', 'lba'), 1, "did you mean 'lab'?"),
    (('-oProxyCommand=touch pwned', 'lab'), 2, 'is not one of'),
    (('--', '-oProxyCommand=touch pwned', 'lab'), 2, 'no host to reach by ssh'),
])
def test_what_can_not_be_sent(words: tuple[str, ...], code: int, said: str, kvirt: Run, there: Path) -> None:
    done = kvirt('sync', 'config', *words)
    assert done.code == code and said in done.err
    assert not there.exists() and not Path('pwned').exists()


@pytest.mark.parametrize('text', ['- a list\n', 'lab: [\n'])
def test_a_file_there_that_is_no_configuration_is_left_alone(text: str, kvirt: Run, there: Path) -> None:
    there.mkdir()
    (there / 'config.yml').write_text(text)
    assert kvirt('sync', 'config', '--force', 'ada@host').code in (1, 2)
    assert (there / 'config.yml').read_text() == text


def test_a_host_that_does_not_answer(kvirt: Run, there: Path, tmp_path: Path) -> None:
    (tmp_path / 'bin' / 'ssh').write_text('#!/bin/sh\necho "ssh: connect to host: No route" >&2\nexit 255\n')
    done = kvirt('sync', 'config', 'ada@host')
    assert done.code == 1 and 'No route' in done.errors[0]


def test_images_are_brought_to_another_client(kvirt: Run) -> None:
    assert kvirt('-C', 'two', 'delete', 'image', '-y', 'debian12').code == 0
    assert kvirt('download', 'image', '-u', 'https://host/own.qcow2').code == 0
    done = kvirt('sync', 'image', '-t', 'two', 'debian12', 'almalinux9')
    assert done.code == 0 and 'debian12 brought to two' in done.err and 'almalinux9 is already on two' in done.err
    assert kvirt('-C', 'two', 'list', 'image', '-P', 'short=debian12', '-s').out
    done = kvirt('sync', 'image', '-t', 'two', 'own.qcow2', 'nothing')
    assert done.code == 1 and 'not well-known' in done.errors[0] and "no image 'nothing'" in done.errors[1]
