"""Load balancers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any

import msgspec

from kvirt import units
from kvirt.errors import AlreadyExists, InvalidInput
from kvirt.names import safe_name
from kvirt.providers.fake import addresses, dns
from kvirt.providers.fake.account import Account
from kvirt.providers.fake.networks import public_address
from kvirt.providers.fake.records import Balancer, Network, Vm
from kvirt.shapes import LoadBalancerShape

_Port = Annotated[int, msgspec.Meta(ge=1, le=65535)]


class LoadBalancers(Account):
    """The load balancers of an account."""

    def _create_loadbalancer(self, name: str, ports: Sequence[int] = (), checkpath: str = '/index.html',
                             vms: Sequence[str] = (), domain: str | None = None, checkport: int = 80,
                             alias: Sequence[str] = (), internal: bool = False, dnsclient: str | None = None,
                             ip: str | None = None) -> Mapping[str, Any] | None:
        safe_name('load balancer', name)
        if not ports:
            raise InvalidInput(f'load balancer {name} needs a port')
        mark, ports, [checkport] = _mark(name), _ports(ports), _ports([checkport])
        with self.conn.change() as world:
            if world.get(Balancer, name) is not None:
                raise AlreadyExists(f'load balancer {name} exists')
            self.within_quota(world, 'loadbalancers', Balancer)
            network = world.need(Network, 'default') if internal else None
            members = [self.settled(world, vm).id for vm in dict.fromkeys(vms)]
            if ip is not None:
                ip = str(units.address(ip))
                addresses.claim(world, f'ip/{network.name if network else ".public"}/{ip}', mark)
            elif network is not None:
                ip = addresses.free_address(world, network, mark)
            else:
                ip = public_address(world, mark)
            world.add(Balancer(name=name, ip=ip, ports=ports, vms=members, checkpath=checkpath,
                               checkport=checkport, network=network.name if network else None))
            if domain and domain in dns.zones(world) and dnsclient is None:
                dns.record(world, domain, [name, *alias], ip, owner=mark)
            return {'ip': ip}

    def _delete_loadbalancer(self, name: str) -> None:
        with self.conn.change() as world:
            world.drop(world.need(Balancer, name))
            world.drop_of(_mark(name))

    def _list_loadbalancers(self) -> list[LoadBalancerShape]:
        with self.conn.read() as world:
            names = {vm.id: vm.name for vm in world.all(Vm)}
            return [{'name': each.name, 'ip': each.ip, 'protocol': 'tcp', 'ports': each.ports,
                     'vms': sorted(names[vm] for vm in each.vms)} for each in world.all(Balancer)]

    def _add_vm_to_loadbalancer(self, vm: str, name: str, ports: Sequence[int] = ()) -> None:
        with self.conn.change() as world:
            balancer, member = world.need(Balancer, name), self.settled(world, vm)
            balancer.vms = list(dict.fromkeys([*balancer.vms, member.id]))
            balancer.ports = _ports([*balancer.ports, *ports])
            world.put(balancer)


def _mark(name: str) -> str:
    """Return what the addresses and records made for a load balancer bear."""
    return f'loadbalancer/{name}'


def _ports(ports: Sequence[int]) -> list[int]:
    """Return *ports* sorted, each once. InvalidInput."""
    try:
        return sorted({msgspec.convert(port, _Port, strict=False) for port in ports})
    except msgspec.ValidationError:
        raise InvalidInput(f"{', '.join(map(str, ports))}: not all of these are ports", hint='Use 1 to 65535') from None
