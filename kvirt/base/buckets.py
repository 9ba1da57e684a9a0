"""The area of buckets: object storage."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from kvirt.base.area import Area, area, serves
from kvirt.errors import NotSupported
from kvirt.names import safe_name
from kvirt.result import Result


@area
class Buckets(Area):
    """Buckets and the files in them."""

    def create_bucket(self, bucket: str, public: bool = False) -> Result:
        """Create *bucket*; readable by everybody with *public*. AlreadyExists."""
        return self._attempt(self._create_bucket_checked, bucket, public)

    @serves('create_bucket')
    def _create_bucket_checked(self, bucket: str, public: bool) -> None:
        self._create_bucket(safe_name('bucket', bucket), public)

    def _create_bucket(self, bucket: str, public: bool = False) -> None:
        raise NotSupported('')

    def delete_bucket(self, bucket: str) -> Result:
        """Delete *bucket* and the files in it."""
        return self._attempt(self._delete_bucket, bucket)

    def _delete_bucket(self, bucket: str) -> None:
        raise NotSupported('')

    def list_buckets(self) -> list[str]:
        """Return the names of the buckets."""
        return self._ask(self._list_buckets)

    def _list_buckets(self) -> list[str]:
        raise NotSupported('')

    def list_bucketfiles(self, bucket: str) -> list[str]:
        """Return the paths of the files in *bucket*. NotFound when there is no such bucket."""
        return self._ask(self._list_bucketfiles, bucket)

    def _list_bucketfiles(self, bucket: str) -> list[str]:
        raise NotSupported('')

    def upload_to_bucket(self, bucket: str, path: str, overrides: Mapping[str, Any] | None = None,
                         temp_url: bool = False, public: bool = False) -> Result:
        """Upload local file *path* to *bucket*.

        The success holds ``url`` when the file can be read there: *public*, or *temp_url* (for a day).
        """
        return self._attempt(self._upload_to_bucket, bucket, path, overrides, temp_url, public)

    def _upload_to_bucket(self, bucket: str, path: str, overrides: Mapping[str, Any] | None = None,
                          temp_url: bool = False, public: bool = False) -> Mapping[str, Any] | None:
        raise NotSupported('')

    def download_from_bucket(self, bucket: str, path: str) -> Result:
        """Download file *path* of *bucket* to the current folder, under its own name. The success holds ``path``."""
        return self._attempt(self._download_from_bucket, bucket, path)

    def _download_from_bucket(self, bucket: str, path: str) -> Mapping[str, Any] | None:
        raise NotSupported('')

    def delete_from_bucket(self, bucket: str, path: str) -> Result:
        """Delete file *path* of *bucket*."""
        return self._attempt(self._delete_from_bucket, bucket, path)

    def _delete_from_bucket(self, bucket: str, path: str) -> None:
        raise NotSupported('')
