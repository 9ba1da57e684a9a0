"""Accounts: what their options say, where they are bound to, and what the platform holds for a while."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any

import pytest

from kvirt.base import Options, option
from kvirt.errors import Conflict, InvalidInput, KvirtError, NotFound, TimedOut, Unauthorized, Unavailable
from kvirt.providers.families.accounts import ApiAccount
from kvirt.rest import Api
from kvirt.shapes import Flavor
from kvirt.testing.sweep import Haste


class ToyOptions(Options, frozen=True, kw_only=True):
    """The keys of a client."""

    token: Annotated[str | None, option('Token', secret=True, env=('TOY_TOKEN', 'OLD_TOKEN'))] = None
    location: Annotated[str, option('Where')] = 'here'


class SdkError(Exception):
    """What an SDK raises."""


class Toy(ApiAccount):
    """A platform with two locations and an API that is never called."""

    Options = ToyOptions
    platform = 'Toy'
    usual_location = 'here'

    def api_with(self, token: str) -> Api:
        return Api('http://127.0.0.1:9', name='Toy', token=token, clock=self.clock)

    def translate(self, error: Exception) -> KvirtError | None:
        return Unavailable('it stumbles') if isinstance(error, SdkError) else None

    def locations(self) -> list[dict[str, Any]]:
        return [{'name': 'there', 'country': None}, {'name': 'here', 'country': 'NO'}]

    def flavors(self) -> list[Flavor]:
        return [Flavor(name=name, numcpus=1, memory=1024) for name in ('small', 'large') if self.is_seen('here')]


def at(location: str) -> Toy:
    return Toy(token='x', location=location, clock=Haste())


def test_without_a_token_nothing_is_reached_and_the_next_step_is_told() -> None:
    with Toy() as toy:
        assert (toy.conn, toy.location) == (None, 'here')
        with pytest.raises(Unauthorized, match='Toy: it needs token: write it in its section, or set TOY_TOKEN'):
            _ = toy.api
    with at('here') as toy:
        assert toy.api is toy.conn
        assert toy.unreachable is None


def test_a_key_that_is_no_option_is_refused() -> None:
    with pytest.raises(TypeError, match='colour'):
        Toy(colour='red')


def test_an_account_is_bound_to_a_location_or_sees_them_all() -> None:
    assert [(toy.made_in(), toy.only_location) for toy in (at('there'), at('all'))] == [('there', 'there'), ('here', None)]
    assert [at(location).is_seen('here') for location in ('here', 'there', 'all')] == [True, False, True]
    assert at('all').list_locations() == [{'name': 'here', 'country': 'NO'}, {'name': 'there'}]
    assert [flavor.name for flavor in at('all').list_flavors()] == ['large', 'small']
    assert at('there').list_flavors() == []


@pytest.mark.parametrize('checked', [False, True])
def test_a_location_that_is_not_there_is_told_at_the_latest_where_nothing_is_found(checked: bool) -> None:
    toy = at('her')
    toy.location_is_checked = checked  # type: ignore[misc]
    with pytest.raises(InvalidInput, match="unknown location 'her', did you mean 'here'"):
        toy.list_flavors()
    if checked:
        with pytest.raises(InvalidInput, match='her'):
            toy.is_seen('here')


def answering(*answers: Exception | str) -> Callable[[], str]:
    """Return what raises or returns one of *answers* after the other."""
    left = iter(answers)

    def call() -> str:
        answer = next(left)
        if isinstance(answer, Exception):
            raise answer
        return answer
    return call


def test_what_the_platform_holds_is_asked_for_until_it_lets_go() -> None:
    toy = at('here')
    assert toy.insist(answering(Conflict('held'), SdkError(), Conflict('held'), 'done'), 'changing it') == 'done'
    with pytest.raises(NotFound):
        toy.insist(answering(Conflict('held'), NotFound('gone')), 'changing it')
    with pytest.raises(TimedOut, match='changing it.*held'):
        toy.insist(answering(*[Conflict('held')] * 99), 'changing it')


def test_a_platform_may_tell_what_is_held_from_what_is_forbidden() -> None:
    toy = at('here')
    toy.is_busy = lambda error: 'held' in str(error)  # type: ignore[method-assign]
    with pytest.raises(Conflict, match='protected'):
        toy.insist(answering(Conflict('held'), Conflict('protected')), 'changing it')


def test_a_bug_ends_a_wait() -> None:
    with pytest.raises(ZeroDivisionError):
        at('here').awaited(answering(SdkError(), ZeroDivisionError()), 'a change', 60)
