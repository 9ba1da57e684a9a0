"""What a create leaves behind when any one call of it goes wrong, or the process is killed: nothing."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from kvirt.providers.digitalocean import Kdigitalocean
from kvirt.testing.conformance.sweep import TestFaultSweep as Everything
from kvirt.testing.platform import KEY
from kvirt.testing.sweep import INTERRUPTS, Child, Deed, Haste, Stage, faults, kills, race, report, sweep
from tests.providers.digitalocean.parts import TOKEN
from tests.providers.digitalocean.test_conformance import DigitalOceanHarness

pytestmark = pytest.mark.slow

WHOLE = Deed({'image': 'debian12', 'keys': [KEY], 'disks': [10, 1]})
"""With all that can be left: a firewall, a key, a volume, and the tags of each."""

PLAIN = Deed({'image': 'debian12', 'nokeys': True})
"""With fewer calls, for what differs by how a call fails and not by what it would have made."""


@pytest.fixture(scope='module')
def harness(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DigitalOceanHarness]:
    harness = DigitalOceanHarness(tmp_path_factory.mktemp('digitalocean'))
    with harness.wire:
        harness.options = {'token': TOKEN, 'api': f'{harness.wire.url}/v2', 'location': 'nyc3'}
        yield harness
    # An interrupted call is answered by the sweep itself, and not as DigitalOcean would.
    assert [verdict for verdict in harness.wire.verdicts if '-> 500' not in verdict] == []


@pytest.fixture
def stage(harness: DigitalOceanHarness) -> Stage:
    def connect() -> Kdigitalocean:
        return Kdigitalocean(**harness.options, clock=Haste())
    return Stage(wire=harness.wire, connect=connect, left=harness.cloud.words, deeds=[WHOLE],
                 child=Child('digitalocean', harness.options))


@pytest.mark.parametrize('breakage', ['refused', 'lost', INTERRUPTS[1]])
def test_who_fails_leaves_nothing(stage: Stage, breakage: str) -> None:
    outcomes = sweep(stage, [breakage])
    assert len(outcomes) > 15
    assert not faults(outcomes), report(outcomes)


@pytest.mark.parametrize('breakage', ['error', 'unavailable', 'limited', 'unsent', INTERRUPTS[0]])
def test_however_it_fails_it_leaves_nothing(stage: Stage, breakage: str) -> None:
    stage.deeds = [PLAIN]
    outcomes = sweep(stage, [breakage])
    assert len(outcomes) > 8
    assert not faults(outcomes), report(outcomes)


def test_what_a_killed_process_leaves_can_be_found_and_removed(stage: Stage) -> None:
    outcomes = kills(stage, ['killed after'])
    assert len(outcomes) > 15
    assert not faults(outcomes), report(outcomes)


def test_of_two_at_once_one_succeeds(stage: Stage) -> None:
    outcomes = race(stage)
    assert not faults(outcomes), report(outcomes)


class TestStorms(Everything):
    """A VM lives through one 429 or 503 of every two calls."""

    test_who_fails_leaves_nothing = None
    test_what_a_killed_process_leaves_can_be_found_and_removed = None
    test_of_two_at_once_one_succeeds = None
