"""The version, and what is new in it."""

from __future__ import annotations

import re
from typing import Any

import click

from kvirt.cli import output
from kvirt.cli.context import Session, command
from kvirt.errors import NotFound


@command('version', example='kvirt version')
def version(session: Session) -> None:
    """Show the version."""
    import platform

    from kvirt.version import __version__
    output.facts(session, {'kvirt': __version__, 'python': platform.python_version()}, key='kvirt')


@command('changelog', example='kvirt changelog')
@click.argument('since', required=False, metavar='[VERSION]')
def changelog(session: Session, since: str | None) -> None:
    """Show what is new: in the latest version, or in all that came after VERSION."""
    known = _versions()
    if since is None:
        shown = known[:1]
    else:
        older = [index for index, one in enumerate(known) if one['version'] == since]
        if not older:
            raise NotFound(f"there was no version '{since}'",
                           hint=f"Versions are {', '.join(one['version'] for one in known)}")
        shown = known[:older[0]]
    if session.output != 'table':
        output.rows(session, shown, ('version', 'changes'), key='version')
        return
    for one in shown:
        click.echo(f"{one['version']}{' ' if one['date'] else ''}{one['date']}")
        for change in one['changes']:
            click.echo(f'* {change}')
    if not shown:
        session.say(f'Nothing came after {since}')


def _versions() -> list[dict[str, Any]]:
    """Return what the changelog tells of each version, the latest first."""
    from importlib import resources
    text = resources.files('kvirt.data').joinpath('changelog.md').read_text(encoding='utf-8')
    found = []
    for part in re.split(r'^## ', text, flags=re.MULTILINE)[1:]:
        title, _, body = part.partition('\n')
        number, _, date = title.partition(' ')
        changes = [' '.join(change.split()) for change in re.split(r'^\* ', body, flags=re.MULTILINE)[1:]]
        found.append({'version': number, 'date': date.strip('()'), 'changes': changes})
    return found
