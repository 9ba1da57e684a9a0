"""The values of each of several VMs that are made at once: what must differ between them does."""

from __future__ import annotations

import ipaddress
import uuid
from collections.abc import Mapping
from typing import Any

from kvirt.errors import InvalidInput
from kvirt.units import mac_address

_ADDRESSES = ('ip', *(f'ip{index}' for index in range(10)))
DISTINCT = (*_ADDRESSES, 'ips', 'uuid', 'nets')
"""The keywords with values that no two VMs may share."""


def copy_names(name: str, count: int) -> list[str]:
    """Return the names of *count* VMs: ``name-0``, ``name-1``, ... InvalidInput unless there are 1 to 1000."""
    if not 1 <= count <= 1000:
        raise InvalidInput(f'{count} is not a number of VMs to make at once', hint='Give 1 to 1000')
    return [f'{name}-{index}' for index in range(count)]


def copy_values(values: Mapping[str, Any], index: int) -> dict[str, Any]:
    """Return *values* for copy number *index*: MAC addresses, static addresses and uuid count up from the first's."""
    changed = dict(values)
    for key in _ADDRESSES:
        if changed.get(key):
            changed[key] = _later_address(str(changed[key]), index)
    if isinstance(changed.get('ips'), (list, tuple)):
        changed['ips'] = [_later_address(str(ip), index) if ip else ip for ip in changed['ips']]
    if changed.get('uuid'):
        changed['uuid'] = _later_uuid(str(changed['uuid']), index)
    if isinstance(changed.get('nets'), (list, tuple)):
        changed['nets'] = [_later_net(net, index) if isinstance(net, Mapping) else net for net in changed['nets']]
    return changed


def _later_net(net: Mapping[str, Any], index: int) -> dict[str, Any]:
    changed = dict(net)
    if changed.get('mac'):
        number = int(mac_address(str(changed['mac'])).replace(':', ''), 16) + index
        changed['mac'] = ':'.join(f'{number:012x}'[at:at + 2] for at in range(0, 12, 2))
    if changed.get('ip'):
        changed['ip'] = _later_address(str(changed['ip']), index)
    return changed


def _later_address(text: str, index: int) -> str:
    host, slash, prefix = text.partition('/')
    try:
        return f'{ipaddress.ip_address(host) + index}{slash}{prefix}'
    except ValueError:
        raise InvalidInput(f'{text!r} is not an IP address') from None


def _later_uuid(text: str, index: int) -> str:
    try:
        return str(uuid.UUID(int=(uuid.UUID(text).int + index) % 2**128))
    except ValueError:
        raise InvalidInput(f'{text!r} is not a UUID') from None
