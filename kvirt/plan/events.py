"""What a plan tells while it is carried out. The engine never prints: who started it decides what is shown."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

Verb = Literal['create', 'update', 'replace', 'delete', 'start', 'stop', 'restart', 'snapshot', 'revert', 'run']

Key = tuple[str, str]
"""The kind and name of an entry."""


@dataclass(frozen=True)
class Event:
    """Something that happened to an entry. ``seconds`` count from the beginning of the plan."""

    key: Key
    verb: Verb
    seconds: float


@dataclass(frozen=True)
class Waiting(Event):
    """The entry stands in line behind others."""

    needs: tuple[Key, ...] = ()


@dataclass(frozen=True)
class Started(Event):
    """The work on an entry began."""


@dataclass(frozen=True)
class Progress(Event):
    """What is being done at present, in words."""

    what: str = ''


@dataclass(frozen=True)
class Finished(Event):
    """The work on an entry is done. ``changed`` is false where there was nothing to do; ``details`` are for people."""

    changed: bool = True
    details: str = ''
    result: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Failed(Event):
    """The work on an entry failed; what it had begun is undone, or stands in the reason."""

    reason: str = ''
    error: str = ''


@dataclass(frozen=True)
class Skipped(Event):
    """Nothing was done, since *because* failed, or the plan was interrupted (None)."""

    because: Key | None = None


Sink = Callable[[Event], None]


def as_json(event: Event) -> dict[str, Any]:
    """Return an event as plain data."""
    kind, name = event.key
    told: dict[str, Any] = {'event': type(event).__name__.lower(), 'type': kind, 'name': name, 'verb': event.verb,
                            'seconds': round(event.seconds, 3)}
    for key, value in vars(event).items():
        if key not in ('key', 'verb', 'seconds'):
            told[key] = _plain(value)
    return told


def _plain(value: Any) -> Any:
    if isinstance(value, tuple):
        return [_plain(item) for item in value] if value and isinstance(value[0], tuple) else list(value)
    return dict(value) if isinstance(value, Mapping) else value
