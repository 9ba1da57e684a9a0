"""Clients: the places where VMs can run, as the configuration names them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from kvirt.cli import output
from kvirt.cli.completion import clients, configured
from kvirt.cli.context import Session, command
from kvirt.cli.lists import list_command, show
from kvirt.cli.types import name_argument, names_argument
from kvirt.errors import KvirtError

COLUMNS = ('name', 'type', 'enabled', 'current')


@list_command('client', *COLUMNS)
def list_(session: Session, short: bool, sort: str | None) -> None:
    """List the clients of the configuration."""
    settings = session.settings
    known = settings.clients()
    try:
        current = settings.default_client()
    except KvirtError:
        current = ''  # there is none, or none was chosen; the list is right nevertheless
    rows = [{'name': client.name, 'type': client.type, 'enabled': client.enabled, 'current': client.name == current,
             **({'members': list(client.members), 'algorithm': client.algorithm} if client.type == 'group' else {})}
            for client in known.values()]
    columns = [*COLUMNS, 'members'] if any('members' in row for row in rows) else COLUMNS
    show(session, rows, columns, (), sort=sort, empty='There are no clients', short=short)


@command('client', example='kvirt info client lab')
@name_argument(clients, required=False)
def info(session: Session, name: str | None) -> None:
    """Show a client: its provider, what it is connected to, its capacity and use."""
    config = session.config(name) if name else session.one_client()
    known: dict[str, Any] = {'name': config.client, 'type': config.type}
    if config.k.supports('info_host'):
        known.update(config.k.info_host())
    output.facts(session, known)


@command('client', example='kvirt delete client lab')
@names_argument(configured, required=True)
def delete(session: Session, names: tuple[str, ...]) -> None:
    """Delete clients from the configuration; their VMs stay."""
    from kvirt import edit
    for name in names:
        edit.configured(session.settings, name)
    session.confirm(f"Delete client {', '.join(names)} from the configuration?")
    for name in dict.fromkeys(names):
        edit.delete_client(session.settings, name)
        session.say(f'Client {name} deleted')


@command('client', example='kvirt switch client lab')
@name_argument(clients)
def switch(session: Session, name: str) -> None:
    """Choose the client that is used when none is named."""
    from kvirt import edit
    edit.switch_client(session.settings, name)
    session.say(f'Client {name} is used from now on')


def _enabling(enabled: bool, word: str, help: str) -> Callable[..., Any]:
    def run(session: Session, names: tuple[str, ...]) -> None:
        from kvirt import edit
        for name in names:
            edit.enable_client(session.settings, name, enabled)
            session.say(f'Client {name} {word}')
    run.__doc__ = help
    made: Callable[..., Any] = names_argument(configured, required=True)(run)
    return made


enable = command('client', example='kvirt enable client lab')(
    _enabling(True, 'enabled', 'Let clients take part in what is done on all.'))
disable = command('client', example='kvirt disable client lab')(
    _enabling(False, 'disabled', 'Leave clients out of what is done on all.'))
