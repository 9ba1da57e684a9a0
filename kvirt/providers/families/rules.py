"""Which inbound traffic a VM on a cloud gets: a set of rules, and the name of the group that VMs with this set share."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Sequence

from kvirt import units
from kvirt.errors import InvalidInput
from kvirt.rules import EVERYWHERE, rules_of
from kvirt.shapes import Rule
from kvirt.spec import VmSpec

GROUP_PREFIX = 'kvirt-'
EVERYWHERE_V6 = '::/0'

_WITH_PORTS = ('tcp', 'udp')
_ALL_PORTS, _EVERY = '1-65535', (None, '', '0', 'all', 'any')


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


def spread(rules: Iterable[Rule]) -> set[tuple[str, int | None, int | None, str]]:
    """Return each rule once for each of its sources, as protocol, first and last port, source: to be compared."""
    return {(rule['protocol'], rule.get('from_port'), rule.get('to_port'), _plain(source))
            for rule in rules for source in sources(rule)}


def _plain(source: str) -> str:
    """Return a range of addresses in the one way to write it; what is none (another group) as it is."""
    try:
        return str(units.network(source))
    except InvalidInput:
        return source


def ports_text(rule: Rule) -> str:
    """Return the ports of a rule as most platforms write them: ``22``, ``8000-8080``; empty where there are none."""
    if 'from_port' not in rule:
        return ''
    first, last = rule['from_port'], rule['to_port']
    return str(first) if first == last else f'{first}-{last}'


def from_text(protocol: str, ports: str | None, addresses: Sequence[str]) -> Iterator[Rule]:
    """Yield the rules, one for each address, for what a platform writes as *ports*: see :func:`ports_text`.

    Everywhere is one rule of ours and two addresses of theirs. ``0``, ``all``, ``any`` are all ports.
    """
    for cidr in addresses:
        if cidr == EVERYWHERE_V6 and EVERYWHERE in addresses:
            continue
        rule: Rule = {'protocol': protocol, 'cidr': cidr}
        if protocol in _WITH_PORTS:
            first, _, last = (_ALL_PORTS if ports in _EVERY else str(ports)).partition('-')
            rule['from_port'], rule['to_port'] = int(first), int(last or first)
        yield rule


def _text(rule: Rule) -> str:
    return json.dumps(rule, sort_keys=True)
