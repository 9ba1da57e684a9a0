"""The tree of errors."""

from __future__ import annotations

import re

import pytest

from kvirt import errors
from kvirt.errors import BY_NAME, InvalidInput, KvirtError, NotFound, Problem, RateLimited


def test_every_error_stands_in_the_drawing_and_in_the_table() -> None:
    drawn = set(re.findall(r'[├└]── (\w+)', errors.__doc__ or '')) | {'KvirtError'}
    defined = {name for name, value in vars(errors).items() if isinstance(value, type) and issubclass(value, KvirtError)}
    assert drawn == defined == set(BY_NAME)
    assert all(kind.__name__ == name for name, kind in BY_NAME.items())


def test_the_drawing_says_which_errors_a_retry_can_help() -> None:
    drawn = set(re.findall(r'[├└]── (\w+) .*\(retry can help\)', errors.__doc__ or ''))
    assert drawn == {name for name, kind in BY_NAME.items() if kind.retryable}


def test_the_text_is_the_reason_and_the_next_step() -> None:
    assert str(NotFound('VM web does not exist')) == 'VM web does not exist'
    error = NotFound('VM web does not exist', hint="'kvirt list vm' shows them all")
    assert str(error) == "VM web does not exist. 'kvirt list vm' shows them all"
    assert (error.reason, error.hint) == ('VM web does not exist', "'kvirt list vm' shows them all")


def test_invalid_input_has_a_line_for_each_problem_with_its_place() -> None:
    error = InvalidInput(Problem(f'fault {number}', f'plan.yml:{number}') for number in (3, 7))
    assert [problem.where for problem in error.problems] == ['plan.yml:3', 'plan.yml:7']
    assert str(error) == 'plan.yml:3: fault 3\nplan.yml:7: fault 7'
    assert InvalidInput('one').problems == (Problem('one'),)
    assert str(InvalidInput(Problem('one'), hint='Do this')) == 'one. Do this'


def test_rate_limited_knows_when_to_come_back() -> None:
    assert RateLimited('slow down', retry_after=7).retry_after == 7
    assert RateLimited('slow down').retry_after is None


@pytest.mark.parametrize('kind', BY_NAME.values(), ids=lambda kind: str(kind.__name__))
def test_every_error_can_be_made_from_a_reason_and_is_documented(kind: type[KvirtError]) -> None:
    assert kind('why').reason == 'why'
    assert kind.__doc__
