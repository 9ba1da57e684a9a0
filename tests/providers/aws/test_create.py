"""Making VMs: one call for everything, names that are borne once, and nothing that moto would let pass and AWS not."""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta, timezone
from typing import Any
from urllib.parse import parse_qsl

import pytest
from botocore.exceptions import ClientError

from kvirt.errors import AlreadyExists
from kvirt.providers.aws import Kaws
from kvirt.testing.wire import Request, Wire
from tests.providers.aws.cloud import IMAGE_GIB, KEY, ZONE, Account, connect, operation_of
from tests.providers.aws.conftest import create, ok, refused

Refuse = Callable[..., list[str]]


@pytest.fixture(autouse=True)
def nothing_stays(account: Account) -> Any:
    """Take away what a test made."""
    yield
    made = [each['InstanceId'] for each in account.instances()]
    if made:
        account.ec2.terminate_instances(InstanceIds=made)
    for volume in account.ec2.describe_volumes()['Volumes']:
        account.ec2.delete_volume(VolumeId=volume['VolumeId'])
    for group in account.ec2.describe_security_groups()['SecurityGroups']:
        if group['GroupName'].startswith('kvirt-'):
            account.ec2.delete_security_group(GroupId=group['GroupId'])
    assert account.left() == []


def launches(wire: Wire) -> list[dict[str, str]]:
    """Return what RunInstances was asked for so far, in this module."""
    return [dict(parse_qsl(exchange.request.body.decode())) for exchange in wire.exchanges
            if operation_of(exchange.request) == 'RunInstances']


def asked(wire: Wire, aws: Kaws, name: str = 'web', **keywords: Any) -> dict[str, str]:
    """Create a VM, and return what RunInstances was asked for."""
    ok(create(aws, name, **keywords))
    return launches(wire)[-1]


def operations(wire: Wire, work: Callable[[], object]) -> list[str]:
    """Return the operations that *work* asks for."""
    before = len(wire.exchanges)
    work()
    return [operation_of(exchange.request) for exchange in wire.exchanges[before:]]


# one call

def test_one_call_makes_all_of_a_vm(wire: Wire, aws: Kaws, account: Account) -> None:
    call = asked(wire, aws, disks=[20, {'size': 5, 'pool': 'gp2'}], plan='shop', owner='ann', metadata={'team': 'web'})
    [vm] = account.instances()
    assert len(vm['BlockDeviceMappings']) == 2
    assert all(each['Ebs']['DeleteOnTermination'] for each in vm['BlockDeviceMappings'])
    assert [call[f'BlockDeviceMapping.{number}.Ebs.VolumeType'] for number in (1, 2)] == ['gp3', 'gp2']
    assert call['MetadataOptions.HttpTokens'] == 'required'
    tags = {each['Key']: each['Value'] for each in vm['Tags']}
    assert call['ClientToken'] == tags['kvirt'], 'a call that is sent twice makes one VM'
    assert {key: tags[key] for key in ('Name', 'plan', 'image', 'owner', 'team', 'user', 'profile') if key in tags} == {
        'Name': 'web', 'plan': 'shop', 'image': 'debian12', 'owner': 'ann', 'team': 'web', 'user': 'admin'}
    assert {call[f'TagSpecification.{number}.ResourceType'] for number in (1, 2, 3)} == {
        'instance', 'volume', 'network-interface'}
    told = base64.b64decode(call['UserData']).decode()
    assert told.startswith('#cloud-config')
    assert KEY in told
    [group] = [each['Groups'] for each in vm['NetworkInterfaces']]
    assert [each['GroupName'] for each in group] == ['kvirt-ssh']


def test_many_vms_cost_two_calls_each_and_ten_at_most(wire: Wire, aws: Kaws) -> None:
    def plan() -> None:
        with ThreadPoolExecutor(4) as pool:
            for result in pool.map(lambda number: create(aws, f'node-{number}', plan='big'), range(20)):
                ok(result)
    calls = operations(wire, plan)
    assert calls.count('RunInstances') == 20
    assert len(calls) <= 2 * 20 + 10, calls
    listing = operations(wire, lambda: connect(wire.url).list())
    assert listing == ['DescribeInstances', 'DescribeInstanceTypes']


def test_a_spot_vm(wire: Wire, aws: Kaws) -> None:
    call = asked(wire, aws, spot=True)
    assert call['InstanceMarketOptions.MarketType'] == 'spot'
    assert call['InstanceMarketOptions.SpotOptions.SpotInstanceType'] == 'one-time'
    refused(create(aws, 'old', flavor='m1.small', spot=True, arch='x86_64', image='no-such'), 'NotFound')


