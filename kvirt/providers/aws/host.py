"""The account itself: who it is, where it can be, and its limits."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from kvirt.providers.aws.flavors import Flavors
from kvirt.providers.aws.storage import Storage
from kvirt.providers.families.ec2 import pages
from kvirt.shapes import Flavor

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


def _family(instance: Mapping[str, Any]) -> str:
    match = re.match(r'[a-z]+', instance['InstanceType'])
    return match[0] if match else ''
