"""What VMs share, the group of their rules and ssh keys: made for the first one that needs it, removed after the last.

Such a thing bears the mark ``shared`` in place of a request, and its maker: it is an orphan when its maker is gone and
nothing uses it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TypeVar

from kvirt.errors import AlreadyExists, Conflict, NotFound
from kvirt.providers.families.machines import Machines
from kvirt.providers.families.marks import making

T = TypeVar('T')

SHARED = 'shared'
"""In place of a request, the mark of what no single VM owns."""


def shared_fields() -> dict[str, str]:
    """Return the marks of what this process makes for VMs to share."""
    return making(SHARED)


class Shared(Machines):
    """A platform where VMs share things."""

    def made_or_found(self, make: Callable[[], T], find: Callable[[], T | None]) -> T:
        """Return what *make* makes, or what *find* finds when another process was faster (AlreadyExists)."""
        try:
            return make()
        except Exception as error:
            found = find() if isinstance(self.meaning_of(error), AlreadyExists) else None
            if found is None:
                raise
            return found

    def drop_unused(self, things: Iterable[T], drop: Callable[[T], object]) -> None:
        """Drop *things* that nothing used a moment ago. What is in use again, or gone, is passed over."""
        for thing in things:
            try:
                drop(thing)
            except Exception as error:
                if not isinstance(self.meaning_of(error), (Conflict, NotFound)):
                    raise
