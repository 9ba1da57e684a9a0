"""Ssh keys: the users' public keys that go into a guest, and the host key that it is born with."""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from kvirt import redact
from kvirt.errors import InvalidInput, Problem
from kvirt.names import UNPLANNED, safe_name
from kvirt.spec import VmSpec
from kvirt.yamlfile import locked, write_private

_KINDS = ('ed25519', 'ecdsa', 'rsa')
_PUBLIC = re.compile(r'(?P<type>(?:ssh|ecdsa|sk-ssh|sk-ecdsa)-[a-z0-9@.-]+)[ \t]+(?P<key>[A-Za-z0-9+/=]+)'
                     r'(?:[ \t]+[^\x00-\x08\x0a-\x1f\x7f]*)?')


@dataclass(frozen=True)
class HostKey:
    """The ssh host key of a guest. ``private`` is in OpenSSH's own format, ``public`` a line ``ssh-ed25519 AAAA...``."""

    private: str = field(repr=False)
    public: str

    @classmethod
    def generate(cls) -> HostKey:
        """Make a fresh ed25519 key."""
        from cryptography.hazmat.primitives import serialization
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
        key = Ed25519PrivateKey.generate()
        private = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.OpenSSH,
                                    serialization.NoEncryption())
        public = key.public_key().public_bytes(serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH)
        redact.remember(private.decode())
        return cls(private.decode(), public.decode())

    @classmethod
    def read(cls, private: str) -> HostKey:
        """Return the pair of a private key in OpenSSH's format. InvalidInput for what is none, or needs a passphrase."""
        from cryptography.exceptions import UnsupportedAlgorithm
        from cryptography.hazmat.primitives import serialization
        redact.remember(private)
        try:
            key = serialization.load_ssh_private_key(private.encode(), None)
        except (ValueError, TypeError, UnsupportedAlgorithm):
            raise InvalidInput('this is no private ssh key that can be read') from None
        public = key.public_key().public_bytes(serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH)
        return cls(private, public.decode())

    @property
    def fingerprint(self) -> str:
        """The key's fingerprint as OpenSSH shows it: ``SHA256:...``."""
        return fingerprint(self.public)


def fingerprint(public_key: str) -> str:
    """Return the SHA256 fingerprint of a public key line."""
    digest = hashlib.sha256(base64.b64decode(public_key.split()[1])).digest()
    return 'SHA256:' + base64.b64encode(digest).decode().rstrip('=')


def valid_key(text: str) -> str | None:
    """Return a public key line without surrounding space, None when *text* is none."""
    match = _PUBLIC.fullmatch(text.strip())
    if not match:
        return None
    try:
        blob = base64.b64decode(match['key'], validate=True)
    except binascii.Error:
        return None
    # A key is a row of fields, each after its length, and the first repeats the type: a truncated one fails here.
    fields = []
    while blob:
        length = 4 + int.from_bytes(blob[:4], 'big')
        if len(blob) < length:
            return None
        fields.append(blob[4:length])
        blob = blob[length:]
    return text.strip() if len(fields) > 1 and fields[0] == match['type'].encode() else None


def public_keys(spec: VmSpec, *, home: Path | None = None, basedir: Path = Path('.')) -> tuple[str, ...]:
    """Return the public keys that *spec* puts into the guest.

    Without any, the first of kvirt's home, of ``~/.ssh``, of the ssh agent. InvalidInput names each that is no key, and
    tells how to make one when there is none at all.
    """
    if spec.nokeys:
        return ()
    if spec.keys:
        return _given(spec.keys, basedir)
    for folder in (*([home] if home else []), Path.home() / '.ssh'):
        for kind in _KINDS:
            path = folder / f'id_{kind}.pub'
            if path.is_file():
                key = valid_key(path.read_text(errors='replace'))
                if key is None:
                    raise InvalidInput(f'{path} is no public ssh key')
                return (key,)
    agent = _from_agent()
    if agent:
        return agent
    raise InvalidInput('there is no public ssh key to put into the guest',
                       hint='Run: ssh-keygen -t ed25519, or give keys, or nokeys: true')


