"""The area of flavors: the sizes of VM that a platform sells."""

from __future__ import annotations

from kvirt.base.area import Area, area, built_from
from kvirt.errors import NotSupported
from kvirt.shapes import Flavor


@area
class Flavors(Area):
    """Flavors, with their prices where the platform tells them."""

    def list_flavors(self) -> list[Flavor]:
        """Return the flavors, sorted by name. A platform where any size can be had has none."""
        return self._ask(self._list_flavors)

    def _list_flavors(self) -> list[Flavor]:
        raise NotSupported('')

    def info_flavor(self, name: str) -> Flavor | None:
        """Return flavor *name*, None when there is none."""
        return self._ask(self._info_flavor, name)

    @built_from('list_flavors')
    def _info_flavor(self, name: str) -> Flavor | None:
        return next((flavor for flavor in self._list_flavors() if flavor.name == name), None)
