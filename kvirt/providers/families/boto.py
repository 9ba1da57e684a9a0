"""What all that speaks to AWS, or to what imitates it, needs of boto3: sessions, clients, and what their errors mean."""

from __future__ import annotations

import logging
import os
import re
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from types import ModuleType
from typing import Any, TypeVar

from kvirt.errors import (
    AlreadyExists,
    Conflict,
    InvalidInput,
    KvirtError,
    MissingDependency,
    NotFound,
    NotSupported,
    OutOfCapacity,
    QuotaExceeded,
    RateLimited,
    Unauthorized,
    Unavailable,
)
from kvirt.version import __version__
from kvirt.wait import Clock, until

T = TypeVar('T')
Kind = type[KvirtError]

_CODES: tuple[tuple[str, Kind], ...] = (
    # The first expression that matches a whole code tells its kind, so exceptions stand before the rule.
    (r'Throttl\w*|\w*Throttled\w*|(Request|Bandwidth|Rate)LimitExceeded|SlowDown|TooManyRequests\w*|RateExceeded|'
     r'PriorRequestNotComplete|429', RateLimited),
    (r'AccessDenied\w*|\w*Unauthorized\w*|AuthFailure|Invalid(AccessKeyId|ClientTokenId|Token|Security)|Signature\w+|'
     r'ExpiredToken\w*|RequestExpired|UnrecognizedClient\w*|OptInRequired|PendingVerification|Blocked|AccountProblem|'
     r'AllAccessDisabled|RequestTimeTooSkewed|AuthorizationHeaderMalformed|IncompleteSignature|'
     r'MissingAuthenticationToken|40[13]|Forbidden', Unauthorized),
    (r'Insufficient(?!Data)\w*|SpotMaxPriceTooLow|\w*InsufficientCapacity\w*', OutOfCapacity),
    (r'\w*LimitExceeded(\.\w+)?|\w*QuotaExceeded\w*|TooMany\w+|Max\w+Exceeded|\w+LimitReached', QuotaExceeded),
    (r'InternalError|InternalFailure|InternalServerError|ServiceUnavailable|Unavailable|RequestTimeout\w*|ServerInternal|'
     r'5\d\d', Unavailable),
    (r'[\w.]+\.(Duplicate|AlreadyExists)|Duplicate\w+|BucketAlready\w+|\w+AlreadyExists', AlreadyExists),
    (r'[\w.]+\.(InUse|Conflict|AlreadyAssociated|NotAttached|AlreadyAssigned)|DependencyViolation|ResourceInUse\w*|'
     r'\w+InUse|Incorrect\w*State|InvalidState\w*|\w+NotEmpty|Operation(NotPermitted|Aborted)|AlreadyAttached|'
     r'IncorrectModificationState|CannotDelete|VolumeModificationRateExceeded|IdempotentParameterMismatch|409', Conflict),
    (r'[\w.]+\.NotFound|NoSuch\w+|\w+NotFound|InvalidAMIID\.Unavailable|404', NotFound),
    (r'NotImplemented|Unsupported\w*|MethodNotAllowed|InvalidAction|NotSupported', NotSupported),
    (r'Invalid[\w.]*|Malformed\w*|Missing\w*|Unknown\w*|Validation\w*|KeyTooLong\w*|EntityTooLarge|\w+\.Malformed|'
     r'\w+OutOfRange|400', InvalidInput),
)

_STATUSES: dict[int, Kind] = {400: InvalidInput, 401: Unauthorized, 403: Unauthorized, 404: NotFound, 409: Conflict,
                              429: RateLimited}

