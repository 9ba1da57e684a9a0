"""Choosing VMs, and rows of other lists, by what is known of them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
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


def chosen(rows: Sequence[Mapping[str, Any]], wanted: Mapping[str, Any], fields: Iterable[str]) -> list[Mapping[str, Any]]:
    """Return the *rows* of a list that have the values *wanted*, by field; *fields* are known though no row may have them.

    A text may hold ``*`` and ``?``; None means that a row has none; of a list, one item is enough. InvalidInput.
    """
    known = list(dict.fromkeys([*fields, *(key for row in rows for key in row)]))
    for field in wanted:
        if field not in known and rows:
            raise InvalidInput(f"there is no field '{field}' to choose by{did_you_mean(field, known)}",
                               hint=f"Fields are {', '.join(known)}")
    return [row for row in rows if all(_agrees(row.get(field), value) for field, value in wanted.items())]


def _agrees(value: Any, wanted: Any) -> bool:
    if isinstance(value, (list, tuple)):
        return any(_agrees(item, wanted) for item in value) or (wanted is None and not value)
    if wanted is None:
        return value is None or value == ''
    return value is not None and fnmatchcase(str(value), str(wanted))
