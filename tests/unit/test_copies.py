from __future__ import annotations

import ipaddress
import uuid

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kvirt.copies import copy_names, copy_values
from kvirt.errors import InvalidInput


def test_the_first_copy_is_as_it_was_asked_for() -> None:
    values = {'ip': '10.0.0.5', 'ips': ['10.0.1.5/24', ''], 'uuid': '6f1c1f7e-0000-0000-0000-0000000000ff', 'memory': 512,
              'nets': ['default', {'name': 'lab', 'mac': '52:54:00:00:00:ff', 'ip': '10.0.2.255'}]}
    assert copy_values(values, 0) == values


def test_later_ones_count_up() -> None:
    assert copy_values({'ip0': '10.0.0.255', 'ips': ['fd00::ff/64'], 'uuid': '6f1c1f7e-0000-0000-0000-0000000000ff',
                        'nets': [{'mac': '52:54:00:00:00:FF', 'ip': '10.0.2.5/24'}, 'default'], 'numcpus': 2}, 1) == {
        'ip0': '10.0.1.0', 'ips': ['fd00::100/64'], 'uuid': '6f1c1f7e-0000-0000-0000-000000000100',
        'nets': [{'mac': '52:54:00:00:01:00', 'ip': '10.0.2.6/24'}, 'default'], 'numcpus': 2}


def test_the_values_given_are_not_changed() -> None:
    values = {'nets': [{'mac': '52:54:00:00:00:01'}]}
    copy_values(values, 3)
    assert values == {'nets': [{'mac': '52:54:00:00:00:01'}]}


@given(st.ip_addresses(v=4).filter(lambda ip: int(ip) < 2**32 - 1000), st.uuids(), st.integers(0, 999), st.integers(0, 999))
def test_no_two_copies_share_anything(ip: ipaddress.IPv4Address, id: uuid.UUID, one: int, other: int) -> None:
    values = {'ip': str(ip), 'uuid': str(id), 'nets': [{'mac': '52:54:00:00:00:01'}]}
    first, second = copy_values(values, one), copy_values(values, other)
    for key in values:
        assert (first[key] == second[key]) == (one == other)


@pytest.mark.parametrize('values', [{'ip': 'nope'}, {'uuid': 'nope'}, {'nets': [{'mac': 'zz'}]}, {'ips': ['1.2.3']},
                                    {'ip': '255.255.255.255'}])
def test_what_can_not_be_counted(values: dict[str, object]) -> None:
    with pytest.raises(InvalidInput):
        copy_values(values, 1)


def test_names() -> None:
    assert copy_names('n', 2) == ['n-0', 'n-1']
    for count in (0, -1, 1001):
        with pytest.raises(InvalidInput, match='is not a number of VMs'):
            copy_names('n', count)
