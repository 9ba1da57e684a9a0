"""The judge for AWS: it reads back what botocore sends, and knows what AWS would not take."""

from __future__ import annotations

from datetime import datetime, timezone
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest

pytest.importorskip('boto3', reason='the judge for AWS needs boto3')

from kvirt.testing.botojudge import BotoJudge, answer_of, model, understood
from kvirt.testing.judge import Excuse
from kvirt.testing.wire import Answer, Request

RULE = {'GroupId': 'sg-1', 'IpPermissions': [{'IpProtocol': 'tcp', 'FromPort': 22, 'ToPort': 22,
                                              'IpRanges': [{'CidrIp': '0.0.0.0/0'}], 'Ipv6Ranges': [{'CidrIpv6': '::/0'}]}]}
INSTANCE = {'ImageId': 'ami-1', 'InstanceType': 't3.micro', 'MinCount': 1, 'MaxCount': 1, 'EbsOptimized': False,
            'BlockDeviceMappings': [{'DeviceName': '/dev/sda1', 'Ebs': {'VolumeSize': 8, 'VolumeType': 'gp3'}}],
            'TagSpecifications': [{'ResourceType': 'instance', 'Tags': [{'Key': 'Name', 'Value': 'web'}]}],
            'ClientToken': '8hex'}
CHANGE = {'HostedZoneId': 'Z1', 'ChangeBatch': {'Changes': [{'Action': 'UPSERT', 'ResourceRecordSet': {
    'Name': 'a.', 'Type': 'A', 'TTL': 60, 'ResourceRecords': [{'Value': '10.0.0.1'}, {'Value': '10.0.0.2'}]}}]}}

CALLS = [
    ('ec2', 'DescribeInstances', {'Filters': [{'Name': 'tag:kvirt', 'Values': ['a', 'b']}], 'MaxResults': 5}),
    ('ec2', 'RunInstances', INSTANCE), ('ec2', 'AuthorizeSecurityGroupIngress', RULE),
    ('elb', 'CreateLoadBalancer', {'LoadBalancerName': 'x', 'Subnets': ['a', 'b'],
                                   'Listeners': [{'Protocol': 'TCP', 'LoadBalancerPort': 80, 'InstancePort': 80}]}),
    ('elbv2', 'CreateLoadBalancer', {'Name': 'x', 'Tags': [{'Key': 'k', 'Value': 'v'}], 'Type': 'network'}),
    ('sts', 'GetCallerIdentity', {}), ('service-quotas', 'ListServiceQuotas', {'ServiceCode': 'ec2'}),
    ('pricing', 'GetProducts', {'ServiceCode': 'AmazonEC2', 'Filters': [
        {'Type': 'TERM_MATCH', 'Field': 'instanceType', 'Value': 't3.micro'}]}),
    ('route53', 'ListHostedZones', {'MaxItems': '10'}), ('route53', 'ChangeResourceRecordSets', CHANGE),
    ('ebs', 'StartSnapshot', {'VolumeSize': 8, 'ClientToken': 'x', 'Tags': [{'Key': 'k', 'Value': 'v'}]}),
    ('ebs', 'PutSnapshotBlock', {'SnapshotId': 'snap-12345678', 'BlockIndex': 3, 'BlockData': b'\0x', 'DataLength': 2,
                                 'Checksum': 'x', 'ChecksumAlgorithm': 'SHA256'}),
    ('s3', 'ListBuckets', {}), ('s3', 'HeadBucket', {'Bucket': 'b'}), ('s3', 'GetBucketLocation', {'Bucket': 'b'}),
    ('s3', 'CreateBucket', {'Bucket': 'b', 'CreateBucketConfiguration': {'LocationConstraint': 'eu-west-1'}}),
    ('s3', 'ListObjectsV2', {'Bucket': 'b', 'Prefix': 'p/', 'MaxKeys': 2}),
    ('s3', 'GetObject', {'Bucket': 'b', 'Key': 'k'}),
    ('s3', 'PutObject', {'Bucket': 'b', 'Key': 'a/b c', 'Body': b'\0x'}),
    ('s3', 'DeleteObject', {'Bucket': 'b', 'Key': 'k'}),
    ('s3', 'UploadPart', {'Bucket': 'b', 'Key': 'k', 'UploadId': 'u', 'PartNumber': 1, 'Body': b'x'}),
    ('s3', 'PutBucketPolicy', {'Bucket': 'b', 'Policy': '{}'}),
    ('s3', 'DeleteObjects', {'Bucket': 'b', 'Delete': {'Objects': [{'Key': 'x'}, {'Key': 'y'}], 'Quiet': True}})]


def sent(service: str, operation: str, params: dict[str, Any]) -> Request:
    """Return the request that botocore makes of a call, unchecked and unsent."""
    import boto3
    from botocore import xform_name
    from botocore.config import Config
    requests: list[Request] = []

    class Sent(Exception):
        pass

    def keep(request: Any, **_: Any) -> None:
        split, body = urlsplit(request.url), request.body
        body = body.read() if hasattr(body, 'read') else body
        requests.append(Request(
            request.method, split.path, parse_qsl(split.query, keep_blank_values=True),
            {key.lower(): value.decode() if isinstance(value, bytes) else value for key, value in request.headers.items()},
            body.encode() if isinstance(body, str) else bytes(body or b'')))
        raise Sent

    client = boto3.client(service, region_name='eu-west-1', aws_access_key_id='AKID', aws_secret_access_key='secret',
                          endpoint_url='http://127.0.0.1:9',
                          config=Config(s3={'addressing_style': 'path'}, parameter_validation=False))
    client.meta.events.register('before-send', keep)
    with pytest.raises(Sent):
        getattr(client, xform_name(operation))(**params)
    return requests[0]