_MODULES = ('boto3', 'botocore', 's3transfer')
_OF_THE_SDK: dict[Kind, tuple[str, ...]] = {
    Unauthorized: ('NoCredentialsError', 'PartialCredentialsError', 'CredentialRetrievalError', 'TokenRetrievalError',
                   'SSOError', 'ProfileNotFound', 'MetadataRetrievalError'),
    InvalidInput: ('InvalidRegionError', 'NoRegionError', 'UnknownRegionError', 'ConfigParseError'),
    Unavailable: ('HTTPClientError', 'ConnectionError', 'ResponseParserError', 'ResponseStreamingError',
                  'IncompleteReadError'),
}
"""Families of botocore's own exceptions, by the names of their bases."""


def sdk(extra: str) -> ModuleType:
    """Return boto3. MissingDependency tells how to install it: with *extra*."""
    try:
        import boto3
    except ImportError as error:
        if (error.name or '').partition('.')[0] not in _MODULES:
            raise
        raise MissingDependency('boto3 is not installed', hint=f"Run: pip install 'kvirt[{extra}]'") from error
    # For debugging it logs requests whole: user data with passwords and keys, tokens, signatures.
    logging.getLogger('botocore').setLevel(logging.INFO)
    module: ModuleType = boto3
    return module


def session(extra: str, *, key_id: str | None = None, secret: str | None = None, token: str | None = None,
            profile: str | None = None, alone: bool = False) -> Any:
    """Return a boto3 session. One that is *alone* reads no settings of AWS on this machine: for another company's store."""
    boto3 = sdk(extra)
    import botocore.session
    nowhere: dict[str, Any] = {'profile': (None, None, None, None)}
    nowhere |= dict.fromkeys(('config_file', 'credentials_file'), (None, None, os.devnull, None))
    core = botocore.session.Session(session_vars=nowhere if alone else None)
    return boto3.Session(aws_access_key_id=key_id, aws_secret_access_key=secret, aws_session_token=token,
                         profile_name=profile, botocore_session=core)


def config(service: str, **more: Any) -> Any:
    """Return how clients of a *service* behave: retries that back off, deadlines, no surprising checksums."""
    from botocore.config import Config
    if service == 's3':  # where boto3 would sign addresses of files in an outdated way
        more = {'signature_version': 's3v4', **more}
    return Config(**{'retries': {'mode': 'standard', 'total_max_attempts': 6},
                     'connect_timeout': 10, 'read_timeout': 60, 'max_pool_connections': 32, 'tcp_keepalive': True,
                     # Many stores that imitate S3 refuse the checksums that newer SDKs add of themselves.
                     'request_checksum_calculation': 'when_required', 'response_checksum_validation': 'when_required',
                     'user_agent_extra': f'kvirt/{__version__}', **more})


class Clients:
    """The clients of an account, one for each service and region, made when they are first used.

    boto3 takes a third of a second to load, so that waits as well. Its clients may be used by several threads, its
    session may not.
    """

    def __init__(self, opened: Callable[[], Any], *, region: str | None, usual_region: str, url: str | None = None,
                 urls: Mapping[str, str | None] = {}, verify: bool = True) -> None:
        """Keep how a session is *opened*. Services are at *url*, but for those of which *urls* tells another place."""
        self._opened, self._asked_region, self._usual_region = opened, region, usual_region
        self._url, self._urls, self._verify = url, urls, verify
        self._lock = threading.Lock()
        self._only_session: Any = None
        self._clients: dict[tuple[str, str], Any] = {}
        self._observers: list[tuple[str, Callable[..., Any]]] = []

    @property
    def region(self) -> str:
        """The region that is asked for, else that of the settings on this machine, else the usual one."""
        if self._asked_region:
            return self._asked_region
        with self._lock:
            return str(self._session().region_name or self._usual_region)

    def get(self, service: str, region: str) -> Any:
        """Return the client of a service in a region."""
        with self._lock:
            if (service, region) not in self._clients:
                self._clients[service, region] = self._made(service, region)
            return self._clients[service, region]

    def observe(self, event: str, hook: Callable[..., Any]) -> None:
        """Let boto3 call *hook* at an *event* of every client: ``before-send.ec2``, ``before-parameter-build.ec2``, ..."""
        with self._lock:
            self._observers.append((event, hook))
            for client in self._clients.values():
                client.meta.events.register(event, hook)

    def close(self) -> None:
        """Close all connections."""
        with self._lock:
            for client in self._clients.values():
                client.close()
            self._clients.clear()

    def _session(self) -> Any:
        if self._only_session is None:
            self._only_session = self._opened()
        return self._only_session

    def _made(self, service: str, region: str) -> Any:
        client = self._session().client(service, region_name=region, endpoint_url=self._urls.get(service) or self._url,
                                        config=config(service), verify=None if self._verify else False)
        for event, hook in self._observers:
            client.meta.events.register(event, hook)
        return client


