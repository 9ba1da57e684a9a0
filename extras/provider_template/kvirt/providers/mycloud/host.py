"""The account itself: its regions, what it sells, and the images that it has."""

from __future__ import annotations

from typing import Any

from kvirt.providers.mycloud import mapping
from kvirt.providers.mycloud.account import EVERYWHERE, Account
from kvirt.shapes import Flavor


class Host(Account):
    """What the account is, and what it may have."""

    def _info_host(self) -> dict[str, Any]:
        return {'connection': self.api.base, 'location': self.location}

    def _list_locations(self) -> list[dict[str, Any]]:
        return [{'name': region['name'], 'description': region['description'], 'country': region['country']}
                for region in sorted(self.all('/regions'), key=lambda region: str(region['name']))]

    def _list_flavors(self) -> list[Flavor]:
        """Return what is sold in this client's location."""
        return sorted((mapping.flavor(native, region) for native in self.all('/types') for region in native['regions']
                       if self.location in (EVERYWHERE, region)), key=lambda flavor: flavor.name)

    def _volumes(self, iso: bool = False, extended: bool = False) -> list[Any]:
        names = [] if iso else sorted(mapping.image_name(image['name']) for image in self.all('/images'))
        return [{'name': name} for name in names] if extended else names
