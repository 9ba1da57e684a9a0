"""The conformance suite on DigitalOcean, in front of a pretended one that the vendor's own description judges."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from kvirt.base import Kbase
from kvirt.testing import Harness
from kvirt.testing.conformance import *  # noqa: F403
from kvirt.testing.judge import Judge
from kvirt.testing.platform import ok
from kvirt.testing.sweep import Haste
from kvirt.testing.wire import Wire
from tests.providers.digitalocean.cloud import ZONE, DigitalOcean
from tests.providers.digitalocean.conftest import DESCRIPTION
from tests.providers.digitalocean.parts import TOKEN

pytestmark = pytest.mark.slow


class DigitalOceanHarness(Harness):
    """An account of the pretended DigitalOcean."""

    provider = 'digitalocean'
    network = 'default-nyc3'
    zone = ZONE
    boots = True
    interval = 0.002
    many = 7
    without = frozenset({'mac', 'cardless', 'cards', 'card twice', 'first card', 'disk image', 'dhcp', 'nat', 'domain',
                         'snapshot state'})
    userdata_limit = 64 * 1024
    portable = ('debian12', 'debian13', 'ubuntu2204', 'ubuntu2404', 'fedora42', 'rockylinux9', 'centos9stream')
    sees_all = True
    thorough = False

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.cloud = DigitalOcean()
        self.cloud.slow = 1
        self.wire = Wire(self.cloud, judge=Judge.of(DESCRIPTION))

    def _connect(self, changes: Mapping[str, Any]) -> Kbase:
        connected = super()._connect(changes)
        connected.clock = Haste()
        return connected

    def leftovers(self) -> list[str]:
        tags = [f"tags {tag['name']}" for tag in self.cloud.things.get('tags', {}).values()]
        return sorted(line for line in [*self.cloud.words(), *tags] if self.prefix in line)

    def image_file(self) -> str:
        return f"https://images.example/{self.name('image')}.qcow2"

    def absent_image(self) -> str:
        return f'https://images.example/{self.prefix}-absent.img'


@pytest.fixture(scope='module')
def harness(tmp_path_factory: pytest.TempPathFactory, placed_store: Wire) -> Iterator[DigitalOceanHarness]:
    harness = DigitalOceanHarness(tmp_path_factory.mktemp('digitalocean'))
    with harness.wire:
        harness.options = {'token': TOKEN, 'api': f'{harness.wire.url}/v2', 'location': 'nyc3',
                           'spaces_key': 'DO00', 'spaces_secret': 'secret-of-spaces', 'spaces_endpoint': placed_store.url}
        with harness.make() as provider:  # so that not every test makes the firewall anew
            ok(provider.create('anchor', image='debian12', nokeys=True))
        yield harness
    assert harness.wire.verdicts == []
