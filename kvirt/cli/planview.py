"""What is seen of a plan while it is carried out: a live table on a terminal, lines elsewhere, events for programs."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import click

from kvirt.cli import output
from kvirt.cli.context import Session
from kvirt.cli.text import is_terminal, plain
from kvirt.plan.events import Event, Failed, Finished, Progress, Started, Waiting, as_json
from kvirt.redact import redact, redact_mapping

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
    """Show a table in which the entries that are worked on move, and the finished ones are told above it."""
    from rich.console import Console
    from rich.progress import Progress as Bars
    from rich.progress import SpinnerColumn, TextColumn, TimeElapsedColumn
    from rich.text import Text
    console = Console(stderr=True)
    tasks: dict[Any, Any] = {}
    waiting: set[Any] = set()
    with Bars(SpinnerColumn(), TextColumn('{task.description}', markup=False), TimeElapsedColumn(), console=console,
              transient=True) as bars:
        line_of_waiting = bars.add_task('', total=None, visible=False)

        def sink(event: Event) -> None:
            kind, name = event.key
            if isinstance(event, Waiting):
                waiting.add(event.key)
            elif isinstance(event, Started):
                waiting.discard(event.key)
                tasks[event.key] = bars.add_task(plain(f'{kind} {name}'), total=None)
            elif isinstance(event, Progress):
                bars.update(tasks[event.key], description=redact(plain(f'{kind} {name}: {event.what}')))
            else:
                waiting.discard(event.key)
                if event.key in tasks:
                    bars.remove_task(tasks.pop(event.key))
                line = redact(plain(_line(event)))
                if line:
                    bars.console.print(Text(line, style='red' if isinstance(event, Failed) else ''))
            bars.update(line_of_waiting, visible=bool(waiting), description=f'{len(waiting)} more wait for these')
        yield sink
