"""All or nothing: the rollback, on a clock of our own."""

from __future__ import annotations

import logging
from collections.abc import Callable

import pytest

from kvirt.errors import Conflict, InvalidInput, KvirtError, NotFound, OutOfCapacity, Unavailable
from kvirt.undo import Undo
from kvirt.wait import CANCEL


class Clock:
    def __init__(self) -> None:
        self.time = 0.0

    def now(self) -> float:
        return self.time

    def sleep(self, seconds: float) -> None:
        self.time += seconds


class SdkError(Exception):
    """What the SDK of some platform raises."""


def failing(error: Exception, times: int = 10**9) -> Callable[[], None]:
    """Return an inverse that raises *error* so many times before it succeeds."""
    left = [times]

    def inverse() -> None:
        left[0] -= 1
        if left[0] >= 0:
            raise error
    return inverse


def unwind(*inverses: tuple[str, Callable[[], object]], error: BaseException | None = None, clock: Clock | None = None,
           translate: Callable[[Exception], KvirtError | None] = lambda error: None) -> None:
    with Undo(clock=clock or Clock()).translating(translate) as undo:
        for what, inverse in inverses:
            undo.add(what, inverse)
        raise error or OutOfCapacity('no room')


def test_success_undoes_nothing() -> None:
    done: list[str] = []
    with Undo(clock=Clock()) as undo:
        undo.add('a', lambda: done.append('a'))
    assert done == []


@pytest.mark.parametrize('error', [OutOfCapacity('no room'), KeyError('a bug'), KeyboardInterrupt(), SystemExit(1)])
def test_whatever_ends_the_block_runs_the_inverses_newest_first(error: BaseException) -> None:
    done: list[str] = []
    with pytest.raises(type(error)) as caught:
        unwind(('a', lambda: done.append('a')), ('b', lambda: done.append('b')), ('c', lambda: done.append('c')),
               error=error)
    assert done == ['c', 'b', 'a']
    assert caught.value is error


def test_an_inverse_that_finds_nothing_is_fine() -> None:
    with pytest.raises(OutOfCapacity) as caught:
        unwind(('a', failing(NotFound('it is not there'))))
    assert str(caught.value) == 'no room'


@pytest.mark.parametrize('error', [Conflict('still attached'), Unavailable('away')])
def test_what_the_platform_still_holds_is_tried_again(error: KvirtError) -> None:
    clock = Clock()
    with pytest.raises(OutOfCapacity) as caught:
        unwind(('a', failing(error, times=5)), clock=clock)
    assert str(caught.value) == 'no room'
    assert clock.time == 5


def test_what_could_not_be_undone_in_a_minute_is_named_beside_the_first_error() -> None:
    clock, done = Clock(), []
    with pytest.raises(OutOfCapacity) as caught:
        unwind(('volume a', lambda: done.append('a')), ('address b', failing(Conflict('still attached'))),
               ('disk c', failing(InvalidInput('odd'))), error=OutOfCapacity('no room', hint='Try another zone'),
               clock=clock)
    assert caught.value.reason == 'no room'
    assert str(caught.value).startswith('no room. Try another zone. Left behind: disk c, address b')
    assert 'kvirt delete orphans' in str(caught.value)
    assert done == ['a'], 'an inverse that fails must not keep the others from running'
    assert clock.time == 60


def test_a_bug_in_an_inverse_does_not_hide_the_first_error_and_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    done: list[str] = []
    with pytest.raises(OutOfCapacity, match='Left behind: b'):
        unwind(('a', lambda: done.append('a')), ('b', failing(TypeError('a bug'))))
    assert done == ['a']
    assert 'TypeError: a bug' in caplog.text


def test_the_errors_of_an_sdk_are_understood_on_both_sides() -> None:
    def translate(error: Exception) -> KvirtError | None:
        meanings: dict[str, KvirtError] = {'gone': NotFound('gone'), 'busy': Conflict('busy'),
                                           'full': OutOfCapacity('full')}
        return meanings.get(str(error)) if isinstance(error, SdkError) else None

    with pytest.raises(SdkError, match='full'):
        unwind(('a', failing(SdkError('gone'))), ('b', failing(SdkError('busy'), times=3)), error=SdkError('full'),
               translate=translate)
    with pytest.raises(OutOfCapacity, match='full. Left behind: b'):
        unwind(('b', failing(SdkError('busy'))), error=SdkError('full'), translate=translate)


def test_what_a_bug_leaves_behind_is_at_least_logged(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING), pytest.raises(KeyError):
        unwind(('volume a', failing(Conflict('still attached'))), error=KeyError('a bug'))
    assert 'volume a' in caplog.text


def test_a_cancellation_does_not_stop_the_unwinding_that_it_made_necessary() -> None:
    done: list[str] = []
    CANCEL.set()
    try:
        with pytest.raises(KeyboardInterrupt), Undo() as undo:
            undo.add('a', lambda: done.append('a'))
            raise KeyboardInterrupt
    finally:
        CANCEL.clear()
    assert done == ['a']
