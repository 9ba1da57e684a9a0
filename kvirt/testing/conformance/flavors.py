"""Flavors: the sizes of VM that a platform sells, which of them a VM gets, what may be done with it, and what it costs."""

from __future__ import annotations

import pytest

from kvirt.base import Kbase
from kvirt.errors import InvalidInput, NotFound
from kvirt.result import Result
from kvirt.shapes import Flavor
from kvirt.testing.platform import Platform, ok, refused

needs = pytest.mark.needs

FLAGS = ('stoppable', 'rebootable', 'resizable', 'preemptible', 'firewall')


def flavor_of(provider: Kbase, vm: str) -> Flavor:
    """Return the flavor of a VM as it stands in the list."""
    name = provider.info(vm)['flavor']
    [found] = [flavor for flavor in provider.list_flavors() if flavor.name == name]
    return found


def any_size(platform: Platform) -> bool:
    """Tell if a VM can have any size here, though there may be flavors as well."""
    return platform.provider.estimate(platform.harness.name('vm'), **sizes(platform))['flavor'] is None


def sizes(platform: Platform, **keywords: object) -> dict[str, object]:
    """Return the keywords of a small VM that have to do with its size and its price."""
    return {'image': platform.image, 'numcpus': 1, 'memory': 256, **keywords}


