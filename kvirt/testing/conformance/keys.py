"""Ssh keys that a platform keeps."""

from __future__ import annotations

import base64
import secrets

import pytest

from kvirt.base import Kbase
from kvirt.testing.platform import KEY, Platform, ok, refused

needs = pytest.mark.needs


def public_key() -> str:
    """Return a public key that no platform has."""
    blob = b''.join(len(part).to_bytes(4, 'big') + part for part in (b'ssh-ed25519', secrets.token_bytes(32)))
    return f'ssh-ed25519 {base64.b64encode(blob).decode()} conformance'


@needs('create_key', 'list_keys', 'delete_key')
class TestKeys:
    """Create, list, delete."""

    def test_a_key(self, platform: Platform, provider: Kbase) -> None:
        name = platform.harness.name('key')
        ok(provider.create_key(name, KEY))
        kept = provider.list_keys()[name]
        assert kept.split()[:2] == KEY.split()[:2] or ':' in kept, 'the key, or its fingerprint'
        refused(provider.create_key(name, KEY), 'AlreadyExists', names=name)
        ok(provider.delete_key(name))
        platform.shows(lambda: name in provider.list_keys(), False)
        refused(provider.delete_key(name), 'NotFound', names=name)

    def test_many_keys_are_listed(self, platform: Platform, provider: Kbase) -> None:
        made = {platform.harness.name('key'): public_key() for _ in range(platform.harness.many)}
        for name, key in made.items():
            ok(provider.create_key(name, key))
        assert [name for name in provider.list_keys() if name in made] == sorted(made)

    @needs('create', 'info', 'delete')
    def test_keys_that_come_with_vms_go_with_the_last_of_them(self, platform: Platform, provider: Kbase) -> None:
        before = provider.list_keys()
        first, second = platform.vm(), platform.vm()
        ok(provider.delete(first))
        platform.gone(first)
        assert provider.exists(second)
        ok(provider.delete(second))
        platform.gone(second)
        platform.shows(provider.list_keys, before)

    @needs('create', 'info', 'delete')
    def test_a_key_of_the_users_own_stays(self, platform: Platform, provider: Kbase) -> None:
        name, key = platform.harness.name('key'), public_key()
        ok(provider.create_key(name, key))
        before = provider.list_keys()
        vm = platform.vm(keys=[key])
        assert provider.list_keys() == before, 'a key that is there is not stored again'
        ok(provider.delete(vm))
        platform.gone(vm)
        assert provider.list_keys() == before

    @pytest.mark.parametrize('text', ['', 'no key', 'ssh-ed25519', 'ssh-ed25519 !!!', '-----BEGIN PRIVATE KEY-----'])
    def test_what_is_no_public_key_is_refused(self, platform: Platform, provider: Kbase, text: str) -> None:
        with platform.nothing_made():
            refused(provider.create_key(platform.harness.name('key'), text), 'InvalidInput')
