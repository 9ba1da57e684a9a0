"""VMs: what is known of them."""

from __future__ import annotations

from typing import Any

import click

from kvirt.cli import output
from kvirt.cli.completion import FIELDS, vms
from kvirt.cli.context import Session, command
from kvirt.cli.errors import report, worst
from kvirt.cli.lists import list_command, show
from kvirt.cli.reads import Found
from kvirt.cli.types import names_argument
from kvirt.errors import NotFound

FILTERS = ('name', 'status', 'ip', 'image', 'network', 'plan', 'profile')
_FIRST = ('name', 'status', 'ip', 'id', 'plan', 'profile', 'image', 'flavor', 'numcpus', 'memory', 'location')
_LAST = ('nets', 'disks', 'snapshots')
COLUMNS = ('name', 'status', 'ip', 'image', 'plan', 'profile')


@list_command('vm', *FIELDS, default='name', example='kvirt list vm -P status=running -P plan=web')
@click.option('-w', '--watch', is_flag=True, help='Show the list again whenever it changes, until Ctrl-C.')
def list_(session: Session, short: bool, sort: str, watch: bool) -> int:
    """List VMs.

    -P filters: name, status, ip, image, network, plan or profile; a value may hold * and ?.
    """
    from kvirt.cli.reads import from_clients
    from kvirt.filters import matching
    wanted = session.parameters()

    def read() -> Found:
        return from_clients(session, lambda config: matching(config.k, wanted))

    def present(found: Found) -> None:
        show(session, found[0], COLUMNS, found[1], sort=sort, fields=FIELDS, empty='There are no VMs',
             short=short, wanted={})

    if watch:
        from kvirt.cli.watch import follow
        return follow(session, read, present)
    found = read()
    present(found)
    return found[2]


@command('vm', example='kvirt info vm web -f ip,status -v')
@names_argument(vms)
@click.option('-f', '--fields', metavar='FIELD,...', help='Show these fields only.')
@click.option('-v', '--values', is_flag=True, help='Print values without their names.')
def info(session: Session, names: tuple[str, ...], fields: str | None, values: bool) -> int:
    """Show all that is known of VMs, by default of the last one created."""
    from kvirt.cli.targets import targets
    wanted = [field.strip() for field in (fields or '').split(',') if field.strip()]
    found = []
    codes = []
    chosen = targets(session, names)
    for target in chosen:
        known = _ordered(dict(target.config.k.info(target.name, fields=wanted)))
        if known or target.config.k.exists(target.name):
            found.append(known)
        else:
            codes.append(report(NotFound(f'VM {target.name} does not exist on client {target.config.client}',
                                         hint="'kvirt list vm' shows them all")))
    if values:
        for known in found:
            output.values(session, known, wanted or list(known))
    elif found:
        output.facts(session, found[0] if len(chosen) == 1 else found)
    return worst(codes)


def _ordered(known: dict[str, Any]) -> dict[str, Any]:
    """Return what is known in the order that people look for it."""
    first = [key for key in _FIRST if key in known]
    last = [key for key in _LAST if key in known]
    return {key: known[key] for key in [*first, *(key for key in known if key not in (*first, *last)), *last]}
