"""Displays and serial consoles of VMs."""

from __future__ import annotations

import shutil
import subprocess
from typing import TYPE_CHECKING, Any

import click

from kvirt.cli import output
from kvirt.cli.completion import vms
from kvirt.cli.context import Session, command
from kvirt.cli.targets import one
from kvirt.cli.text import is_terminal
from kvirt.cli.types import name_argument
from kvirt.errors import KvirtError, MissingDependency

if TYPE_CHECKING:
    from kvirt.config import Kconfig


@command('console', example='kvirt console web')
@name_argument(vms, required=False)
@click.option('-s', '--serial', 'wants_serial', is_flag=True, help='The serial console, in this terminal.')
def console(session: Session, name: str | None, wants_serial: bool) -> int:
    """Open the display of a VM, by default of the last one created.

    A viewer is opened where there is one and a terminal; else the address is printed.
    """
    target = one(session, name)
    return open_console(session, target.config, target.name, serial=wants_serial)


@command('serial', example='kvirt serial web')
@name_argument(vms, required=False)
def serial(session: Session, name: str | None) -> int:
    """Open the serial console of a VM, by default of the last one created."""
    target = one(session, name)
    return open_console(session, target.config, target.name, serial=True)


def open_console(session: Session, config: Kconfig, name: str, *, serial: bool) -> int:
    """Open a console of VM *name*; return the exit code."""
    return _serial(session, config.k.serialconsole(name)) if serial else _display(session, config.k.console(name))


def _serial(session: Session, known: dict[str, Any]) -> int:
    if session.output != 'table':
        output.facts(session, known)
    elif 'command' in known:
        return _run(known['command'])
    else:
        click.echo(known.get('output', ''), nl=False)
    return 0


def _display(session: Session, known: dict[str, Any]) -> int:
    url = known.get('url') or f"{known['protocol']}://{known['host']}:{known['port']}"
    viewer = shutil.which('remote-viewer')
    if session.output != 'table':
        output.facts(session, {'url': url, **known})
    elif viewer and is_terminal('stdout') and not known.get('tunnel'):
        return _view(viewer, url, known)
    else:
        click.echo(url)
        if known.get('tunnel'):
            forward = f"{known['port']}:{known['host']}:{known['port']}"
            session.say(f"It is reachable over ssh: ssh -L {forward} {known['tunnel']}")
    return 0


def _view(viewer: str, url: str, known: dict[str, Any]) -> int:
    """Open the viewer; what it must know goes to its standard input, since everybody can read a command line."""
    lines = [f"type={known.get('protocol', url.partition(':')[0])}", f"host={known['host']}", f"port={known['port']}"]
    if known.get('password'):
        lines.append(f"password={known['password']}")
    viewing = subprocess.run([viewer, '-'], input='\n'.join(['[virt-viewer]', *lines, '']), text=True, check=False)
    if viewing.returncode:
        raise KvirtError(f'{viewer} ended with code {viewing.returncode}')
    return 0


def _run(arguments: list[str]) -> int:
    try:
        return subprocess.run(arguments, check=False).returncode
    except FileNotFoundError:
        raise MissingDependency(f"'{arguments[0]}' is not installed",
                                hint=f"Install it, or run elsewhere: {' '.join(arguments)}") from None
