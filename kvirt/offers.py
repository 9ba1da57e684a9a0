"""Offers: what a VM of some size costs, across clients. Prices in different currencies are never compared."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypedDict

import msgspec

from kvirt import units
from kvirt.base import Area, Kbase
from kvirt.base.flavors import HOURS_A_MONTH
from kvirt.errors import InvalidInput, KvirtError
from kvirt.parallel import in_parallel


class Offer(TypedDict):
    """A flavor that a client could be asked for. Memory is MiB; a price that nobody tells is None."""

    client: str
    provider: str
    location: str | None
    flavor: str | None  # None where any size can be had
    numcpus: int | None
    memory: int | None
    gpus: int
    price_hourly: float | None
    price_monthly: float | None
    currency: str | None


@dataclass(frozen=True)
class Wish:
    """What a flavor must have. None is no wish; 0 GPUs are none at all."""

    numcpus: int | None = None
    memory: int | None = None  # MiB
    gpus: int | None = None
    arch: str | None = None
    spot: bool = False

    @classmethod
    def of(cls, numcpus: int | None = None, memory: int | str | None = None, gpus: int | None = None,
           arch: str | None = None, spot: bool = False) -> Wish:
        """Return the wish for these; *memory* is MiB, or has a unit. InvalidInput."""
        for name, number, least in (('numcpus', numcpus, 1), ('gpus', gpus, 0)):
            if number is not None and number < least:
                raise InvalidInput(f'{name}: {number} is no number of them')
        return cls(numcpus, None if memory is None else units.memory_mib(memory), gpus, arch, spot)

    def met_by(self, flavor: Any) -> bool:
        """Tell if *flavor*, a Flavor or its facts, has all of it."""
        has = facts(flavor)
        gpus = has.get('gpus') or 0
        return ((self.numcpus is None or has['numcpus'] >= self.numcpus)
                and (self.memory is None or has['memory'] >= self.memory)
                and (self.gpus is None or (gpus >= self.gpus if self.gpus else not gpus))
                and self.arch in (None, has.get('arch', self.arch))
                and (not self.spot or bool(has.get('preemptible'))))


@dataclass(frozen=True)
class Offers:
    """What the clients offer, the cheapest first; and, by client, why the others could not be asked."""

    rows: Sequence[Offer]
    failures: Mapping[str, KvirtError]
    answered: Sequence[str]
    hidden: int = 0

    def best(self, number: int) -> Offers:
        """Return the same with the cheapest *number* of each client only: some clouds sell a thousand flavors."""
        counts: Counter[str] = Counter()
        kept = []
        for row in self.rows:
            counts[row['client']] += 1
            if counts[row['client']] <= number:
                kept.append(row)
        return Offers(kept, self.failures, self.answered, len(self.rows) - len(kept))

    def notes(self) -> list[str]:
        """Return what a reader of the rows has to know."""
        currencies = sorted({row['currency'] or 'an unnamed currency' for row in self.rows if hourly(row) is not None})
        unpriced = sum(hourly(row) is None for row in self.rows)
        notes = []
        if len(currencies) > 1:
            notes.append(f"Prices are in {' and '.join(currencies)}, which are not compared: each is sorted for itself")
        if unpriced:
            notes.append('The last one has no known price' if unpriced == 1 else
                         f'The last {unpriced} have no known price')
        if self.hidden:
            notes.append(f'{self.hidden} more are not shown; --limit 0 shows them all')
        return notes


def facts(flavor: Any) -> dict[str, Any]:
    """Return what is known of a flavor, as a mapping; one in kcli's manner has three fields."""
    if isinstance(flavor, Mapping):
        return dict(flavor)
    if isinstance(flavor, msgspec.Struct):
        return msgspec.structs.asdict(flavor)
    return dict(zip(('name', 'numcpus', 'memory'), flavor, strict=False))


def place_of(provider: Any) -> str | None:
    """Return the location that a provider makes VMs in; None where it has none, or does not tell which."""
    place = provider.made_in() if isinstance(provider, Kbase) else getattr(provider, 'location', None)
    return None if place in ('', 'all') else place


def hourly(row: Mapping[str, Any], *, spot: bool = False) -> float | None:
    """Return the price of an hour; of a month by the hour where only that is told."""
    if spot:
        price: float | None = row.get('price_spot')
        return price
    price = row.get('price_hourly')
    if price is None and row.get('price_monthly') is not None:
        price = round(row['price_monthly'] / HOURS_A_MONTH, 6)
    return price


def expense(row: Mapping[str, Any], *, spot: bool = False) -> tuple[Any, ...]:
    """Return what offers and flavors are sorted by: each currency for itself, and what has no price last."""
    price = hourly(row, spot=spot)
    return (price is None, row.get('currency') or '', price or 0, row.get('memory') or 0, row.get('numcpus') or 0,
            row.get('flavor') or row.get('name') or '', row.get('client') or '')


def offers_of(client: str, kind: str, provider: Any, wish: Wish) -> list[Offer]:
    """Return what *provider*, the one of *client* and of that *kind*, has for *wish*. Raises what hinders it."""
    place = place_of(provider)
    if isinstance(provider, Area) and provider.capability('list_flavors').mark == 'never':
        return list(_any_size(client, kind, provider, wish))
    found = [facts(flavor) for flavor in provider.list_flavors()]
    return [_offer(client, kind, flavor, flavor.get('location') or place, wish.spot)
            for flavor in found if flavor.get('available', True) and wish.met_by(flavor)]


def collect(names: Sequence[str], open_client: Callable[[str], Any], wish: Wish) -> Offers:
    """Return what all clients have for *wish*, asked at once. *open_client* gives the Kconfig of a name, to be closed."""
    def ask(name: str) -> list[Offer] | KvirtError:
        try:
            with open_client(name) as config:
                return offers_of(name, config.type, config.k, wish)
        except KvirtError as error:
            return error

    answers = dict(zip(names, in_parallel(names, ask, workers=len(names)), strict=True))
    failures = {name: answer for name, answer in answers.items() if isinstance(answer, KvirtError)}
    found = [offer for answer in answers.values() if not isinstance(answer, KvirtError) for offer in answer]
    return Offers(sorted(found, key=expense), failures, [name for name in names if name not in failures])


def _offer(client: str, kind: str, flavor: Mapping[str, Any], location: str | None, spot: bool) -> Offer:
    price = hourly(flavor, spot=spot)
    monthly = flavor.get('price_monthly') if not spot else None
    if monthly is None and price is not None:
        monthly = round(price * HOURS_A_MONTH, 2)
    return Offer(client=client, provider=kind, location=location, flavor=flavor['name'], numcpus=flavor['numcpus'],
                 memory=flavor['memory'], gpus=flavor.get('gpus') or 0, price_hourly=price, price_monthly=monthly,
                 currency=flavor.get('currency') if price is not None else None)


def _any_size(client: str, kind: str, provider: Any, wish: Wish) -> Iterable[Offer]:
    """Yield the one offer of a platform that has no flavors because any size can be had, at no known price."""
    if not wish.spot and not wish.gpus and wish.arch in (None, getattr(provider, 'arch', wish.arch)):
        yield Offer(client=client, provider=kind, location=None, flavor=None, numcpus=wish.numcpus, memory=wish.memory,
                    gpus=0, price_hourly=None, price_monthly=None, currency=None)
