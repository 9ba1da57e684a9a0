"""Networks are VPCs: a droplet is in exactly one, from birth to end."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from kvirt import units
from kvirt.base import unsupported
from kvirt.errors import AlreadyExists, Conflict, NotSupported
from kvirt.providers.digitalocean import mapping
from kvirt.providers.digitalocean.account import NAME, Account
from kvirt.providers.families import cloud
from kvirt.shapes import NetworkShape

_ONE_CARD = f'a VM is in one VPC of {NAME}, chosen when it is made, and has no further cards'
_NO_SUBNETS = f'VPCs of {NAME} are not divided into subnets'


class Networks(Account):
    """VPCs."""

    def vpc_named(self, name: str) -> dict[str, Any]:
        """Return the VPC with this name or id in this client's location. NotFound."""
        return cloud.find('network', name, filter(self.seen, self.all('/vpcs')), lambda vpc: vpc['name'],
                          lambda vpc: vpc['id'])

    def vpc_for(self, name: str) -> str | None:
        """Return the id of the VPC for a VM on network *name*, None for the default one of its region. NotFound."""
        wanted = self.vpc if name == 'default' else name
        return self.vpc_named(wanted)['id'] if wanted else None

    # hooks

    def _list_networks(self) -> dict[str, NetworkShape]:
        return {vpc['name']: mapping.network_shape(vpc)
                for vpc in sorted(filter(self.seen, self.all('/vpcs')), key=lambda vpc: str(vpc['name']))}

    def _create_network(self, name: str, cidr: str | None, dhcp: bool, nat: bool, domain: str | None, plan: str,
                        overrides: Mapping[str, Any]) -> None:
        cloud.check_name('network', name, '[A-Za-z0-9.-]+', 'Use letters, digits, dots and dashes')
        _refuse(dhcp, nat, domain)
        cloud.check_settings('a new network', overrides, ())
        for vpc in self.all('/vpcs'):
            if vpc['name'] == name:
                raise AlreadyExists(f'network {name} exists')
            if cidr and units.network(cidr).overlaps(units.network(vpc['ip_range'])):
                raise Conflict(f"the addresses {cidr} overlap those of network {vpc['name']}, {vpc['ip_range']}")
        with self.undo() as undo:
            undo.add(f'network {name}', lambda: self._delete_network(name))
            self.api.post('/vpcs', {'name': name, 'region': self.made_in(), 'description': _description(plan),
                                    **({'ip_range': cidr} if cidr else {})})

    def _delete_network(self, name: str, force: bool = False) -> None:
        vpc = self.vpc_named(name)
        members = sorted(member['name'] for member in self.all(f"/vpcs/{vpc['id']}/members"))
        if members:
            raise Conflict(f"network {name} is used by {', '.join(members)}, which can not leave it",
                           hint='Delete them first')
        self.api.delete(f"/vpcs/{vpc['id']}")

    def _update_network(self, name: str, dhcp: bool | None, nat: bool | None, domain: str | None, plan: str | None,
                        overrides: Mapping[str, Any]) -> None:
        _refuse(dhcp, nat, domain)
        changes = {**cloud.check_settings('a network', overrides, ('name', 'default')),
                   **({'description': _description(plan)} if plan else {})}
        vpc = self.vpc_named(name)
        if changes:
            self.api.patch(f"/vpcs/{vpc['id']}", changes)

    def _network_ports(self, name: str) -> list[str]:
        members = self.all(f"/vpcs/{self.vpc_named(name)['id']}/members")
        return sorted(member['name'] for member in members if member['urn'].startswith('do:droplet:'))

    _add_nic = unsupported(_ONE_CARD)
    _delete_nic = unsupported(_ONE_CARD)
    _update_nic = unsupported(_ONE_CARD)
    _create_subnet = unsupported(_NO_SUBNETS)
    _delete_subnet = unsupported(_NO_SUBNETS)
    _update_subnet = unsupported(_NO_SUBNETS)
    _list_subnets = unsupported(_NO_SUBNETS)
    _info_subnet = unsupported(_NO_SUBNETS)


def _description(plan: str) -> str:
    return ' '.join(mapping.to_tags({'plan': plan}))


def _refuse(dhcp: bool | None, nat: bool | None, domain: str | None) -> None:
    if dhcp is False:
        raise NotSupported(f'a VPC of {NAME} always tells droplets their addresses')
    if nat is False:
        raise NotSupported(f'droplets in a VPC of {NAME} reach the internet over a card of their own',
                           hint='publicip: false makes a VM without it')
    if domain:
        raise NotSupported(f'a VPC of {NAME} has no DNS domain')