@needs('list_flavors')
class TestFlavors:
    """List, use."""

    def test_a_flavor_unpacks_as_name_cpus_memory(self, provider: Kbase) -> None:
        for flavor in provider.list_flavors():
            name, numcpus, memory = flavor
            assert (name, numcpus, memory) == (flavor.name, flavor.numcpus, flavor.memory)
            assert name
            assert numcpus >= 1
            assert memory >= 64, 'memory is MiB'
            assert flavor.disk is None or flavor.disk >= 0
            assert flavor.gpus >= 0
            assert flavor.gpus or flavor.gpu is None
            assert flavor.arch in ('x86_64', 'aarch64', 'i386', 'ppc64le', 's390x', 'riscv64'), flavor

    def test_a_price_is_a_number_with_a_currency_or_not_told(self, provider: Kbase) -> None:
        for flavor in provider.list_flavors():
            for price in (flavor.price_hourly, flavor.price_monthly, flavor.price_spot):
                assert price is None or (price >= 0 and flavor.currency and len(flavor.currency) == 3), flavor
            if flavor.price_hourly and flavor.price_monthly:
                assert flavor.price_monthly <= flavor.price_hourly * 745, 'a month has no more hours'
            assert flavor.preemptible or flavor.price_spot is None, flavor

    def test_names_are_unique_and_found(self, provider: Kbase) -> None:
        names = [flavor.name for flavor in provider.list_flavors()]
        assert len(names) == len(set(names))
        for name in names[:3]:
            flavor = provider.info_flavor(name)
            assert flavor is not None
            assert flavor.name == name
        assert provider.info_flavor('no-such-flavor') is None

    def test_the_list_is_the_same_each_time(self, platform: Platform, provider: Kbase) -> None:
        def told(connection: Kbase) -> list[tuple[object, ...]]:
            return [(flavor.name, flavor.numcpus, flavor.memory, flavor.disk, flavor.gpus, flavor.arch, flavor.price_hourly)
                    for flavor in connection.list_flavors()]
        first = told(provider)
        assert told(provider) == first
        if platform.harness.shared:
            with platform.harness.make() as other:
                assert told(other) == first

    @needs('create', 'info', 'delete')
    def test_a_vm_of_a_flavor(self, platform: Platform, provider: Kbase) -> None:
        if not platform.flavors():
            pytest.skip('any size can be had here, so there are no flavors')
        wanted = platform.flavors()[0]
        name = platform.vm(flavor=wanted.name)
        known = provider.info(name)
        assert (known['flavor'], known['numcpus'], known['memory']) == (wanted.name, wanted.numcpus, wanted.memory)
        [row] = [row for row in provider.list() if row['name'] == name]
        assert row['flavor'] == wanted.name, 'a flavor has one name: in its list, in the list of VMs, and on the VM'

    @needs('create', 'info', 'delete')
    def test_the_cheapest_flavor_can_be_asked_for(self, platform: Platform, provider: Kbase) -> None:
        if not platform.flavors():
            pytest.skip('any size can be had here, so there are no flavors')
        chosen = flavor_of(provider, platform.vm(flavor='cheapest'))
        prices = [flavor.price_hourly for flavor in platform.flavors() if flavor.price_hourly is not None]
        assert chosen.price_hourly == min(prices, default=None)

    @needs('create', 'info', 'delete')
    def test_sizes_choose_the_cheapest_flavor_that_has_them(self, platform: Platform, provider: Kbase) -> None:
        if any_size(platform):
            pytest.skip('any size can be had here')
        chosen = flavor_of(provider, platform.vm(numcpus=2, memory='3g'))
        assert chosen.numcpus >= 2
        assert chosen.memory >= 3072
        cheaper = [flavor.name for flavor in platform.flavors()
                   if flavor.numcpus >= 2 and flavor.memory >= 3072 and flavor.price_hourly is not None
                   and (chosen.price_hourly is None or flavor.price_hourly < chosen.price_hourly)]
        assert cheaper == []

    @needs('create', 'info', 'delete')
    def test_a_size_that_no_flavor_has_makes_nothing(self, platform: Platform, provider: Kbase) -> None:
        if any_size(platform):
            pytest.skip('any size can be had here')
        with platform.nothing_made():
            refused(provider.create(platform.harness.name('vm'), **platform.asked(numcpus=4096, memory='1000t')),
                    'NotFound', names='4096')

    @needs('create', 'info', 'delete')
    def test_a_flavor_that_is_not_there_makes_nothing(self, platform: Platform, provider: Kbase) -> None:
        with platform.nothing_made():
            refused(provider.create(platform.harness.name('vm'), **platform.asked(flavor='no-such-flavor')),
                    'NotFound', 'InvalidInput', names='no-such-flavor')
        ok(provider.create(platform.harness.name('vm'), **platform.asked()))

    def test_gpus_choose_a_flavor_that_has_them(self, platform: Platform, provider: Kbase) -> None:
        if 'gpus' not in provider.honours:
            pytest.skip(f'{type(provider).__name__} does not honour gpus')
        with_gpus = [flavor for flavor in provider.list_flavors() if flavor.gpus and flavor.available]
        name = platform.harness.name('vm')
        if any(flavor.arch == 'x86_64' for flavor in with_gpus):
            chosen = provider.estimate(name, **sizes(platform, gpus=1))['flavor']
            assert chosen in [flavor.name for flavor in with_gpus]
        most = max((flavor.gpus for flavor in with_gpus), default=0)
        if most < 64:
            with platform.nothing_made():
                refused(provider.create(name, **platform.asked(gpus=most + 1)), 'NotFound', names='GPU')

    @needs('create', 'info', 'delete')
    def test_spare_capacity(self, platform: Platform, provider: Kbase) -> None:
        if 'spot' not in provider.honours or not any(flavor.preemptible for flavor in platform.flavors()):
            pytest.skip('there is no spare capacity here')
        name = platform.running(spot=True)
        assert flavor_of(provider, name).preemptible
        known = {**provider.info(name)}
        assert known['preemptible'] is True
        if known['stoppable'] is False and provider.supports('stop'):
            refused(provider.stop(name), 'NotSupported', names=name)
            assert provider.status(name) == 'running'


