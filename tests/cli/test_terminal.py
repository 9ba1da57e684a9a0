"""Plans on a real terminal: a pseudo one, whose screen is read as a person would."""

from __future__ import annotations

import io
import os
import pty
import re
import select
import signal
import struct
import subprocess
import termios
import time
from collections.abc import Callable, Iterator
from fcntl import ioctl
from pathlib import Path

import pytest

from kvirt.cli.planview import Board
from kvirt.plan.events import Event, Failed, Finished, Progress, Skipped, Started, Waiting

from .conftest import ROOT, Run, command

PLAN = """\
net: {type: network, cidr: 10.77.0.0/24}
slow: {image: debian12, nets: [net], wait: true, insecure: true}
behind: {image: debian12, insecure: true, depends_on: slow}
a-workload-whose-name-is-a-long-one-as-names-of-workloads-are: {image: debian12, insecure: true, depends_on: behind}
"""
CODES = re.compile(r'\x1b\[[0-9;?]*[A-Za-z]|\x1b[=>]|\r')


class Terminal:
    """A process on a pseudo terminal of *columns* and *lines*."""

    def __init__(self, words: list[str], columns: int, lines: int) -> None:
        ours, theirs = pty.openpty()
        ioctl(theirs, termios.TIOCSWINSZ, struct.pack('HHHH', lines, columns, 0, 0))
        env = {key: value for key, value in os.environ.items() if key not in ('COLUMNS', 'LINES', 'NO_COLOR')}
        self.process = subprocess.Popen(words, stdin=theirs, stdout=theirs, stderr=theirs, start_new_session=True,
                                        preexec_fn=lambda: ioctl(0, termios.TIOCSCTTY, 0),
                                        env={**env, 'TERM': 'xterm-256color', 'PYTHONPATH': str(ROOT)})
        os.close(theirs)
        self._ours, self.raw = ours, ''

    @property
    def text(self) -> str:
        """All that was written, without what moves the cursor and colours."""
        return CODES.sub('', self.raw)

    def until(self, seen: Callable[[str], bool], seconds: float = 30) -> str:
        """Read until the text fulfils *seen*, and return it."""
        end = time.monotonic() + seconds
        while not seen(self.text):
            assert time.monotonic() < end, self.text
            assert self._read(1) or self.process.poll() is None, self.text
        return self.text

    def _read(self, seconds: float) -> bool:
        if not select.select([self._ours], [], [], seconds)[0]:
            return False
        try:
            self.raw += os.read(self._ours, 65536).decode(errors='replace')
        except OSError:  # the other end was closed
            return False
        return True

    def press(self, keys: bytes) -> None:
        os.write(self._ours, keys)

    def end(self) -> int:
        """Read what is left, and return the exit code."""
        while self._read(20):
            pass
        return self.process.wait(20)

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        os.close(self._ours)


@pytest.fixture
def on_terminal(home: Path) -> Iterator[Callable[..., Terminal]]:
    """Return a function that runs a command on a terminal of its own. VMs of lab take *boot* seconds to start."""
    opened: list[Terminal] = []
    Path('kvirt_plan.yml').write_text(PLAN)

    def run(*words: str, columns: int = 100, lines: int = 24, boot: int = 3) -> Terminal:
        config = home / 'config.yml'
        text = re.sub(r'\n  faults: \[slowboot=\d+\]', '', config.read_text())
        config.write_text(text.replace('type: fake', f'type: fake\n  faults: [slowboot={boot}]', 1).replace(
            "  now: '2026-01-02T03:04:05Z'\n", '', 1))
        opened.append(Terminal(command(*words), columns, lines))
        return opened[-1]
    yield run
    for each in opened:
        each.close()


