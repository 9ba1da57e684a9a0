"""What is known of VMs."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest

from kvirt.base import Kbase
from kvirt.testing.platform import Platform, ok

needs = pytest.mark.needs


@needs('create', 'list', 'info', 'delete')
class TestReads:
    """What is known of a VM."""

    def test_every_read_sees_a_vm_that_was_created(self, platform: Platform, provider: Kbase) -> None:
        name = platform.vm()
        [row] = [row for row in provider.list() if row['name'] == name]
        known = provider.info(name)
        assert row['status'] == known['status'] == provider.status(name) == platform.resting
        assert known['name'] == name
        assert provider.exists(name)
        assert provider.ip(name) == known.get('ip')

    def test_a_row_says_what_was_asked_for(self, platform: Platform, provider: Kbase) -> None:
        name = platform.vm(plan='shop', profile='small')
        [row] = [row for row in provider.list() if row['name'] == name]
        assert (row['plan'], row['profile'], row['image']) == ('shop', 'small', platform.image or '')
        assert row['ip'] is None or isinstance(row['ip'], str)
        assert row['numcpus'] >= 1
        assert row['memory'] >= 256

    def test_info_says_at_least_what_the_row_says(self, platform: Platform, provider: Kbase) -> None:
        name = platform.vm()
        [row] = [row for row in provider.list() if row['name'] == name]
        known: dict[str, Any] = {**provider.info(name)}
        assert {key: known.get(key) for key in row} == row

    def test_info_knows_cards_disks_and_more(self, platform: Platform, provider: Kbase) -> None:
        known = provider.info(platform.vm(owner='alice'))
        [card] = known['nets']
        assert card['net'] == platform.network
        assert card.get('mac', '') == card.get('mac', '').lower()
        assert card.get('mac') or card['device']
        [disk] = known['disks']
        assert disk['size'] >= 1
        assert disk['device']
        assert known['owner'] == 'alice'
        assert known['native_status']
        assert known.get('snapshots', []) == []
        assert known['user'], 'the user to log in as is known with the image'
        created = datetime.fromisoformat(known['creationdate'].replace('Z', '+00:00'))
        assert created.utcoffset() == timedelta(0)

    def test_info_can_be_asked_for_some_fields(self, platform: Platform, provider: Kbase) -> None:
        name = platform.vm()
        assert provider.info(name, fields=['name', 'status', 'nothing']) == {'name': name, 'status': platform.resting}

    def test_info_takes_what_scripts_for_kcli_give_and_never_prints(self, platform: Platform, provider: Kbase,
                                                                    capfd: pytest.CaptureFixture[str]) -> None:
        name = platform.vm()
        capfd.readouterr()
        assert provider.info(name, output='yaml', fields=('name',), values=True, vm=None, debug=True) == {'name': name}
        assert capfd.readouterr() == ('', '')

    def test_an_id_is_as_good_as_a_name(self, platform: Platform, provider: Kbase) -> None:
        name = platform.vm()
        native = provider.info(name).get('id')
        if native:
            assert provider.info(native)['name'] == name
            assert provider.exists(native)
            assert provider.status(native) == platform.resting
            ok(provider.delete(native))
            platform.gone(name)

    def test_what_does_not_exist_is_absent_everywhere(self, platform: Platform, provider: Kbase) -> None:
        absent = platform.harness.name('absent')
        assert absent not in platform.names()
        assert provider.info(absent) == {}
        assert provider.info(absent, fields=['name']) == {}
        assert provider.exists(absent) is False
        assert provider.status(absent) is None
        assert provider.ip(absent) is None

    def test_many_vms_are_listed_sorted_by_name(self, platform: Platform) -> None:
        made = [platform.vm() for _ in range(platform.harness.many)]
        assert platform.names() == sorted(made)

    def test_another_connection_sees_the_same(self, platform: Platform, provider: Kbase) -> None:
        if not platform.harness.shared:
            pytest.skip('this platform lives within one connection')
        name = platform.vm(plan='shop')
        with platform.harness.make() as other:
            assert other.info(name) == provider.info(name)
            ok(other.delete(name))
        platform.gone(name)

    @needs('console', 'start')
    def test_a_display_can_be_opened(self, platform: Platform, provider: Kbase) -> None:
        shown = provider.console(platform.running())
        assert shown.get('url') or {'protocol', 'host', 'port'} <= set(shown)

    @needs('serialconsole', 'start')
    def test_a_serial_console_can_be_opened(self, platform: Platform, provider: Kbase) -> None:
        shown = provider.serialconsole(platform.running())
        command = shown.get('command')
        assert isinstance(shown.get('output'), str) or (command and all(isinstance(word, str) for word in command))

    @needs('dnsinfo')
    def test_the_domain_of_a_vm_is_remembered(self, platform: Platform, provider: Kbase) -> None:
        assert provider.dnsinfo(platform.vm(domain='lab.example'))[1] == 'lab.example'
        assert provider.dnsinfo(platform.vm()) == (None, None)

    @needs('start')
    def test_an_address_comes_when_the_vm_boots(self, platform: Platform, provider: Kbase) -> None:
        name, address = platform.addressed()
        assert provider.info(name)['ip'] == address
