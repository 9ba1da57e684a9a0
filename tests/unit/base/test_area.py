"""The error boundary, and capabilities computed from what is overridden."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from typing import Any

import pytest

from kvirt.base import Capability, Kbase, operations, unsupported, waits
from kvirt.base.vms import Rows
from kvirt.errors import Conflict, InvalidInput, KvirtError, NotFound, NotSupported, Unavailable
from kvirt.result import Result
from kvirt.shapes import VmInfo


class SdkError(Exception):
    """What the SDK of some platform raises."""


class Some(Kbase):
    """A provider with a little of everything."""

    _create_pool = unsupported('this platform has no pools')
    _list_networks = unsupported('this platform has no networks')

    def translate(self, error: Exception) -> KvirtError | None:
        return Unavailable(f'the platform is away: {error}') if isinstance(error, SdkError) else None

    def _list(self) -> Rows:
        return [{'name': 'web', 'status': 'running', 'id': 'i-7'}]

    def _info(self, name: str) -> VmInfo:
        if name not in ('web', 'i-7'):
            raise NotFound(f'VM {name} does not exist')
        return {'name': 'web', 'status': 'running', 'ip': '10.0.0.5', 'nets': [{'net': 'a'}, {}, {'net': 'b'}]}

    def _start(self, name: str) -> None:
        if name != 'web':
            raise SdkError(name)

    @waits
    def _clone(self, old: str, new: str, full: bool = False, start: bool = False) -> Mapping[str, Any] | None:
        return {'id': 'i-8'}

    def _stop(self, name: str, soft: bool = False) -> None:
        raise KeyError(name)


def capability(provider: type[Kbase], operation: str) -> tuple[str, str]:
    found = provider.capability(operation)
    return found.mark, found.reason


# the boundary

def test_what_a_hook_returns_is_added_to_the_success() -> None:
    assert Some().start('web') == {'result': 'success'}
    assert Some().clone('web', 'copy') == {'result': 'success', 'id': 'i-8'}


def test_known_errors_become_failures_of_changes() -> None:
    result = Some().start('db')
    assert result == {'result': 'failure', 'reason': 'the platform is away: db', 'error': 'Unavailable', 'retryable': True}
    assert Some().clone('web', '../copy')['error'] == 'InvalidInput'


def test_known_errors_are_raised_by_reads() -> None:
    class Away(Some):
        """A provider whose platform is away."""

        def _list(self) -> Rows:
            raise SdkError('no route')

    with pytest.raises(Unavailable, match='the platform is away: no route') as caught:
        Away().list()
    assert isinstance(caught.value.__cause__, SdkError)
    with pytest.raises(Unavailable):
        Away().exists('web')


def test_bugs_stay_bugs() -> None:
    with pytest.raises(KeyError):
        Some().stop('web')


@pytest.mark.parametrize('operation', ['update_cpus', 'create_network', 'create_disk', 'reserve_dns'])
def test_a_change_that_is_not_written_yet_is_a_failure_and_never_a_success(operation: str) -> None:
    arguments = {'update_cpus': ('web', 2), 'create_disk': ('x', 1)}.get(operation, ('x',))
    result = getattr(Some(), operation)(*arguments)
    assert result['error'] == 'NotSupported'
    assert result['reason'] == f'Some does not support {operation}'


def test_what_will_never_be_says_why() -> None:
    assert Some().create_pool('x', '/x')['reason'] == 'this platform has no pools'
    with pytest.raises(NotSupported, match='no networks'):
        Some().list_networks()


def test_a_live_connection_may_lack_what_its_class_could() -> None:
    provider = Some()
    provider.lacks = {'start': 'libvirt 6.0 is too old', 'list': 'no permission', 'clone': 'no space'}
    assert provider.start('web')['reason'] == 'start: libvirt 6.0 is too old'
    assert provider.clone('a', 'b')['reason'] == 'clone: no space', 'operations that are checked first as well'
    with pytest.raises(NotSupported, match='list: no permission'):
        provider.list()
    assert not provider.supports('start')
    assert Some().supports('start')
    assert Some.capability('start').mark == 'supported'


# capabilities

def test_a_capability_is_what_was_overridden() -> None:
    assert capability(Some, 'start') == ('supported', '')
    assert capability(Some, 'update_cpus') == ('not yet', '')
    assert capability(Some, 'create_pool') == ('never', 'this platform has no pools')
    assert Some.capability('clone') == Capability('clone', 'vms', 'supported', 'change', '', waits=True)
    assert Some.capability('list').kind == 'read'


def test_what_the_base_builds_is_supported_when_its_parts_are() -> None:
    assert capability(Some, 'exists') == ('supported', '')
    assert capability(Some, 'restart') == ('supported', '')
    assert capability(Some, 'net_exists') == ('never', 'it needs list_networks: this platform has no networks')
    assert capability(Some, 'get_pool_path') == ('not yet', '')
    assert capability(Some, 'update_information') == ('not yet', '')


def test_overriding_what_the_base_builds_counts_by_itself() -> None:
    class Own(Some):
        """A provider with a reboot of its own."""
        _start = unsupported('never')

        def _restart(self, name: str) -> None:
            return None

    assert capability(Own, 'restart') == ('supported', '')
    assert capability(Own, 'start') == ('never', 'never')


def test_a_subclass_may_take_a_capability_away() -> None:
    class Less(Some):
        """A provider that can't stop."""
        _stop = unsupported('it never stops')

    assert capability(Less, 'restart') == ('never', 'it needs stop: it never stops')
    assert Less().restart('web')['error'] == 'NotSupported'


