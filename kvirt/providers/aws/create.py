"""Making and removing VMs. One call makes an instance with its disks, cards and marks, so what exists is complete.

Before it nothing is made but the security group that VMs with the same rules share. Only volumes that were there before
are attached afterwards, since EC2 wants a running VM for that; until then the VM bears the mark of its maker, so that
``delete orphans`` finds one that was never finished. What else is complete bears no maker either; only shared security
groups keep theirs: they are left behind when nothing uses them.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import msgspec

from kvirt.base import waits
from kvirt.base.flavors import CHEAPEST
from kvirt.errors import Conflict, InvalidInput, NotFound, Problem
from kvirt.guest.guest import Guest
from kvirt.providers.aws.account import PAGE, Native
from kvirt.providers.aws.addresses import Addresses
from kvirt.providers.aws.dns import Dns
from kvirt.providers.aws.flavors import Flavors
from kvirt.providers.aws.images import root_of, size_of
from kvirt.providers.aws.keys import Keys
from kvirt.providers.aws.networks import dismantle
from kvirt.providers.aws.securitygroups import SecurityGroups
from kvirt.providers.aws.storage import Storage, block_device, free_device, volume_type
from kvirt.providers.aws.wellknown import native_arch
from kvirt.providers.families import boto
from kvirt.providers.families.births import GROUP, Births, Draft, Left, unfinished
from kvirt.providers.families.cloud import NO_HYPERVISOR
from kvirt.providers.families.ec2 import bearing, described, marked, name_of, pages
from kvirt.providers.families.loosenames import LooseNames
from kvirt.providers.families.machines import Machine
from kvirt.providers.families.marks import MAKER, MARK, maker
from kvirt.providers.families.volumes import Volume
from kvirt.shapes import Flavor
from kvirt.spec import DiskSpec, VmSpec
from kvirt.wait import CANCEL, until

RUNNING_SECONDS = 600.0

_STALE = ('InvalidAMIID.NotFound', 'InvalidAMIID.Unavailable', 'InvalidGroup.NotFound', 'InvalidSubnetID.NotFound')
"""Errors which say that what was looked up earlier is no longer there."""

_VM = 'instance'

_LEFT: dict[str, Callable[[Any, str], Any]] = {
    # In the order in which they can be deleted.
    _VM: lambda ec2, thing: ec2.terminate_instances(InstanceIds=[thing]),
    'image': lambda ec2, thing: ec2.deregister_image(ImageId=thing),
    'snapshot': lambda ec2, thing: ec2.delete_snapshot(SnapshotId=thing),
    'volume': lambda ec2, thing: ec2.delete_volume(VolumeId=thing),
    'elastic ip': lambda ec2, thing: ec2.release_address(AllocationId=thing),
    'network interface': lambda ec2, thing: ec2.delete_network_interface(NetworkInterfaceId=thing),
    GROUP: lambda ec2, thing: ec2.delete_security_group(GroupId=thing),
    'vpc': lambda ec2, thing: dismantle(ec2, described(ec2, 'vpc', {'vpc-id': [thing]}))}
"""What a create that was killed can leave, and how it is removed."""


class Needs(NamedTuple):
    """What an instance is made of, as RunInstances takes it."""

    cards: list[dict[str, Any]]
    disks: list[dict[str, Any]]
    placement: str | None


class Create(Births, LooseNames, Flavors, Storage, SecurityGroups, Keys, Addresses, Dns):
    """Create, delete, and what was left behind."""

    platform = 'EC2'
    user_data_limit = 16384
    refused = {**{key: why for key, why in NO_HYPERVISOR.items() if key != 'pool'},
               'diskinterface': 'it decides how disks are connected'}

    @waits
    def _create(self, name: str, spec: VmSpec, guest: Guest) -> Mapping[str, Any] | None:
        """Make a VM. This waits only where volumes that were there are attached, until the VM runs."""
        with self.claimed(name):
            try:
                return super()._create(name, spec, guest)
            except Exception as error:
                if boto.code_of(error) not in _STALE:
                    raise
            self.forget()
            return super()._create(name, spec, guest)

    def forget(self) -> None:
        """Look everything up anew from now on."""
        self.forget_images()
        self.forget_groups()

    # names

    def names_taken(self) -> set[str]:
        return {str(name_of(each)) for each in self.instances(regions=[self.here])}

    def vms_called(self, name: str) -> list[Machine]:
        return [self.machine_of(each) for each in self.named(name, [self.here])]

    # what is looked up

    def check_spec(self, spec: VmSpec) -> None:
        for key in spec.metadata:
            self.check_field(key)
        problems = [Problem(f'EC2 can not honour {key} of a disk', 'disks') for disk in spec.disks
                    for key in ('serial', 'wwn', 'interface', 'format', 'cache', 'discard', 'shareable')
                    if getattr(disk, key) is not None]
        if spec.disks and spec.disks[0].volume:
            problems.append(Problem('the root disk is made of the image, and can not be a volume that was there', 'disks'))
        if problems:
            raise InvalidInput(problems)
        for pool in (spec.pool, *(disk.pool for disk in spec.disks)):
            volume_type(pool)

    def chosen_flavor(self, spec: VmSpec) -> Flavor:
        """Return the flavor of a VM. For one that is named no prices are asked for."""
        named = spec.flavor if spec.flavor != CHEAPEST else None
        flavor = self.flavor_named(named) if named else self.flavor_for(spec)
        if spec.arch not in (None, flavor.arch):
            raise InvalidInput(f'flavor {flavor.name} has {flavor.arch}, and not {spec.arch}')
        if spec.spot and not flavor.preemptible:
            raise InvalidInput(f'flavor {flavor.name} can not be had as spare capacity')
        return flavor

    def birth_place(self, flavor: Flavor) -> str:
        """Return the region: the zone is that of the cards."""
        return self.here

    def planned(self, vm: str, spec: VmSpec, flavor: Flavor, place: str) -> tuple[list[Volume], dict[str, int]]:
        """Return the volumes that were there and that the VM gets: all others are made with it. NotFound, Conflict."""
        named = [disk.volume for disk in spec.disks if disk.volume]
        found = [self.free_volume(each) for each in named]
        if len({each.place for each in found}) > 1:
            raise Conflict(f"volumes {', '.join(named)} are in several zones")
        return found, {}

    def named_groups(self, names: Sequence[str]) -> tuple[()]:
        """Return none: groups belong to a network, so each card has its own; see ``groups_for``."""
        return ()

    def find_image(self, name: str, arch: str | None = None) -> Native:
        return self.image_of(name, arch or 'x86_64')

    def needs_of(self, draft: Draft) -> Needs:
        spec, arch = draft.spec, native_arch(draft.flavor.arch)
        if draft.image.get('Architecture', arch) != arch:
            raise InvalidInput(f"image '{spec.image}' is for {draft.image['Architecture']}, and flavor "
                               f'{draft.flavor.name} has {draft.flavor.arch}',
                               hint='Give arch, or a flavor of the same architecture')
        if draft.volumes and not spec.sublocation:
            spec = msgspec.structs.replace(spec, sublocation=draft.volumes[0].place)
        return Needs(self.cards_for(spec), self._disks(spec, draft.image), self._placement(spec.placement))

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

    def _placement(self, name: str | None) -> str | None:
        """Return *name* when there is such a placement group. NotFound."""
        found = pages(self.ec2, 'describe_placement_groups', 'PlacementGroups', {'group-name': [name]}) if name else ()
        if name and not any(each['GroupName'] == name for each in found):
            raise NotFound(f"placement group '{name}' does not exist in {self.here}")
        return name

    # what is made

    def make_vm(self, draft: Draft, volumes: Sequence[Volume]) -> Machine:
        spec, needs = draft.spec, draft.needs
        self.groups_for(spec, needs.cards)
        CANCEL.check()
        fields, parts = {**draft.fields, 'Name': draft.name}, {MARK: draft.request, 'plan': spec.plan}
        if volumes:
            fields |= {MAKER: maker(time.time()), 'attaching': ','.join(each.id for each in volumes)}
        more: dict[str, Any] = {'UserData': draft.user_data} if draft.user_data else {}
        if needs.placement:
            more['Placement'] = {'GroupName': needs.placement}
        if spec.spot:
            more['InstanceMarketOptions'] = {'MarketType': 'spot', 'SpotOptions': {
                'SpotInstanceType': 'one-time', 'InstanceInterruptionBehavior': 'terminate'}}
        made = self.ec2.run_instances(
            ImageId=draft.image['ImageId'], InstanceType=draft.flavor.name, MinCount=1, MaxCount=1,
            ClientToken=draft.request, BlockDeviceMappings=needs.disks, NetworkInterfaces=needs.cards,
            MetadataOptions={'HttpTokens': 'required', 'HttpEndpoint': 'enabled', 'HttpPutResponseHopLimit': 2},
            TagSpecifications=[*marked('instance', fields), *marked('volume', parts), *marked('network-interface', parts)],
            **more)['Instances'][0]
        return self.machine_of({**made, 'Region': self.here})

    def complete_vm(self, draft: Draft, machine: Machine) -> None:
        self.only_one(draft.name, machine)
        if draft.volumes:
            self._attach_existing(machine, draft.volumes)

    def _attach_existing(self, machine: Machine, volumes: Sequence[Volume]) -> None:
        """Attach volumes that were there, once the VM runs; they outlive it."""
        [known] = until(lambda: [each for each in self.instances({'instance-id': [machine.id]}, [self.here])
                                 if each['State']['Name'] == 'running'],
                        what=f'VM {machine.id} running', timeout=RUNNING_SECONDS, clock=self.clock)
        taken = [each['DeviceName'] for each in known['BlockDeviceMappings']]
        for volume in volumes:
            taken.append(free_device(taken))
            self.ec2.attach_volume(InstanceId=machine.id, VolumeId=volume.id, Device=taken[-1])
        self.ec2.delete_tags(Resources=[machine.id], Tags=[{'Key': MAKER}, {'Key': 'attaching'}])

    # the end

    def marked(self, request: str | None = None) -> list[Machine]:
        found = self.instances(bearing(request), [self.here]) if request else self.instances({'tag-key': [MARK]})
        return [self.machine_of(each) for each in found]

    def forget_birth(self, draft: Draft) -> None:
        self.reap_groups(self.here)

    def its_volumes(self, machine: Machine) -> tuple[list[Volume], list[str]]:
        """Return none that has to be deleted: EC2 does that itself to those that are marked for it."""
        return [], [each['Ebs']['VolumeId'] for each in machine.native.get('BlockDeviceMappings', ())
                    if not each['Ebs'].get('DeleteOnTermination')]

    def drop_vm(self, machine: Machine) -> None:
        self.detach_addresses(machine.native)
        self.ec2_of(machine.native).terminate_instances(InstanceIds=[machine.id])

    def forget_vm(self, machine: Machine) -> None:
        self.reap_groups(machine.native['Region'])

    # what was left behind: one call tells it all; VMs and groups are looked at again

    def _left_behind(self) -> list[Left]:
        left = [Left(kind=kind, name=fields.get('Name') or thing, detail=f'{thing} in {region}, never finished',
                     native={'Id': thing, 'Region': region}) for (kind, thing, region), fields in self._marked_things()
                if kind in _LEFT and MARK in fields and unfinished(fields)]
        vms = _ids(left, _VM)
        # The tags of a VM that is terminated stay for an hour, and a group may have come into use.
        there = {each['InstanceId'] for each in self.instances({'tag-key': [MAKER]})} if vms else set()
        if _ids(left, GROUP):
            there |= {group.id for group in self.unused_groups(but_by=vms)}
        return sorted((each for each in left if each.kind not in (_VM, GROUP) or each.native['Id'] in there),
                      key=lambda each: (list(_LEFT).index(each.kind), each.name))

    def _marked_things(self) -> Iterable[tuple[tuple[str, str, str], dict[str, str]]]:
        """Return kind, id and region of all that bears marks, with these."""
        things: dict[tuple[str, str, str], dict[str, str]] = {}
        for tag in self.everywhere(lambda ec2: pages(ec2, 'describe_tags', 'Tags', {'key': [MARK, MAKER, 'Name']}, PAGE)):
            thing = tag['ResourceType'].replace('-', ' '), tag['ResourceId'], tag['Region']
            things.setdefault(thing, {})[tag['Key']] = tag['Value']
        return things.items()

    def drop_left(self, left: Left) -> None:
        with boto.about(f'{left.kind} {left.name}'):
            _LEFT[left.kind](self.ec2_of(left.native), left.native['Id'])


def _ids(left: Iterable[Left], kind: str) -> set[str]:
    return {each.native['Id'] for each in left if each.kind == kind}
