"""Choosing VMs by what is known of them."""

from __future__ import annotations

from collections.abc import Mapping
from fnmatch import fnmatchcase
from typing import Any

from kvirt.errors import InvalidInput
from kvirt.names import did_you_mean

FIELDS = ('name', 'status', 'ip', 'image', 'network', 'plan', 'profile')


def matching(provider: Any, wanted: Mapping[str, Any]) -> list[Any]:
    """Return the rows of ``provider.list()`` that have the values *wanted*, by field of :data:`FIELDS`.

    A value may hold ``*`` and ``?``; an empty one means that the VM has none. Whether a VM is on a network costs a call
    of ``network_ports``.
    """
    for field in wanted:
        if field not in FIELDS:
            raise InvalidInput(f"VMs can not be chosen by '{field}'{did_you_mean(field, FIELDS)}",
                               hint=f"Choose by {', '.join(FIELDS)}")
    rows = provider.list()
    on_network = set(provider.network_ports(str(wanted['network']))) if 'network' in wanted else set()
    simple = {field: '' if value is None else str(value) for field, value in wanted.items() if field != 'network'}
    return [row for row in rows
            if all(fnmatchcase(str(row.get(field) or ''), pattern) for field, pattern in simple.items())
            and ('network' not in wanted or row['name'] in on_network)]
