"""The fault sweep itself: it passes a careful provider, and finds each mistake of the others where it shows."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from kvirt.testing.sweep import (
    BROKEN_CALLS,
    INTERRUPTS,
    KILLS,
    Child,
    Deed,
    Outcome,
    Stage,
    as_any,
    faults,
    kills,
    race,
    report,
    storm,
    sweep,
)
from kvirt.testing.wire import Wire

HERE = str(Path(__file__).parent)
CALLS = ['GET /servers', 'POST /volumes', 'POST /volumes', 'POST /servers', 'GET /servers']


@pytest.fixture
def tiny(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """The module with the cloud and its provider."""
    monkeypatch.syspath_prepend(HERE)
    import tiny
    yield tiny
    sys.modules.pop('tiny')


class Place:
    """A tiny cloud with something in it already, and stages in front of it."""

    def __init__(self, tiny: Any, wire: Wire) -> None:
        self.tiny, self.wire = tiny, wire
        self.cloud: Any = wire.app
        self.cloud.add('volumes', {'name': 'precious'})

    def stage(self, flaw: str = '') -> Stage:
        options = {'api': self.wire.url, 'flaw': flaw}
        return Stage(wire=self.wire, connect=lambda: self.tiny.Ktiny(**options), left=self.cloud.words,
                     deeds=[Deed({'nokeys': True})], child=Child('tiny:Ktiny', options, [HERE]))


@pytest.fixture
def place(tiny: Any) -> Iterator[Place]:
    with Wire(tiny.TinyCloud()) as wire:
        yield Place(tiny, wire)


def where(outcomes: list[Outcome]) -> set[tuple[int, str]]:
    """Return at which call and how the promise was broken."""
    return {(outcome.number, outcome.breakage) for outcome in faults(outcomes)}


def test_a_careful_provider_passes(place: Place) -> None:
    stage = place.stage()
    outcomes = sweep(stage)
    assert not faults(outcomes), report(outcomes)
    ways = [*BROKEN_CALLS, *INTERRUPTS]
    assert [(outcome.number, outcome.breakage) for outcome in outcomes] == [
        (number, breakage) for breakage in ways for number in range(1, len(CALLS) + 1)], 'each call in each way'
    assert [outcome.call for outcome in outcomes[:len(CALLS)]] == CALLS
    said = {(outcome.breakage, outcome.number): outcome.said for outcome in outcomes}
    assert said['lost', 4].startswith('Unavailable: '), 'a POST is not sent twice'
    assert said['lost', 1] == said['limited', 4] == 'success', 'a read is; and what was never done is'
    assert said['refused', 1].startswith('InvalidInput: ')
    assert said['interrupted after', 2] == 'interrupted'
    assert stage.left() == ['volumes precious']


def test_a_careful_provider_can_be_killed_anywhere(place: Place) -> None:
    outcomes = kills(place.stage())
    assert not faults(outcomes), report(outcomes)
    assert [outcome.said for outcome in outcomes] == ['killed'] * 2 * len(CALLS)
    assert place.cloud.words() == ['volumes precious']


def test_a_process_is_killed_at_each_of_its_own_calls(place: Place) -> None:
    """They may be more than those of a connection that is used again, and remembers things."""
    class Warm(place.tiny.Ktiny):  # type: ignore[misc]
        def _is_second(self, server: Any) -> bool:
            return False

    stage = place.stage()
    stage.connect = lambda: Warm(place.wire.url)
    assert [outcome.call for outcome in sweep(stage, ['refused'])] == CALLS[:-1]
    assert [outcome.call for outcome in kills(stage, ['killed after'])] == CALLS


@pytest.mark.parametrize(('flaw', 'breakages', 'places', 'words'), [
    ('leaves volumes', ['refused', 'lost'],
     {(2, 'lost'), (3, 'refused'), (3, 'lost'), (4, 'refused'), (4, 'lost'), (5, 'refused')}, 'left behind: volumes sweep'),
    ('remembers late', ['refused', 'unsent', 'lost', 'interrupted after'],
     {(2, 'lost'), (2, 'interrupted after')}, 'left behind: volumes sweep'),
    ('hides failures', ['refused'], {(2, 'refused'), (3, 'refused')}, 'it succeeded, and is not whole: '),
    ('takes too much', ['refused'], {(2, 'refused')}, 'taken away: volumes precious'),  # then there is no more to take
])
def test_a_mistake_is_found_at_the_calls_where_it_shows(place: Place, flaw: str, breakages: list[str],
                                                        places: set[tuple[int, str]], words: str) -> None:
    outcomes = sweep(place.stage(flaw), breakages)
    assert where(outcomes) == places, report(outcomes)
    assert words in report(outcomes)


@pytest.mark.parametrize(('flaw', 'places', 'words'), [
    ('sees no orphans', {(2, 'killed after'), (3, 'killed after')}, 'list_orphans does not name what is left: volumes'),
    ('keeps orphans', {(number, 'killed after') for number in (2, 3)}, 'left behind after delete_orphans: volumes'),
])
def test_what_kills_leave_must_be_named_and_removed(place: Place, flaw: str, places: set[tuple[int, str]],
                                                    words: str) -> None:
    outcomes = kills(place.stage(flaw), ['killed after'])
    assert where(outcomes) == places, report(outcomes)
    assert words in report(outcomes)
    assert '5 runs, 2 leave or lose something' in report(outcomes)


def test_a_deed_that_can_not_be_undone_ends_the_sweep(place: Place) -> None:
    with pytest.raises(AssertionError, match='left behind: volumes sweep'):
        sweep(place.stage('deletes half'), ['refused'])


def test_of_two_at_once_one_wins(place: Place) -> None:
    place.wire.latency = 0.01  # so that both look before either creates
    assert not faults(race(place.stage()))
    outcomes = race(place.stage('never looks again'), times=5)  # on a busy machine one may be late
    assert '2 of two that were started at once succeeded' in report(outcomes)


def test_which_number_a_volume_got_does_not_matter_but_how_many_there_are() -> None:
    whole = as_any('sweep-3', ['servers sweep-3', 'volumes sweep-3-1 of sweep-3'])
    assert as_any('sweep-7', ['servers sweep-7', 'volumes sweep-7-2 of sweep-7']) == whole
    assert as_any('sweep-7', ['servers sweep-7', *(f'volumes sweep-7-{each} of sweep-7' for each in '12')]) != whole
    assert as_any('sweep-7', ['servers sweep-7', 'volumes sweep-7-1 of sweep-77']) != whole


def test_a_storm_breaks_every_so_many_calls_and_ends(place: Place) -> None:
    stage = place.stage()
    with storm(place.wire, 'limited', 2), stage.connect() as provider:
        assert provider.create('web', nokeys=True).ok
        assert provider.delete('web').ok
    statuses = [exchange.answer.status for exchange in place.wire.exchanges if exchange.answer]
    assert statuses.count(429) >= 5
    with place.wire.counting() as calls, stage.connect() as provider:
        assert provider.create('web', nokeys=True).ok
    assert calls == CALLS


def test_all_kinds_of_breakage_are_swept() -> None:
    from kvirt.testing.wire import BREAKAGES
    assert set(BREAKAGES) == {*BROKEN_CALLS, *KILLS}
