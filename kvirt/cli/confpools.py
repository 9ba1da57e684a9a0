"""Pools of the configuration: addresses and names that VMs take theirs from."""

from __future__ import annotations

from typing import Any

from kvirt.cli import output
from kvirt.cli.completion import confpools
from kvirt.cli.context import Session, command
from kvirt.cli.lists import list_command, show
from kvirt.cli.types import name_argument, names_argument
from kvirt.errors import InvalidInput

COLUMNS = ('name', 'ips', 'netmask', 'gateway', 'names', 'taken')


def _known(session: Session) -> Any:
    from kvirt.confpools import ConfPools
    return ConfPools(session.settings)


@list_command('confpool', *COLUMNS)
def list_(session: Session, short: bool, sort: str | None) -> None:
    """List the pools of addresses and names."""
    from kvirt.confpools import RESERVED
    rows = [{'name': name, **pool, 'taken': sum(len(pool.get(key) or ()) for key in RESERVED)}
            for name, pool in _known(session).all().items()]
    show(session, rows, COLUMNS, (), sort=sort, empty='There are no pools of addresses and names', short=short)


@command('confpool', example='kvirt info confpool lab')
@name_argument(confpools)
def info(session: Session, name: str) -> None:
    """Show a pool, and what VMs have of it."""
    output.facts(session, {'name': name, **_known(session).get(name)})


@command('confpool', parameters=True, example='kvirt create confpool -P ips=192.168.122.32/28 -P netmask=24 lab')
@name_argument()
def create(session: Session, name: str) -> None:
    """Create a pool of -P ips (a network, or a list) and -P names.

    Also -P netmask, gateway, dns, domain, which go with its addresses. A VM takes from it with -P confpool, ippool or
    namepool.
    """
    _known(session).create(name, _values(session))
    session.say(f'Pool {name} created')


@command('confpool', parameters=True, example='kvirt update confpool -P names=[ada,grace] lab')
@name_argument(confpools)
def update(session: Session, name: str) -> None:
    """Change a pool; an empty value (-P KEY=None) takes a key away. What VMs have of it stays theirs."""
    _known(session).update(name, _values(session))
    session.say(f'Pool {name} updated')


@command('confpool', example='kvirt delete confpool lab')
@names_argument(confpools, required=True)
def delete(session: Session, names: tuple[str, ...]) -> None:
    """Delete pools that no VM has anything of."""
    known = _known(session)
    for name in names:
        known.get(name)
    session.confirm(f"Delete pool {', '.join(names)}?")
    for name in dict.fromkeys(names):
        known.delete(name)
        session.say(f'Pool {name} deleted')


def _values(session: Session) -> dict[str, Any]:
    from kvirt.confpools import RESERVED
    values = session.parameters()
    if not values:
        raise InvalidInput('nothing was given', hint='Give it with -P: -P ips=192.168.122.32/28')
    kept = [key for key in RESERVED if key in values]
    if kept:
        raise InvalidInput(f"{', '.join(kept)} can not be given: kvirt keeps what VMs have of a pool")
    return values
