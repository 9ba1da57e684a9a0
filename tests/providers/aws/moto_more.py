"""What moto's EC2 lacks, added to it: images have the disks, sizes and tags that they were asked for with."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from typing import Any

from moto.ec2.models import ec2_backends
from werkzeug.test import Client
from werkzeug.wrappers import Response

IMAGE_GIB = 2
"""The size of the disks of images that are there."""

ACCOUNT, REGION = '123456789012', 'us-east-1'
REGIONS = ('us-east-1', 'eu-west-1', 'ap-east-1')
FAMILIES = ('c5', 'g4dn', 'g6f', 'm1', 'm5', 'm5d', 'mac2', 'p3', 't2', 't3', 't4g')


@functools.cache
def application() -> Client:
    """Return moto's server application, completed."""
    import moto.backends
    import moto.core.responses
    import moto.core.utils
    from moto.server import DomainDispatcherApplication, create_backend_app
    # These two are looked up anew at each call, which takes half of its time.
    modules = list(moto.backends.list_of_moto_modules())
    moto.backends.list_of_moto_modules = lambda: modules  # type: ignore[assignment, return-value]
    methods = functools.cache(moto.core.utils.method_names_from_class)
    moto.core.utils.method_names_from_class = methods
    moto.core.responses.method_names_from_class = methods
    _complete_images()
    _make_smaller()
    return Client(DomainDispatcherApplication(create_backend_app), Response, use_cookies=False)


def _make_smaller() -> None:
    """Leave three regions, and some types of each kind: AWS has so many that tests spend their time on reading them."""
    from moto.ec2.models import instance_types
    from moto.ec2.models.availability_zones_and_regions import RegionsAndZonesBackend
    RegionsAndZonesBackend.regions = [region for region in RegionsAndZonesBackend.regions if region.name in REGIONS]
    backend = instance_types.InstanceTypeBackend
    backend.instance_types = [each for each in backend.instance_types if each.name.partition('.')[0] in FAMILIES]
    for by_region in instance_types.INSTANCE_TYPE_OFFERINGS.values():
        for region, offered in by_region.items():
            by_region[region] = [each for each in offered if each['InstanceType'].partition('.')[0] in FAMILIES]


def _complete_images() -> None:
    from moto.core.responses import ActionResult
    from moto.ebs.models import EBSBackend
    from moto.ec2.models.amis import Ami, AmiBackend
    from moto.ec2.responses.amis import AmisResponse

    def devices(self: Any) -> list[dict[str, Any]]:
        return [{'DeviceName': self.root_device_name, 'Ebs': {
            'SnapshotId': self.ebs_snapshot.id, 'VolumeSize': self.ebs_snapshot.volume.size, 'VolumeType': 'gp3',
            'DeleteOnTermination': True}}]

    make = AmiBackend.create_image

    def create(self: Any, instance_id: str, name: str, description: str, tag_specifications: Sequence[Any]) -> Any:
        image = make(self, instance_id, name, description, [])
        instance = self.get_instance(instance_id)
        image.root_device_name = instance.root_device_name
        image.ebs_snapshot.volume.size = instance.block_device_mapping[instance.root_device_name].size
        _tag({'image': image, 'snapshot': image.ebs_snapshot}, tag_specifications)
        return image

    def register(self: Any) -> Any:
        image = self.ec2_backend.register_image(self._get_param('Name'), self._get_param('Description'))
        self.ec2_backend.snapshots.pop(image.ebs_snapshot.id)
        [device] = self._get_param('BlockDeviceMappings', [])
        image.ebs_snapshot = self.ec2_backend.snapshots[device['Ebs']['SnapshotId']]
        image.root_device_name, image.architecture = self._get_param('RootDeviceName'), self._get_param('Architecture')
        _tag({'image': image}, self._get_param('TagSpecifications', []))
        return ActionResult({'ImageId': image.id})

    start = EBSBackend.start_snapshot

    def start_snapshot(self: Any, *args: Any, **kwargs: Any) -> Any:
        there = set(self.ec2_backend.volumes)
        snapshot = start(self, *args, **kwargs)
        for volume in set(self.ec2_backend.volumes) - there:  # a snapshot that is written has no volume
            del self.ec2_backend.volumes[volume]
        return snapshot

    Ami.block_device_mappings = property(devices)
    AmiBackend.create_image = create
    AmisResponse.register_image = register
    EBSBackend.start_snapshot = start_snapshot


def refusal_of(asked: Mapping[str, str], region: str) -> tuple[str, str] | None:
    """Return the code and message with which AWS refuses a call of EC2 that moto would take, None when it takes it too."""
    ec2 = ec2_backends[ACCOUNT][region]
    action = asked.get('Action')
    if action == 'RunInstances':
        known = {group for groups in ec2.groups.values() for group in groups}
        unknown = [value for key, value in asked.items() if '.SecurityGroupId.' in key and value not in known]
        if unknown:
            return 'InvalidGroup.NotFound', f"The security group '{unknown[0]}' does not exist"
        if asked['ImageId'] not in ec2.amis:
            return 'InvalidAMIID.NotFound', f"The image id '[{asked['ImageId']}]' does not exist"
    if action == 'DeleteSecurityGroup' and any(group.id == asked['GroupId'] for card in ec2.enis.values()
                                               for group in card.group_set):
        return 'DependencyViolation', f"resource {asked['GroupId']} has a dependent object"
    if action == 'AttachVolume' and ec2.volumes[asked['VolumeId']].attachment:
        return 'VolumeInUse', f"{asked['VolumeId']} is already attached to an instance"
    if (action == 'ModifyInstanceAttribute' and {'InstanceType.Value', 'UserData.Value'} & set(asked)
            and ec2.get_instance(asked['InstanceId']).state != 'stopped'):
        return 'IncorrectInstanceState', f"The instance '{asked['InstanceId']}' is not in the 'stopped' state"
    return None


def _tag(things: Mapping[str, Any], specifications: Sequence[Mapping[str, Any]]) -> None:
    for each in specifications:
        for tag in each['Tags']:
            things[each['ResourceType']].add_tag(tag['Key'], tag['Value'])
