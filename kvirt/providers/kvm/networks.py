"""Networks of a libvirt host, and the network cards of its VMs."""

from __future__ import annotations

import contextlib
import ipaddress
import xml.etree.ElementTree as ET
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

import libvirt

from kvirt import units
from kvirt.base import unsupported
from kvirt.base.networks import Unlike
from kvirt.errors import AlreadyExists, Conflict, NotFound, NotSupported
from kvirt.names import did_you_mean
from kvirt.providers.kvm import domain
from kvirt.providers.kvm.domain import read, to_text
from kvirt.providers.kvm.lookup import Lookup, still_there
from kvirt.shapes import NetworkShape
from kvirt.wait import until

INFO = '{kvirt}info'
_VLAN_ON_BRIDGE = 11_000_000  # version of libvirt
_TRIES = 20
_INACTIVE = libvirt.VIR_NETWORK_XML_INACTIVE
_ADD, _DELETE = libvirt.VIR_NETWORK_UPDATE_COMMAND_ADD_LAST, libvirt.VIR_NETWORK_UPDATE_COMMAND_DELETE
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
        names = still_there(devices, lambda device: ET.fromstring(device.XMLDesc()).findtext('capability/interface'))
        found = {name for name in names if name} | (self._configurable_interfaces() or set())
        if not self.remote:  # libvirt hears of new ones from udev, which does not run everywhere
            with contextlib.suppress(OSError):
                found |= {each.name for each in Path('/sys/class/net').iterdir()}
        return found

    def _configurable_interfaces(self) -> set[str] | None:
        """Return the devices that libvirt's driver for them tells of; None on hosts without that driver."""
        try:
            return {each.name() for each in self.libvirt.listAllInterfaces(0)}
        except libvirt.libvirtError:
            return None

    # the area

    def _list_networks(self) -> dict[str, NetworkShape]:
        from kvirt.providers.kvm import netsettings  # not for a list of VMs

        def row(network: libvirt.virNetwork) -> tuple[str, NetworkShape]:
            root = self._configured(network)
            return network.name(), cast(NetworkShape, {**netsettings.told(root), **network_shape(root)})
        return dict(sorted(still_there(self.libvirt.listAllNetworks(0), row)))

    @classmethod
    def network_unlike(cls, there: NetworkShape, settings: Mapping[str, Any]) -> dict[str, Unlike]:
        """Return which settings a network does not have; what makes it another kind of network is fixed."""
        from kvirt.providers.kvm import netsettings
        return netsettings.unlike(there, settings)

    def _create_network(self, name: str, cidr: str | None, dhcp: bool, nat: bool, domain: str | None, plan: str,
                        overrides: Mapping[str, Any]) -> None:
        from kvirt.providers.kvm import netxml  # not for a list of VMs
        root = netxml.network_element(name, cidr, dhcp, nat, domain, plan, overrides)
        if self.network(name) is not None:
            raise AlreadyExists(f'network {name} exists on {self.uri}')
        self._refuse_older(root)
        self._need_devices(root)
        for ip in root.findall('ip'):
            self._refuse_overlap(name, cidr_of(ip))
        # Started before it is defined: who is killed in between leaves a network that works, not one that only seems to.
        network = self._started(root)
        try:
            self._define_network(network)
            network.setAutostart(1)
        except BaseException:
            with contextlib.suppress(libvirt.libvirtError):  # the first error is the one to tell
                if network.isPersistent():
                    network.undefine()
                network.destroy()
            raise

    def _started(self, root: ET.Element) -> libvirt.virNetwork:
        """Make a network that runs.

        Where no bridge is named libvirt chooses a name that is free, and may choose the same for several networks that
        are made at once. Who comes too late is asked for again, and gets another one.
        """
        text, bridge = to_text(root), root.find('bridge')
        tries = 1 if bridge is not None and bridge.get('name') else _TRIES
        while True:
            tries -= 1
            try:
                return self.libvirt.networkCreateXML(text)
            except libvirt.libvirtError as error:
                if not tries or 'error creating bridge interface' not in str(error):
                    raise

    def _define_network(self, network: libvirt.virNetwork) -> None:
        """Define a network that runs.

        Another one that is made at this moment may have been given the name of its bridge, and is about to get another.
        """
        def kept() -> bool:
            try:
                self.libvirt.networkDefineXML(network.XMLDesc(0))
            except libvirt.libvirtError as error:
                if 'bridge name' not in str(error) or 'already in use' not in str(error):
                    raise
                return False
            return True
        until(kept, what=f'network {network.name()} having its bridge alone', timeout=5, interval=0.05)

    def _need_devices(self, root: ET.Element) -> None:
        """Raise NotFound for a device of the host that a network needs and that is not there: libvirt does not look."""
        forward = root.find('forward')
        if forward is None or self.driver == 'test':
            return
        wanted = {element.get('dev') for element in (forward, *forward.findall('interface'))}
        if forward.get('mode') == 'bridge':
            wanted |= {bridge.get('name') for bridge in root.findall('bridge')}
        if wanted == {None} or (self.remote and self._configurable_interfaces() is None):
            return  # what libvirt tells of devices without that driver may be out of date
        there = self._host_interfaces()
        for device in sorted(filter(None, wanted - there)):
            raise NotFound(f"the host of {self.uri} has no device '{device}'{did_you_mean(device, there)}")

    def _refuse_older(self, root: ET.Element) -> None:
        """Raise NotSupported for a description that this libvirt would not honour."""
        forward = root.find('forward')
        vlan_on_bridge = root.find('vlan') is not None and root.find('virtualport') is None
        if vlan_on_bridge and forward is not None and self.libvirt.getLibVersion() < _VLAN_ON_BRIDGE:
            raise NotSupported('this libvirt has VLANs on bridges of Open vSwitch only; 11.0 and later have them on all')

    def _refuse_overlap(self, name: str, wanted: units.Network) -> None:
        for other, shape in self._list_networks().items():
            for cidr in (shape.get('cidr'), shape.get('dual_cidr')):
                if cidr is None or other == name:
                    continue
                have = ipaddress.ip_network(cidr, strict=False)
                if have.version == wanted.version and have.overlaps(wanted):
                    raise Conflict(f"{wanted} of network {name} overlaps {have} of network {other}")

    def _update_network(self, name: str, dhcp: bool | None, nat: bool | None, domain: str | None, plan: str | None,
                        overrides: Mapping[str, Any]) -> None:
        from kvirt.providers.kvm import netxml
        network = self._need_network(name)
        before = self._configured(network)
        after = netxml.changed(before, dhcp, nat, domain, plan, overrides)
        self._refuse_older(after)
        self._need_devices(after)
        for ip in after.findall('ip'):
            self._refuse_overlap(name, cidr_of(ip))
        kinds = netxml.differences(before, after)
        if not kinds:
            return
        if not network.isPersistent():
            raise Conflict(f'network {name} is gone when it is stopped, so it can not be changed')
        users = self._running_on(name) if network.isActive() and kinds - {'metadata', 'range'} else []
        if users:
            raise Conflict(f"network {name} has to be started anew, and is in use by {', '.join(users)}",
                           hint='Stop those VMs first')
        if network.isActive() and kinds - {'metadata', 'range'}:
            self._start_anew(network, to_text(before), to_text(after))
            return
        if network.isActive() and 'range' in kinds:
            live = ET.fromstring(network.XMLDesc(0))
            for command, ranges in ((_DELETE, netxml.ranges(live)), (_ADD, netxml.ranges(after))):
                for index, each in list(ranges):
                    network.update(command, libvirt.VIR_NETWORK_SECTION_IP_DHCP_RANGE, index, to_text(each),
                                   libvirt.VIR_NETWORK_UPDATE_AFFECT_LIVE)
        self.libvirt.networkDefineXML(to_text(after))

    def _start_anew(self, network: libvirt.virNetwork, before: str, after: str) -> None:
        """Give a network that no VM runs on another description; the old one when it can't be started with that."""
        network.destroy()
        try:
            self.libvirt.networkDefineXML(after)
            network.create()
        except BaseException:
            self.libvirt.networkDefineXML(before)
            network.create()
            raise

    def _running_on(self, name: str) -> list[str]:
        natives = self.libvirt.listAllDomains(libvirt.VIR_CONNECT_LIST_DOMAINS_ACTIVE)
        views = still_there(natives, lambda native: read(native.XMLDesc(0)))
        return sorted({view.name for view in views for nic in view.nics if nic.network == name})

    def _configured(self, network: libvirt.virNetwork) -> ET.Element:
        """Return the description that a network has when it is started the next time."""
        return ET.fromstring(network.XMLDesc(_INACTIVE if self.driver != 'test' else 0))

    @staticmethod
    def amend(network: libvirt.virNetwork, command: int, section: int, element: ET.Element, index: int = -1) -> None:
        """Add an entry to a part (of ``<ip>`` number *index*) of a network, or take it out: of what runs as well."""
        flags = libvirt.VIR_NETWORK_UPDATE_AFFECT_CONFIG if network.isPersistent() else 0
        if network.isActive():
            flags |= libvirt.VIR_NETWORK_UPDATE_AFFECT_LIVE
        network.update(command, section, index, ET.tostring(element, encoding='unicode'), flags)

    def _need_network(self, name: str) -> libvirt.virNetwork:
        network = self.network(name)
        if network is None:
            raise NotFound(f"network {name} does not exist on {self.uri}{did_you_mean(name, self._list_networks())}")
        return network

    def _delete_network(self, name: str, force: bool = False) -> None:
        network = self._need_network(name)
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
        stopped = {view.name for view in self.domains_read() for nic in view.nics if name in (nic.network, nic.bridge)}
        return sorted(stopped.union(self._running_on(name)))

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


