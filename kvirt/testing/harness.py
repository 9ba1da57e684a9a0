"""What the conformance suite has to know of a platform: where to find it, what may be used there, and what it can't have.

What a provider's class says (operations, keywords, ``starts_at_once``) the suite asks the class. A harness says the rest:
facts of the platform that no class tells.
"""

from __future__ import annotations

import ipaddress
import itertools
import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kvirt.base import Kbase
from kvirt.base.options import Options, decode_options, meta_of
from kvirt.decode import field_types
from kvirt.providers import registry
from kvirt.testing import inventory

if TYPE_CHECKING:
    from kvirt.testing.sweep import Stage

WITHOUT: Mapping[str, str] = {
    'mac': 'the MAC address of a card can not be chosen',
    'cardless': 'a VM has at least one card',
    'cards': 'a VM has one card, on one network',
    'card twice': 'a VM has at most one card on a network',
    'first card': 'the first card of a VM stays where it is, so a network with one on it is not deleted by force either',
    'disk image': 'only a root disk can be the clone of an image',
    'disk name': 'a disk that is added can not be given a name',
    'dhcp': 'a network can not be without DHCP',
    'nat': 'a network can not be isolated',
    'gateway': 'a network is always isolated: VMs reach the world by their public addresses',
    'domain': 'a network has no DNS domain',
    'snapshot state': 'a snapshot holds disks and nothing else: not if the VM ran, and none is the current one',
    'public bucket': 'a bucket can not be readable by everybody',
}
"""What a platform may be unable to have, though it has the operation. It is then refused, and never ignored."""

REFUSALS = ('NotSupported', 'InvalidInput')
"""How what a platform can't have is refused."""


class Harness:
    """A platform under test. Subclass it, and say what the suite can't find out.

    What the tests make bears ``prefix`` in its name and is deleted after each test; nothing else is touched. *folder* is
    where files may be put.
    """

    provider: str = ''
    """The provider's name: in kvirt's catalog, or an entry point."""

    options: Mapping[str, Any] = {}
    """The provider's options, as a client's section in config.yml has them."""

    extras: Mapping[str, Any] = {}
    """Further arguments of the provider's constructor, which no client has: a clock that does not wait."""

    keywords: Mapping[str, Any] = {}
    """Further keywords of every VM that is created: ``{'virttype': 'qemu'}``."""

    image: str | None = None
    """An image to make VMs from; the first of ``portable``, or of the provider's, when None."""

    network: str | None = None
    """A network to connect VMs to; ``default``, or the provider's first, when None."""

    pool: str | None = None
    """A storage pool; ``default``, or the provider's first, when None."""

    zone: str | None = None
    """A DNS zone to make records in; the provider's first when None."""

    boots: bool = False
    """VMs really boot: an address is waited for."""

    addressed: Mapping[str, Any] | None = None
    """Where VMs are not waited for: keywords of one that has an address all the same, since its firmware asks for one."""

    shared: bool = True
    """Two connections see the same things. False where a platform lives within one."""

    timeout: float = 60
    """Seconds that the platform may take to do what it accepted."""

    interval: float = 0.2
    """Seconds between two looks at it."""

    lag: float = 0
    """Seconds until a change that was accepted shows everywhere: a deleted VM is gone, a new size is told. 0: at once."""

    many: int = 5
    """How many of a kind make more than one page of a list; with pages of two, seven make more than three."""

    without: frozenset[str] = frozenset()
    """What this platform can't have, of :data:`WITHOUT`."""

    smallest_disk: int = 1
    """The size in GiB of the smallest disk that can be added to a VM."""

    longest_text: int | None = None
    """How many bytes a text that is kept on a VM may always have; a longer one may be refused. None: any number."""

    userdata_limit: int | None = None
    """The most bytes that a guest can be told at its birth, None where that is not limited."""

    portable: tuple[str, ...] | None = None
    """Short names of images that must make VMs here; when None, those that are listed."""

    takes_isos: bool = True
    """ISO images can be added, where images can. Otherwise those are used that are there."""

    thorough: bool = True
    """Try every odd name with every operation. False where each costs a call: then they take turns."""

    sees_all: bool = False
    """``leftovers`` asks the platform past the provider, and finds everything. Then the provider is not asked as well."""

    def __init__(self, folder: Path) -> None:
        unknown = self.without - set(WITHOUT)
        assert not unknown, f'no such thing to be without: {sorted(unknown)}; known are {sorted(WITHOUT)}'
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
        return self._connect({})

    def everywhere(self) -> Kbase | None:
        """Connect to all locations of the platform at once. None where it has none."""
        has_locations = bool(self.provider) and 'location' in field_types(registry.load(self.provider).Options)
        return self._connect({'location': 'all'}) if has_locations else None

    def _connect(self, changes: Mapping[str, Any]) -> Kbase:
        provider = registry.load(self.provider)
        values = {'home': str(self.folder), **self.options, **changes}
        options = decode_options(provider.Options, values, client=self.provider)
        given = {name: getattr(options, name) for name in field_types(provider.Options)}
        connected: Kbase = provider(**given, **self.extras)
        return connected

    def close(self) -> None:
        """Let go of what the harness holds: servers that it started, temporary accounts."""

    def stage(self) -> Stage | None:
        """Return where the fault sweep is done; None where calls can't be broken."""
        return None

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

    def subnet_cidr(self, cidr: str) -> str:
        """Return addresses for a further subnet of a network that was made with *cidr*: its second half."""
        return str(list(ipaddress.ip_network(cidr).subnets())[1])

    def secrets(self) -> list[str]:
        """Return what must stand in no log: the options that are secret."""
        options = registry.load(self.provider).Options if self.provider else Options
        return [str(self.options[name]) for name in field_types(options)
                if (meta_of(options, name).extra or {}).get('secret') and self.options.get(name)]

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

    def absent_image(self) -> str:
        """Return the URL or path of an image that is not there. It bears the prefix, and the word absent."""
        return str(self.folder / f'{self.prefix}-absent.img')

    def iso_file(self) -> str:
        """Return the URL or path of a small ISO. Its name bears the prefix."""
        import pycdlib
        path = self.folder / f"{self.name('iso')}.iso"
        disc = pycdlib.PyCdlib()
        disc.new()
        disc.write(str(path))
        disc.close()
        return str(path)
