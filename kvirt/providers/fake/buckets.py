"""Buckets: object storage, with what is in the files kept in the world."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import Any

from kvirt.errors import InvalidInput, NotFound
from kvirt.names import did_you_mean, safe_name
from kvirt.providers.fake import mapping
from kvirt.providers.fake.account import Account
from kvirt.providers.fake.records import Bucket
from kvirt.providers.fake.world import Transaction

_SITE = 'https://buckets.fake.invalid'
_DAY = 86400


class Buckets(Account):
    """The buckets of an account."""

    def _create_bucket(self, bucket: str, public: bool = False) -> None:
        with self.conn.change() as world:
            self.within_quota(world, 'buckets', Bucket)
            world.add(Bucket(name=safe_name('bucket', bucket), public=public))

    def _delete_bucket(self, bucket: str) -> None:
        with self.conn.change() as world:
            world.drop(world.need(Bucket, bucket))
            world.execute('DELETE FROM files WHERE bucket = ?', (bucket,))

    def _list_buckets(self) -> list[str]:
        with self.conn.read() as world:
            return world.names(Bucket)

    def _list_bucketfiles(self, bucket: str) -> list[str]:
        with self.conn.read() as world:
            world.need(Bucket, bucket)
            return _files(world, bucket)

    def _upload_to_bucket(self, bucket: str, path: str, overrides: Mapping[str, Any] | None = None,
                          temp_url: bool = False, public: bool = False) -> Mapping[str, Any] | None:
        """Keep the file under its own name, or as ``overrides['path']``."""
        local = Path(path).expanduser()
        if not local.is_file():
            raise NotFound(f'{path} does not exist')
        kept = _path_in_bucket((overrides or {}).get('path') or local.name)
        content = local.read_bytes()
        with self.conn.change() as world:
            public = public or world.need(Bucket, bucket).public
            world.execute('REPLACE INTO files VALUES (?, ?, ?, ?)', (bucket, kept, public, content))
        url = f'{_SITE}/{bucket}/{kept}'
        if public:
            return {'url': url}
        return {'url': f'{url}?expires={mapping.iso_date(self.time() + _DAY)}'} if temp_url else None

    def _download_from_bucket(self, bucket: str, path: str) -> Mapping[str, Any] | None:
        with self.conn.read() as world:
            world.need(Bucket, bucket)
            found = world.execute('SELECT content FROM files WHERE bucket = ? AND path = ?', (bucket, path)).fetchone()
            if found is None:
                raise _absent(world, bucket, path)
        target = Path(PurePosixPath(path).name).absolute()
        _write(target, found[0])
        return {'path': str(target)}

    def _delete_from_bucket(self, bucket: str, path: str) -> None:
        with self.conn.change() as world:
            world.need(Bucket, bucket)
            if world.execute('DELETE FROM files WHERE bucket = ? AND path = ?', (bucket, path)).rowcount == 0:
                raise _absent(world, bucket, path)


def _files(world: Transaction, bucket: str) -> list[str]:
    return [path for (path,) in world.execute('SELECT path FROM files WHERE bucket = ? ORDER BY path', (bucket,))]


def _absent(world: Transaction, bucket: str, path: str) -> NotFound:
    return NotFound(f'bucket {bucket} has no file {path}{did_you_mean(path, _files(world, bucket))}')


def _path_in_bucket(value: Any) -> str:
    """Return a path that can name a file of a bucket, and later a file on somebody's disk. InvalidInput."""
    path = PurePosixPath(str(value))
    if path.is_absolute() or '..' in path.parts or not path.name or any(ord(letter) < 32 for letter in str(path)):
        raise InvalidInput(f'{value!r} can not name a file in a bucket', hint='Use a relative path: docs/readme.txt')
    return str(path)


def _write(target: Path, content: bytes) -> None:
    """Write a file whole or not at all."""
    import tempfile  # it loads all that unpacks
    handle, temporary = tempfile.mkstemp(dir=target.parent, prefix='.kvirt-')
    try:
        with os.fdopen(handle, 'wb') as file:
            file.write(content)
        os.chmod(temporary, 0o644)
        os.replace(temporary, target)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
