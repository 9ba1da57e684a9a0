from __future__ import annotations

import threading

import pytest

from kvirt.parallel import begun, in_parallel


def test_answers_are_in_the_order_of_the_questions() -> None:
    gate = threading.Barrier(3, timeout=10)

    def work(number: int) -> int:
        gate.wait()  # passes only when all three run at once
        return number * 2
    assert in_parallel([3, 1, 2], work, workers=3) == [6, 2, 4]


def test_no_more_than_allowed_run_at_once() -> None:
    lock, running, most = threading.Lock(), 0, 0

    def work(number: int) -> None:
        nonlocal running, most
        with lock:
            running += 1
            most = max(most, running)
        with lock:
            running -= 1
    in_parallel(range(50), work, workers=2)
    assert 1 <= most <= 2


def test_after_a_failure_nothing_new_starts_and_what_runs_ends() -> None:
    begun, ended = [], []
    second_runs, failed = threading.Event(), threading.Event()

    def work(number: int) -> None:
        begun.append(number)
        if number == 0:
            assert second_runs.wait(10)
            failed.set()
            raise ValueError('no')
        if number == 1:
            second_runs.set()
            assert failed.wait(10)
        ended.append(number)
    with pytest.raises(ValueError, match='no'):
        in_parallel(range(100), work, workers=2)
    assert 1 in ended
    assert len(begun) < 100
    assert sorted(begun) == sorted([*ended, 0])


def test_one_thing_needs_no_thread() -> None:
    assert in_parallel([1], lambda _: threading.current_thread()) == [threading.current_thread()]
    assert in_parallel([], lambda thing: thing) == []


def test_what_was_begun_goes_on_beside_the_caller() -> None:
    gate = threading.Barrier(2, timeout=10)
    outcome = begun(lambda: gate.wait() in (0, 1))
    gate.wait()  # passes only while the other one runs
    assert outcome() is True


def test_what_was_begun_and_failed_raises_where_it_is_asked_for() -> None:
    outcome = begun(lambda: {}['nothing'])
    with pytest.raises(KeyError, match='nothing'):
        outcome()
