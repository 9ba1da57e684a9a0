"""Ssh to guests: with the host key they were born with, and without any shell on this side.

Host keys are kept in a known-hosts file of kvirt's own, under an alias for each VM, so that an address that another VM
had before is no matter. Where this machine has not seen a VM, its key is fetched, compared with the fingerprint that
the VM carries, and kept.
"""

from __future__ import annotations

import json
import shlex
import subprocess
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from kvirt.errors import Conflict, KvirtError, TimedOut, Unauthorized, Unavailable
from kvirt.guest.keys import fingerprint
from kvirt.wait import SYSTEM, Clock, until
from kvirt.yamlfile import locked, write_private

_CONNECT = 10  # seconds


@dataclass(frozen=True)
class Target:
    """A guest to reach: where, as whom, and how to know that it is the right one.

    ``alias`` names its host key; ``fingerprint`` is the one that the VM carries, None when it was made without.
    ``identity`` is a private key file, None for those that ssh finds by itself. ``jump`` is ``user@host:port``.
    """

    host: str
    user: str
    alias: str
    port: int = 22
    fingerprint: str | None = None
    identity: str | None = None
    jump: str | None = None
    insecure: bool = False


def options(target: Target, known_hosts: Path) -> list[str]:
    """Return the options that ssh and scp share."""
    if target.insecure:
        verified = ['-o', 'StrictHostKeyChecking=no', '-o', 'UserKnownHostsFile=/dev/null', '-o', 'LogLevel=ERROR']
    else:
        verified = ['-o', 'StrictHostKeyChecking=yes', '-o', f'UserKnownHostsFile="{known_hosts}"', '-o',
                    'GlobalKnownHostsFile=/dev/null', '-o', f'HostKeyAlias={target.alias}', '-o', 'CheckHostIP=no']
    chosen = [*verified, '-o', f'ConnectTimeout={_CONNECT}']
    if target.identity:
        chosen += ['-i', target.identity, '-o', 'IdentitiesOnly=yes']
    if target.jump:
        chosen += ['-J', target.jump]
    return chosen


def command(target: Target, known_hosts: Path, remote: Sequence[str] = (), *, extra: Sequence[str] = ()) -> list[str]:
    """Return the arguments of ssh to *target*: to a shell, or for the command *remote*, which the guest's shell reads.

    *extra* are options of ssh as the user gave them: ``-L``, ``-D``, ``-t``, ...
    """
    arguments = ['ssh', *options(target, known_hosts), '-p', str(target.port), *extra, '-l', target.user, '--', target.host]
    return [*arguments, *remote]


def copy_command(target: Target, known_hosts: Path, source: str, destination: str, *, recursive: bool = False) -> list[str]:
    """Return the arguments of scp. The path in the guest is the one of the two that begins with a colon."""
    host = f'[{target.host}]' if ':' in target.host else target.host
    ends = [f'{target.user}@{host}{end}' if end.startswith(':') else _local(end) for end in (source, destination)]
    return ['scp', *options(target, known_hosts), '-P', str(target.port), *(['-r'] if recursive else []), '--', *ends]


def _local(path: str) -> str:
    return path if path.startswith(('/', './')) else f'./{path}'  # a colon in a local name is no host


# host keys


def known(known_hosts: Path, alias: str) -> str | None:
    """Return the public key that is kept for *alias*, None when there is none."""
    for line in _lines(known_hosts):
        words = line.split(None, 1)
        if len(words) == 2 and words[0] == alias:
            return words[1]
    return None


def pin(known_hosts: Path, alias: str, public_key: str) -> None:
    """Keep *public_key* for *alias*, in place of another one."""
    kind, blob = public_key.split()[:2]
    _rewrite(known_hosts, alias, [f'{alias} {kind} {blob}'])


def forget(known_hosts: Path, alias: str) -> None:
    """Keep no key for *alias* any longer."""
    if known(known_hosts, alias) is not None:
        _rewrite(known_hosts, alias, [])