def test_placement_in_a_zone_and_a_group(wire: Wire, aws: Kaws, account: Account) -> None:
    call = asked(wire, aws, sublocation='us-east-1c', placement='apart')
    assert call['Placement.GroupName'] == 'apart'
    assert [each['Placement']['AvailabilityZone'] for each in account.instances()] == ['us-east-1c']
    refused(create(aws, 'db', placement='together'), 'NotFound', 'together')
    assert len(account.instances()) == 1


def test_an_arm_flavor_gets_an_image_of_its_own(wire: Wire, aws: Kaws, account: Account) -> None:
    call = asked(wire, aws, flavor='t4g.nano')
    [image] = account.ec2.describe_images(ImageIds=[call['ImageId']])['Images']
    assert image['Architecture'] == 'arm64'
    assert image['Name'] == 'debian-12-arm64-2026'
    refused(create(aws, 'db', flavor='t4g.nano', arch='x86_64'), 'InvalidInput', 't4g.nano', 'aarch64')
    refused(create(aws, 'db', flavor='t3.nano', image=call['ImageId']), 'InvalidInput', 'arm64', 't3.nano')


def test_of_several_images_the_newest_is_meant(wire: Wire, aws: Kaws, account: Account) -> None:
    [image] = account.ec2.describe_images(ImageIds=[asked(wire, aws)['ImageId']])['Images']
    assert image['CreationDate'].startswith('2026-06')


# what AWS would not take

@pytest.mark.parametrize(('keywords', 'error', 'words'), [
    ({'image': 'ami-00000000'}, 'NotFound', ['ami-00000000']),
    ({'image': 'debain12'}, 'NotFound', ['debain12', "did you mean 'debian12'"]),
    ({'image': None}, 'InvalidInput', ['image']),
    ({'flavor': 't3.mikro'}, 'NotFound', ['t3.mikro', "did you mean 't3.micro'"]),
    ({'flavor': 't3.nano', 'spot': True, 'gpus': 1, 'placement': 'nowhere'}, 'NotFound', ['nowhere']),
    ({'pool': 'gp4'}, 'NotFound', ['gp4']),
    ({'disks': [{'size': 10, 'pool': 'gp4'}]}, 'NotFound', ['gp4']),
    ({'disks': [1]}, 'InvalidInput', ['1 GiB', f'{IMAGE_GIB} GiB']),
    ({'disks': ['vol-0']}, 'InvalidInput', ['root disk']),
    ({'disks': [10, 'no-such-volume']}, 'NotFound', ['no-such-volume']),
    ({'disks': [10, {'existing': 'no-such-volume'}]}, 'NotFound', ['no-such-volume']),
    ({'disks': [10, {'size': 1, 'serial': 'A1'}]}, 'InvalidInput', ['serial']),
    ({'disks': [10, {'size': 1, 'format': 'raw', 'cache': 'none'}]}, 'InvalidInput', ['format', 'cache']),
    ({'iso': 'boot.iso'}, 'InvalidInput', ['iso']),
    ({'autostart': True}, 'InvalidInput', ['autostart']),
    ({'start': False}, 'NotSupported', ['starts every VM']),
    ({'metadata': {'Name': 'other'}}, 'InvalidInput', ['Name']),
    ({'metadata': {'plan': 'x', 'kvirt': 'y'}}, 'InvalidInput', ['kvirt']),
    ({'nested': True}, 'InvalidInput', ['nested']),
], ids=str)
def test_what_can_not_be_is_refused_before_anything_is_made(wire: Wire, aws: Kaws, account: Account,
                                                            keywords: dict[str, Any], error: str, words: list[str]) -> None:
    calls = operations(wire, lambda: refused(create(aws, 'web', **keywords), error, *words))
    assert not [call for call in calls if not call.startswith(('Describe', 'Get'))]
    assert account.left() == []


def test_more_user_data_than_ec2_takes_is_refused_with_the_limit(wire: Wire, aws: Kaws, account: Account) -> None:
    files = [{'path': '/etc/big', 'content': 'x' * 17000}]
    calls = operations(wire, lambda: refused(create(aws, 'web', files=files), 'InvalidInput', '16384'))
    assert 'RunInstances' not in calls
    assert account.left() == []
    ok(create(aws, 'web', files=[{'path': '/etc/big', 'content': 'x' * 9000}]))


