"""Finding domains, and reading them."""

from __future__ import annotations

from collections.abc import Iterator

import libvirt

from kvirt.errors import AlreadyExists, NotFound
from kvirt.names import did_you_mean
from kvirt.providers.kvm import domain
from kvirt.providers.kvm.connection import Connection

_PERSISTENT = libvirt.VIR_DOMAIN_XML_INACTIVE | libvirt.VIR_DOMAIN_XML_SECURE


class Lookup(Connection):
    """The domains of a libvirt host, by name or uuid."""

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

    def domains_read(self) -> Iterator[domain.Domain]:
        """Read every domain; one that went away meanwhile is left out."""
        for native in self.libvirt.listAllDomains(0):
            try:
                yield domain.read(native.XMLDesc(libvirt.VIR_DOMAIN_XML_INACTIVE))
            except libvirt.libvirtError as error:
                if error.get_error_code() != libvirt.VIR_ERR_NO_DOMAIN:
                    raise