@pytest.mark.parametrize(('service', 'operation', 'params'), CALLS, ids=lambda value: str(value)[:20])
def test_what_a_client_sends_is_read_back(service: str, operation: str, params: dict[str, Any]) -> None:
    request = sent(service, operation, params)
    read_service, read_operation, read = understood(request)
    assert (read_service, read_operation) == (service, operation)
    assert {key: read.get(key) for key in params} == params
    added = set(read) - set(params)
    assert added <= {'ChecksumAlgorithm', 'ChecksumCRC32', 'ChecksumMode', 'ContentLength', 'EncodingType'}, added
    assert BotoJudge().fault_of_request(request) == ''


@pytest.mark.parametrize(('service', 'operation', 'params', 'fault'), [
    ('ec2', 'RunInstances', {**INSTANCE, 'InstanceType': 't3.micr'},
     "ec2:RunInstances: InstanceType: 't3.micr' is none of the "),
    ('ec2', 'RunInstances', {**INSTANCE, 'MinCount': 'some'}, 'Invalid type for parameter MinCount'),
    ('ec2', 'RunInstances', {'ImageId': 'ami-1'}, 'Missing required parameter in input: "MinCount"'),
    ('elbv2', 'CreateLoadBalancer', {'Name': 'x', 'Type': 'fast'}, "Type: 'fast' is none of the 3 that there are"),
    ('pricing', 'GetProducts', {'ServiceCode': 'AmazonEC2', 'MaxResults': 101}, 'MaxResults: is 101, and 100 is the most'),
    ('route53', 'ListHostedZones', {'MaxItems': '10', 'DelegationSetId': 'x' * 33}, 'DelegationSetId: is 33, and 32'),
    ('s3', 'CreateBucket', {'Bucket': 'b', 'CreateBucketConfiguration': {'LocationConstraint': 'us-east-1'}},
     "CreateBucketConfiguration.LocationConstraint: 'us-east-1' is none of"),
])
def test_what_aws_would_not_take_is_a_fault(service: str, operation: str, params: dict[str, Any], fault: str) -> None:
    assert fault in BotoJudge().fault_of_request(sent(service, operation, params))


def test_what_is_no_call_is_a_fault() -> None:
    judge = BotoJudge()
    assert judge.fault_of_request(Request('GET', '/')) == 'GET /: is not signed'
    request = sent('ec2', 'DescribeInstances', {'MaxResults': 5})
    odd = Request('POST', '/', [], request.headers, request.body.replace(b'DescribeInstances', b'DescribeInstance'))
    assert judge.fault_of_request(odd) == "ec2:DescribeInstance does not exist, did you mean 'DescribeInstances'?"
    odd = Request('POST', '/', [], request.headers, request.body + b'&Odd.1.Name=x')
    assert 'Unknown parameter in input: "Odd"' in judge.fault_of_request(odd)
    bucket = sent('s3', 'ListBuckets', {})
    assert 'no operation of s3' in judge.fault_of_request(Request('PATCH', '/', [], bucket.headers))
    assert judge.fault_of_call('route53', 'GetCheckerIpRanges', {}) == ''
    assert 'MaxItems' in judge.fault_of_call('sts', 'GetCallerIdentity', {'MaxItems': 1})


def test_an_exception_excuses_what_it_names() -> None:
    known = Excuse('ec2:RunInstances', 'InstanceType', 'newer than the models', 'an account has it')
    request = sent('ec2', 'RunInstances', {**INSTANCE, 'InstanceType': 't9.micro'})
    assert BotoJudge().fault_of_request(request) != ''
    assert BotoJudge(exceptions=[known]).fault_of_request(request) == ''


def test_answers_must_be_readable() -> None:
    judge, request = BotoJudge(), sent('sts', 'GetCallerIdentity', {})
    right = b'<GetCallerIdentityResponse><GetCallerIdentityResult><Account>1</Account></GetCallerIdentityResult>'
    assert judge.fault_of_answer(request, Answer(200, right + b'</GetCallerIdentityResponse>')) == ''
    assert 'sts:GetCallerIdentity -> 200: Unable to parse response' in judge.fault_of_answer(request, Answer(200, right))
    assert judge.fault_of_answer(Request('GET', '/'), Answer(200, right)) == ''


def test_an_answer_is_what_the_service_says() -> None:
    made = answer_of('pricing', 'GetProducts', {'FormatVersion': 'aws_v1', 'PriceList': ['{}']})
    assert (made.status, made.json) == (200, {'FormatVersion': 'aws_v1', 'PriceList': ['{}']})
    assert made.headers == {'Content-Type': 'application/x-amz-json-1.1'}
    with pytest.raises(ValueError, match='Unknown parameter in input: "Prices"'):
        answer_of('pricing', 'GetProducts', {'Prices': []})
    with pytest.raises(ValueError, match=r'Invalid type for parameter PriceList\[0\]'):
        answer_of('pricing', 'GetProducts', {'PriceList': [{}]})
    with pytest.raises(ValueError, match='ec2 speaks ec2'):
        answer_of('ec2', 'DescribeInstances', {})


def test_times_are_answered_in_seconds() -> None:
    now = datetime(2024, 1, 1, tzinfo=timezone.utc)
    assert answer_of('ssm', 'GetParameter', {'Parameter': {'Name': 'x', 'LastModifiedDate': now}}).json == {
        'Parameter': {'Name': 'x', 'LastModifiedDate': 1704067200.0}}
    assert model('ssm') is model('ssm')
