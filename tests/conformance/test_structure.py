"""The shape of the contract and of every provider; and that the checker finds what is wrong."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import pytest

from kvirt.base import Area, Kbase, Options, operations, unsupported
from kvirt.errors import MissingDependency, NotSupported
from kvirt.providers import registry
from kvirt.providers.sampleprovider import Ksample
from kvirt.testing.structure import areas, faults, faults_of_contract, signature_fault


def test_every_public_method_of_the_contract_has_a_hook_a_docstring_and_says_what_it_returns() -> None:
    assert faults_of_contract() == []


def test_every_area_stands_in_the_contract() -> None:
    assert len(areas()) == 12
    assert all(issubclass(area, Area) and area.__doc__ for area in areas())
    assert {each.area for each in Kbase.capabilities()} == {area.__name__.lower() for area in areas()}


def test_nothing_of_the_bare_contract_is_supported() -> None:
    assert {(each.mark, each.reason) for each in Kbase.capabilities()} == {('not yet', '')}


@pytest.mark.parametrize('name', [entry.name for entry in registry.entries()])
def test_a_provider_is_shaped_as_the_contract_wants_it(name: str) -> None:
    try:
        provider = registry.load(name)
    except MissingDependency as error:
        pytest.skip(str(error))
    assert faults(provider) == []


def test_the_sample_is_shaped_as_the_contract_wants_it() -> None:
    assert faults(Ksample) == []


class Odd(Kbase):
    """A provider with a fault of each sort, and nothing that is right."""

    honours = frozenset({'memory', 'tpm'})
    _create_pool = unsupported('')

    def __init__(self, region: str) -> None:
        self.region = region

    def _start(self, vm: str) -> None:
        self.started = vm

    def _stop(self, name: str, soft: bool = True) -> None:
        self.stopped = name

    def _delete(self, name: str, snapshots: bool = False, really: bool = False, *, how: str) -> Mapping[str, Any] | None:
        return {'how': how, 'really': really}

    def _delete_pool(self, name: str, full: bool = False) -> None:
        raise NotSupported('not here')

    def _rename(self, name: str, new: str) -> None:
        """Rename, some day."""

    def _delete_network(self, name: str, force: bool = False) -> None:
        pass

    def delete_bucket(self, bucket: str) -> Any:
        print('not implemented')
        return {'result': 'success'}

    def helper(self) -> None:
        self.helped = True


def test_every_fault_is_found() -> None:
    assert sorted(faults(Odd)) == sorted(f'Odd: {fault}' for fault in [
        "_start is not called as the contract says: parameter 1 is 'vm' instead of 'name'",
        "_stop is not called as the contract says: 'soft' is True by default instead of False",
        "_delete is not called as the contract says: it wants 'how' as well",
        'create_pool is never supported, without a reason',
        '_delete_pool only raises NotSupported, and counts as supported: write _delete_pool = unsupported(reason)',
        '_rename does nothing, which is told as success',
        '_delete_network does nothing, which is told as success',
        'delete_bucket does nothing, and does not say so',
        "option 'home' is declared, and the constructor does not take it",
        "the constructor wants 'region', which is no declared option",
        "honours names 'memory', which is no keyword of the groups hardware and cloud",
        'public method helper has no docstring'])


def test_options_are_what_the_constructor_takes() -> None:
    class Wants(Options, frozen=True, kw_only=True):
        """One option."""
        token: str | None = None

    class Takes(Kbase):
        """A provider that takes less than it declares."""
        Options = Wants

        def __init__(self, home: str | None = None, debug: bool = False) -> None:
            self.debug = debug

    assert faults(Takes) == ["Takes: option 'token' is declared, and the constructor does not take it"]


def contract(self: Any, name: str, size: int = 1, pool: str | None = None) -> None: ...


def same(self: Any, name: str, size: int = 1, pool: str | None = None) -> None: ...


def more(self: Any, name: str, size: int = 1, pool: str | None = None, fast: bool = False) -> None: ...


def anything(self: Any, *args: Any, **kwargs: Any) -> None: ...


def less(self: Any, name: str, size: int = 1) -> None: ...


def swapped(self: Any, size: int = 1, name: str = '', pool: str | None = None) -> None: ...


def no_default(self: Any, name: str, size: int, pool: str | None = None) -> None: ...


@pytest.mark.parametrize(('theirs', 'fault'), [
    (same, ''), (more, ''), (anything, ''), (less, "parameter 'pool' is missing"),
    (swapped, "parameter 1 is 'size' instead of 'name'"), (no_default, "'size' is nothing by default instead of 1")])
def test_signatures_are_compared(theirs: Callable[..., Any], fault: str) -> None:
    assert signature_fault(contract, theirs) == fault


def test_the_contract_is_pinned() -> None:
    """An operation that goes, or changes its parameters, breaks scripts: that must be meant, and this list changed."""
    assert list(operations())
    found = {area.__name__: sorted(name for name in vars(area) if name in set(operations())) for area in areas()}
    assert found == {
        'Vms': ['clone', 'console', 'create', 'delete', 'dnsinfo', 'exists', 'info', 'ip', 'list', 'remove_cloudinit',
                'rename',
                'restart', 'serialconsole', 'start', 'status', 'stop', 'update_cpus', 'update_flavor', 'update_information',
                'update_iso', 'update_memory', 'update_metadata', 'update_start'],
        'Storage': ['add_disk', 'create_disk', 'create_pool', 'delete_disk', 'delete_pool', 'detach_disks', 'disk_exists',
                    'get_pool_path', 'info_pool', 'list_disks', 'list_pools', 'resize_disk'],
        'Images': ['add_image', 'delete_image', 'export', 'volumes'],
        'Networks': ['add_nic', 'attach_floating_ip', 'create_floating_ip', 'create_network', 'create_subnet',
                     'delete_floating_ip', 'delete_network', 'delete_nic', 'delete_subnet', 'detach_floating_ip',
                     'info_network',
                     'info_subnet', 'list_floating_ips', 'list_networks', 'list_subnets', 'net_exists', 'network_ports',
                     'update_network', 'update_nic', 'update_subnet', 'vm_ports'],
        'Snapshots': ['create_snapshot', 'delete_snapshot', 'list_snapshots', 'revert_snapshot'],
        'Buckets': ['create_bucket', 'delete_bucket', 'delete_from_bucket', 'download_from_bucket', 'list_bucketfiles',
                    'list_buckets', 'upload_to_bucket'],
        'SecurityGroups': ['create_security_group', 'delete_security_group', 'info_security_group', 'list_security_groups',
                           'update_security_group'],
        'Dns': ['delete_dns', 'list_dns', 'list_dns_zones', 'reserve_dns'],
        'LoadBalancers': ['add_vm_to_loadbalancer', 'create_loadbalancer', 'delete_loadbalancer', 'list_loadbalancers'],
        'Flavors': ['estimate', 'info_flavor', 'list_flavors'],
        'Keys': ['create_key', 'delete_key', 'list_keys'],
        'Host': ['delete_orphans', 'info_host', 'list_locations', 'list_orphans', 'list_quotas']}
