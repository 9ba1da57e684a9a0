"""Sizes and addresses."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kvirt import units
from kvirt.errors import InvalidInput

FACTOR = {'K': 1024, 'M': 1024**2, 'G': 1024**3, 'T': 1024**4}


@pytest.mark.parametrize(('value', 'unit', 'expected'), [
    (10, 'G', 10 * 1024**3), ('10', 'M', 10 * 1024**2), ('10G', 'M', 10 * 1024**3), ('10g', 'M', 10 * 1024**3),
    (' 10 GiB ', 'M', 10 * 1024**3), ('10GB', 'M', 10 * 1024**3), ('512kb', 'G', 512 * 1024),
    ('1.5G', 'M', 3 * 1024**3 // 2),
    (1.5, 'G', 3 * 1024**3 // 2), ('100b', 'G', 100), ('100B', 'M', 100), ('7', '', 7), ('1048576T', 'G', 1024**6),
])
def test_sizes(value: Any, unit: str, expected: int) -> None:
    assert units.size_bytes(value, unit) == expected


@pytest.mark.parametrize('value', ids=lambda value: repr(value)[:20] if value != 10**5000 else 'huge', argvalues=[
    -1, '-1', '10Q', '', ' ', 'ten', '1e3', 'nan', 'inf', '0', 0, '0G', True, False, None, [], {}, '1G2', '10 20',
    '0x10', '1,5',
    '10GG', '1.', '.5', '1048577T', '9' * 400, 10**30, 10**5000, '\n', '10\n20', float('nan'), float('inf'), -0.5])
def test_what_is_no_size_is_refused_by_its_name(value: Any) -> None:
    with pytest.raises(InvalidInput) as caught:
        units.size_bytes(value, 'G')
    huge = isinstance(value, int) and value > 10**100  # too long to be written out
    assert 'out of range' in str(caught.value) if huge else repr(value) in str(caught.value)


@given(st.integers(1, 2**20 - 1), st.sampled_from('KMGT'), st.sampled_from(['', 'B', 'iB', 'b', 'ib']), st.booleans())
def test_a_written_size_is_read_back(number: int, unit: str, tail: str, lower: bool) -> None:
    text = f'{number}{unit}{tail}'
    assert units.size_bytes(text.lower() if lower else text, 'M') == number * FACTOR[unit]


@given(st.one_of(st.text(), st.integers(), st.floats(), st.binary()), st.sampled_from(['', 'K', 'M', 'G', 'T']))
def test_anything_is_a_size_or_invalid_input(value: Any, unit: str) -> None:
    try:
        size = units.size_bytes(value, unit)
    except InvalidInput:
        return
    assert 0 < size <= 1024**6


@given(st.integers(1, 2**40))
def test_memory_and_disks_are_rounded_up_so_that_nobody_gets_less(count: int) -> None:
    text = f'{count}b'
    assert (units.memory_mib(text) - 1) * 1024**2 < count <= units.memory_mib(text) * 1024**2
    assert (units.disk_gib(text) - 1) * 1024**3 < count <= units.disk_gib(text) * 1024**3


def test_memory_counts_in_mib_and_disks_in_gib() -> None:
    assert (units.memory_mib(512), units.memory_mib('4g'), units.memory_mib('1k')) == (512, 4096, 1)
    assert (units.disk_gib(10), units.disk_gib('512M'), units.disk_gib('1T'), units.disk_gib('1025M')) == (10, 1, 1024, 2)


def test_mac_addresses() -> None:
    assert units.mac_address(' 52-54-00-AB-cd-EF ') == '52:54:00:ab:cd:ef'
    for wrong in ('52:54:00:ab:cd', '52:54:00:ab:cd:gg', '', 'x', '525400abcdef', '52:54:00:ab:cd:ef:00'):
        with pytest.raises(InvalidInput, match='is not a MAC address'):
            units.mac_address(wrong)
    with pytest.raises(InvalidInput, match='multicast'):
        units.mac_address('01:00:5e:00:00:01')


@given(st.text())
def test_anything_is_a_mac_address_or_invalid_input(text: str) -> None:
    try:
        mac = units.mac_address(text)
    except InvalidInput:
        return
    assert len(mac) == 17


def test_networks_and_addresses() -> None:
    assert str(units.network('192.168.100.0/24')) == '192.168.100.0/24'
    assert units.network('fd00::/64').version == 6
    assert str(units.address('10.0.0.1')) == '10.0.0.1'
    with pytest.raises(InvalidInput, match='host bits set'):
        units.network('192.168.100.1/24')
    for wrong in ('', 'x', '192.168.100.0/33', '300.1.1.1/8', '1.2.3'):
        with pytest.raises(InvalidInput, match='is not a network'):
            units.network(wrong)
        with pytest.raises(InvalidInput, match='is not an IP address'):
            units.address(wrong)


def test_an_address_with_its_network() -> None:
    assert str(units.interface('192.168.1.5/24', None)) == '192.168.1.5/24'
    assert str(units.interface('192.168.1.5/24', '255.255.0.0')) == '192.168.1.5/24'
    assert str(units.interface('192.168.1.5', '255.255.255.0')) == '192.168.1.5/24'
    assert str(units.interface('192.168.1.5', 16)) == '192.168.1.5/16'
    assert str(units.interface('fd00::5', 64)) == 'fd00::5/64'
    with pytest.raises(InvalidInput, match='has no netmask'):
        units.interface('192.168.1.5', None)
    with pytest.raises(InvalidInput, match='is not an address with a mask'):
        units.interface('192.168.1.5', '255.0.255.0')


@given(st.text(), st.one_of(st.none(), st.text(), st.integers()))
def test_anything_is_an_interface_or_invalid_input(ip: str, mask: Any) -> None:
    try:
        units.interface(ip, mask)
    except InvalidInput as error:
        assert str(error)
