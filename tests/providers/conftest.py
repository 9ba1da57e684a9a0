"""A store that speaks S3, for every provider that has buckets: moto's server, behind a wire."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator
from dataclasses import replace

import pytest

from kvirt.testing.botojudge import BotoJudge
from kvirt.testing.wire import Answer, Forward, Request, Wire


@pytest.fixture(scope='session')
def moto() -> Iterator[str]:
    """Where moto's server listens."""
    from moto.server import ThreadedMotoServer
    logging.getLogger('werkzeug').setLevel(logging.ERROR)
    server = ThreadedMotoServer(ip_address='127.0.0.1', port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f'http://{host}:{port}'
    server.stop()


@pytest.fixture(scope='module')
def store_wire(moto: str) -> Iterator[Wire]:
    """The wire to the store. What is asked or answered there that S3 would not know fails the module."""
    with Wire(Forward(moto), judge=BotoJudge(), refusal=lambda status: {}) as wire:
        yield wire
    assert wire.verdicts == []


@pytest.fixture(scope='module')
def placed_store(moto: str) -> Iterator[Wire]:
    """A wire to the store as others imitate it: its address tells where it is, and requests need not."""
    forward = Forward(moto)

    def app(request: Request) -> Answer | None:  # moto knows no places but AWS's
        signed = re.sub(r'(/\d{8})/[\w-]+/s3/', r'\1/us-east-1/s3/', request.headers.get('authorization', ''))
        return forward(replace(request, headers={**request.headers, 'authorization': signed}))
    with Wire(app, judge=BotoJudge(), refusal=lambda status: {}) as wire:
        yield wire
    assert wire.verdicts == []
