"""Floating addresses are elastic addresses. Their name is a tag, so what other tools made is there under its id."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from kvirt.errors import AlreadyExists, Conflict
from kvirt.providers.aws.account import Account, name_of, pages, to_tags
from kvirt.providers.families import boto, cloud
from kvirt.providers.families.marks import MARK, new_request
from kvirt.undo import Undo


class Addresses(Account):
    """The elastic addresses of an account."""

    def _create_floating_ip(self, name: str) -> Mapping[str, Any] | None:
        if any(_name(address) == name for address in self._addresses()):
            raise AlreadyExists(f'floating address {name} exists')
        ec2, request = self.ec2, new_request()

        def release(but: str = '') -> None:
            for address in pages(ec2, 'describe_addresses', 'Addresses', {f'tag:{MARK}': [request]}):
                if address['AllocationId'] != but:
                    ec2.release_address(AllocationId=address['AllocationId'])
        with boto.about(f'floating address {name}'), Undo().translating(self.translate) as undo:
            undo.add(f'floating address {name}', release)
            made = ec2.allocate_address(Domain='vpc', TagSpecifications=[
                {'ResourceType': 'elastic-ip', 'Tags': to_tags({'Name': name, MARK: request})}])
            if boto.retried(made):  # then the first attempt may have taken one too
                release(but=made['AllocationId'])
        return {'ip': made['PublicIp']}

    def _delete_floating_ip(self, name: str) -> None:
        address = self._address(name)
        users = self._users([address])
        if users or (address.get('AssociationId') and not address.get('InstanceId')):
            user = ''.join(users.values()) or address.get('NetworkInterfaceId', 'AWS itself')
            raise Conflict(f'floating address {name} is in use by {user}', hint='Detach it first')
        self._detach(address)  # from a VM that is going away
        self.ec2_of(address).release_address(AllocationId=address['AllocationId'])

    def _attach_floating_ip(self, name: str, vm: str) -> None:
        address, instance = self._address(name), self.instance(vm)
        users = self._users([address])
        if instance['InstanceId'] in users:
            return
        if users:
            raise Conflict(f"floating address {name} is in use by {''.join(users.values())}", hint='Detach it first')
        if address['Region'] != instance['Region']:
            raise Conflict(f"floating address {name} is in {address['Region']}, and VM {vm} in {instance['Region']}")
        others = [other['PublicIp'] for other in self._addresses() if other.get('InstanceId') == instance['InstanceId']]
        if others:
            raise Conflict(f"VM {vm} has a floating address already: {', '.join(others)}", hint='Detach it first')
        cards = sorted(instance['NetworkInterfaces'], key=lambda card: int(card['Attachment']['DeviceIndex']))
        target = {'InstanceId': instance['InstanceId']} if len(cards) == 1 else {
            'NetworkInterfaceId': cards[0]['NetworkInterfaceId']}
        with boto.about(f'floating address {name}'):
            self.ec2_of(address).associate_address(AllocationId=address['AllocationId'], **target,
                                                   AllowReassociation=bool(address.get('AssociationId')))

    def _detach_floating_ip(self, name: str) -> None:
        self._detach(self._address(name))

    def _list_floating_ips(self) -> dict[str, dict[str, Any]]:
        addresses = self._addresses()
        users = self._users(addresses)
        rows = {_name(each): {'ip': each['PublicIp'], 'vm': users.get(each.get('InstanceId', '')),
                              'id': each['AllocationId'], 'location': each['Region']} for each in addresses}
        return dict(sorted(rows.items()))

    def release_addresses(self, instance: Mapping[str, Any]) -> None:
        """Detach the elastic addresses of an instance: none is made for a VM, so all stay."""
        ec2 = self.ec2_of(instance)
        for address in pages(ec2, 'describe_addresses', 'Addresses', {'instance-id': [instance['InstanceId']]}):
            self._detach({**address, 'Region': instance['Region']})

    def _detach(self, address: Mapping[str, Any]) -> None:
        if address.get('AssociationId'):
            self.ec2_of(address).disassociate_address(AssociationId=address['AssociationId'])

    def _addresses(self) -> list[dict[str, Any]]:
        return self.everywhere(lambda ec2: pages(ec2, 'describe_addresses', 'Addresses'))

    def _address(self, name: str) -> dict[str, Any]:
        return cloud.find('floating address', name, self._addresses(), _name, lambda address: address['AllocationId'])

    def _users(self, addresses: list[dict[str, Any]]) -> dict[str, str]:
        """Return the names of the VMs that have *addresses*, by id. One that is going away has none any more."""
        owners = sorted({address['InstanceId'] for address in addresses if address.get('InstanceId')})
        found = self.instances({'instance-id': owners}) if owners else []
        return {vm['InstanceId']: name_of(vm) or str(vm['InstanceId']) for vm in found}


def _name(address: Mapping[str, Any]) -> str:
    return name_of(address) or str(address['AllocationId'])
