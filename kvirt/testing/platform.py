"""What tests keep doing with a platform: make a VM, wait for it, look at what is there."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import cached_property
from typing import Any

import pytest

from kvirt.base import Kbase
from kvirt.errors import TimedOut
from kvirt.result import Result
from kvirt.shapes import Flavor, NicShape, Status
from kvirt.testing import inventory
from kvirt.testing.harness import REFUSALS, Harness
from kvirt.wait import StatusBoard, until

KEY = 'ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAiG4Fz3qUtUuA1YBTm0oWbDQz0GOx0qRBFwD1Kbd0pN conformance'
"""A public key that nobody has the private half of."""


class Platform:
    """A connection with the harness that made it."""

    def __init__(self, provider: Kbase, harness: Harness) -> None:
        self.provider = provider
        self.harness = harness

    # what may be used

    @cached_property
    def image(self) -> str | None:
        """An image to make VMs from, None where the platform has none."""
        known = self.harness.image or next(iter(self.harness.portable or ()), None)
        if known is not None or not self.provider.supports('volumes'):
            return known
        return next(iter(self.provider.volumes()), None)

    @cached_property
    def network(self) -> str:
        """A network to connect VMs to."""
        return self.harness.network or self._usual('list_networks')

    @cached_property
    def pool(self) -> str | None:
        """A storage pool, None where the platform has none."""
        return self.harness.pool or (self._usual('list_pools') if self.provider.supports('list_pools') else None)

    def lacks(self, what: str) -> bool:
        """Tell if the platform can't have *what*, a word of :data:`kvirt.testing.harness.WITHOUT`."""
        return what in self.harness.without

    def gib(self, number: int) -> int:
        """Return the *number*-th smallest size of a disk, counted from 1."""
        return self.harness.smallest_disk + number - 1

    @cached_property
    def resting(self) -> Status:
        """The status of a VM that was made and never started by anybody."""
        return 'running' if self.provider.starts_at_once else 'stopped'

    def flavors(self) -> list[Flavor]:
        """Return the flavors that an ordinary VM can have here and now, the cheapest first."""
        usual = [flavor for flavor in self.provider.list_flavors()
                 if flavor.available and not flavor.gpus and flavor.arch == 'x86_64']
        return sorted(usual, key=lambda flavor: (flavor.price_hourly is None, flavor.price_hourly or 0, flavor.memory,
                                                 flavor.name))

    @cached_property
    def zone(self) -> str:
        """A DNS zone to make records in."""
        zone = self.harness.zone or (self._usual('list_dns_zones') if self.provider.supports('list_dns_zones') else None)
        assert zone, 'the platform has no DNS zone: name one in the harness'
        return zone

    def _usual(self, operation: str) -> str:
        names = list(getattr(self.provider, operation)()) if self.provider.supports(operation) else []
        return 'default' if 'default' in names or not names else str(names[0])

    # virtual machines

    def asked(self, **keywords: Any) -> dict[str, Any]:
        """Return the keywords of a small VM that is not started where that can be, with *keywords* on top."""
        usual = {'image': self.image, 'numcpus': 1, 'memory': 256, 'nets': [self.network], 'keys': [KEY],
                 **({'pool': self.pool} if self.pool else {}), **({} if self.provider.starts_at_once else {'start': False})}
        return {**usual, **self.harness.keywords, **keywords}

    def vm(self, name: str | None = None, **keywords: Any) -> str:
        """Create a VM, wait until it has settled, and return its name. It runs only if it must: see ``resting``."""
        name = name or self.harness.name('vm')
        ok(self.provider.create(name, **self.asked(**keywords)))
        self.wait(name, 'running' if keywords.get('start') else self.resting)
        return name

    def running(self, **keywords: Any) -> str:
        """Create a VM that runs, and return its name."""
        return self.vm(start=True, **keywords)

    def stopped(self, **keywords: Any) -> str:
        """Create a VM that does not run, and return its name."""
        name = self.vm(**keywords)
        if self.resting != 'stopped':
            ok(self.provider.stop(name))
            self.wait(name, 'stopped')
        return name

    def gone(self, name: str) -> None:
        """Fail unless VM *name*, which was deleted, is gone."""
        self.shows(lambda: self.provider.exists(name), False)

    def wait(self, name: str, *statuses: str) -> None:
        """Wait until VM *name* has one of *statuses*."""
        StatusBoard(self.provider, max_age=self.harness.interval).wait(name, statuses, timeout=self.harness.timeout)

    def addressed(self) -> tuple[str, str]:
        """Create a VM that runs and gets an address, and return both."""
        if not self.harness.boots and self.harness.addressed is None:
            pytest.skip('VMs do not really boot here, so they have no address')
        name = self.running(**self.harness.addressed or {})
        return name, self.wait_address(name)

    def wait_address(self, name: str) -> str:
        """Wait until VM *name* has an address, and return it."""
        return until(lambda: self.provider.ip(name), what=f'VM {name} getting an address', timeout=self.harness.timeout,
                     interval=self.harness.interval)

    def names(self) -> list[str]:
        """Return the names of the VMs that tests made."""
        return [row['name'] for row in self.provider.list() if row['name'].startswith(self.harness.prefix)]

    def disk(self, size: int | None = None) -> str:
        """Create a volume that no VM has, a small one, and return its name."""
        name = self.harness.name('volume')
        ok(self.provider.create_disk(name, size or self.gib(1), pool=self.pool))
        return name

    def net(self, **keywords: Any) -> str:
        """Create a network, and return its name."""
        name = self.harness.name('net')
        ok(self.provider.create_network(name, **{'cidr': self.harness.cidr(), **keywords}))
        return name

    def two_nets(self) -> list[str]:
        """Return the networks of a VM with two cards, or with one where no VM can have more."""
        if self.lacks('cards'):
            return [self.network]
        return [self.network, self.net() if self.lacks('card twice') else self.network]

    # what is there

    def shows(self, read: Callable[[], object], wanted: object) -> None:
        """Fail unless *read* returns what is *wanted*: at once, or within the seconds that the platform may lag."""
        seen: list[object] = []

        def look() -> bool:
            seen[:] = [read()]
            return seen == [wanted]

        if self.harness.lag:
            with suppress(TimedOut):
                until(look, what='what is wanted', timeout=self.harness.lag, interval=self.harness.interval)
        else:
            look()
        [found] = seen
        assert found == wanted

    def inventory(self) -> list[str]:
        """Return what is on the platform and bears the prefix: as the provider tells it, and past it."""
        if self.harness.sees_all:
            return sorted(self.harness.leftovers())
        told = {f'{kind} {name}' for kind, name in inventory.take(self.provider) if name.startswith(self.harness.prefix)}
        return sorted(told | set(self.harness.leftovers()))

    @contextmanager
    def nothing_made(self) -> Iterator[None]:
        """Fail if there is more, or less, on the platform after the block than before."""
        before = self.inventory()
        yield
        self.shows(self.inventory, before)


