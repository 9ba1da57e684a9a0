"""Ssh to guests: with the host key they were born with, and without any shell on this side.

Host keys are kept in a known-hosts file of kvirt's own, under an alias for each VM, so that an address that another VM
had before is no matter. Where this machine has not seen a VM, its key is fetched, compared with the fingerprint that
the VM carries, and kept.
"""

from __future__ import annotations

import contextlib
import re
import shlex
import shutil
import socket
import subprocess
import tarfile
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO

from kvirt.errors import (
    Conflict,
    InvalidInput,
    KvirtError,
    MissingDependency,
    NotFound,
    TimedOut,
    Unauthorized,
    Unavailable,
)
from kvirt.guest import state
from kvirt.guest.hostkeys import known, pin
from kvirt.guest.jump import CONNECT, Jump, file_option, refusal
from kvirt.guest.keys import fingerprint
from kvirt.names import counted
from kvirt.wait import CANCEL, SYSTEM, Clock, until

_PATIENCE = 120.0  # seconds a booting guest may refuse us: it may answer before our key, or its own, is in place
_OTHER = 'Either another machine has that address, or its key was changed'
_WORD = re.compile(r'[^\s\x00-\x1f\x7f-]\S*')


@dataclass(frozen=True)
class Target:
    """A guest to reach: where, as whom, and how to know that it is the right one.

    ``alias`` names its host key; ``fingerprint`` is the one that the VM carries, None when it was made without.
    ``identity`` is a private key file, None for those that ssh finds by itself. ``jump`` is the host to go over:
    ``user@host:port`` as the user's own ssh knows it, or one with a key and host keys of its own. InvalidInput for words
    that ssh would take for something else.
    """

    host: str
    user: str
    alias: str
    port: int = 22
    fingerprint: str | None = None
    identity: str | None = None
    jump: Jump | str | None = None
    insecure: bool = False

    def __post_init__(self) -> None:
        for what, word in (('host', self.host), ('user', self.user), ('alias', self.alias)):
            if not _WORD.fullmatch(word) or (what == 'alias' and set(word) & set(',*?!|#@')):
                raise InvalidInput(f'{word!r} can not be the {what} of an ssh connection')
        if isinstance(self.jump, str):
            Jump.parse(self.jump)


def options(target: Target, known_hosts: Path) -> list[str]:
    """Return the options that ssh and scp share."""
    chosen = {'ConnectTimeout': str(CONNECT), 'GlobalKnownHostsFile': '/dev/null', 'UpdateHostKeys': 'no'}
    if target.insecure:
        chosen |= {'StrictHostKeyChecking': 'no', 'UserKnownHostsFile': '/dev/null', 'LogLevel': 'ERROR'}
    else:
        chosen |= {'StrictHostKeyChecking': 'yes', 'UserKnownHostsFile': file_option(str(known_hosts)),
                   'HostKeyAlias': target.alias, 'CheckHostIP': 'no'}
    if target.identity:
        chosen |= {'IdentitiesOnly': 'yes'}
    return [*(word for key, value in chosen.items() for word in ('-o', f'{key}={value}')),
            *(['-i', target.identity] if target.identity else []), *_over_jump(target.jump)]


def _over_jump(jump: Jump | str | None) -> list[str]:
    if isinstance(jump, Jump):
        return jump.proxy()
    return ['-J', jump] if jump else []


def command(target: Target, known_hosts: Path, remote: Sequence[str] = (), *, extra: Sequence[str] = ()) -> list[str]:
    """Return the arguments of ssh to *target*: to a shell, or for the command *remote*, which the guest's shell reads.

    *extra* are options of ssh as the user gave them: ``-L``, ``-D``, ``-t``, ...
    """
    where = ['-p', str(target.port), '-l', target.user]
    return ['ssh', *options(target, known_hosts), *extra, *where, '--', target.host, *remote]


