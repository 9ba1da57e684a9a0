"""Displays and serial consoles of VMs."""

from __future__ import annotations

import contextlib
import shlex
import shutil
import socket
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import click

from kvirt.cli import output
from kvirt.cli.completion import vms
from kvirt.cli.context import Session, command
from kvirt.cli.targets import one
from kvirt.cli.text import is_terminal
from kvirt.cli.types import name_argument
from kvirt.errors import InvalidInput, KvirtError, MissingDependency, NotSupported
from kvirt.wait import until

if TYPE_CHECKING:
    from kvirt.config import Kconfig

_PATIENCE = 15.0  # seconds that ssh may take to a host


@command('console', example='kvirt console web')
@name_argument(vms, required=False)
@click.option('-s', '--serial', 'wants_serial', is_flag=True, help='The serial console, in this terminal.')
@click.option('-w', '--web', is_flag=True, help='In a browser on this machine, by noVNC.')
@click.option('--novnc', metavar='FOLDER', envvar='KVIRT_NOVNC', show_envvar=True,
              help="noVNC's files, where they are not in /usr/share/novnc.")
def console(session: Session, name: str | None, wants_serial: bool, web: bool, novnc: str | None) -> int:
    """Open the display of a VM, by default of the last one created.

    A viewer is opened where there is one and a terminal; else the address is printed. --web prints one for a browser on
    this machine; it works once, and until the display is closed or Ctrl-C is pressed.
    """
    if web and wants_serial:
        raise InvalidInput('--web shows the display and --serial the serial console: choose one')
    target = one(session, name)
    if web:
        return _web(session, target.config, target.name, novnc)
    return open_console(session, target.config, target.name, serial=wants_serial)


@command('serial', example='kvirt serial web')
@name_argument(vms, required=False)
def serial(session: Session, name: str | None) -> int:
    """Open the serial console of a VM, by default of the last one created."""
    target = one(session, name)
    return open_console(session, target.config, target.name, serial=True)


def open_console(session: Session, config: Kconfig, name: str, *, serial: bool) -> int:
    """Open a console of VM *name*; return the exit code."""
    if serial:
        return _serial(session, config.k.serialconsole(name))
    known = config.k.console(name)
    return _tunnelled(session, config, known) if known.get('tunnel') else _display(session, known)


def _serial(session: Session, known: dict[str, Any]) -> int:
    if session.output != 'table':
        output.facts(session, known)
    elif 'command' in known:
        return _run(known['command'])
    else:
        click.echo(known.get('output', ''), nl=False)
    return 0


def _display(session: Session, known: dict[str, Any]) -> int:
    url = known.get('url') or _url(known)
    viewer = _viewer()
    if session.output != 'table':
        output.facts(session, {'url': url, **known})
    elif viewer:
        return _view(viewer, url, known)
    else:
        click.echo(url)
    return 0


def _web(session: Session, config: Kconfig, name: str, novnc: str | None) -> int:
    """Show a display in the browser that opens the printed address, until it is closed there."""
    known = config.k.console(name, web=True)
    address = known.get('url', '')
    if address.startswith(('http://', 'https://')):  # the platform has pages of its own
        _address(session, address)
        return 0
    if not address.startswith(('ws://', 'wss://')) and known.get('protocol') != 'vnc':
        raise NotSupported(f"VM {name} has a {str(known.get('protocol')).upper()} display, and browsers are shown VNC only",
                           hint=f"'kvirt console {name}' opens it in a viewer")
    from kvirt.webdisplay import NOVNC, Display, novnc_files, serve
    files = novnc_files(novnc or NOVNC)
    if address.startswith('ws'):
        display = Display(f'VM {name}', url=address, password=known.get('password') or '')
    else:
        display = Display(f'VM {name}', known['host'], known['port'], known.get('password') or '',
                          way=_way(config, known) if known.get('tunnel') else ())

    def ready(address: str) -> None:
        _address(session, address)
        session.say('Open it in a browser on this machine; it works once. Ctrl-C ends it')
    serve(display, files, ready)
    session.say(f'The display of VM {name} was closed')
    return 0


def _way(config: Kconfig, known: dict[str, Any]) -> list[str]:
    """Return the words of ssh that connect standard input and output to a display on the client's host."""
    ssh, *words = config.host_words() or ['ssh', '-T', '-o', 'BatchMode=yes', '--', str(known['tunnel'])]
    host = f"[{known['host']}]" if ':' in known['host'] else known['host']
    return [ssh, '-W', f"{host}:{known['port']}", *words]


def _address(session: Session, address: str) -> None:
    if session.output in ('table', 'name'):
        click.echo(address)
    else:
        output.facts(session, {'url': address})
    sys.stdout.flush()  # whoever reads it waits for it, and this process stays


def _tunnelled(session: Session, config: Kconfig, known: dict[str, Any]) -> int:
    """Open a display that only its host can reach: over ssh, which a viewer gets for as long as it runs."""
    port = _free_port(int(known['port']))
    words = config.forward_words(str(known['host']), int(known['port']), port)
    near = {**known, 'host': '127.0.0.1', 'port': port}
    viewer = _viewer()
    if session.output != 'table':
        output.facts(session, {'url': _url(known), **known, 'tunnel_url': _url(near), 'tunnel_command': words})
        return 0
    if not viewer:
        click.echo(_url(near))
        session.say(f'It answers while this runs: {shlex.join(words)}')
        return 0
    try:
        with subprocess.Popen(words, stdin=subprocess.DEVNULL) as way:
            try:
                until(lambda: way.poll() is not None or _answers(port), what='the way to the display', timeout=_PATIENCE,
                      interval=0.1)
                if way.poll() is not None:
                    raise KvirtError(f'ssh ended with code {way.returncode}: there is no way to the display')
                return _view(viewer, _url(near), near)
            finally:
                way.terminate()
    except FileNotFoundError:
        raise MissingDependency('ssh is not installed', hint='On Debian: apt install openssh-client') from None


def _viewer() -> str | None:
    return shutil.which('remote-viewer') if is_terminal('stdout') else None


def _url(known: dict[str, Any]) -> str:
    return f"{known['protocol']}://{known['host']}:{known['port']}"


def _free_port(wanted: int) -> int:
    """Return a port of this machine that nobody listens at, the *wanted* one where it is free."""
    for port in (wanted, 0):
        with socket.socket() as listener, contextlib.suppress(OSError):
            listener.bind(('127.0.0.1', port))
            found: int = listener.getsockname()[1]
            return found
    raise KvirtError('this machine has no free port')


def _answers(port: int) -> bool:
    with socket.socket() as way:
        return way.connect_ex(('127.0.0.1', port)) == 0


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
