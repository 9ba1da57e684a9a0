"""Where VMs are reached: floating addresses, which are floating IPs of IPv4; DNS; and load balancers."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress

from hcloud import load_balancers
from hcloud.load_balancer_types import LoadBalancerType
from hcloud.locations import Location
from hcloud.zones import ZoneRecord

from kvirt.errors import InvalidInput, NotFound
from kvirt.providers.families import marks
from kvirt.providers.families.balancers import Balancer, CloudBalancers, NewBalancer
from kvirt.providers.families.dns import CloudDns, Record, Zone
from kvirt.providers.families.floating import Address, Floating
from kvirt.providers.families.machines import Machine
from kvirt.providers.hcloud import mapping
from kvirt.providers.hcloud.account import Account, Native

TYPE = 'lb11'
"""The smallest kind of load balancer: 25 targets, 5 services."""


class Addresses(Floating, Account):
    """The floating IPs of a project."""

    def addresses(self) -> Iterator[Address]:
        return map(mapping.floating, self.conn.floating_ips.get_all())

    def reserve_address(self, name: str, request: str) -> Address:
        return mapping.floating(self.conn.floating_ips.create(
            'ipv4', name=name, labels={marks.MARK: request}, home_location=Location(name=self.usual_place)).floating_ip)

    def release_address(self, address: Address) -> None:
        self.gone(address.native)

    def assign_address(self, address: Address, machine: Machine) -> None:
        self.carry_out(f'attaching {address.name}', lambda: address.native.assign(machine.native))

    def unassign_address(self, address: Address) -> None:
        self.carry_out(f'detaching {address.name}', address.native.unassign)


class Dns(CloudDns, Account):
    """The zones of a project, and sets of records in them."""

    def dns_zones(self) -> list[Zone]:
        return [Zone(name=zone.name, native=zone) for zone in self.conn.zones.get_all()]

    def dns_records(self, zone: Zone) -> list[Record]:
        return list(map(mapping.record, zone.native.get_rrset_all()))

    def put_record(self, zone: Zone, record: Record) -> None:
        values = [ZoneRecord(value=value) for value in record.values]
        if record.native is None:
            answer = zone.native.create_rrset(name=record.name, type=record.type, ttl=record.ttl, records=values)
            self.done(answer.action)
        else:
            self.done(record.native.set_rrset_records(values))

    def drop_record(self, zone: Zone, record: Record) -> None:
        with suppress(NotFound):
            self.done(self.insist(record.native.delete_rrset, f'deleting record {record.name}').action)


class LoadBalancers(CloudBalancers, Dns):
    """The load balancers of a project."""

    def balancers(self) -> list[Balancer]:
        return list(map(mapping.balancer, self.conn.load_balancers.get_all()))

    def balancer_fields(self, balancer: Balancer) -> dict[str, str]:
        return mapping.fields(balancer.native)

    def balancer_needs(self, wanted: NewBalancer) -> Native | None:
        """Return the network of an internal balancer."""
        if wanted.internal and not self.options.network:
            raise InvalidInput('an internal load balancer needs a network', hint='Name it in the client: network')
        return self.get('network', self.conn.networks, str(self.options.network)) if wanted.internal else None

    def make_balancer(self, wanted: NewBalancer, needs: Native | None) -> Balancer:
        made = self.conn.load_balancers.create(
            wanted.name, LoadBalancerType(name=TYPE), load_balancers.LoadBalancerAlgorithm('round_robin'),
            [_service(port, wanted.checkport, wanted.checkpath) for port in wanted.ports],
            [_target(vm, wanted.internal) for vm in wanted.vms], marks.to_labels(wanted.fields),
            Location(name=self.usual_place), public_interface=not wanted.internal, network=needs)
        self.done(made.action)
        return mapping.balancer(self.conn.load_balancers.get_by_id(made.load_balancer.id))

    def drop_balancer(self, balancer: Balancer) -> None:
        # Past the client, whose versions disagree on what the platform answers.
        with suppress(NotFound):
            self.insist(lambda: self.conn.request('DELETE', f'/load_balancers/{balancer.id}'), f'deleting {balancer.name}')

    def add_member(self, balancer: Balancer, vm: Machine) -> None:
        if vm.id not in balancer.vms:
            target = _target(vm, internal=not balancer.native.public_net.enabled)
            self.carry_out(f'adding VM {vm.name}', lambda: balancer.native.add_target(target))

    def serve_ports(self, balancer: Balancer, ports: Sequence[int]) -> None:
        for port in ports:
            self.done(balancer.native.add_service(_service(port, port, None)))


def _target(vm: Machine, internal: bool) -> Native:
    return load_balancers.LoadBalancerTarget('server', server=vm.native, use_private_ip=internal)


def _service(port: int, checkport: int, checkpath: str | None) -> Native:
    """Return a service that passes *port* on as it is, to VMs that answer at *checkpath*, or at least at their port."""
    http = load_balancers.LoadBalancerHealthCheckHttp(
        path=checkpath, domain='', response='', status_codes=['2??', '3??'], tls=False) if checkpath else None
    check = load_balancers.LoadBalancerHealthCheck('http' if http else 'tcp', checkport, 15, 10, 3, http)
    return load_balancers.LoadBalancerService('tcp', port, port, False, check)
