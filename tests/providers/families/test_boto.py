"""What errors of boto3 mean."""

from __future__ import annotations

import sys

import botocore.exceptions
import pytest

from kvirt.errors import (
    AlreadyExists,
    Conflict,
    InvalidInput,
    KvirtError,
    NotFound,
    NotSupported,
    OutOfCapacity,
    QuotaExceeded,
    RateLimited,
    TimedOut,
    Unauthorized,
    Unavailable,
)
from kvirt.providers.families import boto
from kvirt.testing.sweep import Haste

MEANINGS = {
    NotFound: 'InvalidInstanceID.NotFound InvalidGroup.NotFound NoSuchBucket NoSuchKey NoSuchHostedZone '
              'LoadBalancerNotFound TargetGroupNotFound InvalidAMIID.Unavailable 404',
    AlreadyExists: 'InvalidGroup.Duplicate InvalidKeyPair.Duplicate BucketAlreadyExists BucketAlreadyOwnedByYou '
                   'DuplicateLoadBalancerName DuplicateTargetGroupName HostedZoneAlreadyExists InvalidPermission.Duplicate',
    InvalidInput: 'InvalidParameterValue InvalidAMIID.Malformed MissingParameter UnknownParameter ValidationError '
                  'InvalidVpc.Range InvalidSubnet.Range InvalidChangeBatch InvalidBlockDeviceMapping KeyTooLongError',
    NotSupported: 'UnsupportedOperation Unsupported NotImplemented MethodNotAllowed',
    Unauthorized: 'UnauthorizedOperation AuthFailure AccessDenied AccessDeniedException InvalidClientTokenId ExpiredToken '
                  'SignatureDoesNotMatch InvalidAccessKeyId OptInRequired PendingVerification Blocked 403',
    QuotaExceeded: 'InstanceLimitExceeded VcpuLimitExceeded AddressLimitExceeded VpcLimitExceeded TooManyBuckets '
                   'TooManyLoadBalancers RulesPerSecurityGroupLimitExceeded MaxSpotInstanceCountExceeded',
    OutOfCapacity: 'InsufficientInstanceCapacity InsufficientAddressCapacity InsufficientFreeAddressesInSubnet '
                   'SpotMaxPriceTooLow',
    Conflict: 'DependencyViolation IncorrectInstanceState IncorrectState VolumeInUse InvalidGroup.InUse ResourceInUse '
              'InvalidSubnet.Conflict BucketNotEmpty OperationNotPermitted Resource.AlreadyAssociated CannotDelete',
    RateLimited: 'RequestLimitExceeded Throttling ThrottlingException SlowDown TooManyRequestsException '
                 'EC2ThrottledException PriorRequestNotComplete',
    Unavailable: 'InternalError InternalFailure ServiceUnavailable Unavailable RequestTimeout 503'}


def answered(code: str, message: str = 'it says', status: int = 400, **more: int) -> botocore.exceptions.ClientError:
    return botocore.exceptions.ClientError({'Error': {'Code': code, 'Message': message},
                                            'ResponseMetadata': {'HTTPStatusCode': status, **more}}, 'Operation')


@pytest.mark.parametrize(('kind', 'code'), [(kind, code) for kind, codes in MEANINGS.items() for code in codes.split()])
def test_a_code_has_a_meaning(kind: type[KvirtError], code: str) -> None:
    known = boto.translate(answered(code))
    assert type(known) is kind
    assert known.reason == f'it says ({code})'


@pytest.mark.parametrize(('status', 'kind'), [(400, InvalidInput), (403, Unauthorized), (404, NotFound),
                                              (409, Conflict), (429, RateLimited), (500, Unavailable),
                                              (507, Unavailable), (418, KvirtError)])
def test_where_a_code_is_new_the_status_tells(status: int, kind: type[KvirtError]) -> None:
    assert type(boto.translate(answered('SomethingNew', status=status))) is kind


@pytest.mark.parametrize(('error', 'kind'), [
    (botocore.exceptions.EndpointConnectionError(endpoint_url='http://x'), Unavailable),
    (botocore.exceptions.ReadTimeoutError(endpoint_url='http://x'), Unavailable),
    (botocore.exceptions.ConnectionClosedError(endpoint_url='http://x'), Unavailable),
    (botocore.exceptions.SSLError(endpoint_url='http://x', error='self-signed'), Unavailable),
    (botocore.exceptions.NoCredentialsError(), Unauthorized),
    (botocore.exceptions.ProfileNotFound(profile='work'), Unauthorized),
    (botocore.exceptions.InvalidRegionError(region_name='a b'), InvalidInput)])
def test_what_happens_before_an_answer_has_a_meaning_too(error: Exception, kind: type[KvirtError]) -> None:
    assert type(boto.translate(error)) is kind


@pytest.mark.parametrize('error', [KeyError('Vpcs'), botocore.exceptions.ParamValidationError(report='a bug'),
                                   botocore.exceptions.OperationNotPageableError(operation_name='x')])
def test_a_bug_stays_one(error: Exception) -> None:
    assert boto.translate(error) is None


def test_where_botocore_is_not_loaded_nothing_is_its_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, 'botocore.exceptions')
    assert boto.translate(answered('NoSuchBucket')) is None


def test_what_only_aws_can_read_is_not_told() -> None:
    known = boto.translate(answered('UnauthorizedOperation', 'You may not. Encoded authorization failure message: AbC+/=='))
    assert str(known) == 'You may not (UnauthorizedOperation)'


def test_an_error_names_what_it_is_about() -> None:
    with pytest.raises(NotFound, match='^bucket logs does not exist$'), boto.about('bucket logs'):
        raise answered('NoSuchBucket')
    with pytest.raises(Conflict, match='^VM web: it says'), boto.about('VM web'):
        raise answered('IncorrectInstanceState')
    with pytest.raises(KeyError), boto.about('VM web'):
        raise KeyError('bug')


def test_a_change_that_is_not_known_everywhere_yet_is_waited_for() -> None:
    clock, answers = Haste(), [answered('InvalidVpcID.NotFound'), answered('InvalidVpcID.NotFound'), None]

    def call() -> str:
        error = answers.pop(0)
        if error:
            raise error
        return 'done'
    assert boto.patiently(call, NotFound, what='x', clock=clock) == 'done'
    assert clock.now() == 2
    answers[:] = [answered('InvalidVpcID.NotFound')] * 99
    with pytest.raises(TimedOut, match=r'within 20 seconds \(last trouble: it says \(InvalidVpcID.NotFound\)'):
        boto.patiently(call, NotFound, what='x', clock=clock)
    answers[:] = [answered('AuthFailure')]
    with pytest.raises(botocore.exceptions.ClientError):
        boto.patiently(call, NotFound, what='x', clock=clock)


def test_a_second_attempt_is_told_from_a_first() -> None:
    assert boto.retried(answered('BucketAlreadyOwnedByYou', RetryAttempts=1))
    assert not boto.retried(answered('BucketAlreadyOwnedByYou', RetryAttempts=0))
    assert boto.retried({'ResponseMetadata': {'RetryAttempts': 2}})
    assert not boto.retried(KeyError())
