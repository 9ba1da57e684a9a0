"""Networks of a libvirt host, and the network cards of its VMs."""

from __future__ import annotations

import ipaddress
import xml.etree.ElementTree as ET
from collections.abc import Mapping
from typing import Any

import libvirt

from kvirt import units
from kvirt.base import unsupported
from kvirt.errors import AlreadyExists, Conflict, InvalidInput, NotFound
from kvirt.names import did_you_mean
from kvirt.providers.kvm import domain
from kvirt.providers.kvm.lookup import Lookup, still_there
from kvirt.shapes import NetworkShape

_INFO = '{kvirt}info'
_LIVE_AND_CONFIG = libvirt.VIR_DOMAIN_AFFECT_LIVE | libvirt.VIR_DOMAIN_AFFECT_CONFIG


class Networks(Lookup):
    """Networks of a libvirt host."""

    # finding

    def network(self, name: str) -> libvirt.virNetwork | None:
        """Return network *name*, None when there is none."""
        try:
            return self.libvirt.networkLookupByName(name)
        except libvirt.libvirtError as error:
            if error.get_error_code() == libvirt.VIR_ERR_NO_NETWORK:
                return None
            raise

    def network_or_bridge(self, name: str) -> dict[str, Any]:
        """Return how a card connects to *name*: ``{'network': name}``, or ``{'bridge': name}`` for a bridge of the host.

        Conflict when the network does not run, NotFound when there is neither.
        """
        network = self.network(name)
        if network is not None:
            if not network.isActive():
                raise Conflict(f"network '{name}' is not running", hint=f'Run: virsh net-start {name}')
            return {'network': name}
        if name in self._host_interfaces():
            return {'bridge': name}
        raise NotFound(f"network '{name}' does not exist on {self.uri}{did_you_mean(name, self._list_networks())}",
                       hint="'kvirt list network' shows what is there")

    def _host_interfaces(self) -> set[str]:
        devices = self.libvirt.listAllDevices(libvirt.VIR_CONNECT_LIST_NODE_DEVICES_CAP_NET)
        names = (ET.fromstring(device.XMLDesc()).findtext('capability/interface') for device in devices)
        return {name for name in names if name}

    # the area

    def _list_networks(self) -> dict[str, NetworkShape]:
        networks = self.libvirt.listAllNetworks(0)
        return dict(sorted(still_there(networks, lambda network: (network.name(), network_shape(network)))))

    def _create_network(self, name: str, cidr: str | None, dhcp: bool, nat: bool, domain: str | None, plan: str,
                        overrides: Mapping[str, Any]) -> None:
        if overrides:
            raise InvalidInput(f"unknown setting of a network: {', '.join(sorted(overrides))}")
        if self.network(name) is not None:
            raise AlreadyExists(f'network {name} exists on {self.uri}')
        if cidr is None:
            raise InvalidInput(f'network {name} needs a cidr', hint='For instance: -c 192.168.100.0/24')
        self._refuse_overlap(name, units.network(cidr))
        xml = network_xml(name, cidr, dhcp, nat, domain, plan)
        # Started before it is defined: who is killed in between leaves a network that works, not one that only seems to.
        network = self.libvirt.networkCreateXML(xml)
        try:
            self.libvirt.networkDefineXML(network.XMLDesc(0))
            network.setAutostart(1)
        except BaseException:
            network.destroy()
            if network.isPersistent():
                network.undefine()
            raise

    def _refuse_overlap(self, name: str, wanted: units.Network) -> None:
        for other, shape in self._list_networks().items():
            if 'cidr' not in shape:
                continue
            have = ipaddress.ip_network(shape['cidr'], strict=False)
            if have.version == wanted.version and have.overlaps(wanted):
                raise Conflict(f"{wanted} of network {name} overlaps {have} of network {other}")

    def _delete_network(self, name: str, force: bool = False) -> None:
        network = self.network(name)
        if network is None:
            raise NotFound(f"network {name} does not exist on {self.uri}{did_you_mean(name, self._list_networks())}")
        users = self._network_ports(name)
        if users and not force:
            raise Conflict(f"network {name} is in use by {', '.join(users)}",
                           hint='Delete those VMs first, or take the network from them with --force')
        for vm in users:
            self.detach_cards(self.domain_of(vm), lambda nic: nic.network == name)
        persistent = network.isPersistent()
        if network.isActive():
            network.destroy()
        if persistent:
            network.undefine()

    def _network_ports(self, name: str) -> list[str]:
        return sorted({view.name for view in self.domains_read() for nic in view.nics if name in (nic.network, nic.bridge)})

    def _add_nic(self, name: str, network: str, model: str = 'virtio') -> Mapping[str, Any] | None:
        native = self.domain_of(name)
        nic = domain.Nic(**self.network_or_bridge(network), mac=domain.random_mac(), model=model)
        native.attachDeviceFlags(domain.to_text(domain.nic_element(nic)), self.affected(native))
        return {'mac': nic.mac}

    def _delete_nic(self, name: str, interface: str) -> None:
        native = self.domain_of(name)
        if not self.detach_cards(native, lambda nic: interface in (nic.device, nic.mac, nic.network, nic.bridge)):
            raise NotFound(f'VM {name} has no network card {interface}')

    def detach_cards(self, native: libvirt.virDomain, chosen: Any) -> int:
        """Take the cards that *chosen* accepts away from a VM; return how many there were."""
        view = domain.read(native.XMLDesc(0))
        cards = [nic for nic in view.nics if chosen(nic)]
        for nic in cards:
            self._detach_card(native, nic)
        return len(cards)

    def _detach_card(self, native: libvirt.virDomain, nic: domain.NicView) -> None:
        wanted = domain.Nic(network=nic.network, bridge=nic.bridge, mac=nic.mac or '', model=nic.model or 'virtio')
        self.detach(native, domain.nic_element(wanted), f'network card {nic.mac}',
                    lambda view: nic.mac in [known.mac for known in view.nics])

    @staticmethod
    def affected(native: libvirt.virDomain) -> int:
        """Return the flags for a change of a VM: of what runs as well, when it runs."""
        return int(_LIVE_AND_CONFIG if native.isActive() else libvirt.VIR_DOMAIN_AFFECT_CONFIG)

    _create_subnet = unsupported('libvirt has no subnets; make a network for each')
    _delete_subnet = unsupported('libvirt has no subnets')
    _update_subnet = unsupported('libvirt has no subnets')
    _list_subnets = unsupported('libvirt has no subnets')
    _info_subnet = unsupported('libvirt has no subnets')
    _create_floating_ip = unsupported('libvirt has no floating addresses')
    _delete_floating_ip = unsupported('libvirt has no floating addresses')
    _attach_floating_ip = unsupported('libvirt has no floating addresses')
    _detach_floating_ip = unsupported('libvirt has no floating addresses')
    _list_floating_ips = unsupported('libvirt has no floating addresses')


