"""Buckets over S3, on a store as others imitate it and on one that guards buckets as AWS does."""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
import requests

from kvirt.base import Kbase
from kvirt.errors import MissingDependency, NotFound
from kvirt.providers.families import s3
from kvirt.providers.families.s3 import KeyedBuckets, S3Buckets
from kvirt.result import Result
from kvirt.testing.sweep import Haste
from kvirt.testing.wire import Answer, Request, Wire

Everybody = Callable[[str], requests.Response]

KEY_ID, SECRET = 'AKIAIOSFODNN7EXAMPLE', 'wJalrXUtnFEMIexample'


class Imitation(KeyedBuckets):
    """A store of another company."""

    store_url = 'https://{}.store.example'

    def __init__(self, url: str | None, location: str = 'us-east-1', secret: str | None = SECRET) -> None:
        self.url, self.place, self.clock = url, location, Haste()
        self.keep_store(url, KEY_ID, secret, hint='Give access_key_id and access_key_secret')

    def store_place(self) -> str:
        return self.place

    def location_constraint(self) -> str | None:
        return None if self.place == 'us-east-1' else self.place


class Guarded(Imitation):
    """A store with tags, whose buckets guard themselves."""

    bucket_tags = True
    guarded = True


@pytest.fixture(scope='module')
def stores(store_wire: Wire) -> dict[str, Imitation]:
    return {'imitation': Imitation(store_wire.url), 'guarded': Guarded(store_wire.url)}


@pytest.fixture
def store(wire: Wire, stores: dict[str, Imitation]) -> Imitation:
    return stores['imitation']


@pytest.fixture
def guarded(wire: Wire, stores: dict[str, Imitation]) -> Imitation:
    return stores['guarded']


@pytest.fixture(params=['imitation', 'guarded'])
def either(request: pytest.FixtureRequest, wire: Wire, stores: dict[str, Imitation]) -> Imitation:
    return stores[request.param]


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / 'page.html'
    path.write_text('<p>hello')
    return path


def ok(result: Result) -> Result:
    assert result['result'] == 'success', result
    return result


def refused(result: Result, error: str, *words: str) -> None:
    assert result.get('error') == error, result
    assert all(word in result['reason'] for word in words), result['reason']


# who may read

@pytest.fixture
def everybody(moto: str, wire: Wire) -> Everybody:
    """Return how somebody without keys reads a URL, past the wire: these are no calls of ours."""
    return lambda url: requests.get(url.replace(wire.url, moto), timeout=10)


def test_what_is_not_said_to_be_public_is_private(either: Imitation, file: Path, everybody: Everybody) -> None:
    ok(either.create_bucket('logs'))
    assert 'url' not in ok(either.upload_to_bucket('logs', str(file)))
    assert everybody(f'{either.url}/logs/page.html').status_code == 403


def test_a_public_file_in_a_private_bucket(either: Imitation, file: Path, everybody: Everybody) -> None:
    ok(either.create_bucket('site'))
    ok(either.upload_to_bucket('site', str(file), {'path': 'secret.html'}))
    url = ok(either.upload_to_bucket('site', str(file), public=True))['url']
    answer = everybody(url)
    assert (answer.status_code, answer.text, answer.headers['content-type']) == (200, '<p>hello', 'text/html')
    assert everybody(url.replace('page', 'secret')).status_code == 403


def test_all_files_of_a_public_bucket_can_be_read(either: Imitation, file: Path, past: Any, everybody: Everybody) -> None:
    ok(either.create_bucket('site', public=True))
    url = ok(either.upload_to_bucket('site', str(file), {'path': 'a/b c.html'}))['url']
    assert '?' not in url
    assert everybody(url).text == '<p>hello'
    [statement] = json.loads(past.get_bucket_policy(Bucket='site')['Policy'])['Statement']
    assert (statement['Action'], statement['Resource']) == ('s3:GetObject', 'arn:aws:s3:::site/*')


def test_a_temporary_address_is_good_for_a_day(store: Imitation, file: Path, everybody: Everybody) -> None:
    ok(store.create_bucket('logs'))
    url = ok(store.upload_to_bucket('logs', str(file), temp_url=True))['url']
    asked = parse_qs(urlsplit(url).query)
    assert (asked['X-Amz-Expires'], asked['X-Amz-Algorithm']) == (['86400'], ['AWS4-HMAC-SHA256'])
    assert everybody(url).text == '<p>hello'
    assert SECRET not in url