def test_capabilities_are_told_for_every_operation() -> None:
    assert [each.operation for each in Some.capabilities()] == list(operations())
    with pytest.raises(KeyError):
        Some.capability('fly')


def test_what_the_base_builds_works() -> None:
    provider = Some()
    assert (provider.exists('web'), provider.exists('i-7'), provider.exists('db')) == (True, True, False)
    assert (provider.status('web'), provider.status('db')) == ('running', None)
    assert (provider.ip('web'), provider.ip('db')) == ('10.0.0.5', None)
    assert provider.info('db') == {}
    assert provider.info('web', fields=['ip', 'nothing']) == {'ip': '10.0.0.5'}
    assert provider.vm_ports('web') == ['a', 'b']
    assert provider.dnsinfo('web') == (None, None)


@pytest.mark.parametrize(('found', 'error', 'text'), [
    ([], NotFound, 'VM web does not exist'), ([1, 2], Conflict, '2 VMs are called web. Give the id')])
def test_a_name_means_one_thing(found: list[int], error: type[KvirtError], text: str) -> None:
    assert Some.one('VM', 'web', [7]) == 7
    with pytest.raises(error) as caught:
        Some.one('VM', 'web', found)
    assert str(caught.value) == text


# what the contract checks once for every provider

class Takes(Kbase):
    """A provider that remembers what its hooks were given."""

    def __init__(self) -> None:
        self.given: list[tuple[Any, ...]] = []

    def _create_disk(self, name: str, size: int, pool: str | None = None, thin: bool = True,
                     image: str | None = None) -> Mapping[str, Any] | None:
        self.given.append((name, size))
        return None

    def _update_memory(self, name: str, memory: int) -> Mapping[str, Any] | None:
        self.given.append((name, memory))
        return None

    def _list_networks(self) -> dict[str, Any]:
        return {'lab': {'cidr': '10.0.0.0/24'}}

    def _delete_network(self, name: str, force: bool = False) -> None:
        self.given.append((name, force))

    def _create_network(self, name: str, cidr: str | None, dhcp: bool, nat: bool, domain: str | None, plan: str,
                        overrides: Mapping[str, Any]) -> None:
        self.given.append((name, cidr, overrides))

    def _create_bucket(self, bucket: str, public: bool = False) -> None:
        self.given.append((bucket, public))


def test_hooks_are_given_sizes_as_numbers() -> None:
    provider = Takes()
    for result in (provider.create_disk('a', '2T'), provider.add_disk('b', '512M', novm=True),
                   provider.update_memory('web', '4g')):
        assert result.ok
    assert provider.given == [('a', 2048), ('b', 1), ('web', 4096)]


@pytest.mark.parametrize(('operation', 'arguments'), [
    ('create_disk', ('../a', 1)), ('create_disk', ('a', '10Q')), ('create_disk', ('a', -1)), ('update_memory', ('web', 0)),
    ('create_network', ('a b', '10.1.0.0/24')), ('create_network', ('a', '10.1.0.1/24')), ('delete_network', ()),
    ('create_bucket', ('a/b',))])
def test_hooks_are_never_given_what_is_wrong(operation: str, arguments: tuple[Any, ...]) -> None:
    provider = Takes()
    result = getattr(provider, operation)(*arguments)
    assert isinstance(result.error, InvalidInput)
    assert provider.given == []


