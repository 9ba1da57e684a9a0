"""kvirt ssh and scp, up to the arguments that OpenSSH gets."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from kvirt.cli import console
from kvirt.cli.context import Session
from kvirt.errors import KvirtError
from kvirt.reach import Reach

from .conftest import ROOT, Outcome, Run
from .reachable import Kreachable

Called = Callable[..., list[str]]


@pytest.fixture
def reach(home: Path) -> Run:
    """Run commands where VM web is one that kvirt would reach by ssh."""
    config = home / 'config.yml'
    config.write_text(config.read_text().replace('type: fake', 'type: reachable', 1))

    def run(*words: str, path: str = '') -> Outcome:
        env = {**os.environ, 'PYTHONPATH': str(ROOT), 'PATH': path or os.environ['PATH']}
        done = subprocess.run([sys.executable, '-m', 'tests.cli.reachable', *words], capture_output=True, text=True,
                              timeout=60, env=env)
        return Outcome(done.returncode, done.stdout, done.stderr)
    made = run('create', 'vm', '-i', 'debian12', 'web')
    assert made.code == 0, made.err
    return run


@pytest.fixture
def called(reach: Run, tmp_path: Path) -> Called:
    """Run a command, with programs in the place of ssh and scp that write down their arguments; return those."""
    folder = tmp_path / 'bin'
    folder.mkdir()
    for name in ('ssh', 'scp'):
        program = folder / name
        program.write_text(f'#!{sys.executable}\nimport json, sys\njson.dump([{name!r}, *sys.argv[1:]], sys.stdout)\n')
        program.chmod(0o755)

    def run(*words: str) -> list[str]:
        done = reach(*words, path=f"{folder}:{os.environ['PATH']}")
        assert done.code == 0, done.err
        arguments: list[str] = json.loads(done.out)
        return arguments
    return run


@pytest.fixture
def ip(reach: Run) -> str:
    return reach('info', 'vm', 'web', '-f', 'ip', '-v').out.strip()


def tail(arguments: list[str]) -> list[str]:
    """Return what follows the options that kvirt gives ssh itself."""
    rest, own = [], iter(arguments[1:])
    for word in own:
        if word in ('-o', '-p') and '--' not in rest:
            next(own)
        else:
            rest.append(word)
    return rest


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
def test_arguments(words: tuple[str, ...], expected: list[str], called: Called, ip: str) -> None:
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
def test_copies(words: tuple[str, ...], ends: list[str] | None, called: Called, reach: Run, ip: str) -> None:
    if ends is None:
        done = reach('scp', *words)
        assert (done.code, len(done.errors)) == (2, 1)
        return
    arguments = called('scp', *words)
    assert arguments[0] == 'scp'
    assert arguments[-2:] == [end.replace('IP', ip) for end in ends]
    assert '-r' not in arguments and '-r' in called('scp', '-r', *words)


def test_what_can_not_be_reached_is_told(reach: Run) -> None:
    assert reach('ssh', 'nope').errors == ['Error: VM nope does not exist on client lab']
    assert reach('ssh', '--', '-oProxyCommand=touch pwned').code == 2
    assert reach('ssh', '-l', '-oProxyCommand=x', 'web').code == 2
    assert reach('stop', 'vm', 'web').code == 0
    assert reach('ssh', 'web').errors == ['Error: VM web is stopped and has no address yet']
    assert not Path('pwned').exists()


def test_a_vm_on_paper_is_not_reached(web: Run, spawn: Run) -> None:
    assert spawn('ssh', 'web').errors == ['Error: VM web only exists on paper, so there is nothing to reach by ssh']


def test_no_ssh_here(reach: Run, tmp_path: Path) -> None:
    done = reach('ssh', 'web', path=str(tmp_path))
    assert (done.code, done.errors) == (1, ['Error: ssh is not installed. On Debian: apt install openssh-client'])


def test_exit_codes_are_those_of_the_command(reach: Run, tmp_path: Path) -> None:
    ssh = tmp_path / 'ssh'
    ssh.write_text('#!/bin/sh\nexit 42\n')
    ssh.chmod(0o755)
    assert reach('ssh', 'web', 'false', path=f"{tmp_path}:{os.environ['PATH']}").code == 42


@pytest.mark.parametrize('words', [('ssh', '-J', 'ada@gate:2222', 'web', 'uptime'),
                                   ('scp', '-J', 'ada@gate:2222', 'x', 'web:')])
def test_a_host_to_jump_over(called: Called, words: tuple[str, ...]) -> None:
    arguments = called(*words, '--insecure')
    assert arguments[arguments.index('-J') + 1] == 'ada@gate:2222'


def test_what_is_no_host_to_jump_over(reach: Run) -> None:
    done = reach('ssh', '--insecure', '-J', '-oProxyCommand=x', 'web')
    assert done.code == 2 and 'no host to jump over' in done.err


@pytest.fixture
def shown(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """The file where a stand-in for a viewer notes what it is told, and that there was a way to the display."""
    for name, text in (('ssh', STAND_IN), ('viewer', VIEWER)):
        (tmp_path / name).write_text(f'#!{sys.executable}\n{text}')
        (tmp_path / name).chmod(0o755)
    monkeypatch.setenv('PATH', f"{tmp_path}:{os.environ['PATH']}")
    monkeypatch.setattr('kvirt.cli.console._viewer', lambda: str(tmp_path / 'viewer'))
    return tmp_path / 'shown'


STAND_IN = """\
import pathlib, socket, sys
local = sys.argv[sys.argv.index('-L') + 1].split(':')
if local[3] == '1':
    sys.exit('no way')
