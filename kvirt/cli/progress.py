"""Progress of downloads and waits, on stderr: live on a terminal, plain lines elsewhere."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import click

from kvirt.cli.context import Session
from kvirt.cli.text import is_terminal, plain

Tick = Callable[[str, float], None]
Bytes = Callable[[int, 'int | None'], None]

_REMIND = 30.0  # seconds between two lines about the same wait
_STEP = 10  # percent between two lines about a download
_MIB = 1024**2


def _live(session: Session) -> bool:
    return is_terminal('stderr') and not session.quiet


@contextmanager
def waits(session: Session) -> Iterator[Callable[[str], Tick]]:
    """Give a function from a VM's name to what is told about the wait for it."""
    if not _live(session):
        yield lambda name: _lines(session, name)
        return
    from rich.console import Console
    from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
    with Progress(SpinnerColumn(), TextColumn('{task.description}', markup=False), TimeElapsedColumn(),
                  console=Console(stderr=True), transient=True) as progress:
        def tick_for(name: str) -> Tick:
            task = None

            def tick(what: str, seconds: float) -> None:
                nonlocal task
                text = f'{plain(name)}: waiting for {what}'
                if task is None:
                    task = progress.add_task(text, total=None)
                progress.update(task, description=text)
            return tick
        yield tick_for


def _lines(session: Session, name: str) -> Tick:
    said: dict[str, float] = {}

    def tick(what: str, seconds: float) -> None:
        if what not in said:
            said[what] = seconds
            _say(session, f'{name}: waiting for {what}')
        elif seconds - said[what] >= _REMIND:
            said[what] = seconds
            _say(session, f'{name}: still waiting for {what} after {seconds:.0f} seconds')
    return tick


@contextmanager
def transfer(session: Session, what: str) -> Iterator[Bytes]:
    """Give a function that is told the bytes done and the bytes in all."""
    if not _live(session):
        yield _percents(session, what)
        return
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn, TransferSpeedColumn
    with Progress(TextColumn('{task.description}', markup=False), BarColumn(), DownloadColumn(), TransferSpeedColumn(),
                  TimeRemainingColumn(), console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task(plain(what), total=None)
        yield lambda done, total: progress.update(task, completed=done, total=total)


def _percents(session: Session, what: str) -> Bytes:
    lock = threading.Lock()
    reached = -1

    def tell(done: int, total: int | None) -> None:
        nonlocal reached
        step = done * 100 // total // _STEP if total else done // (256 * _MIB)
        with lock:
            if step <= reached:
                return
            reached = step
        share = f'{done * 100 // total}% of {total // _MIB} MiB' if total else f'{done // _MIB} MiB'
        _say(session, f'{what}: {share}')
    return tell


def _say(session: Session, line: str) -> None:
    if not session.quiet:
        click.echo(plain(line), err=True)
