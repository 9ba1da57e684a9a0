"""Creating VMs: all or nothing."""

from __future__ import annotations

import base64
import re
import secrets
from typing import Any

import pytest

from kvirt.base import Kbase
from kvirt.testing.harness import REFUSALS
from kvirt.testing.platform import Platform, can_not_be, card_id, ok, refused

needs = pytest.mark.needs


@needs('create', 'list', 'info', 'delete')
class TestCreate:
    """All or nothing."""

    def test_a_success_tells_the_name_and_the_host_key(self, platform: Platform, provider: Kbase) -> None:
        name = platform.harness.name('vm')
        result = ok(provider.create(name, **platform.asked()))
        assert result['name'] == name
        assert result['hostkey'].startswith('ssh-')
        if 'id' in result:
            assert provider.info(name)['id'] == result['id']

    def test_no_host_key_is_made_when_it_would_not_be_verified(self, platform: Platform, provider: Kbase) -> None:
        result = ok(provider.create(platform.harness.name('vm'), **platform.asked(insecure=True)))
        assert 'hostkey' not in result

    def test_the_fingerprint_of_the_host_key_is_kept_on_the_vm(self, platform: Platform, provider: Kbase) -> None:
        assert provider.info(platform.vm())['hostkey'].startswith('SHA256:')

    def test_a_vm_is_started_unless_asked_otherwise(self, platform: Platform) -> None:
        name = platform.harness.name('vm')
        asked = platform.asked()
        asked.pop('start', None)
        ok(platform.provider.create(name, **asked))
        platform.wait(name, 'running')

    def test_a_typical_vm(self, platform: Platform, provider: Kbase) -> None:
        data, (first, *others) = platform.gib(2), platform.two_nets()
        name = platform.running(
            plan='shop', profile='small', owner='alice', tags=['a', 'b'], numcpus=2, memory='1g',
            disks=[12, {'size': f'{data}G'}], nets=[first, *({'name': name} for name in others)],
            cmds=['echo "a: b" > /x', '[ -f /x ] && echo done'],
            files=[{'path': '/etc/motd', 'content': 'hello\n', 'mode': '0644'}], hostname='shop', domain='lab.example',
            metadata={'team': 'web'}, HTTP_PROXY='http://proxy.example:3128', wait=False)
        known: dict[str, Any] = {**provider.info(name)}
        assert (known['plan'], known['profile'], known['owner'], known['team']) == ('shop', 'small', 'alice', 'web')
        assert known['numcpus'] >= 2
        assert known['memory'] >= 1024
        root, other = (disk['size'] for disk in known['disks'])
        assert other == data
        assert root == 12 or (root > 12 and known['flavor']), 'a larger root disk is the flavor\'s'
        assert [card['net'] for card in known['nets']] == [first, *others]
        assert len({card_id(card) for card in known['nets']}) == 1 + len(others)

    def test_a_mac_address_that_was_asked_for_is_the_one(self, platform: Platform, provider: Kbase) -> None:
        nets = [{'name': platform.network, 'mac': '52:54:00:AB:cd:01'}]
        if platform.lacks('mac'):
            return self.refused_whole(platform, nets=nets)
        assert [card['mac'] for card in provider.info(platform.vm(nets=nets))['nets']] == ['52:54:00:ab:cd:01']

    def test_a_vm_without_cards(self, platform: Platform, provider: Kbase) -> None:
        if platform.lacks('cardless'):
            return self.refused_whole(platform, nets=[])
        assert provider.info(platform.vm(nets=[])).get('nets', []) == []

    def test_more_cards_than_a_vm_can_have_are_refused(self, platform: Platform) -> None:
        if not platform.lacks('cards') and not platform.lacks('card twice'):
            pytest.skip('a VM can have several cards on a network here')
        self.refused_whole(platform, nets=[platform.network, platform.network])

    def test_what_the_platform_can_not_have_is_refused(self, platform: Platform, provider: Kbase) -> None:
        if not provider.supports('update_start'):
            self.refused_whole(platform, autostart=True)
        if not provider.supports('list_pools'):
            self.refused_whole(platform, pool='fast')
        if provider.starts_at_once:
            self.refused_whole(platform, start=False)

    @staticmethod
    def refused_whole(platform: Platform, **keywords: Any) -> None:
        """Fail unless a VM with *keywords* is refused, and nothing is made."""
        with platform.nothing_made():
            can_not_be(platform.provider.create(platform.harness.name('vm'), **platform.asked(**keywords)))

    def test_a_name_that_is_taken_is_refused_and_its_vm_untouched(self, platform: Platform, provider: Kbase) -> None:
        name = platform.vm(plan='first')
        before = provider.info(name)
        with platform.nothing_made():
            refused(provider.create(name, **platform.asked(plan='second')), 'AlreadyExists', names=name)
        assert provider.info(name) == before

    @pytest.mark.parametrize(('keywords', 'errors'), [
        ({'image': 'no-such-image'}, ['NotFound']),
        ({'pool': 'no-such-pool'}, ['NotFound']),
        ({'nets': ['no-such-network']}, ['NotFound']),
        ({'disks': [10, {'size': 1, 'pool': 'no-such-pool'}]}, ['NotFound']),
        ({'disks': [10, {'size': 1, 'image': 'no-such-image'}]}, ['NotFound']),
        ({'nets': [None, 'no-such-network']}, ['NotFound']),
        ({'iso': 'no-such.iso'}, ['NotFound']),
        ({'memroy': 512}, ['InvalidInput']),
        ({'memory': '-1'}, ['InvalidInput']),
        ({'memory': '10Q'}, ['InvalidInput']),
        ({'numcpus': 0}, ['InvalidInput']),
        ({'disks': ['10Q']}, ['InvalidInput']),
        ({'disks': [{'size': 10, 'sise': 10}]}, ['InvalidInput']),
        ({'nets': [{'name': 'default', 'mac': 'zz:zz'}]}, ['InvalidInput']),
        ({'plan': '../x'}, ['InvalidInput']),
        ({'files': [{'path': '/x', 'origin': '/no/such/file'}]}, ['InvalidInput', 'NotFound']),
        ({'scripts': ['/no/such/script.sh']}, ['InvalidInput', 'NotFound']),
        ({'cmds': ['echo {{ no_such_value }}']}, ['InvalidInput']),
    ], ids=lambda value: ' '.join(f'{key} {each}' for key, each in value.items()) if isinstance(value, dict) else '')
    def test_a_create_that_can_not_be_makes_nothing(self, platform: Platform, provider: Kbase,
                                                    keywords: dict[str, Any], errors: list[str]) -> None:
        if None in keywords.get('nets', ()):
            keywords = {'nets': [platform.network, 'no-such-network']}
        if isinstance(keywords.get('disks', [0])[-1], dict) and len(keywords['disks']) > 1:
            keywords = {'disks': [10, {**keywords['disks'][1], 'size': platform.gib(1)}]}
        impossible = any((
            'pool' in str(keywords) and not provider.supports('list_pools'),
            'image' in str(keywords.get('disks')) and platform.lacks('disk image'),
            len(keywords.get('nets', ())) > 1 and platform.lacks('cards'),
            'iso' in keywords and not provider.supports('update_iso')))
        name = platform.harness.name('vm')
        with platform.nothing_made():
            result = provider.create(name, **platform.asked(**keywords))
        reason = refused(result, *errors, *(REFUSALS if impossible else ()))
        assert impossible or 'no-such' not in str(keywords) or 'no-such' in reason, reason
        assert not provider.exists(name)
        ok(provider.create(name, **platform.asked()))

    def test_every_fault_of_the_keywords_is_told_at_once(self, platform: Platform, provider: Kbase) -> None:
        asked = platform.asked(memroy=1, numcpus='x', disks=['10Q'])
        reason = refused(provider.create(platform.harness.name('vm'), **asked), 'InvalidInput')
        assert all(word in reason for word in ('memroy', 'numcpus', '10Q'))

    def test_more_than_a_guest_can_be_told_is_refused(self, platform: Platform, provider: Kbase) -> None:
        limit = platform.harness.userdata_limit
        if limit is None:
            pytest.skip('a guest can be told anything here')
        name, much = platform.harness.name('vm'), secrets.token_hex(limit)  # which can not be compressed to less
        with platform.nothing_made():
            reason = refused(provider.create(name, **platform.asked(files=[{'path': '/much', 'content': much}])),
                             'InvalidInput')
        assert re.search(rf'\b({limit}|{limit:,}|{limit // 1024} ?Ki?B)\b', reason), f'the limit is not named: {reason}'
        assert much[:40] not in reason
        assert not provider.exists(name)

    def test_what_a_guest_is_told_stands_in_no_log(self, platform: Platform, provider: Kbase,
                                                   caplog: pytest.LogCaptureFixture) -> None:
        password, content = f'pass-{secrets.token_hex(8)}', f'content-{secrets.token_hex(8)}'
        with caplog.at_level('DEBUG'):
            result = provider.create(platform.harness.name('vm'), **platform.asked(
                rootpassword=password, files=[{'path': '/etc/token', 'content': content}]))
        ok(result)
        for secret in (password, content, 'PRIVATE KEY', *platform.harness.secrets()):
            for shown in spellings(secret):
                assert shown not in caplog.text, f'{secret} was logged, perhaps as {shown}'
                assert shown not in str(result)


def spellings(secret: str) -> list[str]:
    """Return how *secret* stands in a text: as it is, and in each of the ways that base64 has for it."""
    inner = [base64.b64encode(bytes(shift) + secret.encode()).decode()[4 if shift else 0:].rstrip('=')[:-1]
             for shift in range(3)]
    return [secret, *inner]
