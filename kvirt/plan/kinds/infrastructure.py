"""Entries that VMs stand on: networks, storage pools, images, and disks that several VMs share."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator, Mapping
from functools import partial
from typing import Annotated, Any

from kvirt import units
from kvirt.base.networks import Unlike
from kvirt.errors import Conflict, InvalidInput, Problem, TimedOut
from kvirt.names import did_you_mean
from kvirt.plan.events import Key
from kvirt.plan.kinds.item import Change, Difference, Item, NamedKeys, Tell, attempt
from kvirt.readers import texts
from kvirt.result import Result
from kvirt.spec import doc
from kvirt.wait import until

log = logging.getLogger(__name__)

_FOR_DISKS = 120.0


def one_cidr(value: Any) -> str:
    """Read a network with its prefix."""
    return str(units.network(str(value)))


class NetworkKeys(NamedKeys, frozen=True, kw_only=True):
    """The keys of a network; further ones are settings of the provider."""

    cidr: Annotated[str | None, doc('plan', 'Addresses: 192.168.1.0/24', one_cidr)] = None
    nat: Annotated[bool, doc('plan', 'VMs reach the outside through an address of the host')] = True
    dhcp: Annotated[bool, doc('plan', 'Addresses are given out')] = True
    domain: Annotated[str | None, doc('plan', 'DNS domain')] = None


class NetworkItem(Item):
    """A network."""

    kind = 'network'
    Keys = NetworkKeys
    open_keys = True
    other_words = {'vmclient': 'client'}

    def exists(self) -> bool:
        return self.name in self.live.networks()

    def compare(self) -> Change:
        if not self.exists():
            return Change('create')
        unlike = self._unlike(self.live.networks()[self.name])
        fixed = ['the addresses' if key == 'cidr' else key for key, each in unlike.items() if each.fixed]
        mend = partial(self._changed, unlike) if self.k.supports('update_network') and not fixed else None
        found = tuple(Difference(key, each.now, each.wanted, mend) for key, each in unlike.items())
        if fixed:
            return Change('replace', found, f"{' and '.join(fixed)} of a network can not be changed")
        return Change('update' if mend and found else 'nothing', found)

    def _unlike(self, there: Any) -> dict[str, Unlike]:
        """Return what the entry says and the network does not have."""
        keys, said = self.keys, self.entry.values
        found: dict[str, Unlike] = {}
        if keys.cidr and there.get('cidr') not in (None, keys.cidr):
            found['cidr'] = Unlike(there['cidr'], keys.cidr, fixed=True)
        if 'dhcp' in said and there.get('dhcp') not in (None, keys.dhcp):
            found['dhcp'] = Unlike(there['dhcp'], keys.dhcp)
        if 'domain' in said and (keys.domain or '') != there.get('domain', ''):
            found['domain'] = Unlike(there.get('domain'), keys.domain or '')
        named = {key: getattr(keys, key) for key in ('nat', 'domain') if key in said}
        ask = getattr(self.k, 'network_unlike', None)  # a provider in kcli's manner has none
        return {**found, **(ask(there, {**named, **self.settings}) if ask else {})}

    def _changed(self, unlike: Mapping[str, Unlike]) -> Result:
        """Change all that can be changed in one call: a network that has to be started anew is, once."""
        wanted = {key: each.wanted for key, each in unlike.items()}
        named = {key: wanted.pop(key) for key in ('dhcp', 'nat', 'domain') if key in wanted}
        return attempt(self.k.update_network, self.name, **named, **({'overrides': wanted} if wanted else {}))

    def create(self, tell: Tell) -> Result:
        keys = self.keys
        return attempt(self.k.create_network, self.name, cidr=keys.cidr, dhcp=keys.dhcp, nat=keys.nat,
                                                     domain=keys.domain, plan=self.scope.name, overrides=self.settings)

    def delete(self, tell: Tell) -> Result:
        return attempt(self.k.delete_network, self.name)

    def made(self, *, unmarked: bool = False) -> bool:
        mine = self.live.networks().get(self.name, {}).get('plan') == self.scope.name
        return mine and not self.config.keeps_networks


class PoolKeys(NamedKeys, frozen=True, kw_only=True):
    """The keys of a storage pool; further ones are settings that the provider has for pools of its type."""

    path: Annotated[str | None, doc('plan', 'Folder, volume group or dataset')] = None
    pooltype: Annotated[str, doc('plan', 'Kind of pool: dir, lvm, zfs, ...')] = 'dir'
    thinpool: Annotated[str | None, doc('plan', 'Thin pool of the volume group')] = None


class PoolItem(Item):
    """A storage pool. It is kept when its plan is deleted: others may have put their disks in it."""

    kind = 'pool'
    Keys = PoolKeys
    open_keys = True

    def _check(self) -> None:
        if self.keys.path:  # whose files would be volumes, which any VM of the plan can have as its disks
            self._need_trust('opens a folder of the host', 'path')
        ask = getattr(self.config.provider, 'pool_settings', None)  # a provider in kcli's manner has none
        known = ask(self.keys.pooltype) if ask else frozenset()
        odd = {key: Problem(f"unknown key of a pool of type {self.keys.pooltype} '{key}'"
                            f"{did_you_mean(key, {*self.Keys.__struct_fields__, *known})}", self.entry.where(key))
               for key in self.settings if key not in known}
        if odd and not self.entry.compat:
            raise InvalidInput(list(odd.values()))
        for key, problem in odd.items():  # which kcli passed over in silence
            log.warning('%s', problem)
            del self.settings[key]

    def exists(self) -> bool:
        return self.name in self.live.pools()

    def create(self, tell: Tell) -> Result:
        keys = self.keys
        own = {'overrides': self.settings} if self.settings else {}
        return attempt(self.k.create_pool, self.name, keys.path, pooltype=keys.pooltype, thinpool=keys.thinpool, **own)

    def delete(self, tell: Tell) -> Result:
        return attempt(self.k.delete_pool, self.name)

    def made(self, *, unmarked: bool = False) -> bool:
        return False


class ImageKeys(NamedKeys, frozen=True, kw_only=True):
    """The keys of an image."""

    url: Annotated[str | None, doc('plan', 'Where it is; a well-known one of that name when absent')] = None
    pool: Annotated[str | None, doc('plan', 'Storage pool')] = None
    checksum: Annotated[str | None, doc('plan', 'What it must match: sha256:..., or the URL of a list of checksums')] = None
    size: Annotated[int | None, doc('plan', 'Size to grow it to, in GiB', units.disk_gib)] = None
    cmds: Annotated[tuple[str, ...], doc('plan', 'Commands run in it', texts)] = ()


class ImageItem(Item):
    """An image. It is kept when its plan is deleted: downloads are for everybody."""

    kind = 'image'
    Keys = ImageKeys

    def refers(self) -> Iterator[Key]:
        if self.keys.pool:
            yield 'pool', self.keys.pool

    def _check(self) -> None:
        if self.keys.url and not self.keys.url.startswith(('http://', 'https://')):
            self._need_trust('reads files of this machine', 'url')

    def exists(self) -> bool:
        return self.name in self.live.images()

    def create(self, tell: Tell) -> Result:
        from kvirt.guest import images
        keys = self.keys
        url = keys.url
        if url is None:
            arch = getattr(self.k, 'arch', None) or 'x86_64'
            if images.find(self.name) is None and images.find(self.name, arch) is None:
                raise InvalidInput(Problem(f'image {self.name} is not well-known, so it needs a url', self.entry.where()))
            url = images.current(images.need(self.name, arch)).url

        def progress(done: int, total: int | None) -> None:
            tell(f'{done // 1024**2} of {total // 1024**2} MiB' if total else f'{done // 1024**2} MiB')
        return attempt(self.k.add_image, url, keys.pool, short=self.name, cmds=keys.cmds, name=self.name,
                                                size=keys.size, progress=progress, checksum=keys.checksum)

    def delete(self, tell: Tell) -> Result:
        return attempt(self.k.delete_image, self.name, self.keys.pool)

    def made(self, *, unmarked: bool = False) -> bool:
        return False


class DiskKeys(NamedKeys, frozen=True, kw_only=True):
    """The keys of a disk of its own."""

    pool: Annotated[str | None, doc('plan', 'Storage pool')] = None
    size: Annotated[int, doc('plan', 'Size in GiB', units.disk_gib)] = 10
    thin: Annotated[bool, doc('plan', 'Allocate on write')] = True
    image: Annotated[str | None, doc('plan', 'Image that it is a clone of')] = None
    vms: Annotated[tuple[str, ...], doc('plan', 'VMs that get it; several share it', texts)] = ()


class DiskItem(Item):
    """A disk that is attached to VMs once they are there."""

    kind = 'disk'
    Keys = DiskKeys
    other_words = {'template': 'image'}

    def refers(self) -> Iterator[Key]:
        if self.keys.pool:
            yield 'pool', self.keys.pool
        if self.keys.image:
            yield 'image', self.keys.image
        yield from (('vm', vm) for vm in self.keys.vms)

    def _holders(self) -> list[str]:
        return list(self.live.disks().get(self.name, {}).get('vms') or ())

    def exists(self) -> bool:
        return self.name in self.live.disks() and set(self.keys.vms) <= set(self._holders())

    def create(self, tell: Tell) -> Result:
        keys, k = self.keys, self.k
        self.live.forget()
        result = Result.success()
        if self.name not in self.live.disks():
            result = self._making(k.create_disk, self.name, keys.size, pool=keys.pool, thin=keys.thin, image=keys.image)
        holders = self._holders()
        for vm in keys.vms:
            if result.ok and vm not in holders:
                tell(f'attaching it to {vm}')
                result = attempt(k.add_disk, vm, existing=self.name, pool=keys.pool,
                                                          shareable=len(keys.vms) > 1)
        return result

    def present(self) -> bool:
        return self.name in self.live.disks()

    def outlives(self, need: Key) -> bool:
        return need[0] == 'vm'  # a disk that a VM has can't be deleted

    def delete(self, tell: Tell) -> Result:
        """Remove it. A VM that was just deleted may hold it for a little longer, where that takes the platform a while."""
        gone: list[Result] = []

        def tried() -> bool:
            gone.append(attempt(self.k.delete_disk, None, self.name, self.keys.pool))
            if gone[-1].ok or gone[-1]['error'] != Conflict.__name__:
                return True
            self.live.forget()
            return bool(set(self._holders()) & set(self.live.vms()))
        with contextlib.suppress(TimedOut):
            until(tried, what=f'disk {self.name} being let go', timeout=_FOR_DISKS,
                  tick=lambda seconds: tell(f'waiting for VMs to let go of it, {seconds:.0f} s'))
        return gone[-1]
