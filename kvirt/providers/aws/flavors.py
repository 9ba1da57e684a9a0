"""Flavors: instance types, with what the Pricing API tells of them and of volumes on demand, and EC2 of spare capacity.

Prices are list prices, before taxes and discounts, and leave out traffic.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, TypeVar

import msgspec

from kvirt.base.flavors import CHEAPEST, HOURS_A_MONTH
from kvirt.errors import NotFound
from kvirt.names import did_you_mean
from kvirt.providers.aws.account import Account
from kvirt.providers.aws.storage import volume_type
from kvirt.providers.families.ec2 import described, pages
from kvirt.providers.families.kept import FRESH, kept, now
from kvirt.providers.families.memory import Memory
from kvirt.shapes import CostItem, Flavor
from kvirt.spec import VmSpec

T = TypeVar('T')
Prices = dict[str, Any]
"""``currency``, ``hourly`` by instance type, ``gib_month`` by type of volume."""

_ARCHES = {'arm64': 'aarch64', 'arm64_mac': 'aarch64', 'x86_64_mac': 'x86_64'}
"""The words of EC2 for architectures that have another one here."""

_FEW = 100  # types that can be named in one call

_INSTANCES = {'operatingSystem': 'Linux', 'tenancy': 'Shared', 'preInstalledSw': 'NA', 'capacitystatus': 'Used',
              'marketoption': 'OnDemand'}
"""Which of the products that bear an instance type's name is the plain machine."""


class Flavors(Account):
    """The instance types of a region.

    A month has 730 hours, as the price lists of AWS count. Types and prices are asked for once a week.
    """

    def __init__(self, debug: bool = False, **options: Any) -> None:
        super().__init__(debug, **options)
        self._types_lock = threading.Lock()
        self._types: dict[str, Flavor] = {}
        self._spot: dict[str, float] = {}
        self._lists = Memory(seconds=FRESH.total_seconds())

    def made_in(self) -> str:
        return self.here

    def _list_flavors(self) -> list[Flavor]:
        known = self._kept('types', list[Flavor], lambda: [
            flavor_of(each, self.here) for each in described(self.ec2, 'instance_type', size=_FEW)])
        self._types.update({flavor.name: flavor for flavor in known})
        return [self._priced(flavor) for flavor in sorted(known, key=lambda flavor: flavor.name)]

    def _kept(self, what: str, kind: type[T], ask: Callable[[], T], instead: T | None = None) -> T:
        name = f'{what}-{self.here}'
        return self._lists.get(name, lambda: kept(self.options.home, f'aws/{name}', kind, ask, instead=instead,
                                                  translate=self.translate))

    def _info_flavor(self, name: str) -> Flavor | None:
        known = self.types_of([name]).get(name)
        return self._priced(known) if known else None

    def flavor_for(self, spec: VmSpec) -> Flavor:
        named = spec.flavor if spec.flavor != CHEAPEST else None
        if spec.spot:
            self._spot |= spot_prices(self.ec2, [named] if named else [])
        chosen = self._priced(self.flavor_named(named)) if named else super().flavor_for(spec)
        assert chosen is not None, 'where types are sold, one is chosen'
        return chosen

    def flavor_named(self, name: str, flavors: Iterable[Flavor] | None = None) -> Flavor:
        """Return flavor *name*, without asking for prices."""
        flavor = self.types_of([name]).get(name)
        if flavor is None:
            known = [each.name for each in self._list_flavors()]
            raise NotFound(f"flavor '{name}' does not exist in {self.here}{did_you_mean(name, known)}",
                           hint="'kvirt list flavor' shows them all")
        return flavor

    def types_of(self, names: Iterable[str], region: str | None = None) -> dict[str, Flavor]:
        """Return the flavors of these *names* that there are, without prices; what is known is not asked for again."""
        wanted = set(names)
        with self._types_lock:  # one of many threads asks, and the others wait for what it learns
            absent = sorted(wanted - set(self._types))
            for start in range(0, len(absent), _FEW):
                few = {'instance-type': absent[start:start + _FEW]}
                found = described(self.client('ec2', region), 'instance_type', few)
                self._types.update({each['InstanceType']: flavor_of(each, region or self.here) for each in found})
        return {name: self._types[name] for name in wanted if name in self._types}

    # prices

    def _price_list(self) -> Prices:
        return self._kept('prices', dict[str, Any], instead=_no_prices(), ask=lambda: list_prices(
            self.client('pricing', pricing_region(self.here)), self.here))

    def _priced(self, flavor: Flavor) -> Flavor:
        known = self._price_list()
        hourly, spot = known['hourly'].get(flavor.name), self._spot.get(flavor.name)
        return msgspec.structs.replace(
            flavor, price_hourly=hourly, price_monthly=None if hourly is None else round(hourly * HOURS_A_MONTH, 2),
            price_spot=spot, currency=known['currency'] if hourly is not None or spot is not None else None)

    def extra_costs(self, spec: VmSpec, flavor: Flavor | None) -> list[CostItem]:
        by_kind = self._price_list()['gib_month']
        items: list[CostItem] = []
        for disk in spec.disks:
            price, size = by_kind.get(volume_type(disk.pool or spec.pool)), spec.disk_size(disk)
            items.append({'what': f'disk of {size} GiB', 'monthly': None if price is None else round(price * size, 2)})
        return [*items, *([CostItem(what='public address', monthly=None)] if spec.publicip else [])]


