"""The fifth step: what must come before what. Any order of a plan's entries gives the same graph."""

from __future__ import annotations

from collections.abc import Collection, Hashable, Iterable, Mapping
from typing import Generic, TypeVar

from kvirt.errors import InvalidInput

K = TypeVar('K', bound=Hashable)


class Graph(Generic[K]):
    """Things and what each of them needs. What is needed and is none of the things does not count."""

    def __init__(self, needs: Mapping[K, Iterable[K]]) -> None:
        self.needs: dict[K, frozenset[K]] = {key: frozenset(need for need in wanted if need in needs and need != key)
                                             for key, wanted in needs.items()}

    def ready(self, done: Collection[K], begun: Collection[K]) -> list[K]:
        """Return what has not *begun* and needs nothing that is not *done*, in the order in which it was given."""
        return [key for key, wanted in self.needs.items() if key not in begun and wanted <= set(done)]

    def behind(self, key: K) -> list[K]:
        """Return everything that needs *key*, directly or not."""
        found: list[K] = []
        for other, wanted in self.in_order():
            if key in wanted or wanted & set(found):
                found.append(other)
        return found

    def in_order(self) -> list[tuple[K, frozenset[K]]]:
        """Return the things, each after all that it needs. InvalidInput names those that need each other."""
        result: list[tuple[K, frozenset[K]]] = []
        done: set[K] = set()
        while len(result) < len(self.needs):
            ready = self.ready(done, done)
            if not ready:
                raise InvalidInput(f'these need each other: {" -> ".join(map(str, self._circle(done)))}')
            for key in ready:
                result.append((key, self.needs[key]))
            done.update(ready)
        return result

    def _circle(self, done: Collection[K]) -> list[K]:
        current = next(key for key in self.needs if key not in done)
        path: list[K] = []
        while current not in path:
            path.append(current)
            current = next(need for need in self.needs[current] if need not in done)
        return [*path[path.index(current):], current]
