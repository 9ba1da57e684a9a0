"""Lists: rows of one client or of several, sorted, printed as a table, as data, or as names."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import click

from kvirt.cli import output
from kvirt.cli.completion import Complete, choices
from kvirt.cli.context import Command, Session, command
from kvirt.cli.reads import Read, Rows, from_clients
from kvirt.cli.types import name_argument
from kvirt.errors import InvalidInput, NotFound
from kvirt.names import did_you_mean

Order = Callable[[Mapping[str, Any]], Any]


def list_command(noun: str, *fields: str, default: str | None = None,
                 example: str = '') -> Callable[[Callable[..., Any]], Command]:
    """Make the command of a list: with ``--short``, ``--sort`` and -P, which chooses rows by what they have.

    *fields* are offered by the shell's completion.
    """
    def make(function: Callable[..., Any]) -> Command:
        function = click.option('--sort', metavar='FIELD', default=default, help='Sort by this field.',
                                shell_complete=choices(*fields))(function)
        function = click.option('-s', '--short', is_flag=True, help='Print names only.')(function)
        made = command(noun, parameters=True, example=example or f'kvirt list {noun}')(function)
        if made.help and '-P' not in made.help:
            made.help += '\n\n-P chooses by any field; a value may hold * and ?.'
        return made
    return make


def listing(noun: str, read: Read, columns: Sequence[str], *, plural: str, about: str = '',
            key: str = 'name') -> Command:
    """Make the command that lists the *plural* that *read* finds on each client; *about* is the rest of its help."""
    def run(session: Session, short: bool, sort: str | None) -> int:
        rows, further, code = from_clients(session, read)
        show(session, rows, columns, further, sort=sort, empty=f'There are no {plural}', key=key, short=short)
        return code
    run.__doc__ = f'List {plural}.{about and " "}{about}'
    return list_command(noun, *columns)(run)


def showing(noun: str, read: Read, complete: Complete, *, about: str, example: str) -> Command:
    """Make the command that shows one of the things that *read* finds on a client, by its name, id or short name."""
    def run(session: Session, name: str) -> None:
        config = session.one_client()
        rows = list(read(config))
        found = next((row for key in ('name', 'id', 'short') for row in rows if row.get(key) == name), None)
        if found is None:
            raise NotFound(f"there is no {noun} '{name}' on client {config.client}"
                           f"{did_you_mean(name, [str(row.get('name')) for row in rows])}",
                           hint=f"'kvirt list {noun}' shows them all")
        output.facts(session, found)
    run.__doc__ = about
    return command(noun, example=f'kvirt info {noun} {example}')(name_argument(complete)(run))


def show(session: Session, rows: Rows, columns: Sequence[str], further: Sequence[str], *, empty: str,
         sort: str | None = None, fields: Sequence[str] = (), orders: Mapping[str, Order] = {}, short: bool = False,
         key: str = 'name', wanted: Mapping[str, Any] | None = None) -> None:
    """Print the *rows* that -P chooses, sorted by the field *sort*.

    *fields* are further ones that a row may have, and *orders* some with a meaning of their own. *wanted* takes the place
    of -P: nothing, where it was looked at already.
    """
    from kvirt.filters import chosen
    shown = [*columns[:1], *further, *columns[1:]]
    wanted = session.parameters() if wanted is None else wanted
    if wanted:
        rows = [dict(row) for row in chosen(rows, wanted, [*shown, *fields])]
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
