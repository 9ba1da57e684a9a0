"""Flavors: the sizes of VM that a platform sells; and offers, which compare them across clients."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import click

from kvirt.cli import output
from kvirt.cli.completion import flavors
from kvirt.cli.context import Session, command
from kvirt.cli.errors import DONE, FAILED, report
from kvirt.cli.lists import list_command, show
from kvirt.cli.reads import from_clients
from kvirt.cli.types import name_argument
from kvirt.errors import NotFound

COLUMNS = ('name', 'numcpus', 'memory', 'disk', 'gpus', 'price_hourly', 'price_monthly', 'currency', 'location')
FLAGS = ('stoppable', 'rebootable', 'resizable', 'preemptible', 'firewall')
_LIMIT = 5
OFFER_COLUMNS = ('client', 'provider', 'location', 'flavor', 'numcpus', 'memory', 'gpus', 'price_hourly',
                 'price_monthly', 'currency')


def _wishes(function: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options that say what a flavor must have."""
    for decorator in (click.option('--spot', is_flag=True, help='Spare capacity, at its own price.'),
                      click.option('--arch', metavar='ARCH', help='Architecture: x86_64, aarch64.'),
                      click.option('--gpus', type=click.IntRange(0), metavar='N', help='At least so many GPUs.'),
                      click.option('--memory', metavar='SIZE', help='At least so much memory: MiB, or 4g.'),
                      click.option('--numcpus', type=click.IntRange(1), metavar='N', help='At least so many CPUs.')):
        function = decorator(function)
    return function


@list_command('flavor', 'price', *COLUMNS, example='kvirt list flavor --numcpus 2 --memory 4g --sort price')
@_wishes
def list_(session: Session, short: bool, sort: str | None, numcpus: int | None, memory: str | None, gpus: int | None,
          arch: str | None, spot: bool) -> int:
    """List flavors. Memory is in MiB, disk in GiB; an empty price is one that the platform does not tell.

    --sort price puts the cheapest first, each currency for itself. The flags tell what can't be done with a VM of that
    flavor, or that it can be had as spare capacity.
    """
    from kvirt.offers import Wish, expense
    wish = Wish.of(numcpus, memory, gpus, arch, spot)
    rows, further, code = from_clients(session, lambda config: [
        _row(flavor) for flavor in config.k.list_flavors() if wish.met_by(flavor)])
    if session.output == 'table':
        rows = [{**row, 'flags': _flags(row)} for row in rows]
    columns = [*COLUMNS, *(column for column in ('arch', 'price_spot', 'flags') if len(_told(rows, column)) > 1)]
    show(session, rows, columns, further, sort=sort, orders={'price': lambda row: expense(row, spot=spot)},
         empty='There are no flavors', short=short)
    return code


def _told(rows: list[dict[str, Any]], column: str) -> set[Any]:
    """Return what a column says; where it is the same everywhere, it need not be shown."""
    return {row.get(column) for row in rows}


def _flags(row: Mapping[str, Any]) -> str:
    """Return in words where a flavor differs from what people expect of a VM."""
    words = [f'not {flag}' for flag in FLAGS[:3] if row.get(flag) is False]
    words += [flag for flag in ('preemptible',) if row.get(flag)]
    return ', '.join([*words, *(['not available'] if row.get('available') is False else [])])


@command('flavor', example='kvirt info flavor small')
@name_argument(flavors)
def info(session: Session, name: str) -> None:
    """Show a flavor: its size, its prices, and what can be done with a VM of it."""
    config = session.one_client()
    found = config.k.info_flavor(name)
    if found is None:
        raise NotFound(f'flavor {name} does not exist on client {config.client}',
                       hint="'kvirt list flavor' shows them all")
    output.facts(session, _row(found))


@list_command('offer', 'price', *OFFER_COLUMNS, default='price', example='kvirt list offer --numcpus 2 --memory 4096')
@_wishes
@click.option('--limit', type=click.IntRange(0), metavar='N', help=f'Show the cheapest N of each client; 0 is all. '
              f'{_LIMIT} in a table when absent.')
def offers(session: Session, short: bool, sort: str, numcpus: int | None, memory: str | None, gpus: int | None,
           arch: str | None, spot: bool, limit: int | None) -> int:
    """Compare the prices of a VM of some size across all clients, or those of -C; the cheapest first.

    Every flavor that is large enough is an offer. Prices in different currencies are not compared: each currency stands
    for itself. What has no known price comes last.
    """
    from kvirt.offers import expense
    session.client = session.client or 'all'
    found = session.config(session.clients[0]).list_offers(numcpus, memory, gpus, arch, spot, ','.join(session.clients))
    for client, error in found.failures.items():
        report(error, f'client {client}')
    if limit is None and session.output == 'table' and not short and not session.parameters():
        limit = _LIMIT  # people want to know where it is cheap; programs want all
    if limit:
        found = found.best(limit)
    rows = [dict(row) for row in found.rows]
    show(session, rows, OFFER_COLUMNS, [], sort=sort, orders={'price': lambda row: expense(row, spot=False)}, key='flavor',
         empty='Nobody offers that', short=short)
    for note in found.notes():
        session.say(note)
    return FAILED if found.failures and not found.answered else DONE


def _row(flavor: Any) -> dict[str, Any]:
    import msgspec
    if isinstance(flavor, msgspec.Struct):
        return msgspec.structs.asdict(flavor)
    return dict(zip(('name', 'numcpus', 'memory'), flavor, strict=False))  # a provider in kcli's manner
