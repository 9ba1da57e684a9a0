"""Floating addresses are floating IPs, of IPv4."""

from __future__ import annotations

from collections.abc import Iterator

from hcloud.locations.domain import Location

from kvirt.providers.families import marks
from kvirt.providers.families.floating import Address, Floating
from kvirt.providers.families.machines import Machine
from kvirt.providers.hcloud import mapping
from kvirt.providers.hcloud.account import Account


class Addresses(Floating, Account):
    """The floating IPs of a project."""

    def addresses(self) -> Iterator[Address]:
        return map(mapping.floating, self.conn.floating_ips.get_all())

    def reserve_address(self, name: str, request: str) -> Address:
        return mapping.floating(self.conn.floating_ips.create(
            'ipv4', name=name, labels={marks.MARK: request},
            home_location=Location(name=self.usual_place)).floating_ip)

    def release_address(self, address: Address) -> None:
        self.gone(address.native)

    def assign_address(self, address: Address, machine: Machine) -> None:
        self.done(self.patiently(f'attaching {address.name}', lambda: address.native.assign(machine.native)))

    def unassign_address(self, address: Address) -> None:
        self.done(self.patiently(f'detaching {address.name}', address.native.unassign))
