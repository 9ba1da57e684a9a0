"""The pretended cloud, and the ways to reach it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from kvirt.providers.digitalocean import Kdigitalocean
from kvirt.testing.judge import Judge
from kvirt.testing.sweep import Haste
from kvirt.testing.wire import Wire
from tests.providers.digitalocean.cloud import DigitalOcean
from tests.providers.digitalocean.parts import TOKEN

DESCRIPTION = 'digitalocean/digitalocean-v2-bundled.json'


def refusal(status: int) -> dict[str, str]:
    """Return what a broken call is answered, as DigitalOcean would."""
    return {'id': 'broken', 'message': 'broken by a test', 'request_id': 'x'}


@pytest.fixture
def cloud() -> DigitalOcean:
    """Return an account with nothing in it."""
    return DigitalOcean()


@pytest.fixture
def wire(cloud: DigitalOcean) -> Iterator[Wire]:
    """Return the way to the cloud. No request and no answer may be one that the vendor would not know."""
    with Wire(cloud, judge=Judge.of(DESCRIPTION), refusal=refusal) as wire:
        yield wire
    assert wire.verdicts == []


@pytest.fixture
def do(wire: Wire) -> Iterator[Kdigitalocean]:
    """Return a connection for which no time goes by."""
    with Kdigitalocean(token=TOKEN, api=f'{wire.url}/v2', clock=Haste()) as provider:
        yield provider
