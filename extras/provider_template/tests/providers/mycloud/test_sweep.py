"""The fault sweep on My Cloud: each call of a create goes wrong in each way, and nothing is left behind."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from kvirt.testing.conformance.sweep import TestFaultSweep  # noqa: F401

from .harness import MyCloudHarness


@pytest.fixture(scope='module')
def harness(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MyCloudHarness]:
    harness = MyCloudHarness(tmp_path_factory.mktemp('mycloud'))
    yield harness
    harness.close()
