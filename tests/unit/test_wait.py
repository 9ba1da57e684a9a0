"""Waiting, on a clock of our own: no test here takes real time but the two about the real clock."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable
from typing import Any

import pytest

from kvirt.errors import Cancelled, Conflict, KvirtError, NotFound, RateLimited, TimedOut, Unavailable
from kvirt.wait import Alarm, Cancel, StatusBoard, SystemClock, ring_on_change, until


class Clock:
    """Time that passes only by sleeping, and remembers each sleep."""

    def __init__(self) -> None:
        self.time = 1000.0
        self.sleeps: list[float] = []

    def now(self) -> float:
        return self.time

    def sleep(self, seconds: float) -> None:
        self.sleeps.append(seconds)
        self.time += seconds


def answers(*script: Any) -> Any:
    """Return a check that gives one answer of *script* after the other, and raises those that are errors."""
    left = list(script)

    def check() -> Any:
        answer = left.pop(0) if len(left) > 1 else left[0]
        if isinstance(answer, Exception):
            raise answer
        return answer
    return check


def test_the_first_true_answer_ends_the_wait() -> None:
    clock = Clock()
    assert until(answers(None, '', 0, 'there'), what='it', timeout=60, interval=2, clock=clock) == 'there'
    assert clock.sleeps == [2, 2, 2]


def test_an_answer_that_is_there_costs_no_time() -> None:
    clock = Clock()
    assert until(answers(7), what='it', timeout=0, clock=clock) == 7
    assert clock.sleeps == []


def test_a_deadline_that_passes_is_named_and_never_overslept() -> None:
    clock = Clock()
    with pytest.raises(TimedOut, match=r'^VM web getting an address did not happen within 5 seconds$'):
        until(answers(None), what='VM web getting an address', timeout=5, interval=2, clock=clock)
    assert clock.sleeps == [2, 2, 1]


def test_it_is_looked_once_more_when_the_time_is_up() -> None:
    looks = []
    clock = Clock()
    assert until(lambda: looks.append(1) or clock.time >= 1005, what='it', timeout=5, interval=2, clock=clock)
    assert len(looks) == 4


def test_a_platform_that_stumbles_does_not_end_the_wait() -> None:
    clock = Clock()
    check = answers(Unavailable('away'), RateLimited('slow down', retry_after=30), RateLimited('slow down'), 'there')
    assert until(check, what='it', timeout=60, interval=2, clock=clock) == 'there'
    assert clock.sleeps == [2, 30, 2]


def test_the_last_trouble_is_told_when_time_is_up() -> None:
    with pytest.raises(TimedOut, match=r'last trouble: the cloud is away'):
        until(answers(Unavailable('the cloud is away')), what='it', timeout=5, clock=Clock())


@pytest.mark.parametrize('error', [NotFound('gone'), Conflict('busy'), KeyError('a bug')])
def test_any_other_error_ends_the_wait_at_once(error: Exception) -> None:
    clock = Clock()
    with pytest.raises(type(error)):
        until(answers(error), what='it', timeout=60, clock=clock)
    assert clock.sleeps == []


def test_who_watches_is_told_the_time_gone_by() -> None:
    told: list[float] = []
    until(answers(None, None, 'there'), what='it', timeout=60, interval=2, clock=Clock(), tick=told.append)
    assert told == [0, 2]


def test_a_cancelled_wait_ends_at_once_in_every_thread() -> None:
    cancel = Cancel()
    clock = SystemClock(cancel)
    raised: list[BaseException] = []

    def wait() -> None:
        try:
            until(lambda: None, what='it', timeout=600, interval=300, clock=clock)
        except Cancelled as error:
            raised.append(error)

    threads = [threading.Thread(target=wait) for _ in range(3)]
    for thread in threads:
        thread.start()
    cancel.set()
    for thread in threads:
        thread.join(timeout=5)
    assert len(raised) == 3
    with pytest.raises(Cancelled):
        cancel.check()
    cancel.clear()
    cancel.check()


def test_the_real_clock_sleeps_and_never_goes_back() -> None:
    clock = SystemClock(Cancel())
    before, real = clock.now(), time.monotonic()
    clock.sleep(0.02)
    assert clock.now() - before >= 0.02
    assert time.monotonic() - real >= 0.02


class Provider:
    """Answers ``list()`` from a script, and counts how often it was asked."""

    def __init__(self, *rows: Iterable[dict[str, Any]]) -> None:
        self.script = [list(each) for each in rows]
        self.calls = 0

    def list(self) -> Any:
        self.calls += 1
        return self.script.pop(0) if len(self.script) > 1 else self.script[0]


def vm(status: str, name: str = 'web', **more: Any) -> dict[str, Any]:
    return {'name': name, 'status': status, **more}


def test_a_board_waits_for_a_status() -> None:
    provider, clock = Provider([vm('pending')], [vm('pending')], [vm('running', ip='10.0.0.5')]), Clock()
    row = StatusBoard(provider, clock=clock).wait('web', {'running'}, timeout=60)
    assert row == vm('running', ip='10.0.0.5')
    assert provider.calls == 3


def test_a_vm_may_be_waited_for_by_its_id() -> None:
    board = StatusBoard(Provider([vm('stopped', id='i-7')]), clock=Clock())
    assert board.wait('i-7', {'stopped'}, timeout=60)['name'] == 'web'


def test_one_list_a_tick_serves_everybody() -> None:
    names = [f'vm{number}' for number in range(8)]
    provider = Provider([vm('running', name) for name in names])
    board = StatusBoard(provider, clock=Clock())
    threads = [threading.Thread(target=board.wait, args=(name, {'running'}), kwargs={'timeout': 60}) for name in names]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=5)
    assert provider.calls == 1


def test_a_row_that_is_too_old_is_read_again() -> None:
    provider, clock = Provider([vm('pending')], [vm('running')]), Clock()
    board = StatusBoard(provider, max_age=2, clock=clock)
    assert board.row('web') == vm('pending')
    clock.time += 1.9
    assert board.row('web') == vm('pending')
    clock.time += 0.1
    assert board.row('web') == vm('running')
    assert board.row('other') is None


@pytest.mark.parametrize(('rows', 'error', 'text'), [
    ([], NotFound, 'VM web went away'),
    ([vm('failed')], Conflict, 'VM web failed'),
    ([vm('pending')], TimedOut, 'VM web becoming running or stopped did not happen within 10 seconds'),
])
def test_a_wait_that_can_not_end_well_says_why(rows: list[dict[str, Any]], error: type[KvirtError], text: str) -> None:
    with pytest.raises(error, match=text):
        StatusBoard(Provider(rows), clock=Clock()).wait('web', {'stopped', 'running'}, timeout=10)


def test_a_failed_vm_may_be_what_is_waited_for() -> None:
    assert StatusBoard(Provider([vm('failed')]), clock=Clock()).wait('web', {'failed'}, timeout=10)['status'] == 'failed'


def test_a_ring_ends_the_sleep_of_who_waits() -> None:
    alarm, seen = Alarm(Cancel()), threading.Event()
    threading.Thread(target=lambda: (seen.set(), alarm.ring())).start()
    before = time.monotonic()
    assert until(seen.is_set, what='a ring', timeout=60, interval=60, clock=alarm)
    assert time.monotonic() - before < 30


def test_a_ring_before_the_sleep_is_not_lost_and_counts_once() -> None:
    alarm = Alarm(Cancel())
    alarm.ring()
    alarm.ring()
    before = time.monotonic()
    alarm.sleep(60)
    assert time.monotonic() - before < 30
    alarm.sleep(0.01)


def test_a_cancelled_alarm_ends_at_once_and_leaves_nothing_with_the_token() -> None:
    cancel = Cancel()
    alarm = Alarm(cancel)
    threading.Timer(0.05, cancel.set).start()
    with pytest.raises(Cancelled):
        alarm.sleep(60)
    with pytest.raises(Cancelled):
        alarm.sleep(60)
    cancel.clear()
    assert cancel._wakes == []


def test_who_watches_is_rung_for_by_each_change_and_by_a_failure() -> None:
    seen = [{'status': 'stopped'}]
    rung = threading.Semaphore(0)

    def look() -> dict[str, str]:
        if not seen:
            raise Unavailable('away')
        return dict(seen[0])

    end = ring_on_change(look, rung.release, every=0.01)
    assert not rung.acquire(timeout=0.1), 'nothing changed yet'
    seen[0] = {'status': 'running'}
    assert rung.acquire(timeout=30)
    assert not rung.acquire(timeout=0.1), 'one change is rung for once'
    seen.clear()
    assert rung.acquire(timeout=30)
    end()
    seen.append({'status': 'stopped'})
    while rung.acquire(blocking=False):
        pass
    assert not rung.acquire(timeout=0.1), 'it was ended'
