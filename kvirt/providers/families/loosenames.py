"""Names on a platform that lets several things bear one: of VMs, kvirt lets only the oldest keep it."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from kvirt.errors import AlreadyExists, TimedOut
from kvirt.providers.families.machines import Machine, Machines
from kvirt.providers.families.marks import iso_date
from kvirt.wait import until

_TWINS_SECONDS, _TWINS_INTERVAL = 20.0, 1.0


class LooseNames(Machines):
    """Names that are taken, over two primitives.

    What is right is the look after a VM was made; the one before spares a launch in vain. The names before are read once
    for all VMs of a plan, so a VM costs two calls: its launch, and the look after it. A name that is found taken is looked
    up anew, since it may have become free.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._names_lock = threading.Lock()
        self._names: set[str] = set()
        self._names_read = False
        self._in_the_making: set[str] = set()

    def vms_called(self, name: str) -> Sequence[Machine]:
        """Return the VMs of this name where this client makes them. They tell when they were made."""
        raise NotImplementedError

    def names_taken(self) -> Iterable[str]:
        """Return the names of all VMs where this client makes them."""
        raise NotImplementedError

    def machine_exists(self, name: str) -> bool:
        with self._names_lock:
            if not self._names_read:
                self._names.update(self.names_taken())
                self._names_read = True
        return name in self._names and bool(self.vms_called(name))

    @contextmanager
    def claimed(self, name: str) -> Iterator[None]:
        """Claim a name in this process while its VM is being made. AlreadyExists."""
        with self._names_lock:
            if name in self._in_the_making:
                raise AlreadyExists(f'VM {name} is being made already')
            self._in_the_making.add(name)
        try:
            yield
            self._names.add(name)
        finally:
            with self._names_lock:
                self._in_the_making.discard(name)

    def only_one(self, name: str, ours: Machine) -> None:
        """Raise AlreadyExists when another VM bears *name* and *ours*, which was just made, has to go.

        Births are told in whole seconds. Of two VMs of one second the one with the smaller id stays, unless the other's
        maker did not see it and is done: that one stays then, which shows when it does not go. Only this rare case waits.
        What the platform itself does not tell yet can't be seen: two makers far apart, within its lag, may both succeed.
        """
        def alone() -> bool:
            others = [each for each in self.vms_called(name) if each.id != ours.id]
            if any((_birth(each), each.id) < (_birth(ours), ours.id) for each in others):
                raise AlreadyExists(f'VM {name} exists')
            return all(_birth(each) > _birth(ours) for each in others)
        try:
            until(alone, what=f'VM {name} being the only one', timeout=_TWINS_SECONDS, interval=_TWINS_INTERVAL,
                  clock=self.clock)
        except TimedOut:
            raise AlreadyExists(f'VM {name} exists') from None


def told_apart(names: Mapping[str, str]) -> dict[str, str]:
    """Return the names of things by id. Where several bear one name, their ids take its place."""
    times = Counter(names.values())
    return {native: name if times[name] == 1 else native for native, name in names.items()}


def _birth(machine: Machine) -> str:
    return iso_date(machine.created) if machine.created else ''
