"""Disks: EBS volumes. Their types are the pools."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any

from kvirt.base import unsupported, waits
from kvirt.errors import AlreadyExists, Conflict, InvalidInput, NotFound
from kvirt.names import did_you_mean
from kvirt.providers.aws.account import PAGE, name_of, pages, to_tags
from kvirt.providers.aws.images import Images, root_of
from kvirt.providers.aws.mapping import disk_name
from kvirt.providers.aws.volumes import DEFAULT_POOL, POOLS, free_device, speed_of, volume_type
from kvirt.providers.families.marks import MAKER, MARK, maker, new_request
from kvirt.shapes import DiskRow, PoolShape
from kvirt.undo import Undo

VOLUME_SECONDS, VOLUME_INTERVAL = 300.0, 2.0


class Storage(Images):
    """The volumes of an account."""

    def _create_disk(self, name: str, size: int, pool: str | None = None, thin: bool = True,
                     image: str | None = None) -> Mapping[str, Any] | None:
        asked = self._asked_volume(size, pool, image)
        if self._named_volumes(name):
            raise AlreadyExists(f'volume {name} exists')
        return {'path': self._make(self.ec2, self._zone(), asked, {'Name': name, MARK: new_request()})}

    def _asked_volume(self, size: int, pool: str | None, image: str | None) -> dict[str, Any]:
        """Return how to ask for a volume. NotFound for its pool or image."""
        kind = volume_type(pool)
        snapshot = root_of(self.image_of(image))['Ebs'].get('SnapshotId') if image is not None else None
        return {'Size': size, 'VolumeType': kind, **speed_of(kind, size), **({'SnapshotId': snapshot} if snapshot else {})}

    @staticmethod
    def _make(ec2: Any, zone: str, asked: Mapping[str, Any], tags: Mapping[str, str]) -> str:
        return str(ec2.create_volume(AvailabilityZone=zone, **asked, TagSpecifications=[
            {'ResourceType': 'volume', 'Tags': to_tags(tags)}])['VolumeId'])

    def _zone(self) -> str:
        """Return the zone of volumes that are not for a VM: the client's, else the first."""
        return self.options.zone or min(each['ZoneName'] for each in self.zones() if each['State'] == 'available')

    def zones(self) -> list[dict[str, Any]]:
        """Return the zones of the region that things are made in."""
        return [each for each in self.ec2.describe_availability_zones()['AvailabilityZones']
                if each.get('ZoneType', 'availability-zone') == 'availability-zone']

    @waits
    def _add_disk(self, name: str, size: int, pool: str | None, thin: bool, image: str | None, shareable: bool,
                  existing: str | None, interface: str, overrides: Mapping[str, Any]) -> Mapping[str, Any] | None:
        if shareable:
            raise InvalidInput('disks that several VMs write to are not offered here')
        instance = self.instance(name)
        ec2, vm = self.ec2_of(instance), instance['InstanceId']
        device = free_device(each['DeviceName'] for each in instance.get('BlockDeviceMappings', ()))
        zone = instance['Placement']['AvailabilityZone']
        if existing:
            known = self.free_volume(existing)
            volume = str(known['VolumeId'])
            if known['AvailabilityZone'] != zone:
                raise Conflict(f"volume {existing} is in {known['AvailabilityZone']}, and VM {name} in {zone}")
            ec2.attach_volume(InstanceId=vm, VolumeId=volume, Device=device)
            return {'device': device, 'path': volume}
        asked, request = self._asked_volume(size, pool, image), new_request()
        named = {'Name': overrides['diskname']} if overrides.get('diskname') else {}
        if named and self._named_volumes(named['Name']):
            raise AlreadyExists(f"volume {named['Name']} exists")
        with Undo().translating(self.translate) as undo:
            undo.add(f'the new disk of VM {name}', lambda: self._unmake_volumes(ec2, request))
            volume = self._make(ec2, zone, asked, {MARK: request, MAKER: maker(time.time()), **named})
            self._attach(ec2, volume, vm, device, ours=True)
            ec2.delete_tags(Resources=[volume], Tags=[{'Key': MAKER}])
        return {'device': device, 'path': volume}

    def _attach(self, ec2: Any, volume: str, vm: str, device: str, *, ours: bool) -> None:
        """Attach a volume once it is available; one of *ours* goes with the VM."""
        self.await_volume(ec2, volume, 'available')
        ec2.attach_volume(InstanceId=vm, VolumeId=volume, Device=device)
        if ours:
            ec2.modify_instance_attribute(InstanceId=vm, BlockDeviceMappings=[
                {'DeviceName': device, 'Ebs': {'VolumeId': volume, 'DeleteOnTermination': True}}])

    def _unmake_volumes(self, ec2: Any, request: str) -> None:
        """Detach and delete the volumes that bear the mark of *request*. What is not detached yet is Conflict."""
        for volume in pages(ec2, 'describe_volumes', 'Volumes', {f'tag:{MARK}': [request]}):
            for each in volume.get('Attachments', ()):
                if each['State'] in ('attached', 'attaching'):
                    ec2.detach_volume(VolumeId=volume['VolumeId'], InstanceId=each['InstanceId'])
            ec2.delete_volume(VolumeId=volume['VolumeId'])

    def await_volume(self, ec2: Any, volume: str, wanted: str) -> None:
        """Wait until a volume is ``available``, or another state. TimedOut."""
        self.await_state(ec2, 'volume', volume, wanted, seconds=VOLUME_SECONDS, interval=VOLUME_INTERVAL)

    @waits
    def _delete_disk(self, name: str | None, diskname: str, pool: str | None = None) -> None:
        if name is None:
            volume = self.free_volume(diskname)
            self.ec2_of(volume).delete_volume(VolumeId=volume['VolumeId'])
            return
        instance = self.instance(name)
        attached = self._disk_of(instance, name, diskname)
        if attached['DeviceName'] == instance.get('RootDeviceName'):
            raise Conflict(f'disk {diskname} is the root disk of VM {name}', hint='It goes with the VM')
        ec2, volume = self.ec2_of(instance), attached['Ebs']['VolumeId']
        ec2.detach_volume(VolumeId=volume, InstanceId=instance['InstanceId'])
        self.await_volume(ec2, volume, 'available')
        ec2.delete_volume(VolumeId=volume)

    def _disk_of(self, instance: Mapping[str, Any], name: str, diskname: str) -> dict[str, Any]:
        """Return a disk of an instance by device, volume id, or the volume's name. NotFound."""
        attached: list[dict[str, Any]] = list(instance.get('BlockDeviceMappings', ()))
        by_name = {each['VolumeId'] for each in self._named_volumes(diskname)}
        for each in attached:
            device, volume = each['DeviceName'], each['Ebs']['VolumeId']
            if diskname in (device, device.removeprefix('/dev/'), volume) or volume in by_name:
                return each
        raise NotFound(f'VM {name} has no disk {diskname}'
                       f"{did_you_mean(diskname, [each['DeviceName'] for each in attached])}")

    def _detach_disks(self, name: str) -> Mapping[str, Any] | None:
        instance = self.instance(name)
        ec2, volumes = self.ec2_of(instance), []
        for each in sorted(instance.get('BlockDeviceMappings', ()), key=lambda each: str(each['DeviceName'])):
            if each['DeviceName'] != instance.get('RootDeviceName'):
                ec2.detach_volume(VolumeId=each['Ebs']['VolumeId'], InstanceId=instance['InstanceId'])
                volumes.append(each['Ebs']['VolumeId'])
        return {'disks': volumes}

    def _resize_disk(self, name: str, diskname: str, size: int) -> None:
        instance = self.instance(name)
        ec2, volume = self.ec2_of(instance), self._disk_of(instance, name, diskname)['Ebs']['VolumeId']
        [known] = pages(ec2, 'describe_volumes', 'Volumes', {'volume-id': [volume]})
        if size < known['Size']:
            raise InvalidInput(f"disk {diskname} of VM {name} has {known['Size']} GiB and can not be made smaller")
        if size > known['Size']:
            ec2.modify_volume(VolumeId=volume, Size=size)

    # what is known

    def volumes_seen(self, filters: Mapping[str, Sequence[str]] | None = None) -> list[dict[str, Any]]:
        """Return the volumes of all regions that are seen."""
        return [each for each in self.everywhere(
            lambda ec2: pages(ec2, 'describe_volumes', 'Volumes', filters, size=PAGE // 2))
            if each['State'] not in ('deleting', 'deleted')]

    def _named_volumes(self, name: str) -> list[dict[str, Any]]:
        found = self.volumes_seen({'tag:Name': [name]}) if name and '\0' not in name else []
        return [each for each in found if name_of(each) == name]

    def free_volume(self, name: str) -> dict[str, Any]:
        """Return the volume with this name or id, which no VM has. NotFound; Conflict names the VM that has it."""
        found = self._named_volumes(name)
        if not found and name.startswith('vol-'):
            found = self.volumes_seen({'volume-id': [name]})
        volume: dict[str, Any] = self.one('volume', name, found)
        users = [each['InstanceId'] for each in volume.get('Attachments', ())]
        if users:
            names = sorted(name_of(each) or each['InstanceId'] for each in
                           self.instances({'instance-id': users}, [volume['Region']])) or users
            raise Conflict(f"volume {name} is a disk of {', '.join(names)}", hint='Detach it first')
        return volume

    def _list_disks(self) -> dict[str, DiskRow]:
        volumes = self.volumes_seen()
        users = {each['InstanceId']: name_of(each) or each['InstanceId'] for each in self.instances()} \
            if any(each.get('Attachments') for each in volumes) else {}
        rows: dict[str, DiskRow] = {}
        for volume in sorted(volumes, key=lambda each: (disk_name(each), each['VolumeId'])):
            name = disk_name(volume)
            rows[name if name not in rows else volume['VolumeId']] = {
                'pool': volume['VolumeType'], 'path': volume['VolumeId'], 'size': volume['Size'],
                'vms': [users.get(each['InstanceId'], each['InstanceId']) for each in volume.get('Attachments', ())]}
        return dict(sorted(rows.items()))

    # pools

    def _list_pools(self) -> list[str]:
        return sorted(POOLS)

    def _info_pool(self, name: str) -> PoolShape:
        if name not in (*POOLS, DEFAULT_POOL):
            return {}
        return {'name': name, 'type': volume_type(name), 'status': 'running'}

    _create_pool = unsupported('pools are the types of EBS volumes, and there are no others')
    _delete_pool = unsupported('pools are the types of EBS volumes, and are always there')