def flavor_of(known: Mapping[str, Any], region: str) -> Flavor:
    """Map an instance type. One whose root disk can only be that of its host is lost when it stops."""
    arches = known['ProcessorInfo']['SupportedArchitectures']
    arch = next((each for each in ('x86_64', 'arm64') if each in arches), arches[0])
    mac = arch.endswith('_mac')  # to be had on a dedicated host only
    gpus = [each for each in known.get('GpuInfo', {}).get('Gpus', ()) if each.get('Count')]  # some have a part of one
    on_ebs = 'ebs' in known.get('SupportedRootDeviceTypes', ('ebs',))
    return Flavor(name=known['InstanceType'], numcpus=known['VCpuInfo']['DefaultVCpus'],
                  memory=known['MemoryInfo']['SizeInMiB'], disk=known.get('InstanceStorageInfo', {}).get('TotalSizeInGB'),
                  gpus=sum(gpu['Count'] for gpu in gpus), gpu=gpus[0].get('Name') if gpus else None,
                  arch=_ARCHES.get(arch, arch), location=region, available=not mac, stoppable=on_ebs, resizable=on_ebs,
                  preemptible='spot' in known.get('SupportedUsageClasses', ()), firewall=True)


# prices

def _no_prices() -> Prices:
    return {'currency': 'USD', 'hourly': {}, 'gib_month': {}}


def pricing_region(region: str) -> str:
    """Return where prices of *region* are told: few regions have the service."""
    return 'cn-northwest-1' if region.startswith('cn-') else 'us-east-1'


def list_prices(client: Any, region: str) -> Prices:
    """Return the prices in *region*, from the *client* of the service pricing."""
    prices = _no_prices()
    for name, unit, key, filters in (('instanceType', 'Hrs', 'hourly', _INSTANCES),
                                     ('volumeApiName', 'GB-Mo', 'gib_month', {'productFamily': 'Storage'})):
        for product in _products(client, {'regionCode': region, **filters}):
            kind = product['product']['attributes'].get(name)
            for currency, price in _on_demand(product, unit):
                if kind and price > 0:
                    prices['currency'] = currency
                    prices[key][kind] = min(price, prices[key].get(kind, price))
    return prices


def spot_prices(ec2: Any, types: Sequence[str] = ()) -> dict[str, float]:
    """Return what an hour of spare capacity costs now in the cheapest zone, by type; of all types when none is named."""
    prices: dict[str, float] = {}
    wanted: dict[str, Any] = {'InstanceTypes': list(types)} if types else {}
    for row in pages(ec2, 'describe_spot_price_history', 'SpotPriceHistory', size=1000, StartTime=now(),
                     ProductDescriptions=['Linux/UNIX'], **wanted):
        price = float(row['SpotPrice'])
        prices[row['InstanceType']] = min(price, prices.get(row['InstanceType'], price))
    return prices


def _products(client: Any, filters: Mapping[str, str]) -> Iterator[dict[str, Any]]:
    asked = [{'Type': 'TERM_MATCH', 'Field': field, 'Value': value} for field, value in filters.items()]
    texts: Iterator[Any] = pages(client, 'get_products', 'PriceList', size=100, ServiceCode='AmazonEC2',
                                 FormatVersion='aws_v1', Filters=asked)
    return map(json.loads, texts)


def _on_demand(product: Mapping[str, Any], unit: str) -> Iterator[tuple[str, float]]:
    for offer in product.get('terms', {}).get('OnDemand', {}).values():
        for tier in offer['priceDimensions'].values():
            if tier['unit'] == unit:
                yield from ((currency, float(price)) for currency, price in tier['pricePerUnit'].items())
