"""Load balancers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from hcloud.load_balancer_types.domain import LoadBalancerType
from hcloud.load_balancers.domain import (
    LoadBalancerAlgorithm,
    LoadBalancerHealthCheck,
    LoadBalancerHealthCheckHttp,
    LoadBalancerService,
    LoadBalancerTarget,
)
from hcloud.locations.domain import Location

from kvirt.base import waits
from kvirt.errors import InvalidInput, NotSupported
from kvirt.providers.families import cloud, marks
from kvirt.providers.hcloud import mapping
from kvirt.providers.hcloud.account import PLATFORM, Native
from kvirt.providers.hcloud.dns import Dns
from kvirt.providers.hcloud.storage import Storage
from kvirt.shapes import LoadBalancerShape

TYPE = 'lb11'
"""The smallest kind: 25 targets, 5 services."""


class LoadBalancers(Storage, Dns):
    """The load balancers of a project."""

    @waits
    def _create_loadbalancer(self, name: str, ports: Sequence[int] = (), checkpath: str = '/index.html',
                             vms: Sequence[str] = (), domain: str | None = None, checkport: int = 80,
                             alias: Sequence[str] = (), internal: bool = False, dnsclient: str | None = None,
                             ip: str | None = None) -> Mapping[str, Any] | None:
        if ip is not None or dnsclient is not None:
            raise NotSupported(f'{PLATFORM} chooses the address of a load balancer, and keeps its records itself')
        if internal and not self.network:
            raise InvalidInput('an internal load balancer needs a network', hint='Name it in the client: network')
        services = [service(port, checkport, checkpath) for port in cloud.ports_of(ports)]
        self.free('load balancer', self.conn.load_balancers, name)
        network = self.get('network', self.conn.networks, str(self.network)) if internal else None
        targets = [self._target(vm, internal) for vm in vms]
        request = marks.new_request()
        fields = {marks.MARK: request, **({'domain': domain, 'records': ','.join([name, *alias])} if domain else {})}
        with self.undo() as undo:
            undo.add(f'load balancer {name}', lambda: self._unmake_balancers(f'{marks.MARK}={request}'))
            made = self.conn.load_balancers.create(
                name, LoadBalancerType(name=TYPE), LoadBalancerAlgorithm('round_robin'), services, targets,
                marks.to_labels(fields), Location(name=self.usual_place), public_interface=not internal, network=network)
            self.done(made.action)
            address = mapping.balancer(self.conn.load_balancers.get_by_id(made.load_balancer.id), {})['ip']
            if domain and address:
                undo.add(f'records of {name}', lambda: self._unrecord(fields))
                self._reserve_dns(name, domain=domain, ip=address, alias=alias)
        return {'ip': address} if address else None

    def _target(self, vm: str, internal: bool) -> Native:
        return LoadBalancerTarget('server', server=self.server(vm), use_private_ip=internal)

    def _unrecord(self, fields: Mapping[str, str]) -> None:
        for record in filter(None, fields.get('records', '').split(',')):
            self._delete_dns(record, fields['domain'])

    @waits
    def _delete_loadbalancer(self, name: str) -> None:
        balancer = self.get('load balancer', self.conn.load_balancers, name)
        self._unrecord(marks.from_labels(balancer.labels or {}))
        self._give_back(balancer)

    def _unmake_balancers(self, selector: str) -> None:
        for balancer in self.conn.load_balancers.get_all(label_selector=selector):
            self._give_back(balancer)

    def _give_back(self, balancer: Native) -> None:
        # Past the client, whose versions disagree on what the platform answers.
        self.patiently(f'deleting {balancer.name}', lambda: self.conn.request('DELETE', f'/load_balancers/{balancer.id}'))

    def _list_loadbalancers(self) -> list[LoadBalancerShape]:
        known = self.conn.load_balancers.get_all()
        names = self.server_names() if known else {}
        return sorted((mapping.balancer(each, names) for each in known), key=lambda row: row['name'])

    @waits
    def _add_vm_to_loadbalancer(self, vm: str, name: str, ports: Sequence[int] = ()) -> None:
        balancer = self.get('load balancer', self.conn.load_balancers, name)
        target = self._target(vm, internal=not balancer.public_net.enabled)
        have = {each.listen_port for each in balancer.services}
        for port in cloud.ports_of(ports) if ports else ():
            if port not in have:
                self.done(balancer.add_service(service(port, port, None)))
        if target.server.id not in [each.server.id for each in balancer.targets if each.type == 'server']:
            self.done(self.patiently(f'adding VM {vm}', lambda: balancer.add_target(target)))


def service(port: int, checkport: int, checkpath: str | None) -> LoadBalancerService:
    """Return a service that passes *port* on as it is, to VMs that answer at *checkpath*, or at least at their port."""
    http = LoadBalancerHealthCheckHttp(path=checkpath, domain='', response='', status_codes=['2??', '3??'], tls=False)
    check = LoadBalancerHealthCheck('http' if checkpath else 'tcp', checkport, 15, 10, 3, http if checkpath else None)
    return LoadBalancerService('tcp', port, port, False, check)
