"""The last step: everything that is to be done, as parallel as what needs what allows."""

from __future__ import annotations

import functools
import queue
import threading
from collections.abc import Callable, Iterable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from typing import Any

from kvirt.errors import Cancelled, KvirtError
from kvirt.plan.events import Failed, Finished, Key, Progress, Sink, Skipped, Started, Verb, Waiting
from kvirt.plan.graph import Graph
from kvirt.result import Result
from kvirt.wait import CANCEL, SYSTEM, Cancel, Clock

Tell = Callable[[str], None]
"""Told what is being done at present."""


@dataclass(frozen=True)
class Step:
    """One thing to do. *work* returns the outcome; ``changed: false`` in it says that there was nothing to do."""

    key: Key
    verb: Verb
    work: Callable[[Tell], Result]
    needs: tuple[Key, ...] = ()


@dataclass
class Summary:
    """How it went: the outcome of each entry that was worked on, and why others were not."""

    done: dict[Key, Result] = field(default_factory=dict)
    failed: dict[Key, Result] = field(default_factory=dict)
    skipped: dict[Key, Key | None] = field(default_factory=dict)
    interrupted: bool = False
    seconds: float = 0.0

    @property
    def ok(self) -> bool:
        """True when everything was done."""
        return not self.failed and not self.skipped

    def result(self, plan: str) -> Result:
        """Return how it went as one outcome, with the names of the VMs as kcli's scripts know it."""
        def vms(keys: Iterable[Key]) -> list[str]:
            return [name for kind, name in keys if kind == 'vm']
        told = {'plan': plan, 'newvms': vms(key for key in self.done if self.done[key].get('changed', True)),
                'existingvms': vms(key for key in self.done if not self.done[key].get('changed', True)),
                'failedvms': vms(self.failed), 'skippedvms': vms(self.skipped)}
        if self.ok:
            return Result.success(**told)
        if not self.failed:
            return Result.failure(Cancelled(f'plan {plan} was interrupted'), **told)
        first = next(iter(self.failed.values()))
        reasons = '; '.join(f"{kind} {name}: {failure['reason']}" for (kind, name), failure in self.failed.items())
        return Result({'result': 'failure', 'reason': reasons, 'error': first['error'], 'retryable': first['retryable'],
                       **told})

    def changed(self) -> list[Key]:
        """Return the entries that were changed."""
        return [key for key, result in self.done.items() if result.get('changed', True)]


def execute(steps: Iterable[Step], sink: Sink, *, parallel: int = 10, cancel: Cancel = CANCEL,
            clock: Clock = SYSTEM) -> Summary:
    """Do all *steps*, each after what it needs, at most *parallel* at a time, and tell *sink* about it.

    What fails makes what needs it be skipped, and nothing else. When the work is cancelled nothing new begins, and what
    runs is let finish or unwind. *sink* is called from one thread at a time.
    """
    run = _Run(list(steps), sink, parallel, cancel, clock)
    # Ctrl-C strikes the main thread, at any point of what it does. So that does nothing but wait.
    pool, mine = ThreadPoolExecutor(1), False
    work = pool.submit(run.go)
    while not work.done():
        try:
            wait([work])
        except KeyboardInterrupt:
            mine |= not cancel.is_set()
            cancel.set()
            run.summary.interrupted = True
    pool.shutdown()
    if mine:
        cancel.clear()  # a script may go on with something else
    return work.result()


class _Run:
    def __init__(self, steps: list[Step], sink: Sink, parallel: int, cancel: Cancel, clock: Clock) -> None:
        self._steps = {step.key: step for step in steps}
        self._graph = Graph({step.key: step.needs for step in steps})
        self._graph.in_order()  # raises where things need each other
        self._sink, self._parallel, self._cancel, self._clock = sink, parallel, cancel, clock
        self._lock = threading.Lock()
        self._ended: queue.SimpleQueue[tuple[Key, Future[Result]]] = queue.SimpleQueue()
        self._begun: set[Key] = set()
        self._running: set[Key] = set()
        self._start = clock.now()
        self.summary = Summary()

    def go(self) -> Summary:
        """Do everything, and return how it went."""
        for key, step in self._steps.items():
            if self._graph.needs[key]:
                self._tell(Waiting, step, needs=tuple(sorted(self._graph.needs[key])))
        pool = ThreadPoolExecutor(max(1, min(self._parallel, len(self._steps) or 1)))
        try:
            while True:
                self._begin(pool)
                if not self._running:
                    break
                self._end(*self._ended.get())
        finally:
            pool.shutdown(wait=True)
        for key, step in self._steps.items():
            if key not in self._begun and key not in self.summary.skipped:
                self._skip(step, None)
        self.summary.seconds = self._clock.now() - self._start
        return self.summary

    def _begin(self, pool: ThreadPoolExecutor) -> None:
        """Start what may start now, and no more than there are hands for it."""
        if self.summary.interrupted:
            return
        for key in self._graph.ready(self.summary.done, self._begun | set(self.summary.skipped)):
            if len(self._running) >= self._parallel:
                return
            step = self._steps[key]
            self._begun.add(key)
            self._running.add(key)
            self._tell(Started, step)
            pool.submit(step.work, self._teller(step)).add_done_callback(functools.partial(self._note, key))

    def _note(self, key: Key, future: Future[Result]) -> None:
        self._ended.put((key, future))

    def _teller(self, step: Step) -> Tell:
        return lambda what: self._tell(Progress, step, what=what)

    def _end(self, key: Key, future: Future[Result]) -> None:
        self._running.discard(key)
        step = self._steps[key]
        outcome = self._outcome(future)
        if outcome.ok:
            self.summary.done[key] = outcome
            self._tell(Finished, step, changed=bool(outcome.get('changed', True)), details=str(outcome.get('details', '')),
                       result=dict(outcome))
            return
        self.summary.failed[key] = outcome
        self.summary.interrupted |= outcome['error'] == Cancelled.__name__
        self._tell(Failed, step, reason=outcome['reason'], error=outcome['error'])
        for behind in self._graph.behind(key):
            if behind not in self._begun and behind not in self.summary.skipped:
                self._skip(self._steps[behind], key)

    def _outcome(self, future: Future[Result]) -> Result:
        """Return how a piece of work ended. What is no KvirtError is a bug: nothing new begins, and it is raised."""
        error = future.exception()
        if error is None:
            return future.result()
        if isinstance(error, KvirtError):
            return Result.failure(error)
        while self._running:
            self._running.discard(self._ended.get()[0])
        raise error

    def _skip(self, step: Step, because: Key | None) -> None:
        self.summary.skipped[step.key] = because
        self._tell(Skipped, step, because=because)

    def _tell(self, kind: Any, step: Step, **more: Any) -> None:
        with self._lock:
            self._sink(kind(step.key, step.verb, self._clock.now() - self._start, **more))
