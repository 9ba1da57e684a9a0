"""Load balancers, which pass TCP connections on to droplets.

They can bear no marks. A tag that nothing bears keeps which DNS records were made for one: ``kvirt-lb:<id>:<record@zone>``.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from kvirt.base import waits
from kvirt.errors import AlreadyExists, NotSupported
from kvirt.providers.digitalocean.account import NAME
from kvirt.providers.digitalocean.dns import Dns
from kvirt.providers.digitalocean.mapping import Thing, plain
from kvirt.providers.families import cloud, marks
from kvirt.providers.families.flatdns import FIELD, relative
from kvirt.shapes import LoadBalancerShape
from kvirt.wait import until

_GETS_ADDRESS = 600.0
"""Seconds that a load balancer may take to get its address."""

class LoadBalancers(Dns):
    """The load balancers of an account."""

    def balancers(self) -> Iterator[dict[str, Any]]:
        """Yield those of this client's location."""
        return filter(self.seen, self.all('/load_balancers'))

    def balancer(self, name: str) -> dict[str, Any]:
        """Return the load balancer with this name or id. NotFound."""
        return cloud.find('load balancer', name, self.balancers(), lambda each: each['name'], lambda each: each['id'])

    @waits
    def _create_loadbalancer(self, name: str, ports: Sequence[int] = (), checkpath: str = '/index.html',
                             vms: Sequence[str] = (), domain: str | None = None, checkport: int = 80,
                             alias: Sequence[str] = (), internal: bool = False, dnsclient: str | None = None,
                             ip: str | None = None) -> Mapping[str, Any] | None:
        cloud.check_name('load balancer', name, r'[A-Za-z0-9.-]+', 'Use letters, digits, dots and dashes')
        if dnsclient or ip:
            raise NotSupported(f'{NAME} gives a load balancer its address, and keeps its records itself')
        rules, [check] = _forwarding(ports), cloud.ports_of([checkport])
        if any(each['name'] == name for each in self.balancers()):
            raise AlreadyExists(f'load balancer {name} exists')
        members = [self.droplet(vm)['id'] for vm in dict.fromkeys(vms)]
        with self.undo() as undo:
            undo.add(f'load balancer {name}', lambda: self._delete_loadbalancer(name))
            made = self.api.post('/load_balancers', {
                'name': name, 'region': self.made_in(), 'forwarding_rules': rules, 'droplet_ids': members,
                'health_check': {'protocol': 'http', 'port': check, 'path': f"/{checkpath.removeprefix('/')}"},
                **({'network': 'INTERNAL'} if internal else {})})['load_balancer']
            if not domain:
                return None
            address = until(lambda: self.balancer(name).get('ip'), what=f'load balancer {name} getting an address',
                            timeout=_GETS_ADDRESS, clock=self.clock)
            zone = domain.removesuffix('.')
            self.tag(_keeping(made) + plain(marks.encode(f'{relative(each, zone)}@{zone}', dots=False))
                     for each in (name, *alias))
            self._reserve_dns(name, domain=domain, ip=address, alias=alias)
        return {'ip': address}

    @waits
    def _delete_loadbalancer(self, name: str) -> None:
        balancer = self.balancer(name)
        kept = [tag for tag in self.counted() if tag.startswith(_keeping(balancer))]
        self.forget_records({FIELD: ','.join(marks.decode(tag.rpartition(':')[2]) for tag in kept)})
        self.insist(lambda: self.api.delete(f"/load_balancers/{balancer['id']}"), f'deleting load balancer {name}')
        for tag in kept:
            self.drop(f'/tags/{tag}')

    def _list_loadbalancers(self) -> list[LoadBalancerShape]:
        found = sorted(self.balancers(), key=lambda each: str(each['name']))
        names = {droplet['id']: droplet['name'] for droplet in self.droplets()} if found else {}
        return [_shape(each, names) for each in found]

    def _add_vm_to_loadbalancer(self, vm: str, name: str, ports: Sequence[int] = ()) -> None:
        balancer, droplet = self.balancer(name), self.droplet(vm)
        known = [rule['entry_port'] for rule in balancer['forwarding_rules']]
        more = _forwarding([port for port in ports if port not in known]) if set(ports) - set(known) else []
        self.api.post(f"/load_balancers/{balancer['id']}/droplets", {'droplet_ids': [droplet['id']]})
        if more:
            self.api.post(f"/load_balancers/{balancer['id']}/forwarding_rules", {'forwarding_rules': more})


def _keeping(balancer: Thing) -> str:
    return f"kvirt-lb:{balancer['id']}:"


def _shape(balancer: Thing, names: Mapping[int, str]) -> LoadBalancerShape:
    rules = balancer['forwarding_rules']
    return {'name': balancer['name'], 'ip': balancer.get('ip') or None, 'protocol': rules[0]['entry_protocol'],
            'ports': sorted(rule['entry_port'] for rule in rules),
            'vms': sorted(names[number] for number in balancer.get('droplet_ids') or () if number in names)}


def _forwarding(ports: Sequence[int]) -> list[dict[str, Any]]:
    return [{'entry_protocol': 'tcp', 'entry_port': port, 'target_protocol': 'tcp', 'target_port': port}
            for port in cloud.ports_of(ports)]
