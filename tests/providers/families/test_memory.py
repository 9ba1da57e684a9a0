"""What was read a moment ago."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from kvirt.providers.families.memory import Memory
from kvirt.testing.sweep import Haste


def test_an_answer_serves_for_some_seconds_and_until_something_changes() -> None:
    clock, asked = Haste(), []
    memory = Memory(seconds=10, clock=clock)

    def read() -> int:
        asked.append(clock.now())
        return len(asked)
    assert [memory.get('a', read), memory.get('a', read), memory.get('b', read)] == [1, 1, 2]
    clock.sleep(10)
    assert memory.get('a', read) == 3
    memory.forget()
    assert memory.get('a', read) == 4


def test_one_thread_reads_and_the_others_wait_for_it() -> None:
    memory, asked, gate = Memory(), [], threading.Event()

    def read() -> str:
        asked.append(1)
        assert gate.wait(5)
        return 'answer'
    with ThreadPoolExecutor(8) as pool:
        waiting = [pool.submit(memory.get, 'a', read) for _ in range(8)]
        gate.set()
        assert {each.result(5) for each in waiting} == {'answer'}
    assert asked == [1]


def test_a_failure_is_not_remembered() -> None:
    memory = Memory()
    with pytest.raises(ZeroDivisionError):
        memory.get('a', lambda: 1 // 0)
    assert memory.get('a', lambda: 7) == 7


def test_what_was_read_before_a_change_is_not_remembered_after_it() -> None:
    memory = Memory()

    def read() -> str:
        memory.forget()  # as another thread does while this one reads
        return 'old'
    assert memory.get('a', read) == 'old'
    assert memory.get('a', lambda: 'new') == 'new'
