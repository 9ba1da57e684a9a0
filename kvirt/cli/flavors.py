"""Flavors: the sizes of VM that a platform sells."""

from __future__ import annotations

from typing import Any

import click

from kvirt.cli import output
from kvirt.cli.completion import flavors
from kvirt.cli.context import Session, command
from kvirt.cli.reads import from_clients
from kvirt.cli.types import name_argument
from kvirt.errors import NotFound

COLUMNS = ('name', 'numcpus', 'memory', 'disk', 'gpus', 'price_hourly', 'currency', 'location')


@command('flavor', example='kvirt list flavor')
@click.option('-s', '--short', is_flag=True, help='Print names only.')
def list_(session: Session, short: bool) -> int:
    """List flavors. Memory is in MiB, disk in GiB."""
    rows, further, code = from_clients(session, lambda config: [_row(flavor) for flavor in config.k.list_flavors()])
    output.rows(session, rows, [*COLUMNS[:1], *further, *COLUMNS[1:]], empty='There are no flavors', short=short)
    return code


@command('flavor', example='kvirt info flavor small')
@name_argument(flavors)
def info(session: Session, name: str) -> None:
    """Show a flavor."""
    config = session.one_client()
    found = config.k.info_flavor(name)
    if found is None:
        raise NotFound(f'flavor {name} does not exist on client {config.client}')
    output.facts(session, _row(found))


def _row(flavor: Any) -> dict[str, Any]:
    import msgspec
    if isinstance(flavor, msgspec.Struct):
        return msgspec.structs.asdict(flavor)
    return dict(zip(('name', 'numcpus', 'memory'), flavor, strict=False))  # a provider in kcli's manner
