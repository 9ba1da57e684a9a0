"""Failures: names of what is not there, names that nothing may have, and operations that a provider lacks."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import pytest

from kvirt.base import Kbase, operations
from kvirt.errors import InvalidInput, NotFound, NotSupported
from kvirt.result import Result
from kvirt.testing.platform import KEY, Platform, refused

needs = pytest.mark.needs

HOSTILE = ['', ' ', '.', '..', '../up', 'a/b', '/etc/passwd', 'a b', "it's", 'a"b', 'a\nb', 'a\x00b', '<domain/>', 'a&b',
           'a;reboot', '$(reboot)', '`reboot`', '{{ x }}', '{% x %}', '-rf', '%s', 'a\\b', '*?', 'ä', 'x' * 300]
"""Names that are safe nowhere: in a path, in XML, in a shell, in a template, on a terminal."""

Call = Callable[[Platform, str], Result]

NEW_NAMES: dict[str, Call] = {
    'create': lambda p, name: p.provider.create(name, **p.asked()),
    'create_disk': lambda p, name: p.provider.create_disk(name, 1, pool=p.pool),
    'create_pool': lambda p, name: p.provider.create_pool(name, str(p.harness.folder / 'no-such-folder')),
    'create_network': lambda p, name: p.provider.create_network(name, cidr=p.harness.cidr()),
    'create_subnet': lambda p, name: p.provider.create_subnet(name, p.harness.cidr(), overrides={'network': p.network}),
    'create_floating_ip': lambda p, name: p.provider.create_floating_ip(name),
    'create_bucket': lambda p, name: p.provider.create_bucket(name),
    'create_security_group': lambda p, name: p.provider.create_security_group(name),
    'create_loadbalancer': lambda p, name: p.provider.create_loadbalancer(name, ports=[80]),
    'create_key': lambda p, name: p.provider.create_key(name, KEY),
    'add_image': lambda p, name: p.provider.add_image(p.harness.image_file(), pool=p.pool, name=name),
    'reserve_dns': lambda p, name: p.provider.reserve_dns(name, domain=p.zone, ip='10.213.1.5'),
}
"""Each operation that gives a name to something new."""

NEW_NAMES_AT_A_VM: dict[str, Callable[[Platform, str, str], Result]] = {
    'clone': lambda p, vm, name: p.provider.clone(vm, name),
    'rename': lambda p, vm, name: p.provider.rename(vm, name),
    'create_snapshot': lambda p, vm, name: p.provider.create_snapshot(name, vm),
    'export': lambda p, vm, name: p.provider.export(vm, name),
    'add_disk': lambda p, vm, name: p.provider.add_disk(vm, p.gib(1), pool=p.pool, overrides={'diskname': name}),
}

AT_A_VM: dict[str, Call] = {
    'start': lambda p, vm: p.provider.start(vm),
    'stop': lambda p, vm: p.provider.stop(vm),
    'restart': lambda p, vm: p.provider.restart(vm),
    'delete': lambda p, vm: p.provider.delete(vm),
    'clone': lambda p, vm: p.provider.clone(vm, p.harness.name('clone')),
    'rename': lambda p, vm: p.provider.rename(vm, p.harness.name('renamed')),
    'update_metadata': lambda p, vm: p.provider.update_metadata(vm, 'team', 'web'),
    'update_memory': lambda p, vm: p.provider.update_memory(vm, 512),
    'update_cpus': lambda p, vm: p.provider.update_cpus(vm, 2),
    'update_flavor': lambda p, vm: p.provider.update_flavor(vm, p.flavors()[0].name),
    'update_start': lambda p, vm: p.provider.update_start(vm),
    'update_information': lambda p, vm: p.provider.update_information(vm, 'text'),
    'update_iso': lambda p, vm: p.provider.update_iso(vm, None),
    'remove_cloudinit': lambda p, vm: p.provider.remove_cloudinit(vm),
    'add_disk': lambda p, vm: p.provider.add_disk(vm, p.gib(1), pool=p.pool),
    'delete_disk': lambda p, vm: p.provider.delete_disk(vm, 'vdb'),
    'detach_disks': lambda p, vm: p.provider.detach_disks(vm),
    'resize_disk': lambda p, vm: p.provider.resize_disk(vm, 'vda', 20),
    'add_nic': lambda p, vm: p.provider.add_nic(vm, p.network),
    'delete_nic': lambda p, vm: p.provider.delete_nic(vm, 'eth0'),
    'update_nic': lambda p, vm: p.provider.update_nic(vm, 0, p.network),
    'create_snapshot': lambda p, vm: p.provider.create_snapshot('snapshot', vm),
    'delete_snapshot': lambda p, vm: p.provider.delete_snapshot('snapshot', vm),
    'revert_snapshot': lambda p, vm: p.provider.revert_snapshot('snapshot', vm),
    'export': lambda p, vm: p.provider.export(vm, p.harness.name('image')),
}
"""Each change of a VM."""

READS_OF_A_VM = ('console', 'serialconsole', 'list_snapshots', 'vm_ports')

SAMPLE: dict[str, Any] = {'cidr': '10.213.99.0/24', 'size': 1, 'memory': 512, 'numcpus': 1, 'index': 0, 'ip': '10.213.99.5'}
"""Arguments that are not texts, by name."""


class TestUnknownNames:
    """What is not there is said to be not there, by its name."""

    @pytest.mark.parametrize('operation', AT_A_VM)
    def test_a_change_of_a_vm_that_is_not_there(self, platform: Platform, operation: str) -> None:
        require(platform, operation)
        absent = platform.harness.name('absent')
        with platform.nothing_made():
            refused(AT_A_VM[operation](platform, absent), 'NotFound', names=absent)

    @pytest.mark.parametrize('operation', AT_A_VM)
    def test_a_hostile_name_of_a_vm_finds_nothing(self, platform: Platform, operation: str) -> None:
        require(platform, operation)
        with platform.nothing_made():
            for name in hostile_for(platform, operation):
                refused(AT_A_VM[operation](platform, name), 'NotFound', 'InvalidInput')

    @pytest.mark.parametrize('operation', READS_OF_A_VM)
    def test_a_read_of_a_vm_that_is_not_there(self, platform: Platform, provider: Kbase, operation: str) -> None:
        require(platform, operation)
        for name in (platform.harness.name('absent'), *hostile_for(platform, operation)):
            with pytest.raises((NotFound, InvalidInput)):
                getattr(provider, operation)(name)

    @needs('create', 'list')
    @pytest.mark.parametrize('keyword', ['image', 'pool', 'nets', 'iso', 'plan'])
    def test_a_hostile_name_in_a_keyword_makes_nothing(self, platform: Platform, provider: Kbase,
                                                       keyword: str) -> None:
        with platform.nothing_made():
            for hostile in hostile_for(platform, keyword):
                if not hostile:
                    continue
                if keyword == 'iso' and hostile.startswith('/'):
                    continue  # an ISO may be an absolute path
                value = [hostile] if keyword == 'nets' else hostile
                impossible = {'pool': not provider.supports('list_pools'), 'iso': not provider.supports('update_iso')}
                refused(provider.create(platform.harness.name('vm'), **platform.asked(**{keyword: value})),
                        'NotFound', 'InvalidInput', *(['NotSupported'] if impossible.get(keyword) else []))


class TestHostileNames:
    """A name is safe everywhere, or it is refused before anything is made."""

    @pytest.mark.parametrize('operation', NEW_NAMES)
    def test_a_hostile_name_is_refused(self, platform: Platform, operation: str) -> None:
        require(platform, operation)
        with platform.nothing_made():
            for name in HOSTILE:
                refused_or_shown(NEW_NAMES[operation](platform, name), name)

    @needs('create', 'info', 'delete')
    @pytest.mark.parametrize('operation', NEW_NAMES_AT_A_VM)
    def test_a_hostile_name_at_a_vm_is_refused(self, platform: Platform, provider: Kbase, operation: str) -> None:
        require(platform, operation)
        vm = platform.vm()
        before = provider.info(vm)
        with platform.nothing_made():
            for name in HOSTILE:
                refused_or_shown(NEW_NAMES_AT_A_VM[operation](platform, vm, name), name)
        assert provider.info(vm) == before


class TestUnsupported:
    """What a provider lacks, it says."""

    @pytest.mark.parametrize('operation', list(operations()))
    def test_an_operation_that_is_lacked_is_refused_with_a_reason(self, provider: Kbase, operation: str) -> None:
        if provider.supports(operation):
            return
        method = getattr(provider, operation)
        arguments = [SAMPLE.get(name, 'conformance') for name, parameter in inspect.signature(method).parameters.items()
                     if name == 'name' or (parameter.default is parameter.empty and name != 'keywords')]
        if provider.capability(operation).kind == 'change':
            assert len(refused(method(*arguments), 'NotSupported')) > 5
        else:
            with pytest.raises(NotSupported, match='.{5,}'):
                method(*arguments)


def hostile_for(platform: Platform, what: str) -> list[str]:
    """Return the hostile names to try with *what*: all, or where each costs a call its share of them."""
    return HOSTILE if platform.harness.thorough else HOSTILE[len(what) % 6::6]


def require(platform: Platform, operation: str) -> None:
    """Skip where the provider lacks *operation*; those that are supported are tested."""
    if not platform.provider.supports(operation):
        pytest.skip(f'{type(platform.provider).__name__} does not support {operation}')


def refused_or_shown(result: Result, name: str) -> None:
    """Fail unless *result* refuses *name* in one line."""
    assert not result.ok, f'the name {name!r} was taken: {result}'
    reason = refused(result, 'InvalidInput')
    assert '\n' not in reason
    assert len(reason) < 400


