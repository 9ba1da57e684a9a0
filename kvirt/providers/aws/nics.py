"""Network cards of VMs, and who has cards on a network."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

from kvirt.base import unsupported, waits
from kvirt.errors import Conflict, InvalidInput, NotFound
from kvirt.names import did_you_mean
from kvirt.providers.aws.account import cards_of
from kvirt.providers.aws.securitygroups import SecurityGroups, allowed, to_rules
from kvirt.providers.aws.vpcs import is_ours, users_of
from kvirt.providers.families import boto
from kvirt.providers.families.ec2 import bearing, described, made_once
from kvirt.providers.families.marks import making, new_request
from kvirt.wait import until

T = TypeVar('T')

_LETS_GO = 120.0
"""Seconds that EC2 may take to let go of a card, or of what a VM that was just deleted had."""


class Nics(SecurityGroups):
    """The network cards of VMs."""

    @waits
    def _add_nic(self, name: str, network: str, model: str = 'virtio') -> Mapping[str, Any] | None:
        if model != 'virtio':
            raise InvalidInput('AWS has no models of network cards to choose from')
        instance = self.instance(name)
        ec2, request = self.ec2_of(instance), new_request()
        topology = self.topology([instance['Region']])
        [subnet] = self.choose_subnets([network], instance['Placement']['AvailabilityZone'], topology)
        taken = {card['Attachment']['DeviceIndex'] for card in instance['NetworkInterfaces']}
        number = next(index for index in range(len(taken) + 1) if index not in taken)
        with boto.about(f'network card on {network} for VM {name}'), self.undo() as undo:
            undo.add(f'network card of VM {name}', lambda: self._drop_cards(ec2, bearing(request)))
            card = made_once(ec2, 'network_interface', making(request),
                             SubnetId=subnet['SubnetId'], Groups=self._groups_of_card(instance, subnet))
            native = card['NetworkInterfaceId']
            attached = self.soon(lambda: ec2.attach_network_interface(
                NetworkInterfaceId=native, InstanceId=instance['InstanceId'], DeviceIndex=number))
            ec2.modify_network_interface_attribute(NetworkInterfaceId=native, Attachment={
                'AttachmentId': attached['AttachmentId'], 'DeleteOnTermination': True})
            self.completed(ec2, native)
        return {'mac': card['MacAddress'].lower(), 'device': f'eth{number}', 'ip': card['PrivateIpAddress']}

    def _groups_of_card(self, instance: Mapping[str, Any], subnet: Mapping[str, Any]) -> list[str]:
        """Return the groups of a further card: those of the VM; in another VPC one with the same rules."""
        mine = [group['GroupId'] for group in cards_of(instance)[0]['Groups']]
        if subnet['VpcId'] == instance['VpcId']:
            return mine
        groups = described(self.ec2_of(instance), 'security_group', {'group-id': mine})
        entries = {entry for group in groups for entry in allowed(group)}
        plain = [rule for rule in to_rules(entries) if rule['protocol'] != 'all' and '-' not in rule['cidr']]
        return [self.shared_group(plain, subnet['VpcId']).id]

    @waits
    def _delete_nic(self, name: str, interface: str) -> None:
        instance = self.instance(name)
        names = self.network_names(instance['Region'])
        known = [(card, {f'eth{number}', card['MacAddress'].lower(), card['NetworkInterfaceId'],
                         names.get(card['VpcId'], ''), names.get(card['SubnetId'], '')})
                 for number, card in enumerate(cards_of(instance))]
        found = [card for card, words in known if interface and words & {interface, interface.lower()}]
        if not found:
            choices = [word for _, words in known for word in words if word]
            raise NotFound(f'VM {name} has no network card {interface}{did_you_mean(interface, choices)}')
        if any(card['Attachment']['DeviceIndex'] == 0 for card in found):
            raise Conflict(f'the first network card of VM {name} stays as long as the VM')
        for card in found:
            self._drop_card(self.ec2_of(instance), card)

    _update_nic = unsupported('AWS can not connect a network card elsewhere: add one, and delete the other')

    def _drop_cards(self, ec2: Any, filters: Mapping[str, Sequence[str]]) -> None:
        for card in list(described(ec2, 'network_interface', filters)):
            self._drop_card(ec2, card)

    def _drop_card(self, ec2: Any, card: Mapping[str, Any]) -> None:
        """Delete a card, after its VM has let go of it."""
        native, attachment = card['NetworkInterfaceId'], card.get('Attachment', {}).get('AttachmentId')
        if attachment:
            ec2.detach_network_interface(AttachmentId=attachment)
        boto.patiently(lambda: ec2.delete_network_interface(NetworkInterfaceId=native), (Conflict, InvalidInput),
                       what=f'network card {native} being let go of', clock=self.clock, timeout=_LETS_GO)

    def _network_ports(self, name: str) -> list[str]:
        subnets = self.subnets_named(name, self.topology())
        found = {'subnet-id': [subnet['SubnetId'] for subnet in subnets]}
        return users_of(card for card in (self.cards_on(subnets[0], found) if subnets else ())
                        if card.get('Attachment', {}).get('InstanceId'))

    def _vacate(self, what: str, where: Mapping[str, Any], filters: Mapping[str, Sequence[str]], force: bool) -> None:
        """Take the cards that *filters* find away. Conflict names who has them, unless *force*, and who can't let go."""
        cards = self.cards_on(where, filters)
        users = users_of(cards)
        if users and not force:
            raise Conflict(f"{what} is in use by {', '.join(users)}",
                           hint='Delete those first, or take the network from VMs with force')
        fixed = users_of(card for card in cards if card.get('Attachment', {}).get('DeviceIndex', 0) == 0)
        if fixed:
            raise Conflict(f"{what} is in use by {', '.join(fixed)}, and the first card of a VM stays as long as the VM")
        for card in cards:
            if card['User'] or is_ours(card):
                self._drop_card(self.ec2_of(where), card)
        if not all(card['User'] or is_ours(card) for card in cards):
            until(lambda: not self.cards_on(where, filters), what=f'{what} being let go of by VMs that were deleted',
                  timeout=_LETS_GO, clock=self.clock)
