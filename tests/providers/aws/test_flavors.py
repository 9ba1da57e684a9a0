"""Flavors and prices: what is kept for a week, and what is told when nobody can be asked."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest

from kvirt.providers.aws import Kaws
from kvirt.providers.aws.flavors import flavor_of, pricing_region, spot_prices
from kvirt.providers.families.boto import Clients
from kvirt.spec import VmSpec
from kvirt.testing.wire import Wire
from tests.providers.aws.cloud import HOURLY, REGION, Aws, connect, operation_of

Open = Callable[..., Kaws]


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / 'home'


@pytest.fixture
def open_(wire: Wire, clients: Clients, home: Path) -> Open:
    """Return a function that connects as another run of kvirt would, with the same home."""
    def connected(**options: Any) -> Kaws:
        aws = connect(wire.url, **{'home': str(home), **options})
        aws.conn = clients
        return aws
    return connected


def asked(wire: Wire, before: int) -> list[str]:
    return [operation_of(exchange.request) for exchange in wire.exchanges[before:]]


def test_a_flavor_has_its_price_and_what_can_be_done_with_it(open_: Open) -> None:
    flavors = {flavor.name: flavor for flavor in open_().list_flavors()}
    micro, gpu, arm, old = (flavors[name] for name in ('t3.micro', 'g4dn.xlarge', 't4g.nano', 'm1.small'))
    assert (micro.numcpus, micro.memory, micro.price_hourly, micro.currency) == (2, 1024, HOURLY['t3.micro'], 'USD')
    assert micro.price_monthly == round(HOURLY['t3.micro'] * 730, 2)
    assert (gpu.gpus, gpu.gpu) == (1, 'T4')
    assert (arm.arch, micro.arch) == ('aarch64', 'x86_64')
    assert (old.price_hourly, old.price_monthly, old.currency) == (None, None, None), 'nobody tells it, so it is no guess'
    assert not flavors['mac2.metal'].available
    assert all(flavor.location == REGION and flavor.firewall for flavor in flavors.values())


def test_a_type_that_boots_from_its_host_only_can_not_be_stopped() -> None:
    known = {'InstanceType': 'x1', 'VCpuInfo': {'DefaultVCpus': 1}, 'MemoryInfo': {'SizeInMiB': 512},
             'ProcessorInfo': {'SupportedArchitectures': ['i386', 'x86_64']},
             'SupportedRootDeviceTypes': ['instance-store'], 'SupportedUsageClasses': ['on-demand']}
    flavor = flavor_of(known, REGION)
    assert (flavor.stoppable, flavor.resizable, flavor.preemptible, flavor.arch) == (False, False, False, 'x86_64')


def test_types_and_prices_are_asked_for_once_a_week(open_: Open, wire: Wire, home: Path) -> None:
    before = len(wire.exchanges)
    first = open_().list_flavors()
    assert {'DescribeInstanceTypes', 'GetProducts'} <= set(asked(wire, before))
    before = len(wire.exchanges)
    assert open_().list_flavors() == first
    assert asked(wire, before) == []
    for path in (home / 'aws').iterdir():
        grow_old(path, days=8)
    assert open_().list_flavors() == first
    assert {'DescribeInstanceTypes', 'GetProducts'} <= set(asked(wire, before))


def grow_old(path: Path, days: int) -> str:
    kept = json.loads(path.read_text())
    kept['date'] = (datetime.now(timezone.utc) - timedelta(days=days)).isoformat()
    path.write_text(json.dumps(kept))
    return str(kept['date'])[:10]


def test_old_prices_serve_on_with_their_date(open_: Open, wire: Wire, home: Path, caplog: pytest.LogCaptureFixture) -> None:
    first = open_().list_flavors()
    date = grow_old(home / 'aws' / f'prices-{REGION}.json', days=30)
    with broken(wire), caplog.at_level(logging.WARNING):
        assert open_().list_flavors() == first
    assert date in caplog.text


def test_without_any_prices_none_are_told(open_: Open, wire: Wire, home: Path) -> None:
    with broken(wire):
        aws = open_()
        assert {flavor.price_hourly for flavor in aws.list_flavors()} == {None}
        assert aws.flavor_for(VmSpec(numcpus=2, memory=4096)) is not None
    assert not (home / 'aws' / f'prices-{REGION}.json').exists(), 'what is not known is asked for again'
    assert open_().info_flavor('t3.micro').price_hourly == HOURLY['t3.micro']  # type: ignore[union-attr]


@pytest.mark.parametrize('content', ['', '{', '[]', '{"date": "x", "content": 1}', '{"date": "2026-01-01T00:00:00Z"}'])
def test_a_file_that_can_not_be_read_is_written_anew(open_: Open, home: Path, content: str) -> None:
    path = home / 'aws' / f'prices-{REGION}.json'
    path.parent.mkdir(parents=True)
    path.write_text(content)
    assert open_().info_flavor('t3.micro').price_hourly == HOURLY['t3.micro']  # type: ignore[union-attr]
    assert json.loads(path.read_text())['content']['currency'] == 'USD'


class broken:
    """The service of prices fails for as long as the block runs."""

    def __init__(self, wire: Wire) -> None:
        assert isinstance(wire.app, Aws)
        self.prices = wire.app.prices

    def __enter__(self) -> None:
        self.prices.broken = True

    def __exit__(self, *args: object) -> None:
        self.prices.broken = False


def test_prices_come_on_several_pages(open_: Open, wire: Wire) -> None:
    assert isinstance(wire.app, Aws)
    wire.app.prices.size = 3
    before = len(wire.exchanges)
    flavors = {flavor.name: flavor.price_hourly for flavor in open_().list_flavors()}
    wire.app.prices.size = 100
    assert {name: flavors[name] for name in HOURLY} == HOURLY
    assert asked(wire, before).count('GetProducts') > 3


def test_the_cheapest_that_fits_is_chosen(open_: Open) -> None:
    aws = open_()
    for spec, name in ((VmSpec(numcpus=2, memory=512), 't3.nano'), (VmSpec(numcpus=2, memory=2048), 't3.small'),
                       (VmSpec(numcpus=8, memory=1024), 'c5.2xlarge'), (VmSpec(gpus=1), 'g4dn.xlarge'),
                       (VmSpec(flavor='cheapest'), 't3.nano'), (VmSpec(arch='aarch64', numcpus=1), 't4g.nano')):
        assert aws.flavor_for(spec).name == name  # type: ignore[union-attr]


def test_a_flavor_that_is_named_costs_one_call(open_: Open, wire: Wire) -> None:
    aws, before = open_(), len(wire.exchanges)
    assert aws.flavor_named('t3.micro').memory == 1024
    assert aws.flavor_named('t3.micro').memory == 1024
    assert asked(wire, before) == ['DescribeInstanceTypes']


def test_spare_capacity_has_the_price_of_the_cheapest_zone() -> None:
    class Ec2:
        def can_paginate(self, operation: str) -> bool:
            return False

        def describe_spot_price_history(self, **asked: Any) -> dict[str, Any]:
            assert asked['InstanceTypes'] == ['t3.micro']
            assert asked['ProductDescriptions'] == ['Linux/UNIX']
            return {'SpotPriceHistory': [{'InstanceType': 't3.micro', 'SpotPrice': price} for price in ('0.004', '0.003')]}
    assert spot_prices(Ec2(), ['t3.micro']) == {'t3.micro': 0.003}


def test_an_estimate_adds_disks_and_tells_what_is_unknown(open_: Open) -> None:
    known = open_().estimate('web', image='debian12', flavor='t3.micro', disks=[10, {'size': 100, 'pool': 'st1'}])
    assert (known['flavor'], known['location'], known['currency']) == ('t3.micro', REGION, 'USD')
    assert {item['what']: item['monthly'] for item in known['items']} == {
        'flavor t3.micro': round(HOURLY['t3.micro'] * 730, 2), 'disk of 10 GiB': 0.8, 'disk of 100 GiB': None,
        'public address': None}
    assert known['monthly'] == round(HOURLY['t3.micro'] * 730 + 0.8, 2)
    assert known['unknown'] == ['disk of 100 GiB', 'public address']


@pytest.mark.parametrize(('region', 'where'), [('eu-west-1', 'us-east-1'), ('cn-north-1', 'cn-northwest-1')])
def test_prices_of_a_region_are_told_in_another(region: str, where: str) -> None:
    assert pricing_region(region) == where
