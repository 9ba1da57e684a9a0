"""The layers that a VM's values come from, and how they are laid over one another. Profiles are one kind of layer."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from kvirt.errors import InvalidInput, NotFound, Problem
from kvirt.names import did_you_mean
from kvirt.yamlfile import Document

_ADDED = ('cmds', 'scripts', 'tags')
"""Lists that a profile adds to those of the configuration, where all else is replaced."""


@dataclass(frozen=True)
class Layer:
    """Values with the name of where they come from, which is shown to people."""

    source: str
    values: Mapping[str, Any]
    places: Mapping[str, str] = field(default_factory=dict)
    common: bool = False  # a layer of the configuration: it holds for every VM

    def where(self, key: str) -> str:
        """Return the place of *key*: ``file:line`` where it is known."""
        return self.places.get(key, self.source)


@dataclass(frozen=True)
class Merged:
    """Values after all layers, and the layer that each came from."""

    values: dict[str, Any]
    origins: dict[str, Layer]

    def where(self, key: str) -> str:
        """Return the place of *key*."""
        layer = self.origins.get(key)
        return layer.where(key) if layer else ''


def merge(layers: Iterable[Layer]) -> Merged:
    """Lay *layers* over one another, the last one on top."""
    values: dict[str, Any] = {}
    origins: dict[str, Layer] = {}
    for layer in layers:
        for key, value in layer.values.items():
            below = origins.get(key)
            if key in _ADDED and below is not None and below.common and isinstance(value, list):
                have = values[key] if isinstance(values[key], list) else [values[key]]
                value = [*have, *(item for item in value if item not in have)]
            values[key] = value
            origins[key] = layer
    return Merged(values, origins)


class Profiles:
    """The profiles of a file: named sets of keywords, each of which may build on a ``base``."""

    def __init__(self, document: Document | None) -> None:
        data = document.data if document else None
        if data is not None and not isinstance(data, dict):
            raise InvalidInput(Problem('expected a mapping of profiles by name', document.where() if document else ''))
        self._document = document
        self._profiles: dict[str, Any] = {str(name): value for name, value in (data or {}).items()}

    def names(self) -> list[str]:
        """Return the names of the profiles, sorted."""
        return sorted(self._profiles)

    def __contains__(self, name: str) -> bool:
        return name in self._profiles

    def raw(self, name: str) -> dict[str, Any]:
        """Return profile *name* as it is written; NotFound suggests the likely one."""
        if name not in self._profiles:
            raise NotFound(f"profile '{name}' does not exist{did_you_mean(name, self._profiles)}",
                           hint="'kvirt list profile' shows them all")
        value = self._profiles[name]
        if value is None:
            return {}
        if not isinstance(value, dict):
            raise InvalidInput(Problem(f'profile {name} must be a mapping of keywords', self._where(name)))
        return value

    def values(self, name: str) -> dict[str, Any]:
        """Return the values of profile *name*, with those of its bases below."""
        return merge(self.layers(name)).values

    def layers(self, name: str) -> list[Layer]:
        """Return the layers of profile *name*, its furthest base first. A circle of bases is InvalidInput."""
        chain: list[str] = []
        current: str | None = name
        while current is not None:
            if current in chain:
                raise InvalidInput(Problem(f"profiles are each other's base: {' -> '.join([*chain, current])}",
                                           self._where(current, 'base')))
            chain.append(current)
            base = self.raw(current).get('base')
            if base is not None and str(base) not in self._profiles:
                raise InvalidInput(Problem(f"profile {current} has the base '{base}', which does not exist"
                                           f'{did_you_mean(str(base), self._profiles)}', self._where(current, 'base')))
            current = str(base) if base is not None else None
        return [self._layer(profile) for profile in reversed(chain)]

    def _layer(self, name: str) -> Layer:
        values = {key: value for key, value in self.raw(name).items() if key not in ('base', 'type')}
        return Layer(f'profile {name}', values, {key: self._where(name, key) for key in values})

    def _where(self, *path: str) -> str:
        return self._document.where(*path) if self._document else ''
