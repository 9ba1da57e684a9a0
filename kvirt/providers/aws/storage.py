"""Disks: EBS volumes. Their types are the pools here. The root disk of a VM is one of them."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import msgspec

from kvirt.base import unsupported
from kvirt.errors import Conflict, NotFound
from kvirt.names import did_you_mean
from kvirt.providers.aws.account import PAGE
from kvirt.providers.aws.images import Images, root_of
from kvirt.providers.families import boto
from kvirt.providers.families.ec2 import Filters, marked, name_of, tags_of
from kvirt.providers.families.machines import Machine
from kvirt.providers.families.marks import MAKER, maker
from kvirt.providers.families.volumes import NewVolume, Volume, Volumes
from kvirt.shapes import PoolShape

VOLUME_SECONDS, VOLUME_INTERVAL = 300.0, 2.0
DEFAULT_POOL = 'default'
DEFAULT_TYPE = 'gp3'

POOLS: Mapping[str, str] = {
    'gp2': 'general purpose SSD, whose speed grows with its size', 'gp3': 'general purpose SSD',
    'io1': 'SSD with a promised speed', 'io2': 'durable SSD with a promised speed', 'sc1': 'cold HDD, from 125 GiB',
    'st1': 'HDD for throughput, from 125 GiB', 'standard': 'magnetic, of the previous generation'}
"""The types of volumes. The pool ``default`` is gp3."""

_SPEED = {'io1': 50, 'io2': 500}  # the most operations a second that a GiB may have
_USUAL_SPEED = 3000  # operations a second, what gp3 has of itself

# The first that EC2 recommends for data; the guest sees NVMe names of its own in any case.
_DEVICES = [f'/dev/sd{letter}' for letter in 'fghijklmnop'] + [f'/dev/xvd{first}{second}' for first in 'bc'
                                                               for second in 'abcdefghijklmnopqrstuvwxyz']


class Storage(Volumes, Images):
    """The volumes of an account."""

    # what is there

    def read_volumes(self, name: str | None = None) -> list[Volume]:
        if name is None:
            return list(map(_volume, self._volumes_seen()))
        found = self._volumes_seen({'tag:Name': [name]}) if '\0' not in name else []
        if not found and name.startswith('vol-'):
            found = self._volumes_seen({'volume-id': [name]})
        return list(map(_volume, found))

    def _volumes_seen(self, filters: Filters | None = None,
                      regions: Sequence[str] | None = None) -> list[dict[str, Any]]:
        return [each for each in self.look('volume', filters, regions, size=PAGE // 2)
                if each['State'] not in ('deleting', 'deleted')]

    def volumes_of(self, machine: Machine) -> list[Volume]:
        instance = machine.native
        found = self._volumes_seen({'attachment.instance-id': [machine.id]}, [instance['Region']])
        return sorted((_volume(each, instance.get('RootDeviceName')) for each in found),
                      key=lambda volume: (not volume.root, volume.device))

    def volume_place(self) -> str:
        """Return the zone of volumes that are not for a VM: the client's, else the first."""
        return self.options.zone or min(each['ZoneName'] for each in self.zones() if each['State'] == 'available')

    def zones(self) -> list[dict[str, Any]]:
        """Return the zones of the region that things are made in."""
        return [each for each in self.ec2.describe_availability_zones()['AvailabilityZones']
                if each.get('ZoneType', 'availability-zone') == 'availability-zone']

    # changes

    def check_volume(self, size: int | None = None, pool: str | None = None, image: str | None = None) -> None:
        volume_type(pool)

    def fresh_name(self, machine: Machine) -> str:
        """Return no name: a volume without one is called by its id."""
        return ''

    def make_volume(self, wanted: NewVolume) -> Volume:
        """Make a volume that is for no VM, and so is not waited for."""
        return self._made_volume(self.ec2, wanted)

    def make_disk(self, wanted: NewVolume, machine: Machine) -> Volume:
        """Make a volume that goes with its VM; until it is attached it bears its maker, for who is killed in between."""
        instance = machine.native
        ec2, device = self.ec2_of(instance), self._free_device(instance)
        fields = {**wanted.fields, MAKER: maker(time.time())}
        volume = self._made_volume(ec2, msgspec.structs.replace(wanted, fields=fields))
        self.give_disk(ec2, volume.id, machine.id, device, ours=True)
        self.completed(ec2, volume.id)
        return msgspec.structs.replace(volume, device=device)

    def _made_volume(self, ec2: Any, wanted: NewVolume) -> Volume:
        snapshot = root_of(self.image_of(wanted.image))['Ebs'].get('SnapshotId') if wanted.image else None
        fields = {**({'Name': wanted.name} if wanted.name else {}), **wanted.fields}
        return _volume({'Region': ec2.meta.region_name, **ec2.create_volume(
            AvailabilityZone=wanted.place, Size=wanted.size, TagSpecifications=marked('volume', fields),
            **ebs_of(volume_type(wanted.pool), wanted.size, snapshot))})

    def drop_volume(self, volume: Volume) -> None:
        ec2 = self.ec2_of(volume.native)
        with boto.unless_gone():
            self.patiently(f'deleting volume {volume.name}', lambda: ec2.delete_volume(VolumeId=volume.id),
                           seconds=VOLUME_SECONDS)

    def attach_volume(self, volume: Volume, machine: Machine) -> Volume:
        device = self._free_device(machine.native)
        self.ec2_of(machine.native).attach_volume(InstanceId=machine.id, VolumeId=volume.id, Device=device)
        return msgspec.structs.replace(volume, device=device)

    def detach_volume(self, volume: Volume) -> None:
        for vm in volume.vms:
            with boto.unless_gone():
                self.ec2_of(volume.native).detach_volume(VolumeId=volume.id, InstanceId=vm)

    def grow_volume(self, volume: Volume, size: int) -> None:
        self.ec2_of(volume.native).modify_volume(VolumeId=volume.id, Size=size)

    def keep_volume(self, volume: Volume) -> None:
        """Do nothing: that a volume goes with its VM is a matter of how it is attached."""

    @staticmethod
    def _free_device(instance: Mapping[str, Any]) -> str:
        return free_device(each['DeviceName'] for each in instance.get('BlockDeviceMappings', ()))

    def give_disk(self, ec2: Any, volume: str, vm: str, device: str, *, ours: bool) -> None:
        """Attach a volume once it is available; one of *ours* goes with the VM."""
        self.await_volume(ec2, volume, 'available')
        ec2.attach_volume(InstanceId=vm, VolumeId=volume, Device=device)
        if ours:
            ec2.modify_instance_attribute(InstanceId=vm, BlockDeviceMappings=[
                {'DeviceName': device, 'Ebs': {'VolumeId': volume, 'DeleteOnTermination': True}}])

    def await_volume(self, ec2: Any, volume: str, wanted: str) -> None:
        """Wait until a volume is ``available``, or another state. TimedOut."""
        self.await_state(ec2, 'volume', volume, wanted, seconds=VOLUME_SECONDS, interval=VOLUME_INTERVAL)

    # pools

    def _list_pools(self) -> list[str]:
        return sorted(POOLS)

    def _info_pool(self, name: str) -> PoolShape:
        if name not in (*POOLS, DEFAULT_POOL):
            return {}
        return {'name': name, 'type': volume_type(name), 'status': 'running'}

    _create_pool = unsupported('pools are the types of EBS volumes, and there are no others')
    _delete_pool = unsupported('pools are the types of EBS volumes, and are always there')


