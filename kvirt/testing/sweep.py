"""The fault sweep: what is left behind when any one call of a create goes wrong, in every way a call can.

A create (or another :class:`Deed`) is done once, to count its calls. Then it is done again for each call and each way of
breaking it, and afterwards the platform is counted, past the provider. A :class:`Stage` says where::

    stage = Stage(wire=wire, connect=lambda: Kmycloud(api=wire.url, clock=Haste()), left=cloud.words,
                  deeds=(Deed({'image': 'debian12', 'disks': [10, 5]}),),
                  child=Child('mycloud', {'api': wire.url}))
    outcomes = sweep(stage) + kills(stage)
    assert not faults(outcomes), report(outcomes)

The promise: who failed leaves nothing; who succeeded made the whole; what a killed process leaves is named by
``list_orphans``, and gone after ``delete_orphans``. :mod:`kvirt.testing.conformance.sweep` has it all as tests.
"""

from __future__ import annotations

import itertools
import json
import os
import re
import secrets
import signal
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any

from kvirt.base import Kbase
from kvirt.result import Result
from kvirt.testing.wire import Answer, Request, Wire, patient

BROKEN_CALLS = ('refused', 'error', 'unavailable', 'limited', 'unsent', 'lost')
"""How a call may go wrong while the process that made it lives on. See :data:`kvirt.testing.wire.Breakage`."""

INTERRUPTS = ('interrupted before', 'interrupted after')
"""Ctrl-C while a call is under way: it is not done, or it is done and its answer comes too late."""

KILLS = ('killed before', 'killed after')
"""The process dies while a call is under way."""


@dataclass(frozen=True)
class Deed:
    """Something that a provider does whole or not at all: *operation* on a name, with *keywords*; *undo* removes it."""

    keywords: Mapping[str, Any]
    operation: str = 'create'
    undo: str = 'delete'

    def do(self, provider: Kbase, name: str) -> Result:
        """Do it, to or as *name*."""
        return Result.of(getattr(provider, self.operation)(name, **self.keywords))


@dataclass(frozen=True)
class Child:
    """How another process connects: a *provider* (its name, or ``module:Class``), its *options*, where to import from.

    Its clock is a :class:`Haste`.
    """

    provider: str
    options: Mapping[str, Any]
    path: Sequence[str] = ()


@dataclass
class Stage:
    """Where deeds are done.

    *connect* makes a connection through *wire*, with a clock that does not wait (:class:`Haste`). *left* says in lines
    what is on the platform, past the provider, with what is on its way settled: ``server web``. Names belong in it, and
    ids do not: lines of two runs are compared. *child* is for kills.
    """

    wire: Wire
    connect: Callable[[], Kbase]
    left: Callable[[], list[str]]
    deeds: Sequence[Deed]
    child: Child | None = None
    _numbers: Iterator[int] = field(default_factory=itertools.count)

    def name(self) -> str:
        """Return a name that nothing has."""
        return f'sweep{secrets.token_hex(2)}-{next(self._numbers)}'


@dataclass(frozen=True)
class Outcome:
    """What came of breaking call *number* of a deed; ``faults`` is empty when it was as promised."""

    operation: str
    number: int
    call: str
    breakage: str
    said: str
    faults: tuple[str, ...]

    def __str__(self) -> str:
        return (f"{self.operation}, call {self.number} ({self.call}) {self.breakage}: {self.said}"
                f"{''.join(f'{chr(10)}    {fault}' for fault in self.faults)}")


class Haste:
    """A clock for providers under test: its time flies when somebody sleeps, and nobody waits."""

    def __init__(self) -> None:
        self._now = 0.0

    def now(self) -> float:
        """Return the seconds that were slept."""
        return self._now

    def sleep(self, seconds: float) -> None:
        """Let time go by at once."""
        self._now += seconds


def faults(outcomes: Iterable[Outcome]) -> list[Outcome]:
    """Return the outcomes that break the promise."""
    return [outcome for outcome in outcomes if outcome.faults]


def report(outcomes: Sequence[Outcome]) -> str:
    """Return how many runs there were of each kind, and each one that broke the promise."""
    kinds = Counter((outcome.operation, outcome.breakage) for outcome in outcomes)
    bad = Counter((outcome.operation, outcome.breakage) for outcome in faults(outcomes))
    lines = [f'{operation}, {breakage}: {count} runs, {bad[operation, breakage]} leave or lose something'
             for (operation, breakage), count in kinds.items()]
    return '\n'.join([*lines, *(str(outcome) for outcome in faults(outcomes))])


def sweep(stage: Stage, breakages: Sequence[str] = (*BROKEN_CALLS, *INTERRUPTS)) -> list[Outcome]:
    """Return what comes of breaking each call of each deed of *stage*, in each way."""
    return [outcome for deed in stage.deeds for outcome in _Sweeper(stage, deed).broken(breakages)]


def kills(stage: Stage, breakages: Sequence[str] = KILLS) -> list[Outcome]:
    """Return what comes of killing the process at each call of each deed of *stage*."""
    assert stage.child is not None, 'kills need a child: say how another process connects'
    with Nursery(stage.child) as nursery:
        return [outcome for deed in stage.deeds for outcome in _Sweeper(stage, deed).killed(nursery, breakages)]


