"""Clients that are bound to one location of a platform, or see them all."""

from __future__ import annotations

from collections.abc import Iterable

from kvirt.errors import InvalidInput
from kvirt.names import did_you_mean
from kvirt.providers.families.machines import Machines

EVERYWHERE = 'all'
"""The location of a client that sees what is in all of them."""


class Places(Machines):
    """A platform with locations."""

    location: str

    def location_names(self) -> Iterable[str]:
        """Return the names of the locations that there are."""
        raise NotImplementedError

    def is_seen(self, place: str) -> bool:
        """Tell if what is at *place* is in this client's location."""
        return self.location in (EVERYWHERE, place)

    def check_location(self) -> None:
        known = [*self.location_names(), EVERYWHERE]
        if self.location not in known:
            raise InvalidInput(f"unknown location '{self.location}'{did_you_mean(self.location, known)}",
                               hint="'kvirt list location' shows them all")
