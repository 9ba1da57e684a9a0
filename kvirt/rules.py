"""Rules of security groups: from what people write in ``ports`` to what clouds want."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Annotated, Any, Literal

import msgspec

from kvirt import units
from kvirt.decode import decode
from kvirt.errors import InvalidInput, Problem
from kvirt.shapes import Rule

EVERYWHERE = '0.0.0.0/0'
_PORTS = re.compile(r'(?P<first>\d{1,5})(?:\s*-\s*(?P<last>\d{1,5}))?(?:/(?P<protocol>\w+))?')


def _cidr(value: Any) -> str:
    return str(units.network(str(value)))


class _Rule(msgspec.Struct, frozen=True, kw_only=True):
    protocol: Literal['tcp', 'udp', 'icmp'] = 'tcp'
    from_port: Annotated[int, msgspec.Meta(ge=1, le=65535)] | None = None
    to_port: Annotated[int, msgspec.Meta(ge=1, le=65535)] | None = None
    cidr: Annotated[str, msgspec.Meta(extra={'parse': _cidr})] = EVERYWHERE


def rules_of(ports: Any) -> list[Rule]:
    """Return the rules that *ports* asks for: ``22``, ``'8000-8100'``, ``'53/udp'``, ``'icmp'``, or mappings of Rule.

    Raises InvalidInput with every fault. What is said twice is one rule.
    """
    entries = ports if isinstance(ports, Iterable) and not isinstance(ports, (str, Mapping)) else [ports]
    rules: list[Rule] = []
    problems: list[Problem] = []
    for entry in entries:
        try:
            rule = _rule(entry)
            if rule not in rules:
                rules.append(rule)
        except InvalidInput as error:
            problems.extend(error.problems)
    if problems:
        raise InvalidInput(problems)
    return rules


def _rule(entry: Any) -> Rule:
    given = decode(_Rule, entry if isinstance(entry, Mapping) else _spelled(entry), what='key of a rule')
    rule: Rule = {'protocol': given.protocol, 'cidr': given.cidr}
    if given.protocol == 'icmp':
        if given.from_port or given.to_port:
            raise InvalidInput('icmp has no ports')
        return rule
    if given.from_port is None:
        raise InvalidInput(f'a rule for {given.protocol} needs from_port')
    rule['from_port'], rule['to_port'] = given.from_port, given.to_port or given.from_port
    if rule['to_port'] < rule['from_port']:
        raise InvalidInput(f"ports {rule['from_port']}-{rule['to_port']} end before they begin")
    return rule


def _spelled(entry: Any) -> dict[str, Any]:
    text = str(entry).strip().lower()
    if text == 'icmp':
        return {'protocol': 'icmp'}
    match = None if isinstance(entry, bool) else _PORTS.fullmatch(text)
    if match is None:
        raise InvalidInput(f'{entry!r} is no port', hint="Write 22, '8000-8100', '53/udp', icmp, or a mapping")
    first = int(match['first'])
    return {'protocol': match['protocol'] or 'tcp', 'from_port': first, 'to_port': int(match['last'] or first)}
