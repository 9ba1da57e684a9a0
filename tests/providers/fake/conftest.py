"""A world of its own for each test, and a look at it past the provider."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from kvirt.providers.fake import Kfake
from kvirt.result import Result

KEY = 'ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAiG4Fz3qUtUuA1YBTm0oWbDQz0GOx0qRBFwD1Kbd0pN test'


class Clock:
    """Time that passes when it is told to."""

    def __init__(self) -> None:
        self.time = 1_900_000_000.0

    def __call__(self) -> float:
        return self.time


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def state(tmp_path: Path) -> Path:
    return tmp_path / 'home' / 'world.db'


@pytest.fixture
def fake(state: Path, clock: Clock) -> Kfake:
    return Kfake(state=str(state), clock=clock)


@pytest.fixture
def vm(fake: Kfake) -> Callable[..., str]:
    """Return a function that makes a VM that is not started, and returns its name."""
    def make(name: str = 'web', **keywords: Any) -> str:
        ok(create(fake, name, **{'start': False, **keywords}))
        return name
    return make


def create(fake: Kfake, name: str, **keywords: Any) -> Result:
    return fake.create(name, **{'image': 'debian12', 'keys': [KEY], **keywords})


def ok(result: Result) -> Result:
    assert result['result'] == 'success', result
    return result


def refused(result: Result, error: str, *words: str) -> None:
    """Assert that *result* is this failure, and that its reason has all *words*."""
    assert result.get('error') == error, result
    assert all(word in result['reason'] for word in words), result['reason']


def everything(state: Path) -> set[str]:
    """Return all that the file holds, except what only tells how often something was asked for."""
    with sqlite3.connect(state) as connection:
        found = set()
        for kind, key, body in connection.execute('SELECT kind, key, body FROM records'):
            facts = json.loads(body)
            facts.pop('after', None)
            if kind != 'PublicRange':
                found.add(f'{kind} {key} {json.dumps(facts, sort_keys=True)}')
        found |= {f'file {bucket} {path}' for bucket, path in connection.execute('SELECT bucket, path FROM files')}
    connection.close()
    return found
