"""DNS: the names that the server of a network answers for. A zone is a network, by its domain or else by its name.

https://libvirt.org/formatnetwork.html#addressing
"""

from __future__ import annotations

import xml.etree.ElementTree as ET
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import Any

import libvirt

from kvirt import units
from kvirt.errors import AlreadyExists, Conflict, NotFound
from kvirt.names import did_you_mean
from kvirt.providers.kvm.lookup import still_there
from kvirt.providers.kvm.networks import Networks
from kvirt.shapes import DnsRecord
from kvirt.undo import Undo

_ADD, _DELETE = libvirt.VIR_NETWORK_UPDATE_COMMAND_ADD_LAST, libvirt.VIR_NETWORK_UPDATE_COMMAND_DELETE


class Dns(Networks):
    """Zones and records."""

    def _answering(self) -> Iterator[tuple[str, libvirt.virNetwork]]:
        """Yield the zone of each network that answers, with the network."""
        known = still_there(self.libvirt.listAllNetworks(0), lambda each: (each, ET.fromstring(each.XMLDesc(0))))
        for network, described in known:
            if described.find('ip') is None or (dns := described.find('dns')) is not None and dns.get('enable') == 'no':
                continue
            yield _zone_of(network, described), network

    def _zone(self, domain: str) -> tuple[str, libvirt.virNetwork]:
        """Return a zone and the network that answers for it. Of several with one domain the first does."""
        known, wanted = list(self._answering()), domain.rstrip('.')
        for zone, network in known:
            if wanted in (zone, network.name()):
                return zone, network
        raise NotFound(f'no network answers for {domain}{did_you_mean(domain, {zone for zone, _ in known})}')

    def _list_dns_zones(self) -> list[str]:
        return sorted({zone for zone, _ in self._answering()})

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
        known, wanted = dict(_hosts(network)), _relative([name, *alias], zone)
        taken = [(other, each) for other, names in known.items() if _version(other) == _version(address)
                 for each in _relative(names, zone) if each in wanted]  # a name may have an address of each family
        if taken and not force:
            raise AlreadyExists(f'{taken[0][1]}.{zone} exists')
        after = {other: _without(known[other], wanted, zone) for other, _ in taken}
        there = next((other for other in known if _same(other, address)), address)  # a network has one entry for each
        new = (each for short in wanted for each in _both(short, zone, network))
        self.answer(network, after | {there: list(dict.fromkeys([*after.get(there, known.get(there, ())), *new]))})

    def _delete_dns(self, name: str, domain: str, allentries: bool = False) -> None:
        zone, network = self._zone(domain)
        short = _relative([name], zone)[0]
        bearers = {address: names for address, names in _hosts(network) if short in _relative(names, zone)}
        if not bearers:
            raise NotFound(f'{short}.{zone} does not exist')
        self.answer(network, {address: [] if allentries else _without(names, [short], zone)
                              for address, names in bearers.items()})

    def refuse_known(self, domain: str, name: str, address: str) -> None:
        """Raise AlreadyExists if the server of *domain* answers for *name* with an address of the family of *address*."""
        zone, network = self._zone(domain)
        if any(name in _relative(names, zone) and _version(other) == _version(address) for other, names in _hosts(network)):
            raise AlreadyExists(f'{name}.{zone} exists')

    def answers(self, network: libvirt.virNetwork, name: str, address: str) -> bool:
        """Tell if *network* answers for *name* with *address*."""
        zone = _zone_of(network, ET.fromstring(network.XMLDesc(0)))
        return any(_same(other, address) and name in _relative(names, zone) for other, names in _hosts(network))

    def forget_address(self, network: libvirt.virNetwork, name: str, address: str) -> None:
        """Take *name* from those that the network answers for with *address*, where it is one."""
        self._exchange(network, address, name, None)

    def rename_address(self, network: libvirt.virNetwork, address: str, old: str, new: str) -> None:
        """Let the network answer for *new* with *address*, where it does so for *old*."""
        self._exchange(network, address, old, new)

    def _exchange(self, network: libvirt.virNetwork, address: str, old: str, new: str | None) -> None:
        zone = _zone_of(network, ET.fromstring(network.XMLDesc(0)))
        for other, names in _hosts(network):
            if _same(other, address) and old in _relative(names, zone):
                exchanged = [{old: new, f'{old}.{zone}': new and f'{new}.{zone}'}.get(each, each) for each in names]
                self.answer(network, {other: list(dict.fromkeys(each for each in exchanged if each))})

    def answer(self, network: libvirt.virNetwork, wanted: Mapping[str, Sequence[str]]) -> None:
        """Let *network* answer with each address that is *wanted* for its names, and for no others. All or nothing."""
        before = dict(_hosts(network))
        with Undo().translating(self.translate) as undo:
            for address, names in wanted.items():
                undo.add(f'the names of {address}', partial(self._put_names, network, address, before.get(address, ())))
                self._put_names(network, address, names)

    def _put_names(self, network: libvirt.virNetwork, address: str, names: Sequence[str]) -> None:
        there = dict(_hosts(network)).get(address, [])
        if there == list(names):
            return
        section = libvirt.VIR_NETWORK_SECTION_DNS_HOST
        if there:  # libvirt changes no entry in its place; what is deleted is told by its address, for a name may have two
            self.amend(network, _DELETE, section, ET.Element('host', ip=address))
        if names:
            host = ET.Element('host', ip=address)
            for name in names:
                ET.SubElement(host, 'hostname').text = name
            self.amend(network, _ADD, section, host)

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


def _zone_of(network: libvirt.virNetwork, described: ET.Element) -> str:
    """Return what the names of a network end in: its domain, or else its own name."""
    domain = described.find('domain')
    return (domain.get('name') if domain is not None else None) or str(network.name())


def _version(address: str) -> int:
    return units.address(address).version


def _same(one: str, other: str) -> bool:
    return bool(units.address(one) == units.address(other))


def _without(names: Sequence[str], short: Sequence[str], zone: str) -> list[str]:
    """Return *names* but those that are *short* when their zone is taken off."""
    return [each for each in names if _relative([each], zone)[0] not in short]


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
