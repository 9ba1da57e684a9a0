"""Buckets of AWS itself; what they have in common with those of others is tested with the family."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests

from kvirt.providers.aws import Kaws
from kvirt.testing.wire import Wire
from tests.providers.aws.cloud import Account, connect
from tests.providers.aws.conftest import ok, refused


@pytest.fixture(scope='module')
def aws(wire: Wire, account: Account) -> Iterator[Kaws]:
    with connect(wire.url) as connection:
        yield connection


@pytest.fixture(scope='module')
def s3(account: Account) -> Any:
    return account.client('s3')


def test_a_bucket_is_in_the_region_of_the_client_and_listed_there(aws: Kaws, wire: Wire, account: Account, s3: Any) -> None:
    with connect(wire.url, location='eu-west-1', zone=None) as europe:
        ok(europe.create_bucket('in-europe'))
        ok(aws.create_bucket('in-america'))
        assert s3.get_bucket_location(Bucket='in-europe')['LocationConstraint'] == 'eu-west-1'
        assert (europe.list_buckets(), aws.list_buckets()) == (['in-europe'], ['in-america'])
        refused(aws.create_bucket('in-europe'), 'AlreadyExists', 'in-europe')
    with connect(wire.url, location='all', zone=None) as everywhere:
        assert everywhere.list_buckets() == ['in-america', 'in-europe']
    for name in ('in-europe', 'in-america'):
        ok(aws.delete_bucket(name))


def test_what_is_public_is_so_by_an_opened_guard_and_nothing_else(aws: Kaws, wire: Wire, account: Account, s3: Any,
                                                                 tmp_path: Path) -> None:
    page = tmp_path / 'page.html'
    page.write_text('hello')
    ok(aws.create_bucket('guarded'))
    assert s3.get_bucket_tagging(Bucket='guarded')['TagSet'] == [{'Key': 'kvirt', 'Value': 'bucket'}]
    url = ok(aws.upload_to_bucket('guarded', str(page), public=True))['url']
    block = s3.get_public_access_block(Bucket='guarded')['PublicAccessBlockConfiguration']
    assert block == {'BlockPublicAcls': False, 'IgnorePublicAcls': False, 'BlockPublicPolicy': True,
                     'RestrictPublicBuckets': True}
    [rule] = s3.get_bucket_ownership_controls(Bucket='guarded')['OwnershipControls']['Rules']
    assert rule == {'ObjectOwnership': 'BucketOwnerPreferred'}
    assert requests.get(url.replace(wire.url, account.app.url), timeout=10).text == 'hello'
    ok(aws.delete_bucket('guarded'))
