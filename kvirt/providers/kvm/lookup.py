"""Finding domains, and reading them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import ClassVar, TypeVar
from xml.etree.ElementTree import Element

import libvirt

from kvirt.errors import AlreadyExists, Conflict, NotFound, TimedOut
from kvirt.names import did_you_mean
from kvirt.providers.kvm import domain
from kvirt.providers.kvm.connection import Connection
from kvirt.wait import until

N = TypeVar('N')
R = TypeVar('R')

Counters = Mapping[str, int]

_AT_ONCE, _AT_ONCE_REMOTE = 4, 256
"""How many things are read at once: libvirtd serves a few calls of a connection in parallel. Over a network each call
costs a round trip, so there all are on their way together."""
_COUNTERS = libvirt.VIR_DOMAIN_STATS_STATE | libvirt.VIR_DOMAIN_STATS_VCPU | libvirt.VIR_DOMAIN_STATS_BALLOON
_PERSISTENT = libvirt.VIR_DOMAIN_XML_INACTIVE | libvirt.VIR_DOMAIN_XML_SECURE
_GONE = (libvirt.VIR_ERR_NO_DOMAIN, libvirt.VIR_ERR_NO_NETWORK, libvirt.VIR_ERR_NO_STORAGE_POOL,
         libvirt.VIR_ERR_NO_STORAGE_VOL, libvirt.VIR_ERR_NO_NODE_DEVICE)


def still_there(things: Iterable[N], read: Callable[[N], R]) -> Iterator[R]:
    """Yield what *read* tells of each thing; one that went away since it was listed is left out."""
    for thing in things:
        try:
            yield read(thing)
        except libvirt.libvirtError as error:
            if error.get_error_code() not in _GONE:
                raise


def state_of(native: libvirt.virDomain) -> dict[str, int]:
    """Return the state of a domain, as the counters tell it."""
    state, reason = native.state()
    return {'state.state': state, 'state.reason': reason}


class Lookup(Connection):
    """The domains of a libvirt host, by name or uuid."""

    let_go_seconds: ClassVar[float] = 15
    """How long a guest may take to let go of a device."""

    def lookup(self, name: str) -> libvirt.virDomain | None:
        """Return the domain with this name, or this uuid; None when there is none."""
        looks = [self.libvirt.lookupByName]
        if len(name) == 36 and name.count('-') == 4:
            looks.append(self.libvirt.lookupByUUIDString)
        for look in looks:
            try:
                return look(name)
            except libvirt.libvirtError as error:
                if error.get_error_code() not in (libvirt.VIR_ERR_NO_DOMAIN, libvirt.VIR_ERR_INVALID_ARG):
                    raise
        return None

    def domain_of(self, name: str) -> libvirt.virDomain:
        """Return the domain with this name or uuid; NotFound suggests the likely one."""
        native = self.lookup(name)
        if native is None:
            names = [other.name() for other in self.libvirt.listAllDomains(0)]
            raise NotFound(f'VM {name} does not exist on {self.uri}{did_you_mean(name, names)}')
        return native

    def refuse_existing(self, name: str) -> None:
        """Raise AlreadyExists if there is a VM called *name*."""
        if self.lookup(name) is not None:
            raise AlreadyExists(f'VM {name} exists on {self.uri}')

    def persistent_xml(self, native: libvirt.virDomain) -> str:
        """Return the XML that a domain has when it is started the next time, passwords included."""
        return str(native.XMLDesc(_PERSISTENT))

    def persistent(self, native: libvirt.virDomain) -> domain.Domain:
        """Read what a domain is when it is started the next time."""
        return domain.read(self.persistent_xml(native))

    def detach(self, native: libvirt.virDomain, device: Element, what: str,
               there: Callable[[domain.Domain], bool]) -> None:
        """Take a device away from a VM; *there* tells if a VM still has it.

        The guest of a VM that runs must let go of it: Conflict when it does not, and then the VM keeps it.
        """
        text = domain.to_text(device)
        if native.isActive() and there(domain.read(native.XMLDesc(0))):
            native.detachDeviceFlags(text, libvirt.VIR_DOMAIN_AFFECT_LIVE)
            try:
                until(lambda: not there(domain.read(native.XMLDesc(0))), what=f'{what} leaving VM {native.name()}',
                      timeout=self.let_go_seconds, interval=0.2)
            except TimedOut:
                raise Conflict(f'the guest of VM {native.name()} does not let go of {what}',
                               hint='Wait until it has booted, or stop it first') from None
        if there(self.persistent(native)):
            native.detachDeviceFlags(text, libvirt.VIR_DOMAIN_AFFECT_CONFIG)

    def counted(self) -> list[tuple[libvirt.virDomain, Counters]]:
        """Return every domain with its state, CPUs and memory, from one call.

        Only their states where libvirt has no such call, and where a domain went away meanwhile, which fails it as a whole.
        """
        try:
            found: list[tuple[libvirt.virDomain, Counters]] = self.libvirt.getAllDomainStats(_COUNTERS, 0)
            return found
        except libvirt.libvirtError as error:
            if error.get_error_code() not in (libvirt.VIR_ERR_NO_SUPPORT, libvirt.VIR_ERR_NO_DOMAIN):
                raise
        return list(still_there(self.libvirt.listAllDomains(0), lambda native: (native, state_of(native))))

    def domains_read(self) -> Iterator[domain.Domain]:
        """Read every domain; one that went away meanwhile is left out."""
        def read(native: libvirt.virDomain) -> domain.Domain | None:
            there = still_there([native], lambda native: native.XMLDesc(libvirt.VIR_DOMAIN_XML_INACTIVE))
            return next(map(domain.read, there), None)

        yield from filter(None, self.each(self.libvirt.listAllDomains(0), read))

    def each(self, things: Sequence[N], read: Callable[[N], R]) -> list[R]:
        """Return what *read* tells of each of *things*, in their order, several at a time."""
        if len(things) < (2 if self.remote else 4):
            return list(map(read, things))
        from concurrent.futures import ThreadPoolExecutor
        with ThreadPoolExecutor(_AT_ONCE_REMOTE if self.remote else _AT_ONCE) as pool:
            return list(pool.map(read, things))
