"""The account: options, what is loaded when, errors, locations, orphans."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest
from botocore.exceptions import ClientError, EndpointConnectionError, NoCredentialsError

from kvirt.errors import Conflict, InvalidInput, NotFound
from kvirt.providers.aws import Kaws
from kvirt.providers.aws.account import STATUS
from kvirt.providers.families.ec2 import literal, tags_of, to_tags
from kvirt.testing.wire import Wire
from tests.providers.aws.cloud import ACCOUNT, CREDENTIALS, REGION, Account, connect, operation_of
from tests.providers.aws.conftest import create, ok, refused


def test_boto3_is_loaded_by_the_first_call_and_not_before() -> None:
    code = ('import sys; from kvirt.providers.aws import Kaws; k = Kaws(location="eu-west-1"); k.capabilities(); '
            'print(*[name for name in ("boto3", "botocore", "requests", "yaml") if name in sys.modules], k.location)')
    done = subprocess.run([sys.executable, '-c', code], capture_output=True, text=True, timeout=60)
    assert done.stdout.split() in (['eu-west-1'], ['yaml', 'eu-west-1']), done.stderr


def test_half_of_a_key_is_refused() -> None:
    with pytest.raises(InvalidInput, match='access_key_secret'):
        Kaws(access_key_id='A')


@pytest.mark.parametrize(('options', 'location', 'here'), [
    ({'location': 'eu-west-1'}, 'eu-west-1', 'eu-west-1'),
    ({'region': 'eu-west-1', 'location': 'all'}, 'eu-west-1', 'eu-west-1'),
    ({'location': 'all'}, 'all', 'us-east-1'), ({}, 'us-east-1', 'us-east-1')])
def test_where_things_are_seen_and_made(options: dict[str, Any], location: str, here: str,
                                        monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv('AWS_CONFIG_FILE', '/dev/null')
    monkeypatch.delenv('AWS_DEFAULT_REGION', raising=False)
    with Kaws(**CREDENTIALS, **options) as aws:
        assert (aws.location, aws.here, aws.made_in()) == (location, here, here)


def test_the_region_of_a_profile_is_used(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    config = tmp_path / 'config'
    config.write_text('[profile shop]\nregion = sa-east-1\naws_access_key_id = A\naws_secret_access_key = B\n')
    monkeypatch.setenv('AWS_CONFIG_FILE', str(config))
    monkeypatch.delenv('AWS_DEFAULT_REGION', raising=False)
    with Kaws(credentials='shop') as aws:
        assert aws.location == 'sa-east-1'
        assert aws.ec2.meta.region_name == 'sa-east-1'


@pytest.mark.parametrize(('raised', 'error', 'hint'), [
    (ClientError({'Error': {'Code': 'AuthFailure', 'Message': 'No'}}, 'x'), 'Unauthorized', 'keys of the client'),
    (NoCredentialsError(), 'Unauthorized', 'keys of the client'),
    (ClientError({'Error': {'Code': 'VcpuLimitExceeded', 'Message': 'No'}}, 'x'), 'QuotaExceeded', 'list quota'),
    (ClientError({'Error': {'Code': 'RequestLimitExceeded', 'Message': 'No'}}, 'x'), 'RateLimited', ''),
    (ClientError({'Error': {'Code': 'IncorrectInstanceState', 'Message': 'No'}}, 'x'), 'Conflict', ''),
    (EndpointConnectionError(endpoint_url='https://x'), 'Unavailable', '')])
def test_what_errors_mean_and_what_to_do(aws: Kaws, raised: Exception, error: str, hint: str) -> None:
    known = aws.translate(raised)
    assert type(known).__name__ == error
    assert hint in (known.hint or '')  # type: ignore[union-attr]


def test_a_bug_stays_one(aws: Kaws) -> None:
    assert aws.translate(ValueError('x')) is None


def test_no_credentials_are_told(monkeypatch: pytest.MonkeyPatch, wire: Wire) -> None:
    for name in ('AWS_ACCESS_KEY_ID', 'AWS_SECRET_ACCESS_KEY', 'AWS_PROFILE'):
        monkeypatch.delenv(name, raising=False)
    for name in ('AWS_CONFIG_FILE', 'AWS_SHARED_CREDENTIALS_FILE'):
        monkeypatch.setenv(name, '/dev/null')
    monkeypatch.setenv('AWS_EC2_METADATA_DISABLED', 'true')
    with Kaws(location=REGION, endpoint_url=wire.url) as aws:
        refused(aws.start('web'), 'Unauthorized', 'credentials')


# tags

@pytest.mark.parametrize('length', [0, 1, 255, 256, 257, 512, 1000])
def test_long_texts_are_spread_over_tags(length: int) -> None:
    fields = {'note': 'ä' * length, 'other': 'x'}
    tags = to_tags(fields)
    assert all(len(tag['Value']) <= 256 for tag in tags)
    assert tags_of({'Tags': tags}) == fields


def test_tags_of_others_stay_what_they_are() -> None:
    tags = [{'Key': 'v1.2', 'Value': 'a'}, {'Key': 'a.b', 'Value': 'c'}]
    assert tags_of({'Tags': tags}) == {'v1.2': 'a', 'a.b': 'c'}


def test_patterns_in_names_mean_themselves() -> None:
    assert literal('a*b?c\\d') == 'a\\*b\\?c\\\\d'


# VMs

def test_every_word_of_ec2_has_a_standard_one(aws: Kaws) -> None:
    shape = aws.ec2.meta.service_model.shape_for('InstanceStateName')
    assert set(STATUS) == set(shape.enum)
    vm = {'InstanceId': 'i-1', 'State': {'Name': 'defrosting'}, 'Region': REGION}
    assert aws.machine_of(vm).row == {'name': 'i-1', 'status': 'unknown', 'ip': None, 'image': '', 'plan': '',
                                      'profile': '', 'id': 'i-1', 'flavor': '', 'location': REGION}


def test_a_pattern_for_a_name_changes_nothing(aws: Kaws, account: Account) -> None:
    result = ok(create(aws, 'web'))
    for pattern in ('*', 'we?', 'w*', ''):
        refused(aws.delete(pattern), 'NotFound')
    assert [row['id'] for row in aws.list()] == [result['id']]
    ok(aws.delete('web'))


def test_a_name_that_two_bear_is_never_guessed(aws: Kaws, account: Account) -> None:
    first = ok(create(aws, 'web'))['id']
    second = ok(create(aws, 'db'))['id']
    account.ec2.create_tags(Resources=[second], Tags=[{'Key': 'Name', 'Value': 'web'}])
    refused(aws.stop('web'), 'Conflict', 'web', '2')
    with pytest.raises(Conflict):
        aws.status('web')
    assert [row['name'] for row in aws.list()] == ['web', 'web']
    for native in (first, second):
        ok(aws.delete(native))


def test_lists_are_read_page_by_page(aws: Kaws, account: Account, wire: Wire, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr('kvirt.providers.aws.account.PAGE', 5)
    image = account.ec2.describe_images(Owners=['136693071363'])['Images'][0]['ImageId']
    for _ in range(16):  # a page counts reservations
        account.ec2.run_instances(ImageId=image, MinCount=1, MaxCount=1, InstanceType='t3.nano')
    before = len(wire.exchanges)
    rows = aws.list()
    assert len({row['id'] for row in rows}) == 16
    assert [operation_of(each.request) for each in wire.exchanges[before:]].count('DescribeInstances') == 4
    account.ec2.terminate_instances(InstanceIds=[row['id'] for row in rows])
    assert aws.list() == []


def test_an_image_or_a_type_that_nobody_knows_degrades_one_row(aws: Kaws, account: Account) -> None:
    from moto.ec2.models import ec2_backends
    ok(create(aws, 'web'))
    [vm] = [each for each in ec2_backends[ACCOUNT][REGION].all_instances() if each.state != 'terminated']
    vm.instance_type = 'z9.huge'
    [row] = aws.list()
    assert row['flavor'] == 'z9.huge'
    assert 'memory' not in row
    ok(aws.delete('web'))


# locations, limits

def test_vms_of_all_regions_are_listed_and_can_be_changed(wire: Wire, aws: Kaws, account: Account) -> None:
    ok(create(aws, 'web'))
    there = account.client('ec2', 'eu-west-1')
    image = there.register_image(Name='far', RootDeviceName='/dev/xvda', Architecture='x86_64', BlockDeviceMappings=[
        {'DeviceName': '/dev/xvda', 'Ebs': {'SnapshotId': snapshot(there)}}])['ImageId']
    there.run_instances(ImageId=image, MinCount=1, MaxCount=1, InstanceType='t3.nano', TagSpecifications=[
        {'ResourceType': 'instance', 'Tags': [{'Key': 'Name', 'Value': 'far'}]}])
    with connect(wire.url, location='all') as everywhere:
        assert [(row['name'], row['location']) for row in everywhere.list()] == [('far', 'eu-west-1'), ('web', REGION)]
        assert everywhere.info('far')['sublocation'].startswith('eu-west-1')
        ok(everywhere.update_metadata('far', 'team', 'x'))
        assert everywhere.info('far')['team'] == 'x'  # type: ignore[typeddict-item]
        ok(everywhere.delete('far'))
        ok(everywhere.delete('web'))
        assert everywhere.list() == []
    assert aws.list() == []


def snapshot(ec2: Any) -> str:
    volume = ec2.create_volume(AvailabilityZone='eu-west-1a', Size=1)['VolumeId']
    made = str(ec2.create_snapshot(VolumeId=volume)['SnapshotId'])
    ec2.delete_volume(VolumeId=volume)
    return made


def test_regions_have_countries_and_may_be_closed(aws: Kaws) -> None:
    rows = {row['name']: row for row in aws.list_locations()}
    assert rows[REGION]['country'] == 'US'
    assert f'{REGION}a' in rows[REGION]['sublocations']
    assert rows['eu-west-1'] == {'name': 'eu-west-1', 'available': True, 'country': 'IE'}
    assert rows['ap-east-1']['available'] is False


def test_limits_are_told_with_their_use(aws: Kaws) -> None:
    ok(create(aws, 'web', flavor='m5.large'))
    rows = {row['id']: row for row in aws.list_quotas()}
    assert set(rows) == {'L-1216C47A', 'L-417A185B', 'L-0263D0A3'}
    assert (rows['L-1216C47A']['maximum'], rows['L-1216C47A']['current'], rows['L-1216C47A']['unit']) == (64, 2, 'vCPUs')
    assert rows['L-0263D0A3']['current'] is None
    known = aws.info_host()
    assert (known['account'], known['cpus_used'], known['vms_running']) == (ACCOUNT, 2, 1)
    ok(aws.delete('web'))


def test_no_request_uses_what_aws_calls_deprecated(aws: Kaws) -> None:
    old: list[str] = []

    def look(params: dict[str, Any], model: Any, **kwargs: Any) -> None:
        members = model.input_shape.members
        old.extend(f'{model.name}.{name}' for name in params if members[name]._shape_model.get('deprecated'))
    aws.ec2.meta.events.register('provide-client-params.ec2', look)
    ok(create(aws, 'web', disks=[10, 1]))
    ok(aws.stop('web'))
    ok(aws.update_flavor('web', 't3.small'))
    ok(aws.add_disk('web', 1))
    ok(aws.create_snapshot('first', 'web'))
    ok(aws.delete('web', snapshots=True))
    aws.ec2.meta.events.unregister('provide-client-params.ec2', look)
    assert old == []


def test_an_absent_vm_is_named(aws: Kaws) -> None:
    with pytest.raises(NotFound, match='no-such-vm'):
        aws.instance('no-such-vm')
