"""Which flavor is meant, and what a VM of it would cost."""

from __future__ import annotations

from typing import Any

import pytest

from kvirt.base import Kbase
from kvirt.errors import InvalidInput, NotFound
from kvirt.shapes import Flavor
from kvirt.spec import SPECIAL

FLAVORS = [
    Flavor(name='tiny', numcpus=1, memory=512, disk=10, price_hourly=0.005, price_monthly=3.5, currency='EUR'),
    Flavor(name='small', numcpus=2, memory=2048, disk=40, price_hourly=0.01, price_monthly=7, currency='EUR'),
    Flavor(name='soldout', numcpus=2, memory=2048, price_hourly=0.001, currency='EUR', available=False),
    Flavor(name='arm', numcpus=4, memory=8192, arch='aarch64', price_hourly=0.002, currency='EUR'),
    Flavor(name='big', numcpus=8, memory=16384, price_hourly=0.1, price_monthly=70, currency='EUR', preemptible=True,
           price_spot=0.02),
    Flavor(name='dear', numcpus=8, memory=16384, price_hourly=0.2, price_monthly=140, currency='EUR', preemptible=True,
           price_spot=0.01),
    Flavor(name='gpu', numcpus=8, memory=16384, gpus=2, gpu='A100', price_hourly=0.0001, currency='EUR'),
    Flavor(name='secret', numcpus=2, memory=1024),
]


class Shop(Kbase):
    """Sells VMs."""

    honours = SPECIAL
    location = 'mars'

    def _list_flavors(self) -> list[Flavor]:
        return FLAVORS


class Workshop(Kbase):
    """Makes VMs of any size."""

    def _list_flavors(self) -> list[Flavor]:
        return []


@pytest.mark.parametrize(('keywords', 'flavor'), [
    ({}, 'small'), ({'numcpus': 1}, 'tiny'), ({'numcpus': 1, 'disks': [20]}, 'small'),
    ({'numcpus': 1, 'memory': '1g'}, 'small'), ({'memory': 4096}, 'big'),
    ({'flavor': 'cheapest'}, 'tiny'), ({'flavor': 'cheapest', 'memory': '2g'}, 'small'), ({'gpus': 1}, 'gpu'),
    ({'arch': 'aarch64'}, 'arm'), ({'spot': True}, 'dear'), ({'flavor': 'soldout'}, 'soldout')])
def test_the_cheapest_that_fits(keywords: dict[str, Any], flavor: str) -> None:
    assert Shop().estimate('web', **keywords)['flavor'] == flavor


@pytest.mark.parametrize(('keywords', 'says'), [
    ({'numcpus': 64}, 'in mars has 64 CPUs'), ({'gpus': 8}, '8 GPUs'), ({'arch': 's390x'}, 's390x'),
    ({'flavor': 'smal'}, "did you mean 'small'"), ({'spot': True, 'arch': 'aarch64'}, 'spare capacity')])
def test_none_that_fits(keywords: dict[str, Any], says: str) -> None:
    with pytest.raises(NotFound, match=says):
        Shop().estimate('web', **keywords)


def test_an_estimate_says_what_it_does_not_know() -> None:
    told = Shop().estimate('web', numcpus=2, disks=[10, 50])
    assert told['items'] == [{'what': 'flavor small', 'monthly': 7}, {'what': 'disk of 50 GiB', 'monthly': None}]
    assert (told['monthly'], told['currency'], told['unknown']) == (7, 'EUR', ['disk of 50 GiB'])
    told = Shop().estimate('web', flavor='secret')
    assert (told['monthly'], told['unknown']) == (None, ['flavor secret'])


def test_spare_capacity_has_a_price_of_its_own() -> None:
    assert Shop().estimate('web', spot=True)['monthly'] == pytest.approx(7.3)


def test_where_any_size_can_be_had_there_is_no_price() -> None:
    told = Workshop().estimate('web', numcpus=3, memory=1000)
    assert (told['flavor'], told['numcpus'], told['memory'], told['monthly']) == (None, 3, 1000, None)
    assert told['unknown'] == ['3 CPUs, 1000 MiB']
    with pytest.raises(NotFound):
        Workshop().estimate('web', flavor='small')


@pytest.mark.parametrize('keywords', [{'memory': 'lots'}, {'nonsense': 1}, {'numcpus': 0}])
def test_a_wrong_wish_is_refused(keywords: dict[str, Any]) -> None:
    with pytest.raises(InvalidInput):
        Shop().estimate('web', **keywords)
