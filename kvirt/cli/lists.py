"""Lists: rows of one client or of several, sorted, printed as a table, as data, or as names."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import click

from kvirt.cli import output
from kvirt.cli.completion import choices
from kvirt.cli.context import Command, Session, command
from kvirt.cli.reads import Read, Rows, from_clients
from kvirt.errors import InvalidInput
from kvirt.names import did_you_mean

Order = Callable[[Mapping[str, Any]], Any]


def list_options(*fields: str, default: str | None = None) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Add ``--short`` and ``--sort`` to a list; *fields* are offered by the shell's completion."""
    def decorate(function: Callable[..., Any]) -> Callable[..., Any]:
        function = click.option('--sort', metavar='FIELD', default=default, help='Sort by this field.',
                                shell_complete=choices(*fields))(function)
        return click.option('-s', '--short', is_flag=True, help='Print names only.')(function)
    return decorate


def listing(noun: str, read: Read, columns: Sequence[str], *, plural: str, about: str = '',
            key: str = 'name') -> Command:
    """Make the command that lists the *plural* that *read* finds on each client; *about* is the rest of its help."""
    def run(session: Session, short: bool, sort: str | None) -> int:
        rows, further, code = from_clients(session, read)
        show(session, rows, columns, further, sort=sort, empty=f'There are no {plural}', key=key, short=short)
        return code
    run.__doc__ = f'List {plural}.{about and " "}{about}'
    return command(noun, example=f'kvirt list {noun}')(list_options(*columns)(run))


def show(session: Session, rows: Rows, columns: Sequence[str], further: Sequence[str], *, empty: str,
         sort: str | None = None, fields: Sequence[str] = (), orders: Mapping[str, Order] = {}, short: bool = False,
         key: str = 'name') -> None:
    """Print *rows*, sorted by the field *sort*.

    *fields* are further ones that a row may have, and *orders* some with a meaning of their own.
    """
    shown = [*columns[:1], *further, *columns[1:]]
    if sort is not None:
        rows = ordered(rows, sort, [*shown, *fields], orders)
        if sort not in shown and sort not in orders:
            shown.append(sort)
    output.rows(session, rows, shown, empty=empty, key=key, short=short)


def ordered(rows: Rows, field: str, columns: Sequence[str], orders: Mapping[str, Order] = {}) -> Rows:
    """Return *rows* sorted by *field*: numbers, then texts, then those that have none. InvalidInput for an odd field."""
    known = list(dict.fromkeys([*orders, *columns, *(key for row in rows for key in row)]))
    if field in orders:
        return sorted(rows, key=orders[field])
    if field not in known:
        raise InvalidInput(f"there is no field '{field}' to sort by{did_you_mean(field, known)}",
                           hint=f"Fields are {', '.join(known)}")
    return sorted(rows, key=lambda row: _rank(row.get(field)))


def _rank(value: Any) -> tuple[int, Any]:
    if value is None or value == '':
        return 2, ''
    if isinstance(value, (int, float)):
        return 0, value
    return 1, str(value)
