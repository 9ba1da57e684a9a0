"""The area of load balancers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from kvirt.base.area import Area, area, serves
from kvirt.errors import NotSupported
from kvirt.names import safe_name
from kvirt.result import Result
from kvirt.shapes import LoadBalancerShape


@area
class LoadBalancers(Area):
    """Load balancers in front of VMs."""

    def create_loadbalancer(self, name: str, ports: Sequence[int] = (), checkpath: str = '/index.html',
                            vms: Sequence[str] = (), domain: str | None = None, checkport: int = 80,
                            alias: Sequence[str] = (), internal: bool = False, dnsclient: str | None = None,
                            ip: str | None = None) -> Result:
        """Create load balancer *name* that spreads *ports* over *vms*.

        The success holds ``ip`` where known. All or nothing.
        """
        return self._attempt(self._create_loadbalancer_checked, name, ports, checkpath, vms, domain, checkport, alias,
                             internal, dnsclient, ip)

    @serves('create_loadbalancer')
    def _create_loadbalancer_checked(self, name: str, *args: Any) -> Mapping[str, Any] | None:
        return self._create_loadbalancer(safe_name('load balancer', name), *args)

    def _create_loadbalancer(self, name: str, ports: Sequence[int] = (), checkpath: str = '/index.html',
                             vms: Sequence[str] = (), domain: str | None = None, checkport: int = 80,
                             alias: Sequence[str] = (), internal: bool = False, dnsclient: str | None = None,
                             ip: str | None = None) -> Mapping[str, Any] | None:
        raise NotSupported('')

    def delete_loadbalancer(self, name: str) -> Result:
        """Delete load balancer *name* and what was made for it."""
        return self._attempt(self._delete_loadbalancer, name)

    def _delete_loadbalancer(self, name: str) -> None:
        raise NotSupported('')

    def list_loadbalancers(self) -> list[LoadBalancerShape]:
        """Return the load balancers, sorted by name."""
        return self._ask(self._list_loadbalancers)

    def _list_loadbalancers(self) -> list[LoadBalancerShape]:
        raise NotSupported('')

    def add_vm_to_loadbalancer(self, vm: str, name: str, ports: Sequence[int] = ()) -> Result:
        """Put VM *vm* behind load balancer *name*."""
        return self._attempt(self._add_vm_to_loadbalancer, vm, name, ports)

    def _add_vm_to_loadbalancer(self, vm: str, name: str, ports: Sequence[int] = ()) -> None:
        raise NotSupported('')
