"""Waiting: the only place that sleeps. Every wait has a deadline and can be cancelled."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Collection
from typing import Any, Protocol, TypeVar

from kvirt.errors import Cancelled, Conflict, NotFound, RateLimited, TimedOut, Unavailable

T = TypeVar('T')


class Cancel:
    """A token that everything that waits looks at. Ctrl-C and SIGTERM set the one that is shared by default."""

    def __init__(self) -> None:
        self._event = threading.Event()

    def set(self) -> None:
        """Cancel all that waits on this token."""
        self._event.set()

    def clear(self) -> None:
        """Make the token usable again."""
        self._event.clear()

    def is_set(self) -> bool:
        """Tell if all that waits on this token is cancelled."""
        return self._event.is_set()

    def check(self) -> None:
        """Raise Cancelled if the token is set."""
        if self._event.is_set():
            raise Cancelled('cancelled')

    def sleep(self, seconds: float) -> None:
        """Sleep, or raise Cancelled as soon as the token is set."""
        if self._event.wait(seconds):
            raise Cancelled('cancelled')


CANCEL = Cancel()


class Clock(Protocol):
    """Time as waits see it; tests give one of their own."""

    def now(self) -> float:
        """Return seconds from an arbitrary start, never going back."""

    def sleep(self, seconds: float) -> None:
        """Let *seconds* pass."""


class SystemClock:
    """Real time, ended early by a cancellation token."""

    def __init__(self, cancel: Cancel = CANCEL) -> None:
        self._cancel = cancel

    def now(self) -> float:
        return time.monotonic()

    def sleep(self, seconds: float) -> None:
        self._cancel.sleep(seconds)


SYSTEM = SystemClock()


def until(check: Callable[[], T | None], *, what: str, timeout: float, interval: float = 2.0, clock: Clock = SYSTEM,
          tick: Callable[[float], None] | None = None) -> T:
    """Call *check* every *interval* seconds until it returns something true, and return that.

    Raises TimedOut after *timeout* seconds, naming *what* was waited for and the last passing fault. Unavailable and
    RateLimited are passing faults: a platform that stumbles does not end a wait. *tick* is told the seconds gone by.
    """
    start = clock.now()
    trouble = ''
    while True:
        pause = interval
        try:
            answer = check()
            if answer:
                return answer
        except (Unavailable, RateLimited) as error:
            trouble = f' (last trouble: {error})'
            pause = max(interval, getattr(error, 'retry_after', None) or 0)
        gone = clock.now() - start
        if tick:
            tick(gone)
        if gone >= timeout:
            raise TimedOut(f'{what} did not happen within {timeout:g} seconds{trouble}')
        clock.sleep(min(pause, timeout - gone))


class Lister(Protocol):
    """What a :class:`StatusBoard` needs of a provider."""

    def list(self) -> Any:
        """Return one row per VM."""


class StatusBoard:
    """Serves everybody who waits on one provider from one ``list()`` per tick."""

    def __init__(self, provider: Lister, *, max_age: float = 2.0, clock: Clock = SYSTEM) -> None:
        self._provider = provider
        self._max_age = max_age
        self._clock = clock
        self._lock = threading.Lock()
        self._rows: dict[str, dict[str, Any]] = {}
        self._read_at: float | None = None

    def row(self, name: str) -> dict[str, Any] | None:
        """Return the row of the VM with this name or id, at most ``max_age`` seconds old; None when there is none."""
        with self._lock:
            now = self._clock.now()
            if self._read_at is None or now - self._read_at >= self._max_age:
                rows = self._provider.list()
                self._rows = {**{row['id']: row for row in rows if row.get('id')}, **{row['name']: row for row in rows}}
                self._read_at = now
            return self._rows.get(name)

    def wait(self, name: str, wanted: Collection[str], *, timeout: float,
             tick: Callable[[float], None] | None = None) -> dict[str, Any]:
        """Wait until VM *name* has one of the *wanted* statuses, and return its row.

        Raises NotFound when the VM is gone, Conflict when it failed instead, TimedOut.
        """
        def look() -> dict[str, Any] | None:
            row = self.row(name)
            if row is None:
                raise NotFound(f'VM {name} went away while it was waited for')
            if row['status'] == 'failed' and 'failed' not in wanted:
                raise Conflict(f'VM {name} failed while it was waited for')
            return row if row['status'] in wanted else None
        return until(look, what=f"VM {name} becoming {' or '.join(sorted(wanted))}", timeout=timeout,
                     interval=self._max_age, clock=self._clock, tick=tick)
