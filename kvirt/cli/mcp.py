"""The library as tools for programs that speak the Model Context Protocol."""

from __future__ import annotations

import os

import click

from kvirt.cli.context import Session, command
from kvirt.cli.errors import CANCELLED


@command('mcp', example='kvirt mcp -C lab')
@click.option('--write', is_flag=True, help='Offer tools that make, start, stop and delete VMs and plans, too.')
def serve(session: Session, write: bool) -> None:
    """Offer kvirt as tools of the Model Context Protocol (MCP), on standard input and output.

    Tools read only, unless --write. They reach the clients of -C, or all that are enabled. The server ends when its other
    side goes.
    """
    from kvirt.mcp import serve as answer
    try:
        answer(session.client, write=write)
    except KeyboardInterrupt:
        # What was begun is undone by now. Python would still wait for the thread that waits for the next line of input.
        os._exit(CANCELLED)
