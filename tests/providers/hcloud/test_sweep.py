"""What is left behind when any one call goes wrong: nothing, or what can be found and removed."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from kvirt.testing.conformance.sweep import TestFaultSweep  # noqa: F401
from kvirt.testing.sweep import Child, Deed, Haste, Stage, faults, report, sweep

from .cloud import HetznerCloud
from .conftest import asked, connect, left_in, open_wire
from .test_conformance import HcloudHarness

pytestmark = pytest.mark.slow

VM = Deed(asked(disks=[40, 10], iso='netboot.iso', nets=[]))
"""With a volume, which is made before it, and an ISO, which can only be inserted afterwards."""

BALANCER = Deed({'ports': [80], 'domain': 'example.com'}, 'create_loadbalancer', 'delete_loadbalancer')


@pytest.fixture(scope='module')
def stage(haste: Haste) -> Iterator[Stage]:
    cloud = HetznerCloud()
    cloud.page, cloud.slow = 50, 0  # the process that is killed has a real clock
    with open_wire(cloud) as wire:
        provider = connect(wire)  # one for all: its price list is read once
        yield Stage(wire=wire, connect=lambda: provider, left=lambda: left_in(cloud), deeds=(VM,),
                    child=Child('hcloud', {'token': HetznerCloud.token, 'api': f'{wire.url}/v1'}))
    # What comes too late for an interrupted call is not of the platform.
    assert [verdict for verdict in wire.verdicts if '-> 500' not in verdict] == []


@pytest.fixture(scope='module')
def harness(tmp_path_factory: pytest.TempPathFactory) -> HcloudHarness:
    return HcloudHarness(tmp_path_factory.mktemp('hcloud'))


def test_a_load_balancer_is_whole_or_not_there(stage: Stage) -> None:
    outcomes = sweep(Stage(wire=stage.wire, connect=stage.connect, left=stage.left, deeds=(BALANCER,)), ['lost'])
    assert not faults(outcomes), report(outcomes)
