"""The project itself, its locations, flavors and prices."""

from __future__ import annotations

from functools import cached_property
from typing import Any

from kvirt.base import unsupported
from kvirt.providers.families.places import EVERYWHERE
from kvirt.providers.hcloud import mapping
from kvirt.providers.hcloud.account import PLATFORM, Account
from kvirt.shapes import CostItem, Flavor
from kvirt.spec import VmSpec


class Host(Account):
    """What a client is connected to, and what is sold there."""

    def _info_host(self) -> dict[str, Any]:
        meta = self.conn.servers.get_list(per_page=1).meta
        total = meta.pagination.total_entries if meta.pagination else None
        return {'connection': f'{PLATFORM} ({self.host})', 'location': self.location, 'currency': self.pricing['currency'],
                'vat_rate': float(self.pricing['vat_rate']), **({} if total is None else {'vms': total})}

    def _list_locations(self) -> list[dict[str, Any]]:
        return [{'name': each.name, 'description': each.description, 'country': each.country, 'city': each.city,
                 'sublocation': each.network_zone, 'available': True}
                for each in sorted(self.conn.locations.get_all(), key=lambda each: str(each.name))]

    _list_quotas = unsupported('the API of Hetzner Cloud does not tell the limits of a project; the console does')

    def _list_flavors(self) -> list[Flavor]:
        return sorted(mapping.flavors(self.conn.server_types.get_all(), self.place, self.pricing['currency']),
                      key=lambda flavor: flavor.name)

    def made_in(self) -> str:
        """Return the client's location; empty when the flavor decides."""
        return '' if self.location == EVERYWHERE else self.location

    @cached_property
    def pricing(self) -> dict[str, Any]:
        """The price list, as it was at the first use."""
        prices: dict[str, Any] = self.conn.request('GET', '/pricing')['pricing']
        return prices

    def extra_costs(self, spec: VmSpec, flavor: Flavor | None) -> list[CostItem]:
        gigabyte = mapping.net(self.pricing['volume']['price_per_gb_month']) or 0
        items: list[CostItem] = [{'what': f'volume of {spec.disk_size(disk)} GiB',
                                  'monthly': round(gigabyte * spec.disk_size(disk), 2)} for disk in spec.disks[1:]]
        if spec.publicip and flavor:
            rows = next((row['prices'] for row in self.pricing['primary_ips'] if row['type'] == 'ipv4'), ())
            price = next((row['price_monthly'] for row in rows if row['location'] == flavor.location), None)
            items.append({'what': 'public IPv4 address', 'monthly': mapping.net(price)})
        return items