def _volume(native: Mapping[str, Any], root_device: str | None = None) -> Volume:
    uses = native.get('Attachments') or ()
    device = next((each['Device'] for each in uses), '')
    return Volume(id=native['VolumeId'], name=name_of(native) or native['VolumeId'], size=native['Size'],
                  place=native['AvailabilityZone'], path=native['VolumeId'], device=device, fields=tags_of(native),
                  vms=[each['InstanceId'] for each in uses], pool=native['VolumeType'],
                  root=bool(device) and device == root_device, native=native)


def volume_type(pool: str | None) -> str:
    """Return the type of volumes that *pool* means. NotFound."""
    if pool in (None, DEFAULT_POOL):
        return DEFAULT_TYPE
    if pool not in POOLS:
        raise NotFound(f"pool '{pool}' does not exist{did_you_mean(str(pool), POOLS)}",
                       hint=f"A pool is a type of EBS volumes here: {', '.join(POOLS)}")
    return str(pool)


def ebs_of(kind: str, size: int, snapshot: str | None = None) -> dict[str, Any]:
    """Return what a volume is asked for with: its type, the speed where one must be given, and what it is made of."""
    speed = {'Iops': max(100, min(_USUAL_SPEED, _SPEED[kind] * size))} if kind in _SPEED else {}
    return {'VolumeType': kind, **speed, **({'SnapshotId': snapshot} if snapshot else {})}


def block_device(device: str, size: int, pool: str | None, snapshot: str | None = None) -> dict[str, Any]:
    """Return a disk of RunInstances, which goes with its VM."""
    return {'DeviceName': device, 'Ebs': {'VolumeSize': size, 'DeleteOnTermination': True,
                                          **ebs_of(volume_type(pool), size, snapshot)}}


def free_device(taken: Iterable[str]) -> str:
    """Return the first device that is not taken. Conflict when all are."""
    used = set(taken)
    device = next((device for device in _DEVICES if device not in used), None)
    if device is None:
        raise Conflict(f'the VM has {len(used)} disks, and no room for more')
    return device
