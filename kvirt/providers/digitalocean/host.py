"""The account itself: its regions, sizes, limits; and Spaces, where its buckets are."""

from __future__ import annotations

from typing import Any

from kvirt.providers.digitalocean import mapping
from kvirt.providers.digitalocean.account import Account
from kvirt.providers.families.places import EVERYWHERE
from kvirt.shapes import Flavor

_LIMITS = {'droplet_limit': ('vms', '/droplets'), 'volume_limit': ('volumes', '/volumes'),
           'floating_ip_limit': ('floating_ips', '/reserved_ips')}
"""The limits that the account tells, what they are of, and where that is counted."""


class Host(Account):
    """What the account is, and what it may have."""

    def _info_host(self) -> dict[str, Any]:
        account = self.api.get('/account')['account']
        team = (account.get('team') or {}).get('name')
        return {'connection': self.api.base, 'location': self.location, 'status': account['status'],
                **({'status_message': account['status_message']} if account['status_message'].strip() else {}),
                **({'team': team} if team else {}), **{limit: account[limit] for limit in _LIMITS if limit in account}}

    def _list_locations(self) -> list[dict[str, Any]]:
        return [{'name': region['slug'], 'description': region['name'], 'available': region['available'],
                 **({'country': country} if (country := mapping.COUNTRIES.get(region['slug'][:3])) else {})}
                for region in sorted(self.all('/regions'), key=lambda region: str(region['slug']))]

    def _list_quotas(self) -> list[dict[str, Any]]:
        account = self.api.get('/account')['account']
        return sorted(({'name': name, 'maximum': account[limit], 'current': self._count(path), 'unit': 'count'}
                       for limit, (name, path) in _LIMITS.items() if limit in account), key=lambda row: str(row['name']))

    def _count(self, path: str) -> int:
        kinds = ('droplets', 'gpus') if path == '/droplets' else (None, )
        return sum(self.api.get(path, per_page=1, type=kind)['meta']['total'] for kind in kinds)

    def _list_flavors(self) -> list[Flavor]:
        """Return the sizes that are sold in this client's location."""
        where = None if self.location == EVERYWHERE else self.location
        sold = [size for size in self.all('/sizes') if where in (None, *size['regions'])]
        if not sold:
            self.check_location()
        return sorted((mapping.flavor(size, where) for size in sold), key=lambda flavor: flavor.name)

    def store_place(self) -> str:
        return self.made_in()
