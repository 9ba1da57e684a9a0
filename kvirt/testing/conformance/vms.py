"""Virtual machines: their life, what is known of them, and changes to them."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest

from kvirt.base import Kbase
from kvirt.errors import Conflict
from kvirt.testing.platform import Platform, ok, refused

needs = pytest.mark.needs


@needs('create', 'list', 'info', 'delete')
class TestReads:
    """What is known of a VM."""

    def test_every_read_sees_a_vm_that_was_created(self, platform: Platform, provider: Kbase) -> None:
        name = platform.vm()
        [row] = [row for row in provider.list() if row['name'] == name]
        known = provider.info(name)
        assert row['status'] == known['status'] == provider.status(name) == 'stopped'
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
        assert card['mac'] == card['mac'].lower()
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
        assert provider.info(name, fields=['name', 'status', 'nothing']) == {'name': name, 'status': 'stopped'}

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
            assert provider.status(native) == 'stopped'
            ok(provider.delete(native))
            assert not provider.exists(name)

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
        assert not provider.exists(name)

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
        if not platform.harness.boots:
            pytest.skip('VMs do not really boot here')
        name = platform.running()
        address = platform.wait_address(name)
        assert provider.info(name)['ip'] == address


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
        name = platform.running(
            plan='shop', profile='small', owner='alice', tags=['a', 'b'], numcpus=2, memory='1g',
            disks=[12, {'size': '2G'}], nets=[platform.network, {'name': platform.network}],
            cmds=['echo "a: b" > /x', '[ -f /x ] && echo done'],
            files=[{'path': '/etc/motd', 'content': 'hello\n', 'mode': '0644'}], hostname='shop', domain='lab.example',
            metadata={'team': 'web'}, HTTP_PROXY='http://proxy.example:3128', wait=False)
        known: dict[str, Any] = {**provider.info(name)}
        assert (known['plan'], known['profile'], known['owner'], known['team']) == ('shop', 'small', 'alice', 'web')
        assert known['numcpus'] >= 2
        assert known['memory'] >= 1024
        assert [disk['size'] for disk in known['disks']] == [12, 2]
        assert [card['net'] for card in known['nets']] == [platform.network] * 2
        assert len({card['mac'] for card in known['nets']}) == 2

    def test_a_mac_address_that_was_asked_for_is_the_one(self, platform: Platform, provider: Kbase) -> None:
        name = platform.vm(nets=[{'name': platform.network, 'mac': '52:54:00:AB:cd:01'}])
        assert [card['mac'] for card in provider.info(name)['nets']] == ['52:54:00:ab:cd:01']

    def test_a_vm_without_cards(self, platform: Platform, provider: Kbase) -> None:
        assert provider.info(platform.vm(nets=[])).get('nets', []) == []

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
        if 'pool' in str(keywords) and not provider.supports('list_pools'):
            pytest.skip(f'{type(provider).__name__} has no pools')
        name = platform.harness.name('vm')
        with platform.nothing_made():
            reason = refused(provider.create(name, **platform.asked(**keywords)), *errors)
        assert 'no-such' not in str(keywords) or 'no-such' in reason, reason
        assert not provider.exists(name)
        ok(provider.create(name, **platform.asked()))

    def test_every_fault_of_the_keywords_is_told_at_once(self, platform: Platform, provider: Kbase) -> None:
        asked = platform.asked(memroy=1, numcpus='x', disks=['10Q'])
        reason = refused(provider.create(platform.harness.name('vm'), **asked), 'InvalidInput')
        assert all(word in reason for word in ('memroy', 'numcpus', '10Q'))


@needs('create', 'list', 'info', 'delete')
class TestLife:
    """Start, stop, restart, delete."""

    @needs('start')
    def test_start_and_starting_again(self, platform: Platform, provider: Kbase) -> None:
        name = platform.vm()
        ok(provider.start(name))
        platform.wait(name, 'running')
        ok(provider.start(name))
        platform.wait(name, 'running')

    @needs('stop')
    def test_stop_and_stopping_again(self, platform: Platform, provider: Kbase) -> None:
        name = platform.running()
        ok(provider.stop(name))
        platform.wait(name, 'stopped')
        ok(provider.stop(name))
        ok(provider.stop(name, soft=True))
        platform.wait(name, 'stopped')

    @needs('stop')
    def test_a_soft_stop_is_accepted(self, platform: Platform, provider: Kbase) -> None:
        name = platform.running()
        if platform.harness.boots:
            platform.wait_address(name)
        ok(provider.stop(name, soft=True))
        platform.wait(name, *(['stopped'] if platform.harness.boots else ['running', 'stopping', 'stopped']))

    @needs('restart')
    def test_restart(self, platform: Platform, provider: Kbase) -> None:
        name = platform.running()
        ok(provider.restart(name))
        platform.wait(name, 'running')

    @needs('restart')
    def test_restarting_a_stopped_vm_starts_it(self, platform: Platform, provider: Kbase) -> None:
        name = platform.vm()
        ok(provider.restart(name))
        platform.wait(name, 'running')

    def test_delete_takes_all_that_was_made_for_the_vm(self, platform: Platform, provider: Kbase) -> None:
        with platform.nothing_made():
            name = platform.running(disks=[10, 1], nets=[platform.network, platform.network])
            ok(provider.delete(name))
            assert not provider.exists(name)
            assert name not in platform.names()

    def test_delete_twice(self, platform: Platform, provider: Kbase) -> None:
        name = platform.vm()
        ok(provider.delete(name))
        refused(provider.delete(name), 'NotFound', names=name)

    def test_delete_leaves_others_alone(self, platform: Platform, provider: Kbase) -> None:
        other = platform.vm()
        before = provider.info(other)
        for name in (f'{other}-1', f'{other}1', other[:-1]):
            if name not in platform.names():
                ok(provider.delete(platform.vm(name)))
        assert provider.info(other) == before

    def test_a_name_can_be_used_again(self, platform: Platform, provider: Kbase) -> None:
        name = platform.vm(plan='first')
        first = provider.info(name).get('id')
        ok(provider.delete(name))
        assert platform.vm(name, plan='second') == name
        assert provider.info(name)['plan'] == 'second'
        assert first is None or provider.info(name)['id'] != first


@needs('clone', 'create', 'list', 'info', 'delete')
class TestClone:
    """A VM made of another."""

    @pytest.mark.parametrize('full', [False, True], ids=['thin', 'full'])
    def test_a_clone_has_an_identity_of_its_own(self, platform: Platform, provider: Kbase, full: bool) -> None:
        old, new = platform.vm(plan='shop', disks=[10, 1]), platform.harness.name('clone')
        before = provider.info(old)
        ok(provider.clone(old, new, full=full))
        platform.wait(new, 'stopped')
        known = provider.info(new)
        assert provider.info(old) == before, 'the source must stay as it is'
        assert (known['name'], known['numcpus'], known['memory']) == (new, before['numcpus'], before['memory'])
        assert known.get('id') is None or known['id'] != before['id']
        assert not {card['mac'] for card in known['nets']} & {card['mac'] for card in before['nets']}
        assert [disk['size'] for disk in known['disks']] == [disk['size'] for disk in before['disks']]
        assert known.get('hostkey') != before.get('hostkey') or not known.get('hostkey')

    def test_source_and_clone_can_each_be_deleted(self, platform: Platform, provider: Kbase) -> None:
        old, new, last = platform.vm(), platform.harness.name('clone'), platform.harness.name('clone')
        ok(provider.clone(old, new))
        ok(provider.clone(old, last))
        ok(provider.delete(new))
        ok(provider.start(old))
        ok(provider.delete(old))
        ok(provider.start(last))
        platform.wait(last, 'running')

    def test_a_clone_may_be_started_at_once(self, platform: Platform, provider: Kbase) -> None:
        new = platform.harness.name('clone')
        ok(provider.clone(platform.vm(), new, start=True))
        platform.wait(new, 'running')

    def test_a_name_that_is_taken_is_refused(self, platform: Platform, provider: Kbase) -> None:
        old, other = platform.vm(), platform.vm()
        before = provider.info(other)
        with platform.nothing_made():
            refused(provider.clone(old, other), 'AlreadyExists', names=other)
        assert provider.info(other) == before

    def test_a_running_vm_is_not_cloned(self, platform: Platform, provider: Kbase) -> None:
        old, new = platform.running(), platform.harness.name('clone')
        with platform.nothing_made():
            refused(provider.clone(old, new), 'Conflict', names=old)


@needs('create', 'list', 'info', 'delete')
class TestUpdates:
    """Changes to a VM that is there."""

    @needs('rename')
    def test_rename(self, platform: Platform, provider: Kbase) -> None:
        old, new = platform.vm(plan='shop'), platform.harness.name('renamed')
        before = provider.info(old)
        ok(provider.rename(old, new))
        assert (provider.exists(old), provider.exists(new)) == (False, True)
        known = provider.info(new)
        assert (known['plan'], known.get('id'), known['nets']) == ('shop', before.get('id'), before['nets'])
        ok(provider.start(new))
        platform.wait(new, 'running')

    @needs('rename')
    def test_a_renamed_vm_is_deleted_with_all_that_was_made_for_it(self, platform: Platform, provider: Kbase) -> None:
        with platform.nothing_made():
            old, new = platform.vm(disks=[10, 1]), platform.harness.name('renamed')
            ok(provider.rename(old, new))
            ok(provider.delete(new))

    @needs('rename')
    def test_renaming_to_a_name_that_is_taken_is_refused(self, platform: Platform, provider: Kbase) -> None:
        old, other = platform.vm(), platform.vm()
        refused(provider.rename(old, other), 'AlreadyExists', names=other)
        assert platform.names() == sorted([old, other])

    @needs('update_cpus')
    def test_cpus(self, platform: Platform, provider: Kbase) -> None:
        name = platform.vm()
        ok(provider.update_cpus(name, 3))
        assert provider.info(name)['numcpus'] == 3
        for wrong in (0, -1, 'x'):
            refused(provider.update_cpus(name, wrong), 'InvalidInput')  # type: ignore[arg-type]
        assert provider.info(name)['numcpus'] == 3

    @needs('update_memory')
    def test_memory(self, platform: Platform, provider: Kbase) -> None:
        name = platform.vm()
        ok(provider.update_memory(name, 512))
        assert provider.info(name)['memory'] == 512
        ok(provider.update_memory(name, '1g'))
        assert provider.info(name)['memory'] == 1024
        for wrong in (0, -1, '10Q', ''):
            refused(provider.update_memory(name, wrong), 'InvalidInput')
        assert provider.info(name)['memory'] == 1024

    @needs('update_cpus', 'update_memory')
    def test_a_running_vm_is_changed_or_the_change_refused(self, platform: Platform, provider: Kbase) -> None:
        name = platform.running()
        for result, field, value in ((provider.update_cpus(name, 2), 'numcpus', 2),
                                     (provider.update_memory(name, 2048), 'memory', 2048)):
            if not result.ok:
                assert isinstance(result.error, Conflict), result
            changed = provider.info(name)[field] == value  # type: ignore[literal-required]
            assert changed == result.ok or provider.status(name) == 'running', (field, result)

    @needs('update_flavor', 'list_flavors')
    def test_flavor(self, platform: Platform, provider: Kbase) -> None:
        name = platform.vm()
        before = provider.info(name)
        other = next(flavor for flavor in provider.list_flavors() if flavor.name != before['flavor'] and flavor.resizable)
        ok(provider.update_flavor(name, other.name))
        known = provider.info(name)
        assert (known['flavor'], known['numcpus'], known['memory']) == (other.name, other.numcpus, other.memory)
        refused(provider.update_flavor(name, 'no-such-flavor'), 'NotFound', names='no-such-flavor')
        assert provider.info(name)['flavor'] == other.name

    @needs('update_start')
    def test_autostart(self, platform: Platform, provider: Kbase) -> None:
        name = platform.vm()
        assert provider.info(name)['autostart'] is False
        for wanted in (True, True, False):
            ok(provider.update_start(name, wanted))
            assert provider.info(name)['autostart'] is wanted
        assert provider.info(platform.vm(autostart=True))['autostart'] is True

    @needs('update_iso', 'add_image', 'delete_image')
    def test_an_iso_is_put_in_and_taken_out(self, platform: Platform, provider: Kbase) -> None:
        iso = ok(provider.add_image(platform.harness.iso_file(), pool=platform.pool))['image']
        name = platform.vm()
        before = provider.info(name)['disks']
        ok(provider.update_iso(name, iso))
        assert provider.info(name)['disks'] == before, 'a CD is no disk'
        refused(provider.delete_image(iso), 'Conflict', names=name)
        ok(provider.update_iso(name, None))
        ok(provider.delete_image(iso))
        refused(provider.update_iso(name, 'no-such.iso'), 'NotFound', names='no-such.iso')

    @needs('remove_cloudinit')
    def test_the_seed_is_taken_away(self, platform: Platform, provider: Kbase) -> None:
        name = platform.vm()
        ok(provider.remove_cloudinit(name))
        refused(provider.remove_cloudinit(name), 'NotFound', names=name)
        ok(provider.start(name))
        platform.wait(name, 'running')


