"""The template that authors of providers copy passes the suite, as a provider should from its first day."""

from __future__ import annotations

import pytest

from kvirt.providers.sampleprovider import Ksample
from kvirt.testing import Harness
from kvirt.testing.conformance import *  # noqa: F403


class SampleHarness(Harness):
    """A platform that lives within the object that is connected to it."""

    shared = False

    def make(self) -> Ksample:
        return Ksample()


@pytest.fixture(scope='module')
def harness(tmp_path_factory: pytest.TempPathFactory) -> SampleHarness:
    return SampleHarness(tmp_path_factory.mktemp('sample'))
