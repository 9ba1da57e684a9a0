"""Changes to VMs."""

from __future__ import annotations

from typing import Any

import pytest

from kvirt.base import Kbase
from kvirt.errors import Conflict
from kvirt.shapes import Flavor
from kvirt.testing.platform import Platform, ok, refused

needs = pytest.mark.needs


def has(provider: Kbase, name: str, **sizes: int) -> bool:
    """Tell if a VM has these *sizes*; one with a flavor may have more."""
    known: dict[str, Any] = {**provider.info(name)}
    return all(known[field] == size or (known.get('flavor') and known[field] > size) for field, size in sizes.items())


def another(platform: Platform, flavor: str) -> Flavor:
    """Return the cheapest flavor that a VM can be given instead of *flavor*: its disk never shrinks."""
    flavors = platform.flavors()
    disk = next((each.disk or 0 for each in flavors if each.name == flavor), 0)
    return next(each for each in flavors if each.name != flavor and each.resizable and (each.disk or disk) >= disk)


@needs('create', 'list', 'info', 'delete')
class TestUpdates:
    """Changes to a VM that is there."""

    @needs('rename')
    def test_rename(self, platform: Platform, provider: Kbase) -> None:
        old, new = platform.stopped(plan='shop'), platform.harness.name('renamed')
        before = provider.info(old)
        ok(provider.rename(old, new))
        platform.shows(lambda: (provider.exists(old), provider.exists(new)), (False, True))
        known = provider.info(new)
        assert (known['plan'], known.get('id'), known['nets']) == ('shop', before.get('id'), before['nets'])
        ok(provider.start(new))
        platform.wait(new, 'running')

    @needs('rename')
    def test_a_renamed_vm_is_deleted_with_all_that_was_made_for_it(self, platform: Platform, provider: Kbase) -> None:
        with platform.nothing_made():
            old, new = platform.stopped(disks=[10, platform.gib(1)]), platform.harness.name('renamed')
            ok(provider.rename(old, new))
            platform.shows(lambda: provider.exists(new), True)
            ok(provider.delete(new))

    @needs('rename')
    def test_renaming_to_a_name_that_is_taken_is_refused(self, platform: Platform, provider: Kbase) -> None:
        old, other = platform.stopped(), platform.vm()
        refused(provider.rename(old, other), 'AlreadyExists', names=other)
        assert platform.names() == sorted([old, other])

    @needs('update_cpus')
    def test_cpus(self, platform: Platform, provider: Kbase) -> None:
        name = platform.stopped()
        ok(provider.update_cpus(name, 3))
        platform.shows(lambda: has(provider, name, numcpus=3), True)
        before = provider.info(name)['numcpus']
        for wrong in (0, -1, 'x'):
            refused(provider.update_cpus(name, wrong), 'InvalidInput')  # type: ignore[arg-type]
        assert provider.info(name)['numcpus'] == before

    @needs('update_memory')
    def test_memory(self, platform: Platform, provider: Kbase) -> None:
        name = platform.stopped()
        for size, mib in ((512, 512), ('1g', 1024)):
            ok(provider.update_memory(name, size))
            platform.shows(lambda mib=mib: has(provider, name, memory=mib), True)  # type: ignore[misc]
        before = provider.info(name)['memory']
        for wrong in (0, -1, '10Q', ''):
            refused(provider.update_memory(name, wrong), 'InvalidInput')
        assert provider.info(name)['memory'] == before

    @needs('update_cpus', 'update_memory')
    def test_a_running_vm_is_changed_or_the_change_refused(self, platform: Platform, provider: Kbase) -> None:
        name = platform.running()
        for result, field, value in ((provider.update_cpus(name, 2), 'numcpus', 2),
                                     (provider.update_memory(name, 2048), 'memory', 2048)):
            if not result.ok:
                assert isinstance(result.error, Conflict), result
            changed = has(provider, name, **{field: value})
            assert changed == result.ok or provider.status(name) == 'running', (field, result)

    @needs('update_flavor', 'list_flavors')
    def test_flavor(self, platform: Platform, provider: Kbase) -> None:
        name = platform.stopped()
        other = another(platform, provider.info(name)['flavor'])
        ok(provider.update_flavor(name, other.name))
        platform.shows(lambda: provider.info(name)['flavor'], other.name)
        known = provider.info(name)
        assert (known['numcpus'], known['memory']) == (other.numcpus, other.memory)
        refused(provider.update_flavor(name, 'no-such-flavor'), 'NotFound', names='no-such-flavor')
        assert provider.info(name)['flavor'] == other.name

    @needs('update_flavor', 'list_flavors')
    def test_the_flavor_of_a_running_vm_is_changed_or_the_change_refused(self, platform: Platform,
                                                                         provider: Kbase) -> None:
        name = platform.running()
        before = provider.info(name)['flavor']
        other = another(platform, before)
        result = provider.update_flavor(name, other.name)
        if not result.ok:
            refused(result, 'Conflict', names=name)
        platform.shows(lambda: provider.info(name)['flavor'], other.name if result.ok else before)
        platform.wait(name, 'running', *(['stopped'] if result.ok else []))

    @needs('update_start')
    def test_autostart(self, platform: Platform, provider: Kbase) -> None:
        name = platform.vm()
        assert provider.info(name)['autostart'] is False
        for wanted in (True, True, False):
            ok(provider.update_start(name, wanted))
            assert provider.info(name)['autostart'] is wanted
        assert provider.info(platform.vm(autostart=True))['autostart'] is True

    @needs('update_iso', 'volumes')
    def test_an_iso_is_put_in_and_taken_out(self, platform: Platform, provider: Kbase) -> None:
        name, iso = platform.vm(), next(iter(provider.volumes(iso=True)), None)
        ours = platform.harness.takes_isos and provider.supports('add_image') and provider.supports('delete_image')
        if ours:
            iso = ok(provider.add_image(platform.harness.iso_file(), pool=platform.pool))['image']
        assert iso, 'the platform has no ISO'
        before = provider.info(name)['disks']
        ok(provider.update_iso(name, iso))
        assert provider.info(name)['disks'] == before, 'a CD is no disk'
        if ours:
            refused(provider.delete_image(iso), 'Conflict', names=name)
        ok(provider.update_iso(name, None))
        if ours:
            ok(provider.delete_image(iso))
        refused(provider.update_iso(name, 'no-such.iso'), 'NotFound', names='no-such.iso')

    @needs('remove_cloudinit')
    def test_the_seed_is_taken_away(self, platform: Platform, provider: Kbase) -> None:
        name = platform.stopped()
        ok(provider.remove_cloudinit(name))
        refused(provider.remove_cloudinit(name), 'NotFound', names=name)
        ok(provider.start(name))
        platform.wait(name, 'running')
