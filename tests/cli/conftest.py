"""The command line on the fake provider, in a home of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from kvirt import redact
from kvirt.cli.main import main

ROOT = Path(__file__).parents[2]
KEY = 'ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAiG4Fz3qUtUuA1YBTm0oWbDQz0GOx0qRBFwD1Kbd0pN laptop'
CONFIG = """\
default:
  client: lab
lab:
  type: fake
  seed: lab
  state: {home}/lab.db
  now: '2026-01-02T03:04:05Z'
two:
  type: fake
  seed: two
  state: {home}/two.db
  now: '2026-01-02T03:04:05Z'
broken:
  type: fake
  state: {home}/broken.db
  faults: [transient=1]
  enabled: false
both:
  type: group
  members: [lab, two]
"""


@dataclass(frozen=True)
class Outcome:
    """What a command did."""

    code: int
    out: str
    err: str

    @property
    def errors(self) -> list[str]:
        return [line for line in self.err.splitlines() if line.startswith('Error: ')]


Run = Callable[..., Outcome]


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home with two clients of the fake, one that always fails, and a group; the current folder is another one."""
    folder = tmp_path / 'home'
    folder.mkdir()
    (folder / 'config.yml').write_text(CONFIG.format(home=folder))
    work = tmp_path / 'work'
    work.mkdir()
    monkeypatch.setenv('KVIRT_HOME', str(folder))
    monkeypatch.delenv('KVIRT_CLIENT', raising=False)
    monkeypatch.chdir(work)
    monkeypatch.setattr(redact, '_known', set())  # what other tests told to mask
    return folder


@pytest.fixture
def kvirt(home: Path, capsys: pytest.CaptureFixture[str]) -> Run:
    """Run a command in this process."""
    def run(*arguments: str) -> Outcome:
        capsys.readouterr()
        code = main(list(arguments))
        captured = capsys.readouterr()
        return Outcome(code, captured.out, captured.err)
    return run


@pytest.fixture
def spawn(home: Path) -> Run:
    """Run a command in a process of its own."""
    def run(*arguments: str, stdin: str = '', env: dict[str, str] | None = None) -> Outcome:
        done = subprocess.run(command(*arguments), input=stdin, capture_output=True, text=True, timeout=60,
                              env={**os.environ, 'PYTHONPATH': str(ROOT), **(env or {})})
        return Outcome(done.returncode, done.stdout, done.stderr)
    return run


def command(*arguments: str) -> list[str]:
    """Return the command as the shell would run it."""
    return [sys.executable, '-m', 'kvirt.cli.main', *arguments]


@pytest.fixture
def web(kvirt: Run) -> Run:
    """Run commands where VM web exists on client lab."""
    done = kvirt('create', 'vm', '-i', 'debian12', '-P', 'insecure=true', '-P', 'memory=1g', 'web')
    assert done.code == 0, done.err
    return kvirt


ENGINE = """\
import json, pathlib, sys
state = pathlib.Path({state!r})
known = json.loads(state.read_text()) if state.exists() else {{}}
words = sys.argv[1:]
def of(name):
    made = known[name]
    return {{'Name': name, 'State': {{'Status': made['status']}}, 'ImageName': made['image'],
             'Config': {{'Labels': {{'kvirt.plan': made['plan']}}, 'Cmd': made['cmd']}},
             'NetworkSettings': {{'Ports': {{'80/tcp': [{{'HostPort': '8080'}}]}}}}}}
if words[:2] == ['container', 'inspect']:
    print(json.dumps([of(name) for name in words[2:] if name in known]))
    sys.exit(any(name not in known for name in words[2:]))
elif words[0] == 'ps':
    print(*known, sep='\\n')
elif words[0] == 'images':
    print('localhost/busybox:1|0123456789ab|4.2 MB')
elif words[0] == 'run':
    if 'broken' in words:
        sys.exit('crun: no such file')
    image = words.index('-p') + 2 if '-p' in words else words.index('--label') + 2
    plan = words[5].partition('=')[2]
    known[words[3]] = {{'status': 'running', 'plan': plan, 'image': words[image], 'cmd': words[image + 1:]}}
elif words[0] == 'rm':
    known.pop(words[2], None)
elif words[0] in ('start', 'stop', 'restart'):
    known[words[1]]['status'] = 'exited' if words[0] == 'stop' or 'dies' in known[words[1]]['cmd'] else 'running'
elif words[0] == 'attach':
    sys.exit(7)
state.write_text(json.dumps(known))
"""


@pytest.fixture
def podman(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A container engine that only remembers; the real one is asked by the tests of e2e. Returns what it remembers."""
    folder = tmp_path / 'engine'
    folder.mkdir()
    program = folder / 'podman'
    program.write_text(f'#!{sys.executable}\n{ENGINE.format(state=str(folder / "state.json"))}')
    program.chmod(0o755)
    monkeypatch.setenv('PATH', f"{folder}{os.pathsep}{os.environ['PATH']}")
    return folder / 'state.json'
