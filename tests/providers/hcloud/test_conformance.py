"""The conformance suite on Hetzner Cloud, pretended, with the vendor's own description as the judge."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from kvirt.base import Kbase
from kvirt.testing import Harness
from kvirt.testing.conformance import *  # noqa: F403
from kvirt.testing.sweep import Haste
from kvirt.testing.wire import Wire

from .cloud import HetznerCloud
from .conftest import direct, left_in, open_wire

pytestmark = pytest.mark.slow


class HcloudHarness(Harness):
    """A project whose fake cloud is asked for leftovers past the provider."""

    provider = 'hcloud'
    network = 'lan'
    zone = 'example.com'
    boots = True
    interval = 0.005
    timeout = 20
    many = 7
    smallest_disk = 10
    userdata_limit = 32768
    portable = ('debian12', 'ubuntu2404', 'rockylinux9')
    sees_all = True
    thorough = False
    without = frozenset({'mac', 'card twice', 'disk image', 'dhcp', 'gateway'})
    cloud: HetznerCloud

    def _connect(self, changes: Mapping[str, Any]) -> Kbase:
        provider: Any = super()._connect(changes)
        return direct(provider)

    def leftovers(self) -> list[str]:
        """Return what the project has beyond what it began with."""
        return left_in(self.cloud)


@pytest.fixture(scope='module')
def wire() -> Iterator[Wire]:
    with open_wire(HetznerCloud()) as wire:
        yield wire
    assert wire.verdicts == []


@pytest.fixture(scope='module')
def harness(wire: Wire, placed_store: Wire, haste: Haste, tmp_path_factory: pytest.TempPathFactory) -> HcloudHarness:
    harness = HcloudHarness(tmp_path_factory.mktemp('hcloud'))
    cloud: Any = wire.app
    cloud.slow = 1
    harness.cloud = cloud
    harness.options = {'token': HetznerCloud.token, 'api': f'{wire.url}/v1', 's3_key': 'AK00',
                       's3_secret': 'secret-of-the-store', 's3_endpoint': placed_store.url}
    return harness