@needs('list_flavors', 'create', 'info', 'delete')
class TestFlags:
    """What may be done with a VM depends on its flavor too."""

    def test_a_vm_has_the_flags_of_its_flavor(self, platform: Platform, provider: Kbase) -> None:
        if not platform.flavors():
            pytest.skip('any size can be had here, so there are no flavors')
        known = {**provider.info(platform.vm(flavor=platform.flavors()[0].name))}
        assert {flag: type(known[flag]) for flag in FLAGS} == dict.fromkeys(FLAGS, bool)
        flavor = platform.flavors()[0]
        for flag in ('stoppable', 'rebootable', 'resizable'):
            assert getattr(flavor, flag) or not known[flag], f'the VM is {flag}, and its flavor is not'

    @pytest.mark.parametrize(('flag', 'operation'), [('stoppable', 'stop'), ('rebootable', 'restart'),
                                                     ('resizable', 'update_flavor')])
    def test_what_a_flavor_forbids_is_refused_with_the_reason(self, platform: Platform, provider: Kbase, flag: str,
                                                              operation: str) -> None:
        flavor = next((flavor for flavor in platform.flavors() if not getattr(flavor, flag)), None)
        if flavor is None or not provider.supports(operation):
            pytest.skip(f'every flavor is {flag} here' if provider.supports(operation) else f'there is no {operation}')
        name = platform.running(flavor=flavor.name)
        assert {**provider.info(name)}[flag] is False
        other = next(each for each in platform.flavors() if each.name != flavor.name)
        results: dict[str, Result] = {}
        if operation == 'update_flavor':
            results['update_flavor'] = provider.update_flavor(name, other.name)
        else:
            results[operation] = getattr(provider, operation)(name)
        reason = refused(results[operation], 'NotSupported', names=name)
        assert flag in reason or flavor.name in reason, reason
        assert (provider.status(name), provider.info(name)['flavor']) == ('running', flavor.name)


@needs('estimate')
class TestEstimate:
    """What a VM would cost."""

    def test_the_known_prices_are_added_up_and_the_others_named(self, platform: Platform, provider: Kbase) -> None:
        with platform.nothing_made():
            told = provider.estimate(platform.harness.name('vm'), **sizes(platform, disks=[10, platform.gib(2)]))
        prices = [item['monthly'] for item in told['items']]
        assert len(prices) >= 2, 'the size and a further disk are both told'
        known = [price for price in prices if price is not None]
        assert told['monthly'] == (pytest.approx(sum(known), abs=0.01) if known else None)
        assert told['unknown'] == [item['what'] for item in told['items'] if item['monthly'] is None]
        assert told['monthly'] is None or len(told['currency'] or '') == 3
        assert all(item['what'] for item in told['items'])

    @needs('create', 'info', 'delete')
    @pytest.mark.parametrize('flavor', [None, 'cheapest'])
    def test_it_is_what_create_makes(self, platform: Platform, provider: Kbase, flavor: str | None) -> None:
        if flavor and not provider.list_flavors():
            pytest.skip('any size can be had here, so there are no flavors')
        wanted = sizes(platform, numcpus=2, memory='1g', flavor=flavor)
        name = platform.harness.name('vm')
        told = provider.estimate(name, **wanted)
        known = provider.info(platform.vm(name, **wanted))
        assert (told['name'], told['flavor'] or '', told['numcpus'], told['memory']) == (
            name, known.get('flavor') or '', known['numcpus'], known['memory'])
        assert told['location'] in (None, known.get('location'))
        chosen = provider.info_flavor(told['flavor'] or '')
        if chosen is not None:
            assert told['items'][0]['monthly'] == chosen.price_monthly
            assert chosen.name in told['items'][0]['what']

    def test_what_can_not_be_made_has_no_price(self, platform: Platform, provider: Kbase) -> None:
        name = platform.harness.name('vm')
        with pytest.raises(NotFound, match='no-such-flavor'):
            provider.estimate(name, flavor='no-such-flavor')
        for wrong in ({'memroy': 512}, {'memory': '10Q'}, {'numcpus': 0}):
            with pytest.raises(InvalidInput):
                provider.estimate(name, **wrong)
        with pytest.raises(InvalidInput):
            provider.estimate('../up')
