"""Waiting until VMs are what they are to become, and a list that is shown again whenever it changes."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from typing import Any

import click

from kvirt.cli import output
from kvirt.cli.completion import vms
from kvirt.cli.context import Session, command
from kvirt.cli.errors import DONE, report, worst
from kvirt.cli.reads import Found
from kvirt.cli.targets import Target, targets, tell
from kvirt.cli.text import is_terminal
from kvirt.cli.types import names_argument
from kvirt.errors import Cancelled, KvirtError, RateLimited, Unavailable
from kvirt.result import Result
from kvirt.wait import Alarm

CONFIGURED = 'configured'
_UNTIL = (CONFIGURED, 'running', 'stopped', 'suspended', 'terminated', 'failed', 'deleted')
_AT_MOST = 1800
_FOR_ADDRESSES, _AFTER_TROUBLE, _TO_BE_SAFE = 2.0, 5.0, 60.0
"""Seconds until a list is read again by itself: while a VM that runs has no address, which no platform tells of; after a
failure; and else."""


@command('vm', example='kvirt wait vm --until stopped --timeout 300 web db')
@names_argument(vms)
@click.option('-u', '--until', type=click.Choice(_UNTIL), default=CONFIGURED, show_default=True,
              help="What to wait for: 'configured' is that the guest answers, and is done with its first configuration.")
@click.option('-t', '--timeout', metavar='SECONDS', type=click.IntRange(min=1), default=_AT_MOST, show_default=True,
              help='How long at most.')
def wait(session: Session, names: tuple[str, ...], until: str, timeout: int) -> int:
    """Wait until VMs are configured, or have a status; by default the last one created."""
    from kvirt.cli.progress import waits
    from kvirt.parallel import in_parallel
    from kvirt.spec import VmSpec
    found = targets(session, names)

    with waits(session) as tick_for:
        def configured(target: Target) -> dict[Target, Result]:
            return {target: target.config.wait_vm(target.name, VmSpec(waittimeout=timeout), tick=tick_for(target.name))}

        def settled(together: list[Target]) -> dict[Target, Result]:
            wanted = [target.name for target in together]
            outcomes = together[0].config.wait_status(wanted, {until}, timeout=timeout, tick=tick_for(', '.join(wanted)))
            return {target: outcomes[target.name] for target in together}

        if until == CONFIGURED:
            parts = in_parallel(found, configured, workers=len(found))
        else:
            clients = {id(target.config): target.config for target in found}.values()
            parts = in_parallel([[target for target in found if target.config is each] for each in clients], settled,
                                workers=len(clients))
    outcomes = {target: outcome for part in parts for target, outcome in part.items()}
    codes = [tell(session, outcomes[target], f'VM {target.name} is {until} on {target.config.client}') for target in found]
    output.results(session, [{'name': target.name, **outcomes[target]} for target in found], several=len(found) > 1)
    return worst(codes)


def follow(session: Session, read: Callable[[], Found], show: Callable[[Found], None]) -> int:
    """Show what *read* finds, again whenever it changed, until Ctrl-C; what stood last stays to be seen."""
    alarm = Alarm()
    found: Found = [], [], DONE
    try:
        with ExitStack() as stack:
            for client in session.clients:
                with suppress(KvirtError):  # the read tells of a client that can't be reached
                    stack.enter_context(session.config(client).k.watching(alarm.ring))
            draw = stack.enter_context(_canvas(show))
            found = read()
            draw(found)
            while True:
                pause = _FOR_ADDRESSES if any(_awaits_address(row) for row in found[0]) else _TO_BE_SAFE
                alarm.sleep(pause)
                try:
                    again = read()
                except (Unavailable, RateLimited) as error:
                    report(error)
                    alarm.sleep(_AFTER_TROUBLE)
                    continue
                if again[:2] != found[:2]:
                    draw(again)
                found = again
    except (KeyboardInterrupt, Cancelled):
        if is_terminal('stdout'):
            show(found)
    return found[2]


def _awaits_address(row: Mapping[str, Any]) -> bool:
    return row.get('status') == 'running' and not row.get('ip')


@contextmanager
def _canvas(show: Callable[[Found], None]) -> Iterator[Callable[[Found], None]]:
    """Give what shows a list: in place on a terminal, whose former content comes back; elsewhere one below the other."""
    if is_terminal('stdout'):
        from rich.console import Console
        console = Console()
        with console.screen():
            def redraw(found: Found) -> None:
                console.clear()
                show(found)
            yield redraw
    else:
        def add(found: Found) -> None:
            show(found)
            sys.stdout.flush()
        yield add
