"""What tests keep doing with a platform: make a VM, wait for it, look at what is there."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from typing import Any

from kvirt.base import Kbase
from kvirt.result import Result
from kvirt.testing import inventory
from kvirt.testing.harness import Harness
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
        if self.harness.image is not None or not self.provider.supports('volumes'):
            return self.harness.image
        return next(iter(self.provider.volumes()), None)

    @cached_property
    def network(self) -> str:
        """A network to connect VMs to."""
        return self.harness.network or self._usual('list_networks')

    @cached_property
    def pool(self) -> str:
        """A storage pool."""
        return self.harness.pool or self._usual('list_pools')

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
        """Return the keywords of a small VM that is not started, with *keywords* on top."""
        return {'image': self.image, 'numcpus': 1, 'memory': 256, 'pool': self.pool, 'nets': [self.network], 'keys': [KEY],
                'start': False, **self.harness.keywords, **keywords}

    def vm(self, name: str | None = None, **keywords: Any) -> str:
        """Create a VM, wait until it has settled, and return its name."""
        name = name or self.harness.name('vm')
        ok(self.provider.create(name, **self.asked(**keywords)))
        self.wait(name, 'running' if keywords.get('start') else 'stopped')
        return name

    def running(self, **keywords: Any) -> str:
        """Create a VM that runs, and return its name."""
        return self.vm(start=True, **keywords)

    def wait(self, name: str, *statuses: str) -> None:
        """Wait until VM *name* has one of *statuses*."""
        StatusBoard(self.provider, max_age=self.harness.interval).wait(name, statuses, timeout=self.harness.timeout)

    def wait_address(self, name: str) -> str:
        """Wait until VM *name* has an address, and return it."""
        return until(lambda: self.provider.ip(name), what=f'VM {name} getting an address', timeout=self.harness.timeout,
                     interval=self.harness.interval)

    def names(self) -> list[str]:
        """Return the names of the VMs that tests made."""
        return [row['name'] for row in self.provider.list() if row['name'].startswith(self.harness.prefix)]

    def disk(self, size: int = 1) -> str:
        """Create a volume that no VM has, and return its name."""
        name = self.harness.name('volume')
        ok(self.provider.create_disk(name, size, pool=self.pool))
        return name

    def net(self, **keywords: Any) -> str:
        """Create a network, and return its name."""
        name = self.harness.name('net')
        ok(self.provider.create_network(name, **{'cidr': self.harness.cidr(), **keywords}))
        return name

    # what is there

    def inventory(self) -> list[str]:
        """Return what is on the platform and bears the prefix: as the provider tells it, and past it."""
        told = {f'{kind} {name}' for kind, name in inventory.take(self.provider) if name.startswith(self.harness.prefix)}
        return sorted(told | set(self.harness.leftovers()))

    @contextmanager
    def nothing_made(self) -> Iterator[None]:
        """Fail if there is more, or less, on the platform after the block than before."""
        before = self.inventory()
        yield
        assert self.inventory() == before


def ok(result: Result) -> Result:
    """Return *result* if it is a success, else fail with its reason."""
    assert result['result'] == 'success', f"{result.get('error')}: {result.get('reason')}"
    return Result.of(result)


def refused(result: Result, *errors: str, names: str = '') -> str:
    """Return the reason of *result* if it is a failure of one of the kinds *errors* that names *names*."""
    assert result['result'] == 'failure', f'it should have been refused ({" or ".join(errors)}): {result}'
    assert result['error'] in errors, f"{result['error']} instead of {' or '.join(errors)}: {result['reason']}"
    assert names in result['reason'], f'the reason does not name {names}: {result["reason"]}'
    return str(result['reason'])
