"""The life of VMs: start, stop, restart, clone, delete."""

from __future__ import annotations

from threading import Event

import pytest

from kvirt.base import Kbase
from kvirt.testing.platform import Platform, ok, refused

needs = pytest.mark.needs


@needs('create', 'list', 'info', 'delete')
class TestLife:
    """Start, stop, restart, delete."""

    @needs('start')
    def test_start_and_starting_again(self, platform: Platform, provider: Kbase) -> None:
        name = platform.stopped()
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
        name = platform.stopped()
        ok(provider.restart(name))
        platform.wait(name, 'running')

    @needs('stop')
    def test_who_watches_is_rung_for_when_a_vm_stops(self, platform: Platform, provider: Kbase) -> None:
        name, rung = platform.running(), Event()
        with provider.watching(rung.set, every=platform.harness.interval):
            ok(provider.stop(name))
            platform.wait(name, 'stopped')
            assert rung.wait(platform.harness.timeout)
        rung.clear()
        if provider.supports('start'):
            ok(provider.start(name))
            assert not rung.is_set(), 'the watch has ended'

    def test_delete_takes_all_that_was_made_for_the_vm(self, platform: Platform, provider: Kbase) -> None:
        with platform.nothing_made():
            name = platform.running(disks=[10, platform.gib(1)])
            ok(provider.delete(name))
            platform.gone(name)
            assert name not in platform.names()

    def test_delete_takes_all_cards(self, platform: Platform, provider: Kbase) -> None:
        nets = platform.two_nets()
        with platform.nothing_made():
            ok(provider.delete(platform.running(nets=nets)))

    def test_delete_twice(self, platform: Platform, provider: Kbase) -> None:
        name = platform.vm()
        ok(provider.delete(name))
        platform.gone(name)
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
        platform.gone(name)
        assert platform.vm(name, plan='second') == name
        assert provider.info(name)['plan'] == 'second'
        assert first is None or provider.info(name)['id'] != first


@needs('clone', 'create', 'list', 'info', 'delete')
class TestClone:
    """A VM made of another."""

    @pytest.mark.parametrize('full', [False, True], ids=['thin', 'full'])
    def test_a_clone_has_an_identity_of_its_own(self, platform: Platform, provider: Kbase, full: bool) -> None:
        old, new = platform.stopped(plan='shop', disks=[10, platform.gib(1)]), platform.harness.name('clone')
        before = provider.info(old)
        ok(provider.clone(old, new, full=full, start=provider.starts_at_once))
        platform.wait(new, platform.resting)
        known = provider.info(new)
        assert provider.info(old) == before, 'the source must stay as it is'
        assert (known['name'], known['numcpus'], known['memory']) == (new, before['numcpus'], before['memory'])
        assert known.get('id') is None or known['id'] != before['id']
        macs, theirs = ({card.get('mac') for card in vm['nets']} for vm in (known, before))
        assert not macs & theirs - {None}
        assert [disk['size'] for disk in known['disks']] == [disk['size'] for disk in before['disks']]
        assert known.get('hostkey') != before.get('hostkey') or not known.get('hostkey')

    def test_source_and_clone_can_each_be_deleted(self, platform: Platform, provider: Kbase) -> None:
        old, new, last = platform.stopped(), platform.harness.name('clone'), platform.harness.name('clone')
        for name in (new, last):
            ok(provider.clone(old, name, start=provider.starts_at_once))
            platform.wait(name, platform.resting)
        ok(provider.delete(new))
        ok(provider.start(old))
        ok(provider.delete(old))
        platform.gone(old)
        ok(provider.start(last))
        platform.wait(last, 'running')

    def test_a_clone_may_be_started_at_once(self, platform: Platform, provider: Kbase) -> None:
        new = platform.harness.name('clone')
        ok(provider.clone(platform.stopped(), new, start=True))
        platform.wait(new, 'running')

    def test_a_name_that_is_taken_is_refused(self, platform: Platform, provider: Kbase) -> None:
        old, other = platform.stopped(), platform.vm()
        before = provider.info(other)
        with platform.nothing_made():
            refused(provider.clone(old, other), 'AlreadyExists', names=other)
        assert provider.info(other) == before

    def test_a_running_vm_is_not_cloned(self, platform: Platform, provider: Kbase) -> None:
        old, new = platform.running(), platform.harness.name('clone')
        with platform.nothing_made():
            refused(provider.clone(old, new), 'Conflict', names=old)