def copy_command(target: Target, known_hosts: Path, source: str, destination: str, *,
                 recursive: bool = False) -> list[str]:
    """Return the arguments of scp. The path in the guest is the one of the two that begins with a colon."""
    host = f'[{target.host}]' if ':' in target.host else target.host
    ends = [f'{target.user}@{host}{end}' if end.startswith(':') else _local(end) for end in (source, destination)]
    return ['scp', *options(target, known_hosts), '-P', str(target.port), *(['-r'] if recursive else []), '--', *ends]


def _local(path: str) -> str:
    return path if path.startswith(('/', './')) else f'./{path}'  # a colon in a local name is no host


# host keys


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
        raise Unauthorized(f'the VM at {target.host} carries no fingerprint of an ssh host key to verify it by',
                           hint='It was made by another program, or with insecure: true; ssh with --insecure')
    offered = fetch_host_key(target)
    if fingerprint(offered) != target.fingerprint:
        raise Unauthorized(f'{target.host} has the ssh host key {fingerprint(offered)}, but the VM was made with '
                           f'{target.fingerprint}', hint=_OTHER)
    pin(known_hosts, target.alias, offered)


def fetch_host_key(target: Target) -> str:
    """Return the ed25519 host key that the server at *target* offers. Unavailable when it does not answer."""
    import paramiko
    try:
        with _over(target) if target.jump else socket.create_connection((target.host, target.port), CONNECT) as connection:
            return _offered(connection)
    except paramiko.ssh_exception.IncompatiblePeer:
        raise Unauthorized(f'ssh on {target.host} has no ed25519 host key, as the VM was made with') from None
    except (OSError, EOFError, paramiko.SSHException) as error:
        raise Unavailable(f'ssh on {target.host} does not answer: {error}') from None


def _offered(connection: socket.socket) -> str:
    import paramiko
    transport = paramiko.Transport(connection)
    try:
        transport.get_security_options().key_types = ('ssh-ed25519',)
        transport.start_client(timeout=CONNECT)
        key = transport.get_remote_server_key()
        return f'{key.get_name()} {key.get_base64()}'
    finally:
        transport.close()


def _jump(target: Target) -> Jump:
    assert target.jump is not None
    return Jump.parse(target.jump) if isinstance(target.jump, str) else target.jump


@contextlib.contextmanager
def _over(target: Target) -> Iterator[socket.socket]:
    """Give a connection to *target* through the host to jump over."""
    host = f'[{target.host}]' if ':' in target.host else target.host
    arguments = _jump(target).words('-o', 'BatchMode=yes', '-o', 'LogLevel=ERROR', '-W', f'{host}:{target.port}')
    ours, theirs = socket.socketpair()
    end = theirs.fileno()
    with ours, theirs, tempfile.TemporaryFile() as said, \
            subprocess.Popen(arguments, stdin=end, stdout=end, stderr=said) as way:
        theirs.close()
        try:
            yield ours
        except Exception:
            way.terminate()
            way.wait()
            said.seek(0)
            text = said.read().decode(errors='replace').strip()
            if text and _FURTHER not in text:
                raise refusal(_jump(target).host, text) from None
            raise
        finally:
            way.terminate()


# commands


@dataclass(frozen=True)
class Answer:
    """What a command in a guest did."""

    status: int
    output: str
    errors: str


def run(target: Target, known_hosts: Path, script: str, *, timeout: float = 60, heed: Callable[[], None] | None = None,
        every: float = 3.0) -> Answer:
    """Run *script* by the guest's shell, without asking anything.

    *heed* is called every so many seconds meanwhile; what it raises ends ssh. Unavailable when the guest can't be reached,
    Unauthorized when it or the user is not accepted, TimedOut.
    """
    with tempfile.TemporaryFile() as output:
        status, errors = _run_into(output, target, known_hosts, script, timeout, heed, every)
        output.seek(0)
        return Answer(status, output.read().decode(errors='replace'), errors)


