"""Networks are VPCs: a droplet is in exactly one, from birth to end."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from kvirt.providers.digitalocean import mapping
from kvirt.providers.digitalocean.account import Account
from kvirt.providers.families import cloud, networks, tags
from kvirt.providers.families.networks import Member, Network


class Networks(networks.WholeNetworks, Account):
    """VPCs."""

    network_changes = ('name', 'default')
    refused_of_networks = {
        'no dhcp': 'a VPC always tells droplets their addresses', 'domain': 'a VPC has no DNS domain',
        'no nat': 'droplets in a VPC reach the internet over a card of their own; publicip: false makes one without it'}

    def vpc_for(self, name: str) -> str | None:
        """Return the id of the VPC for a VM on network *name*, None for the default one of its region. NotFound."""
        wanted = self.options.vpc if name == 'default' else name
        return self.network_named(wanted).id if wanted else None

    def read_networks(self) -> Iterator[Network]:
        return map(mapping.network, self.all('/vpcs'))

    def make_network(self, name: str, cidr: str | None, fields: Mapping[str, str], settings: Mapping[str, Any]) -> None:
        cloud.check_name('network', name, '[A-Za-z0-9.-]+', 'Use letters, digits, dots and dashes')
        self.api.post('/vpcs', {'name': name, 'region': self.made_in(), 'description': ' '.join(tags.to_tags(fields)),
                                **({'ip_range': cidr} if cidr else {})})

    def change_network(self, network: Network, fields: Mapping[str, str], settings: Mapping[str, Any]) -> None:
        remembered = ' '.join(tags.to_tags({**network.fields, **fields}))
        self.api.patch(f'/vpcs/{network.id}', {**settings, **({'description': remembered} if fields else {})})

    def drop_network(self, network: Network) -> None:
        self.drop(f'/vpcs/{network.id}')

    def network_members(self, network: Network) -> list[Member]:
        return [Member(name=member['name'], is_vm=member['urn'].startswith('do:droplet:'))
                for member in self.all(f'/vpcs/{network.id}/members')]
