"""What plans do in guests, over a real ssh server: waits, files that are brought, workflows, and a real Ansible."""

from __future__ import annotations

import os
import pwd
import shutil
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from kvirt.config import Kconfig
from kvirt.guest import ssh
from kvirt.guest.keys import HostKey
from kvirt.plan.engine import Plan
from kvirt.plan.events import Event, Progress

Opened = Callable[..., Plan]

SSHD = shutil.which('sshd', path=f"{os.environ.get('PATH', '')}:/usr/sbin")
PATH = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
ANSIBLE = shutil.which('ansible-playbook', path=PATH)
pytestmark = pytest.mark.skipif(not SSHD, reason='no ssh server is installed (openssh-server)')


@pytest.fixture(scope='module')
def target(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ssh.Target]:
    """How to log in to a server on the loopback, which lets one key in."""
    folder = tmp_path_factory.mktemp('sshd')
    host_key, own = HostKey.generate(), HostKey.generate()
    for name, key in (('host', host_key), ('id', own)):
        (folder / name).touch(mode=0o600)
        (folder / name).write_text(key.private)
    (folder / 'authorized').write_text(f'{own.public}\n')
    with socket.socket() as listener:
        listener.bind(('127.0.0.1', 0))
        port = listener.getsockname()[1]
    (folder / 'config').write_text(
        f'Port {port}\nListenAddress 127.0.0.1\nHostKey {folder}/host\nAuthorizedKeysFile {folder}/authorized\n'
        'PidFile none\nStrictModes no\nUsePAM no\nPasswordAuthentication no\nKbdInteractiveAuthentication no\n'
        'PermitRootLogin yes\nSubsystem sftp internal-sftp\n')
    if os.getuid() == 0:
        Path('/run/sshd').mkdir(exist_ok=True)  # where a server that root runs wants to be
    with (folder / 'log').open('w') as log, subprocess.Popen(
            [str(SSHD), '-D', '-e', '-f', folder / 'config'], stderr=log) as daemon:
        try:
            for _ in range(100):
                if 'listening' in (folder / 'log').read_text():
                    break
                threading.Event().wait(0.05)
            yield ssh.Target('127.0.0.1', pwd.getpwuid(os.getuid()).pw_name, 'vm-1.kvirt', port, host_key.fingerprint,
                             str(folder / 'id'))
        finally:
            daemon.terminate()