class TestLive:
    """The table."""

    def test_it_shows_what_runs_what_waits_for_what_and_the_time(self, on_terminal: Callable[..., Terminal]) -> None:
        terminal = on_terminal('create', 'plan', 'shop')
        shown = terminal.until(
            lambda text: re.search(r'vm slow: waiting for its status, [1-9] s +0:0[1-9]', text) is not None)
        assert re.search(r'vm behind waits for vm slow', shown)
        assert 'network net created' in shown
        assert terminal.end() == 0
        assert 'vm a-workload-whose-name-is-a-long-one-as-names-of-workloads-are created' in terminal.text
        assert terminal.text.splitlines()[-1].strip() == 'Plan shop: 1 network, 3 VMs done'

    @pytest.mark.parametrize(('columns', 'lines'), [(40, 24), (20, 5), (100, 3)])
    def test_in_a_narrow_window_no_line_is_folded(self, columns: int, lines: int,
                                                  on_terminal: Callable[..., Terminal]) -> None:
        terminal = on_terminal('create', 'plan', 'shop', columns=columns, lines=lines, boot=2)
        terminal.until(lambda text: 'vm slow' in text)
        assert terminal.end() == 0
        drawn = [line for part in terminal.raw.split('\x1b[2K') for line in CODES.sub('', part).split('\n')]
        assert max(len(line.rstrip()) for line in drawn if re.search(r'\d:\d\d *$', line)) <= columns

    def test_ctrl_c_lets_what_runs_unwind_and_tells_what_there_is(self, on_terminal: Callable[..., Terminal],
                                                                  kvirt: Run) -> None:
        terminal = on_terminal('create', 'plan', 'shop', boot=600)
        terminal.until(lambda text: 'vm slow: waiting for its status' in text)
        begun = time.monotonic()
        terminal.press(b'\x03')
        assert terminal.end() == 130
        assert time.monotonic() - begun < 10
        told = ' '.join(terminal.text.split())
        assert 'network net created' in told
        assert 'Error: vm slow: cancelled. Left out because of it: vm behind, vm a-workload' in told
        assert 'Plan shop: 1 network done, 1 failed, 2 left out' in told
        assert 'Traceback' not in told
        assert '\x1b[?25h' in terminal.raw.rpartition('\x1b[?25l')[2], 'the cursor is back'
        assert kvirt('list', 'orphans', '-o', 'json').out == '[]\n'

    def test_a_question_is_asked_and_answered(self, on_terminal: Callable[..., Terminal], kvirt: Run) -> None:
        assert kvirt('create', 'plan', 'shop').code == 0
        terminal = on_terminal('delete', 'plan', 'shop')
        terminal.until(lambda text: 'Delete plan shop: 3 VMs, 1 network? [y/N]' in text)
        terminal.press(b'y\n')
        assert terminal.end() == 0
        assert 'Plan shop: 3 VMs, 1 network done' in terminal.text


@pytest.mark.parametrize('after', [0.0, 0.05, 0.1, 0.2, 0.4])
def test_ctrl_c_at_any_moment_tells_how_far_it_came(after: float, home: Path, kvirt: Run) -> None:
    text = 'parameters: {}\n' + ''.join(f'vm-{index}: {{image: debian12, insecure: true}}\n' for index in range(400))
    Path('kvirt_plan.yml').write_text(text)
    process = subprocess.Popen(command('create', 'plan', '--parallel', '2', 'shop'), stdout=subprocess.PIPE,
                               stderr=subprocess.PIPE, text=True, env={**os.environ, 'PYTHONPATH': str(ROOT)})
    assert process.stderr is not None
    assert 'created' in process.stderr.readline()
    time.sleep(after)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert (process.returncode, out) == (130, '')
    told = re.search(r'^Plan shop: (\d+) VMs? done, \d+ failed, \d+ left out$', err, re.MULTILINE)
    assert told, err[-2000:]
    assert len(kvirt('list', 'vm', '-o', 'name').out.split()) == int(told[1])
    assert kvirt('list', 'orphans', '-o', 'json').out == '[]\n'


def test_the_table_has_no_more_lines_than_the_window() -> None:
    from rich.console import Console
    board = Board()
    keys = [('vm', f'vm-{index}') for index in range(50)]
    events: list[Event] = [Waiting(key, 'create', 0.0, needs=(keys[0], keys[1])) for key in keys[2:]]
    events += [Started(key, 'create', 0.0) for key in keys[:2]]
    events += [Progress(keys[0], 'create', 0.0, what='copying\x1b[2J'), Finished(keys[1], 'create', 0.0)]
    for event in events:
        board.note(event)
    lines: list[str] = []
    for height in (3, 5, 10, 24, 80):
        console = Console(width=60, height=height, record=True, file=io.StringIO())
        console.print(board.table(height))
        lines = console.export_text().splitlines()
        assert len(lines) <= max(height, 3)
        assert 'vm vm-0: copying\\x1b[2J' in lines[0]
    assert 'vm vm-2 waits for vm vm-0' in lines[1]
    for event in (Failed(keys[0], 'create', 0.0), *(Skipped(key, 'create', 0.0) for key in keys[2:])):
        board.note(event)
    console = Console(width=60, record=True, file=io.StringIO())
    console.print(board.table(24))
    assert console.export_text().split() == ['0:00']
