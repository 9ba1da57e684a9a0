"""Public keys for guests: which are taken, where they are looked for, and what is refused."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from kvirt import redact
from kvirt.errors import InvalidInput
from kvirt.guest.keys import HostKey, fingerprint, private_key_for, public_keys, valid_key
from kvirt.spec import decode_vm
from tests.unit.guest.conftest import KEY

OTHER = HostKey.generate().public


def keys(home: Path | None = None, basedir: Path = Path('.'), **keywords: object) -> tuple[str, ...]:
    return public_keys(decode_vm(keywords), home=home, basedir=basedir)


@pytest.fixture(autouse=True)
def nobody(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A user without any key, and without an agent."""
    home = tmp_path / 'user'
    (home / '.ssh').mkdir(parents=True)
    monkeypatch.setenv('HOME', str(home))
    monkeypatch.delenv('SSH_AUTH_SOCK', raising=False)
    return home


@pytest.mark.parametrize('kind', [('ed25519',), ('rsa', '-b', '2048'), ('ecdsa', '-b', '384'), ('ecdsa', '-b', '521')])
def test_keys_of_openssh_are_valid(tmp_path: Path, kind: tuple[str, ...]) -> None:
    subprocess.run(['ssh-keygen', '-q', '-t', *kind, '-N', '', '-C', 'a comment: ü "', '-f', 'k'], cwd=tmp_path, check=True)
    line = (tmp_path / 'k.pub').read_text()
    assert valid_key(line) == line.strip()
    shown = subprocess.run(['ssh-keygen', '-l', '-f', 'k.pub'], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert fingerprint(line) == shown.stdout.split()[1]


@pytest.mark.parametrize('text', [
    '', 'ssh-ed25519', 'ssh-ed25519 AAAA', KEY[:-20], KEY.replace('AAAAC3', 'AAAAC4'), KEY.replace('ed25519', 'rsa'),
    f'{KEY}\nssh-rsa x', f'{KEY}\rx', 'ssh-ed25519 ****', f'command="x" {KEY}', KEY.replace(' AAAA', ' AAAA\n')])
def test_what_is_no_key(text: str) -> None:
    assert valid_key(text.strip()) is None or text != text.strip()
    with pytest.raises(InvalidInput):
        keys(keys=[text])


def test_texts_and_files_and_files_of_several(tmp_path: Path) -> None:
    (tmp_path / 'ssh-keys').write_text(f'# mine\n{OTHER}\n\n{KEY}\n')
    assert keys(basedir=tmp_path, keys=[KEY, 'ssh-keys']) == (KEY, OTHER)


def test_all_that_is_wrong_is_told(tmp_path: Path) -> None:
    subprocess.run(['ssh-keygen', '-q', '-t', 'ed25519', '-N', '', '-f', 'id'], cwd=tmp_path, check=True)
    (tmp_path / 'empty').write_text('\n')
    (tmp_path / 'binary').write_bytes(b'\xff\xfe')
    with pytest.raises(InvalidInput) as caught:
        keys(basedir=tmp_path, keys=['id', 'missing.pub', 'empty', 'binary', KEY, 'ssh-ed25519 AAAA', '~nobody-here/x'])
    assert [str(problem) for problem in caught.value.problems] == [
        "keys: 'id' is a private key; name the .pub file beside it",
        "keys: 'missing.pub' is neither a public ssh key nor a file that holds one",
        "keys: 'empty' is no valid public ssh key",
        "keys: 'binary' is neither a public ssh key nor a file that holds one",
        "keys: 'ssh-ed25519 AAAA' is no valid public ssh key",
        "keys: '~nobody-here/x' is neither a public ssh key nor a file that holds one"]


def test_order_of_the_default_ones(tmp_path: Path, nobody: Path) -> None:
    home = tmp_path / 'kvirt'
    home.mkdir()
    rsa = tmp_path / 'r'
    subprocess.run(['ssh-keygen', '-q', '-t', 'rsa', '-b', '2048', '-N', '', '-f', rsa], check=True)
    (nobody / '.ssh' / 'id_rsa.pub').write_bytes(rsa.with_suffix('.pub').read_bytes())
    assert keys(home)[0].startswith('ssh-rsa ')
    (nobody / '.ssh' / 'id_ed25519.pub').write_text(OTHER)
    assert keys(home) == (OTHER,)
    (home / 'id_ecdsa.pub').write_text(f'{KEY}\n')
    assert keys(home) == (KEY,)
    assert private_key_for(home) is None
    (home / 'id_ecdsa').touch()
    assert private_key_for(home) == home / 'id_ecdsa'
    (home / 'id_ed25519.pub').write_text('rubbish')
    with pytest.raises(InvalidInput, match='id_ed25519.pub is no public ssh key'):
        keys(home)


def test_the_agent_is_the_last_resort(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    socket = tmp_path / 'agent'
    with subprocess.Popen(['ssh-agent', '-D', '-a', socket], stdout=subprocess.PIPE, text=True) as agent:
        try:
            assert agent.stdout is not None
            agent.stdout.readline()  # it listens once it has said so
            monkeypatch.setenv('SSH_AUTH_SOCK', str(socket))
            with pytest.raises(InvalidInput, match='ssh-keygen -t ed25519'):
                keys()
            subprocess.run(['ssh-keygen', '-q', '-t', 'ed25519', '-N', '', '-f', tmp_path / 'id'], check=True)
            subprocess.run(['ssh-add', '-q', tmp_path / 'id'], check=True, env={**os.environ})
            assert keys() == ((tmp_path / 'id.pub').read_text().strip(),)
        finally:
            agent.terminate()


def test_none_at_all() -> None:
    assert keys(nokeys=True) == ()
    with pytest.raises(InvalidInput, match='there is no public ssh key') as caught:
        keys()
    assert 'ssh-keygen -t ed25519' in (caught.value.hint or '')


def test_a_host_key_is_one_that_openssh_reads(tmp_path: Path) -> None:
    key = HostKey.generate()
    (tmp_path / 'host').write_text(key.private)
    (tmp_path / 'host').chmod(0o600)
    shown = subprocess.run(['ssh-keygen', '-y', '-f', tmp_path / 'host'], capture_output=True, text=True, check=True)
    assert shown.stdout.strip() == key.public
    listed = subprocess.run(['ssh-keygen', '-l', '-f', tmp_path / 'host'], capture_output=True, text=True, check=True)
    assert key.fingerprint == listed.stdout.split()[1]
    assert HostKey.generate() != key


def test_a_private_key_is_not_shown() -> None:
    key = HostKey.generate()
    assert 'PRIVATE' not in repr(key)
    assert redact.redact(f'x {key.private} y') == f'x {redact.MASK} y'
