"""The reference pages are generated from the tables, and up to date."""

from __future__ import annotations

import subprocess
import sys

from kvirt.base import operations
from kvirt.providers.catalog import CATALOG
from kvirt.spec import KEYWORDS

from .conftest import ROOT
from .test_grammar import EVERY

REFERENCE = ROOT / 'docs' / 'reference'


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
