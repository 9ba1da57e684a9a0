"""Ssh keys that EC2 keeps."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from kvirt.providers.aws import Kaws
from kvirt.testing.wire import Wire
from tests.providers.aws.cloud import KEY, Account, connect, operation_of
from tests.providers.aws.conftest import ok, refused

ECDSA = ('ecdsa-sha2-nistp256 AAAAE2VjZHNhLXNoYTItbmlzdHAyNTYAAAAIbmlzdHAyNTYAAABBBO3aBPNZN0BxRDXBPOmf0TxLmsBuqSPnQV'
         'Bd5uZmxGY7n2WUoYRvgFeqEhQ0MkhkjIcJeFl0KQTkCJQ8ZbrVOBE=')


@pytest.fixture(scope='module')
def aws(wire: Wire, account: Account) -> Iterator[Kaws]:
    with connect(wire.url) as connection:
        yield connection


def test_the_public_half_is_kept_and_told(aws: Kaws, wire: Wire) -> None:
    ok(aws.create_key('mine', f'  {KEY}\n'))
    assert aws.list_keys()['mine'].split()[:2] == KEY.split()[:2]
    [asked] = [exchange.request for exchange in wire.exchanges if operation_of(exchange.request) == 'ImportKeyPair']
    assert b'Tag.1.Key=kvirt' in asked.body
    ok(aws.delete_key('mine'))


def test_a_key_of_which_only_a_fingerprint_is_told(aws: Kaws, account: Account) -> None:
    account.ec2.create_key_pair(KeyName='theirs')
    assert aws.list_keys()['theirs']
    ok(aws.delete_key('theirs'))


@pytest.mark.parametrize('text', [ECDSA, 'ssh-ed25519 AAAA', '-----BEGIN PUBLIC KEY-----'])
def test_what_ec2_does_not_take_is_refused_before_it_is_asked(aws: Kaws, wire: Wire, text: str) -> None:
    with wire.counting() as calls:
        refused(aws.create_key('odd', text), 'InvalidInput', 'odd')
    assert calls == []


def test_a_key_is_not_deleted_that_is_not_there(aws: Kaws) -> None:
    ok(aws.create_key('there', KEY))
    refused(aws.delete_key('their'), 'NotFound', 'their', "did you mean 'there'?")
    ok(aws.delete_key('there'))
