"""The pretended Hetzner Cloud on a wire with the vendor as the judge, and providers that speak to it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from kvirt.providers.hcloud import Khcloud
from kvirt.testing.judge import Judge
from kvirt.testing.platform import KEY
from kvirt.testing.sweep import Haste
from kvirt.testing.wire import Wire

from .cloud import HetznerCloud

DESCRIPTION = 'hetzner/hetzner-cloud-openapi-official.yml'


@dataclass
class Bench:
    """A pretended project, the wire to it, and a provider at the other end."""

    cloud: HetznerCloud
    wire: Wire
    provider: Khcloud

    def another(self, **options: Any) -> Khcloud:
        """Return a further provider for the project."""
        return connect(self.wire, **options)


def connect(wire: Wire, **options: Any) -> Khcloud:
    """Return a provider that speaks to a wire."""
    return direct(Khcloud(**{'token': HetznerCloud.token, 'api': f'{wire.url}/v1', **options}))


def direct(provider: Khcloud) -> Khcloud:
    """Return a provider that does not look for a proxy at every call, which takes longer than the call."""
    provider.conn._client._session.trust_env = False
    return provider


def open_wire(cloud: HetznerCloud) -> Wire:
    """Return a wire to a cloud, with the vendor's description as the judge where it is known."""
    return Wire(cloud, judge=Judge.of(DESCRIPTION, base='/v1'), refusal=lambda status: {
        'error': {'code': _CODES.get(status, 'server_error'), 'message': 'broken by a test'}})


def left_in(cloud: HetznerCloud) -> list[str]:
    """Return what a project has beyond what it began with, in words; what is on its way is there, or gone."""
    with cloud._lock:
        cloud.settle()
        found = [f"{word} {thing['name']}" for kind, word in _KINDS.items()
                 for thing in cloud.things.get(kind, {}).values() if thing['name'] != 'lan']
        return sorted([*found, *(f"image {image['description']}" for image in cloud.things['images'].values()
                                 if image['type'] != 'system')])


_KINDS = {'servers': 'VM', 'volumes': 'disk', 'networks': 'network', 'firewalls': 'firewall', 'ssh_keys': 'key',
          'floating_ips': 'floating address', 'load_balancers': 'load balancer', 'rrsets': 'DNS record',
          'placement_groups': 'placement group'}

_CODES = {422: 'invalid_input', 429: 'rate_limit_exceeded', 500: 'server_error', 503: 'unavailable'}


@pytest.fixture(scope='module')
def haste() -> Iterator[Haste]:
    """Let providers wait without sleeping."""
    with pytest.MonkeyPatch.context() as patch:
        clock = Haste()
        patch.setattr(Khcloud, 'clock', clock)
        yield clock


@pytest.fixture
def bench(haste: Haste) -> Iterator[Bench]:
    """Return a project of its own; no request or answer in it may be one that the vendor would not accept."""
    cloud = HetznerCloud()
    with open_wire(cloud) as wire:
        yield Bench(cloud, wire, connect(wire))
    assert wire.verdicts == []


def asked(**keywords: Any) -> dict[str, Any]:
    """Return the keywords of a small VM."""
    return {'image': 'debian12', 'keys': [KEY], 'nets': ['lan'], 'flavor': 'cx22', **keywords}
