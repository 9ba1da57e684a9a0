"""The version."""

from __future__ import annotations

from kvirt.cli import output
from kvirt.cli.context import Session, command


@command('version', example='kvirt version')
def version(session: Session) -> None:
    """Show the version."""
    import platform

    from kvirt.version import __version__
    output.facts(session, {'kvirt': __version__, 'python': platform.python_version()}, key='kvirt')
