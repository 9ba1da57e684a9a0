"""How data is printed: a table for people, JSON, YAML or names for programs."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import click

from kvirt.cli.context import Session
from kvirt.cli.text import cell, is_terminal, plain
from kvirt.redact import redact_mapping

Row = Mapping[str, Any]
Columns = Sequence[str]


def rows(session: Session, data: Sequence[Row], columns: Columns, *, empty: str = 'nothing', key: str = 'name',
         short: bool = False) -> None:
    """Print *data*; a table has *columns*, and ``name`` prints each row's *key*. *empty* is said where there is none."""
    if short or session.output == 'name':
        for row in data:
            click.echo(plain(str(row.get(key, ''))))
        return
    data = redact_mapping(data)
    if session.output != 'table':
        _dump(session.output, data)
    elif not data:
        session.say(empty)
    else:
        _table(data, columns)


def facts(session: Session, data: Row | Sequence[Row], *, key: str = 'name') -> None:
    """Print what is known of one thing, or of several."""
    things = [data] if isinstance(data, Mapping) else list(data)
    if session.output == 'name':
        for thing in things:
            click.echo(plain(str(thing.get(key, ''))))
        return
    data = redact_mapping(data)
    if session.output != 'table':
        _dump(session.output, data)
        return
    for index, thing in enumerate([data] if isinstance(data, Mapping) else data):
        if index:
            click.echo()
        for line in _fact_lines(thing):
            click.echo(line)


def values(session: Session, data: Row, fields: Sequence[str]) -> None:
    """Print the values of *fields* alone, one a line, so that a script can read them; an absent one is an empty line."""
    shown = redact_mapping(data)
    if session.output not in ('table', 'name'):
        _dump(session.output, [shown.get(name) for name in fields])
        return
    for name in fields:
        click.echo(cell(shown.get(name)))


def results(session: Session, outcomes: Sequence[Row], *, several: bool) -> None:
    """Print the outcomes of changes for programs; people were told in words. *several*: a list, however many."""
    if session.output == 'table':
        return
    if session.output == 'name':
        for outcome in outcomes:
            if outcome.get('result') == 'success' and outcome.get('name'):
                click.echo(plain(str(outcome['name'])))
        return
    shown = redact_mapping(list(outcomes))
    _dump(session.output, shown if several else shown[0])


def _dump(form: str, data: Any) -> None:
    if form == 'yaml':
        from kvirt.yamlfile import dump
        click.echo(dump(data), nl=False)
    elif form == 'jsoncompact':
        click.echo(json.dumps(data, separators=(',', ':'), default=str))
    else:
        click.echo(json.dumps(data, indent=2, default=str))


def _fact_lines(thing: Row) -> list[str]:
    lines = []
    for name, value in thing.items():
        if value in (None, '', [], {}):
            continue
        if isinstance(value, Sequence) and not isinstance(value, str) and isinstance(value[0], Mapping):
            lines.append(f'{name}:')
            lines += [f'  - {cell(item)}' for item in value]
        elif isinstance(value, Mapping):
            lines.append(f'{name}:')
            lines += [f'  {key}: {cell(item)}' for key, item in value.items()]
        else:
            lines.append(f'{name}: {cell(value)}')
    return lines


def _table(data: Sequence[Row], columns: Columns) -> None:
    titles = [title_of(column) for column in columns]
    cells = [[cell(row.get(column)) for column in columns] for row in data]
    right = [all(isinstance(row.get(column), (int, float, type(None))) and not isinstance(row.get(column), bool)
                 for row in data) for column in columns]
    if is_terminal('stdout'):
        _rich_table(titles, cells, right)
        return
    widths = [max(len(title), *(len(line[index]) for line in cells)) for index, title in enumerate(titles)]
    for line in [[title.upper() for title in titles], *cells]:
        parts = [text.rjust(width) if number else text.ljust(width)
                 for text, width, number in zip(line, widths, right, strict=True)]
        click.echo('  '.join(parts).rstrip())


def title_of(column: str) -> str:
    """Return the heading of a column."""
    return column.replace('_', ' ').capitalize()


def _rich_table(titles: Sequence[str], cells: Sequence[Sequence[str]], right: Sequence[bool]) -> None:
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False)
    for index, (title, number) in enumerate(zip(titles, right, strict=True)):
        width = max(len(title), *(len(line[index]) for line in cells))
        # Sentences may be folded. Names may not, whatever the terminal does with a long line.
        sentence = width > _SENTENCE and any(' ' in line[index] for line in cells)
        table.add_column(title, overflow='fold', justify='right' if number else 'left', no_wrap=not sentence,
                         min_width=_SENTENCE if sentence else width)
    for line in cells:
        table.add_row(*(Text(text, style=_STYLE.get(text, '')) for text in line))
    console = Console()
    console.width = max(console.width, console.measure(table, options=console.options.update(max_width=10000)).minimum)
    console.print(table)


_SENTENCE = 30  # the width down to which a column of sentences is folded
_STYLE = {'running': 'green', 'stopped': 'dim', 'failed': 'red', 'pending': 'yellow', 'stopping': 'yellow',
          'terminating': 'yellow', 'suspended': 'yellow', 'unknown': 'magenta', 'supported': 'green', 'never': 'dim',
          'not yet': 'red', 'PASS': 'green', 'WARN': 'yellow', 'FAIL': 'red'}
