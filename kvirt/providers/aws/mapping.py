"""From what EC2 tells to what the contract returns."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from kvirt.errors import InvalidInput
from kvirt.providers.aws.account import cards_of
from kvirt.providers.families.marks import COMPUTED, check_field, unshown
from kvirt.shapes import Flavor, NicShape

OURS = frozenset({'Name', 'attaching'})
"""Tags of a VM that are no fields of it."""


def check_key(key: str) -> str:
    """Return *key* if it can name a field of a VM. InvalidInput."""
    if key in OURS or key.lower() == 'name':
        raise InvalidInput(f"'{key}' can not be set as metadata: the tag of that name means something else here")
    return check_field(key)


def shown(fields: Mapping[str, str]) -> dict[str, str]:
    """Return the *fields* of a VM, its tags, without those that mean something else here."""
    return {key: value for key, value in unshown(fields).items()
            if key not in OURS and key not in COMPUTED and not key.startswith('aws:')}


def more_of(instance: Mapping[str, Any]) -> dict[str, Any]:
    """Return what is known of an instance beside what all clouds tell; what it does not have is None."""
    place = instance['Placement']
    return {'sublocation': place.get('AvailabilityZone', ''), 'dnsname': instance.get('PublicDnsName') or None,
            'privateip': instance.get('PrivateIpAddress') or None, 'placement': place.get('GroupName') or None,
            'securitygroups': sorted(set(groups_of(instance).values())) or None,
            'spot': instance.get('InstanceLifecycle') == 'spot' or None}


def flags_of(instance: Mapping[str, Any], flavor: Flavor | None) -> dict[str, bool]:
    """Return what can be done with a VM, as far as its kind goes. A spot VM that is stopped could not be got again."""
    on_ebs = instance.get('RootDeviceType', 'ebs') == 'ebs'
    spot = instance.get('InstanceLifecycle') == 'spot'
    return {'stoppable': on_ebs and not spot, 'rebootable': True, 'resizable': on_ebs and not spot,
            'preemptible': spot or bool(flavor and flavor.preemptible), 'firewall': True}


def groups_of(instance: Mapping[str, Any]) -> dict[str, str]:
    """Return the names of the security groups of an instance, by id. Each card has groups of its own."""
    return {group['GroupId']: group['GroupName'] for card in cards_of(instance) for group in card.get('Groups', ())}


def nics_of(instance: Mapping[str, Any], networks: Mapping[str, str]) -> list[NicShape]:
    """Map the cards of an instance, with the names of *networks* by id."""
    return [{'device': f'eth{number}', 'mac': card['MacAddress'].lower(), 'net': networks.get(card['VpcId'], card['VpcId']),
             'type': card.get('InterfaceType', ''), 'ip': card.get('PrivateIpAddress', '')}
            for number, card in enumerate(cards_of(instance))]