def race(stage: Stage, times: int = 3) -> list[Outcome]:
    """Return what comes of doing each deed twice at once, under one name: exactly one may succeed, and is whole."""
    return [outcome for deed in stage.deeds for outcome in _Sweeper(stage, deed).raced(times)]


@contextmanager
def storm(wire: Wire, breakage: str, every: int) -> Iterator[None]:
    """Break every *every*-th call for as long as the block runs: ``limited`` (429) or ``unavailable`` (503)."""
    wire.storm(breakage, every)
    try:
        yield
    finally:
        wire.calm()


class _Sweeper:
    """Does one deed again and again, and counts."""

    def __init__(self, stage: Stage, deed: Deed) -> None:
        self._stage, self._deed = stage, deed
        self._whole: list[str] = []

    # kinds of runs

    def broken(self, breakages: Sequence[str]) -> Iterator[Outcome]:
        calls = self._rehearse()
        for breakage, (number, call) in itertools.product(breakages, enumerate(calls, 1)):
            name, before = self._stage.name(), self._stage.left()
            with self._trouble(breakage, number) as struck:
                said, ok = self._do(name)
            if struck():
                yield self._outcome(number, call, breakage, said, self._judged(name, before, ok))
            elif ok:  # it made fewer calls than the first time
                self._undo(name)

    def killed(self, nursery: Nursery, breakages: Sequence[str]) -> Iterator[Outcome]:
        calls = self._rehearse(nursery)
        for breakage, (number, call) in itertools.product(breakages, enumerate(calls, 1)):
            name, before = self._stage.name(), self._stage.left()

            def ready(pid: int, number: int = number, breakage: str = breakage) -> None:
                self._stage.wire.victim = pid
                self._stage.wire.fail(number, breakage)

            answer = nursery.do(self._deed, name, ready)
            self._stage.wire.calm()
            if answer is not None:  # it was over before that call
                yield from self._survived(number, call, breakage, name, before, answer)
            else:
                yield self._outcome(number, call, breakage, 'killed', self._judged_orphans(name, before))

    def _survived(self, number: int, call: str, breakage: str, name: str, before: list[str],
                  answer: Result) -> Iterator[Outcome]:
        found = self._judged(name, before, answer.ok)
        if found:
            yield self._outcome(number, call, breakage, f'not killed: {_spoken(answer)}', found)

    def raced(self, times: int) -> Iterator[Outcome]:
        self._rehearse()
        for number in range(1, times + 1):
            name, before = self._stage.name(), self._stage.left()
            with ThreadPoolExecutor(2) as pool:
                both = list(pool.map(lambda _, name=name: self._do(name), range(2)))
            won = sum(ok for _, ok in both)
            found = self._judged(name, before, won > 0)
            if won != 1:
                found.insert(0, f'{won} of two that were started at once succeeded')
            yield self._outcome(number, 'two at once', 'raced', ' / '.join(said for said, _ in both), found)

    # one run

    def _rehearse(self, nursery: Nursery | None = None) -> list[str]:
        """Do the deed once in peace, and undo it; return its calls, and keep what it makes.

        A process of the *nursery* remembers nothing, so it may make more calls than a connection that is used again.
        """
        name, before = self._stage.name(), self._stage.left()
        with self._stage.wire.counting() as calls:
            said, ok = self._do(name) if nursery is None else _told(nursery.do(self._deed, name))
        assert ok, f'{self._deed.operation} does not even succeed in peace: {said}'
        self._whole = as_any(name, _more(self._stage.left(), before))
        assert self._whole, f'{self._deed.operation} succeeds and makes nothing that left() sees'
        assert self._judged(name, before, True) == [], f'undoing it leaves something: {self._judged(name, before, False)}'
        return calls

    def _do(self, name: str) -> tuple[str, bool]:
        """Do the deed; return what was said of it, and if it succeeded."""
        try:
            with self._stage.connect() as provider:
                result = self._deed.do(provider, name)
        except KeyboardInterrupt:
            return 'interrupted', False
        return _spoken(result), result.ok

    def _undo(self, name: str) -> str:
        with self._stage.connect() as provider:
            result = getattr(provider, self._deed.undo)(name)
        return '' if result['result'] == 'success' else f"undoing it fails: {result['error']}: {result['reason']}"

    def _judged(self, name: str, before: list[str], ok: bool) -> list[str]:
        """Return what is wrong with what is there after a run; what succeeded is undone."""
        found = []
        more = as_any(name, _more(self._stage.left(), before))
        if ok and more != self._whole:
            found.append(f'it succeeded, and is not whole: {more or "nothing"} instead of {self._whole}')
        if ok:
            problem = self._undo(name)
            found += [problem] if problem else []
        left = self._stage.left()
        found += [f'left behind: {line}' for line in _more(left, before)]
        return found + [f'taken away: {line}' for line in _more(before, left)]

    def _judged_orphans(self, name: str, before: list[str]) -> list[str]:
        """Return what is wrong with what a killed process left; it is removed."""
        more = _more(self._stage.left(), before)
        with self._stage.connect() as provider:
            orphans = [orphan['name'] for orphan in provider.list_orphans()]
            named = [line for line in more if any(orphan in line for orphan in orphans)]
            if as_any(name, more) == self._whole and not named:
                return self._judged(name, before, True)
            found = [f'list_orphans does not name what is left: {line}' for line in more if line not in named]
            deleted = provider.delete_orphans()
            if not deleted.ok:
                found.append(f"delete_orphans fails: {deleted['error']}: {deleted['reason']}")
        left = self._stage.left()
        found += [f'left behind after delete_orphans: {line}' for line in _more(left, before)]
        return found + [f'taken away: {line}' for line in _more(before, left)]

    def _outcome(self, number: int, call: str, breakage: str, said: str, found: Sequence[str]) -> Outcome:
        return Outcome(self._deed.operation, number, call, breakage, said, tuple(found))

    # trouble

    @contextmanager
    def _trouble(self, breakage: str, number: int) -> Iterator[Callable[[], bool]]:
        """Break call *number* of the block; what it gives tells afterwards if that call was made."""
        wire = self._stage.wire
        if breakage in INTERRUPTS:
            app = wire.app
            wire.app = interrupting = _Interrupting(wire, number, done=breakage.endswith('after'))
            # What runs in the background of a shell ignores Ctrl-C, and so do its children.
            before = signal.signal(signal.SIGINT, signal.default_int_handler)
            try:
                yield lambda: interrupting.struck is not None
                # Its answer is on its way still, to nobody; it is none of the calls of the next run.
                patient(lambda: interrupting.struck in [None, *(exchange.request for exchange in wire.exchanges)])
            finally:
                wire.app = app
                signal.signal(signal.SIGINT, before)
            return
        made = len(wire.exchanges)
        wire.fail(number, breakage)
        try:
            yield lambda: len(wire.exchanges) - made >= number
        finally:
            wire.calm()