def _rewrite(known_hosts: Path, alias: str, added: list[str]) -> None:
    with locked(known_hosts):
        kept = [line for line in _lines(known_hosts) if line.split(None, 1)[:1] != [alias]]
        write_private(known_hosts, ''.join(f'{line}\n' for line in [*kept, *added]))


def _lines(known_hosts: Path) -> list[str]:
    try:
        return known_hosts.read_text(encoding='utf-8').splitlines()
    except FileNotFoundError:
        return []


def learn(target: Target, known_hosts: Path) -> None:
    """Make sure that the host key of *target* is kept: fetch it and compare it with the fingerprint the VM carries.

    Unauthorized when they differ, or when the VM carries none. Nothing is done for a target that is insecure.
    """
    if target.insecure:
        return
    have = known(known_hosts, target.alias)
    if have is not None and target.fingerprint in (None, fingerprint(have)):
        return
    if target.fingerprint is None:
        raise Unauthorized(f'the VM at {target.host} carries no fingerprint of an ssh host key, so it can not be verified',
                           hint='It was made by another program, or with insecure: true; ssh with --insecure')
    offered = fetch_host_key(target)
    if fingerprint(offered) != target.fingerprint:
        raise Unauthorized(f'{target.host} has the ssh host key {fingerprint(offered)}, not {target.fingerprint}, which the '
                           'VM was made with', hint='Either another machine has that address, or its key was changed')
    pin(known_hosts, target.alias, offered)


def fetch_host_key(target: Target) -> str:
    """Return the ed25519 host key that the server at *target* offers. Unavailable when it does not answer."""
    if target.jump:
        return _keyscan_over(target)
    import socket

    import paramiko
    try:
        with socket.create_connection((target.host, target.port), timeout=_CONNECT) as connection:
            transport = paramiko.Transport(connection)
            try:
                transport.get_security_options().key_types = ('ssh-ed25519',)
                transport.start_client(timeout=_CONNECT)
                key = transport.get_remote_server_key()
                return f'{key.get_name()} {key.get_base64()}'
            finally:
                transport.close()
    except (OSError, EOFError, paramiko.SSHException) as error:
        raise Unavailable(f'ssh on {target.host} does not answer: {error}') from None


def _keyscan_over(target: Target) -> str:
    try:
        done = subprocess.run(['ssh', '-o', f'ConnectTimeout={_CONNECT}', '-o', 'BatchMode=yes', '--',
                               str(target.jump).partition(':')[0], 'ssh-keyscan', '-T', '5', '-t', 'ed25519', '-p',
                               str(target.port), target.host], capture_output=True, text=True, timeout=60, check=True)
    except (OSError, subprocess.SubprocessError) as error:
        raise Unavailable(f'the host key of {target.host} could not be fetched over {target.jump}: {error}') from None
    keys = [line.split(None, 1)[1] for line in done.stdout.splitlines() if ' ssh-ed25519 ' in line]
    if not keys:
        raise Unavailable(f'ssh on {target.host} does not answer to {target.jump}')
    return keys[0]


# commands


@dataclass(frozen=True)
class Answer:
    """What a command in a guest did."""

    status: int
    output: str
    errors: str


def run(target: Target, known_hosts: Path, script: str, *, timeout: float = 60) -> Answer:
    """Run *script* by the guest's shell, without asking anything.

    Unavailable when the guest can't be reached, Unauthorized when it or the user is not accepted, TimedOut.
    """
    learn(target, known_hosts)
    arguments = command(target, known_hosts, ['sh', '-s'], extra=['-T', '-o', 'BatchMode=yes'])
    try:
        done = subprocess.run(arguments, input=script, capture_output=True, text=True, timeout=timeout, errors='replace')
    except subprocess.TimeoutExpired:
        raise TimedOut(f'a command in {target.host} did not end within {timeout:g} seconds') from None
    except OSError as error:
        raise Unavailable(f'ssh can not be run: {error.strerror}', hint='On Debian: apt install openssh-client') from None
    if done.returncode == 255:
        raise _refusal(target, done.stderr.strip())
    return Answer(done.returncode, done.stdout, done.stderr)