with socket.create_server((local[0], int(local[1]))) as listener:
    while True:
        listener.accept()[0].close()
"""
VIEWER = """\
import pathlib, socket, sys
told = sys.stdin.read()
socket.create_connection(('127.0.0.1', int(told.partition('port=')[2].split()[0]))).close()
pathlib.Path(sys.argv[0]).with_name('shown').write_text(told)
"""


class Way(Reach):
    """A client with a host of its own."""

    k = Kreachable  # type: ignore[assignment] # all that is asked of it is its host


@pytest.mark.parametrize('port', [5901, 1])
def test_a_viewer_has_a_way_to_the_display_for_as_long_as_it_runs(port: int, shown: Path) -> None:
    known = {'protocol': 'vnc', 'host': '127.0.0.1', 'port': port, 'password': 'p', 'tunnel': 'gate.invalid'}
    if port == 1:
        with pytest.raises(KvirtError, match='no way to the display'):
            console._tunnelled(Session(), Way(), known)  # type: ignore[arg-type]
        return
    assert console._tunnelled(Session(), Way(), known) == 0  # type: ignore[arg-type]
    told = shown.read_text().split()
    assert told[:3] == ['[virt-viewer]', 'type=vnc', 'host=127.0.0.1'] and told[4] == 'password=p'
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(('127.0.0.1', int(told[3].partition('=')[2])))


def test_a_display_that_only_its_host_can_reach(reach: Run) -> None:
    with contextlib.ExitStack() as taken:  # the port of the display, by us or by somebody else
        with contextlib.suppress(OSError):
            taken.enter_context(socket.create_server(('127.0.0.1', 5901)))
        done = reach('console', 'web')
        known = json.loads(reach('console', 'web', '-o', 'json').out)
    port = done.out.strip().rpartition(':')[2]
    assert done.out == f'vnc://127.0.0.1:{port}\n' and port != '5901'
    forward = f'127.0.0.1:{port}:console.fake.invalid:5901'
    assert done.err.startswith('It answers while this runs: ssh ') and f'-L {forward} -l root -- gate.invalid' in done.err
    assert known['tunnel_command'][-3:] == ['root', '--', 'gate.invalid'] and known['port'] == 5901
    assert known['tunnel_url'].startswith('vnc://127.0.0.1:')