class _Interrupting:
    """An app at whose *number*-th call the main thread is interrupted, as by Ctrl-C."""

    def __init__(self, wire: Wire, number: int, *, done: bool) -> None:
        self._app, self._refused, self._countdown, self._done = wire.app, wire.refused, number, done
        self.struck: Request | None = None

    def __call__(self, request: Request) -> Answer:
        self._countdown -= 1
        if self._countdown:
            return self._app(request)
        self.struck = request
        answer = self._app(request) if self._done else self._refused(500)
        signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)
        threading.Event().wait(0.02)  # so that the interrupt is there before the answer
        return answer


class Nursery:
    """A process that has the provider loaded, and forks a child for each deed: it may die at any call."""

    def __init__(self, child: Child) -> None:
        self._child = child
        self._process: subprocess.Popen[str] | None = None

    def __enter__(self) -> Nursery:
        told, teller = os.pipe()
        self._told = os.fdopen(told)
        self._process = subprocess.Popen(
            [sys.executable, '-m', 'kvirt.testing.sweep_child', str(teller), self._child.provider,
             json.dumps(dict(self._child.options)), *self._child.path], stdin=subprocess.PIPE, pass_fds=[teller], text=True)
        os.close(teller)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        assert self._process and self._process.stdin
        self._process.stdin.close()
        self._process.wait(timeout=30)
        self._told.close()

    def do(self, deed: Deed, name: str, ready: Callable[[int], object] = lambda pid: None) -> Result | None:
        """Do *deed* in a child, once *ready* was told its number. None when the child was killed."""
        self._say({'operation': deed.operation, 'name': name, 'keywords': dict(deed.keywords)})
        ready(self._hear()['pid'])
        self._say('go')
        told = self._hear()
        return None if told['killed'] else Result.of(told['answer'])

    def _say(self, message: Any) -> None:
        assert self._process and self._process.stdin
        self._process.stdin.write(json.dumps(message) + '\n')
        self._process.stdin.flush()

    def _hear(self) -> Any:
        line = self._told.readline()
        assert line, 'the process for kills has ended; what it said stands above'
        return json.loads(line)


def _more(now: Iterable[str], before: Iterable[str]) -> list[str]:
    """Return the lines of *now* that are not among those of *before*, as often as they are more."""
    return sorted((Counter(now) - Counter(before)).elements())


def as_any(name: str, lines: Iterable[str]) -> list[str]:
    """Return *lines* with the name of a run taken out, so that two runs can be compared.

    Its volumes are numbered: of two at once, the one that wins may find a number held for a moment by the one that loses.
    """
    return sorted(re.sub(rf'{re.escape(name)}(-\d+)?', lambda match: '<name>-N' if match[1] else '<name>', line)
                  for line in lines)


def _told(result: Result | None) -> tuple[str, bool]:
    return (_spoken(result), result.ok) if result is not None else ('killed by somebody else', False)


def _spoken(result: Result) -> str:
    return 'success' if result.ok else f"{result['error']}: {result['reason']}"
