"""Offers compare what clients sell: honest about currencies, about what has no price, and about who could not be asked."""

from __future__ import annotations

from typing import Any

import pytest

from kvirt.base import Kbase, unsupported
from kvirt.errors import InvalidInput, NotSupported, Unavailable
from kvirt.offers import Offers, Wish, collect, expense, offers_of
from kvirt.shapes import Flavor


def flavor(name: str, numcpus: int = 2, memory: int = 4096, **others: Any) -> Flavor:
    return Flavor(name=name, numcpus=numcpus, memory=memory, **others)


class Kshop(Kbase):
    """A platform that sells what it is told to."""

    def __init__(self, *flavors: Any, location: str = '') -> None:
        self.flavors = flavors
        self.location = location

    def _list_flavors(self) -> list[Flavor]:
        return list(self.flavors)


class Kanysize(Kbase):
    """A platform without flavors."""

    arch = 'x86_64'
    _list_flavors = unsupported('any size can be had')


class Kcli:
    """A provider in kcli's manner."""

    def list_flavors(self) -> list[list[Any]]:
        return [['small', 2, 4096], ['tiny', 1, 512]]


class Ksilent(Kbase):
    """A provider whose author has not written it yet."""


def names(offers: list[Any]) -> list[str | None]:
    return [offer['flavor'] for offer in offers]


@pytest.mark.parametrize(('wish', 'met'), [
    (Wish(), True), (Wish(numcpus=2, memory=4096), True), (Wish(numcpus=3), False), (Wish(memory=4097), False),
    (Wish(gpus=0), True), (Wish(gpus=1), False), (Wish(arch='x86_64'), True), (Wish(arch='aarch64'), False),
    (Wish(spot=True), False)])
def test_what_a_flavor_must_have(wish: Wish, met: bool) -> None:
    assert wish.met_by(flavor('medium')) is met


def test_flavors_with_gpus_are_for_those_who_ask() -> None:
    gpu = flavor('gpu', gpus=2)
    assert [Wish(gpus=number).met_by(gpu) for number in (None, 0, 1, 2, 3)] == [True, False, True, True, False]


@pytest.mark.parametrize('odd', [{'numcpus': 0}, {'memory': -1}, {'memory': '4q'}, {'gpus': -1}])
def test_a_wish_that_can_not_be(odd: dict[str, Any]) -> None:
    with pytest.raises(InvalidInput):
        Wish.of(**odd)


def test_memory_may_have_a_unit() -> None:
    assert Wish.of(memory='4g') == Wish.of(memory=4096)


def test_an_offer_says_where_and_for_how_much() -> None:
    shop = Kshop(flavor('a', price_hourly=0.01, price_monthly=6.5, currency='EUR'), location='here')
    assert offers_of('lab', 'shop', shop, Wish()) == [{
        'client': 'lab', 'provider': 'shop', 'location': 'here', 'flavor': 'a', 'numcpus': 2, 'memory': 4096, 'gpus': 0,
        'price_hourly': 0.01, 'price_monthly': 6.5, 'currency': 'EUR'}]


def test_the_place_of_a_flavor_comes_before_that_of_the_client() -> None:
    shop = Kshop(flavor('a', location='there'), flavor('b'), location='here')
    assert [offer['location'] for offer in offers_of('c', 'shop', shop, Wish())] == ['there', 'here']
    everywhere = Kshop(flavor('b'), location='all')
    assert offers_of('c', 'shop', everywhere, Wish())[0]['location'] is None, 'all is no place'


def test_the_price_of_a_month_and_of_an_hour_follow_from_each_other_and_from_nothing_else() -> None:
    shop = Kshop(flavor('hour', price_hourly=0.01, currency='USD'), flavor('month', price_monthly=7.3, currency='USD'),
                 flavor('none', currency='USD'))
    found = {offer['flavor']: (offer['price_hourly'], offer['price_monthly'], offer['currency'])
             for offer in offers_of('c', 'shop', shop, Wish())}
    assert found == {'hour': (0.01, 7.3, 'USD'), 'month': (0.01, 7.3, 'USD'), 'none': (None, None, None)}


def test_spare_capacity_has_its_own_price() -> None:
    shop = Kshop(flavor('a', price_hourly=0.1, price_monthly=70.0, price_spot=0.03, preemptible=True, currency='USD'),
                 flavor('b', price_hourly=0.01, currency='USD'),
                 flavor('c', price_hourly=0.1, preemptible=True, currency='USD'))
    found = offers_of('c', 'shop', shop, Wish(spot=True))
    assert [(offer['flavor'], offer['price_hourly'], offer['price_monthly']) for offer in found] == [
        ('a', 0.03, 21.9), ('c', None, None)], 'b is not sold that way, and nobody says what c costs'


