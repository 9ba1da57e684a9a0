"""vmrules: values for the VMs whose names match, which the configuration or the user gives for all plans."""

from __future__ import annotations

import copy
import fnmatch
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from kvirt.errors import InvalidInput, Problem
from kvirt.profiles import Layer

_APPENDED = ('cmds', 'scripts', 'files')


@dataclass(frozen=True)
class Rule:
    """Values for VMs whose name *pattern* matches: a regular expression, at the beginning, or a glob."""

    pattern: str
    values: Mapping[str, Any]

    def match(self, name: str) -> Mapping[str, Any] | None:
        """Return the values for VM *name*, with what the groups of the expression caught; None where it does not match."""
        caught = re.match(self.pattern, name)
        if caught is not None and caught[0]:  # what matches nothing at all, as x* does, is meant as a glob
            return {key: _filled(value, caught) for key, value in self.values.items()}
        return copy.deepcopy(dict(self.values)) if fnmatch.fnmatch(name, self.pattern) else None


def parse_rules(written: Any, where: str = 'vmrules') -> list[Rule]:
    """Return *written* (a list of mappings from a pattern to values) as rules. InvalidInput names every fault."""
    if written is None:
        return []
    if not isinstance(written, (list, tuple)):
        raise InvalidInput(Problem('vmrules must be a list of mappings from a pattern to values', where))
    rules: list[Rule] = []
    problems: list[Problem] = []
    for index, entry in enumerate(written):
        if not isinstance(entry, Mapping) or not all(isinstance(values, Mapping) for values in entry.values()):
            problems.append(Problem(f'rule {index} must be a mapping from a pattern to values', where))
            continue
        for pattern, values in entry.items():
            try:
                re.compile(str(pattern))
            except re.error as error:
                if not any(sign in str(pattern) for sign in '*?['):
                    problems.append(Problem(f'rule {index}: {pattern!r} is no expression: {error}', where))
                    continue
                pattern = fnmatch.translate(str(pattern))
            rules.append(Rule(str(pattern), values))
    if problems:
        raise InvalidInput(problems)
    return rules


def rule_layers(name: str, rules: Iterable[Rule], below: Sequence[Layer]) -> list[Layer]:
    """Return the layers that *rules* lay on those *below* for VM *name*. Commands, scripts and files are added."""
    layers: list[Layer] = []
    for rule in rules:
        values = rule.match(name)
        if values is None:
            continue
        values = dict(values)
        for key in _APPENDED:
            if key in values:
                have = next((layer.values[key] for layer in reversed([*below, *layers]) if key in layer.values), ())
                values[key] = [*_listed(have), *_listed(values[key])]
        layers.append(Layer(f'vmrule {rule.pattern}', values))
    return layers


def _listed(value: Any) -> list[Any]:
    return list(value) if isinstance(value, (list, tuple)) else [value]


def _filled(value: Any, caught: re.Match[str]) -> Any:
    """Return *value* with ``\\1`` and so on replaced; only texts are touched, so what is no text keeps its type."""
    if isinstance(value, Mapping):
        return {key: _filled(item, caught) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_filled(item, caught) for item in value]
    if not isinstance(value, str) or not re.search(r'\\\d', value):
        return value
    def group(part: re.Match[str]) -> str:
        number = int(part[1])
        return (caught[number] or '') if number <= caught.re.groups else part[0]

    text = re.sub(r'\\(\d)', group, value)
    # What is caught of a name is a text; a whole number in its place is meant as one.
    return int(text) if re.fullmatch(r'\\\d', value) and re.fullmatch(r'\d{1,15}', text) else text
