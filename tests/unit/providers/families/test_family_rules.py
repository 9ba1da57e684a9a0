"""Ports as people write them."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kvirt.errors import InvalidInput
from kvirt.rules import rules_of


def tcp(first: int, last: int | None = None, **more: Any) -> dict[str, Any]:
    return {'protocol': 'tcp', 'cidr': '0.0.0.0/0', 'from_port': first, 'to_port': last or first, **more}


@pytest.mark.parametrize(('ports', 'rules'), [
    ([22], [tcp(22)]), (22, [tcp(22)]), ('22', [tcp(22)]), (['8000-8100'], [tcp(8000, 8100)]),
    (['53/udp'], [tcp(53, protocol='udp')]), (['60-70/UDP'], [tcp(60, 70, protocol='udp')]),
    (['icmp'], [{'protocol': 'icmp', 'cidr': '0.0.0.0/0'}]), ([], []), ([80, '80', 80], [tcp(80)]),
    ([{'from_port': 1, 'to_port': 65535, 'cidr': '10.0.0.0/8'}], [tcp(1, 65535, cidr='10.0.0.0/8')]),
    ([{'protocol': 'udp', 'from_port': '53', 'cidr': '::/0'}], [tcp(53, protocol='udp', cidr='::/0')]),
    ({'protocol': 'icmp'}, [{'protocol': 'icmp', 'cidr': '0.0.0.0/0'}])])
def test_what_can_be_written(ports: Any, rules: list[dict[str, Any]]) -> None:
    assert rules_of(ports) == rules


@pytest.mark.parametrize(('ports', 'said'), [
    (['http'], "'http' is no port"), ([0], 'from_port'), ([65536], 'from_port'), (['90-80'], 'end before they begin'),
    (['22/sctp'], 'protocol'), ([True], 'True is no port'), ([-1], '-1 is no port'), ([None], 'None is no port'),
    ([{'from_prot': 1}], "did you mean 'from_port'"), ([{'protocol': 'udp'}], 'udp needs from_port'),
    ([{'protocol': 'icmp', 'from_port': 1}], 'icmp has no ports'),
    ([{'from_port': 1, 'cidr': '10.0.0.1/8'}], 'is not a network')])
def test_what_can_not_be_written(ports: Any, said: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        rules_of(ports)
    assert said in str(caught.value)


def test_every_fault_is_told() -> None:
    with pytest.raises(InvalidInput) as caught:
        rules_of(['http', 22, 'https'])
    assert len(caught.value.problems) == 2


@given(st.lists(st.one_of(st.integers(), st.text(), st.booleans(), st.none(), st.floats(),
                          st.dictionaries(st.text(), st.text()))))
def test_anything_is_rules_or_an_error(ports: list[Any]) -> None:
    try:
        rules = rules_of(ports)
    except InvalidInput:
        return
    for rule in rules:
        assert rule['protocol'] == 'icmp' or 1 <= rule['from_port'] <= rule['to_port'] <= 65535