def network_shape(root: ET.Element) -> NetworkShape:
    """Map the description of a libvirt network."""
    shape: NetworkShape = {'dhcp': root.find('ip/dhcp/range') is not None, 'type': 'libvirt', 'mode': _mode(root)}
    addresses = [str(cidr_of(ip)) for ip in root.findall('ip') if ip.get('address')]
    if addresses:
        shape['cidr'] = addresses[0]
    if len(addresses) > 1:
        shape['dual_cidr'] = addresses[1]
    name = root.find('domain')
    if name is not None and name.get('name'):
        shape['domain'] = name.get('name', '')
    plan = root.find(f'metadata/{INFO}/{{kvirt}}plan')
    if plan is not None and plan.text:
        shape['plan'] = plan.text
    return shape


def cidr_of(ip: ET.Element) -> units.Network:
    """Return the addresses of an ``<ip>``."""
    mask = ip.get('prefix') or ip.get('netmask') or ('64' if ip.get('family') == 'ipv6' else '24')
    return ipaddress.ip_network(f"{ip.get('address')}/{mask}", strict=False)


def _mode(root: ET.Element) -> str:
    forward = root.find('forward')
    if forward is None:
        return 'isolated'
    native = forward.get('mode', 'nat')
    if native == 'bridge' and root.find('virtualport') is not None:
        return 'ovs'
    if native == 'bridge' and root.find('bridge') is None:
        return 'macvtap'
    return {'route': 'routed'}.get(native, native)
