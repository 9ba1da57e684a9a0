"""DNS records."""

from __future__ import annotations

import pytest

from kvirt.base import Kbase
from kvirt.errors import NotFound
from kvirt.shapes import DnsRecord
from kvirt.testing.inventory import relative
from kvirt.testing.platform import Platform, ok, refused

needs = pytest.mark.needs


def records(platform: Platform) -> dict[str, DnsRecord]:
    """Return the records that tests made, by name relative to the zone."""
    found = {relative(record['name'], platform.zone): record for record in platform.provider.list_dns(platform.zone)}
    return {name: record for name, record in found.items() if name.startswith(platform.harness.prefix)}


@needs('reserve_dns', 'list_dns', 'delete_dns')
class TestDns:
    """Reserve, list, delete."""

    @needs('list_dns_zones')
    def test_zones_are_listed(self, platform: Platform, provider: Kbase) -> None:
        assert platform.zone in provider.list_dns_zones()
        with pytest.raises(NotFound, match='no-such-zone.example'):
            provider.list_dns('no-such-zone.example')

    def test_a_record(self, platform: Platform, provider: Kbase) -> None:
        name = platform.harness.name('record')
        ok(provider.reserve_dns(name, domain=platform.zone, ip='10.213.1.5'))
        record = records(platform)[name]
        assert (record['type'], record['data']) == ('A', ['10.213.1.5'])
        assert record['name'].rstrip('.') == f'{name}.{platform.zone}'
        ok(provider.delete_dns(name, platform.zone))
        assert records(platform) == {}
        refused(provider.delete_dns(name, platform.zone), 'NotFound', names=name)

    def test_a_record_that_is_there_is_only_replaced_by_force(self, platform: Platform, provider: Kbase) -> None:
        name = platform.harness.name('record')
        ok(provider.reserve_dns(name, domain=platform.zone, ip='10.213.1.5'))
        refused(provider.reserve_dns(name, domain=platform.zone, ip='10.213.1.6'), 'AlreadyExists', names=name)
        assert records(platform)[name]['data'] == ['10.213.1.5']
        ok(provider.reserve_dns(name, domain=platform.zone, ip='10.213.1.6', force=True))
        assert records(platform)[name]['data'] == ['10.213.1.6']

    def test_aliases_are_deleted_with_all_entries(self, platform: Platform, provider: Kbase) -> None:
        name, alias = platform.harness.name('record'), platform.harness.name('alias')
        ok(provider.reserve_dns(name, domain=platform.zone, ip='10.213.1.5', alias=[alias]))
        assert sorted(records(platform)) == sorted([name, alias])
        ok(provider.delete_dns(name, platform.zone, allentries=True))
        assert records(platform) == {}

    def test_a_record_that_can_not_be_makes_nothing(self, platform: Platform, provider: Kbase) -> None:
        name = platform.harness.name('record')
        refused(provider.reserve_dns(name, domain='no-such-zone.example', ip='10.213.1.5'), 'NotFound',
                names='no-such-zone.example')
        refused(provider.reserve_dns(name, domain=platform.zone, ip='300.1.1.1'), 'InvalidInput', names='300.1.1.1')
        refused(provider.reserve_dns(name, domain=platform.zone), 'NotFound', 'Conflict', names=name)
        assert records(platform) == {}

    @needs('create', 'delete', 'start')
    def test_an_address_is_looked_up_from_the_vm(self, platform: Platform, provider: Kbase) -> None:
        name, address = platform.addressed()
        ok(provider.reserve_dns(name, domain=platform.zone))
        assert records(platform)[name]['data'] == [address]
