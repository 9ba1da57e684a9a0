"""Making VMs. One call makes an instance with its disks, cards and marks, so what exists is complete.

Before it nothing is made but the security group that VMs with the same rules share. Only volumes that were there before
are attached afterwards, since EC2 wants a running VM for that; until then the VM bears the mark of its maker, so that
``delete orphans`` finds one that was never finished.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from kvirt.base import waits
from kvirt.base.flavors import CHEAPEST
from kvirt.errors import Conflict, InvalidInput, NotFound, Problem
from kvirt.guest.guest import Guest
from kvirt.parallel import in_parallel
from kvirt.providers.aws.account import pages, to_tags
from kvirt.providers.aws.addresses import Addresses
from kvirt.providers.aws.dns import Dns
from kvirt.providers.aws.flavors import Flavors
from kvirt.providers.aws.images import root_of, size_of
from kvirt.providers.aws.mapping import check_key
from kvirt.providers.aws.names import Names
from kvirt.providers.aws.securitygroups import SecurityGroups
from kvirt.providers.aws.storage import Storage
from kvirt.providers.aws.volumes import block_device, free_device, volume_type
from kvirt.providers.aws.wellknown import native_arch
from kvirt.providers.families import boto
from kvirt.providers.families.births import CloudDelete
from kvirt.providers.families.cloud import NO_HYPERVISOR, check_user_data, refuse
from kvirt.providers.families.machines import Machine
from kvirt.providers.families.marks import MAKER, MARK, fields_of, maker, new_request
from kvirt.providers.families.volumes import Volume
from kvirt.shapes import Flavor
from kvirt.spec import DiskSpec, VmSpec
from kvirt.wait import CANCEL, until

USER_DATA_LIMIT = 16384
RUNNING_SECONDS = 600.0

_STALE = ('InvalidAMIID.NotFound', 'InvalidAMIID.Unavailable', 'InvalidGroup.NotFound', 'InvalidSubnetID.NotFound')
"""Errors which say that what was looked up earlier is no longer there."""

_NOT_HERE = {**{key: why for key, why in NO_HYPERVISOR.items() if key != 'pool'},
             'diskinterface': 'it decides how disks are connected'}


class Create(CloudDelete, Names, Flavors, Storage, SecurityGroups, Addresses, Dns):
    """Create and delete."""

    @waits
    def _create(self, name: str, spec: VmSpec, guest: Guest) -> Mapping[str, Any] | None:
        """Make a VM. This waits only where volumes that were there are attached, until the VM runs."""
        _refuse(spec)
        with self.claimed(name):
            try:
                return self._made(name, spec, guest)
            except Exception as error:
                if boto.code_of(error) not in _STALE:
                    raise
                self.forget()
                return self._made(name, spec, guest)

    def forget(self) -> None:
        """Look everything up anew from now on."""
        self.forget_images()
        self.forget_groups()

    def _made(self, name: str, spec: VmSpec, guest: Guest) -> dict[str, Any]:
        request = new_request()
        existing = self._existing(spec)
        if existing and not spec.sublocation:
            spec = msgspec.structs.replace(spec, sublocation=existing[0].place)
        asked = self._asked_for(name, spec, guest, request, existing)
        with self.undo() as undo:
            undo.add('its security group', lambda: self.reap_groups(self.here))
            self.groups_for(spec, asked['NetworkInterfaces'])
            CANCEL.check()
            undo.add(f'VM {name}', lambda: self._unmake_vm(request))
            instance = self.ec2.run_instances(**asked)['Instances'][0]
            self.only_one(name, instance)
            if existing:
                self._attach_existing(instance, existing)
        return {'id': instance['InstanceId']}

    def _asked_for(self, name: str, spec: VmSpec, guest: Guest, request: str,
                   existing: Sequence[Volume]) -> dict[str, Any]:
        """Look up all that the VM is made of, and return the arguments of RunInstances; makes nothing."""
        if spec.image is None:
            raise InvalidInput('EC2 makes VMs of an image only', hint="Give image; 'kvirt list image' shows what is there")
        looked_up: list[Any] = in_parallel((self._flavor_of, self.cards_for), lambda look_up: look_up(spec))
        flavor, cards = looked_up
        image = self.image_of(spec.image, flavor.arch)
        if image.get('Architecture', native_arch(flavor.arch)) != native_arch(flavor.arch):
            raise InvalidInput(f"image '{spec.image}' is for {image['Architecture']}, and flavor {flavor.name} has "
                               f'{flavor.arch}', hint='Give arch, or a flavor of the same architecture')
        fields = {**fields_of(spec, guest), 'Name': name, MARK: request}
        if existing:
            fields |= {MAKER: maker(time.time()), 'attaching': ','.join(each.id for each in existing)}
        asked: dict[str, Any] = {
            'ImageId': image['ImageId'], 'InstanceType': flavor.name, 'MinCount': 1, 'MaxCount': 1, 'ClientToken': request,
            'BlockDeviceMappings': self._disks(spec, image), 'NetworkInterfaces': cards,
            'MetadataOptions': {'HttpTokens': 'required', 'HttpEndpoint': 'enabled', 'HttpPutResponseHopLimit': 2},
            'TagSpecifications': [{'ResourceType': 'instance', 'Tags': to_tags(fields)},
                                  *({'ResourceType': kind, 'Tags': to_tags({MARK: request, 'plan': spec.plan})}
                                    for kind in ('volume', 'network-interface'))]}
        if guest.kind:
            asked['UserData'] = check_user_data(guest.user_data(), USER_DATA_LIMIT, 'EC2')
        if spec.placement:
            asked['Placement'] = {'GroupName': self._placement(spec.placement)}
        if spec.spot:
            asked['InstanceMarketOptions'] = {'MarketType': 'spot', 'SpotOptions': {
                'SpotInstanceType': 'one-time', 'InstanceInterruptionBehavior': 'terminate'}}
        return asked

    def _flavor_of(self, spec: VmSpec) -> Flavor:
        """Return the flavor of a VM. For one that is named no prices are asked for."""
        named = spec.flavor if spec.flavor != CHEAPEST else None
        flavor = self.flavor_named(named) if named else self.flavor_for(spec)
        if spec.arch not in (None, flavor.arch):
            raise InvalidInput(f'flavor {flavor.name} has {flavor.arch}, and not {spec.arch}')
        if spec.spot and not flavor.preemptible:
            raise InvalidInput(f'flavor {flavor.name} can not be had as spare capacity')
        return flavor

    def _placement(self, name: str) -> str:
        """Return *name* when there is such a placement group. NotFound."""
        found = pages(self.ec2, 'describe_placement_groups', 'PlacementGroups', {'group-name': [name]})
        if not any(each['GroupName'] == name for each in found):
            raise NotFound(f"placement group '{name}' does not exist in {self.here}")
        return name

    # disks

    def _disks(self, spec: VmSpec, image: Mapping[str, Any]) -> list[dict[str, Any]]:
        """Return the disks that are made with the VM. InvalidInput for a root disk that is smaller than its image."""
        root, least = root_of(image), size_of(image)
        disks: list[dict[str, Any]] = []
        for number, disk in enumerate(spec.disks or (DiskSpec(),)):
            pool, size = disk.pool or spec.pool, spec.disk_size(disk)
            if number == 0:
                if disk.size is not None and size < least:
                    raise InvalidInput(f"the root disk of {size} GiB is smaller than image '{spec.image}' of {least} GiB")
                disks.append(block_device(root['DeviceName'], max(size, least), pool))
            elif not disk.volume:
                source = root_of(self.image_of(disk.image)) if disk.image else {'Ebs': {}}
                disks.append(block_device(free_device(each['DeviceName'] for each in disks), size, pool,
                                          source['Ebs'].get('SnapshotId')))
        return disks

    def _existing(self, spec: VmSpec) -> list[Volume]:
        """Return the volumes that were there and that the VM gets. NotFound, Conflict."""
        found = [self.free_volume(disk.volume) for disk in spec.disks if disk.volume]
        if len({each.place for each in found}) > 1:
            named = ', '.join(disk.volume for disk in spec.disks if disk.volume)
            raise Conflict(f'volumes {named} are in several zones')
        return found

    def _attach_existing(self, instance: Mapping[str, Any], volumes: Sequence[Volume]) -> None:
        """Attach volumes that were there, once the VM runs; they outlive it."""
        [known] = until(lambda: [each for each in self.instances({'instance-id': [instance['InstanceId']]}, [self.here])
                                 if each['State']['Name'] == 'running'],
                        what=f"VM {instance['InstanceId']} running", timeout=RUNNING_SECONDS, clock=self.clock)
        taken = [each['DeviceName'] for each in known['BlockDeviceMappings']]
        for volume in volumes:
            taken.append(free_device(taken))
            self.ec2.attach_volume(InstanceId=instance['InstanceId'], VolumeId=volume.id, Device=taken[-1])
        self.ec2.delete_tags(Resources=[instance['InstanceId']], Tags=[{'Key': MAKER}, {'Key': 'attaching'}])

    # the end

    def _unmake_vm(self, request: str) -> None:
        """Terminate the instance that bears the mark of *request*; its disks and cards go with it."""
        made = [each['InstanceId'] for each in self.instances({f'tag:{MARK}': [request]}, [self.here])]
        if made:
            self.ec2.terminate_instances(InstanceIds=made)

    def its_volumes(self, machine: Machine) -> tuple[list[Volume], list[str]]:
        """Return none that has to be deleted: EC2 does that itself to those that are marked for it."""
        return [], [each['Ebs']['VolumeId'] for each in machine.native.get('BlockDeviceMappings', ())
                    if not each['Ebs'].get('DeleteOnTermination')]

    def drop_vm(self, machine: Machine) -> None:
        self.detach_addresses(machine.native)
        self.ec2_of(machine.native).terminate_instances(InstanceIds=[machine.id])

    def forget_vm(self, machine: Machine) -> None:
        self.reap_groups(machine.native['Region'])


def _refuse(spec: VmSpec) -> None:
    """Raise for what was asked for and can't be had. InvalidInput, NotFound (pool)."""
    refuse(spec, _NOT_HERE, 'EC2')
    for key in spec.metadata:
        check_key(key)
    problems = [Problem(f'EC2 can not honour {key} of a disk', 'disks') for disk in spec.disks
                for key in ('serial', 'wwn', 'interface', 'format', 'cache', 'discard', 'shareable')
                if getattr(disk, key) is not None]
    if spec.disks and spec.disks[0].volume:
        problems.append(Problem('the root disk is made of the image, and can not be a volume that was there', 'disks'))
    if problems:
        raise InvalidInput(problems)
    for pool in (spec.pool, *(disk.pool for disk in spec.disks)):
        volume_type(pool)
