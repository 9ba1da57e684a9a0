"""What the conformance suite has to know of a platform: where to find it, and what may be used there."""

from __future__ import annotations

import itertools
import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from kvirt.base import Kbase
from kvirt.base.options import decode_options
from kvirt.decode import field_types
from kvirt.providers import registry
from kvirt.testing import inventory


class Harness:
    """A platform under test. Subclass it, and say what the suite can't find out.

    What the tests make bears ``prefix`` in its name and is deleted after each test; nothing else is touched. *folder* is
    where files may be put.
    """

    provider: str = ''
    """The provider's name: in kvirt's catalog, or an entry point."""

    options: Mapping[str, Any] = {}
    """The provider's options, as a client's section in config.yml has them."""

    keywords: Mapping[str, Any] = {}
    """Further keywords of every VM that is created: ``{'virttype': 'qemu'}``."""

    image: str | None = None
    """An image to make VMs from; the first of the provider's when None."""

    network: str | None = None
    """A network to connect VMs to; ``default``, or the provider's first, when None."""

    pool: str | None = None
    """A storage pool; ``default``, or the provider's first, when None."""

    zone: str | None = None
    """A DNS zone to make records in; the provider's first when None."""

    boots: bool = False
    """VMs really boot: an address is waited for."""

    shared: bool = True
    """Two connections see the same things. False where a platform lives within one."""

    timeout: float = 60
    """Seconds that the platform may take to do what it accepted."""

    interval: float = 0.2
    """Seconds between two looks at it."""

    many: int = 5
    """How many VMs make more than one page of a list."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.prefix = f'conf{secrets.token_hex(2)}'
        self._numbers = itertools.count(1)
        self._networks = itertools.count(secrets.randbelow(100))

    @property
    def finished(self) -> bool:
        """True when the catalog calls the provider finished: then nothing may be "not yet"."""
        return bool(self.provider) and registry.find(self.provider).finished

    def make(self) -> Kbase:
        """Connect to the platform. Called more than once: each connection is closed by who asked for it."""
        provider = registry.load(self.provider)
        values = {'home': str(self.folder), **self.options}
        options = decode_options(provider.Options, values, client=self.provider)
        connected: Kbase = provider(**{name: getattr(options, name) for name in field_types(provider.Options)})
        return connected

    def leftovers(self) -> list[str]:
        """Return what is on the platform and bears the prefix, in words.

        This asks the provider itself. Where the platform can be asked past the provider, do that: it finds what the
        provider hides.
        """
        with self.make() as provider:
            found = [f'{kind} {name}' for kind, name in inventory.take(provider)]
            if provider.supports('list_orphans'):
                found += [f"orphaned {orphan['kind']} {orphan['name']}" for orphan in provider.list_orphans()]
        return sorted(each for each in found if self.prefix in each)

    def name(self, kind: str) -> str:
        """Return a fresh name, which bears the prefix."""
        return f'{self.prefix}-{kind}{next(self._numbers)}'

    def cidr(self) -> str:
        """Return addresses that no network of the platform has."""
        return f'10.213.{100 + next(self._networks) % 150}.0/24'

    def pool_path(self, name: str) -> str | None:
        """Return where a storage pool called *name* can be made."""
        path = self.folder / name
        path.mkdir()
        return str(path)

    def image_file(self) -> str:
        """Return the URL or path of a small image that the platform takes. Its name bears the prefix."""
        path = self.folder / f"{self.name('image')}.img"
        path.write_bytes(b'\x00' * 1024**2)
        return str(path)

    def iso_file(self) -> str:
        """Return the URL or path of a small ISO. Its name bears the prefix."""
        import pycdlib
        path = self.folder / f"{self.name('iso')}.iso"
        disc = pycdlib.PyCdlib()
        disc.new()
        disc.write(str(path))
        disc.close()
        return str(path)
