"""Entries that run programs: workflows, playbooks, containers.

The programs here are stand-ins, which write down what they are told.
"""

from __future__ import annotations

import json
import os
import stat
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from kvirt.config import Kconfig
from kvirt.errors import InvalidInput
from kvirt.plan.engine import Plan
from kvirt.plan.events import Event, Progress

Opened = Callable[..., Plan]


def program(folder: Path, name: str, code: str) -> None:
    path = folder / name
    path.write_text(f'#!{sys.executable}\n{code}')
    path.chmod(path.stat().st_mode | stat.S_IXUSR)


@pytest.fixture
def programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / 'bin'
    folder.mkdir()
    monkeypatch.setenv('PATH', f'{folder}:/usr/bin:/bin')
    return folder


def written(tmp_path: Path, text: str, **files: str) -> Path:
    for name, content in files.items():
        (tmp_path / name.replace('_', '.')).write_text(content)
    (tmp_path / 'plan.yml').write_text(text)
    return tmp_path / 'plan.yml'


class TestWorkflows:
    """Commands and scripts."""

    def test_commands_and_scripts_run_in_order_with_their_files(self, opened: Opened, tmp_path: Path) -> None:
        path = written(tmp_path, 'parameters: {who: world}\n'
                       'job: {type: workflow, cmds: [cat data.txt, "echo second"], scripts: [do.sh], files: [data.txt]}\n',
                       data_txt='hello {{ who }}\n', do_sh='#!/bin/sh\necho third {{ plan }}\n')
        seen: list[Event] = []
        summary = opened(path).create(seen.append)
        assert summary.ok, summary.failed
        assert [event.what for event in seen if isinstance(event, Progress)] == ['hello world', 'second', 'third shop']

    def test_a_command_that_fails_ends_it_and_is_told(self, opened: Opened) -> None:
        summary = opened("job: {type: workflow, cmds: ['echo before', 'exit 3', 'echo after']}\n"
                         'later: {type: workflow, cmds: [true], depends_on: job}').create()
        reason = summary.failed['workflow', 'job']['reason']
        assert 'ended with 3: before' in reason
        assert 'after' not in reason
        assert summary.skipped == {('workflow', 'later'): ('workflow', 'job')}

    def test_it_ends_when_it_takes_too_long(self, opened: Opened) -> None:
        summary = opened("job: {type: workflow, cmds: ['sleep 60'], timeout: 0}").create()
        assert summary.failed['workflow', 'job']['error'] == 'TimedOut'

    def test_what_it_says_of_a_vm_makes_it_wait_for_that(self, opened: Opened) -> None:
        plan = opened('a: {image: debian12}\njob: {type: workflow, target: root@a, cmds: [true]}')
        assert plan.checked.needs['workflow', 'job'] == (('vm', 'a'),)

    def test_a_plan_from_elsewhere_runs_nothing_here(self, config: Kconfig) -> None:
        from kvirt.plan.locate import Source
        source = Source("job: {type: workflow, cmds: [true]}", 'http://x/plan.yml', Path('.'), trusted=False)
        with pytest.raises(InvalidInput, match='the plan comes from elsewhere'):
            Plan.of(source, 'shop', config)

    @pytest.mark.parametrize('keys', ['', ', cmds: [x], scripts: [nofile.sh]',
                                      ', cmds: ["{% raw %}{{ nothing }}{% endraw %}"]'])
    def test_one_that_can_not_be(self, opened: Opened, keys: str) -> None:
        with pytest.raises(InvalidInput, match='shop'):
            opened('job: {type: workflow' + keys + '}')

    def test_over_ssh_the_folder_is_sent_and_run_there(self, opened: Opened, programs: Path, tmp_path: Path) -> None:
        program(programs, 'ssh', 'import os, sys\n'
                f'open({str(tmp_path / "words")!r}, "w").write(repr(sys.argv[1:-1]))\n'
                'os.execvp("sh", ["sh", "-c", sys.argv[-1]])\n')
        path = written(tmp_path, 'job: {type: workflow, target: me@far.example, cmds: [cat data.txt], files: [data.txt]}\n'
                       f'kept: {{type: workflow, target: me@far.example, cmds: [pwd], destdir: {tmp_path / "dest"}}}\n',
                       data_txt='sent\n')
        seen: list[Event] = []
        summary = opened(path).create(seen.append, parallel=1)
        assert summary.ok, summary.failed
        assert [event.what for event in seen if isinstance(event, Progress)] == ['sent', str(tmp_path / 'dest')]
        assert (tmp_path / 'words').read_text() == "['-T', '-o', 'BatchMode=yes', '--', 'me@far.example']"

    @pytest.mark.parametrize('target', ['-oProxyCommand=x', 'a b', '$(x)', 'a;b'])
    def test_a_hostile_target_is_no_host(self, opened: Opened, target: str) -> None:
        summary = opened(f"job: {{type: workflow, target: '{target}', cmds: [true]}}").create()
        assert 'is no host' in summary.failed['workflow', 'job']['reason']


