"""Secrets stay out of what people see."""

from __future__ import annotations

import logging
from collections.abc import Iterator

import pytest

from kvirt import redact
from kvirt.redact import MASK, RedactingFilter


@pytest.fixture(autouse=True)
def forget(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(redact, '_known', set())
    yield


def test_a_remembered_secret_is_masked() -> None:
    assert redact.redact('token is hunter2hunter2') == 'token is hunter2hunter2'
    redact.remember('hunter2hunter2')
    assert redact.redact('token is hunter2hunter2, really hunter2hunter2') == f'token is {MASK}, really {MASK}'


def test_of_two_secrets_that_overlap_no_end_is_left() -> None:
    redact.remember('secret')
    redact.remember('secret-and-more')
    assert redact.redact('it is secret-and-more') == f'it is {MASK}'


@pytest.mark.parametrize('short', ['', 'abc', None, 7, b'bytes'])
def test_what_is_too_short_or_no_text_is_not_remembered(short: object) -> None:
    redact.remember(short)
    assert redact.redact('abc 7 bytes') == 'abc 7 bytes'


@pytest.mark.parametrize('key', ['password', 'rootpassword', 'vncpassword', 'passwd', 'passphrase', 'pass', 'token',
                                 'api_key', 'apikey', 'access_key', 'private_key', 'client_secret', 'credentials',
                                 'PASSWORD'])
def test_keys_of_secrets(key: str) -> None:
    assert redact.is_secret_key(key)


@pytest.mark.parametrize('key', ['name', 'keys', 'keyfile', 'memory', 'user', 'public_key', 'passed'])
def test_keys_of_no_secrets(key: str) -> None:
    assert not redact.is_secret_key(key)


def test_nested_data_is_masked_by_key_and_by_value() -> None:
    redact.remember('remembered')
    data = {'user': 'root', 'rootpassword': 'x', 'pin': {'token': 1234, 'tokens': ['a', 'b'], 'size': 3},
            'cmds': ['echo remembered', 7], 'password': None, 'secret': ''}
    masked = redact.redact_mapping(data)
    assert masked == {'user': 'root', 'rootpassword': MASK, 'pin': {'token': MASK, 'tokens': [MASK, MASK], 'size': 3},
                      'cmds': [f'echo {MASK}', 7], 'password': None, 'secret': ''}
    assert data['rootpassword'] == 'x', 'the original must stay what it is'


def test_logs_are_masked_with_their_arguments_and_their_tracebacks(caplog: pytest.LogCaptureFixture) -> None:
    redact.remember('hunter2hunter2')
    log = logging.getLogger('kvirt.test')
    log.addFilter(RedactingFilter())
    with caplog.at_level(logging.DEBUG):
        log.debug('logging in with %s', 'hunter2hunter2')
        try:
            raise ValueError('bad token hunter2hunter2')
        except ValueError:
            log.exception('it failed')
    assert 'hunter2' not in caplog.text
    assert f'logging in with {MASK}' in caplog.text
    assert f'ValueError: bad token {MASK}' in caplog.text
