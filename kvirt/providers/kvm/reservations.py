"""Addresses that a VM has for itself: kept for it by the DHCP server of its network, and told by the DNS server there.

What was reserved stands on the VM, in its field ``reserved``, before it is done; so it goes with the VM, however that ends.
"""

from __future__ import annotations

import copy
import ipaddress
import xml.etree.ElementTree as ET
from collections.abc import Iterator, Sequence
from functools import partial

import libvirt
import msgspec

from kvirt.errors import Conflict, InvalidInput
from kvirt.providers.kvm.dns import Dns
from kvirt.providers.kvm.domain import Domain, Nic, add
from kvirt.providers.kvm.networks import cidr_of
from kvirt.spec import VmSpec
from kvirt.undo import Undo

KEYWORDS = frozenset({'reserveip', 'reservedns'})
FIELD = 'reserved'


class Reservation(msgspec.Struct, frozen=True):
    """An address of a card of VM *name* on a network."""

    network: str
    ip: str
    mac: str
    name: str


class Reservations(Dns):
    """Reserving addresses, and giving them back."""

    def reservations(self, name: str, spec: VmSpec, nics: Sequence[Nic]) -> list[Reservation]:
        """Return what is to be reserved for a VM. InvalidInput where there is nothing, Conflict for what others have."""
        if not (spec.reserveip or spec.reservedns):
            return []
        found = [Reservation(nic.network, str(net.interface.ip), nic.mac or '', name)
                 for net, nic in zip(spec.cards(), nics, strict=True) if net.interface and nic.network]
        keyword = 'reserveip' if spec.reserveip else 'reservedns'
        if not found:
            raise InvalidInput(f'{keyword}: no card of VM {name} has an ip on a network of libvirt',
                               hint='Give the card an ip')
        for each in found:
            self._check(each, spec)
        return found

    def _check(self, wanted: Reservation, spec: VmSpec) -> None:
        root = ET.fromstring(self._need_network(wanted.network).XMLDesc(0))
        home = next((ip for ip in root.findall('ip') if _in(wanted.ip, ip)), None)
        if home is None:
            raise InvalidInput(f'{wanted.ip} is no address of network {wanted.network}')
        if spec.reserveip and home.find('dhcp') is None:
            raise InvalidInput(f'reserveip: network {wanted.network} gives no addresses out')
        for host in home.findall('dhcp/host') if spec.reserveip else ():
            if host.get('ip') == wanted.ip:
                owner = host.get('name') or host.get('mac')
                raise Conflict(f'{wanted.ip} of network {wanted.network} is reserved for {owner}')
        if spec.reservedns:
            self.refuse_known(wanted.network, wanted.name, wanted.ip)

    def reserve(self, wanted: Sequence[Reservation], spec: VmSpec) -> None:
        """Reserve what was found to be free."""
        for each in wanted:
            if spec.reserveip:
                network = self._need_network(each.network)
                homes = ET.fromstring(network.XMLDesc(0)).findall('ip')
                self.amend(network, libvirt.VIR_NETWORK_UPDATE_COMMAND_ADD_LAST,
                           libvirt.VIR_NETWORK_SECTION_IP_DHCP_HOST, _host(each.ip, each.mac, each.name),
                           next(index for index, ip in enumerate(homes) if _in(each.ip, ip)))
            if spec.reservedns:
                self._reserve_dns(each.name, domain=each.network, ip=each.ip)

    def release(self, view: Domain) -> None:
        """Give back what was reserved for a VM; what is gone already, with its network or by hand, is fine."""
        for name, address, vm in _read(view.info.get(FIELD, '')):
            network = self.network(name)
            if network is None:
                continue
            for index, host in self._kept(network, address, view, vm):
                self.amend(network, libvirt.VIR_NETWORK_UPDATE_COMMAND_DELETE,
                           libvirt.VIR_NETWORK_SECTION_IP_DHCP_HOST, host, index)
            self.forget_address(network, vm, address)

    @staticmethod
    def _kept(network: libvirt.virNetwork, address: str, view: Domain, name: str) -> list[tuple[int, ET.Element]]:
        """Return the entries of DHCP that keep *address* for a VM, with the numbers of their ``<ip>``."""
        macs = {nic.mac for nic in view.nics}
        return [(index, host) for index, ip in enumerate(ET.fromstring(network.XMLDesc(0)).findall('ip'))
                for host in ip.findall('dhcp/host')
                if host.get('ip') == address and (host.get('mac') in macs or host.get('name') == name)]

    def refuse_reserved(self, view: Domain, new: str) -> None:
        """Raise AlreadyExists if what is reserved for a VM can not bear the name *new*."""
        for name, address, vm in _read(view.info.get(FIELD, '')):
            network = self.network(name)
            if network is not None and self.answers(network, vm, address):
                self.refuse_known(name, new, address)

    def rename_reserved(self, view: Domain, old: str, new: str, undo: Undo) -> None:
        """Let what is reserved for a VM bear the name *new*; what is gone already is left alone."""
        for name, address, _ in _read(view.info.get(FIELD, '')):
            network = self.network(name)
            if network is None:
                continue
            for index, host in self._kept(network, address, view, old):
                if host.get('name') == old:
                    named = copy.deepcopy(host)
                    named.set('name', new)
                    undo.add(f'what is reserved for {old}', partial(self._keep, network, index, host))
                    self._keep(network, index, named)
            undo.add(f'the DNS name {old}', partial(self.rename_address, network, address, new, old))
            self.rename_address(network, address, old, new)

    def _keep(self, network: libvirt.virNetwork, index: int, host: ET.Element) -> None:
        """Make *host* the entry of its address; libvirt changes none in its place."""
        for there in ET.fromstring(network.XMLDesc(0)).findall('ip')[index].findall('dhcp/host'):
            if there.get('ip') == host.get('ip'):
                self.amend(network, libvirt.VIR_NETWORK_UPDATE_COMMAND_DELETE,
                           libvirt.VIR_NETWORK_SECTION_IP_DHCP_HOST, there, index)
        self.amend(network, libvirt.VIR_NETWORK_UPDATE_COMMAND_ADD_LAST,
                   libvirt.VIR_NETWORK_SECTION_IP_DHCP_HOST, host, index)


def renamed_text(text: str, *names: str) -> str:
    """Return the field that tells what was reserved, under each of *names*."""
    return ','.join(f'{network}/{address}/{name}' for name in names for network, address, _ in _read(text))


def text_of(reservations: Sequence[Reservation]) -> str:
    """Return the field that tells what was reserved."""
    return ','.join(f'{each.network}/{each.ip}/{each.name}' for each in reservations)


def _read(text: str) -> Iterator[tuple[str, str, str]]:
    for part in text.split(','):
        if part.count('/') == 2:
            network, address, vm = part.split('/')
            yield network, address, vm


def _in(address: str, ip: ET.Element) -> bool:
    return bool(ip.get('address')) and ipaddress.ip_address(address) in cidr_of(ip)


def _host(ip: str, mac: str, name: str) -> ET.Element:
    root = ET.Element('root')
    return add(root, 'host', mac=mac if ':' not in ip else None, name=name, ip=ip)  # IPv6 knows guests by their names
