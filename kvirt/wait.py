"""Waiting: the only place that sleeps. Every wait has a deadline and can be cancelled."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from typing import Any, Protocol, TypeVar

from kvirt.errors import Cancelled, Conflict, KvirtError, NotFound, RateLimited, TimedOut, Unavailable
from kvirt.names import counted

T = TypeVar('T')


class Cancel:
    """A token that everything that waits looks at. Ctrl-C and SIGTERM set the one that is shared by default."""

    def __init__(self) -> None:
        self._event = threading.Event()
        self._wakes: list[Callable[[], None]] = []

    def set(self) -> None:
        """Cancel all that waits on this token."""
        self._event.set()
        for wake in list(self._wakes):
            wake()

    @contextmanager
    def waking(self, wake: Callable[[], None]) -> Iterator[None]:
        """Call *wake* as well when the token is set: for who sleeps on something else."""
        self._wakes.append(wake)
        try:
            yield
        finally:
            self._wakes.remove(wake)

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


class Alarm(SystemClock):
    """Real time for one who waits, whose sleep ends as soon as somebody rings: at once when that was before it began."""

    def __init__(self, cancel: Cancel = CANCEL) -> None:
        super().__init__(cancel)
        self._rung = threading.Event()

    def ring(self) -> None:
        """End the sleep, from whatever thread."""
        self._rung.set()

    def sleep(self, seconds: float) -> None:
        with self._cancel.waking(self.ring):
            self._cancel.check()
            self._rung.wait(seconds)
            self._rung.clear()
        self._cancel.check()


def ring_on_change(look: Callable[[], Any], ring: Callable[[], None], every: float) -> Callable[[], None]:
    """Look every so many seconds, from a thread, and *ring* when something else is seen than before.

    Returns what ends that. A look that fails counts as something else: who is rung for looks as well, and meets the cause.
    """
    ended = threading.Event()

    def seen() -> Any:
        try:
            return look()
        except KvirtError:
            return None

    def go_on(before: Any) -> None:
        while not ended.wait(every):
            now = seen()
            if now is None or now != before:
                before = now
                ring()

    thread = threading.Thread(target=go_on, args=(seen(),), name='kvirt-watch', daemon=True)
    thread.start()

    def end() -> None:
        ended.set()
        thread.join()
    return end


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
            raise TimedOut(f'{what} did not happen within {counted(timeout, "second")}{trouble}')
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
