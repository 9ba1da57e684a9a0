"""What is seen of a plan while it is carried out: a live table on a terminal, lines elsewhere, events for programs."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import click

from kvirt.cli import output
from kvirt.cli.context import Session
from kvirt.cli.text import is_terminal, plain
from kvirt.plan.events import Event, Failed, Finished, Key, Progress, Started, Waiting, as_json
from kvirt.redact import redact, redact_mapping
from kvirt.wait import SYSTEM

Sink = Callable[[Event], None]

_VERBS = {'create': 'created', 'update': 'changed', 'replace': 'replaced', 'delete': 'deleted', 'start': 'started',
          'stop': 'stopped', 'restart': 'restarted', 'snapshot': 'done', 'revert': 'reverted', 'run': 'done'}


@contextmanager
def view(session: Session, plan: str) -> Iterator[Sink]:
    """Give what is told the events of a plan."""
    if session.output in ('json', 'jsoncompact'):
        yield _as_lines_of_json
    elif session.quiet or session.output != 'table':
        yield lambda event: None
    elif is_terminal('stderr'):
        with _live() as sink:
            yield sink
    else:
        yield _as_lines


def _as_lines_of_json(event: Event) -> None:
    click.echo(_json(as_json(event)))


def conclude(session: Session, outcome: Mapping[str, Any]) -> None:
    """Print for programs how it went: the last line of the events, or all that there is where they are not shown."""
    if session.output in ('json', 'jsoncompact'):
        click.echo(_json({'event': 'summary', **outcome}))
    else:
        output.results(session, [outcome], several=False)


def _json(told: Mapping[str, Any]) -> str:
    return redact(json.dumps(redact_mapping(told), separators=(',', ':'), default=str))


def _as_lines(event: Event) -> None:
    line = _line(event)
    if line:
        click.echo(redact(plain(line)), err=True)


def _line(event: Event) -> str:
    kind, name = event.key
    what = f'{event.seconds:7.1f}s  {kind} {name}'
    if isinstance(event, Progress):
        return f'{what}: {event.what}'
    if isinstance(event, Finished):
        done = _VERBS[event.verb] if event.changed else 'unchanged'
        return f"{what} {done}{': ' if event.details else ''}{event.details}"
    if isinstance(event, Failed):
        return f'{what} failed: {event.reason}'
    return ''  # what is left out is told at the end, with its cause


@contextmanager
def _live() -> Iterator[Sink]:
    """Show a table of what runs and of what waits for what, with the time; what is done is told above it."""
    from rich.console import Console
    from rich.live import Live
    from rich.text import Text
    console = Console(stderr=True)
    board = Board()
    with Live(console=console, transient=True, refresh_per_second=8,
              get_renderable=lambda: board.table(console.height)) as live:
        def sink(event: Event) -> None:
            board.note(event)
            line = redact(plain(_line(event)))
            if line and not isinstance(event, Progress):
                live.console.print(Text(line, style='red' if isinstance(event, Failed) else ''))
        yield sink


class Board:
    """What goes on: what runs since when, and what waits for what."""

    def __init__(self) -> None:
        from rich.spinner import Spinner
        self._lock = threading.Lock()
        self._spinner = Spinner('dots')
        self._running: dict[Key, tuple[float, str]] = {}
        self._waiting: dict[Key, set[Key]] = {}
        self._start = SYSTEM.now()

    def note(self, event: Event) -> None:
        """Take in what happened."""
        with self._lock:
            if isinstance(event, Waiting):
                self._waiting[event.key] = set(event.needs)
            elif isinstance(event, Started):
                self._waiting.pop(event.key, None)
                self._running[event.key] = (SYSTEM.now(), '')
            elif isinstance(event, Progress):
                self._running[event.key] = (self._running[event.key][0], event.what)
            else:
                self._running.pop(event.key, None)
                self._waiting.pop(event.key, None)
                for needs in self._waiting.values():
                    needs.discard(event.key)

    def table(self, height: int) -> Any:
        """Return the table, which has room for *height* lines of a terminal; a line never takes more than one."""
        from rich.table import Table
        from rich.text import Text
        table = Table.grid(padding=(0, 1), expand=True)
        table.add_column(width=1)
        table.add_column(no_wrap=True, overflow='ellipsis', ratio=1)
        table.add_column(no_wrap=True, justify='right')
        with self._lock:
            running, waiting = list(self._running.items()), list(self._waiting.items())
        now, room = SYSTEM.now(), max(height - 3, 1)
        for (kind, name), (since, what) in running[:room]:
            doing = f'{kind} {name}{": " if what else ""}{what}'
            table.add_row(self._spinner, Text(redact(plain(doing))), Text(_time(now - since)))
        room = max(room - len(running), 0)
        for (kind, name), needs in waiting[:room]:
            line = f"{kind} {name} waits for {', '.join(map(' '.join, sorted(needs))) or 'its turn'}"
            table.add_row('', Text(plain(line), style='dim'), '')
        hidden = len(waiting) - room
        if hidden > 0 and waiting:
            table.add_row('', Text(f'{hidden} more wait', style='dim'), '')
        table.add_row('', '', Text(_time(now - self._start), style='dim'))
        return table


def _time(seconds: float) -> str:
    minutes, rest = divmod(int(seconds), 60)
    return f'{minutes}:{rest:02}'
