"""The conformance suite on My Cloud, in front of a pretended one."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from kvirt.testing.conformance import *  # noqa: F403

from .harness import MyCloudHarness


@pytest.fixture(scope='module')
def harness(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MyCloudHarness]:
    harness = MyCloudHarness(tmp_path_factory.mktemp('mycloud'))
    yield harness
    harness.close()
