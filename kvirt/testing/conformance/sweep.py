"""The fault sweep as tests: for a harness that has a ``stage``. Import it beside the suite, or in a module of its own.

It is not part of the star-import, so that the two can run side by side.
"""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import pytest

from kvirt.base import Kbase
from kvirt.testing.harness import Harness
from kvirt.testing.platform import Platform, ok
from kvirt.testing.sweep import BROKEN_CALLS, INTERRUPTS, KILLS, Stage, faults, kills, race, report, storm, sweep
from kvirt.testing.wire import Wire


class TestFaultSweep:
    """Each call of each deed goes wrong in each way, and nothing is left behind."""

    @pytest.mark.parametrize('breakage', [*BROKEN_CALLS, *INTERRUPTS])
    def test_who_fails_leaves_nothing(self, stage: Stage, breakage: str) -> None:
        outcomes = sweep(stage, [breakage])
        assert outcomes
        assert not faults(outcomes), report(outcomes)

    @pytest.mark.parametrize('breakage', KILLS)
    def test_what_a_killed_process_leaves_can_be_found_and_removed(self, stage: Stage, breakage: str) -> None:
        if stage.child is None:
            pytest.skip('the stage has no child: nothing can be killed here')
        outcomes = kills(stage, [breakage])
        assert outcomes
        assert not faults(outcomes), report(outcomes)

    def test_of_two_at_once_one_succeeds(self, stage: Stage) -> None:
        outcomes = race(stage)
        assert not faults(outcomes), report(outcomes)

    def test_what_is_being_made_right_now_is_no_orphan(self, stage: Stage) -> None:
        deed, name, seen = stage.deeds[0], stage.name(), []
        with stage.connect() as maker, stage.connect() as other, ThreadPoolExecutor(1) as pool, slow(stage.wire):
            made = pool.submit(deed.do, maker, name)
            while not made.done():
                seen += other.list_orphans()
            ok(made.result())
            seen += other.list_orphans()
        with stage.connect() as provider:
            ok(getattr(provider, deed.undo)(name))
        assert seen == []

    @pytest.mark.parametrize('every', [2, 3, 5])
    @pytest.mark.parametrize('breakage', ['limited', 'unavailable'])
    def test_a_vm_lives_through_a_storm(self, stage: Stage, harness: Harness, breakage: str, every: int) -> None:
        with stage.connect() as provider, storm(stage.wire, breakage, every):
            _live(Platform(provider, harness), provider)


@contextmanager
def slow(wire: Wire) -> Iterator[None]:
    """Let each call of the block take a while, so that others come in between."""
    before, wire.latency = wire.latency, 0.01
    try:
        yield
    finally:
        wire.latency = before


def _live(platform: Platform, provider: Kbase) -> None:
    """Take a VM through all that the provider can do with any."""
    name = platform.running(plan='storm')
    assert name in [row['name'] for row in provider.list()]
    assert provider.info(name)['plan'] == 'storm'
    if provider.supports('stop') and provider.supports('start'):
        ok(provider.stop(name))
        platform.wait(name, 'stopped')
        ok(provider.start(name))
        platform.wait(name, 'running')
    if provider.supports('update_metadata'):
        ok(provider.update_metadata(name, 'team', 'web'))
        platform.shows(lambda: {**provider.info(name)}.get('team'), 'web')
    ok(provider.delete(name))
    platform.gone(name)
