"""Snapshots: of all disks of a VM at one moment, as after a power cut.

A revert makes new volumes of them and puts them in the place of the present ones; disks that were added since stay.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from kvirt.errors import Conflict
from kvirt.providers.aws.storage import DEFAULT_TYPE, ebs_of
from kvirt.providers.aws.vms import Vms
from kvirt.providers.families.ec2 import described, marked, tags_of
from kvirt.providers.families.machines import Machine
from kvirt.providers.families.marks import MARK, making, new_request
from kvirt.providers.families.snapshots import Snapshot


class Snapshots(Vms):
    """The snapshots of VMs."""

    def read_snapshots(self, machine: Machine) -> list[Snapshot]:
        found = described(self.ec2_of(machine.native), 'snapshot', {'tag:vm': [machine.id]}, OwnerIds=['self'])
        ours = sorted((each for each in found if {MARK, 'snapshot'} <= set(tags_of(each))),
                      key=lambda each: (each['StartTime'], tags_of(each).get('taken', ''), each['SnapshotId']))
        parts: dict[str, list[dict[str, Any]]] = {}
        for each in ours:
            parts.setdefault(tags_of(each)['snapshot'], []).append({**each, 'Region': machine.location})
        return [Snapshot(id=each[0]['SnapshotId'], name=name, request=tags_of(each[0])[MARK], native=each)
                for name, each in parts.items()]

    def take_snapshot(self, machine: Machine, name: str, request: str) -> None:
        # One call marks all disks alike, so where each belongs stands on every one of them.
        devices = ','.join(f"{each['Ebs']['VolumeId']}={each['DeviceName']}"
                           for each in machine.native['BlockDeviceMappings'])
        fields = {'Name': f'{machine.name}-{name}', 'vm': machine.id, 'snapshot': name, 'devices': devices,
                  'taken': f'{time.time():.6f}', MARK: request}
        self.ec2_of(machine.native).create_snapshots(
            InstanceSpecification={'InstanceId': machine.id}, TagSpecifications=marked('snapshot', fields))

    def drop_snapshot(self, snapshot: Snapshot) -> None:
        for part in snapshot.native:
            self.ec2_of(part).delete_snapshot(SnapshotId=part['SnapshotId'])

    def restore_snapshot(self, machine: Machine, snapshot: Snapshot) -> None:
        """Bring a VM back, all its disks or none. One that runs is stopped for that, and started again."""
        base, instance, vm, running = machine.name, machine.native, machine.id, machine.status != 'stopped'
        ec2 = self.ec2_of(instance)
        parts = {_device(each): each for each in snapshot.native}
        unfinished = [each['SnapshotId'] for each in parts.values() if each['State'] != 'completed']
        if unfinished:
            raise Conflict(f'snapshot {snapshot.name} of VM {base} is still being copied', hint='Try again when it is done')
        if running:
            self.allowed(machine, 'stoppable')
        old = {each['DeviceName']: each['Ebs'] for each in instance['BlockDeviceMappings'] if each['DeviceName'] in parts}
        before = {volume.device: volume.native for volume in self.volumes_of(machine)}
        request = new_request()
        with self.undo() as undo:
            undo.add(f'the new disks of VM {base}', lambda: self.unmake_volumes(MARK, request))
            fresh = {device: self._copied(ec2, instance, part, before.get(device, {}), request)
                     for device, part in parts.items()}
            if running:
                undo.add(f'the stop of VM {base}', lambda: ec2.start_instances(InstanceIds=[vm]))
                self.halt_vm(machine)
            undo.add(f'the disks of VM {base}', lambda: self._put_back(ec2, vm, old))
            for device, volume in fresh.items():
                if device in old:
                    ec2.detach_volume(VolumeId=old[device]['VolumeId'], InstanceId=vm)
                    self.await_volume(ec2, old[device]['VolumeId'], 'available')
                self.give_disk(ec2, volume, vm, device, ours=old.get(device, {}).get('DeleteOnTermination', True))
            self.completed(ec2, *fresh.values())
        for each in old.values():
            ec2.delete_volume(VolumeId=each['VolumeId'])
        if running:
            ec2.start_instances(InstanceIds=[vm])

    def _copied(self, ec2: Any, instance: Mapping[str, Any], part: Mapping[str, Any], old: Mapping[str, Any],
                request: str) -> str:
        """Make a volume of an EBS snapshot, of the type and with the tags of the *old* one, whose place it takes."""
        tags = {key: value for key, value in tags_of(old).items() if not key.startswith('aws:')}
        made = ec2.create_volume(
            AvailabilityZone=instance['Placement']['AvailabilityZone'],
            TagSpecifications=marked('volume', {**tags, **making(request)}),
            **ebs_of(old.get('VolumeType', DEFAULT_TYPE), part['VolumeSize'], part['SnapshotId']))
        return str(made['VolumeId'])

    def _put_back(self, ec2: Any, vm: str, old: Mapping[str, Mapping[str, Any]]) -> None:
        """Give a VM the disks that it had."""
        [instance] = self.instances({'instance-id': [vm]}, [ec2.meta.region_name])
        now = {each['DeviceName']: each['Ebs']['VolumeId'] for each in instance['BlockDeviceMappings']}
        for device, before in old.items():
            if now.get(device) not in (None, before['VolumeId']):
                ec2.detach_volume(VolumeId=now[device], InstanceId=vm)
                self.await_volume(ec2, now[device], 'available')
            if now.get(device) != before['VolumeId']:
                self.give_disk(ec2, before['VolumeId'], vm, device, ours=before.get('DeleteOnTermination', True))


def _device(part: Mapping[str, Any]) -> str:
    """Return the device that the volume of an EBS snapshot was attached as."""
    devices = dict(pair.split('=', 1) for pair in tags_of(part).get('devices', '').split(',') if '=' in pair)
    return str(devices.get(part['VolumeId'], part['VolumeId']))