@pytest.fixture(autouse=True)
def reached(target: ssh.Target, config: Kconfig, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let every VM of the fake be that server. It has no cloud-init, which counts as done."""
    monkeypatch.setattr(type(config.k), 'pretends', False)
    monkeypatch.setattr(Kconfig, 'ssh_target', lambda self, name, **more: target)
    monkeypatch.setattr(ssh, 'wait_configured', lambda *args, **kwargs: None)


def plan_file(folder: Path, text: str, **files: str) -> Path:
    for name, content in files.items():
        (folder / name.replace('_', '.')).write_text(content)
    (folder / 'plan.yml').write_text(text)
    return folder / 'plan.yml'


class TestWaits:
    """``wait``, ``waitcommand``, ``finishfiles``."""

    def test_what_follows_begins_when_the_command_succeeds_and_the_files_are_here(
            self, opened: Opened, config: Kconfig, tmp_path: Path) -> None:
        guest = tmp_path / 'guest'
        guest.mkdir()
        (guest / 'join.txt').write_text('token 7\n')
        # Succeeds when it is run for the second time.
        again = f'test -e {guest}/asked || {{ touch {guest}/asked; false; }}'
        path = plan_file(tmp_path, f"""\
first:
  image: debian12
  waitcommand: '{again}'
  finishfiles: [{{origin: {guest}/join.txt, path: got/}}, {guest}/join.txt]
second: {{image: debian12}}
job: {{type: workflow, cmds: [cat {tmp_path}/join.txt]}}
""")
        (tmp_path / 'got').mkdir()
        seen: list[Event] = []
        summary = opened(path).create(seen.append)
        assert summary.ok, summary.failed
        assert [(tmp_path / name).read_text() for name in ('got/join.txt', 'join.txt')] == ['token 7\n'] * 2
        assert [event.what for event in seen if isinstance(event, Progress)][-1] == 'token 7'
        born = {row['name']: config.k.info(row['name'])['creationdate'] for row in config.k.list()}
        assert born['second'] >= born['first']

    @pytest.mark.parametrize(('keys', 'says'), [
        ("waitcommand: 'false', waittimeout: 1", 'within 1 second'),
        ('finishfiles: [/no/such/file]', 'has no /no/such/file')])
    def test_a_wait_that_fails_leaves_out_what_needs_it_and_the_vm_stays(self, keys: str, says: str, opened: Opened,
                                                                         config: Kconfig) -> None:
        summary = opened(f'first: {{image: debian12, {keys}}}\nsecond: {{image: debian12}}\n'
                         'free: {image: debian12, depends_on: []}').create()
        assert says in summary.failed['vm', 'first']['reason']
        assert summary.skipped == {('vm', 'second'): ('vm', 'first')}
        assert sorted(row['name'] for row in config.k.list()) == ['first', 'free']


class TestWorkflows:
    """Over ssh."""

    def test_one_runs_in_a_vm_of_the_plan(self, opened: Opened, tmp_path: Path) -> None:
        path = plan_file(tmp_path, 'parameters: {who: world}\na: {image: debian12}\n'
                         f'job: {{type: workflow, target: a, cmds: [cat data.txt], scripts: [do.sh], files: [data.txt],'
                         f' destdir: {tmp_path}/there}}\n', data_txt='hello {{ who }}\n',
                         do_sh='#!/bin/sh\npwd\nexit {{ 3 if who == "nobody" else 0 }}\n')
        seen: list[Event] = []
        summary = opened(path).create(seen.append)
        assert summary.ok, summary.failed
        assert [event.what for event in seen if isinstance(event, Progress)] == ['hello world', f'{tmp_path}/there']
        failed = opened(path, who='nobody').create().failed['workflow', 'job']
        assert 'ended with 3' in failed['reason']


@pytest.mark.skipif(not ANSIBLE, reason='Ansible is not installed (pip install ansible-core)')
class TestAnsible:
    """A real ansible-playbook."""

    PLAY = """\
- hosts: shop
  gather_facts: false
  tasks:
  - copy:
      content: "{{ colour }} {{ size }} {{ inventory_hostname }}"
      dest: "{{ folder }}/{{ inventory_hostname }}"
      mode: '0600'
"""

    @pytest.fixture(autouse=True)
    def python(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        monkeypatch.setenv('ANSIBLE_PYTHON_INTERPRETER', sys.executable)
        monkeypatch.setenv('PATH', PATH)
        monkeypatch.setenv('ANSIBLE_HOME', str(tmp_path / 'ansible'))
        monkeypatch.setenv('ANSIBLE_LOCALHOST_WARNING', 'false')

    def test_two_playbooks_run_on_the_vms_that_are_new(self, opened: Opened, tmp_path: Path, config: Kconfig) -> None:
        (tmp_path / 'out').mkdir()
        path = plan_file(tmp_path, f"""\
parameters: {{colour: red, folder: {tmp_path}/out}}
a: {{image: debian12}}
b: {{image: debian12}}
one: {{type: ansible, playbook: play.yml, variables: {{size: 3}}}}
two: {{type: ansible, playbook: play.yml, variables: {{size: 4}}, vms: [a], depends_on: one}}
""", play_yml=self.PLAY)
        seen: list[Event] = []
        summary = opened(path).create(seen.append)
        assert summary.ok, summary.failed
        assert {each.name: each.read_text() for each in (tmp_path / 'out').iterdir()} == {'a': 'red 4 a', 'b': 'red 3 b'}
        assert any('PLAY RECAP' in event.what for event in seen if isinstance(event, Progress))
        assert opened(path).create().changed() == []
        config.delete_vm('b').expect()
        assert opened(path).create().changed() == [('vm', 'b'), ('ansible', 'one')]

    def test_one_that_fails_is_told_with_what_it_said(self, opened: Opened, tmp_path: Path) -> None:
        path = plan_file(tmp_path, 'a: {image: debian12}\none: {type: ansible, playbook: play.yml}\n',
                         play_yml='- hosts: all\n  gather_facts: false\n  tasks:\n  - fail: {msg: it is broken}\n')
        assert 'it is broken' in opened(path).create().failed['ansible', 'one']['reason']
