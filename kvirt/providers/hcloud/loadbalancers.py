"""Load balancers."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress

from hcloud.load_balancer_types.domain import LoadBalancerType
from hcloud.load_balancers.domain import (
    LoadBalancerAlgorithm,
    LoadBalancerHealthCheck,
    LoadBalancerHealthCheckHttp,
    LoadBalancerService,
    LoadBalancerTarget,
)
from hcloud.locations.domain import Location

from kvirt.errors import InvalidInput, NotFound
from kvirt.providers.families import marks
from kvirt.providers.families.balancers import Balancer, CloudBalancers, NewBalancer
from kvirt.providers.families.machines import Machine
from kvirt.providers.hcloud.account import Native
from kvirt.providers.hcloud.dns import Dns

TYPE = 'lb11'
"""The smallest kind: 25 targets, 5 services."""


class LoadBalancers(CloudBalancers, Dns):
    """The load balancers of a project."""

    def balancers(self) -> list[Balancer]:
        return [_balancer(each) for each in self.conn.load_balancers.get_all()]

    def members(self, balancers: Sequence[Balancer]) -> dict[str, list[str]]:
        names = self.vm_names([vm for each in balancers for vm in _targets(each)])
        return {each.id: [names.get(vm, vm) for vm in _targets(each)] for each in balancers}

    def balancer_fields(self, balancer: Balancer) -> dict[str, str]:
        return marks.from_labels(balancer.native.labels or {})

    def balancer_needs(self, wanted: NewBalancer) -> Native | None:
        """Return the network of an internal balancer."""
        if wanted.internal and not self.network:
            raise InvalidInput('an internal load balancer needs a network', hint='Name it in the client: network')
        return self.get('network', self.conn.networks, str(self.network)) if wanted.internal else None

    def make_balancer(self, wanted: NewBalancer, needs: Native | None) -> Balancer:
        made = self.conn.load_balancers.create(
            wanted.name, LoadBalancerType(name=TYPE), LoadBalancerAlgorithm('round_robin'),
            [_service(port, wanted.checkport, wanted.checkpath) for port in wanted.ports],
            [_target(vm, wanted.internal) for vm in wanted.vms], marks.to_labels(wanted.fields),
            Location(name=self.usual_place), public_interface=not wanted.internal, network=needs)
        self.done(made.action)
        return _balancer(self.conn.load_balancers.get_by_id(made.load_balancer.id))

    def drop_balancer(self, balancer: Balancer) -> None:
        # Past the client, whose versions disagree on what the platform answers.
        with suppress(NotFound):
            self.patiently(f'deleting {balancer.name}',
                           lambda: self.conn.request('DELETE', f'/load_balancers/{balancer.id}'))

    def add_member(self, balancer: Balancer, vm: Machine) -> None:
        if vm.id not in _targets(balancer):
            target = _target(vm, internal=not balancer.native.public_net.enabled)
            self.done(self.patiently(f'adding VM {vm.name}', lambda: balancer.native.add_target(target)))

    def serve_ports(self, balancer: Balancer, ports: Sequence[int]) -> None:
        for port in ports:
            self.done(balancer.native.add_service(_service(port, port, None)))


def _balancer(native: Native) -> Balancer:
    public, private = native.public_net, [each.ip for each in native.private_net or ()]
    return Balancer(id=str(native.id), name=native.name, ports=[service.listen_port for service in native.services],
                    ip=public.ipv4.ip if public.enabled else next(iter(private), None),
                    protocol=native.services[0].protocol if native.services else 'tcp', native=native)


def _targets(balancer: Balancer) -> list[str]:
    """Return the ids of the servers behind a load balancer."""
    return [str(target.server.id) for target in balancer.native.targets if target.type == 'server']


def _target(vm: Machine, internal: bool) -> Native:
    return LoadBalancerTarget('server', server=vm.native, use_private_ip=internal)


def _service(port: int, checkport: int, checkpath: str | None) -> LoadBalancerService:
    """Return a service that passes *port* on as it is, to VMs that answer at *checkpath*, or at least at their port."""
    http = LoadBalancerHealthCheckHttp(path=checkpath, domain='', response='', status_codes=['2??', '3??'], tls=False)
    check = LoadBalancerHealthCheck('http' if checkpath else 'tcp', checkport, 15, 10, 3, http if checkpath else None)
    return LoadBalancerService('tcp', port, port, False, check)
