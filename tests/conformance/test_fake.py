"""The conformance suite on fake, which lacks no operation that it could be skipped for."""

from __future__ import annotations

import pytest

from kvirt.providers.fake import Kfake
from kvirt.testing import Harness
from kvirt.testing.conformance import *  # noqa: F403


class FakeHarness(Harness):
    """A fake world in a file of its own."""

    provider = 'fake'
    boots = True
    interval = 0.01
    many = 60


@pytest.fixture(scope='module')
def harness(tmp_path_factory: pytest.TempPathFactory) -> FakeHarness:
    harness = FakeHarness(tmp_path_factory.mktemp('fake'))
    harness.options = {'state': str(harness.folder / 'world.sqlite')}
    return harness


def test_fake_supports_everything(connection: Kfake) -> None:
    assert [each for each in connection.capabilities() if not connection.supports(each.operation)] == []
