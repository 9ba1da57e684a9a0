"""Names of VMs: EC2 lets several bear one, and kvirt lets only the oldest keep it."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from kvirt.errors import AlreadyExists, TimedOut
from kvirt.providers.aws.account import Account, age, created, name_of
from kvirt.wait import until

_TWINS_SECONDS, _TWINS_INTERVAL = 20.0, 1.0


class Names(Account):
    """Names that are taken. What is right is the look after a VM was made; the one before spares a launch in vain.

    The names before are read once for all VMs of a plan, so a VM costs two calls: its launch, and the look after it. A
    name that is found taken is looked up anew, since it may have become free.
    """

    def __init__(self, debug: bool = False, **options: Any) -> None:
        super().__init__(debug, **options)
        self._names_lock = threading.Lock()
        self._names: set[str] = set()
        self._names_read = False
        self._in_the_making: set[str] = set()

    @contextmanager
    def claimed(self, name: str) -> Iterator[None]:
        """Claim a name while its VM is being made. AlreadyExists."""
        with self._names_lock:
            if name in self._in_the_making:
                raise AlreadyExists(f'VM {name} is being made already')
            if not self._names_read:
                self._names |= {str(name_of(each)) for each in self.instances(regions=[self.here])}
                self._names_read = True
            taken = name in self._names
            self._in_the_making.add(name)
        try:
            if taken and self.named(name, [self.here]):
                raise AlreadyExists(f'VM {name} exists')
            yield
            self._names.add(name)
        finally:
            with self._names_lock:
                self._in_the_making.discard(name)

    def only_one(self, name: str, ours: Mapping[str, Any]) -> None:
        """Raise AlreadyExists when another VM bears *name* and *ours*, which was just made, has to go.

        Births are told in whole seconds. Of two VMs of one second the one with the smaller id stays, unless the other's
        maker did not see it and is done: that one stays then, which shows when it does not go. Only this rare case waits.
        What EC2 itself does not tell yet can't be seen: two makers far apart, within its lag, may both succeed.
        """
        def alone() -> bool:
            others = [each for each in self.named(name, [self.here]) if each['InstanceId'] != ours['InstanceId']]
            if any(age(each) < age(ours) for each in others):
                raise AlreadyExists(f'VM {name} exists')
            return all(created(each) > created(ours) for each in others)
        try:
            until(alone, what=f'VM {name} being the only one', timeout=_TWINS_SECONDS, interval=_TWINS_INTERVAL,
                  clock=self.clock)
        except TimedOut:
            raise AlreadyExists(f'VM {name} exists') from None
