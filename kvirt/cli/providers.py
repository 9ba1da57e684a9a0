"""Providers, and what each of them can do."""

from __future__ import annotations

from typing import Any

import click

from kvirt.cli import output
from kvirt.cli.completion import providers
from kvirt.cli.context import Session, command
from kvirt.cli.lists import list_command, show
from kvirt.cli.text import plain
from kvirt.cli.types import name_argument


@list_command('provider', 'name', 'title', 'installed')
def list_(session: Session, short: bool, sort: str | None) -> None:
    """List the providers, and how to install what each of them needs."""
    from kvirt.providers import registry
    rows: list[dict[str, Any]] = []
    for entry in registry.entries():
        missing = registry.missing(entry)
        rows.append({'name': entry.name, 'title': entry.title, 'installed': not missing,
                     'install': f"pip install 'kvirt[{entry.name}]'" if missing else ''})
    columns = ('name', 'title', 'installed', 'install') if any(row['install'] for row in rows) else (
        'name', 'title', 'installed')
    show(session, rows, columns, (), sort=sort, empty='There are no providers', short=short)


@command('provider', example='kvirt info provider kvm')
@name_argument(providers)
def info(session: Session, name: str) -> None:
    """Show a provider: what it can do, and why not what it can't; its options; the hardware keywords it honours."""
    from kvirt.providers.describe import describe
    known = describe(name)
    if session.output != 'table':
        output.facts(session, known)
        return
    output.facts(session, {key: known[key] for key in ('name', 'title', 'aliases', 'summary', 'honours', 'permissions',
                                                     'prices')})
    for note in known['security']:
        click.echo(f'security: {plain(note)}')
    click.echo()
    output.rows(session, known['options'], ('option', 'type', 'default', 'meaning', 'environment'))
    click.echo()
    output.rows(session, known['operations'], ('area', 'operation', 'mark', 'reason'))
