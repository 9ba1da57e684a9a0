"""Buckets of every platform whose object storage speaks S3. A provider only says how its store is opened."""

from __future__ import annotations

import base64
import hashlib
import json
import mimetypes
import os
import re
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import Any, ClassVar
from urllib.parse import urlsplit

from kvirt.base import Kbase, waits
from kvirt.base.buckets import Buckets
from kvirt.errors import (
    AlreadyExists,
    Conflict,
    InvalidInput,
    KvirtError,
    NotFound,
    NotSupported,
    Unauthorized,
)
from kvirt.names import did_you_mean
from kvirt.providers.families import boto
from kvirt.undo import Undo
from kvirt.wait import SYSTEM, Clock

MARK = 'kvirt'
"""The tag of a bucket that kvirt made, where the platform keeps tags on buckets."""

_DAY = 86400
_NAME = re.compile(r'[a-z0-9](?:[a-z0-9-]|\.(?=[a-z0-9])){1,61}[a-z0-9]')
_STATEMENT = 'KvirtPublicRead'
_GUARDS = ('BlockPublicAcls', 'IgnorePublicAcls', 'BlockPublicPolicy', 'RestrictPublicBuckets')


def store(endpoint: str, *, location: str, key_id: str | None, secret: str | None, verify: bool = True) -> Any:
    """Return the client of a store that imitates S3. Settings for AWS on this machine have no say in it."""
    client = boto.session('s3', key_id=key_id, secret=secret, alone=True).client(
        's3', region_name=location, endpoint_url=endpoint, verify=None if verify else False, config=boto.config('s3'))
    client.meta.events.register('before-sign.s3.DeleteObjects', _with_md5)
    return client


def lacking(key_id: str | None, secret: str | None, hint: str) -> dict[str, str]:
    """Return what a connection without the two keys of object storage lacks: every operation of buckets, with *hint*."""
    reason = f'no keys of the object storage are given. {hint}'
    return {} if key_id and secret else {name: reason for name in vars(Buckets) if not name.startswith('_')}


