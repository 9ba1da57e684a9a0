"""What changes answer."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kvirt.errors import BY_NAME, Conflict, KvirtError, NotFound, Unavailable
from kvirt.result import Result


def test_a_success_is_a_plain_dict_with_what_there_is_to_tell() -> None:
    result = Result.success(name='web', id='7')
    assert result == {'result': 'success', 'name': 'web', 'id': '7'}
    assert result.ok
    assert result.error is None
    assert result.expect() is result


def test_a_failure_tells_reason_class_and_if_a_retry_can_help() -> None:
    result = Result.failure(Unavailable('the cloud is away', hint='Wait'), name='web')
    assert result == {'result': 'failure', 'reason': 'the cloud is away. Wait', 'error': 'Unavailable',
                      'retryable': True, 'name': 'web'}
    assert not result.ok
    with pytest.raises(Unavailable, match='the cloud is away. Wait'):
        result.expect()


@pytest.mark.parametrize('kind', BY_NAME.values(), ids=lambda kind: str(kind.__name__))
def test_every_error_survives_being_a_result(kind: type[KvirtError]) -> None:
    result = Result.of(json.loads(json.dumps(Result.failure(kind('why')))))
    assert type(result.error) is kind
    assert str(result.error) == 'why'
    assert result['retryable'] is kind.retryable


def test_what_a_provider_in_kclis_manner_answers_is_read() -> None:
    assert Result.of({'result': 'success', 'image': 'x'}) == {'result': 'success', 'image': 'x'}
    failure = Result.of({'result': 'failure', 'reason': 'VM web not found'})
    assert type(failure.error) is KvirtError
    assert failure['reason'] == 'VM web not found'
    assert isinstance(Result.of({'result': 'failure', 'reason': 'x', 'error': 'NotFound'}).error, NotFound)
    assert Result.of({'result': 'failure', 'reason': None})['reason'] == 'the provider gave no reason'
    mine = Result.failure(Conflict('busy'))
    assert Result.of(mine) is mine


@given(st.one_of(st.none(), st.booleans(), st.integers(), st.text(), st.lists(st.integers()),
                 st.dictionaries(st.text(), st.text()), st.fixed_dictionaries({'result': st.text()})))
def test_an_answer_that_does_not_say_success_is_a_failure_with_a_reason(answer: Any) -> None:
    said = answer.get('result') if isinstance(answer, dict) else None
    result = Result.of(answer)
    assert result.ok == (said == 'success')
    if not result.ok:
        assert result['reason']
        assert isinstance(result.error, KvirtError)
