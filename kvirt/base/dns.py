"""The area of DNS: zones and records."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from kvirt import units
from kvirt.base.area import Area, area, serves
from kvirt.errors import NotSupported
from kvirt.names import dns_name
from kvirt.result import Result
from kvirt.shapes import DnsRecord


@area
class Dns(Area):
    """DNS. A *domain* is a zone of the platform, or a network that answers for it."""

    def list_dns_zones(self) -> list[str]:
        """Return the names of the zones."""
        return self._ask(self._list_dns_zones)

    def _list_dns_zones(self) -> list[str]:
        raise NotSupported('')

    def list_dns(self, domain: str) -> list[DnsRecord]:
        """Return the records of *domain*, sorted by name and type. NotFound when there is no such zone."""
        return self._ask(self._list_dns, domain)

    def _list_dns(self, domain: str) -> list[DnsRecord]:
        raise NotSupported('')

    def reserve_dns(self, name: str, nets: Sequence[Any] = (), domain: str | None = None, ip: str | None = None,
                    alias: Sequence[str] = (), force: bool = False, primary: bool = False,
                    instanceid: str | None = None) -> Result:
        """Create the record *name* in *domain* for *ip*, and its *alias* names.

        Without *ip* it is looked up from VM *name*. AlreadyExists unless *force*, which replaces it.
        """
        return self._attempt(self._reserve_dns_checked, name, nets, domain, ip, alias, force, primary, instanceid)

    @serves('reserve_dns')
    def _reserve_dns_checked(self, name: str, nets: Sequence[Any], domain: str | None, ip: str | None,
                             alias: Sequence[str], force: bool, primary: bool, instanceid: str | None) -> None:
        for given in (name, *alias):
            dns_name(given)
        if ip is not None:
            units.address(ip)
        self._reserve_dns(name, nets, domain, ip, alias, force, primary, instanceid)

    def _reserve_dns(self, name: str, nets: Sequence[Any] = (), domain: str | None = None, ip: str | None = None,
                     alias: Sequence[str] = (), force: bool = False, primary: bool = False,
                     instanceid: str | None = None) -> None:
        raise NotSupported('')

    def delete_dns(self, name: str, domain: str, allentries: bool = False) -> Result:
        """Delete the record *name* of *domain*; with *allentries* every record that has its address."""
        return self._attempt(self._delete_dns, name, domain, allentries)

    def _delete_dns(self, name: str, domain: str, allentries: bool = False) -> None:
        raise NotSupported('')
