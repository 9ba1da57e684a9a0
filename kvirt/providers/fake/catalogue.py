"""What every world begins with, and what it sells."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from kvirt.guest import images
from kvirt.providers.fake.records import Group, Image, Network, Pool, Record, Zone
from kvirt.shapes import Flavor

LOCATIONS = {
    'lisbon': {'description': 'Lisbon, by the river', 'country': 'PT'},
    'oslo': {'description': 'Oslo, by the fjord', 'country': 'NO'},
    'tokyo': {'description': 'Tokyo, by the bay', 'country': 'JP'},
}

ZONES = ('a', 'b')
"""The sublocations of each location."""

PLACEMENTS = {'apart': 'never two of them on one host', 'together': 'all on one host, as long as it has room'}
"""The placement groups that every account has."""

LIMITS = {'vms': 5000, 'floating_ips': 50, 'buckets': 100, 'loadbalancers': 50}
"""How many of each an account may have."""

FLOATING = '203.0.113.0/24'
"""Where floating addresses and those of load balancers come from: a range that is kept free for documentation."""

_HOURS = 720  # of a month, as most clouds count


def _flavor(name: str, numcpus: int, memory: int, disk: int, price: float, *, spot: float | None = None,
            **others: Any) -> Flavor:
    return Flavor(name=name, numcpus=numcpus, memory=memory, disk=disk, price_hourly=price, currency='EUR', firewall=True,
                  price_monthly=round(price * _HOURS, 2), price_spot=spot, preemptible=spot is not None, **others)


FLAVORS = {flavor.name: flavor for flavor in sorted((
    _flavor('micro', 1, 1024, 10, 0.005),
    _flavor('small', 2, 2048, 20, 0.010),
    _flavor('medium', 2, 4096, 40, 0.020),
    _flavor('large', 4, 8192, 80, 0.040, spot=0.012),
    _flavor('xlarge', 8, 16384, 160, 0.080, spot=0.024),
    _flavor('container', 2, 2048, 20, 0.011, stoppable=False, rebootable=False, resizable=False),
    _flavor('gpu-small', 8, 32768, 200, 0.900, gpus=1, gpu='F100', location='oslo', resizable=False),
    _flavor('gpu-large', 32, 131072, 800, 6.400, gpus=8, gpu='F100', location='oslo', resizable=False),
), key=lambda flavor: flavor.name)}

IMAGE_SIZE = 2
"""Of every image, in GiB."""

ISOS = ('rescue.iso',)


def first_things() -> Iterator[Record]:
    """Yield what is there before anybody made anything."""
    yield Pool(name='default', path='/var/lib/fake/default')
    yield Pool(name='fast', path='fakegroup/fast', type='lvm', capacity=200)
    yield Network(name='default', cidr='192.168.122.0/24')
    yield Group(name='default', description='ssh', rules=[
        {'protocol': 'tcp', 'cidr': '0.0.0.0/0', 'from_port': 22, 'to_port': 22}])
    for short in images.names():
        yield Image(name=short, short=short, size=IMAGE_SIZE)
    for iso in ISOS:
        yield Image(name=iso, iso=True)
    for zone in ('example.com', 'fake.test'):
        yield Zone(name=zone)
