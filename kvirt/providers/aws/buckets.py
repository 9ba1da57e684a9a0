"""Buckets are S3's own."""

from __future__ import annotations

from typing import Any

from kvirt.providers.aws.account import Account
from kvirt.providers.families.places import EVERYWHERE
from kvirt.providers.families.s3 import S3Buckets


class Buckets(S3Buckets, Account):
    """The buckets of an account."""

    bucket_tags = True
    guarded = True

    def location_constraint(self) -> str | None:
        return None if self.here == 'us-east-1' else self.here  # in the oldest region it must not be said

    def open_store(self) -> Any:
        return self.client('s3')

    def bucket_filter(self) -> dict[str, str]:
        return {} if self.location == EVERYWHERE else {'BucketRegion': self.here}
