"""VMs as Ansible's hosts: how each of them is reached, what is known of it, and groups of those that have it in common.

Everything here reads, but for ssh host keys: the first time that a guest is seen from here, its key is fetched, compared
with the fingerprint that the VM carries, and kept.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from kvirt.errors import KvirtError
from kvirt.filters import matching
from kvirt.names import UNPLANNED
from kvirt.parallel import in_parallel
from kvirt.redact import redact, redact_mapping

if TYPE_CHECKING:
    from kvirt.config import Kconfig

GROUPS = ('plan', 'profile', 'client', 'image', 'status')
"""What hosts can be grouped by: a group is called ``plan_shop``, ``status_running``."""

_AT_ONCE = 16
_NONE: Mapping[str, Any] = {}


@dataclass(frozen=True)
class Host:
    """A VM as Ansible sees it."""

    name: str
    variables: Mapping[str, Any]
    groups: Sequence[str]


def hosts(configs: Sequence[Kconfig], wanted: Mapping[str, Any] = _NONE, group_by: Iterable[str] = GROUPS) -> list[Host]:
    """Return the VMs of all *configs* that have the values *wanted* (see :func:`kvirt.filters.matching`), by name.

    The variables are those of ``Kconfig.ansible_host``, and what ``info`` tells, each field with ``kvirt_`` before it. Of
    a VM that can't be reached ``kvirt_unreachable`` tells why; its ``ansible_host`` then is one that never exists, since
    Ansible would otherwise go to whatever else bears the VM's name.

    A client that can't be asked raises: the rest would be taken for all there is.
    """
    rows = in_parallel(configs, lambda config: [(config, row) for row in matching(config.k, wanted)], workers=_AT_ONCE)
    found = [pair for pairs in rows for pair in pairs]
    known = in_parallel(found, lambda pair: _known(*pair), workers=_AT_ONCE)
    reached = in_parallel(zip(found, known, strict=True), lambda both: _reached(both[0][0], both[1]), workers=_AT_ONCE)
    made = [Host(name, {'ansible_host': f'{name}.invalid', **_safe({**way, **_told(facts)})}, _groups(facts, group_by))
            for name, way, facts in zip(_names(known), reached, known, strict=True)]
    return sorted(made, key=lambda host: host.name)


def inventory(found: Sequence[Host]) -> dict[str, Any]:
    """Return the JSON that Ansible wants of a script's ``--list``."""
    groups: dict[str, Any] = {}
    for host in found:
        for group in host.groups:
            groups.setdefault(group, {'hosts': []})['hosts'].append(host.name)
    return {'_meta': {'hostvars': {host.name: dict(host.variables) for host in found}},
            'all': {'hosts': [host.name for host in found], 'children': sorted(groups)},
            **{group: groups[group] for group in sorted(groups)}}


def _known(config: Kconfig, row: Mapping[str, Any]) -> dict[str, Any]:
    """Return all that is known of a VM; of one that went away in between, what its row told."""
    return {**row, **config.k.info(row.get('id') or row['name']), 'client': config.client}


def _names(known: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return a name for each VM that no other has: its own, and where several bear that, its client and id behind it.

    What other programs made may be called anything; of that only letters, digits and ``._-`` are kept.
    """
    plain = [re.sub(r'[^A-Za-z0-9._-]', '_', facts['name']) for facts in known]
    full = [f"{name}.{facts['client']}" for name, facts in zip(plain, known, strict=True)]
    bearers = Counter([*plain, *full])
    return [name if bearers[name] == 1 else longer if bearers[longer] == 1 else f"{longer}.{facts.get('id')}"
            for name, longer, facts in zip(plain, full, known, strict=True)]


def _reached(config: Kconfig, facts: Mapping[str, Any]) -> dict[str, Any]:
    """Return how a VM is reached, or why it is not."""
    try:
        return config.ansible_host(facts['name'], known=facts)
    except KvirtError as error:
        return {'kvirt_unreachable': redact(str(error))}


def _told(facts: Mapping[str, Any]) -> dict[str, Any]:
    """Return the fields of a VM as variables."""
    return {f"kvirt_{re.sub(r'[^A-Za-z0-9_]', '_', key)}": value for key, value in redact_mapping(facts).items()}


def _safe(variables: Mapping[str, Any]) -> dict[str, Any]:
    """Return *variables* without those that hold a template, since Ansible would carry it out."""
    return {key: value for key, value in variables.items()
            if not re.search(r'\{[{%#]', json.dumps(value, default=str))}


def _groups(facts: Mapping[str, Any], group_by: Iterable[str]) -> list[str]:
    """Return the groups of a VM; Ansible wants nothing but letters, digits and ``_`` in their names."""
    return [re.sub(r'[^A-Za-z0-9_]', '_', f'{field}_{facts[field]}') for field in group_by
            if facts.get(field) not in (None, '', UNPLANNED)]
