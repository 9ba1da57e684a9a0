"""The pretended cloud, and the ways to reach it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from kvirt.providers.mycloud import Kmycloud
from kvirt.testing.judge import Judge
from kvirt.testing.sweep import Haste
from kvirt.testing.wire import Wire

from .cloud import TOKEN, MyCloud

DESCRIPTION = ''
"""The vendor's own description of its API, where there is one: its path within KVIRT_SPECS."""


def open_wire(cloud: MyCloud) -> Wire:
    """Return a wire to a cloud, with the vendor's description as the judge where it is known."""
    return Wire(cloud, judge=Judge.of(DESCRIPTION) if DESCRIPTION else None)


@pytest.fixture
def cloud() -> MyCloud:
    """Return an account with nothing in it."""
    return MyCloud()


@pytest.fixture
def wire(cloud: MyCloud) -> Iterator[Wire]:
    """Return the way to the cloud. No request and no answer may be one that the vendor would not know."""
    with open_wire(cloud) as wire:
        yield wire
    assert wire.verdicts == []


@pytest.fixture
def account(wire: Wire) -> Iterator[Kmycloud]:
    """Return a connection for which no time goes by."""
    with Kmycloud(token=TOKEN, api=f'{wire.url}/v1', clock=Haste()) as account:
        yield account
