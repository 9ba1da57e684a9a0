"""What was left behind by processes that were killed: it bears the mark of a maker that is gone.

What is complete bears no maker, and a VM is made complete by one call. Only shared security groups keep theirs: they are
left behind when nothing uses them.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any

from kvirt.errors import Conflict, NotFound
from kvirt.providers.aws.account import PAGE, pages
from kvirt.providers.aws.networks import dismantle_vpc
from kvirt.providers.aws.securitygroups import SecurityGroups
from kvirt.providers.families.boto import about
from kvirt.providers.families.marks import MAKER, MARK, abandoned
from kvirt.shapes import Orphan

_GROUP, _VM = 'security-group', 'instance'

_LEFT: dict[str, Callable[[Any, str], Any]] = {
    # In the order in which they can be deleted.
    _VM: lambda ec2, thing: ec2.terminate_instances(InstanceIds=[thing]),
    'image': lambda ec2, thing: ec2.deregister_image(ImageId=thing),
    'snapshot': lambda ec2, thing: ec2.delete_snapshot(SnapshotId=thing),
    'volume': lambda ec2, thing: ec2.delete_volume(VolumeId=thing),
    'elastic-ip': lambda ec2, thing: ec2.release_address(AllocationId=thing),
    'network-interface': lambda ec2, thing: ec2.delete_network_interface(NetworkInterfaceId=thing),
    _GROUP: lambda ec2, thing: ec2.delete_security_group(GroupId=thing),
    'vpc': dismantle_vpc}
"""What a create that was killed can leave, and how it is removed."""


class Orphans(SecurityGroups):
    """What was left behind in the regions that are seen. One call tells it all; VMs and groups are looked at again."""

    def _list_orphans(self) -> list[Orphan]:
        return [_orphan(each) for each in self._left()]

    def _delete_orphans(self) -> Mapping[str, Any] | None:
        deleted: list[Orphan] = []
        for each in self._left():
            try:
                with about(f"{each['kind']} {each['name']}"):
                    _LEFT[each['kind']](self.client('ec2', each['region']), each['id'])
            except NotFound:
                pass  # it went with another
            except Conflict:
                if each['kind'] != _GROUP:
                    raise
                continue  # it is held until its VM is terminated, and listed until then
            deleted.append(_orphan(each))
        return {'deleted': deleted}

    def _left(self) -> list[dict[str, str]]:
        """Return what was left: its ``kind``, ``id``, ``region`` and ``name``, in the order in which it can be deleted."""
        tags = self.everywhere(lambda ec2: pages(ec2, 'describe_tags', 'Tags', {'key': [MARK, MAKER, 'Name']}, size=PAGE))
        things: dict[tuple[str, str, str], dict[str, str]] = {}
        for tag in tags:
            things.setdefault((tag['ResourceType'], tag['ResourceId'], tag['Region']), {})[tag['Key']] = tag['Value']
        left = [{'kind': kind, 'id': thing, 'region': region, 'name': fields.get('Name') or thing}
                for (kind, thing, region), fields in things.items()
                if kind in _LEFT and MARK in fields and MAKER in fields and abandoned(fields[MAKER], time.time())]
        gone = _ids(left, _VM) and _ids(left, _VM) - self._unfinished_vms()
        gone |= _ids(left, _GROUP) and _ids(left, _GROUP) - {
            group.id for group in self.unused_groups(but_by=_ids(left, _VM))}
        return sorted((each for each in left if each['id'] not in gone),
                      key=lambda each: (list(_LEFT).index(each['kind']), each['name']))

    def _unfinished_vms(self) -> set[str]:
        """Return the ids of VMs that bear a maker; the tags of one that is terminated stay for an hour."""
        return {each['InstanceId'] for each in self.instances({'tag-key': [MAKER]})}


def _ids(left: list[dict[str, str]], kind: str) -> set[str]:
    return {each['id'] for each in left if each['kind'] == kind}


def _orphan(each: Mapping[str, str]) -> Orphan:
    return {'kind': each['kind'], 'name': each['name'], 'detail': f"{each['id']} in {each['region']}, never finished"}
