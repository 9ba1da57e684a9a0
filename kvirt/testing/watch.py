"""A provider under observation: which hooks were entered, and if every answer keeps its promise.

Each public method is held to what the contract says of all of them: a change answers a Result, a read its declared shape,
lists are sorted, and everything can be written as JSON. So each call of each test is a check.
"""

from __future__ import annotations

import functools
import json
import typing
from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from kvirt.base import Kbase
from kvirt.errors import BY_NAME
from kvirt.result import Result

_IN_THEIR_OWN_ORDER = ('list_snapshots',)
"""Lists that are not sorted by name: these are oldest first."""


class Watch:
    """Observes connections. ``entered`` are the operations whose hooks were called, ``done`` those that succeeded."""

    def __init__(self) -> None:
        self.entered: set[str] = set()
        self.done: set[str] = set()
        self.tests: set[str] = set()

    def over(self, provider: Kbase) -> Kbase:
        """Return *provider*, observed."""
        for capability in provider.capabilities():
            operation = capability.operation
            hook = f'_{operation}'
            setattr(provider, hook, self._counted(operation, getattr(provider, hook)))
            method = getattr(provider, operation)
            if _overridden(provider, operation):
                method = self._counted(operation, method)
            setattr(provider, operation, checked(operation, capability.kind, method))
        return provider

    def never_entered(self, provider: Kbase) -> list[str]:
        """Return the supported operations whose hooks were never called."""
        return sorted(name for name in _supported(provider) if name not in self.entered)

    def never_done(self, provider: Kbase) -> list[str]:
        """Return the supported operations that were called and never succeeded."""
        return sorted(name for name in _supported(provider) if name in self.entered - self.done)

    def _counted(self, operation: str, method: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(method)
        def counted(*args: Any, **kwargs: Any) -> Any:
            self.entered.add(operation)
            answer = method(*args, **kwargs)
            if not isinstance(answer, Mapping) or answer.get('result') != 'failure':
                self.done.add(operation)
            return answer
        return counted


def _supported(provider: Kbase) -> list[str]:
    return [capability.operation for capability in provider.capabilities() if provider.supports(capability.operation)]


def _overridden(provider: Kbase, operation: str) -> bool:
    return getattr(type(provider), operation) is not getattr(Kbase, operation)


def checked(operation: str, kind: str, method: Callable[..., Any]) -> Callable[..., Any]:
    """Return *method* with a check of what it answers."""
    @functools.wraps(method)
    def check(*args: Any, **kwargs: Any) -> Any:
        answer = method(*args, **kwargs)
        if kind == 'change':
            problem = fault_of_result(answer)
        else:
            problem = fault_of_read(operation, answer)
        assert not problem, f'{operation}{args}: {problem}'
        return answer
    return check


def fault_of_result(answer: Any) -> str:
    """Return what is wrong with the answer of a change, empty when nothing is."""
    if not isinstance(answer, Mapping) or answer.get('result') not in ('success', 'failure'):
        return f'a change must answer a Result, not {answer!r}'
    result = Result.of(answer)
    if not result.ok:
        if not isinstance(result['reason'], str) or not result['reason'].strip():
            return 'the failure has no reason'
        if result['error'] not in BY_NAME or not isinstance(result['retryable'], bool):
            return f'the failure is of an unknown kind: {answer!r}'
    return fault_of_json(answer)


def fault_of_read(operation: str, answer: Any) -> str:
    """Return what is wrong with the answer of a read, empty when nothing is."""
    declared = shape_of(operation)
    try:
        msgspec.convert(answer, declared, strict=True)
    except msgspec.ValidationError as error:
        return f'the answer is not what it is declared to be: {error}: {answer!r}'
    return fault_of_json(answer) or (fault_of_order(answer) if _is_list(operation) else '')


@functools.cache
def shape_of(operation: str) -> Any:
    """Return the type that the contract declares for the answer of a read."""
    return typing.get_type_hints(getattr(Kbase, operation))['return']


def fault_of_json(answer: Any) -> str:
    """Return why *answer* can't be written as JSON, empty when it can."""
    try:
        json.dumps(answer, default=_plain, allow_nan=False)
    except (TypeError, ValueError) as error:
        return f'the answer can not be written as JSON: {error}: {answer!r}'
    return ''


def _plain(value: Any) -> Any:
    if isinstance(value, msgspec.Struct):
        return msgspec.to_builtins(value)
    raise TypeError(f'{type(value).__name__} is no JSON')


def _is_list(operation: str) -> bool:
    listing = operation.startswith('list') or operation in ('volumes', 'network_ports')
    return listing and operation not in _IN_THEIR_OWN_ORDER


def fault_of_order(answer: Any) -> str:
    """Return the first pair of *answer* that is not sorted by name, empty when it is."""
    names = [_name(item) for item in answer]
    pairs = [(first, second) for first, second in zip(names, names[1:], strict=False) if first > second]
    return f'the list is not sorted by name: {pairs[0][0]} stands before {pairs[0][1]}' if pairs else ''


def _name(item: Any) -> str:
    if isinstance(item, str):
        return item
    return str(item['name'] if isinstance(item, Mapping) else item.name)
