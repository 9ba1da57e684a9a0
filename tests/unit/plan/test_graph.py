"""What must come before what, and what a failure leaves out."""

from __future__ import annotations

import threading
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kvirt.errors import Cancelled, Conflict, InvalidInput
from kvirt.plan.events import Event, Failed, Finished, Skipped, Started
from kvirt.plan.execute import Step, execute
from kvirt.plan.graph import Graph
from kvirt.result import Result
from kvirt.wait import Cancel

NAMES = [chr(ord('a') + number) for number in range(8)]


@st.composite
def graphs(draw: Any) -> dict[str, set[str]]:
    """Return things of which each needs some of those before it: never in a circle."""
    return {name: draw(st.sets(st.sampled_from(NAMES[:index]))) if index else set() for index, name in enumerate(NAMES)}


def steps(needs: dict[str, set[str]], failing: set[str], order: list[str], log: list[str]) -> list[Step]:
    def work(name: str) -> Any:
        def done(tell: Any) -> Result:
            log.append(name)
            return Result.failure(Conflict('no')) if name in failing else Result.success()
        return done
    return [Step(('vm', name), 'create', work(name), tuple(('vm', need) for need in sorted(needs[name]))) for name in order]


def above(needs: dict[str, set[str]], name: str) -> set[str]:
    found = set(needs[name])
    for need in needs[name]:
        found |= above(needs, need)
    return found


@settings(deadline=None)
@given(graphs(), st.permutations(NAMES), st.sets(st.sampled_from(NAMES), max_size=3))
def test_any_order_gives_the_same_and_a_failure_leaves_out_exactly_what_needs_it(
        needs: dict[str, set[str]], order: list[str], failing: set[str]) -> None:
    log: list[str] = []
    summary = execute(steps(needs, failing, order, log), lambda event: None, parallel=3, cancel=Cancel())
    left_out = {name for name in NAMES if above(needs, name) & failing}
    assert {name for _, name in summary.skipped} == left_out
    assert {name for _, name in summary.failed} == failing - left_out
    assert {name for _, name in summary.done} == set(NAMES) - left_out - failing
    for index, name in enumerate(log):
        assert above(needs, name) <= set(log[:index])
    for key, because in summary.skipped.items():
        assert because in summary.failed, f'{key} names its root cause'


def test_things_that_need_each_other_are_named() -> None:
    with pytest.raises(InvalidInput, match='a -> b -> a|b -> a -> b'):
        Graph({'a': ['b'], 'b': ['a'], 'c': []}).in_order()


def test_what_needs_nothing_of_each_other_runs_at_once() -> None:
    together = threading.Barrier(4, timeout=5)

    def work(tell: Any) -> Result:
        together.wait()
        return Result.success()
    summary = execute([Step(('vm', name), 'create', work) for name in 'abcd'], lambda event: None, parallel=4,
                      cancel=Cancel())
    assert summary.ok


def test_no_more_run_at_once_than_is_allowed() -> None:
    running, most, lock = 0, 0, threading.Lock()

    def work(tell: Any) -> Result:
        nonlocal running, most
        with lock:
            running += 1
            most = max(most, running)
        threading.Event().wait(0.005)
        with lock:
            running -= 1
        return Result.success()
    execute([Step(('vm', str(number)), 'create', work) for number in range(12)], lambda event: None, parallel=3,
            cancel=Cancel())
    assert most == 3


def test_events_come_in_order_and_one_at_a_time() -> None:
    seen: list[Event] = []
    log: list[str] = []
    execute(steps({'a': set(), 'b': {'a'}, 'c': {'b'}}, {'b'}, ['c', 'b', 'a'], log), seen.append, cancel=Cancel())
    told = [(type(event), event.key[1]) for event in seen if isinstance(event, (Started, Finished, Failed, Skipped))]
    assert told == [(Started, 'a'), (Finished, 'a'), (Started, 'b'), (Failed, 'b'), (Skipped, 'c')]


def test_after_a_cancellation_nothing_new_begins() -> None:
    def cancelled(tell: Any) -> Result:
        raise Cancelled('cancelled')
    log: list[str] = []
    others = steps({'b': set(), 'c': set()}, set(), ['b', 'c'], log)
    summary = execute([Step(('vm', 'a'), 'create', cancelled), *others], lambda event: None, parallel=1, cancel=Cancel())
    assert (log, summary.interrupted) == ([], True)
    assert set(summary.skipped) == {('vm', 'b'), ('vm', 'c')}


def test_a_bug_stays_one() -> None:
    def broken(tell: Any) -> Result:
        raise ZeroDivisionError
    with pytest.raises(ZeroDivisionError):
        execute([Step(('vm', 'a'), 'create', broken)], lambda event: None, cancel=Cancel())
