"""What hinders kvirt here, and how it is mended."""

from __future__ import annotations

from dataclasses import asdict

from kvirt.cli import output
from kvirt.cli.context import Session, command

COLUMNS = ('check', 'verdict', 'detail', 'remedy')


@command('doctor', example='kvirt doctor')
def doctor(session: Session) -> int:
    """Look for what hinders kvirt: configuration, ssh key, and of each client of -C what a VM needs.

    Each finding is PASS, WARN or FAIL, with the command that mends it. Nothing is changed. The exit code is 1 where
    something fails.
    """
    from kvirt.doctor import examine
    found = [asdict(finding) for finding in examine(lambda: session.settings, session.config, session.client)]
    output.rows(session, found, ['client', *COLUMNS], key='check')
    counts = {verdict: sum(row['verdict'] == verdict for row in found) for verdict in ('PASS', 'WARN', 'FAIL')}
    session.say(', '.join(f'{verdict} {count}' for verdict, count in counts.items() if count))
    return 1 if counts['FAIL'] else 0
