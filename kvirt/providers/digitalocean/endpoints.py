"""Where VMs are reached: floating addresses, which are reserved IPs; DNS; load balancers, which pass TCP connections on."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from kvirt.providers.digitalocean import mapping
from kvirt.providers.digitalocean.account import Account
from kvirt.providers.families.balancers import Balancer, NewBalancer
from kvirt.providers.families.dns import CloudDns, Record, Zone, full_name
from kvirt.providers.families.floating import Address
from kvirt.providers.families.machines import Machine
from kvirt.providers.families.tags import NamedAddresses, NotedBalancers


class Addresses(NamedAddresses, Account):
    """Reserved IPs. One that was reserved elsewhere is called by its address."""

    one_address_each = True

    def addresses(self) -> Iterator[Address]:
        known = list(filter(self.seen, self.all('/reserved_ips')))
        names = self.kept_names() if known else {}
        return (mapping.floating(each, names) for each in known)

    def reserve_address(self, name: str, request: str) -> Address:
        made = self.api.post('/reserved_ips', {'region': self.made_in()})['reserved_ip']
        return mapping.floating(made, {made['ip']: name})

    def release_address(self, address: Address) -> None:
        self.drop_when_free(f'/reserved_ips/{address.ip}', f'address {address.ip}')

    def assign_address(self, address: Address, machine: Machine) -> None:
        self.acted(f'attaching {address.name} to {machine.name}', f'/reserved_ips/{address.ip}', type='assign',
                   droplet_id=machine.native['id'])

    def unassign_address(self, address: Address) -> None:
        self.acted(f'detaching {address.name}', f'/reserved_ips/{address.ip}', type='unassign')


class Dns(CloudDns, Account):
    """The zones of the account, and their records, each of one value."""

    def dns_zones(self) -> list[Zone]:
        return [Zone(name=domain['name']) for domain in self.all('/domains')]

    def dns_records(self, zone: Zone) -> list[Record]:
        return list(map(mapping.record, self.all(f'/domains/{zone.name}/records', 'domain_records')))

    def put_record(self, zone: Zone, record: Record) -> None:
        where, [value] = f'/domains/{zone.name}/records', record.values
        body = {'type': record.type, 'name': record.name, 'data': value, 'ttl': record.ttl}
        if record.native is None:
            self.api.post(where, body)
        else:
            self.api.patch(f'{where}/{record.native}', body)

    def drop_record(self, zone: Zone, record: Record) -> None:
        self.drop(f'/domains/{zone.name}/records/{record.native}')

    def alias(self, zone: Zone, name: str, target: Record) -> Record:
        return Record(name=name, type='CNAME', values=(f'{full_name(target.name, zone.name)}.',), ttl=target.ttl)


class LoadBalancers(NotedBalancers, Dns):
    """The load balancers of an account."""

    balancer_names = (r'[A-Za-z0-9.-]+', 'Use letters, digits, dots and dashes')

    def balancers(self) -> list[Balancer]:
        return [mapping.balancer(each) for each in self.all('/load_balancers') if self.seen(each)]

    def make_balancer(self, wanted: NewBalancer, needs: Any) -> Balancer:
        return mapping.balancer(self.api.post('/load_balancers', {
            'name': wanted.name, 'region': self.made_in(), 'forwarding_rules': mapping.forwarding(wanted.ports),
            'droplet_ids': [int(vm.id) for vm in wanted.vms],
            'health_check': {'protocol': 'http', 'port': wanted.checkport, 'path': wanted.checkpath},
            **({'network': 'INTERNAL'} if wanted.internal else {})})['load_balancer'])

    def drop_balancer(self, balancer: Balancer) -> None:
        self.drop_when_free(f'/load_balancers/{balancer.id}', f'load balancer {balancer.name}')

    def add_member(self, balancer: Balancer, vm: Machine) -> None:
        self.api.post(f'/load_balancers/{balancer.id}/droplets', {'droplet_ids': [int(vm.id)]})

    def serve_ports(self, balancer: Balancer, ports: Sequence[int]) -> None:
        self.api.post(f'/load_balancers/{balancer.id}/forwarding_rules', {'forwarding_rules': mapping.forwarding(ports)})
