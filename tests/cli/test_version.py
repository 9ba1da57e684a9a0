from __future__ import annotations

import json

import pytest

from kvirt.cli import version
from kvirt.version import __version__

from .conftest import ROOT, Run

TWO = [{'version': '0.2.0', 'date': '2026-03-01', 'changes': ['New things.']},
       {'version': '0.1.0', 'date': '', 'changes': ['The first.']}]


def test_the_latest_version_is_ours_and_its_changes_are_those_of_the_file(kvirt: Run) -> None:
    latest = json.loads(kvirt('changelog', '-o', 'json').out)[0]
    assert latest['version'] == __version__
    text = (ROOT / 'CHANGELOG.md').read_text()
    assert len(latest['changes']) == text.partition('\n## ')[2].partition('\n## ')[0].count('\n* ')
    assert ' '.join(latest['changes'][-1].split()) in ' '.join(text.split())


@pytest.mark.parametrize(('words', 'said'), [((), ['0.2.0 2026-03-01', '* New things.']),
                                             (('0.1.0',), ['0.2.0 2026-03-01', '* New things.']), (('0.2.0',), [])])
def test_what_is_new(words: tuple[str, ...], said: list[str], kvirt: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(version, '_versions', lambda: TWO)
    done = kvirt('changelog', *words)
    assert (done.code, done.out.splitlines()) == (0, said)
    assert kvirt('changelog', '-o', 'name').out == '0.2.0\n'


def test_a_version_that_never_was(kvirt: Run) -> None:
    done = kvirt('changelog', '9.9')
    assert done.code == 1 and __version__ in done.errors[0]
