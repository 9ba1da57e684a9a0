"""Floating addresses are elastic addresses. Their name is a tag, so what other tools made is there under its id."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from kvirt.errors import Conflict
from kvirt.providers.aws.account import Account, cards_of
from kvirt.providers.families import boto
from kvirt.providers.families.ec2 import Filters, bearing, marked, name_of, pages, tags_of
from kvirt.providers.families.floating import Address, Floating
from kvirt.providers.families.machines import Machine
from kvirt.providers.families.marks import MARK


class Addresses(Floating, Account):
    """The elastic addresses of an account."""

    one_address_each: ClassVar[bool] = True

    def addresses(self, filters: Filters | None = None, regions: Sequence[str] | None = None) -> list[Address]:
        """Return the addresses that *filters* find in the regions that are seen, or in some."""
        found = self.everywhere(lambda ec2: pages(ec2, 'describe_addresses', 'Addresses', filters), regions)
        return list(map(_address, found))

    def reserve_address(self, name: str, request: str) -> Address:
        with boto.about(f'floating address {name}'):
            made = self.ec2.allocate_address(Domain='vpc',
                                             TagSpecifications=marked('elastic-ip', {'Name': name, MARK: request}))
            if boto.retried(made):  # then the first attempt may have taken one too
                for twin in self.addresses(bearing(request), [self.here]):
                    if twin.id != made['AllocationId']:
                        self.release_address(twin)
        return _address({**made, 'Region': self.here})

    def release_address(self, address: Address) -> None:
        with boto.unless_gone():
            self.ec2_of(address.native).release_address(AllocationId=address.id)

    def assign_address(self, address: Address, machine: Machine) -> None:
        instance = machine.native
        if address.place != instance['Region']:
            raise Conflict(f"floating address {address.name} is in {address.place}, and VM {machine.name} in "
                           f"{instance['Region']}")
        cards = cards_of(instance)
        target = {'InstanceId': machine.id} if len(cards) == 1 else {'NetworkInterfaceId': cards[0]['NetworkInterfaceId']}
        with boto.about(f'floating address {address.name}'):
            self.ec2_of(instance).associate_address(AllocationId=address.id, **target,
                                                    AllowReassociation=bool(address.native.get('AssociationId')))

    def unassign_address(self, address: Address) -> None:
        if address.native.get('AssociationId'):
            self.ec2_of(address.native).disassociate_address(AssociationId=address.native['AssociationId'])

    def detach_addresses(self, instance: Mapping[str, Any]) -> None:
        """Detach the elastic addresses of an instance: none is made for a VM, so all stay."""
        for address in self.addresses({'instance-id': [instance['InstanceId']]}, [instance['Region']]):
            self.unassign_address(address)


def _address(native: Mapping[str, Any]) -> Address:
    vm, associated = native.get('InstanceId') or None, native.get('AssociationId')
    return Address(id=native['AllocationId'], name=name_of(native) or native['AllocationId'], ip=native['PublicIp'],
                   place=native['Region'], vm_id=vm, request=tags_of(native).get(MARK), native=native,
                   other=native.get('NetworkInterfaceId', 'AWS itself') if associated and not vm else None)
