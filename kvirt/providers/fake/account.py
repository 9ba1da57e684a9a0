"""What every area of the fake stands on: its options, the world, and finding VMs in it."""

from __future__ import annotations

import functools
import sqlite3
import time
import uuid
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime, timezone
from pathlib import Path
from typing import Annotated, Any, ClassVar, TypeVar

from kvirt.base import Kbase, Options, option
from kvirt.errors import Conflict, InvalidInput, KvirtError, NotFound, NotSupported, QuotaExceeded, Unavailable
from kvirt.names import did_you_mean
from kvirt.providers.fake.catalogue import FLAVORS, LIMITS, LOCATIONS
from kvirt.providers.fake.faults import Faults
from kvirt.providers.fake.mapping import flags_of
from kvirt.providers.fake.records import Record, Vm
from kvirt.providers.fake.world import Transaction, World
from kvirt.spec import SPECIAL

T = TypeVar('T')

_OF_THE_FILE = ('locked', 'unable to open', 'readonly', 'disk I/O', 'disk is full')
"""In the messages of SQLite about the state of its file; its other ones tell a bug."""

EVERYWHERE = 'all'
"""The location of a client that sees the VMs of all locations. It makes its own in the first one."""


class FakeOptions(Options, frozen=True, kw_only=True):
    """The keys that a client of the fake may have in config.yml."""

    state: Annotated[str | None, option('File that the world is kept in, or :memory:; fake.db in home when absent')] = None
    location: Annotated[str, option("Where VMs are made and looked for, or 'all'; see list location")] = 'lisbon'
    seed: Annotated[str, option('Text that ids and MAC addresses depend on; with the same one they are the same')] = ''
    boot_seconds: Annotated[float, option('How long a VM takes to start, and to stop when asked politely')] = 0
    now: Annotated[str | None, option('Date at which time stands still, ISO 8601; real time when absent')] = None
    faults: Annotated[tuple[str, ...], option('What goes wrong: capacity, quota=N, transient=N, ratelimit=N, slowboot=N, '
                                              'fail@STEP, kill@STEP')] = ()