def _run_into(output: IO[bytes], target: Target, known_hosts: Path, script: str, timeout: float,
              heed: Callable[[], None] | None = None, every: float = 3.0) -> tuple[int, str]:
    """Let *script* write what it prints to *output*; return its status and what it said beside that. Else as ``run``."""
    learn(target, known_hosts)
    extra = ['-T', '-o', 'BatchMode=yes', '-o', 'ServerAliveInterval=10', '-o', 'LogLevel=ERROR']
    try:
        process = subprocess.Popen(command(target, known_hosts, ['sh', '-s'], extra=extra), stdin=subprocess.PIPE,
                                   stdout=output, stderr=subprocess.PIPE)
    except OSError as error:
        raise MissingDependency(f'ssh can not be run: {error.strerror}',
                                hint='On Debian: apt install openssh-client') from None
    with process:
        try:
            said = _heeding(process, script.encode(), timeout, heed, every)
        except subprocess.TimeoutExpired:
            raise TimedOut(f'a command in {target.host} did not end within {counted(timeout, "second")}') from None
        finally:
            process.kill()  # nothing happens to one that has ended
    errors = said.decode(errors='replace')
    refusal = _refusal(target, errors.strip()) if process.returncode == 255 else None
    if refusal:
        raise refusal
    return process.returncode, errors


def _heeding(process: subprocess.Popen[bytes], text: bytes, timeout: float, heed: Callable[[], None] | None,
             every: float) -> bytes:
    """Give *text* to a process, and return what it says of errors; call *heed* every so many seconds until it has ended."""
    rest: bytes | None = text
    deadline = SYSTEM.now() + timeout
    while True:
        left = max(0.0, deadline - SYSTEM.now())
        try:
            return process.communicate(rest, timeout=min(every, left) if heed else left)[1]
        except subprocess.TimeoutExpired:
            if heed is None or left <= every:
                raise
        rest = None  # communicate keeps what is not yet given
        heed()


def fetch(target: Target, known_hosts: Path, origin: str, destination: Path, *, timeout: float = 600) -> Path:
    """Bring file or folder *origin* of the guest here, read as root where the user may; return where it is now.

    It goes into *destination* where that is a folder, and else takes its place. NotFound when there is no such thing in
    the guest; a file that is written is whole or not there. Errors as ``run``.
    """
    path = PurePosixPath(origin if '/' in origin else f'/root/{origin}')
    if path.name in ('', '..'):
        raise InvalidInput(f'{origin!r} names no file of a guest')
    place, name = shlex.quote(str(path.parent)), shlex.quote(path.name)
    script = (f'may=; [ "$(id -u)" = 0 ] || may="sudo -n"; $may test -e {place}/{name} || exit {_NOT_THERE}; '
              f'exec $may tar -C {place} -chf - -- {name}')
    final = destination / path.name if destination.is_dir() else destination
    with tempfile.TemporaryFile() as packed:
        status, errors = _run_into(packed, target, known_hosts, script, timeout)
        if status == _NOT_THERE:
            raise NotFound(f'the guest at {target.host} has no {path}')
        if status:
            raise Conflict(f'{path} of the guest at {target.host} can not be read: {errors.strip() or status}')
        packed.seek(0)
        try:
            _unpack(packed, path.name, final)
        except tarfile.TarError as error:
            raise Conflict(f'the guest at {target.host} sent what is not {path}: {error}') from None
        except OSError as error:
            raise InvalidInput(f'{final} can not be written: {error.strerror}') from None
    return final


_NOT_THERE = 44
"""The status of the guest's script when it has no such file."""


def _unpack(packed: IO[bytes], name: str, final: Path) -> None:
    """Put *name* of an archive in the place of *final*; a folder is added to one that is there."""
    final.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix='.kvirt-', dir=final.parent) as folder:
        with tarfile.open(fileobj=packed) as archive:
            archive.extractall(folder, filter='data')  # nothing that would land elsewhere
        brought = Path(folder, name)
        if brought.is_dir():
            shutil.copytree(brought, final, dirs_exist_ok=True)
        else:
            brought.replace(final)


