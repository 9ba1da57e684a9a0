"""DNS: the names that the server of a network answers for. A zone is a network, by its domain or else by its name.

https://libvirt.org/formatnetwork.html#addressing
"""

from __future__ import annotations

import xml.etree.ElementTree as ET
from collections.abc import Iterator, Sequence
from typing import Any

import libvirt

from kvirt import units
from kvirt.errors import AlreadyExists, Conflict, NotFound
from kvirt.names import did_you_mean
from kvirt.providers.kvm.lookup import still_there
from kvirt.providers.kvm.networks import Networks
from kvirt.shapes import DnsRecord

_ADD, _DELETE = libvirt.VIR_NETWORK_UPDATE_COMMAND_ADD_LAST, libvirt.VIR_NETWORK_UPDATE_COMMAND_DELETE


class Dns(Networks):
    """Zones and records."""

    def _zones(self) -> dict[str, libvirt.virNetwork]:
        """Return the networks that answer, by zone. Where two have the same domain the first one does."""
        found: dict[str, libvirt.virNetwork] = {}
        known = still_there(self.libvirt.listAllNetworks(0), lambda each: (each, ET.fromstring(each.XMLDesc(0))))
        for network, described in known:
            if described.find('ip') is None or (dns := described.find('dns')) is not None and dns.get('enable') == 'no':
                continue
            domain = described.find('domain')
            found.setdefault((domain.get('name') if domain is not None else None) or network.name(), network)
        return found

    def _zone(self, domain: str) -> tuple[str, libvirt.virNetwork]:
        zones = self._zones()
        for zone, network in zones.items():
            if domain.rstrip('.') in (zone, network.name()):
                return zone, network
        raise NotFound(f'no network answers for {domain}{did_you_mean(domain, zones)}')

    def _list_dns_zones(self) -> list[str]:
        return sorted(self._zones())

    def _list_dns(self, domain: str) -> list[DnsRecord]:
        zone, network = self._zone(domain)
        found: list[DnsRecord] = []
        for address, names in _hosts(network):
            kind = 'A' if units.address(address).version == 4 else 'AAAA'
            found += [{'name': f'{name}.{zone}', 'type': kind, 'data': [address]} for name in _relative(names, zone)]
        return sorted(found, key=lambda record: (record['name'], record['type']))

    def _reserve_dns(self, name: str, nets: Sequence[Any] = (), domain: str | None = None, ip: str | None = None,
                     alias: Sequence[str] = (), force: bool = False, primary: bool = False,
                     instanceid: str | None = None) -> None:
        zone, network = self._zone(domain or _first(nets))
        address = ip or self._address_of(name)
        wanted = _relative([name, *alias], zone)
        taken = [known for _, names in _hosts(network) for known in _relative(names, zone) if known in wanted]
        if taken and not force:
            raise AlreadyExists(f'{taken[0]}.{zone} exists')
        for known in taken:
            self._forget(network, zone, known)
        there = next((names for other, names in _hosts(network) if other == address), [])
        if there:  # a network has one entry for an address
            self._change(network, _DELETE, address, there)
        names = [*there, *(each for known in wanted for each in _both(known, zone, network))]
        self._change(network, _ADD, address, list(dict.fromkeys(names)))

    def _delete_dns(self, name: str, domain: str, allentries: bool = False) -> None:
        zone, network = self._zone(domain)
        short = _relative([name], zone)[0]
        if not any(short in _relative(names, zone) for _, names in _hosts(network)):
            raise NotFound(f'{short}.{zone} does not exist')
        self._forget(network, zone, short, entirely=allentries)

    def _forget(self, network: libvirt.virNetwork, zone: str, name: str, *, entirely: bool = False,
                only: str | None = None) -> None:
        """Take a name (of address *only*) from the network, or with *entirely* all that have its address."""
        for address, names in list(_hosts(network)):
            if name not in _relative(names, zone) or only not in (None, address):
                continue
            self._change(network, _DELETE, address, names)
            rest = [each for each in names if _relative([each], zone) != [name]]
            if rest and not entirely:
                self._change(network, _ADD, address, rest)

    def refuse_known(self, domain: str, name: str) -> None:
        """Raise AlreadyExists if the server of *domain* answers for *name*."""
        zone, network = self._zone(domain)
        if any(name in _relative(names, zone) for _, names in _hosts(network)):
            raise AlreadyExists(f'{name}.{zone} exists')

    def forget_address(self, network: libvirt.virNetwork, name: str, address: str) -> None:
        """Take *name* from those that the network answers for with *address*, where it is one."""
        found = ET.fromstring(network.XMLDesc(0)).find('domain')
        zone = (found.get('name') if found is not None else None) or network.name()
        self._forget(network, zone, name, only=address)

    @staticmethod
    def _change(network: libvirt.virNetwork, command: int, address: str, names: Sequence[str]) -> None:
        host = ET.Element('host', ip=address)
        for name in names:
            ET.SubElement(host, 'hostname').text = name
        Dns.amend(network, command, libvirt.VIR_NETWORK_SECTION_DNS_HOST, host)

    def _address_of(self, name: str) -> str:
        address = self._ip(name)
        if address is None:
            if self._exists(name):
                raise Conflict(f'VM {name} has no address yet')
            raise NotFound(f'VM {name} does not exist, so it has no address')
        return address


def _hosts(network: libvirt.virNetwork) -> Iterator[tuple[str, list[str]]]:
    """Yield each address that the network answers with, and its names."""
    for host in ET.fromstring(network.XMLDesc(0)).iterfind('dns/host'):
        yield str(host.get('ip')), [name.text or '' for name in host.iterfind('hostname')]


def _relative(names: Sequence[str], zone: str) -> list[str]:
    """Return names without that of their zone, each once."""
    return list(dict.fromkeys(name.rstrip('.').removesuffix(f'.{zone}') for name in names))


def _both(name: str, zone: str, network: libvirt.virNetwork) -> list[str]:
    """Return the names to answer for: with the zone as well, where it is a domain and not only a network's name."""
    return [name] if zone == network.name() else [name, f'{name}.{zone}']


def _first(nets: Sequence[Any]) -> str:
    if not nets:
        return 'default'
    return str(nets[0].get('name', 'default') if isinstance(nets[0], dict) else nets[0])
