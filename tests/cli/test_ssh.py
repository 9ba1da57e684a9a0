"""kvirt ssh and scp, up to the arguments that OpenSSH gets."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from .conftest import Run

Called = Callable[..., list[str]]


@pytest.fixture
def called(spawn: Run, kvirt: Run, tmp_path: Path) -> Called:
    """Run a command, with programs in the place of ssh and scp that write down their arguments; return those."""
    assert kvirt('create', 'vm', '-i', 'debian12', 'web').code == 0
    folder = tmp_path / 'bin'
    folder.mkdir()
    for name in ('ssh', 'scp'):
        program = folder / name
        program.write_text(f'#!/usr/bin/env python3\nimport json, sys\njson.dump([{name!r}, *sys.argv[1:]], sys.stdout)\n')
        program.chmod(0o755)

    def run(*words: str) -> list[str]:
        done = spawn(*words, env={'PATH': f"{folder}:{os.environ['PATH']}"})
        assert done.code == 0, done.err
        arguments: list[str] = json.loads(done.out)
        return arguments
    return run


def tail(arguments: list[str]) -> list[str]:
    """Return what follows the options that kvirt gives ssh itself."""
    rest = arguments[arguments.index('ConnectTimeout=10') + 1:]
    return [*rest[:rest.index('-p')], *rest[rest.index('-p') + 2:]]


def test_the_host_key_is_known_and_verified(called: Called, home: Path) -> None:
    arguments = called('ssh', 'web')
    assert arguments[0] == 'ssh'
    assert 'StrictHostKeyChecking=yes' in arguments
    assert f'UserKnownHostsFile="{home}/known_hosts"' in arguments
    alias = next(word for word in arguments if word.startswith('HostKeyAlias='))
    assert (home / 'known_hosts').read_text().startswith(alias.partition('=')[2])
    assert tail(arguments)[:3] == ['-l', 'debian', '--']


@pytest.mark.parametrize(('words', 'expected'), [
    (('web', 'uptime', '-p'), ['-l', 'debian', '--', 'IP', 'uptime', '-p']),
    (('web', '--', '-weird', '--'), ['-l', 'debian', '--', 'IP', '-weird', '--']),
    (('root@web',), ['-l', 'root', '--', 'IP']),
    (('-l', 'me', 'web', 'id'), ['-l', 'me', '--', 'IP', 'id']),
    (('web', '-u', 'me', 'id', '-u'), ['-l', 'me', '--', 'IP', 'id', '-u']),
    (('-t', 'web', 'top'), ['-t', '-l', 'debian', '--', 'IP', 'top']),
    (('web', '-t', 'top', '-d', '1'), ['-t', '-l', 'debian', '--', 'IP', 'top', '-d', '1']),
    (('-X', '-L', '8080:localhost:80', '-R', '1:b:2', '-D', '1080', 'web'),
     ['-X', '-D', '1080', '-L', '8080:localhost:80', '-R', '1:b:2', '-l', 'debian', '--', 'IP']),
    (('web', 'echo "a  b"; $HOME'), ['-l', 'debian', '--', 'IP', 'echo "a  b"; $HOME']),
    ((), ['-l', 'debian', '--', 'IP']),
], ids=lambda value: ' '.join(value))
def test_arguments(words: tuple[str, ...], expected: list[str], called: Called, kvirt: Run) -> None:
    ip = kvirt('info', 'vm', 'web', '-f', 'ip', '-v').out.strip()
    assert tail(called('ssh', *words)) == [ip if word == 'IP' else word for word in expected]


def test_port_key_and_no_verification(called: Called) -> None:
    arguments = called('ssh', '-p', '2222', '-i', '/k', '--insecure', 'web')
    assert arguments[arguments.index('-p') + 1] == '2222'
    assert arguments[arguments.index('-i') + 1] == '/k'
    assert 'StrictHostKeyChecking=no' in arguments


@pytest.mark.parametrize(('words', 'ends'), [
    (('x:y', 'web:/srv/z'), None), (('./x:y', 'web:/srv/z'), ['./x:y', 'debian@IP:/srv/z']),
    (('a', 'web:'), ['./a', 'debian@IP:']), (('root@web:/etc/hosts', '.'), ['root@IP:/etc/hosts', './.']),
    (('-u', 'me', 'web:b', '/tmp/c'), ['me@IP:b', '/tmp/c']), (('a', 'b'), None), (('web:a', 'web:b'), None),
], ids=lambda value: ' '.join(value) if value else 'refused')
def test_copies(words: tuple[str, ...], ends: list[str] | None, called: Called, kvirt: Run) -> None:
    if ends is None:
        done = kvirt('scp', *words)
        assert (done.code, len(done.errors)) == (2, 1)
        return
    ip = kvirt('info', 'vm', 'web', '-f', 'ip', '-v').out.strip()
    arguments = called('scp', *words)
    assert arguments[0] == 'scp'
    assert arguments[-2:] == [end.replace('IP', ip) for end in ends]
    assert '-r' not in arguments and '-r' in called('scp', '-r', *words)


def test_what_can_not_be_reached_is_told(web: Run) -> None:
    assert web('ssh', 'nope').errors == ['Error: VM nope does not exist on client lab']
    assert web('ssh', '--', '-oProxyCommand=touch pwned').code == 2
    assert web('ssh', '-l', '-oProxyCommand=x', 'web').code == 2
    assert web('stop', 'vm', 'web').code == 0
    assert web('ssh', 'web').errors == ['Error: VM web is stopped and has no address yet']
    assert not Path('pwned').exists()


def test_no_ssh_here(spawn: Run, kvirt: Run, tmp_path: Path) -> None:
    assert kvirt('create', 'vm', '-i', 'debian12', 'web').code == 0
    done = spawn('ssh', 'web', env={'PATH': str(tmp_path)})
    assert (done.code, done.errors) == (1, ['Error: ssh is not installed. On Debian: apt install openssh-client'])


def test_exit_codes_are_those_of_the_command(spawn: Run, kvirt: Run, tmp_path: Path) -> None:
    assert kvirt('create', 'vm', '-i', 'debian12', 'web').code == 0
    ssh = tmp_path / 'ssh'
    ssh.write_text('#!/bin/sh\nexit 42\n')
    ssh.chmod(0o755)
    env: dict[str, Any] = {'PATH': f"{tmp_path}:{os.environ['PATH']}"}
    assert spawn('ssh', 'web', 'false', env=env).code == 42