def test_what_can_not_be_had_now_is_no_offer() -> None:
    assert names(offers_of('c', 'shop', Kshop(flavor('a', available=False), flavor('b')), Wish())) == ['b']


def test_where_any_size_can_be_had_that_is_the_offer() -> None:
    found = offers_of('lab', 'kvm', Kanysize(), Wish(numcpus=2, memory=4096, gpus=0, arch='x86_64'))
    assert [(offer['flavor'], offer['numcpus'], offer['memory'], offer['price_hourly']) for offer in found] == [
        (None, 2, 4096, None)]
    for wish in (Wish(gpus=1), Wish(spot=True), Wish(arch='aarch64')):
        assert offers_of('lab', 'kvm', Kanysize(), wish) == [], wish


def test_a_provider_that_can_not_tell_is_a_failure_and_no_empty_answer() -> None:
    with pytest.raises(NotSupported):
        offers_of('c', 'silent', Ksilent(), Wish())


def test_a_provider_in_kclis_manner_has_no_prices() -> None:
    assert [(offer['flavor'], offer['price_hourly']) for offer in offers_of('c', 'old', Kcli(), Wish(memory=1024))] == [
        ('small', None)]


def test_currencies_are_groups_and_what_has_no_price_is_last() -> None:
    rows = [{'flavor': name, 'price_hourly': price, 'currency': currency} for name, price, currency in (
        ('none', None, None), ('dear', 9.0, 'EUR'), ('dollar', 0.01, 'USD'), ('cheap', 1.0, 'EUR'), ('free', 0.0, 'USD'))]
    assert names(sorted(rows, key=expense)) == ['cheap', 'dear', 'free', 'dollar', 'none']
    notes = Offers(rows, {}, []).notes()  # type: ignore[arg-type]
    assert notes == ['Prices are in EUR and USD, which are not compared: each is sorted for itself',
                     'The last one has no known price']
    assert Offers(rows[1:2], {}, []).notes() == []  # type: ignore[arg-type]


def test_the_best_of_each_client() -> None:
    rows = [{'client': client, 'flavor': f'{client}{number}', 'price_hourly': number, 'currency': 'EUR'}
            for number in range(4) for client in ('a', 'b')]
    found = Offers(rows, {}, ['a', 'b']).best(1)  # type: ignore[arg-type]
    assert (names(list(found.rows)), found.hidden) == (['a0', 'b0'], 6)
    assert found.notes() == ['6 more are not shown; --limit 0 shows them all']
    assert Offers(rows, {}, ['a', 'b']).best(4).notes() == []  # type: ignore[arg-type]


class Client:
    """What a Kconfig is to the collector."""

    type = 'shop'

    def __init__(self, provider: Any) -> None:
        self.provider, self.closed = provider, False

    @property
    def k(self) -> Any:
        if isinstance(self.provider, Exception):
            raise self.provider
        return self.provider

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *args: object) -> None:
        self.closed = True


def test_all_are_asked_and_the_failures_of_some_are_told() -> None:
    clients = {'a': Client(Kshop(flavor('dear', price_hourly=2.0, currency='EUR'))), 'b': Client(Unavailable('down')),
               'c': Client(Kshop(flavor('cheap', price_hourly=1.0, currency='EUR')))}
    found = collect(list(clients), clients.__getitem__, Wish())
    assert names(list(found.rows)) == ['cheap', 'dear']
    assert {name: str(error) for name, error in found.failures.items()} == {'b': 'down'}
    assert found.answered == ['a', 'c']
    assert all(client.closed for client in clients.values())


def test_they_are_asked_at_the_same_time() -> None:
    import threading
    meeting = threading.Barrier(20, timeout=5)

    class Kpatient(Kshop):
        """Answers when all others are asked as well."""

        def _list_flavors(self) -> list[Flavor]:
            meeting.wait()
            return []

    assert len(collect([str(number) for number in range(20)], lambda name: Client(Kpatient()), Wish()).answered) == 20


def test_a_bug_is_not_hidden() -> None:
    with pytest.raises(KeyError):
        collect(['a', 'b'], lambda name: Client(KeyError('x')), Wish())
