"""The reference pages are generated from the tables, and up to date."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from types import ModuleType

import pytest

from kvirt.base import operations
from kvirt.providers.catalog import CATALOG
from kvirt.spec import KEYWORDS

from .conftest import ROOT
from .test_grammar import EVERY

REFERENCE = ROOT / 'docs' / 'reference'


@pytest.fixture(scope='module')
def docgen() -> ModuleType:
    """The generator as a module."""
    spec = importlib.util.spec_from_file_location('docgen', ROOT / 'extras' / 'docgen.py')
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_reference_is_up_to_date() -> None:
    done = subprocess.run([sys.executable, str(ROOT / 'extras' / 'docgen.py'), '--check'], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, '')


def test_the_reference_leaves_nothing_out() -> None:
    commands, keywords, capabilities, options = (
        (REFERENCE / f'{name}.md').read_text() for name in ('commands', 'keywords', 'capabilities', 'options'))
    assert all(f"\n## kvirt {' '.join(words)}\n" in commands for words in EVERY)
    assert all(f'\n| `{keyword}` |' in keywords for keyword in KEYWORDS)
    assert all(f'\n| `{operation}` |' in capabilities for operation in operations())
    assert all(f'\n## {entry.name}\n' in options for entry in CATALOG)


def test_what_stands_in_angle_brackets_is_seen(docgen: ModuleType) -> None:
    assert docgen.row(['/root/<name>', '`<vm>_0` or <x|y>']) == '| /root/&lt;name> | `<vm>_0` or &lt;x\\|y> |'


def test_kcli_s_commands_are_all_accounted_for_and_ours_all_named(docgen: ModuleType) -> None:
    page = (REFERENCE / 'kcli.md').read_text()
    rows = docgen.beside_kcli()
    assert len(rows) == len({name for name, _, _ in rows}) == 203
    assert {standing for _, standing, _ in rows} == {'present', 'replaced', 'later'}
    missing = [words for words in EVERY if f"| `kvirt {' '.join(words)}` |" not in page]
    assert missing == []


def test_a_command_of_kcli_that_nothing_is_said_of_is_told(docgen: ModuleType,
                                                                 monkeypatch: pytest.MonkeyPatch) -> None:
    found = docgen.ours_for
    monkeypatch.setattr(docgen, 'ours_for', lambda name: None if name == 'clone' else found(name))
    with pytest.raises(SystemExit, match="'clone' is neither here nor said to come later"):
        docgen.beside_kcli()
