"""The area of networks: networks, subnets, network cards, floating addresses."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from kvirt import units
from kvirt.base.area import Area, area, built_from, serves
from kvirt.errors import InvalidInput, NotFound, NotSupported
from kvirt.names import safe_name
from kvirt.result import Result
from kvirt.shapes import NetworkShape


class Unlike(NamedTuple):
    """A setting that is not as wanted. A *fixed* one stays as it is until the thing that has it is made anew."""

    now: Any
    wanted: Any
    fixed: bool = False


@area
class Networks(Area):
    """Networks and what connects VMs to them."""

    def create_network(self, name: str, cidr: str | None = None, dhcp: bool = True, nat: bool = True,
                       domain: str | None = None, plan: str = 'kvirt',
                       overrides: Mapping[str, Any] | None = None) -> Result:
        """Create network *name* for addresses *cidr*. AlreadyExists; Conflict when *cidr* overlaps another network.

        *overrides* are the provider's own settings; one that it does not know is InvalidInput.
        """
        return self._attempt(self._create_network_checked, name, cidr, dhcp, nat, domain, plan, overrides or {})

    @serves('create_network')
    def _create_network_checked(self, name: str, cidr: str | None, dhcp: bool, nat: bool, domain: str | None,
                                plan: str, overrides: Mapping[str, Any]) -> None:
        safe_name('network', name)
        if cidr is not None:
            units.network(cidr)
        self._create_network(name, cidr, dhcp, nat, domain, plan, overrides)

    def _create_network(self, name: str, cidr: str | None, dhcp: bool, nat: bool, domain: str | None, plan: str,
                        overrides: Mapping[str, Any]) -> None:
        raise NotSupported('')

    def delete_network(self, name: str | None = None, cidr: str | None = None, force: bool = False) -> Result:
        """Delete network *name* (or the one with *cidr*). Conflict names the VMs on it, unless *force*.

        *force* takes the network away from VMs; it never deletes a VM.
        """
        return self._attempt(self._delete_network_found, name, cidr, force)

    @serves('delete_network')
    def _delete_network_found(self, name: str | None, cidr: str | None, force: bool) -> None:
        if name is None and cidr is None:
            raise InvalidInput('give the name of the network, or its cidr')
        if name is None:
            found = [key for key, row in self._list_networks().items() if row.get('cidr') == cidr]
            if not found:
                raise NotFound(f'there is no network with addresses {cidr}')
            name = found[0]
        self._delete_network(name, force)

    def _delete_network(self, name: str, force: bool = False) -> None:
        raise NotSupported('')

    def update_network(self, name: str, dhcp: bool | None = None, nat: bool | None = None, domain: str | None = None,
                       plan: str | None = None, overrides: Mapping[str, Any] | None = None) -> Result:
        """Change what is given of network *name*."""
        return self._attempt(self._update_network, name, dhcp, nat, domain, plan, overrides or {})

    def _update_network(self, name: str, dhcp: bool | None, nat: bool | None, domain: str | None, plan: str | None,
                        overrides: Mapping[str, Any]) -> None:
        raise NotSupported('')

    @classmethod
    def network_unlike(cls, there: NetworkShape, settings: Mapping[str, Any]) -> dict[str, Unlike]:
        """Return which of *settings* a network does not have that ``list_networks`` tells of as *there*.

        Settings are ``nat`` and the *overrides* of ``create_network``; a ``domain`` among them is compared by the caller.
        What is not told is left out. Asks nobody; what is wanted comes in a form that ``update_network`` takes.
        """
        return {}

    def list_networks(self) -> dict[str, NetworkShape]:
        """Return the networks by name, with what the provider can tell of its own settings."""
        return self._ask(self._list_networks)

    def _list_networks(self) -> dict[str, NetworkShape]:
        raise NotSupported('')

    def info_network(self, name: str) -> NetworkShape:
        """Return what is known of network *name*; ``{}`` when there is none."""
        return self._ask(self._info_network, name)

    @built_from('list_networks')
    def _info_network(self, name: str) -> NetworkShape:
        return self._list_networks().get(name, {})

    def net_exists(self, name: str) -> bool:
        """Tell if network *name* exists."""
        return self._ask(self._net_exists, name)

    @built_from('list_networks')
    def _net_exists(self, name: str) -> bool:
        return name in self._list_networks()

    def network_ports(self, name: str) -> list[str]:
        """Return the names of the VMs with a card on network *name*."""
        return self._ask(self._network_ports, name)

    def _network_ports(self, name: str) -> list[str]:
        raise NotSupported('')

    def vm_ports(self, name: str) -> list[str]:
        """Return the names of the networks that VM *name* has a card on, in the order of its cards."""
        return self._ask(self._vm_ports, name)

    @built_from('info')
    def _vm_ports(self, name: str) -> list[str]:
        nets = self._info(name).get('nets', [])  # type: ignore[attr-defined]
        return [nic['net'] for nic in nets if nic.get('net')]

    def add_nic(self, name: str, network: str, model: str = 'virtio') -> Result:
        """Give VM *name* a further card on *network*; live where it runs and the platform can. Holds ``mac``."""
        return self._attempt(self._add_nic, name, network, model)

    def _add_nic(self, name: str, network: str, model: str = 'virtio') -> Mapping[str, Any] | None:
        raise NotSupported('')

    def delete_nic(self, name: str, interface: str) -> Result:
        """Take card *interface* (its device, MAC address, or network) away from VM *name*."""
        return self._attempt(self._delete_nic, name, interface)

    def _delete_nic(self, name: str, interface: str) -> None:
        raise NotSupported('')

    def update_nic(self, name: str, index: int, network: str) -> Result:
        """Connect card number *index* (from 0) of VM *name* to *network*."""
        return self._attempt(self._update_nic, name, index, network)

    def _update_nic(self, name: str, index: int, network: str) -> None:
        raise NotSupported('')

    def create_subnet(self, name: str, cidr: str, dhcp: bool = True, nat: bool = True, domain: str | None = None,
                      plan: str = 'kvirt', overrides: Mapping[str, Any] | None = None) -> Result:
        """Create subnet *name* for addresses *cidr*; ``overrides['network']`` is the network that it belongs to."""
        return self._attempt(self._create_subnet_checked, name, cidr, dhcp, nat, domain, plan, overrides or {})

    @serves('create_subnet')
    def _create_subnet_checked(self, name: str, cidr: str, dhcp: bool, nat: bool, domain: str | None, plan: str,
                               overrides: Mapping[str, Any]) -> None:
        units.network(cidr)
        self._create_subnet(safe_name('subnet', name), cidr, dhcp, nat, domain, plan, overrides)

    def _create_subnet(self, name: str, cidr: str, dhcp: bool, nat: bool, domain: str | None, plan: str,
                       overrides: Mapping[str, Any]) -> None:
        raise NotSupported('')

    def delete_subnet(self, name: str, force: bool = False) -> Result:
        """Delete subnet *name*. Conflict names the VMs on it, unless *force*."""
        return self._attempt(self._delete_subnet, name, force)

    def _delete_subnet(self, name: str, force: bool = False) -> None:
        raise NotSupported('')

    def update_subnet(self, name: str, overrides: Mapping[str, Any] | None = None) -> Result:
        """Change what is given of subnet *name*."""
        return self._attempt(self._update_subnet, name, overrides or {})

    def _update_subnet(self, name: str, overrides: Mapping[str, Any]) -> None:
        raise NotSupported('')

    def list_subnets(self) -> dict[str, NetworkShape]:
        """Return the subnets by name: ``cidr``, ``network``, ``id`` and where known ``az``, ``private``."""
        return self._ask(self._list_subnets)

    def _list_subnets(self) -> dict[str, NetworkShape]:
        raise NotSupported('')

    def info_subnet(self, name: str) -> NetworkShape:
        """Return what is known of subnet *name*; ``{}`` when there is none."""
        return self._ask(self._info_subnet, name)

    @built_from('list_subnets')
    def _info_subnet(self, name: str) -> NetworkShape:
        return self._list_subnets().get(name, {})

    def create_floating_ip(self, name: str) -> Result:
        """Take an address of the platform under *name*. The success holds ``ip``."""
        return self._attempt(self._create_floating_ip_checked, name)

    @serves('create_floating_ip')
    def _create_floating_ip_checked(self, name: str) -> Mapping[str, Any] | None:
        return self._create_floating_ip(safe_name('floating address', name))

    def _create_floating_ip(self, name: str) -> Mapping[str, Any] | None:
        raise NotSupported('')

    def delete_floating_ip(self, name: str) -> Result:
        """Give floating address *name* back. Conflict while a VM has it."""
        return self._attempt(self._delete_floating_ip, name)

    def _delete_floating_ip(self, name: str) -> None:
        raise NotSupported('')

    def attach_floating_ip(self, name: str, vm: str) -> Result:
        """Point floating address *name* to VM *vm*."""
        return self._attempt(self._attach_floating_ip, name, vm)

    def _attach_floating_ip(self, name: str, vm: str) -> None:
        raise NotSupported('')

    def detach_floating_ip(self, name: str) -> Result:
        """Take floating address *name* from the VM that has it."""
        return self._attempt(self._detach_floating_ip, name)

    def _detach_floating_ip(self, name: str) -> None:
        raise NotSupported('')

    def list_floating_ips(self) -> dict[str, dict[str, Any]]:
        """Return the floating addresses by name: ``ip``, and ``vm`` (None when free)."""
        return self._ask(self._list_floating_ips)

    def _list_floating_ips(self) -> dict[str, dict[str, Any]]:
        raise NotSupported('')