class Account(Kbase):
    """An account of the fake cloud."""

    Options: ClassVar[type[Options]] = FakeOptions
    honours: ClassVar[frozenset[str]] = SPECIAL
    conn: World

    def __init__(self, state: str | None = None, location: str = 'lisbon', seed: str = '', boot_seconds: float = 0,
                 now: str | None = None, faults: Sequence[str] = (), home: str | None = None, debug: bool = False,
                 clock: Callable[[], float] | None = None) -> None:
        """Open an account; nothing is read or written before the first use.

        *clock* tells the time in seconds since 1970, in place of the real one.
        """
        if location != EVERYWHERE and location not in LOCATIONS:
            raise InvalidInput(f"unknown location '{location}'{did_you_mean(location, [*LOCATIONS, EVERYWHERE])}")
        self.debug = debug
        self.location = location
        self.seed = seed
        self.faults = Faults.parse(faults)
        self._boot_seconds = boot_seconds
        self._clock = clock or _standing(now) or time.time
        if state != ':memory:':
            state = str(Path(state or Path(home or '~/.kvirt') / 'fake.db').expanduser().absolute())
        self.conn = World(state)

    def close(self) -> None:
        self.conn.close()

    @contextmanager
    def inject(self, *faults: str) -> Iterator[None]:
        """Let *faults* (see :mod:`kvirt.providers.fake.faults`) happen as well, for as long as the block runs."""
        before = self.faults
        self.faults = before.with_(Faults.parse(faults))
        try:
            yield
        finally:
            self.faults = before

    def translate(self, error: Exception) -> KvirtError | None:
        if isinstance(error, sqlite3.OperationalError) and any(text in str(error) for text in _OF_THE_FILE):
            return Unavailable(f'{self.conn.path}: {error}')
        if isinstance(error, UnicodeEncodeError):
            return InvalidInput(f'{error.object[:70]!r} is no text that can be kept')
        if type(error) is sqlite3.DatabaseError:
            return InvalidInput(f'{self.conn.path} is not a file of the fake provider: {error}',
                                hint='Remove it to begin anew, or name another with the option state')
        if isinstance(error, OSError) and error.filename and Path(error.filename) in _with_parents(Path(self.conn.path)):
            return Unavailable(f'{error.filename}: {error.strerror}')
        return None

    def _ask(self, hook: Callable[..., T], *args: Any, **kwargs: Any) -> T:
        """Count the call where a fault depends on it; every operation passes here once."""
        @functools.wraps(hook)
        def counted(*args: Any, **kwargs: Any) -> T:
            if 'transient' in self.faults or 'ratelimit' in self.faults:
                with self.conn.change() as world:
                    number = world.number('calls')
                trouble = self.faults.of_call(number)
                if trouble is not None:
                    raise trouble
            return hook(*args, **kwargs)
        return super()._ask(counted, *args, **kwargs)

    # time, numbers

    def time(self) -> float:
        """Return the time, in seconds since 1970."""
        return self._clock()

    @property
    def boot_seconds(self) -> float:
        """How long a VM takes to start."""
        return self.faults.numbers.get('slowboot', self._boot_seconds)

    def stable_id(self, kind: str, number: int) -> str:
        """Return the id of thing *number* of its kind: the same in every world with the same seed."""
        return str(uuid.uuid5(uuid.NAMESPACE_URL, f'fake://{self.seed}/{kind}/{number}'))

    # finding

    def seen(self, world: Transaction) -> list[Vm]:
        """Return the VMs of this client's location, sorted by name."""
        return sorted((vm for vm in world.all(Vm) if self.location in (vm.location, EVERYWHERE)),
                      key=lambda vm: (vm.name, vm.location))

    def here(self) -> str:
        """Return the location that this client makes things in."""
        return min(LOCATIONS) if self.location == EVERYWHERE else self.location

    def find(self, world: Transaction, name: str) -> Vm | None:
        """Return the VM with this name or id in this client's location. Conflict when several bear the name."""
        by_id = world.get(Vm, name)
        found = [by_id] if by_id else world.named(Vm, name)
        found = [vm for vm in found if self.location in (vm.location, EVERYWHERE)]
        return self.one('VM', name, found) if found else None

    def get(self, world: Transaction, name: str) -> Vm:
        """Return the VM with this name or id. NotFound suggests the likely one."""
        vm = self.find(world, name)
        if vm is None:
            raise NotFound(f"VM {name} does not exist{did_you_mean(name, [vm.name for vm in self.seen(world)])}")
        return vm

    def settled(self, world: Transaction, name: str) -> Vm:
        """Return the VM with this name or id, to change it. Conflict while it is being made."""
        vm = self.get(world, name)
        if vm.maker is not None:
            if vm.maker.gone(self.time()):
                raise Conflict(f'VM {name} was never finished', hint="'kvirt delete orphans' removes it")
            raise Conflict(f'VM {name} is still being made')
        return vm

    def stopped(self, world: Transaction, name: str) -> Vm:
        """Return the VM with this name or id. Conflict when it does not stand still."""
        vm = self.settled(world, name)
        if vm.power != 'off' or self.time() < vm.settles:
            raise Conflict(f'VM {name} is {"running" if vm.power == "on" else "still stopping"}', hint='Stop it first')
        return vm

    @staticmethod
    def allowed(vm: Vm, flag: str) -> None:
        """Raise NotSupported when a VM lacks *flag* (stoppable, rebootable, resizable), because of what it is."""
        if not flags_of(vm).get(flag, True):
            what = f'flavor {vm.flavor}' if not getattr(FLAVORS[vm.flavor], flag) else 'spare capacity'
            raise NotSupported(f'VM {vm.name} has {what}, which is not {flag}')

    def within_quota(self, world: Transaction, name: str, kind: type[Record]) -> None:
        """Raise QuotaExceeded when the account may have no more of a *kind*."""
        limit = self.limit(name)
        if world.count(kind) >= limit:
            raise QuotaExceeded(f'the account has its {limit} {name}', hint="'kvirt list quota' shows the limits")

    def limit(self, name: str) -> int:
        """Return how many of a kind the account may have."""
        return self.faults.numbers.get('quota', LIMITS[name]) if name == 'vms' else LIMITS[name]


def lacks(vm: Vm, what: str, name: str, known: Iterable[str]) -> NotFound:
    """Return the error that says that *vm* has no *what* called *name*, and the likely one of those *known*."""
    return NotFound(f'VM {vm.name} has no {what} {name}{did_you_mean(name, known)}')


def _with_parents(path: Path) -> list[Path]:
    return [path, *path.parents]


def _standing(date: str | None) -> Callable[[], float] | None:
    """Return a clock that stands still at *date*. InvalidInput."""
    if date is None:
        return None
    try:
        moment = datetime.fromisoformat(date.replace('Z', '+00:00'))
    except ValueError:
        raise InvalidInput(f"'{date}' is no date", hint='Write 2030-01-31T12:00:00Z') from None
    stamp = (moment if moment.tzinfo else moment.replace(tzinfo=timezone.utc)).timestamp()
    return lambda: stamp