def shared_key(home: Path, plan: str) -> HostKey:
    """Return the key pair that VMs of a plan share; made when there is none, and kept in kvirt's home."""
    path = _of_plan(home, plan)
    with locked(path.parent / 'all'):
        if not path.is_file():
            write_private(path, HostKey.generate().private)
        try:
            return HostKey.read(path.read_text(encoding='utf-8'))
        except (InvalidInput, UnicodeDecodeError):
            raise InvalidInput(Problem(f'{path} is no private ssh key', 'sharedkey')) from None


def forget_shared_key(home: Path, plan: str) -> None:
    """Delete the key pair that VMs of a plan shared."""
    _of_plan(home, plan).unlink(missing_ok=True)


def _of_plan(home: Path, plan: str) -> Path:
    return home / 'plans' / f"{safe_name('plan', plan)}.key"


def private_faults(spec: VmSpec) -> Iterator[Problem]:
    """Yield why a guest can't be given the private keys that *spec* says."""
    if spec.sharedkey and spec.plan == UNPLANNED:
        yield Problem('sharedkey is for the VMs of a plan', 'sharedkey')
    if spec.sharedkey and spec.privatekey:
        yield Problem('a guest has one private key: sharedkey, or privatekey', 'privatekey')


def private_files(spec: VmSpec, *, home: Path | None) -> tuple[tuple[tuple[str, str, str], ...], tuple[str, ...]]:
    """Return the private keys that *spec* puts into the guest: files (path, content, mode), and public keys to let in.

    InvalidInput where there is none to put in.
    """
    if spec.sharedkey:
        if home is None:
            raise InvalidInput(Problem('there is no home to keep the key pair of the plan in', 'sharedkey'))
        pair = shared_key(home, spec.plan)
        name = '/root/.ssh/id_ed25519'
        return ((name, pair.private, '0600'), (f'{name}.pub', f'{pair.public} {spec.plan}\n', '0644')), (pair.public,)
    if not spec.privatekey:
        return (), ()
    for folder in (*([home] if home else []), Path.home() / '.ssh'):
        for kind in _KINDS:
            path = folder / f'id_{kind}'
            if path.is_file():
                private = path.read_text(encoding='utf-8', errors='replace')
                redact.remember(private)
                return ((f'/root/.ssh/id_{kind}', private, '0600'),), ()
    raise InvalidInput(Problem('there is no private ssh key of yours to put into the guest', 'privatekey'),
                       hint='Run: ssh-keygen -t ed25519')


def _given(keys: tuple[str, ...], basedir: Path) -> tuple[str, ...]:
    problems: list[Problem] = []
    found: list[str] = []
    for entry in keys:
        try:
            # A key has at least two words, and so has hardly any path.
            lines = [entry] if re.match(r'(ssh|ecdsa|sk)-\S+\s', entry) else _lines(basedir / Path(entry).expanduser())
        except (OSError, UnicodeDecodeError, ValueError, RuntimeError):
            problems.append(Problem(f'{entry[:60]!r} is neither a public ssh key nor a file that holds one', 'keys'))
            continue
        valid = [key for key in map(valid_key, lines) if key]
        if len(valid) < len(lines) or not valid:
            private = any('PRIVATE KEY' in line for line in lines)
            fault = 'is a private key; name the .pub file beside it' if private else 'is no valid public ssh key'
            problems.append(Problem(f'{entry[:60]!r} {fault}', 'keys'))
        found += valid
    if problems:
        raise InvalidInput(problems)
    return tuple(dict.fromkeys(found))


def _lines(path: Path) -> list[str]:
    return [line for line in path.read_text(encoding='utf-8').splitlines() if line.strip() and not line.startswith('#')]


def _from_agent() -> tuple[str, ...]:
    import subprocess
    try:
        done = subprocess.run(['ssh-add', '-L'], capture_output=True, text=True, timeout=10, check=True)
    except (OSError, subprocess.SubprocessError):
        return ()
    return tuple(key for key in map(valid_key, done.stdout.splitlines()) if key)


def private_key_for(home: Path) -> Path | None:
    """Return the private key of kvirt's home, None when there is none: ssh looks into ``~/.ssh`` by itself."""
    found = (home / f'id_{kind}' for kind in _KINDS)
    return next((path for path in found if path.is_file()), None)


