"""How data is printed: a table for people, JSON, YAML or names for programs."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import click

from kvirt.cli.context import Session
from kvirt.cli.text import cell, folded, is_terminal, plain
from kvirt.redact import redact_mapping

if TYPE_CHECKING:
    from rich.table import Table
    from rich.text import Text

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
        for front, text in _fact_lines(thing):
            click.echo(folded(text, front))


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


def _fact_lines(thing: Row) -> Iterator[tuple[str, str]]:
    """Yield the lines about one thing, each as what stands in front and the value behind it."""
    for name, value in thing.items():
        if value in (None, '', [], {}):
            continue
        if isinstance(value, Sequence) and not isinstance(value, str) and isinstance(value[0], Mapping):
            yield f'{name}:', ''
            yield from (('  - ', cell(item)) for item in value)
        elif isinstance(value, Mapping):
            yield f'{name}:', ''
            yield from ((f'  {key}: ', cell(item)) for key, item in value.items())
        else:
            yield f'{name}: ', cell(value)


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
    words = column.replace('_', ' ').capitalize().split()
    return ' '.join(_INITIALS.get(word.lower(), word) for word in words)


def _rich_table(titles: Sequence[str], cells: Sequence[Sequence[str]], right: Sequence[bool]) -> None:
    from rich.console import Console
    console = Console()
    dense = [title.replace(' ', '\n') for title in titles]
    for table in (_drawn(titles, cells, right, 30, 1), _drawn(dense, cells, right, 20, 0)):
        if console.measure(table, options=console.options.update(max_width=10000)).minimum <= console.width:
            console.print(table)
            return
    for index, line in enumerate(cells):
        if index:
            console.print()
        for text in _record(titles, line):
            console.print(text, soft_wrap=True)


def _drawn(titles: Sequence[str], cells: Sequence[Sequence[str]], right: Sequence[bool], sentences: int,
           padding: int) -> Table:
    """Return the table with columns of *sentences* of that width at least, and *padding* around columns."""
    from rich import box
    from rich.table import Table
    from rich.text import Text
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False, padding=(0, padding))
    for index, (title, number) in enumerate(zip(titles, right, strict=True)):
        width = max(len(word) for word in (*title.splitlines(), *(line[index] for line in cells)))
        # Sentences may be folded. Names may not, so that they can be copied.
        sentence = width > sentences and any(' ' in line[index] for line in cells)
        table.add_column(title, overflow='fold', justify='right' if number else 'left', no_wrap=not sentence,
                         min_width=sentences if sentence else width)
    for line in cells:
        table.add_row(*(Text(text, style=_STYLE.get(text, '')) for text in line))
    return table


def _record(titles: Sequence[str], line: Sequence[str]) -> Iterator[Text]:
    """Yield the lines of one row where the window is too narrow for a table: what it is, and below it the rest."""
    from rich.text import Text
    (_, first), *rest = [(title, text) for title, text in zip(titles, line, strict=True) if text] or [('', '')]
    yield Text(first, style='bold')
    width = max((len(title) for title, _ in rest), default=0)
    for title, text in rest:
        front = f'  {title.ljust(width)}  '
        yield Text.assemble((front, 'dim'), (folded(text, front, ' ' * len(front))[len(front):], _STYLE.get(text, '')))


_INITIALS = {'ip': 'IP', 'id': 'ID', 'dns': 'DNS', 'cidr': 'CIDR', 'dhcp': 'DHCP', 'mac': 'MAC', 'vms': 'VMs',
             'cpus': 'CPUs'}
_STYLE = {'running': 'green', 'stopped': 'dim', 'failed': 'red', 'pending': 'yellow', 'stopping': 'yellow',
          'terminating': 'yellow', 'suspended': 'yellow', 'unknown': 'magenta', 'supported': 'green', 'never': 'dim',
          'not yet': 'red', 'PASS': 'green', 'WARN': 'yellow', 'FAIL': 'red'}
