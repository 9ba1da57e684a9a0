"""What was read a moment ago, shared by the threads of a provider: one reads, the others wait for it and use it too."""

from __future__ import annotations

import threading
from collections.abc import Callable, Hashable
from typing import Any, TypeVar

from kvirt.wait import SYSTEM, Clock

T = TypeVar('T')


class Memory:
    """Answers by key, each kept for *seconds*. Creating many VMs at once asks the platform once for what they share."""

    def __init__(self, *, seconds: float = 10, clock: Clock = SYSTEM) -> None:
        self._seconds = seconds
        self._clock = clock
        self._lock = threading.Lock()
        self._readers: dict[Hashable, threading.Lock] = {}
        self._answers: dict[Hashable, tuple[float, Any]] = {}

    def get(self, key: Hashable, read: Callable[[], T]) -> T:
        """Return what is remembered under *key*, or what *read* returns now. A failure is not remembered."""
        with self._lock:
            reader = self._readers.setdefault(key, threading.Lock())
        with reader:
            answers = self._answers  # what is forgotten meanwhile is not remembered again
            known = answers.get(key)
            if known is not None and self._clock.now() - known[0] < self._seconds:
                answer: T = known[1]
                return answer
            answer = read()
            answers[key] = (self._clock.now(), answer)
            return answer

    def forget(self) -> None:
        """Forget everything: something was changed."""
        with self._lock:
            self._answers = {}