_LOST = re.compile(r'^(ssh: |kex_exchange|Connection (closed|reset|timed out|to )|Timeout, server|client_loop|channel \d|'
                   r'ssh_exchange|mux_client|Bad |Could not resolve|banner exchange)', re.MULTILINE)


_BEFORE = 'kex_exchange_identification: '
"""What ssh writes where the way to a host ended before the host said who it is."""
_FURTHER = 'stdio forwarding failed'
"""What it writes of the way where the host to jump over let it in, and the guest could not be reached from there."""


def _refusal(target: Target, text: str) -> KvirtError | None:
    """Return why ssh itself failed, None when status and text are those of the command."""
    last = text.splitlines()[-1] if text else ''
    before = text.partition(_BEFORE)[0].strip()
    if target.jump and _BEFORE in text and before:
        if _FURTHER not in before:  # it came no further than the host to jump over
            return refusal(_jump(target).host, before)
        last = before.splitlines()[0]
    if 'Permission denied (' in text or 'Too many authentication failures' in text:
        return Unauthorized(f'{target.host} does not let {target.user} in: {last}', hint='Is it the right key and user?')
    if 'Host key verification failed' in text:
        return Unauthorized(f'{target.host} has another ssh host key than the VM was made with', hint=_OTHER)
    return Unavailable(f'ssh to {target.host} failed: {last}') if _LOST.search(text) else None


def wait_configured(target: Target, known_hosts: Path, *, timeout: float, interval: float = 3.0, cmds: Sequence[str] = (),
                    clock: Clock = SYSTEM, tick: Callable[[float], None] | None = None) -> None:
    """Wait until the guest has configured itself. Conflict tells what failed in it, TimedOut that it took too long.

    *cmds* are the commands as the user wrote them, so that one that failed can be named by its text. A guest answers when
    it is done, or after ten seconds: that costs it, and a host that emulates it, less than ever new connections.
    """
    refused_at: float | None = None
    begun = clock.now()

    def heed() -> None:
        CANCEL.check()
        if tick:
            tick(clock.now() - begun)

    def look() -> state.State | None:
        nonlocal refused_at
        try:
            answer = run(target, known_hosts, state.PATIENT_QUESTION, timeout=min(60, timeout), heed=heed, every=interval)
        except TimedOut as error:
            raise Unavailable(error.reason) from None  # a guest may be too busy to answer
        except Unauthorized:
            refused_at = clock.now() if refused_at is None else refused_at
            if clock.now() - refused_at >= _PATIENCE:
                raise
            return None
        refused_at = None
        found = state.read(answer.output, cmds)
        return found if found.done else None

    found = until(look, what=f'the guest at {target.host} configuring itself', timeout=timeout, interval=interval,
                  clock=clock, tick=tick)
    if found.failures:
        raise Conflict(f"the guest at {target.host} could not configure itself: {'; '.join(found.failures)}",
                       hint=f'Its logs are {state.LOGS}')


def wait_command(target: Target, known_hosts: Path, script: str, *, timeout: float, interval: float = 5.0,
                 clock: Clock = SYSTEM, tick: Callable[[float], None] | None = None) -> str:
    """Wait until *script* succeeds in the guest, and return its output."""
    deadline = clock.now() + timeout

    def look() -> Answer | None:
        try:
            answer = run(target, known_hosts, script, timeout=max(1.0, deadline - clock.now()))
        except TimedOut:
            return None  # it took what was left, which is told with the whole
        return answer if answer.status == 0 else None

    return until(look, what=f'the command {shlex.quote(script)[:80]} succeeding in {target.host}', timeout=timeout,
                 interval=interval, clock=clock, tick=tick).output
