"""Ssh keys that a platform keeps."""

from __future__ import annotations

import pytest

from kvirt.base import Kbase
from kvirt.testing.platform import KEY, Platform, ok, refused

needs = pytest.mark.needs


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
        assert name not in provider.list_keys()
        refused(provider.delete_key(name), 'NotFound', names=name)

    @pytest.mark.parametrize('text', ['', 'no key', 'ssh-ed25519', 'ssh-ed25519 !!!', '-----BEGIN PRIVATE KEY-----'])
    def test_what_is_no_public_key_is_refused(self, platform: Platform, provider: Kbase, text: str) -> None:
        with platform.nothing_made():
            refused(provider.create_key(platform.harness.name('key'), text), 'InvalidInput')
