"""What pip installs: the packages that are built of this tree, in an empty environment and without a compiler."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tarfile
import venv
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from kvirt.providers.catalog import CATALOG
from kvirt.version import __version__

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

ROOT = Path(__file__).parents[1]
Kvirt = Callable[..., 'subprocess.CompletedProcess[str]']


def run(*words: str | Path, **env: str) -> str:
    """Run a program and return what it prints."""
    done = subprocess.run(words, capture_output=True, text=True, timeout=500, env={**os.environ, **env})
    assert done.returncode == 0, (words, done.stdout, done.stderr)
    return done.stdout


@pytest.fixture(scope='module')
def dist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder with the source distribution and the wheel, the latter built of the former."""
    folder = tmp_path_factory.mktemp('dist')
    run(sys.executable, '-m', 'build', '--outdir', folder, copied(folder / 'tree'))
    return folder


def copied(place: Path) -> Path:
    """Copy what packages are built of, so that building leaves nothing in the tree."""
    shutil.copytree(ROOT / 'kvirt', place / 'kvirt', symlinks=True, ignore=shutil.ignore_patterns('__pycache__'))
    for name in ('setup.py', 'pyproject.toml', 'README.md', 'CHANGELOG.md'):
        shutil.copy(ROOT / name, place)
    return place


@pytest.fixture(scope='module')
def wheel(dist: Path) -> Path:
    (found,) = dist.glob('*.whl')
    return found


def contents(wheel: Path) -> dict[str, bytes]:
    """Return the files of a wheel, but for its list of them."""
    with zipfile.ZipFile(wheel) as archive:
        return {name: archive.read(name) for name in archive.namelist() if not name.endswith('/RECORD')}


def test_the_wheel_holds_all_of_kvirt_and_nothing_else(wheel: Path) -> None:
    assert wheel.name == f'kvirt-{__version__}-py3-none-any.whl', 'nothing is compiled'
    wanted = {str(path.relative_to(ROOT)): path.read_bytes() for path in (ROOT / 'kvirt').rglob('*')
              if path.is_file() and '__pycache__' not in path.parts}
    assert {'kvirt/py.typed', 'kvirt/data/images.yaml', 'kvirt/data/changelog.md', 'kvirt/guest/runner.sh'} < set(wanted)
    packed = contents(wheel)
    assert {name for name in packed if '.dist-info/' not in name} == set(wanted)
    assert all(packed[name] == text for name, text in wanted.items())


def test_the_source_distribution_and_the_tree_make_the_same_wheel(dist: Path, wheel: Path, tmp_path: Path) -> None:
    run(sys.executable, '-m', 'build', '--wheel', '--outdir', tmp_path, copied(tmp_path / 'tree'))
    (other,) = tmp_path.glob('*.whl')
    assert contents(other) == contents(wheel)
    with tarfile.open(dist / f'kvirt-{__version__}.tar.gz') as archive:
        assert not [member.name for member in archive if member.issym() or member.islnk()], 'each file is one'


def test_the_metadata_can_be_shown(dist: Path) -> None:
    told = run(sys.executable, '-m', 'twine', 'check', '--strict', *dist.glob('kvirt-*'))
    assert told.count('PASSED') == 2


@pytest.fixture(scope='module')
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Kvirt:
    """Return the command of an environment that holds the wheel, without extras, and what that needs."""
    folder, home = tmp_path_factory.mktemp('venv'), tmp_path_factory.mktemp('home')
    venv.create(folder, with_pip=True)
    path = str(folder / 'bin')
    assert not [name for name in ('cc', 'gcc', 'clang', 'pkg-config') if shutil.which(name, path=path)]
    run(folder / 'bin' / 'python', '-m', 'pip', 'install', '-q', '--disable-pip-version-check', wheel, PATH=path)

    def kvirt(*arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run([folder / 'bin' / 'kvirt', *arguments], capture_output=True, text=True, timeout=60, cwd=home,
                              env={'PATH': path, 'HOME': str(home)})
    return kvirt


def test_it_works_without_extras(installed: Kvirt) -> None:
    assert installed('--version').stdout == f'kvirt {__version__}\n'
    assert 'kvirt create vm -i debian12 web' in installed('--help').stdout
    assert __version__ in installed('changelog').stdout
    made = installed('-C', 'fake', 'create', 'vm', '-i', 'debian12', '-P', 'nokeys=true', 'web')
    assert (made.returncode, made.stderr) == (0, 'VM web created on fake\n')
    assert [row['name'] for row in json.loads(installed('-C', 'fake', 'list', 'vm', '-o', 'json').stdout)] == ['web']
    assert installed('-C', 'fake', 'delete', 'vm', '-y', 'web').returncode == 0


@pytest.mark.parametrize('name', [entry.name for entry in CATALOG if entry.requires])
def test_what_a_provider_lacks_is_told_with_the_command_that_brings_it(name: str, installed: Kvirt) -> None:
    done = installed('-C', 'qemu:///system' if name == 'kvm' else name, 'list', 'vm')
    assert (done.returncode, done.stdout) == (1, '')
    assert done.stderr.startswith('Error: ') and done.stderr.endswith(f"Run: pip install 'kvirt[{name}]'\n")
    assert len(done.stderr.splitlines()) == 1
