"""Containers of a plan, run by the real podman of this machine, of an image that is made here: nothing is fetched."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from kvirt.cli.main import main
from kvirt.config import Kconfig
from kvirt.plan.engine import Plan

from .podman import Podman, engine

pytestmark = pytest.mark.e2e

IMAGE = 'localhost/kvirt-busybox:1'
PLAN = """\
{name}:
  type: container
  image: {image}
  environment: [COLOUR=red]
  volumes: ['{folder}:/data']
  cmds: [/busybox, sh, -c, 'echo $COLOUR > /data/colour; exec /busybox sleep 600']
"""

@pytest.fixture
def podman(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Podman]:
    """Return a function that asks podman, which has an image."""
    run = engine(tmp_path, monkeypatch)
    run('import', str(packed(tmp_path)), IMAGE)
    yield run
    run('rm', '-af', '-t', '0')


def packed(folder: Path) -> Path:
    """Return an archive with busybox and the libraries that it needs, at the root of a file system."""
    busybox, root = str(shutil.which('busybox')), folder / 'root'
    needs = subprocess.run(['ldd', busybox], capture_output=True, text=True).stdout.split()
    for library in [word for word in needs if word.startswith('/')]:
        place = root / library.lstrip('/')
        place.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(library, place)
    root.mkdir(exist_ok=True)
    shutil.copy(busybox, root / 'busybox')
    return Path(shutil.make_archive(str(folder / 'image'), 'tar', root))


def test_the_life_of_a_container(podman: Podman, config: Kconfig, prefix: str, tmp_path: Path) -> None:
    shared, name = tmp_path / 'shared', f'{prefix}-job'
    shared.mkdir()

    def opened(image: str = IMAGE) -> Plan:
        text = PLAN.format(name=name, image=image, folder=shared)
        return config.open_plan(f'{prefix}-plan', inputstring=text)

    assert [change.action for change in opened().diff().values()] == ['create']
    made = opened().create()
    assert made.ok, made.failed
    podman('exec', name, '/busybox', 'test', '-s', '/data/colour')
    assert (shared / 'colour').read_text() == 'red\n'
    assert [change.action for change in opened().diff().values()] == ['nothing']
    assert opened().create().changed() == []
    podman('tag', IMAGE, 'localhost/kvirt-other:1')
    assert [change.action for change in opened('localhost/kvirt-other:1').diff().values()] == ['replace']
    gone = opened().delete()
    assert gone.ok, gone.failed
    assert podman('ps', '-aq') == ''


def test_one_that_can_not_start_leaves_nothing_and_says_why(podman: Podman, config: Kconfig, prefix: str) -> None:
    text = f'{prefix}-bad: {{type: container, image: {IMAGE}, cmds: [/nowhere]}}'
    made = config.open_plan(f'{prefix}-plan', inputstring=text).create()
    assert '/nowhere' in made.failed['container', f'{prefix}-bad']['reason']
    assert podman('ps', '-aq') == ''


def test_a_container_of_somebody_else_outlives_the_plan(podman: Podman, config: Kconfig, prefix: str) -> None:
    name = f'{prefix}-theirs'
    podman('run', '-d', '--name', name, IMAGE, '/busybox', 'sleep', '600')
    text = f'{name}: {{type: container, image: {IMAGE}}}'
    assert config.open_plan(f'{prefix}-plan', inputstring=text).create().changed() == []
    assert config.open_plan(f'{prefix}-plan', inputstring=text).delete().ok
    assert podman('ps', '--format', '{{.Names}}') == name


def test_what_the_command_line_does_to_them(podman: Podman, home: Path, prefix: str, monkeypatch: pytest.MonkeyPatch,
                                            capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv('KVIRT_HOME', str(home))
    name = f'{prefix}-cli'

    def kvirt(*words: str) -> str:
        capsys.readouterr()
        code, said = main(list(words)), capsys.readouterr()
        assert code == 0, said.err
        return said.out
    kvirt('create', 'container', '-i', IMAGE, '-P', 'cmds=[/busybox, sleep, 600]', name)
    rows = json.loads(kvirt('list', 'container', '-o', 'json'))
    assert [(row['name'], row['status'], row['image'], row['plan'], row['command']) for row in rows] == [
        (name, 'running', IMAGE, 'kvirt', '/busybox sleep 600')]
    assert IMAGE in kvirt('list', 'container-image', '-o', 'name').split()
    podman('stop', '-t', '0', name)  # sleep heeds no signal when it is the first process
    assert kvirt('list', 'container', '-P', 'status=exited', '--short') == f'{name}\n'
    kvirt('start', 'container', name)
    assert kvirt('list', 'container', '-P', 'status=running', '--short') == f'{name}\n'
    kvirt('delete', 'container', '-y', name)
    assert podman('ps', '-aq') == ''
