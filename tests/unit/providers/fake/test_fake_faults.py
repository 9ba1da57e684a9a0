"""Words for faults."""

from __future__ import annotations

import pytest

from kvirt.errors import InvalidInput, RateLimited, Unavailable
from kvirt.providers.fake.faults import FAULTS, STEPS, Faults


def test_plain_words_have_a_number() -> None:
    faults = Faults.parse(['capacity', 'quota', 'transient', 'ratelimit=7', 'slowboot'])
    assert faults.numbers == {'capacity': 1, 'quota': 0, 'transient': 3, 'ratelimit': 7, 'slowboot': 30}
    assert 'quota' in faults and 'fail' not in faults


def test_steps_by_name_and_by_number() -> None:
    steps = list(STEPS)
    assert Faults.parse(['fail@1', 'fail@dns', f'kill@{len(steps)}']) == Faults(
        {}, frozenset({steps[0], 'dns'}), frozenset({steps[-1]}))


@pytest.mark.parametrize(('word', 'said'), [
    ('capasity', "did you mean 'capacity'"), ('', "unknown fault ''"), ('fail', 'fail@STEP'), ('capacity@dns', 'capacity:'),
    ('fail@disk', "no step 'disk', did you mean 'disks'"), ('fail@0', "no step '0'"), ('kill@99', "no step '99'"),
    ('transient=0', 'Give 1 or more'), ('transient=x', "unknown fault 'transient=x'"), ('fail@dns=2', 'unknown fault')])
def test_what_can_not_be_read(word: str, said: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        Faults.parse([word])
    assert said in str(caught.value)


def test_which_calls_stumble() -> None:
    faults = Faults.parse(['transient=2', 'ratelimit=3'])
    troubles = [type(faults.of_call(number)) for number in range(1, 7)]
    assert troubles == [type(None), Unavailable, RateLimited, Unavailable, type(None), Unavailable]


def test_faults_add_up() -> None:
    both = Faults.parse(['quota=5', 'fail@dns']).with_(Faults.parse(['quota=1', 'fail@nics']))
    assert (both.numbers, both.fail) == ({'quota': 1}, frozenset({'dns', 'nics'}))


def test_a_step_fails_only_where_it_was_asked_for() -> None:
    faults = Faults.parse(['fail@dns'])
    for step in STEPS:
        if step == 'dns':
            with pytest.raises(Unavailable, match='at step dns'):
                faults.at_step(step)
        else:
            faults.at_step(step)


def test_every_fault_says_what_it_does() -> None:
    assert set(FAULTS) == {'capacity', 'quota', 'transient', 'ratelimit', 'slowboot', 'fail', 'kill'}
    assert all(FAULTS.values()) and all(STEPS.values())