# what AWS refuses

@pytest.mark.parametrize(('code', 'error'), [
    ('InsufficientInstanceCapacity', 'OutOfCapacity'), ('VcpuLimitExceeded', 'QuotaExceeded'),
    ('InstanceLimitExceeded', 'QuotaExceeded'), ('UnauthorizedOperation', 'Unauthorized'), ('Unsupported', 'NotSupported'),
    ('InvalidParameterCombination', 'InvalidInput'), ('MaxSpotInstanceCountExceeded', 'QuotaExceeded')])
def test_what_a_refusal_means(aws: Kaws, account: Account, refuse: Refuse, code: str, error: str) -> None:
    refuse(code)
    result = create(aws, 'web')
    refused(result, error, code)
    assert result['retryable'] == (error == 'OutOfCapacity')
    assert account.left() == []


@pytest.fixture
def refuse(aws: Kaws) -> Iterator[Callable[..., list[str]]]:
    """Return a function that lets RunInstances be refused with a code; what that returns lists the refusals."""
    hooks: list[Callable[..., None]] = []

    def start(code: str, times: int = 100) -> list[str]:
        refusals: list[str] = []

        def hook(**kwargs: Any) -> None:
            if len(refusals) < times:
                refusals.append(code)
                raise ClientError({'Error': {'Code': code, 'Message': 'No'}, 'ResponseMetadata': {'HTTPStatusCode': 400}},
                                  'RunInstances')
        hooks.append(hook)
        aws.ec2.meta.events.register('before-send.ec2.RunInstances', hook)
        return refusals
    yield start
    for hook in hooks:
        aws.ec2.meta.events.unregister('before-send.ec2.RunInstances', hook)


@pytest.mark.parametrize('code', ['InvalidAMIID.NotFound', 'InvalidGroup.NotFound', 'InvalidSubnetID.NotFound'])
def test_what_was_looked_up_earlier_is_looked_up_once_more(wire: Wire, aws: Kaws, refuse: Refuse, code: str) -> None:
    ok(create(aws, 'first'))
    refusals = refuse(code, times=1)
    calls = operations(wire, lambda: ok(create(aws, 'second')))
    assert len(refusals) == 1
    assert {'DescribeImages', 'DescribeSubnets', 'DescribeSecurityGroups'} <= set(calls)


def test_what_is_gone_for_good_is_told_after_the_second_time(aws: Kaws, account: Account, refuse: Refuse) -> None:
    refusals = refuse('InvalidAMIID.NotFound')
    refused(create(aws, 'web'), 'NotFound', 'InvalidAMIID.NotFound')
    assert len(refusals) == 2
    assert account.left() == []


# names

def test_a_name_that_another_connection_took_meanwhile(wire: Wire, aws: Kaws, account: Account) -> None:
    ok(create(aws, 'first'))
    with connect(wire.url) as other:
        ok(create(other, 'web', plan='theirs'))
    age(account, 'web', seconds=-5)
    before = account.left()
    refused(create(aws, 'web', plan='ours'), 'AlreadyExists', 'web')
    assert [row['plan'] for row in aws.list() if row['name'] == 'web'] == ['theirs']
    assert account.left() == before


def test_a_name_that_is_known_to_be_taken_costs_no_launch(wire: Wire, aws: Kaws) -> None:
    ok(create(aws, 'web'))
    assert operations(wire, lambda: refused(create(aws, 'web'), 'AlreadyExists', 'web')) == ['DescribeInstances']


def test_a_name_that_became_free_elsewhere_can_be_used(wire: Wire, aws: Kaws) -> None:
    ok(create(aws, 'web'))
    with connect(wire.url) as other:
        ok(other.delete('web'))
    ok(create(aws, 'web'))


def age(account: Account, name: str, seconds: float) -> None:
    """Let a VM be that much younger, or older."""
    from moto.ec2.models import ec2_backends
    [vm] = [each for each in ec2_backends['123456789012']['us-east-1'].all_instances()
            if each.state != 'terminated' and (name in [tag['value'] for tag in each.get_tags()])]
    vm.launch_time += timedelta(seconds=seconds)
    for card in vm.nics.values():
        card.attach_time = vm.launch_time


