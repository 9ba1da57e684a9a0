"""The area of the platform itself: its host or account, locations, limits, and what was left behind."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from kvirt.base.area import Area, area
from kvirt.errors import NotSupported
from kvirt.result import Result
from kvirt.shapes import Orphan


@area
class Host(Area):
    """What the provider is connected to."""

    def info_host(self) -> dict[str, Any]:
        """Return what is known of the host or account: ``connection`` always, capacity and use where known.

        ``memory_used`` is what all VMs were given, ``memory_free`` what those that run leave of ``memory_total``, in MiB;
        ``pools`` are rows with the ``capacity`` and what is ``available``, in GiB.
        """
        return self._ask(self._info_host)

    def _info_host(self) -> dict[str, Any]:
        raise NotSupported('')

    def list_locations(self) -> list[dict[str, Any]]:
        """Return the locations: ``name``, and where known ``description``, ``available``, ``country``."""
        return self._ask(self._list_locations)

    def _list_locations(self) -> list[dict[str, Any]]:
        raise NotSupported('')

    def list_quotas(self) -> list[dict[str, Any]]:
        """Return the limits of the account: ``name``, ``maximum``, ``current``, ``unit``."""
        return self._ask(self._list_quotas)

    def _list_quotas(self) -> list[dict[str, Any]]:
        raise NotSupported('')

    def list_orphans(self) -> list[Orphan]:
        """Return what bears our mark and has no finished owner: what an interrupted create left behind.

        What another process is making right now is not listed.
        """
        return self._ask(self._list_orphans)

    def _list_orphans(self) -> list[Orphan]:
        raise NotSupported('')

    def delete_orphans(self) -> Result:
        """Delete what ``list_orphans`` returns. The success lists it in ``deleted``."""
        return self._attempt(self._delete_orphans)

    def _delete_orphans(self) -> Mapping[str, Any] | None:
        raise NotSupported('')
