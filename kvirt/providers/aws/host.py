"""The account itself: who it is, where it can be, its limits, and what was left behind."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Mapping
from typing import Any

from kvirt.errors import Conflict, NotFound
from kvirt.providers.aws.account import PAGE, pages
from kvirt.providers.aws.flavors import Flavors
from kvirt.providers.aws.networks import dismantle_vpc
from kvirt.providers.aws.storage import Storage
from kvirt.providers.families.boto import about
from kvirt.providers.families.marks import MAKER, MARK, abandoned
from kvirt.shapes import Flavor, Orphan

_COUNTRIES = {
    'af-south-1': 'ZA', 'ap-east-1': 'HK', 'ap-east-2': 'TW', 'ap-northeast-1': 'JP', 'ap-northeast-2': 'KR',
    'ap-northeast-3': 'JP', 'ap-south-1': 'IN', 'ap-south-2': 'IN', 'ap-southeast-1': 'SG', 'ap-southeast-2': 'AU',
    'ap-southeast-3': 'ID', 'ap-southeast-4': 'AU', 'ap-southeast-5': 'MY', 'ap-southeast-6': 'NZ', 'ap-southeast-7': 'TH',
    'eu-central-1': 'DE', 'eu-central-2': 'CH', 'eu-north-1': 'SE', 'eu-south-1': 'IT', 'eu-south-2': 'ES',
    'eu-west-1': 'IE', 'eu-west-2': 'GB', 'eu-west-3': 'FR', 'il-central-1': 'IL', 'me-central-1': 'AE',
    'me-south-1': 'BH', 'mx-central-1': 'MX', 'sa-east-1': 'BR'}
_COUNTRIES_BY_PREFIX = {'ca': 'CA', 'cn': 'CN', 'us': 'US'}

_STANDARD = frozenset({'a', 'c', 'd', 'h', 'i', 'im', 'is', 'm', 'r', 't', 'z'})
_COUNTED = {'L-1216C47A': (_STANDARD, False), 'L-34B43A08': (_STANDARD, True), 'L-DB2E81BA': ({'g', 'gr', 'vt'}, False),
            'L-3819A6DF': ({'g', 'gr', 'vt'}, True), 'L-417A185B': ({'p'}, False), 'L-7212CCBC': ({'p'}, True)}
"""Limits on CPUs that run: for which families of types, and whether as spare capacity."""

_SHOWN = re.compile(r'Running On-Demand .*|All .* Spot Instance Requests|EC2-VPC Elastic IPs')

_LEFT: dict[str, Callable[[Any, str], Any]] = {
    # In the order in which they can be deleted.
    'instance': lambda ec2, thing: ec2.terminate_instances(InstanceIds=[thing]),
    'image': lambda ec2, thing: ec2.deregister_image(ImageId=thing),
    'snapshot': lambda ec2, thing: ec2.delete_snapshot(SnapshotId=thing),
    'volume': lambda ec2, thing: ec2.delete_volume(VolumeId=thing),
    'elastic-ip': lambda ec2, thing: ec2.release_address(AllocationId=thing),
    'network-interface': lambda ec2, thing: ec2.delete_network_interface(NetworkInterfaceId=thing),
    'security-group': lambda ec2, thing: ec2.delete_security_group(GroupId=thing),
    'vpc': dismantle_vpc}
"""What a create that was killed can leave, and how it is removed."""


class Host(Flavors, Storage):
    """What the account is, and what it may have."""

    def _info_host(self) -> dict[str, Any]:
        who = self.client('sts').get_caller_identity()
        found, flavors = self._running()
        sizes = [flavors[each['InstanceType']] for each in found if each['InstanceType'] in flavors]
        return {'connection': f'aws://{self.location}', 'account': who['Account'], 'user': who['Arn'], 'region': self.here,
                'vms_running': len(found), 'cpus_used': sum(each.numcpus for each in sizes),
                'memory_used': sum(each.memory for each in sizes),
                'limits': {row['name']: row['maximum'] for row in self._list_quotas()}}

    def _running(self) -> tuple[list[dict[str, Any]], dict[str, Flavor]]:
        found = self.instances({'instance-state-name': ['pending', 'running']}, [self.here])
        return found, self.types_of({each['InstanceType'] for each in found})

    def _list_locations(self) -> list[dict[str, Any]]:
        """Zones are told as sublocations of the region that things are made in: each region would be asked for its own."""
        zones = sorted(each['ZoneName'] for each in self.zones())
        rows = []
        for each in self.ec2.describe_regions(AllRegions=True)['Regions']:
            name = each['RegionName']
            country = _COUNTRIES.get(name) or _COUNTRIES_BY_PREFIX.get(name.partition('-')[0])
            row: dict[str, Any] = {'name': name, 'available': each.get('OptInStatus') != 'not-opted-in', 'country': country,
                                   'sublocations': zones if name == self.here else None}
            rows.append({key: value for key, value in row.items() if value is not None})
        return sorted(rows, key=lambda row: str(row['name']))

    def _list_quotas(self) -> list[dict[str, Any]]:
        found, flavors = self._running()
        rows = []
        for quota in pages(self.client('service-quotas'), 'list_service_quotas', 'Quotas', size=100, ServiceCode='ec2'):
            if not _SHOWN.fullmatch(quota['QuotaName']):
                continue
            families, spot = _COUNTED.get(quota['QuotaCode'], (frozenset(), False))
            used = sum(flavors[each['InstanceType']].numcpus for each in found if each['InstanceType'] in flavors
                       and _family(each) in families and (each.get('InstanceLifecycle') == 'spot') == spot)
            rows.append({'name': quota['QuotaName'], 'maximum': quota['Value'], 'current': used if families else None,
                         'unit': 'vCPUs' if families else 'count', 'id': quota['QuotaCode']})
        return sorted(rows, key=lambda row: str(row['name']))

    # what was left behind

    def _list_orphans(self) -> list[Orphan]:
        return [{'kind': each['kind'], 'name': each['name'], 'detail': f"{each['id']} in {each['region']}, never finished"}
                for each in self._left()]

    def _delete_orphans(self) -> Mapping[str, Any] | None:
        deleted: list[Orphan] = []
        for each in self._left():
            try:
                with about(f"{each['kind']} {each['name']}"):
                    _LEFT[each['kind']](self.client('ec2', each['region']), each['id'])
            except NotFound:
                pass  # it went with another
            except Conflict:
                if each['kind'] != 'security-group':
                    raise
                continue  # it is held until its VM is terminated, and listed until then
            deleted.append({'kind': each['kind'], 'name': each['name'], 'detail': each['id']})
        return {'deleted': deleted}

    def _left(self) -> list[dict[str, str]]:
        """Return what bears the mark of a maker that is gone: what is complete bears none, or a VM uses it (a group)."""
        tags = self.everywhere(lambda ec2: pages(ec2, 'describe_tags', 'Tags', {'key': [MARK, MAKER, 'Name']}, size=1000))
        things: dict[tuple[str, str, str], dict[str, str]] = {}
        for tag in tags:
            things.setdefault((tag['ResourceType'], tag['ResourceId'], tag['Region']), {})[tag['Key']] = tag['Value']
        left = [{'kind': kind, 'id': thing, 'region': region, 'name': fields.get('Name') or thing}
                for (kind, thing, region), fields in things.items()
                if kind in _LEFT and MARK in fields and MAKER in fields and abandoned(fields[MAKER], time.time())]
        vms = self._unfinished_vms() if any(each['kind'] == 'instance' for each in left) else set()
        left = [each for each in left if each['kind'] != 'instance' or each['id'] in vms]
        vms = {each['id'] for each in left if each['kind'] == 'instance'}
        groups = self._unused_groups(vms) if any(each['kind'] == 'security-group' for each in left) else set()
        left = [each for each in left if each['kind'] != 'security-group' or each['id'] in groups]
        return sorted(left, key=lambda each: (list(_LEFT).index(each['kind']), each['name']))

    def _unfinished_vms(self) -> set[str]:
        """Return the ids of VMs that bear a maker; the tags of one that is terminated stay for an hour."""
        return {each['InstanceId'] for each in self.instances({'tag-key': [MAKER]})}

    def _unused_groups(self, but_by: set[str]) -> set[str]:
        """Return the ids of shared security groups that nothing uses but some VMs; their makers say nothing of their use."""
        groups = {each['GroupId'] for each in self.everywhere(
            lambda ec2: pages(ec2, 'describe_security_groups', 'SecurityGroups', {'tag-key': [MAKER]}))}
        cards = self.everywhere(lambda ec2: pages(ec2, 'describe_network_interfaces', 'NetworkInterfaces', size=PAGE))
        return groups - {group['GroupId'] for card in cards for group in card['Groups']
                         if card.get('Attachment', {}).get('InstanceId') not in but_by}


def _family(instance: Mapping[str, Any]) -> str:
    match = re.match(r'[a-z]+', instance['InstanceType'])
    return match[0] if match else ''
