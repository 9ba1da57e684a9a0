"""Logging in to VMs, and copying files: OpenSSH is run in kvirt's place, with the VM's host key already known."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, NoReturn

import click

from kvirt.cli.completion import live, vms
from kvirt.cli.context import Command, Session, command
from kvirt.cli.targets import one
from kvirt.cli.types import NAME
from kvirt.errors import InvalidInput, MissingDependency

if TYPE_CHECKING:
    from kvirt.config import Kconfig
    from kvirt.guest.ssh import Target

copyable = live(lambda config: [f"{row['name']}:" for row in config.k.list()])


class Ssh(Command):
    """Options may stand before and behind the VM's name, as with ssh; what follows them is the guest's own command."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        ctx.allow_interspersed_args = False
        if not ctx.resilient_parsing:
            words = self._words(ctx, args)
            if words:
                remote = self._words(ctx, words[1:])
                front, behind = args[:len(args) - len(words)], words[1:len(words) - len(remote)]
                args = [*(word for word in [*front, *behind] if word != '--'), '--', words[0], *remote]
        return super().parse_args(ctx, args)

    def _words(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Return what is left of *args* behind the options at their front."""
        options, _, _ = self.make_parser(ctx).parse_args(list(args))
        words = options.get('words')
        return list(words) if isinstance(words, tuple) else []


def _reaching(function: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options that ssh and scp share."""
    for decorator in (click.option('--insecure', is_flag=True, help="Do not verify the VM's host key."),
                      click.option('-p', '--port', type=click.IntRange(1, 65535), help='Port of ssh.'),
                      click.option('-J', '--jump', metavar='[USER@]HOST[:PORT]', help='Host to jump over.'),
                      click.option('-u', '-l', '--user', metavar='NAME', help='User to log in as.'),
                      click.option('-i', '--identityfile', metavar='FILE', help='Private key to use.')):
        function = decorator(function)
    return function


@command('ssh', cls=Ssh, example='kvirt ssh web uptime')
@click.argument('words', nargs=-1, metavar='[[USER@]VM] [COMMAND]...', type=click.UNPROCESSED, shell_complete=vms)
@_reaching
@click.option('-t', 'terminal', is_flag=True, help='Give the command a terminal.')
@click.option('-D', 'dynamic', metavar='[ADDRESS:]PORT', multiple=True, help='Forward a local port as a SOCKS proxy.')
@click.option('-L', 'local', metavar='FORWARD', multiple=True, help='Forward a local port, as in ssh.')
@click.option('-R', 'remote', metavar='FORWARD', multiple=True, help='Forward a port of the VM, as in ssh.')
@click.option('-X', 'x11', is_flag=True, help='Forward X11.')
@click.option('-Y', 'trusted', is_flag=True, help='Forward X11, trusted.')
def ssh(session: Session, words: tuple[str, ...], terminal: bool, dynamic: tuple[str, ...], local: tuple[str, ...],
        remote: tuple[str, ...], x11: bool, trusted: bool, **reaching: Any) -> NoReturn:
    """Log in to a VM, by default to the last one created, or run a command in it."""
    from kvirt.guest.ssh import command as ssh_command
    config, target = _target(session, words[0] if words else '', **reaching)
    extra = [flag for flag, given in (('-t', terminal), ('-X', x11), ('-Y', trusted)) if given]
    for flag, values in (('-D', dynamic), ('-L', local), ('-R', remote)):
        extra += [part for value in values for part in (flag, value)]
    _become(session, ssh_command(target, config.known_hosts, words[1:], extra=extra))


@command('scp', example='kvirt scp -r ./site web:/srv')
@click.argument('source', metavar='SOURCE', shell_complete=copyable)
@click.argument('destination', metavar='DESTINATION', shell_complete=copyable)
@_reaching
@click.option('-r', '--recursive', is_flag=True, help='Copy whole directories.')
def scp(session: Session, source: str, destination: str, recursive: bool, **reaching: Any) -> NoReturn:
    """Copy files to or from a VM: one of the two is [USER@]VM:PATH."""
    from kvirt.guest.ssh import copy_command
    there = [_is_remote(path) for path in (source, destination)]
    if sum(there) != 1:
        raise InvalidInput('one of the two must be in a VM: [USER@]VM:PATH; a local path with a colon begins with ./')
    ends = [source, destination]
    where, _, path = ends[there.index(True)].partition(':')
    config, target = _target(session, where, **reaching)
    ends[there.index(True)] = f':{path}'
    _become(session, copy_command(target, config.known_hosts, ends[0], ends[1], recursive=recursive))


def _is_remote(path: str) -> bool:
    return ':' in path and '/' not in path.partition(':')[0]


def _target(session: Session, where: str, *, user: str | None, port: int | None, identityfile: str | None,
            insecure: bool, jump: str | None) -> tuple[Kconfig, Target]:
    from kvirt.guest.ssh import learn
    before, _, name = where.rpartition('@')
    if name:
        NAME.convert(name, None, None)
    for word in (user or before, where):
        if word.startswith('-'):
            raise InvalidInput(f'{word!r} is neither a user nor a VM')
    vm = one(session, name or None)
    target = vm.config.ssh_target(vm.name, user=user or before or None)
    changes = {'port': port, 'identity': identityfile, 'insecure': insecure or None, 'jump': jump}
    target = replace(target, **{key: value for key, value in changes.items() if value is not None})
    learn(target, vm.config.known_hosts)
    return vm.config, target


def _become(session: Session, arguments: Sequence[str]) -> NoReturn:
    """Run OpenSSH in the place of this process, so that terminal, signals and exit code are its own."""
    session.close()
    sys.stdout.flush()
    sys.stderr.flush()
    try:
        os.execvp(arguments[0], list(arguments))
    except FileNotFoundError:
        raise MissingDependency(f'{arguments[0]} is not installed', hint='On Debian: apt install openssh-client') from None
