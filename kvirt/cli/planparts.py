"""Plans that there are, what they can be made of, and the snapshots of their VMs: nothing here reads a plan's file."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import click

from kvirt.cli import output
from kvirt.cli.completion import local, plans
from kvirt.cli.context import Session, command
from kvirt.cli.lists import list_command, show
from kvirt.cli.types import name_argument
from kvirt.errors import NotFound
from kvirt.names import did_you_mean


def _kinds(session: Session) -> list[str]:
    from kvirt.plan.check import ITEMS
    return list(ITEMS)


@list_command('plan', 'plan', 'vms', 'running', 'clients', default='plan', example='kvirt list plan -P running=0 --short')
def list_(session: Session, short: bool, sort: str) -> int:
    """List the plans that VMs belong to."""
    from kvirt.cli.reads import from_clients
    from kvirt.plan import found
    rows, _, code = from_clients(session, lambda config: [{**vm, 'client': config.client} for vm in config.k.list()])
    show(session, found.grouped(rows), ('plan', 'vms', 'running', 'clients'), (), sort=sort, empty='There are no plans',
         key='plan', short=short)
    return code


@list_command('plan-type', 'name', 'meaning')
def list_types(session: Session, short: bool, sort: str | None) -> None:
    """List what the entries of a plan can be."""
    from kvirt.plan.check import ITEMS
    rows = [{'name': kind, 'meaning': _about(item)} for kind, item in ITEMS.items()]
    show(session, rows, ('name', 'meaning'), (), sort=sort, empty='There are none', short=short)


@command('plan-type', example='kvirt info plan-type network')
@name_argument(local(_kinds))
def info_type(session: Session, name: str) -> None:
    """Show a kind of entries of a plan: its meaning, and its keys."""
    from kvirt.keywords import keys_of
    from kvirt.plan.check import ITEMS
    from kvirt.plan.parse import OTHER_WORDS
    item = ITEMS.get(OTHER_WORDS.get(name, name))
    if item is None:
        raise NotFound(f"entries of a plan can not be of type '{name}'{did_you_mean(name, ITEMS)}",
                       hint="'kvirt list plan-type' shows them all")
    keys = [asdict(key) for key in keys_of(item.Keys)]
    if session.output != 'table':
        output.facts(session, {'name': item.kind, 'meaning': _about(item), 'keys': keys})
        return
    click.echo(f'{item.kind}: {_about(item)}')
    if item.kind == 'vm':
        session.say("Beside these, all keywords: 'kvirt list keyword'")
    click.echo()
    output.rows(session, keys, ('name', 'type', 'default', 'meaning'))


@list_command('plan-snapshot', 'name', example='kvirt list plan-snapshot shop')
@name_argument(plans, name='plan')
def list_snapshots(session: Session, plan: str, short: bool, sort: str | None) -> None:
    """List the snapshots of the VMs of a plan, each with the VMs that have it."""
    from kvirt.parallel import in_parallel
    from kvirt.plan import found
    things = found.vms(plan, [session.config(client) for client in session.clients])
    known = in_parallel(things, lambda thing: thing.config.k.list_snapshots(thing.name))
    having: dict[str, list[str]] = {}
    for thing, snapshots in zip(things, known, strict=True):
        for snapshot in snapshots:
            having.setdefault(snapshot, []).append(thing.name)
    rows = [{'name': name, 'vms': vms} for name, vms in having.items()]
    show(session, rows, ('name', 'vms'), (), sort=sort, empty=f'No VM of plan {plan} has a snapshot', short=short)


def _about(item: Any) -> str:
    return ' '.join((item.__doc__ or '').strip().partition('\n\n')[0].split())
