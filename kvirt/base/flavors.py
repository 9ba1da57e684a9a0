"""The area of flavors: the sizes of VM that a platform sells, which of them fits, and what a VM would cost."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, ClassVar

from kvirt.base.area import Area, area, built_from, serves
from kvirt.errors import NotFound, NotSupported
from kvirt.names import did_you_mean, safe_name
from kvirt.shapes import CostItem, Estimate, Flavor
from kvirt.spec import VmSpec, decode_vm

CHEAPEST = 'cheapest'
"""In place of a flavor's name: the least expensive one."""

HOURS_A_MONTH = 730
"""Where a platform tells only the price of an hour."""

_NOTHING_ASKED = VmSpec()


@area
class Flavors(Area):
    """Flavors, with their prices where the platform tells them."""

    honours: ClassVar[frozenset[str]]

    def list_flavors(self) -> list[Flavor]:
        """Return the flavors, sorted by name. A platform where any size can be had has none."""
        return self._ask(self._list_flavors)

    def _list_flavors(self) -> list[Flavor]:
        raise NotSupported('')

    def info_flavor(self, name: str) -> Flavor | None:
        """Return flavor *name*, None when there is none."""
        return self._ask(self._info_flavor, name)

    @built_from('list_flavors')
    def _info_flavor(self, name: str) -> Flavor | None:
        return next((flavor for flavor in self._list_flavors() if flavor.name == name), None)

    def estimate(self, name: str, **keywords: Any) -> Estimate:
        """Return what ``create`` with the same arguments would make, and what a month of it costs. Makes nothing.

        InvalidInput, NotFound (flavor).
        """
        return self._ask(self._estimate_decoded, name, keywords)

    @serves('estimate')
    def _estimate_decoded(self, name: str, keywords: dict[str, Any]) -> Estimate:
        safe_name('VM', name)
        plain = {key: value for key, value in keywords.items() if key not in ('overrides', 'basedir', 'home')}
        return self._estimate(name, decode_vm(plain, honoured=self.honours, provider=type(self).__name__))

    @built_from('list_flavors')
    def _estimate(self, name: str, spec: VmSpec) -> Estimate:
        flavor = self.flavor_for(spec)
        items = [_cost_of(flavor, spec), *self.extra_costs(spec, flavor)]
        known = [item['monthly'] for item in items if item['monthly'] is not None]
        return {'name': name, 'flavor': flavor.name if flavor else None,
                'numcpus': flavor.numcpus if flavor else spec.numcpus, 'memory': flavor.memory if flavor else spec.memory,
                'image': spec.image, 'location': self.made_in() or None, 'items': items,
                'monthly': round(sum(known), 2) if known else None, 'currency': flavor.currency if flavor else None,
                'unknown': [item['what'] for item in items if item['monthly'] is None]}

    # for providers

    def made_in(self) -> str:
        """Return the location that VMs are made in, empty where the platform has none."""
        return str(getattr(self, 'location', ''))

    def extra_costs(self, spec: VmSpec, flavor: Flavor | None) -> list[CostItem]:
        """Return what costs money beside the flavor. Providers that know the prices override this."""
        return [{'what': f'disk of {spec.disk_size(disk)} GiB', 'monthly': None} for disk in spec.disks[1:]]

    def flavor_for(self, spec: VmSpec) -> Flavor | None:
        """Return the flavor of a VM that is asked for; None where the platform has none and any size can be had.

        The one that is named; else the cheapest with ``numcpus``, ``memory``, ``gpus`` and the root disk. The word
        ``cheapest`` does without the first two where they were left at their defaults. NotFound.
        """
        flavors = self._list_flavors()
        if not flavors and spec.flavor is None:
            return None
        if spec.flavor not in (None, CHEAPEST):
            return self.flavor_named(str(spec.flavor), flavors)
        fitting = [flavor for flavor in flavors if _fits(flavor, spec)]
        if not fitting:
            raise NotFound(f'no flavor{f" in {self.made_in()}" if self.made_in() else ""} has {_wish(spec)}',
                           hint="'kvirt list flavor' shows them all")
        return min(fitting, key=lambda flavor: _expense(flavor, spot=spec.spot))

    def flavor_named(self, name: str, flavors: Iterable[Flavor] | None = None) -> Flavor:
        """Return flavor *name*, one of *flavors* where these were read already. NotFound suggests the likely one."""
        known = {flavor.name: flavor for flavor in (self._list_flavors() if flavors is None else flavors)}
        if name not in known:
            raise NotFound(f"flavor '{name}' does not exist{did_you_mean(name, known)}",
                           hint="'kvirt list flavor' shows them all")
        return known[name]


def _fits(flavor: Flavor, spec: VmSpec) -> bool:
    asked = spec.flavor is None
    enough = ((flavor.numcpus >= spec.numcpus or not (asked or spec.numcpus != _NOTHING_ASKED.numcpus))
              and (flavor.memory >= spec.memory or not (asked or spec.memory != _NOTHING_ASKED.memory)))
    root = spec.disks[0].size if spec.disks else None
    roomy = root is None or flavor.disk is None or flavor.disk >= root
    # Without a wish for GPUs, one that has some is never meant, however cheap.
    gpus = flavor.gpus >= spec.gpus if spec.gpus else flavor.gpus == 0
    return (enough and roomy and gpus and flavor.available and flavor.arch == (spec.arch or 'x86_64')
            and (flavor.preemptible or not spec.spot))


def _wish(spec: VmSpec) -> str:
    disk = [f'a root disk of {spec.disks[0].size} GiB'] if spec.disks and spec.disks[0].size else []
    return ', '.join([f'{spec.numcpus} CPUs', f'{spec.memory} MiB', *disk, *([f'{spec.gpus} GPUs'] if spec.gpus else []),
                      spec.arch or 'x86_64', *(['spare capacity'] if spec.spot else [])])


def _expense(flavor: Flavor, *, spot: bool) -> tuple[Any, ...]:
    price = flavor.price_spot if spot and flavor.price_spot is not None else flavor.price_hourly
    return price is None, price or 0, flavor.memory, flavor.numcpus, flavor.name


def _cost_of(flavor: Flavor | None, spec: VmSpec) -> CostItem:
    if flavor is None:
        return {'what': f'{spec.numcpus} CPUs, {spec.memory} MiB', 'monthly': None}
    if spec.spot:
        monthly = None if flavor.price_spot is None else round(flavor.price_spot * HOURS_A_MONTH, 2)
        return {'what': f'flavor {flavor.name}, spot', 'monthly': monthly}
    return {'what': f'flavor {flavor.name}', 'monthly': flavor.price_monthly}
