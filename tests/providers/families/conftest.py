"""A store that speaks S3: moto's server, behind a wire."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import Any

import boto3
import pytest
import requests

from kvirt.testing.botojudge import BotoJudge
from kvirt.testing.wire import Forward, Wire


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
def line(moto: str) -> Iterator[Wire]:
    """The wire to the store."""
    with Wire(Forward(moto), judge=BotoJudge(), refusal=lambda status: {}) as line:
        yield line
    assert line.verdicts == []


@pytest.fixture
def wire(moto: str, line: Wire, monkeypatch: pytest.MonkeyPatch) -> Iterator[Wire]:
    """The wire to an empty store. Retries do not wait."""
    monkeypatch.setattr('botocore.endpoint.time.sleep', lambda seconds: None)
    requests.post(f'{moto}/moto-api/reset', timeout=30).raise_for_status()
    line.exchanges.clear()
    app = line.app
    yield line
    line.app = app
    line.calm()


@pytest.fixture(scope='session')
def past(moto: str) -> Any:
    """The store, past the wire and past the provider."""
    return boto3.client('s3', region_name='us-east-1', endpoint_url=moto, aws_access_key_id='a', aws_secret_access_key='b')
