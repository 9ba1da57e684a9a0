"""What every area of the contract is made of: the error boundary, and capabilities computed from what is overridden.

A public method is written once, in its area, and calls a hook of the same name with an underscore. A provider overrides
the hook, which simply raises when something is wrong. Two boundaries turn that into what callers see: ``_attempt`` for
changes (a Result) and ``_ask`` for reads (data, or a KvirtError).
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal, TypeVar

from kvirt.errors import KvirtError, NotSupported
from kvirt.result import Result

T = TypeVar('T')
F = TypeVar('F', bound=Callable[..., Any])
Mark = Literal['supported', 'not yet', 'never']


def unsupported(reason: str) -> Callable[..., Any]:
    """Return a hook that states *never*, with its reason: ``_create_pool = unsupported('X has no storage pools')``."""
    def hook(self: Area, *args: Any, **kwargs: Any) -> Any:
        raise NotSupported(reason)
    hook.never = reason  # type: ignore[attr-defined]
    return hook


def built_from(*operations: str) -> Callable[[F], F]:
    """Mark a hook that the base implements with other operations: it is supported when those are."""
    def mark(hook: F) -> F:
        hook.built_from = operations  # type: ignore[attr-defined]
        return hook
    return mark


def waits(hook: F) -> F:
    """Mark a hook that blocks until a deadline, where the others only accept a request (a full clone, an upload)."""
    hook.waits = True  # type: ignore[attr-defined]
    return hook


def serves(operation: str) -> Callable[[F], F]:
    """Mark a method that prepares what a hook is given, with the operation that it does so for."""
    def mark(method: F) -> F:
        method.serves = operation  # type: ignore[attr-defined]
        return method
    return mark


@dataclass(frozen=True)
class Capability:
    """What a provider says of one operation. ``reason`` tells why not, empty when supported."""

    operation: str
    area: str
    mark: Mark
    kind: Literal['change', 'read']
    reason: str = ''
    waits: bool = False


class Area:
    """Base of the areas. ``lacks`` holds what a live connection can't do though its class could, with reasons."""

    lacks: Mapping[str, str] = {}
    debug: bool = False

    def __init_subclass__(cls, **kwargs: Any) -> None:
        """Let a provider in kcli's manner, which overrides public methods, be called through its hooks as well."""
        super().__init_subclass__(**kwargs)
        areas = set(_OPERATIONS.values())
        for name in {name for base in cls.__mro__ if base not in areas for name in _OPERATIONS.keys() & vars(base).keys()}:
            if _overrides_public(cls, name) and _is_stub(name, getattr(cls, f'_{name}', None)):
                setattr(cls, f'_{name}', _hook_for(name, getattr(cls, name)))

    def translate(self, error: Exception) -> KvirtError | None:
        """Return what an exception of the SDK means, None when it is a bug. Providers override this."""
        return None

    def supports(self, operation: str) -> bool:
        """Tell if *operation* (the name of a public method) can be used on this connection."""
        return operation not in self.lacks and self.capability(operation).mark == 'supported'

    @classmethod
    def capability(cls, operation: str) -> Capability:
        """Return what the class says of *operation*. Raises KeyError for what is no operation."""
        area = _OPERATIONS[operation]
        hook = getattr(cls, operation if _overrides_public(cls, operation) else f'_{operation}')
        kind: Literal['change', 'read'] = 'change' if _is_change(getattr(area, operation)) else 'read'

        def answer(mark: Mark, reason: str = '') -> Capability:
            return Capability(operation, area.__name__.lower(), mark, kind, reason, getattr(hook, 'waits', False))

        never = getattr(hook, 'never', None)
        if never is not None:
            return answer('never', never)
        needs = getattr(hook, 'built_from', None)
        if needs is not None:
            for need in needs:
                below = cls.capability(need)
                if below.mark != 'supported':
                    return answer(below.mark, below.reason and f'it needs {need}: {below.reason}')
            return answer('supported')
        return answer('not yet' if hook is getattr(area, f'_{operation}') else 'supported')

    @classmethod
    def capabilities(cls) -> list[Capability]:
        """Return what the class says of every operation of the contract, by area."""
        return [cls.capability(operation) for operation in operations()]

    def _attempt(self, hook: Callable[..., Mapping[str, Any] | None], *args: Any, **kwargs: Any) -> Result:
        """Call *hook* and tell its outcome as a Result; what it returns is added to the success."""
        try:
            return Result.success(**(self._ask(hook, *args, **kwargs) or {}))
        except KvirtError as error:
            return Result.failure(error)

    def _ask(self, hook: Callable[..., T], *args: Any, **kwargs: Any) -> T:
        """Call *hook*; what the SDK raises becomes the KvirtError that it means. Bugs stay what they are."""
        operation = getattr(hook, 'serves', hook.__name__.lstrip('_'))
        if operation in self.lacks:
            raise NotSupported(f'{operation}: {self.lacks[operation]}')
        try:
            return hook(*args, **kwargs)
        except NotSupported as error:
            raise NotSupported(error.reason or f'{type(self).__name__} does not support {operation}',
                               hint=error.hint) from None
        except KvirtError:
            raise
        except Exception as error:
            known = self.translate(error)
            if known is None:
                raise
            raise known from error


_OPERATIONS: dict[str, type[Area]] = {}


def area(cls: type[Area]) -> type[Area]:
    """Register the operations of an area: its public methods that have a hook."""
    for name, method in vars(cls).items():
        if not name.startswith('_') and inspect.isfunction(method) and hasattr(cls, f'_{name}'):
            _OPERATIONS[name] = cls
    return cls


def operations() -> Iterator[str]:
    """Return the names of all operations of the contract, in the order in which the areas define them."""
    return iter(_OPERATIONS)


def _overrides_public(cls: type[Area], operation: str) -> bool:
    """Tell if what *cls* overrides last is the public method of an operation, and not its hook."""
    return _depth(cls, operation) < _depth(cls, f'_{operation}')


def _is_stub(operation: str, hook: Any) -> bool:
    """Tell if a hook does nothing of its own. A public method above a real hook decorates it, and may well call it."""
    if getattr(hook, 'never', None) is not None or getattr(hook, 'calls_public', False):
        return True
    default = getattr(_OPERATIONS[operation], f'_{operation}')
    return hook is None or (hook is default and not hasattr(hook, 'built_from'))


def _depth(cls: type[Area], name: str) -> int:
    """Return how far up the bases of *cls* attribute *name* is defined; a mixin that is no Area counts as well."""
    return next((depth for depth, base in enumerate(cls.__mro__) if name in vars(base)), len(cls.__mro__))


def _is_change(method: Callable[..., Any]) -> bool:
    return inspect.signature(method).return_annotation in ('Result', Result)


def _hook_for(operation: str, method: Callable[..., Any]) -> Callable[..., Any]:
    """Wrap a public method of a provider in kcli's manner as the hook that the base's own code calls."""
    area_method = getattr(_OPERATIONS[operation], operation)
    if not _is_change(area_method):
        def hook(self: Area, *args: Any, **kwargs: Any) -> Any:
            return method(self, *args, **kwargs)
    else:
        def hook(self: Area, *args: Any, **kwargs: Any) -> Any:
            answer = Result.of(method(self, *args, **kwargs)).expect()
            return {key: value for key, value in answer.items() if key != 'result'}
    hook.__name__ = f'_{operation}'
    hook.calls_public = True  # type: ignore[attr-defined]
    for name in ('never', 'waits'):
        if hasattr(method, name):
            setattr(hook, name, getattr(method, name))
    return hook
