from __future__ import annotations

import shutil
import subprocess
import time
from pathlib import Path

import pytest

from kvirt.errors import Unavailable
from kvirt.providers.fake import Kfake

from .conftest import ROOT, Run


@pytest.fixture
def complete(spawn: Run) -> object:
    """Return what bash would offer."""
    def offered(line: str) -> list[str]:
        words = line.split(' ')
        done = spawn(env={'_KVIRT_COMPLETE': 'bash_complete', 'COMP_WORDS': line, 'COMP_CWORD': str(len(words) - 1)})
        assert done.err == ''
        return [row.partition(',')[2] for row in done.out.splitlines() if row]
    return offered


@pytest.mark.parametrize('shell', ['bash', 'zsh', 'fish'])
def test_scripts_are_valid(shell: str, kvirt: Run) -> None:
    done = kvirt('completion', shell)
    assert done.code == 0
    assert f'_KVIRT_COMPLETE={shell}_complete' in done.out
    if shutil.which(shell):
        assert subprocess.run([shell, '-n'], input=done.out, text=True, capture_output=True).stderr == ''


def test_words(complete, web: Run, home: Path) -> None:  # type: ignore[no-untyped-def]
    (home / 'profiles.yml').write_text('small:\n  image: debian12\n')
    assert complete('kvirt st') == ['start', 'stop']
    assert complete('kvirt list vm') == ['vm']
    assert complete('kvirt start vm ') == ['web']
    assert complete('kvirt -C two start vm ') == []
    assert complete('kvirt -C ') == ['all', 'both', 'broken', 'fake', 'lab', 'two']
    assert complete('kvirt create vm -p ') == ['small']
    assert 'debian12' in complete('kvirt create vm -i deb')
    assert complete('kvirt scp web') == ['web:']
    assert complete('kvirt info keyword memory') == ['memory', 'memoryhotplug']
    assert complete('kvirt list vm -o js') == ['json', 'jsoncompact']
    assert complete('kvirt create client k') == ['kvm']
    assert complete('kvirt create client fake --loc') == ['--location']


def test_failures_offer_nothing_and_say_nothing(complete, home: Path) -> None:  # type: ignore[no-untyped-def]
    assert complete('kvirt -C broken start vm ') == []
    assert complete('kvirt -C nope start vm ') == []
    (home / 'config.yml').write_text(': : :\n')
    assert complete('kvirt start vm ') == []
    assert complete('kvirt -C ') == []


def test_a_backend_that_hangs_does_not_hold_the_shell(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = ('import sys, threading; from kvirt.providers.fake import Kfake; '
               'Kfake._list = lambda self: threading.Event().wait(); '
               'from kvirt.cli.main import main; sys.exit(main())')
    import os
    import sys
    begun = time.monotonic()
    done = subprocess.run([sys.executable, '-c', program], capture_output=True, text=True, timeout=30, cwd=ROOT, env={
        **os.environ, '_KVIRT_COMPLETE': 'bash_complete', 'COMP_WORDS': 'kvirt start vm ', 'COMP_CWORD': '3'})
    assert (done.stdout.strip(), done.stderr) == ('', '')
    assert time.monotonic() - begun < 8


def test_the_fault_is_not_in_the_test(kvirt: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(self: Kfake) -> object:
        raise Unavailable('down')

    monkeypatch.setattr(Kfake, '_list', fail)
    assert kvirt('list', 'vm').code == 1
