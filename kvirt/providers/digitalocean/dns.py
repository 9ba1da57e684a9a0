"""DNS: domains, and their records."""

from __future__ import annotations

from typing import Any

from kvirt.providers.digitalocean.account import Account
from kvirt.providers.families.flatdns import FlatDns, Record


class Dns(FlatDns, Account):
    """The zones of the account."""

    def zones(self) -> list[str]:
        return [each['name'] for each in self.all('/domains')]

    def records(self, zone: str) -> list[dict[str, Any]]:
        return list(self.all(f'/domains/{zone}/records', 'domain_records'))

    def put_record(self, zone: str, record: Record, there: Any = None) -> None:
        if there is None:
            self.api.post(f'/domains/{zone}/records', record)
        else:
            self.api.patch(f'/domains/{zone}/records/{there}', record)

    def drop_record(self, zone: str, record: Record) -> None:
        self.drop(f"/domains/{zone}/records/{record['id']}")