def tidied(provider: Kbase, harness: Harness) -> list[str]:
    """Delete what bears the harness's prefix, and return what stays, in words."""
    left: list[str] = []

    def nothing() -> bool:
        return harness.sees_all and not harness.leftovers()

    def tidy() -> bool:
        left[:] = [f'could not be deleted: {problem}' for problem in inventory.sweep(provider, harness.prefix, nothing)]
        left.extend(f'left behind: {each}' for each in harness.leftovers())
        return not left

    if harness.lag:
        with suppress(TimedOut):
            until(tidy, what='an empty platform', timeout=harness.lag, interval=harness.interval)
    else:
        tidy()
    return left


def ok(result: Result) -> Result:
    """Return *result* if it is a success, else fail with its reason."""
    assert result['result'] == 'success', f"{result.get('error')}: {result.get('reason')}"
    return Result.of(result)


def card_id(card: NicShape) -> str:
    """Return what tells a card from the others of its VM: its MAC address, or where there is none its device."""
    return card.get('mac') or card['device']


def can_not_be(result: Result) -> str:
    """Return the reason of *result* if it refuses what the platform can't have."""
    return refused(result, *REFUSALS)


def refused(result: Result, *errors: str, names: str = '') -> str:
    """Return the reason of *result* if it is a failure of one of the kinds *errors* that names *names*."""
    assert result['result'] == 'failure', f'it should have been refused ({" or ".join(errors)}): {result}'
    assert result['error'] in errors, f"{result['error']} instead of {' or '.join(errors)}: {result['reason']}"
    assert names in result['reason'], f'the reason does not name {names}: {result["reason"]}'
    return str(result['reason'])