def translate(error: Exception) -> KvirtError | None:
    """Return what an exception of boto3 means; None when it is none of its, or a bug."""
    exceptions = sys.modules.get('botocore.exceptions')
    if exceptions is None:  # then it can't be
        return None
    if isinstance(error, exceptions.ClientError):
        return _meaning(error.response)
    if type(error).__module__.partition('.')[0] in _MODULES:
        names = {base.__name__ for base in type(error).__mro__}
        for kind, families in _OF_THE_SDK.items():
            if names.intersection(families):
                return kind(str(error))
    return None


def code_of(error: Exception) -> str:
    """Return the code of an error that a service answered, empty for any other."""
    answer = getattr(error, 'response', None)
    return str(answer.get('Error', {}).get('Code', '')) if isinstance(answer, dict) else ''


def retried(answer: Any) -> bool:
    """Tell if an answer, or an error, is that to a second attempt: the first one may well have been served too."""
    answer = getattr(answer, 'response', answer)
    return isinstance(answer, dict) and bool(answer.get('ResponseMetadata', {}).get('RetryAttempts'))


def patiently(call: Callable[[], T], passing: Kind | tuple[Kind, ...], *, what: str, clock: Clock,
              timeout: float = 20) -> T:
    """Return what *call* returns; while it fails with *passing*, call again: the service has yet to notice a change.

    TimedOut tells the last failure.
    """
    def attempt() -> tuple[T]:
        try:
            return (call(),)
        except Exception as error:
            known = error if isinstance(error, KvirtError) else translate(error)
            if isinstance(known, passing):
                raise Unavailable(known.reason) from error
            raise
    return until(attempt, what=what, timeout=timeout, interval=1, clock=clock)[0]


@contextmanager
def unless_gone() -> Iterator[None]:
    """End the block in peace where what it deletes is gone."""
    try:
        yield
    except Exception as error:
        if not isinstance(error if isinstance(error, KvirtError) else translate(error), NotFound):
            raise


@contextmanager
def about(what: str) -> Iterator[None]:
    """Name *what* (``bucket logs``) in the errors of calls within the block."""
    try:
        yield
    except Exception as error:
        known = translate(error)
        if known is None:
            raise
        reason = f'{what} does not exist' if isinstance(known, NotFound) else f'{what}: {known.reason}'
        raise type(known)(reason, hint=known.hint) from error


def _meaning(answer: dict[str, Any]) -> KvirtError:
    code, message = (str(answer.get('Error', {}).get(key) or '') for key in ('Code', 'Message'))
    status = answer.get('ResponseMetadata', {}).get('HTTPStatusCode') or 0
    message = re.sub(r'\s*Encoded authorization failure message:.*', '', message, flags=re.DOTALL).rstrip('. \n')
    reason = f'{message} ({code})' if message and code else message or code or f'the service answered {status}'
    return kind_of(code, status)(reason)


def kind_of(code: str, status: int = 0) -> Kind:
    """Return which error a service's *code* means; where the table does not know it, its http *status* tells."""
    for expression, kind in _CODES:
        if re.fullmatch(expression, code):
            return kind
    return Unavailable if status >= 500 else _STATUSES.get(status, KvirtError)