def network_shape(network: libvirt.virNetwork) -> NetworkShape:
    """Map a libvirt network."""
    root = ET.fromstring(network.XMLDesc(0))
    forward = root.find('forward')
    native = forward.get('mode', 'nat') if forward is not None else 'isolated'
    mode = {'route': 'routed'}.get(native, native)
    shape: NetworkShape = {'dhcp': root.find('ip/dhcp') is not None, 'type': 'libvirt', 'mode': mode}
    address = root.find('ip')
    if address is not None and address.get('address'):
        mask = address.get('prefix') or address.get('netmask') or ('64' if address.get('family') == 'ipv6' else '24')
        shape['cidr'] = str(ipaddress.ip_network(f"{address.get('address')}/{mask}", strict=False))
    name = root.find('domain')
    if name is not None and name.get('name'):
        shape['domain'] = name.get('name', '')
    plan = root.find(f'metadata/{_INFO}/{{kvirt}}plan')
    if plan is not None and plan.text:
        shape['plan'] = plan.text
    return shape


def network_xml(name: str, cidr: str, dhcp: bool, nat: bool, domain_name: str | None, plan: str) -> str:
    """Return the description of a network with addresses *cidr*; the host has the first one."""
    addresses = units.network(cidr)
    if addresses.num_addresses < 8:
        raise InvalidInput(f'{cidr} is too small for a network', hint='Give at least a /29')
    first, last = addresses[1], addresses[min(addresses.num_addresses - 2, 65534)]
    root = ET.Element('network')
    ET.SubElement(root, 'name').text = domain.check_text('network', name)
    info = ET.SubElement(ET.SubElement(root, 'metadata'), _INFO)
    ET.SubElement(info, '{kvirt}plan').text = domain.check_text('plan', plan)
    if nat:
        ET.SubElement(root, 'forward', mode='nat')
    if domain_name:
        ET.SubElement(root, 'domain', name=domain.check_text('domain', domain_name), localOnly='yes')
    ip = domain.add(root, 'ip', family='ipv6' if addresses.version == 6 else None, address=str(first),
                    prefix=addresses.prefixlen)
    if dhcp:
        domain.add(domain.add(ip, 'dhcp'), 'range', start=str(addresses[2]), end=str(last))
    return domain.to_text(root)
