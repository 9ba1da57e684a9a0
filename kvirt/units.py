"""Sizes and addresses, parsed once.

A size is a whole number with an optional unit (``K M G T``, also ``KB KiB kb ...``). As everywhere in the world of
virtual machines, units are powers of 1024. A number without a unit has the unit of its keyword: MiB for memory, GiB for
disks.
"""

from __future__ import annotations

import ipaddress
import re

from kvirt.errors import InvalidInput

_SIZE = re.compile(r'(?P<number>\d{1,40}(?:\.\d{1,40})?)\s*(?P<unit>[KMGT]?)(?:I?B)?', re.IGNORECASE)
_FACTOR = {'': 1, 'K': 1024, 'M': 1024**2, 'G': 1024**3, 'T': 1024**4}
_LARGEST = 1024**6
_MAC = re.compile(r'[0-9a-f]{2}(:[0-9a-f]{2}){5}')

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network
Interface = ipaddress.IPv4Interface | ipaddress.IPv6Interface


def size_bytes(value: int | float | str, unit: str) -> int:
    """Return *value* in bytes; a number without a unit is counted in *unit* (one of ``K M G T`` or empty).

    Raises InvalidInput for what is no size, is zero or negative, or is over 1 EiB.
    """
    if isinstance(value, int) and abs(value) >= 10**40:
        raise InvalidInput('a number of that many digits is out of range for a size')
    text = str(value).strip()
    match = _SIZE.fullmatch(text)
    if isinstance(value, bool) or match is None:
        raise InvalidInput(f'{value!r} is not a size', hint='Write a number with an optional unit: 10, 10G, 512M')
    named = match['unit'].upper() or ('' if re.search(r'[bB]$', text) else unit)
    size = round(float(match['number']) * _FACTOR[named])
    if not 0 < size <= _LARGEST:
        raise InvalidInput(f'{value!r} is out of range for a size')
    return size


def memory_mib(value: int | str) -> int:
    """Return an amount of memory in MiB, rounded up. ``512`` is 512 MiB, ``'4g'`` is 4096."""
    return -(-size_bytes(value, 'M') // 1024**2)


def disk_gib(value: int | float | str) -> int:
    """Return the size of a disk in GiB, rounded up. ``10`` is 10 GiB, ``'512M'`` is 1."""
    return -(-size_bytes(value, 'G') // 1024**3)


def mac_address(value: str) -> str:
    """Return a MAC address in lower case with colons."""
    mac = value.strip().lower().replace('-', ':')
    if not _MAC.fullmatch(mac):
        raise InvalidInput(f'{value!r} is not a MAC address', hint='Write six bytes: 52:54:00:12:34:56')
    if int(mac[:2], 16) & 1:
        raise InvalidInput(f'{value!r} is a multicast address, which no network card can have')
    return mac


def network(value: str) -> Network:
    """Return a network from its CIDR; host bits that are set are an error."""
    try:
        return ipaddress.ip_network(value)
    except ValueError as error:
        raise InvalidInput(f'{value!r} is not a network: {error}', hint='Write a CIDR: 192.168.100.0/24') from None


def address(value: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address:
    """Return an IPv4 or IPv6 address."""
    try:
        return ipaddress.ip_address(value)
    except ValueError:
        raise InvalidInput(f'{value!r} is not an IP address') from None


def interface(ip: str, mask: int | str | None) -> Interface:
    """Return an address with its network, from ``192.168.1.5/24``, or from an address and a mask or prefix length."""
    text = ip if '/' in ip else f'{ip}/{mask}' if mask is not None else ''
    if not text:
        raise InvalidInput(f'the static address {ip} has no netmask', hint=f'Write ip: {ip}/24, or give netmask')
    try:
        return ipaddress.ip_interface(text)
    except ValueError as error:
        raise InvalidInput(f'{text!r} is not an address with a mask: {error}') from None