class S3Buckets(Kbase):
    """Buckets over S3. A provider overrides ``open_store``; the rest are facts of its platform."""

    bucket_tags: ClassVar[bool] = False
    """The platform keeps tags on buckets."""

    guarded: ClassVar[bool] = False
    """Buckets refuse whatever would make their files public until that guard is opened, as AWS's do."""

    clock: Clock = SYSTEM

    def open_store(self) -> Any:
        """Return a boto3 client of the store; see :func:`store`."""
        raise NotImplementedError

    @cached_property
    def s3(self) -> Any:
        """The client of the store, opened at the first use."""
        return self.open_store()

    def translate(self, error: Exception) -> KvirtError | None:
        return super().translate(error) or boto.translate(error)

    def location_constraint(self) -> str | None:
        """Return what the creation of a bucket must say of the location, where the endpoint does not say it all."""
        return None

    def bucket_filter(self) -> dict[str, str]:
        """Return what restricts a list of buckets to the client's location, where the store lists those of all."""
        return {}

    # buckets

    @waits
    def _create_bucket(self, bucket: str, public: bool = False) -> None:
        if not _NAME.fullmatch(bucket):
            raise InvalidInput(f"'{bucket}' can not name a bucket", hint='Use 3 to 63 small letters, digits, dots, dashes')
        if self._taken(bucket):
            raise AlreadyExists(f'bucket {bucket} exists')
        where = self.location_constraint()
        more = {'CreateBucketConfiguration': {'LocationConstraint': where}} if where else {}
        with boto.about(f'bucket {bucket}'), Undo().translating(self.translate) as undo:
            try:
                self.s3.create_bucket(Bucket=bucket, **more)
            except Exception as error:
                mine = boto.code_of(error) == 'BucketAlreadyOwnedByYou' and boto.retried(error)
                if not mine:  # else the first attempt made it, and its answer was lost
                    if not isinstance(self.translate(error), AlreadyExists):
                        undo.add(f'bucket {bucket}', lambda: self.s3.delete_bucket(Bucket=bucket))
                    raise
            undo.add(f'bucket {bucket}', lambda: self.s3.delete_bucket(Bucket=bucket))
            if self.bucket_tags:
                self.s3.put_bucket_tagging(Bucket=bucket, Tagging={'TagSet': [{'Key': MARK, 'Value': 'bucket'}]})
            if public:
                self._publish(bucket)

    def _taken(self, bucket: str) -> bool:
        """Tell if a bucket is there: some stores answer success to the creation of one's own bucket a second time."""
        try:
            self.s3.head_bucket(Bucket=bucket)
        except Exception as error:
            known = self.translate(error)
            if isinstance(known, NotFound):
                return False
            if boto.code_of(error) == '403':
                raise AlreadyExists(f'bucket {bucket} exists, and belongs to somebody else or is closed to you') from error
            raise
        return True

    def _publish(self, bucket: str) -> None:
        """Let everybody read all files of a bucket."""
        policy = {'Version': '2012-10-17', 'Statement': [
            {'Sid': _STATEMENT, 'Effect': 'Allow', 'Principal': '*', 'Action': 's3:GetObject',
             'Resource': f'arn:{self.s3.meta.partition}:s3:::{bucket}/*'}]}
        self._guard(bucket, BlockPublicPolicy=False, RestrictPublicBuckets=False)

        def publish() -> None:
            self.s3.put_bucket_policy(Bucket=bucket, Policy=json.dumps(policy))
        if self.guarded:  # a guard stays shut for some seconds after it was opened
            boto.patiently(publish, Unauthorized, what=f'bucket {bucket} becoming public', clock=self.clock)
        else:
            publish()

    def _guard(self, bucket: str, **opened: bool) -> None:
        if self.guarded:
            self.s3.put_public_access_block(
                Bucket=bucket, PublicAccessBlockConfiguration={**dict.fromkeys(_GUARDS, True), **opened})

    @waits
    def _delete_bucket(self, bucket: str) -> None:
        with boto.about(f'bucket {bucket}'):
            for page in self.s3.get_paginator('list_object_versions').paginate(Bucket=bucket):
                entries = [*page.get('Versions', ()), *page.get('DeleteMarkers', ())]
                self._drop_files(bucket, [{'Key': entry['Key'], 'VersionId': entry['VersionId']} for entry in entries])
            self.s3.delete_bucket(Bucket=bucket)

    def _drop_files(self, bucket: str, objects: list[dict[str, str]]) -> None:
        if objects:
            answer = self.s3.delete_objects(Bucket=bucket, Delete={'Objects': objects, 'Quiet': True})
            for fault in answer.get('Errors', ()):
                raise boto.kind_of(fault.get('Code', ''))(
                    f"{fault.get('Key')} of bucket {bucket} can not be deleted: {fault.get('Message')}")

    def _list_buckets(self) -> list[str]:
        pages = self.s3.get_paginator('list_buckets').paginate(**self.bucket_filter())
        return sorted(entry['Name'] for page in pages for entry in page.get('Buckets', ()))

    # files

    def _list_bucketfiles(self, bucket: str) -> list[str]:
        with boto.about(f'bucket {bucket}'):
            pages = self.s3.get_paginator('list_objects_v2').paginate(Bucket=bucket)
            return sorted(entry['Key'] for page in pages for entry in page.get('Contents', ()))

    @waits
    def _upload_to_bucket(self, bucket: str, path: str, overrides: Mapping[str, Any] | None = None,
                          temp_url: bool = False, public: bool = False) -> Mapping[str, Any] | None:
        """Keep the file under its own name, or as ``overrides['path']``."""
        local = Path(path).expanduser()
        if not local.is_file():
            raise NotFound(f'{path} does not exist')
        key = _new_key((overrides or {}).get('path') or local.name)
        with boto.about(f'bucket {bucket}'):
            everybody = self._is_public(bucket)
            about = {'ContentType': mimetypes.guess_type(key)[0] or 'application/octet-stream'}
            if public and not everybody:
                self._admit_public_files(bucket)
                about['ACL'] = 'public-read'
            with local.open('rb') as file:
                self.s3.upload_fileobj(file, bucket, key, ExtraArgs=about)
            if not (public or everybody or temp_url):
                return None
            url = self.s3.generate_presigned_url('get_object', Params={'Bucket': bucket, 'Key': key}, ExpiresIn=_DAY)
            return {'url': urlsplit(url)._replace(query='').geturl() if public or everybody else url}

    def _is_public(self, bucket: str) -> bool:
        """Tell if a bucket was made for everybody to read."""
        try:
            policy = json.loads(self.s3.get_bucket_policy(Bucket=bucket)['Policy'])
        except Exception as error:
            unknown = isinstance(self.translate(error), (Unauthorized, NotSupported))
            if unknown or boto.code_of(error) == 'NoSuchBucketPolicy':
                return False
            raise
        return any(statement.get('Sid') == _STATEMENT for statement in policy['Statement'])

    def _admit_public_files(self, bucket: str) -> None:
        """Let single files of a private bucket be public. Conflict where the bucket is guarded, and not ours."""
        if not self.guarded:
            return
        if not self._is_ours(bucket):
            raise Conflict(f'bucket {bucket} was not made by kvirt, so what guards it from public files stays',
                           hint='Ask for a temporary address of the file')
        self.s3.put_bucket_ownership_controls(
            Bucket=bucket, OwnershipControls={'Rules': [{'ObjectOwnership': 'BucketOwnerPreferred'}]})
        self._guard(bucket, BlockPublicAcls=False, IgnorePublicAcls=False)

    def _is_ours(self, bucket: str) -> bool:
        try:
            tags = self.s3.get_bucket_tagging(Bucket=bucket)['TagSet']
        except Exception as error:
            if boto.code_of(error) == 'NoSuchTagSet':
                return False
            raise
        return any(tag['Key'] == MARK for tag in tags)

    @waits
    def _download_from_bucket(self, bucket: str, path: str) -> Mapping[str, Any] | None:
        target = Path.cwd() / _path(path).name
        self._need(bucket, path)
        import tempfile  # it loads all that unpacks
        handle, temporary = tempfile.mkstemp(dir=target.parent, prefix='.kvirt-')
        try:
            with os.fdopen(handle, 'wb') as file, boto.about(f'bucket {bucket}'):
                self.s3.download_fileobj(bucket, path, file)
            os.chmod(temporary, 0o644)
            os.replace(temporary, target)
        except BaseException:
            Path(temporary).unlink(missing_ok=True)
            raise
        return {'path': str(target)}

    def _delete_from_bucket(self, bucket: str, path: str) -> None:
        self._need(bucket, path)
        with boto.about(f'bucket {bucket}'):
            self.s3.delete_object(Bucket=bucket, Key=path)

    def _need(self, bucket: str, path: str) -> None:
        """Raise NotFound unless there is such a file: S3 answers success to the deletion of what is not there."""
        try:
            self.s3.head_object(Bucket=bucket, Key=path)
        except Exception as error:
            if not isinstance(self.translate(error), NotFound):
                raise
            with boto.about(f'bucket {bucket}'):
                known = [entry['Key'] for entry in self.s3.list_objects_v2(Bucket=bucket).get('Contents', ())]
            raise NotFound(f'bucket {bucket} has no file {path}{did_you_mean(path, known)}') from error


