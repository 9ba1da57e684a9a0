"""The account itself: its regions, what it sells, and the images that it has."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from kvirt.providers.mycloud import mapping
from kvirt.providers.mycloud.account import Account
from kvirt.shapes import Flavor


class Host(Account):
    """What the account is, and what it may have."""

    def _info_host(self) -> dict[str, Any]:
        return {'connection': self.api.base, 'location': self.location}

    def locations(self) -> Iterator[dict[str, Any]]:
        return map(mapping.location, self.all('/regions'))

    def flavors(self) -> Iterator[Flavor]:
        return (mapping.flavor(native, region) for native in self.all('/types') for region in native['regions']
                if self.is_seen(region))

    def _volumes(self, iso: bool = False, extended: bool = False) -> list[Any]:
        names = [] if iso else sorted(mapping.image_name(image['name']) for image in self.all('/images'))
        return [{'name': name} for name in names] if extended else names
