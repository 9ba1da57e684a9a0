"""Progress of downloads and waits, on stderr: live on a terminal, plain lines elsewhere."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import click

from kvirt.cli.context import Session
from kvirt.cli.text import is_terminal, plain
from kvirt.names import counted

Tick = Callable[[str, float], None]
Bytes = Callable[[int, 'int | None'], None]

_REMIND = 30.0  # seconds between two lines about the same wait
_STEP = 10  # percent between two lines about a download
_MIB = 1024**2
_WIDE = 100  # columns from which there is room for a bar


def _live(session: Session) -> bool:
    return is_terminal('stderr') and not session.quiet


def _first() -> Any:
    """Return the column of what goes on: it has what room the others leave, and is cut rather than folded."""
    from rich.table import Column
    return Column(no_wrap=True, overflow='ellipsis', ratio=1)


@contextmanager
def waits(session: Session) -> Iterator[Callable[[str], Tick]]:
    """Give a function from a VM's name to what is told about the wait for it."""
    if not _live(session):
        yield lambda name: _lines(session, name)
        return
    from rich.console import Console
    from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
    from rich.table import Column
    with Progress(SpinnerColumn(table_column=Column(no_wrap=True, min_width=1)),
                  TextColumn('{task.description}', markup=False, table_column=_first()),
                  TimeElapsedColumn(table_column=Column(no_wrap=True, min_width=7)),
                  console=Console(stderr=True), transient=True, expand=True) as progress:
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
            _say(session, f'{name}: still waiting for {what} after {counted(round(seconds), "second")}')
    return tick


@contextmanager
def transfer(session: Session, what: str) -> Iterator[Bytes]:
    """Give a function that is told the bytes done and the bytes in all."""
    if not _live(session):
        yield _percents(session, what)
        return
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn, TransferSpeedColumn
    from rich.table import Column
    console = Console(stderr=True)
    wide = (BarColumn(), DownloadColumn(), TransferSpeedColumn(), TimeRemainingColumn())
    narrow = (DownloadColumn(table_column=Column(no_wrap=True, min_width=13)),)
    with Progress(TextColumn('{task.description}', markup=False, table_column=_first()),
                  *(wide if console.width >= _WIDE else narrow), console=console, transient=True, expand=True) as progress:
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
