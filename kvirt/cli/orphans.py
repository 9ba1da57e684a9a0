"""What an interrupted create left behind."""

from __future__ import annotations

from kvirt.cli import output
from kvirt.cli.context import Session, command
from kvirt.cli.lists import list_command, show
from kvirt.cli.reads import from_clients
from kvirt.cli.targets import tell
from kvirt.result import Result

COLUMNS = ('kind', 'name', 'detail')


@list_command('orphans', *COLUMNS)
def list_(session: Session, short: bool, sort: str | None) -> int:
    """List what bears kvirt's mark and has no finished owner."""
    rows, further, code = from_clients(session, lambda config: config.k.list_orphans())
    show(session, rows, COLUMNS, further, sort=sort, empty='There are no orphans', short=short)
    return code


@command('orphans', example='kvirt delete orphans -y')
def delete(session: Session) -> int:
    """Delete what 'list orphans' shows."""
    rows, further, code = from_clients(session, lambda config: config.k.list_orphans())
    if not rows:
        if not code:
            session.say('There are no orphans')
        output.results(session, [], several=True)
        return code
    named = ', '.join(f"{row['kind']} {row['name']}" for row in rows)
    session.confirm(f'Delete {named}?')
    owners = dict.fromkeys(row.get('client', session.clients[0]) for row in rows)
    outcomes = []
    for client in owners:
        outcome = Result.of(session.config(client).k.delete_orphans())
        deleted = ', '.join(f"{orphan['kind']} {orphan['name']}" for orphan in outcome.get('deleted', [])) or 'nothing'
        code = max(code, tell(session, outcome, f'Deleted on {client}: {deleted}'))
        outcomes.append({'client': client, **outcome})
    output.results(session, outcomes, several=True)
    return code
