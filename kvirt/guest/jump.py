"""Ssh to the host that VMs run on, or to one on the way to them: what is beyond it is reached over it.

The user's own ssh does the work, with its agent and configuration; what a client says of its host comes first.
"""

from __future__ import annotations

import hashlib
import re
import shlex
from dataclasses import dataclass
from pathlib import Path

from kvirt.errors import InvalidInput, KvirtError, Unauthorized, Unavailable

CONNECT = 10
"""Seconds that a host may take to answer, up to the end of the exchange of keys."""

_TEXT = re.compile(r'(?:(?P<user>[^\s@-][^\s@]*)@)?(?P<host>\[[0-9A-Fa-f:.]+\]|[^\s@:\[-][^\s@:\[]*)'
                   r'(?::(?P<port>\d{1,5}))?')
_WORD = re.compile(r'[^\s\x00-\x1f\x7f-][^\s\x00-\x1f\x7f]*')


@dataclass(frozen=True)
class Jump:
    """A host that ssh reaches.

    ``identity`` is a private key file, ``known_hosts`` a file with the host keys that are accepted, and which ``insecure``
    does not open; without them ssh takes what it finds by itself. InvalidInput for words that ssh would take for something
    else.
    """

    host: str
    user: str | None = None
    port: int | None = None
    identity: str | None = None
    known_hosts: str | None = None
    insecure: bool = False

    def __post_init__(self) -> None:
        for what, word in (('host', self.host), ('user', self.user)):
            if word is not None and not _WORD.fullmatch(word):
                raise InvalidInput(f'{word!r} can not be the {what} of an ssh connection')

    @classmethod
    def parse(cls, text: str) -> Jump:
        """Read ``user@host:port``."""
        match = _TEXT.fullmatch(text)
        if match is None:
            raise InvalidInput(f'{text!r} is no host to jump over', hint='Write user@host:port')
        return cls(match['host'].strip('[]'), match['user'], int(match['port']) if match['port'] else None)

    def options(self) -> list[str]:
        """Return the options of ssh that say how patient it is, and which keys count."""
        chosen = {'ConnectTimeout': str(CONNECT), 'ServerAliveInterval': '10'}
        if self.known_hosts:
            chosen |= {'StrictHostKeyChecking': 'yes', 'UserKnownHostsFile': file_option(self.known_hosts),
                       'GlobalKnownHostsFile': '/dev/null', 'UpdateHostKeys': 'no'}
        elif self.insecure:
            chosen |= {'StrictHostKeyChecking': 'no', 'UserKnownHostsFile': '/dev/null', 'LogLevel': 'ERROR'}
        if self.identity:
            chosen |= {'IdentitiesOnly': 'yes'}
        return [word for key, value in chosen.items() for word in ('-o', f'{key}={value}')]

    def words(self, *extra: str) -> list[str]:
        """Return the words of ssh to the host, with *extra* options; a command may follow them."""
        return ['ssh', *self.options(), *(['-i', self.identity] if self.identity else []), *extra,
                *(['-l', self.user] if self.user else []), *(['-p', str(self.port)] if self.port else []),
                '--', self.host]

    def proxy(self) -> list[str]:
        """Return the options of ssh to what is beyond the host."""
        there = '[%h]:%p'  # these two ssh fills in, and no other % is its business
        way = shlex.join(self.words('-W', there)).replace('%', '%%').replace(there.replace('%', '%%'), there)
        return ['-o', f'ProxyCommand={way}']

    def complaint(self) -> str:
        """Return what ssh writes when it reaches the host and asks nobody for anything; nothing when it gets there."""
        import subprocess
        words = [*self.words('-T', '-o', 'BatchMode=yes'), 'true']
        try:
            return subprocess.run(words, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
                                  text=True, errors='replace', timeout=2 * CONNECT).stderr
        except (OSError, subprocess.TimeoutExpired) as error:
            return f'ssh: {error}'

    def program(self, folder: Path) -> Path:
        """Return a program in *folder* that is ssh with these options, for who can only name a program."""
        from kvirt.yamlfile import write_private
        text = f'#!/bin/sh\nexec {shlex.join(["ssh", *self.options()])} "$@"\n'
        path = folder / f'ssh-{hashlib.sha256(text.encode()).hexdigest()[:12]}'
        if not path.is_file() or path.read_text(encoding='utf-8') != text:
            write_private(path, text, mode=0o700)
        return path


def file_option(path: str) -> str:
    """Return a file as an option of ssh, which expands % and reads white space as the end."""
    return '"' + path.replace('%', '%%').replace('"', '\\"') + '"'


def refusal(who: str, text: str) -> KvirtError:
    """Return what ssh to the host *who* failed for, by what it wrote."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    denied = next((line for line in lines if 'Permission denied (' in line or 'Too many authentication failures' in line),
                  None)
    if 'HOST IDENTIFICATION HAS CHANGED' in text:
        place = re.search(r'Offending \S+ key in (.+)', text)
        return Unauthorized(f"{who} has another ssh host key than the one in {place[1] if place else 'known_hosts'}",
                            hint='Either another machine has that address, or its key was changed; find out which')
    if 'Host key verification failed' in text:
        return Unauthorized(f'the ssh host key of {who} is not known',
                            hint='Log in with ssh once and compare it, or name a file with it: known_hosts of the client')
    if denied:
        return Unauthorized(f'{who} lets nobody in by ssh: {denied}', hint='Is it the right user and key?')
    last = re.sub(r'^ssh: ', '', lines[-1] if lines else 'ssh ended')
    return Unavailable(f'ssh to {who} failed: {last}')
