"""Where VMs are reached: floating addresses, which are reserved IPs; DNS; load balancers, which pass TCP connections on.

Addresses and load balancers can bear no marks. Notes (tags that nothing bears) keep the name of an address,
``kvirt-ip:<name>:<address>``, and which DNS records were made for a load balancer, ``kvirt-lb:<id>:<record>``.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from kvirt.providers.digitalocean import mapping
from kvirt.providers.digitalocean.account import Account
from kvirt.providers.families.balancers import Balancer, CloudBalancers, NewBalancer
from kvirt.providers.families.dns import CloudDns, Record, Zone, full_name
from kvirt.providers.families.floating import Address, Floating
from kvirt.providers.families.machines import Machine
from kvirt.providers.families.marks import RECORDS
from kvirt.providers.families.tags import note, noted


class Addresses(Floating, Account):
    """Reserved IPs. One that was reserved elsewhere is called by its address."""

    one_address_each = True
    addresses_bear_marks = False

    def addresses(self) -> Iterator[Address]:
        known = list(filter(self.seen, self.all('/reserved_ips')))
        names = {address.replace('-', '.'): name for name, address in noted('ip', self.counted())} if known else {}
        return (mapping.floating(each, names) for each in known)

    def reserve_address(self, name: str, request: str) -> Address:
        made = self.api.post('/reserved_ips', {'region': self.made_in()})['reserved_ip']
        return mapping.floating(made, {made['ip']: name})

    def name_address(self, address: Address) -> None:
        self.make_tag(_kept(address))

    def release_address(self, address: Address) -> None:
        self.drop_when_free(f'/reserved_ips/{address.ip}', f'address {address.ip}')
        self.drop_tag(_kept(address))

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


class LoadBalancers(CloudBalancers, Dns):
    """The load balancers of an account."""

    balancer_names = (r'[A-Za-z0-9.-]+', 'Use letters, digits, dots and dashes')
    balancers_bear_marks = False

    def balancers(self) -> list[Balancer]:
        return [mapping.balancer(each) for each in self.all('/load_balancers') if self.seen(each)]

    def members(self, balancers: Sequence[Balancer]) -> dict[str, list[str]]:
        names = {droplet['id']: droplet['name'] for droplet in self.droplets()}
        return {each.id: [names[number] for number in each.native.get('droplet_ids') or () if number in names]
                for each in balancers}

    def make_balancer(self, wanted: NewBalancer, needs: Any) -> Balancer:
        made = mapping.balancer(self.api.post('/load_balancers', {
            'name': wanted.name, 'region': self.made_in(), 'forwarding_rules': mapping.forwarding(wanted.ports),
            'droplet_ids': [int(vm.id) for vm in wanted.vms],
            'health_check': {'protocol': 'http', 'port': wanted.checkport, 'path': wanted.checkpath},
            **({'network': 'INTERNAL'} if wanted.internal else {})})['load_balancer'])
        for tag in _records(made, wanted.fields):
            self.make_tag(tag)
        return made

    def balancer_fields(self, balancer: Balancer) -> dict[str, str]:
        kept = noted('lb', self.counted())
        return {RECORDS: ','.join(record for its, record in kept if its == balancer.id)}

    def forget_fields(self, balancer: Balancer, fields: Mapping[str, str]) -> None:
        for tag in _records(balancer, fields):
            self.drop_tag(tag)

    def drop_balancer(self, balancer: Balancer) -> None:
        self.drop_when_free(f'/load_balancers/{balancer.id}', f'load balancer {balancer.name}')

    def add_member(self, balancer: Balancer, vm: Machine) -> None:
        self.api.post(f'/load_balancers/{balancer.id}/droplets', {'droplet_ids': [int(vm.id)]})

    def serve_ports(self, balancer: Balancer, ports: Sequence[int]) -> None:
        self.api.post(f'/load_balancers/{balancer.id}/forwarding_rules', {'forwarding_rules': mapping.forwarding(ports)})


def _kept(address: Address) -> str:
    """Return the note that keeps the name of an address."""
    return note('ip', address.name, address.ip.replace('.', '-'))


def _records(balancer: Balancer, fields: Mapping[str, str]) -> list[str]:
    """Return the notes that keep which records were made for a load balancer."""
    return [note('lb', balancer.id, record) for record in fields.get(RECORDS, '').split(',') if record]
