"""All or nothing: the rollback that every create uses."""

from __future__ import annotations

import logging
from collections.abc import Callable
from types import TracebackType

from kvirt.errors import Conflict, KvirtError, NotFound, TimedOut
from kvirt.wait import Cancel, Clock, SystemClock, until

log = logging.getLogger(__name__)

_DEADLINE = 60.0


class Undo:
    """A stack of inverses, run newest first when the block ends with an exception (Ctrl-C included).

    Register the inverse *before* the step it undoes, and make it "delete what bears this mark", since the answer of a
    step can be lost after the step was done; an inverse that finds nothing is fine (NotFound). What a platform still
    holds (Conflict and all that is retryable) is tried again for up to a minute. What could not be undone is named in
    the error that the caller sees.
    """

    def __init__(self, *, clock: Clock | None = None) -> None:
        # A token of its own: the cancellation that made the unwinding necessary must not stop it.
        self._clock = clock or SystemClock(Cancel())
        self._inverses: list[tuple[str, Callable[[], object]]] = []
        self._translate: Callable[[Exception], KvirtError | None] = lambda error: None

    def translating(self, translate: Callable[[Exception], KvirtError | None]) -> Undo:
        """Use *translate* to understand the exceptions of an SDK that inverses raise."""
        self._translate = translate
        return self

    def add(self, what: str, inverse: Callable[[], object]) -> None:
        """Remember that *inverse* removes *what* (a phrase for people: ``volume web_0.img``)."""
        self._inverses.append((what, inverse))

    def __enter__(self) -> Undo:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 trace: TracebackType | None) -> None:
        if error is None:
            return
        left = [what for what, inverse in reversed(self._inverses) if not self._run(what, inverse)]
        if left:
            # Not every error below can carry it: Ctrl-C and bugs pass as they are.
            log.error('left behind: %s', ', '.join(left))
        if left and isinstance(error, Exception):
            known = error if isinstance(error, KvirtError) else self._translate(error)
            if known is not None:
                hint = f"Left behind: {', '.join(left)}. 'kvirt delete orphans' removes it when the cause is gone"
                known.hint = f'{known.hint}. {hint}' if known.hint else hint
                if known is not error:
                    raise known from error

    def _run(self, what: str, inverse: Callable[[], object]) -> bool:
        def attempt() -> bool:
            try:
                inverse()
            except Exception as error:
                known = error if isinstance(error, KvirtError) else self._translate(error)
                if isinstance(known, NotFound):
                    return True
                if isinstance(known, Conflict) or (known is not None and known.retryable):
                    return False
                raise
            return True

        try:
            until(attempt, what=f'removing {what}', timeout=_DEADLINE, interval=1.0, clock=self._clock)
        except TimedOut:
            return False
        except Exception:
            # One inverse that fails must not keep the others from running; its failure is told by the caller's error.
            log.exception('could not remove %s', what)
            return False
        return True


