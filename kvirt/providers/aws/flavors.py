"""Flavors: instance types, with their prices."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from kvirt.base.flavors import CHEAPEST, HOURS_A_MONTH
from kvirt.errors import NotFound
from kvirt.names import did_you_mean
from kvirt.providers.aws import prices
from kvirt.providers.aws.account import Account, pages
from kvirt.providers.aws.remembered import FRESH, remembered
from kvirt.providers.aws.volumes import volume_type
from kvirt.providers.families.memory import Memory
from kvirt.shapes import CostItem, Flavor
from kvirt.spec import VmSpec

_ARCHES = {'arm64': 'aarch64', 'arm64_mac': 'aarch64', 'x86_64_mac': 'x86_64'}
"""The words of EC2 for architectures that have another one here."""

_FEW = 100  # types that can be named in one call

_NO_PRICES: prices.Prices = {'currency': 'USD', 'hourly': {}, 'gib_month': {}}


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
        name = f'types-{self.here}'
        known = self._lists.get(name, lambda: remembered(self.options.home, name, list[Flavor], self._asked))
        self._types.update({flavor.name: flavor for flavor in known})
        return [self._priced(flavor) for flavor in sorted(known, key=lambda flavor: flavor.name)]

    def _asked(self) -> list[Flavor]:
        return [flavor_of(each, self.here)
                for each in pages(self.ec2, 'describe_instance_types', 'InstanceTypes', size=_FEW)]

    def _info_flavor(self, name: str) -> Flavor | None:
        known = self.types_of([name]).get(name)
        return self._priced(known) if known else None

    def flavor_for(self, spec: VmSpec) -> Flavor:
        named = spec.flavor if spec.flavor != CHEAPEST else None
        if spec.spot:
            self._spot |= prices.spot_prices(self.ec2, [named] if named else [])
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
                found = pages(self.client('ec2', region), 'describe_instance_types', 'InstanceTypes',
                              {'instance-type': absent[start:start + _FEW]})
                self._types.update({each['InstanceType']: flavor_of(each, region or self.here) for each in found})
        return {name: self._types[name] for name in wanted if name in self._types}

    # prices

    def _price_list(self) -> prices.Prices:
        name = f'prices-{self.here}'
        return self._lists.get(name, lambda: remembered(self.options.home, name, dict[str, Any], self._asked_prices,
                                                        instead=_NO_PRICES))

    def _asked_prices(self) -> prices.Prices:
        return prices.list_prices(self.client('pricing', prices.pricing_region(self.here)), self.here)

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
