"""Object storage."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from kvirt.base import Kbase
from kvirt.errors import NotFound
from kvirt.testing.platform import Platform, can_not_be, ok, refused

needs = pytest.mark.needs


@needs('create_bucket', 'list_buckets', 'delete_bucket')
class TestBuckets:
    """Buckets and the files in them."""

    def test_a_bucket(self, platform: Platform, provider: Kbase) -> None:
        name = platform.harness.name('bucket')
        ok(provider.create_bucket(name))
        assert name in provider.list_buckets()
        refused(provider.create_bucket(name), 'AlreadyExists', names=name)
        public = provider.create_bucket(f'{name}-public', public=True)
        if platform.lacks('public bucket'):
            can_not_be(public)
        else:
            ok(public)
        ok(provider.delete_bucket(name))
        assert name not in provider.list_buckets()
        refused(provider.delete_bucket(name), 'NotFound', names=name)

    @needs('upload_to_bucket', 'list_bucketfiles', 'download_from_bucket', 'delete_from_bucket')
    def test_files_come_back_byte_for_byte(self, platform: Platform, provider: Kbase, tmp_path: Path,
                                           monkeypatch: pytest.MonkeyPatch) -> None:
        bucket, content = platform.harness.name('bucket'), os.urandom(100_000)
        (tmp_path / 'odd näme.bin').write_bytes(content)
        (tmp_path / 'empty').touch()
        ok(provider.create_bucket(bucket))
        assert provider.list_bucketfiles(bucket) == []
        for name in ('odd näme.bin', 'empty'):
            ok(provider.upload_to_bucket(bucket, str(tmp_path / name)))
        assert provider.list_bucketfiles(bucket) == ['empty', 'odd näme.bin']
        (tmp_path / 'here').mkdir()
        monkeypatch.chdir(tmp_path / 'here')
        path = Path(ok(provider.download_from_bucket(bucket, 'odd näme.bin'))['path'])
        assert path.resolve() == tmp_path / 'here' / 'odd näme.bin'
        assert path.read_bytes() == content
        ok(provider.delete_from_bucket(bucket, 'odd näme.bin'))
        assert provider.list_bucketfiles(bucket) == ['empty']
        for operation in (provider.delete_from_bucket, provider.download_from_bucket):
            refused(operation(bucket, 'odd näme.bin'), 'NotFound', names='odd näme.bin')
        ok(provider.delete_bucket(bucket))

    @needs('upload_to_bucket')
    def test_a_file_that_anybody_may_read_has_a_url(self, platform: Platform, provider: Kbase, tmp_path: Path) -> None:
        bucket = platform.harness.name('bucket')
        (tmp_path / 'page.html').write_text('hello')
        ok(provider.create_bucket(bucket))
        page = str(tmp_path / 'page.html')
        assert '://' in ok(provider.upload_to_bucket(bucket, page, public=True))['url']
        assert '://' in ok(provider.upload_to_bucket(bucket, page, temp_url=True))['url']

    @needs('upload_to_bucket', 'list_bucketfiles', 'download_from_bucket', 'delete_from_bucket')
    def test_what_is_not_there(self, platform: Platform, provider: Kbase, tmp_path: Path) -> None:
        bucket, absent = platform.harness.name('bucket'), str(tmp_path / 'absent.txt')
        ok(provider.create_bucket(bucket))
        refused(provider.upload_to_bucket(bucket, absent), 'NotFound', names='absent.txt')
        (tmp_path / 'there').touch()
        for operation in (provider.upload_to_bucket, provider.download_from_bucket, provider.delete_from_bucket):
            refused(operation('no-such-bucket', str(tmp_path / 'there')), 'NotFound', names='no-such-bucket')
        with pytest.raises(NotFound, match='no-such-bucket'):
            provider.list_bucketfiles('no-such-bucket')
        assert provider.list_bucketfiles(bucket) == []