class TestPlaybooks:
    """Ansible, on the VMs that are new."""

    def test_two_entries_run_when_a_vm_is_new(self, opened: Opened, programs: Path, tmp_path: Path,
                                              monkeypatch: pytest.MonkeyPatch) -> None:
        program(programs, 'ansible-playbook', 'import shutil, sys\n'
                f'shutil.copy(sys.argv[2], {str(tmp_path / "inventory.yml")!r})\n'
                f'shutil.copy(sys.argv[4][1:], {str(tmp_path / "variables.yml")!r})\nprint("PLAY", sys.argv[-1])\n')
        # Nobody can log in to a pretended guest, so how to reach one is told here.
        monkeypatch.setattr(Kconfig, 'ansible_host', lambda self, name: {'ansible_host': f'{name}.lab'})
        path = written(tmp_path, 'parameters: {colour: red}\na: {image: debian12}\nb: {image: debian12}\n'
                       'one: {type: ansible, playbook: play.yml, variables: {size: 3}}\n'
                       'two: {type: ansible, playbook: play.yml, vms: [a]}\n', play_yml='[]')
        summary = opened(path).create(parallel=1)
        assert summary.ok, summary.failed
        assert {('ansible', 'one'), ('ansible', 'two')} <= set(summary.changed())
        inventory: Any = yaml.safe_load((tmp_path / 'inventory.yml').read_text())
        assert inventory['all']['hosts'] == {'a': {'ansible_host': 'a.lab'}}
        assert yaml.safe_load((tmp_path / 'variables.yml').read_text())['colour'] == 'red'
        assert opened(path).create().changed() == []

    def test_a_playbook_that_is_not_there(self, opened: Opened) -> None:
        with pytest.raises(InvalidInput, match='nofile.yml is no file'):
            opened('one: {type: ansible, playbook: nofile.yml}')

    def test_without_ansible_it_says_how_to_get_it(self, opened: Opened, programs: Path, tmp_path: Path) -> None:
        path = written(tmp_path, 'a: {image: debian12}\none: {type: ansible, playbook: play.yml}\n', play_yml='[]')
        assert 'pip install ansible-core' in opened(path).create().failed['ansible', 'one']['reason']


ENGINE = '''
import json, pathlib, sys
state = pathlib.Path({state!r})
known = json.loads(state.read_text()) if state.exists() else {{}}
words = sys.argv[1:]
if words[:2] == ['container', 'inspect']:
    found = known.get(words[2])
    print(json.dumps([found] if found else []))
    sys.exit(0 if found else 1)
if words[0] == 'run':
    name = words[words.index('--name') + 1]
    label = words[words.index('--label') + 1].partition('=')
    known[name] = {{'ImageName': 'registry.example/nginx:latest', 'words': words,
                   'Config': {{'Labels': {{label[0]: label[2]}}}}}}
elif words[:2] == ['rm', '-f']:
    known.pop(words[2])
state.write_text(json.dumps(known))
'''


class TestContainers:
    """Containers of the engine on the client's host."""

    PLAN = ('web: {type: container, image: nginx, ports: [80, "8443:443"], volumes: [/data, {origin: /a, path: /b}],'
            ' environment: [{A: 1}, B=2], nets: [default, lab], cmds: [run, "two words; x"]}\n')

    @pytest.fixture
    def state(self, programs: Path, tmp_path: Path) -> Path:
        program(programs, 'podman', ENGINE.format(state=str(tmp_path / 'state.json')))
        return tmp_path / 'state.json'

    def test_a_container_is_made_once_and_removed(self, opened: Opened, state: Path) -> None:
        assert opened(self.PLAN).create().changed() == [('container', 'web')]
        words = json.loads(state.read_text())['web']['words']
        assert words == [
            'run', '-d', '--name', 'web', '--label', 'kvirt.plan=shop', '--network', 'lab', '-v', '/data:/data',
            '-v', '/a:/b', '-e', 'A=1', '-e', 'B=2', '-p', '80:80', '-p', '8443:443', 'nginx', 'run', 'two words; x']
        assert opened(self.PLAN).create().changed() == []
        assert opened(self.PLAN).diff()['container', 'web'].action == 'nothing'
        assert opened(self.PLAN.replace('nginx', 'redis')).diff()['container', 'web'].action == 'replace'
        opened(self.PLAN).delete()
        assert json.loads(state.read_text()) == {}

    def test_one_of_another_plan_stays(self, opened: Opened, config: Kconfig, state: Path) -> None:
        config.open_plan('theirs', inputstring=self.PLAN).create()
        assert opened(self.PLAN).delete().changed() == []
        assert 'web' in json.loads(state.read_text())

    def test_what_the_engine_refuses_is_told(self, opened: Opened, programs: Path) -> None:
        program(programs, 'podman', 'import sys\nif sys.argv[1] == "run":\n    sys.exit("no such image")\n')
        assert 'no such image' in opened(self.PLAN).create().failed['container', 'web']['reason']

    def test_what_could_not_be_started_is_not_left_behind(self, opened: Opened, programs: Path, state: Path,
                                                          tmp_path: Path) -> None:
        engine = ENGINE.format(state=str(tmp_path / 'state.json'))
        program(programs, 'podman', f'{engine}\nif words[0] == "run":\n    sys.exit("crun: no such file")\n')
        assert 'crun: no such file' in opened(self.PLAN).create().failed['container', 'web']['reason']
        assert json.loads(state.read_text()) == {}
        program(programs, 'podman', engine)
        assert opened(self.PLAN).create().changed() == [('container', 'web')]

    def test_without_an_engine_it_says_how_to_get_one(self, opened: Opened, tmp_path: Path,
                                                      monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv('PATH', os.fspath(tmp_path))
        assert 'apt-get install podman' in opened(self.PLAN).create().failed['container', 'web']['reason']

    @pytest.mark.parametrize('entry', ['{type: container}', '{type: container, image: x, ports: [http]}',
                                       '{type: container, image: x, volumes: [{path: /a, where: /b}]}'])
    def test_one_that_can_not_be(self, opened: Opened, entry: str) -> None:
        with pytest.raises(InvalidInput, match='shop:1'):
            opened(f'web: {entry}')