def test_the_guard_of_a_bucket_is_opened_no_further_than_asked(guarded: Imitation, file: Path, past: Any) -> None:
    def guards(bucket: str) -> set[str]:
        block = past.get_public_access_block(Bucket=bucket)['PublicAccessBlockConfiguration']
        return {name for name, closed in block.items() if closed}
    ok(guarded.create_bucket('everything', public=True))
    ok(guarded.create_bucket('one'))
    ok(guarded.upload_to_bucket('one', str(file), public=True))
    assert guards('everything') == {'BlockPublicAcls', 'IgnorePublicAcls'}
    assert guards('one') == {'BlockPublicPolicy', 'RestrictPublicBuckets'}


def test_the_guard_of_somebody_elses_bucket_stays(guarded: Imitation, file: Path, past: Any) -> None:
    past.create_bucket(Bucket='theirs')
    refused(guarded.upload_to_bucket('theirs', str(file), public=True), 'Conflict', 'theirs')
    assert past.list_objects_v2(Bucket='theirs')['KeyCount'] == 0


def test_a_guard_that_takes_a_while_to_open_is_waited_for(guarded: Imitation, wire: Wire) -> None:
    denied = iter([True, True, False])
    app = wire.app

    def slow(request: Request) -> Answer:
        if request.method == 'PUT' and request.asked('policy') is not None and next(denied):
            return Answer(403, b'<Error><Code>AccessDenied</Code><Message>public policies are blocked</Message></Error>')
        return app(request)
    wire.app, before = slow, guarded.clock.now()
    ok(guarded.create_bucket('site', public=True))
    assert guarded.clock.now() - before == 2


# buckets

def test_a_bucket_goes_with_all_versions_of_its_files(either: Imitation, past: Any) -> None:
    ok(either.create_bucket('old'))
    past.put_bucket_versioning(Bucket='old', VersioningConfiguration={'Status': 'Enabled'})
    for number in range(5):
        past.put_object(Bucket='old', Key=f'{number % 2}', Body=b'x')
    past.delete_object(Bucket='old', Key='0')
    ok(either.delete_bucket('old'))
    assert either.list_buckets() == []


def test_the_deletion_of_many_files_is_signed_as_old_stores_want_it(store: Imitation, wire: Wire, file: Path) -> None:
    ok(store.create_bucket('old'))
    ok(store.upload_to_bucket('old', str(file)))
    ok(store.delete_bucket('old'))
    [deletion] = [each.request for each in wire.exchanges if each.request.method == 'POST']
    assert deletion.headers['content-md5']


def test_a_file_that_can_not_be_deleted_is_named(store: Imitation, wire: Wire, file: Path) -> None:
    app = wire.app
    ok(store.create_bucket('kept'))
    ok(store.upload_to_bucket('kept', str(file)))
    fault = b'<Error><Key>page.html</Key><Code>AccessDenied</Code><Message>locked</Message></Error>'
    body = b'<DeleteResult>' + fault + b'</DeleteResult>'
    wire.app = lambda request: Answer(200, body) if request.method == 'POST' else app(request)
    refused(store.delete_bucket('kept'), 'Unauthorized', 'kept', 'page.html', 'locked')


