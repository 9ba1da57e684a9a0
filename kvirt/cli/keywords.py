"""Keywords of VMs."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from kvirt.cli import output
from kvirt.cli.completion import keywords
from kvirt.cli.context import Session, command
from kvirt.cli.lists import list_command, show
from kvirt.cli.types import name_argument
from kvirt.errors import KvirtError, NotFound
from kvirt.names import did_you_mean

COLUMNS = ('name', 'type', 'default', 'meaning')


@list_command('keyword', *COLUMNS, 'group')
def list_(session: Session, short: bool, sort: str | None) -> None:
    """List the keywords that a VM can be made from."""
    from kvirt.keywords import table
    show(session, [asdict(keyword) for keyword in table()], COLUMNS, (), sort=sort, empty='There are none', short=short)


@command('keyword', example='kvirt info keyword disks')
@name_argument(keywords)
def info(session: Session, name: str) -> None:
    """Show a keyword: its meaning, its default, the keys of its entries, and its value in the configuration."""
    from kvirt.keywords import entry_keys, table
    known = {keyword.name: keyword for keyword in table()}
    if name not in known:
        raise NotFound(f"there is no keyword '{name}'{did_you_mean(name, known)}",
                       hint="'kvirt list keyword' shows them all")
    facts: dict[str, Any] = {**asdict(known[name]), **_configured(session, name)}
    keys = entry_keys(name)
    if keys:
        facts['keys'] = {key.name: f'{key.meaning} ({key.type})' for key in keys} if session.output == 'table' else [
            asdict(key) for key in keys]
    output.facts(session, facts)


def _configured(session: Session, name: str) -> dict[str, Any]:
    """Return the value that the configuration gives *name*, and its place; nothing where no client is chosen."""
    try:
        merged = session.config().vm_values()
    except KvirtError:
        if session.client:
            raise
        return {}
    return {'configured': merged.values[name], 'where': merged.where(name)} if name in merged.values else {}
