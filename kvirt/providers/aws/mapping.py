"""From what EC2 tells to what the contract returns."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, cast

from kvirt.errors import InvalidInput
from kvirt.providers.aws.account import address_of, created, tags_of
from kvirt.providers.families.marks import COMPUTED, check_field, iso_date, unshown
from kvirt.shapes import DiskShape, Flavor, NicShape, Status, VmInfo, VmRow

STATUS: Mapping[str, Status] = {'pending': 'pending', 'running': 'running', 'stopping': 'stopping', 'stopped': 'stopped',
                                'shutting-down': 'terminating', 'terminated': 'terminated'}
"""Every word of EC2 for the state of an instance, and the standard one."""

OURS = frozenset({'Name', 'attaching'})
"""Tags of a VM that are no fields of it."""


def check_key(key: str) -> str:
    """Return *key* if it can name a field of a VM. InvalidInput."""
    if key in OURS or key.lower() == 'name':
        raise InvalidInput(f"'{key}' can not be set as metadata: the tag of that name means something else here")
    return check_field(key)


def status_of(instance: Mapping[str, Any]) -> Status:
    """Return the standard word for the state of an instance."""
    return STATUS.get(instance['State']['Name'], 'unknown')


def fields_of(instance: Mapping[str, Any]) -> dict[str, str]:
    """Return the texts that are kept on a VM: its tags, without those that mean something else here."""
    return {key: value for key, value in unshown(tags_of(instance)).items()
            if key not in OURS and key not in COMPUTED and not key.startswith('aws:')}


def vm_row(instance: Mapping[str, Any], flavors: Mapping[str, Flavor]) -> VmRow:
    """Map an instance to a row; *flavors* are those known, by name."""
    fields, status = tags_of(instance), status_of(instance)
    row: VmRow = {
        'name': fields.get('Name') or instance['InstanceId'], 'status': status, 'ip': address_of(instance),
        'image': fields.get('image') or instance.get('ImageId', ''), 'plan': fields.get('plan', ''),
        'profile': fields.get('profile', ''), 'id': instance['InstanceId'], 'flavor': instance.get('InstanceType', ''),
        'location': instance['Region']}
    flavor = flavors.get(row['flavor'])
    if flavor is not None:
        row['numcpus'], row['memory'] = flavor.numcpus, flavor.memory
    return row


def vm_info(instance: Mapping[str, Any], flavors: Mapping[str, Flavor], disks: Sequence[DiskShape],
            snapshots: Iterable[str], networks: Mapping[str, str]) -> VmInfo:
    """Map an instance to all that is known of it: its *disks*, *snapshots* oldest first, names of *networks* by id."""
    row = vm_row(instance, flavors)
    info = cast(VmInfo, {**fields_of(instance), **row, **flags_of(instance, flavors.get(row['flavor']))})
    info['nets'] = [_nic(number, card, networks) for number, card in enumerate(_cards(instance))]
    info['disks'] = list(disks)
    info['snapshots'] = [{'snapshot': name, 'current': False} for name in snapshots]
    info['creationdate'] = iso_date(created(instance))
    info['sublocation'] = instance['Placement'].get('AvailabilityZone', '')
    info['native_status'] = instance['State']['Name']
    more = {'dnsname': instance.get('PublicDnsName'), 'privateip': instance.get('PrivateIpAddress'),
            'securitygroups': sorted(set(groups_of(instance).values())),
            'placement': instance['Placement'].get('GroupName'),
            'spot': instance.get('InstanceLifecycle') == 'spot' or None}
    return cast(VmInfo, {**info, **{key: value for key, value in more.items() if value}})


def flags_of(instance: Mapping[str, Any], flavor: Flavor | None) -> dict[str, bool]:
    """Return what can be done with a VM, as far as its kind goes. A spot VM that is stopped could not be got again."""
    on_ebs = instance.get('RootDeviceType', 'ebs') == 'ebs'
    spot = instance.get('InstanceLifecycle') == 'spot'
    return {'stoppable': on_ebs and not spot, 'rebootable': True, 'resizable': on_ebs and not spot,
            'preemptible': spot or bool(flavor and flavor.preemptible), 'firewall': True}


def groups_of(instance: Mapping[str, Any]) -> dict[str, str]:
    """Return the names of the security groups of an instance, by id. Each card has groups of its own."""
    return {group['GroupId']: group['GroupName'] for card in _cards(instance) for group in card.get('Groups', ())}


def _cards(instance: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    return sorted(instance.get('NetworkInterfaces', ()), key=lambda card: card['Attachment'].get('DeviceIndex', 0))


def _nic(number: int, card: Mapping[str, Any], networks: Mapping[str, str]) -> NicShape:
    net = networks.get(card['VpcId'], card['VpcId'])
    return {'device': f'eth{number}', 'mac': card['MacAddress'].lower(), 'net': net, 'type': card.get('InterfaceType', ''),
            'ip': card.get('PrivateIpAddress', '')}
