"""Load balancers, which pass TCP connections on to droplets.

They can bear no marks. A tag that nothing bears keeps which DNS records were made for one: ``kvirt-lb:<id>:<record>``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from kvirt.providers.digitalocean.dns import Dns
from kvirt.providers.digitalocean.mapping import Thing, plain
from kvirt.providers.families import marks
from kvirt.providers.families.balancers import Balancer, CloudBalancers, NewBalancer
from kvirt.providers.families.machines import Machine


class LoadBalancers(CloudBalancers, Dns):
    """The load balancers of an account."""

    balancer_names = (r'[A-Za-z0-9.-]+', 'Use letters, digits, dots and dashes')

    def balancers(self) -> list[Balancer]:
        return [_balancer(each) for each in self.all('/load_balancers') if self.seen(each)]

    def members(self, balancers: Sequence[Balancer]) -> dict[str, list[str]]:
        names = {droplet['id']: droplet['name'] for droplet in self.droplets()}
        return {each.id: [names[number] for number in each.native.get('droplet_ids') or () if number in names]
                for each in balancers}

    def make_balancer(self, wanted: NewBalancer, needs: Any) -> Balancer:
        made = _balancer(self.api.post('/load_balancers', {
            'name': wanted.name, 'region': self.made_in(), 'forwarding_rules': _forwarding(wanted.ports),
            'droplet_ids': [int(vm.id) for vm in wanted.vms],
            'health_check': {'protocol': 'http', 'port': wanted.checkport, 'path': wanted.checkpath},
            **({'network': 'INTERNAL'} if wanted.internal else {})})['load_balancer'])
        self.tag(_tags(made, wanted.fields))
        return made

    def unmake_balancer(self, wanted: NewBalancer) -> None:
        for balancer in self.balancers():
            if balancer.name == wanted.name:  # there was none before
                self.drop_balancer(balancer)
                self.forget_fields(balancer, wanted.fields)

    def balancer_fields(self, balancer: Balancer) -> dict[str, str]:
        kept = [tag for tag in self.counted() if tag.startswith(_keeping(balancer))]
        return {marks.RECORDS: ','.join(marks.decode(tag.rpartition(':')[2]) for tag in kept)}

    def forget_fields(self, balancer: Balancer, fields: Mapping[str, str]) -> None:
        for tag in _tags(balancer, fields):
            self.drop(f'/tags/{tag}')

    def drop_balancer(self, balancer: Balancer) -> None:
        self.insist(lambda: self.api.delete(f'/load_balancers/{balancer.id}'), f'deleting load balancer {balancer.name}')

    def add_member(self, balancer: Balancer, vm: Machine) -> None:
        self.api.post(f'/load_balancers/{balancer.id}/droplets', {'droplet_ids': [int(vm.id)]})

    def serve_ports(self, balancer: Balancer, ports: Sequence[int]) -> None:
        self.api.post(f'/load_balancers/{balancer.id}/forwarding_rules', {'forwarding_rules': _forwarding(ports)})


def _balancer(balancer: Thing) -> Balancer:
    rules = balancer['forwarding_rules']
    return Balancer(id=balancer['id'], name=balancer['name'], ip=balancer.get('ip') or None,
                    protocol=rules[0]['entry_protocol'], ports=[rule['entry_port'] for rule in rules], native=balancer)


def _keeping(balancer: Balancer) -> str:
    return f'kvirt-lb:{balancer.id}:'


def _tags(balancer: Balancer, fields: Mapping[str, str]) -> list[str]:
    """Return the tags that keep which records were made for a load balancer."""
    records = filter(None, fields.get(marks.RECORDS, '').split(','))
    return [_keeping(balancer) + plain(marks.encode(record, dots=False)) for record in records]


def _forwarding(ports: Sequence[int]) -> list[dict[str, Any]]:
    return [{'entry_protocol': 'tcp', 'entry_port': port, 'target_protocol': 'tcp', 'target_port': port} for port in ports]
