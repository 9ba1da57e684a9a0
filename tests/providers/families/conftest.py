"""An empty store for each test."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import boto3
import pytest
import requests

from kvirt.testing.wire import Wire


@pytest.fixture
def wire(moto: str, store_wire: Wire, monkeypatch: pytest.MonkeyPatch) -> Iterator[Wire]:
    """The wire to an empty store. Retries do not wait."""
    monkeypatch.setattr('botocore.endpoint.time.sleep', lambda seconds: None)
    requests.post(f'{moto}/moto-api/reset', timeout=30).raise_for_status()
    store_wire.exchanges.clear()
    app = store_wire.app
    yield store_wire
    store_wire.app = app
    store_wire.calm()


@pytest.fixture(scope='session')
def past(moto: str) -> Any:
    """The store, past the wire and past the provider."""
    return boto3.client('s3', region_name='us-east-1', endpoint_url=moto, aws_access_key_id='a', aws_secret_access_key='b')