def _refusal(target: Target, text: str) -> KvirtError:
    last = text.splitlines()[-1] if text else 'no reason was given'
    if 'Permission denied' in text:
        return Unauthorized(f'{target.host} does not let {target.user} in: {last}', hint='Is it the right key and user?')
    if 'Host key verification failed' in text:
        return Unauthorized(f'{target.host} has another ssh host key than the VM was made with')
    return Unavailable(f'ssh to {target.host} failed: {last}')


_STATE = r"""
if [ -e /var/lib/kvirt/run.sh ] || [ -d /var/lib/kvirt ]; then
    if sudo -n true 2>/dev/null; then elevate='sudo -n'; else elevate=; fi
    if ! $elevate test -e /var/lib/kvirt/finished; then echo working; else echo finished
        $elevate cat /var/lib/kvirt/failures 2>/dev/null | while read -r code step; do
            echo "failed $code $($elevate head -n 1 "$step" | cut -c 1-200)"; done
    fi
else echo none; fi
if [ -d /run/cloud-init ]; then
    if [ -e /var/lib/cloud/instance/boot-finished ]; then echo cloud-init finished; else echo cloud-init working; fi
    cat /run/cloud-init/result.json 2>/dev/null
fi
"""


def wait_configured(target: Target, known_hosts: Path, *, timeout: float, interval: float = 3.0, clock: Clock = SYSTEM,
                    tick: Callable[[float], None] | None = None) -> None:
    """Wait until the guest has configured itself. Conflict tells what failed in it, TimedOut that it took too long."""
    refused = 0

    def look() -> list[str] | None:
        nonlocal refused
        try:
            answer = run(target, known_hosts, _STATE, timeout=min(60, timeout))
        except Unauthorized as error:
            # While it boots a guest may answer before the user's key is there; a wrong host key is final.
            refused += 1
            if 'host key' in error.reason or refused > 40:
                raise
            return None
        return finished(answer.output)

    told = until(look, what=f'the guest at {target.host} configuring itself', timeout=timeout, interval=interval,
                 clock=clock, tick=tick)
    if told[1:]:
        raise Conflict(f"the guest at {target.host} could not configure itself: {'; '.join(told[1:])}",
                       hint='Its logs are /var/log/kvirt.log and /var/log/cloud-init-output.log')


def finished(output: str) -> list[str] | None:
    """Read what a guest told of its state: None while it works, else ``['finished', failure, ...]``."""
    lines = output.splitlines()
    if not lines or lines[0] == 'working' or 'cloud-init working' in lines:
        return None
    failures = []
    for line in lines:
        if line.startswith('failed '):
            _, code, step = line.split(' ', 2)
            failures.append(f'a command ended with {code}: {step}')
    text = '\n'.join(lines[lines.index('cloud-init finished') + 1:]) if 'cloud-init finished' in lines else ''
    try:
        errors = json.loads(text).get('v1', {}).get('errors', []) if text.strip() else []
    except ValueError:
        errors = []
    return ['finished', *failures, *(f'cloud-init: {error}' for error in errors)]


def wait_command(target: Target, known_hosts: Path, script: str, *, timeout: float, interval: float = 5.0,
                 clock: Clock = SYSTEM, tick: Callable[[float], None] | None = None) -> str:
    """Wait until *script* succeeds in the guest, and return its output."""
    def look() -> Answer | None:
        answer = run(target, known_hosts, script, timeout=min(300, timeout))
        return answer if answer.status == 0 else None
    return until(look, what=f'the command {shlex.quote(script)[:80]} succeeding in {target.host}', timeout=timeout,
                 interval=interval, clock=clock, tick=tick).output


