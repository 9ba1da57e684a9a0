"""Ctrl-C and SIGTERM: what runs unwinds, and the exit code tells."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from pathlib import Path

import pytest

from kvirt.errors import Cancelled
from kvirt.wait import CANCEL

from .conftest import ROOT, Run, command


@pytest.mark.parametrize('count', [(), ('-c', '2')], ids=['one', 'several'])
@pytest.mark.parametrize('number', [signal.SIGINT, signal.SIGTERM], ids=['Ctrl-C', 'SIGTERM'])
def test_a_wait_ends_at_once(number: int, count: tuple[str, ...], home: Path) -> None:
    config = home / 'config.yml'
    config.write_text(config.read_text().replace('type: fake', 'type: fake\n  faults: [slowboot=600]', 1))
    process = subprocess.Popen(command('create', 'vm', '-i', 'debian12', '--wait', *count, 'web'), text=True,
                               stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                               env={**os.environ, 'PYTHONPATH': str(ROOT)})
    assert process.stderr is not None
    made = ['web-0', 'web-1'] if count else ['web']
    waiting = set(made)
    while waiting:
        line = process.stderr.readline()
        assert line, 'it ended before it waited'
        waiting -= {name for name in waiting if line.startswith(f'{name}: waiting for')}
    begun = time.monotonic()
    process.send_signal(number)
    out, err = process.communicate(timeout=30)
    assert (process.returncode, out) == (130, '')
    assert err.splitlines()[-2:] == [f"{', '.join(f'VM {name}' for name in made)} made before that on lab", 'Cancelled']
    assert set((home / 'vm').read_text().split()) == {'lab', *made}
    assert 'Traceback' not in err
    assert time.monotonic() - begun < 10


def test_a_create_that_is_interrupted_leaves_nothing(home: Path, kvirt: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    from kvirt.providers.fake import faults
    strike = faults.Faults.at_step

    def interrupt(self: faults.Faults, step: str) -> None:
        if step == 'nics':
            os.kill(os.getpid(), signal.SIGINT)
        strike(self, step)

    monkeypatch.setattr(faults.Faults, 'at_step', interrupt)
    done = kvirt('create', 'vm', '-i', 'debian12', 'web')
    assert (done.code, done.err) == (130, 'Cancelled\n')
    monkeypatch.undo()
    monkeypatch.setenv('KVIRT_HOME', str(home))
    for noun in ('vm', 'disk', 'orphans'):
        assert kvirt('list', noun, '-o', 'json').out == '[]\n'


def test_of_several_that_are_interrupted_none_is_half_made(home: Path, kvirt: Run,
                                                           monkeypatch: pytest.MonkeyPatch) -> None:
    from kvirt.providers.fake import faults
    strike, seen = faults.Faults.at_step, []

    def interrupt(self: faults.Faults, step: str) -> None:
        seen.append(step)
        if seen.count('nics') == 3 and step == 'nics':
            os.kill(os.getpid(), signal.SIGINT)
            with pytest.raises(Cancelled):
                CANCEL.sleep(10)
        strike(self, step)

    monkeypatch.setattr(faults.Faults, 'at_step', interrupt)
    done = kvirt('create', 'vm', '-i', 'debian12', '-c', '20', 'web')
    assert (done.code, done.err.splitlines()[-1]) == (130, 'Cancelled')
    monkeypatch.undo()
    monkeypatch.setenv('KVIRT_HOME', str(home))
    made = kvirt('list', 'vm', '-o', 'name').out.split()
    assert len(made) < 20
    assert not made or f"{', '.join(f'VM {name}' for name in made)} made before that on lab" in done.err
    assert kvirt('list', 'orphans', '-o', 'json').out == '[]\n'
    assert kvirt('list', 'disk', '-o', 'name').out.split() == [f'{name}_0.img' for name in made]


def test_the_next_command_in_this_process_is_not_cancelled(kvirt: Run) -> None:
    before = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)
    CANCEL.set()
    assert kvirt('list', 'vm').code == 0
    CANCEL.check()
    assert (signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)) == before