def test_a_network_is_found_by_its_addresses() -> None:
    provider = Takes()
    assert provider.delete_network(cidr='10.0.0.0/24', force=True).ok
    assert provider.delete_network(cidr='10.9.0.0/24')['error'] == 'NotFound'
    assert provider.given == [('lab', True)]


# providers in kcli's manner

class Kcli(Kbase):
    """A provider in kcli's manner: public methods, plain dicts."""

    def __init__(self) -> None:
        self.calls: list[str] = []
        self.power = 'running'

    def list(self) -> Rows:
        return [{'name': 'web', 'status': self.power}]  # type: ignore[typeddict-item]

    def stop(self, name: str, soft: bool = False) -> Any:
        self.calls.append(f'stop {name}')
        self.power = 'stopped'
        return {'result': 'success'}

    def start(self, name: str) -> Any:
        self.calls.append(f'start {name}')
        if name == 'db':
            return {'result': 'failure', 'reason': f'VM {name} not found'}
        self.power = 'running'
        return {'result': 'success'}

    def info(self, name: str, *args: Any, **kwargs: Any) -> Any:
        return {'name': name, 'status': self.power, 'ip': '10.0.0.5'}


def test_a_provider_in_kclis_manner_counts_by_what_it_overrides() -> None:
    assert all(Kcli().supports(operation) for operation in ('list', 'stop', 'start', 'restart', 'exists', 'info', 'ip'))
    assert not Kcli().supports('delete')
    assert Kcli.capability('stop').kind == 'change'


def test_what_the_base_builds_works_on_it() -> None:
    provider = Kcli()
    assert provider.restart('web') == {'result': 'success'}
    assert provider.calls == ['stop web', 'start web']
    assert provider.exists('web')
    assert provider.status('web') == 'running'
    assert provider.ip('web') == '10.0.0.5'


def test_its_failures_are_failures_of_what_is_built_on_it() -> None:
    class Broken(Kcli):
        """A provider that can't start."""

        def start(self, name: str) -> Any:
            return {'result': 'failure', 'reason': 'no power'}

    result = Broken().restart('web')
    assert (result['result'], result['reason']) == ('failure', 'no power')
    assert type(Result.of(Broken().start('web')).error) is KvirtError


def test_its_methods_may_come_from_a_mixin_that_knows_nothing_of_kvirt() -> None:
    class Power:
        """Half a provider."""

        def start(self, name: str) -> Any:
            return {'result': 'success', 'by': 'mixin'}

    class Mixed(Power, Kbase):
        """A provider put together."""

    assert Mixed().supports('start')
    assert Mixed().start('web') == {'result': 'success', 'by': 'mixin'}
    assert Mixed()._start('web') == {'by': 'mixin'}


def test_hooks_and_public_methods_may_be_mixed_in_any_depth() -> None:
    class Hooked(Kcli):
        """A subclass that was moved to hooks."""

        def _start(self, name: str) -> None:
            self.calls.append(f'hook {name}')

    provider = Hooked()
    assert provider.restart('web').ok
    assert provider.calls == ['stop web', 'hook web']


def test_a_public_method_may_decorate_what_is_there() -> None:
    class Decorated(Some):
        """A provider that counts."""

        def __init__(self) -> None:
            self.count = 0

        def start(self, name: str) -> Result:
            self.count += 1
            return super().start(name)

        def restart(self, name: str) -> Result:
            self.count += 10
            return super().restart(name)

        def exists(self, name: str) -> bool:
            self.count += 100
            return super().exists(name)

    provider = Decorated()
    assert provider.start('web').ok
    assert provider.start('db')['error'] == 'Unavailable'
    assert provider.exists('web')
    with pytest.raises(KeyError):  # the stop of this provider has a bug
        provider.restart('web')
    assert provider.count == 112
    assert all(provider.supports(operation) for operation in ('start', 'restart', 'exists'))


def test_the_last_public_method_is_the_one_that_counts() -> None:
    class Again(Kcli):
        """A subclass of a provider in kcli's manner."""

        def start(self, name: str) -> Any:
            self.calls.append('before')
            return super().start(name)

    provider = Again()
    assert provider.restart('web').ok
    assert provider.calls == ['stop web', 'before', 'start web']


# a provider object

def test_a_provider_is_closed_when_its_block_ends() -> None:
    closed = []

    class Closing(Some):
        """A provider that can be closed."""

        def close(self) -> None:
            closed.append(threading.get_ident())

    with Closing() as provider:
        assert provider.list()
    assert len(closed) == 1
