"""What was left behind by processes that were killed: it bears the mark of a maker that is gone.

What is complete bears no maker, and a VM is made complete by one call. Only shared security groups keep theirs: they are
left behind when nothing uses them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from kvirt.providers.aws.account import PAGE, Account
from kvirt.providers.aws.networks import dismantle_vpc
from kvirt.providers.families.births import GROUP, Births, Left, unfinished
from kvirt.providers.families.boto import about
from kvirt.providers.families.ec2 import pages
from kvirt.providers.families.marks import MAKER, MARK

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
    'vpc': dismantle_vpc}
"""What a create that was killed can leave, and how it is removed."""


class Orphans(Births, Account):
    """What was left behind in the regions that are seen. One call tells it all; VMs and groups are looked at again."""

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
        with about(f'{left.kind} {left.name}'):
            _LEFT[left.kind](self.ec2_of(left.native), left.native['Id'])


def _ids(left: Iterable[Left], kind: str) -> set[str]:
    return {each.native['Id'] for each in left if each.kind == kind}