class KeyedBuckets(S3Buckets):
    """Buckets in an object storage that has an address for each location, and wants keys of its own."""

    store_url: ClassVar[str]
    """The address of the store of a location: ``https://{}.example.com``."""

    def keep_store(self, endpoint: str | None, key_id: str | None, secret: str | None, *, hint: str,
                   verify: bool = True) -> None:
        """Keep where the store is (None: that of the location), and its keys; without them buckets are what is lacking."""
        self._store = endpoint, key_id, secret, verify
        self.lacks = lacking(key_id, secret, hint)

    def store_place(self) -> str:
        """Return the location of the store."""
        raise NotImplementedError

    def open_store(self) -> Any:
        endpoint, key_id, secret, verify = self._store
        where = self.store_place()
        return store(endpoint or self.store_url.format(where), location=where, key_id=key_id, secret=secret, verify=verify)


def _path(value: Any) -> PurePosixPath:
    """Return a path in a bucket whose last part can name a file on somebody's disk. InvalidInput."""
    path = PurePosixPath(str(value))
    if path.name in ('', '..') or any(ord(sign) < 32 for sign in str(value)):
        raise InvalidInput(f'{value!r} can not name a file in a bucket', hint='Use a relative path: docs/readme.txt')
    return path


def _new_key(value: Any) -> str:
    """Return the path that a file is kept under. InvalidInput."""
    path = _path(value)
    if path.is_absolute() or '..' in path.parts or len(str(path).encode()) > 1024:
        raise InvalidInput(f'{value!r} can not name a file in a bucket', hint='Use a relative path: docs/readme.txt')
    return str(path)


def _with_md5(request: Any, **_: Any) -> None:
    """Sign the deletion of many files as S3 was first specified; stores that imitate it insist on that."""
    request.headers['Content-MD5'] = base64.b64encode(hashlib.md5(request.body, usedforsecurity=False).digest()).decode()
