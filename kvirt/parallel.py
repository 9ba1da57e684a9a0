"""Several pieces of work at once."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from typing import TypeVar

A = TypeVar('A')
B = TypeVar('B')


def in_parallel(items: Iterable[A], work: Callable[[A], B], *, workers: int = 4) -> list[B]:
    """Return what *work* makes of each of *items*, in their order, *workers* at a time.

    When the caller is interrupted, or one piece raises, nothing new starts, and what runs is let finish or unwind.
    """
    things = list(items)
    if len(things) < 2:
        return [work(thing) for thing in things]
    from concurrent.futures import CancelledError, ThreadPoolExecutor  # one thing alone is done without
    stopped = threading.Event()

    def guarded(thing: A) -> B:
        if stopped.is_set():
            raise CancelledError
        try:
            return work(thing)
        except BaseException:
            stopped.set()
            raise

    pool = ThreadPoolExecutor(min(workers, len(things)))
    try:
        # What was not started comes behind what failed, so the failure is what is raised.
        return [future.result() for future in [pool.submit(guarded, thing) for thing in things]]
    finally:
        stopped.set()
        pool.shutdown(wait=True, cancel_futures=True)


def begun(work: Callable[[], B]) -> Callable[[], B]:
    """Begin *work* in a thread of its own; what is returned waits for it, and returns or raises what it did."""
    from concurrent.futures import ThreadPoolExecutor
    thread = ThreadPoolExecutor(1)
    future = thread.submit(work)
    thread.shutdown(wait=False)
    return future.result
