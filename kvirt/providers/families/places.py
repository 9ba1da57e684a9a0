"""Clients that are bound to one location of a platform, or see them all; and what is sold there."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, ClassVar

from kvirt.errors import InvalidInput
from kvirt.names import did_you_mean
from kvirt.providers.families.machines import Machines
from kvirt.shapes import Flavor

EVERYWHERE = 'all'
"""The location of a client that sees what is in all of them."""


class Places(Machines):
    """A platform with locations, over two primitives."""

    location: str

    usual_location: ClassVar[str] = ''
    """Where a client that sees all locations makes VMs; empty where the flavor decides."""

    location_is_checked: ClassVar[bool] = False
    """Whether there is a location of the client's name is checked whenever it matters, not only where nothing is found."""

    # primitives

    def locations(self) -> Iterable[Mapping[str, Any]]:
        """Return what is known of each location, its ``name`` first; what is None is not shown."""
        raise NotImplementedError

    def flavors(self) -> Iterable[Flavor]:
        """Return what is sold in the client's location."""
        raise NotImplementedError

    # what a platform may do in another way

    def location_names(self) -> Iterable[str]:
        """Return the names of the locations that there are."""
        return [row['name'] for row in self.locations()]

    def is_seen(self, place: str) -> bool:
        return self.only_location in (None, place)

    def made_in(self) -> str:
        return self.usual_location if self.location == EVERYWHERE else self.location

    # hooks

    def _list_locations(self) -> list[dict[str, Any]]:
        rows = [{key: value for key, value in row.items() if value is not None} for row in self.locations()]
        return sorted(rows, key=lambda row: str(row['name']))

    def _list_flavors(self) -> list[Flavor]:
        sold = sorted(self.flavors(), key=lambda flavor: flavor.name)
        if not sold:
            self.check_location()
        return sold

    # for the areas beside this one

    @property
    def only_location(self) -> str | None:
        """The location that this client is bound to; None when it sees them all. InvalidInput where that is checked."""
        if self.location_is_checked:
            self.check_location()
        return None if self.location == EVERYWHERE else self.location

    def check_location(self) -> None:
        if self.location == EVERYWHERE:
            return
        known = [*self.location_names(), EVERYWHERE]
        if self.location not in known:
            raise InvalidInput(f"unknown location '{self.location}'{did_you_mean(self.location, known)}",
                               hint="'kvirt list location' shows them all")
