"""Which inbound traffic a VM on a cloud gets: a set of rules, and the name of the group that VMs with this set share."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable

from kvirt.rules import EVERYWHERE, rules_of
from kvirt.shapes import Rule
from kvirt.spec import VmSpec

GROUP_PREFIX = 'kvirt-'
EVERYWHERE_V6 = '::/0'


def wanted(spec: VmSpec) -> list[Rule]:
    """Return what is let in to a VM: its ssh port, and ``ports``. Sorted, each once."""
    ssh: Rule = {'protocol': 'tcp', 'from_port': spec.vmport or 22, 'to_port': spec.vmport or 22, 'cidr': EVERYWHERE}
    return ordered([ssh, *spec.ports])


def ordered(rules: Iterable[Rule]) -> list[Rule]:
    """Return *rules* sorted, each once."""
    return [rule for _, rule in sorted({_text(rule): rule for rule in rules}.items())]


def group_name(rules: Iterable[Rule]) -> str:
    """Return the name of the group that all VMs with these rules share: ``kvirt-ssh``, or one that tells the set apart."""
    known = ordered(rules)
    if known == ordered(rules_of([22])):
        return f'{GROUP_PREFIX}ssh'
    digest = hashlib.sha256('\n'.join(map(_text, known)).encode()).hexdigest()
    return f'{GROUP_PREFIX}{digest[:12]}'


def sources(rule: Rule) -> list[str]:
    """Return the addresses that a rule is for. Everywhere means both kinds of addresses."""
    cidr = rule.get('cidr', EVERYWHERE)
    return [cidr, EVERYWHERE_V6] if cidr == EVERYWHERE else [cidr]


def _text(rule: Rule) -> str:
    return json.dumps(rule, sort_keys=True)