def twin(number: str, seconds: float = 0) -> dict[str, Any]:
    """Return a VM as EC2 tells it, made *seconds* after the others."""
    born = datetime(2026, 1, 1, tzinfo=timezone.utc) + timedelta(seconds=seconds)
    return {'InstanceId': f'i-{number}', 'LaunchTime': born,
            'Tags': [{'Key': 'Name', 'Value': 'web'}], 'State': {'Name': 'pending'}, 'Region': 'us-east-1'}


@pytest.mark.parametrize(('others', 'stays'), [
    ([], True), ([twin('1', seconds=-1)], False), ([twin('9', seconds=1)], True),
    ([twin('1')], False),  # of the same second, with a smaller id: it stays
    ([twin('9')], False),  # of the same second, and it does not go: it did not see ours, and its maker is done
    ([twin('9'), None], True),  # of the same second, and it goes: its maker saw ours
], ids=['alone', 'older', 'younger', 'smaller id', 'larger id that stays', 'larger id that goes'])
def test_which_of_two_vms_of_one_name_stays(aws: Kaws, monkeypatch: pytest.MonkeyPatch, others: list[Any],
                                            stays: bool) -> None:
    ours = twin('5')
    looks = [[ours, *(each for each in others[:1] if each)]] + [[ours]] * (None in others)

    def named(name: str, regions: Any = None) -> list[Any]:
        return looks.pop(0) if len(looks) > 1 else looks[0]
    monkeypatch.setattr(aws, 'named', named)
    if stays:
        aws.only_one('web', aws.machine_of(ours))
    else:
        with pytest.raises(AlreadyExists):
            aws.only_one('web', aws.machine_of(ours))


def test_a_vm_that_was_started_anew_is_no_younger_for_that() -> None:
    from kvirt.providers.aws.account import created
    made = datetime(2026, 1, 1, tzinfo=timezone.utc)
    vm = {'LaunchTime': made + timedelta(days=3), 'NetworkInterfaces': [
        {'Attachment': {'DeviceIndex': 1, 'AttachTime': made - timedelta(days=9)}},
        {'Attachment': {'DeviceIndex': 0, 'AttachTime': made}}]}
    assert created(vm) == made


# volumes that were there

def test_a_volume_that_was_there_is_attached_and_outlives_the_vm(aws: Kaws, account: Account) -> None:
    ok(aws.create_disk('data', 7))
    result = ok(create(aws, 'web', disks=[10, 'data']))
    [vm] = account.instances()
    assert not {'maker', 'attaching'} & {each['Key'] for each in vm['Tags']}, 'it is complete'
    assert aws.list_orphans() == []
    assert [disk['size'] for disk in aws.info('web')['disks']] == [10, 7]
    refused(create(aws, 'db', disks=[10, 'data']), 'Conflict', 'data', 'web')
    kept = ok(aws.delete(result['id']))['kept']
    assert [row['path'] for row in aws.list_disks().values()] == kept


def test_who_is_killed_before_the_volume_is_attached_leaves_an_orphan(wire: Wire, aws: Kaws, account: Account,
                                                                      monkeypatch: pytest.MonkeyPatch) -> None:
    ok(aws.create_disk('data', 7))

    class Killed(BaseException):
        """Nothing is unwound: the process is no more."""

    def die(*args: Any) -> None:
        raise Killed

    monkeypatch.setattr(aws, '_attach_existing', die)
    monkeypatch.setattr('kvirt.undo.Undo.__exit__', lambda *args: None)
    monkeypatch.setattr('kvirt.providers.aws.create.maker', lambda now: 'elsewhere-1-1-0')
    with pytest.raises(Killed):
        create(aws, 'web', disks=[10, 'data'])
    monkeypatch.undo()
    [orphan] = aws.list_orphans()
    assert (orphan['kind'], orphan['name']) == ('instance', 'web')
    assert [each['name'] for each in ok(aws.delete_orphans())['deleted']] == ['web']
    assert aws.list_orphans() == []
    assert list(aws.list_disks()) == ['data']


def test_a_vm_is_made_where_its_volume_is(aws: Kaws, account: Account, wire: Wire) -> None:
    with connect(wire.url, zone='us-east-1d') as elsewhere:
        ok(elsewhere.create_disk('far', 1))
    ok(create(aws, 'web', disks=[10, 'far']))
    assert [each['Placement']['AvailabilityZone'] for each in account.instances()] == ['us-east-1d']
    assert ZONE != 'us-east-1d'


def test_an_unfinished_request_is_told_from_others(wire: Wire) -> None:
    assert operation_of(Request('POST', '/', body=b'Version=1&Action=RunInstances')) == 'RunInstances'