def test_long_lists_are_read_page_by_page(store: Imitation, wire: Wire, past: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv('MOTO_S3_DEFAULT_MAX_KEYS', '2')
    ok(store.create_bucket('many'))
    for number in range(7):
        past.put_object(Bucket='many', Key=f'{number}', Body=b'')
    with wire.counting() as calls:
        assert store.list_bucketfiles('many') == [str(number) for number in range(7)]
    assert len(calls) == 4


def test_long_lists_of_buckets_are_read_page_by_page(store: Imitation, wire: Wire) -> None:
    def paged(request: Request) -> Answer:
        page = int(request.asked('continuation-token') or 0)
        more = f'<ContinuationToken>{page + 1}</ContinuationToken>' if page < 3 else ''
        return Answer(200, f'<ListAllMyBucketsResult><Buckets><Bucket><Name>b{page}</Name></Bucket></Buckets>{more}'
                           '</ListAllMyBucketsResult>'.encode())
    wire.app = paged
    assert store.list_buckets() == ['b0', 'b1', 'b2', 'b3']


@pytest.mark.parametrize('name', ['ab', 'Logs', 'under_score', '-logs', 'logs-', 'a..b', 'x' * 64])
def test_what_can_not_name_a_bucket_is_refused_before_anything_is_asked(store: Imitation, wire: Wire, name: str) -> None:
    refused(store.create_bucket(name), 'InvalidInput', name)
    assert wire.calls == []


def test_ones_own_bucket_is_not_made_twice_where_a_store_would_answer_success(store: Imitation) -> None:
    ok(store.create_bucket('mine'))
    assert store.s3.create_bucket(Bucket='mine')['ResponseMetadata']['HTTPStatusCode'] == 200, 'as it would be here'
    refused(store.create_bucket('mine'), 'AlreadyExists', 'mine')


def test_a_bucket_of_somebody_else_exists(store: Imitation, wire: Wire) -> None:
    app = wire.app
    wire.app = lambda request: Answer(403) if request.method == 'HEAD' else app(request)
    refused(store.create_bucket('theirs'), 'AlreadyExists', 'theirs')


def test_a_bucket_whose_answer_was_lost_is_made(wire: Wire) -> None:
    store = Imitation(wire.url, location='eu-west-1')
    wire.fail(2, 'lost')
    ok(store.create_bucket('mine'))
    assert [call for call in wire.calls if call.startswith('PUT')] == ['PUT /mine', 'PUT /mine']
    assert store.list_buckets() == ['mine']


@pytest.mark.parametrize('step', ['tagging', 'publicAccessBlock', 'policy'])
@pytest.mark.parametrize('breakage', ['refused', 'lost'])
def test_a_bucket_that_can_not_be_finished_is_not_there(guarded: Imitation, wire: Wire, past: Any, step: str,
                                                         breakage: str) -> None:
    wire.fail(1, breakage, times=9, matches=lambda request: request.method == 'PUT' and request.asked(step) is not None)
    assert not guarded.create_bucket('half', public=True).ok
    assert past.list_buckets()['Buckets'] == []


def test_a_bucket_that_may_have_been_made_is_not_there(store: Imitation, wire: Wire, past: Any) -> None:
    wire.fail(1, 'lost', times=6, matches=lambda request: request.method == 'PUT')
    refused(store.create_bucket('perhaps'), 'Unavailable', 'perhaps')
    assert past.list_buckets()['Buckets'] == []


def test_a_bucket_that_somebody_else_makes_meanwhile_is_left_alone(store: Imitation, wire: Wire, past: Any) -> None:
    app = wire.app

    def racing(request: Request) -> Answer:
        answer = app(request)
        if request.method == 'HEAD':
            past.create_bucket(Bucket='raced')
        return Answer(409, b'<Error><Code>BucketAlreadyExists</Code></Error>') if request.method == 'PUT' else answer
    wire.app = racing
    refused(store.create_bucket('raced'), 'AlreadyExists', 'raced')
    assert [bucket['Name'] for bucket in past.list_buckets()['Buckets']] == ['raced']


# files

def test_a_large_file_goes_in_parts(store: Imitation, wire: Wire, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    large = tmp_path / 'large.bin'
    large.write_bytes(bytes(range(256)) * 4 * 9 * 1024)
    ok(store.create_bucket('big'))
    ok(store.upload_to_bucket('big', str(large)))
    parts = [each.request for each in wire.exchanges if each.request.asked('partNumber')]
    assert sorted(part.asked('partNumber') or '' for part in parts) == ['1', '2']
    assert not any('x-amz-sdk-checksum-algorithm' in part.headers or 'x-amz-trailer' in part.headers for part in parts)
    (tmp_path / 'here').mkdir()
    monkeypatch.chdir(tmp_path / 'here')
    assert Path(ok(store.download_from_bucket('big', 'large.bin'))['path']).read_bytes() == large.read_bytes()


def test_a_download_that_fails_leaves_what_was_there(store: Imitation, wire: Wire, file: Path, tmp_path: Path,
                                                     monkeypatch: pytest.MonkeyPatch) -> None:
    ok(store.create_bucket('logs'))
    ok(store.upload_to_bucket('logs', str(file), {'path': 'deep/page.html'}))
    here = tmp_path / 'here'
    here.mkdir()
    (here / 'page.html').write_text('mine')
    monkeypatch.chdir(here)
    wire.fail(1, 'error', times=99, matches=lambda request: request.method == 'GET')
    refused(store.download_from_bucket('logs', 'deep/page.html'), 'Unavailable', 'logs')
    assert [(path.name, path.read_text()) for path in here.iterdir()] == [('page.html', 'mine')]
    wire.calm()
    ok(store.download_from_bucket('logs', 'deep/page.html'))
    assert (here / 'page.html').read_text() == '<p>hello'


@pytest.mark.parametrize('name', ['../up', '/etc/passwd', '..', 'a/../../b', 'x' * 1025, 'a\nb'])
def test_a_file_is_only_kept_under_a_path_within_its_bucket(store: Imitation, file: Path, name: str) -> None:
    ok(store.create_bucket('logs'))
    refused(store.upload_to_bucket('logs', str(file), {'path': name}), 'InvalidInput')
    assert store.list_bucketfiles('logs') == []


def test_what_is_not_there_is_named_with_the_likely_one(store: Imitation, file: Path) -> None:
    ok(store.create_bucket('logs'))
    ok(store.upload_to_bucket('logs', str(file)))
    refused(store.delete_from_bucket('logs', 'pag.html'), 'NotFound', 'pag.html', "did you mean 'page.html'?")
    refused(store.delete_from_bucket('blogs', 'page.html'), 'NotFound', 'blogs')
    with pytest.raises(NotFound, match='bucket blogs does not exist'):
        store.list_bucketfiles('blogs')


# the connection

@pytest.mark.parametrize('breakage', ['limited', 'unavailable'])
def test_a_store_that_stumbles_is_asked_again(either: Imitation, wire: Wire, file: Path, breakage: str) -> None:
    wire.storm(breakage, every=3)
    ok(either.create_bucket('logs', public=True))
    ok(either.upload_to_bucket('logs', str(file)))
    assert either.list_bucketfiles('logs') == ['page.html']
    ok(either.delete_bucket('logs'))


def test_without_keys_nothing_of_buckets_can_be_had_and_the_reason_says_why(wire: Wire) -> None:
    store = Imitation(wire.url, secret=None)
    refused(store.create_bucket('logs'), 'NotSupported', 'Give access_key_id and access_key_secret')
    buckets = {each.operation for each in Imitation.capabilities() if each.area == 'buckets'}
    assert buckets == set(store.lacks) == {each for each in buckets if not store.supports(each)}
    assert s3.lacking(KEY_ID, SECRET, '') == {}
    assert wire.calls == []


def test_a_store_is_where_it_is_said_to_be_and_else_where_its_location_is() -> None:
    assert Imitation('http://127.0.0.1:9').s3.meta.endpoint_url == 'http://127.0.0.1:9'
    assert Imitation(None, 'ams3').s3.meta.endpoint_url == 'https://ams3.store.example'


def test_without_boto3_the_command_is_told_that_installs_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, 'boto3', None)
    with pytest.raises(MissingDependency, match=r"pip install 'kvirt\[s3\]'"):
        Imitation('http://127.0.0.1:9').list_buckets()


def test_settings_for_aws_on_this_machine_have_no_say(wire: Wire, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = tmp_path / 'config'
    settings.write_text('[default]\nregion = eu-west-3\nendpoint_url = http://127.0.0.1:9\n')
    for name, value in {'AWS_CONFIG_FILE': str(settings), 'AWS_PROFILE': 'absent', 'AWS_SESSION_TOKEN': 'other',
                        'AWS_ENDPOINT_URL_S3': 'http://127.0.0.1:9',
                        'AWS_REQUEST_CHECKSUM_CALCULATION': 'when_supported'}.items():
        monkeypatch.setenv(name, value)
    assert Imitation(wire.url).list_buckets() == []
    [exchange] = wire.exchanges
    assert 'x-amz-security-token' not in exchange.request.headers


def test_the_secret_is_in_no_log(store: Imitation, file: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG), caplog.at_level(logging.DEBUG, 'botocore'):
        ok(store.create_bucket('logs'))
        ok(store.upload_to_bucket('logs', str(file), temp_url=True))
    assert 'CanonicalRequest' in caplog.text, 'what is signed was logged'
    assert SECRET not in caplog.text


def test_the_family_is_a_provider_of_buckets_and_of_nothing_else() -> None:
    supported = {each.area for each in S3Buckets.capabilities() if each.mark == 'supported'}
    assert supported == {'buckets'}
    assert issubclass(S3Buckets, Kbase)
