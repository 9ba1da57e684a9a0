"""A provider that was only just begun passes everything that a provider must."""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import kvirt

pytestmark = pytest.mark.slow

ROOT = Path(kvirt.__file__).parents[1]
COPIED = ('kvirt', 'tests', 'extras', 'docs', 'pyproject.toml', 'setup.py', 'ARCHITECTURE.md')
SCRIPT = ROOT / 'extras' / 'new_provider.py'

Run = Callable[..., str]


def load() -> Any:
    """Return the script as a module."""
    spec = importlib.util.spec_from_file_location('new_provider', SCRIPT)
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


new_provider = load()


@pytest.fixture(scope='module')
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of all that makes kvirt, with a new provider begun in it."""
    root = tmp_path_factory.mktemp('tree')
    for name in COPIED:
        copy: Callable[..., Any] = shutil.copytree if (ROOT / name).is_dir() else shutil.copy2
        extra = {'ignore': shutil.ignore_patterns('__pycache__', 'e2e', 'golden')} if (ROOT / name).is_dir() else {}
        copy(ROOT / name, root / name, **extra)
    done = run_in(root, 'extras/new_provider.py', 'acme', '--title', 'Acme Compute')
    assert 'kvirt/providers/acme/create.py' in done.splitlines()
    return root


def run_in(root: Path, *command: str, code: int = 0) -> str:
    """Run Python with *command* in a tree, and return what it prints."""
    environment = {**os.environ, 'PYTHONPATH': str(root), 'MYPY_CACHE_DIR': str(root / '.mypy_cache')}
    done = subprocess.run([sys.executable, *command], cwd=root, env=environment, capture_output=True, text=True,
                          timeout=300)
    assert done.returncode == code, done.stdout + done.stderr
    return done.stdout + done.stderr


def test_its_tests_pass_and_skip_only_what_is_not_yet(tree: Path) -> None:
    where = run_in(tree, '-c', 'import kvirt.providers.acme as acme; print(acme.__file__)')
    assert Path(where.strip()).is_relative_to(tree)
    output = run_in(tree, '-m', 'pytest', '-rs', '-p', 'no:cacheprovider', 'tests/providers/acme',
                    '-k', 'not FaultSweep or lost')
    passed = re.search(r'(\d+) passed', output)
    assert passed and int(passed[1]) > 150, output
    unwritten = re.findall(r'Kacme does not support \S+: (.*)$', output, re.MULTILINE)
    assert unwritten
    assert {reason for reason in unwritten if reason != 'not yet'} == {'a VM of Acme Compute has the size of its flavor'}


def test_it_is_shaped_as_the_house_wants_it(tree: Path) -> None:
    run_in(tree, '-m', 'pytest', '-p', 'no:cacheprovider', 'tests/conformance/test_structure.py',
           'tests/unit/test_layers.py', 'tests/unit/providers/test_registry.py', '-k', 'acme or catalog')
    run_in(tree, '-m', 'ruff', 'check', 'kvirt/providers/acme', 'tests/providers/acme', 'kvirt/providers/catalog.py')
    run_in(tree, '-m', 'mypy', '-p', 'kvirt.providers.acme')


def test_it_stands_in_the_reference(tree: Path) -> None:
    run_in(tree, 'extras/docgen.py', '--check')
    assert '](providers/acme.md)' in (tree / 'docs' / 'index.md').read_text()
    page = (tree / 'docs' / 'providers' / 'acme.md').read_text()
    assert page.startswith('# acme: Acme Compute\n')
    assert '(secret; or `ACME_TOKEN` in the environment)' in page
    code = ''.join(path.read_text() for path in (tree / 'kvirt' / 'providers' / 'acme').glob('*.py'))
    assert 'mycloud' not in code.lower()


@pytest.mark.parametrize(('name', 'title', 'fault'), [
    ('acme', 'Acme', "there is a provider 'acme' already"), ('fake', 'Fake', "there is a provider 'fake' already"),
    ('libvirt', 'Libvirt', "there is a provider 'libvirt' already"), ('Acme2', 'Acme', "'Acme2' can not name a provider"),
    ('my-cloud', 'Acme', "'my-cloud' can not name a provider"), ('a' * 21, 'Acme', 'can not name a provider'),
    ('acme2', "Acme's", "can not be a title"), ('acme2', '', "can not be a title"),
])
def test_a_name_that_can_not_be_changes_nothing(tree: Path, name: str, title: str, fault: str) -> None:
    before = {path: path.read_bytes() for path in (tree / 'kvirt').rglob('*.py')}
    with pytest.raises(new_provider.Unusable, match=re.escape(fault)):
        new_provider.write(tree, name, title)
    assert before == {path: path.read_bytes() for path in (tree / 'kvirt').rglob('*.py')}


def test_a_name_that_can_not_be_is_told_in_a_line(tree: Path) -> None:
    assert run_in(tree, 'extras/new_provider.py', 'acme', code=2) == "there is a provider 'acme' already\n"


@pytest.mark.parametrize('name', ['aa', 'zz99'])
def test_wherever_its_name_sorts_it_is_tidy(tmp_path: Path, name: str) -> None:
    for file in ('kvirt/providers/catalog.py', 'docs/index.md', 'pyproject.toml'):
        (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / file, tmp_path / file)
    written = new_provider.write(tmp_path, name, 'Some Where')
    names = re.findall(r"^    Entry\('(\w+)'", (tmp_path / 'kvirt/providers/catalog.py').read_text(), re.MULTILINE)
    assert name in names
    assert names == sorted(names)
    links = re.findall(r'\[(\w+)\]\(providers/', (tmp_path / 'docs/index.md').read_text())
    assert links == sorted(links)
    run_in(tmp_path, '-m', 'ruff', 'check', *(str(path) for path in written if path.suffix == '.py'))
