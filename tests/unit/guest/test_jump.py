"""The hosts that guests are reached over: how they are written, and why ssh to one failed. More is in test_ssh.py."""

from __future__ import annotations

import pytest

from kvirt.errors import InvalidInput, Unauthorized, Unavailable
from kvirt.guest.jump import Jump, refusal


@pytest.mark.parametrize(('text', 'expected'), [
    ('gate', Jump('gate')), ('ada@gate:2222', Jump('gate', 'ada', 2222)), ('[fe80::1]:22', Jump('fe80::1', None, 22))])
def test_what_people_write(text: str, expected: Jump) -> None:
    assert Jump.parse(text) == expected


@pytest.mark.parametrize('parts', [{'host': '-oProxyCommand=x'}, {'host': ''}, {'host': 'a b'}, {'user': '-l'}])
def test_words_that_would_be_options(parts: dict[str, str]) -> None:
    with pytest.raises(InvalidInput):
        Jump(**{'host': 'gate', **parts})


CHANGED = """\
@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@\r
@    WARNING: REMOTE HOST IDENTIFICATION HAS CHANGED!     @\r
Offending ED25519 key in /h/known_hosts:7\r
Host key verification failed."""


@pytest.mark.parametrize(('text', 'kind', 'words'), [
    (CHANGED, Unauthorized, 'gate has another ssh host key than the one in /h/known_hosts:7'),
    ('Host key verification failed.', Unauthorized, 'the ssh host key of gate is not known'),
    ('Warning: a key\nada@gate: Permission denied (publickey).', Unauthorized,
     'gate lets nobody in by ssh: ada@gate: Permission denied (publickey).'),
    ('Received disconnect: 2: Too many authentication failures\nDisconnected', Unauthorized, 'Too many'),
    ('ssh: connect to host gate port 22: No route to host', Unavailable,
     'ssh to gate failed: connect to host gate port 22: No route to host'),
    ('', Unavailable, 'ssh to gate failed: ssh ended')])
def test_why_ssh_failed(text: str, kind: type[Exception], words: str) -> None:
    error = refusal('gate', text)
    assert type(error) is kind and words in error.reason and '\n' not in str(error)
