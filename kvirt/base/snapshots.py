"""The area of snapshots of VMs."""

from __future__ import annotations

from kvirt.base.area import Area, area, serves
from kvirt.errors import NotSupported
from kvirt.names import safe_name
from kvirt.result import Result


@area
class Snapshots(Area):
    """Snapshots. As in kcli, *name* is the snapshot and *base* the VM."""

    def create_snapshot(self, name: str, base: str) -> Result:
        """Take snapshot *name* of VM *base*. AlreadyExists. May block while disks are copied."""
        return self._attempt(self._create_snapshot_checked, name, base)

    @serves('create_snapshot')
    def _create_snapshot_checked(self, name: str, base: str) -> None:
        self._create_snapshot(safe_name('snapshot', name), base)

    def _create_snapshot(self, name: str, base: str) -> None:
        raise NotSupported('')

    def delete_snapshot(self, name: str, base: str) -> Result:
        """Delete snapshot *name* of VM *base*."""
        return self._attempt(self._delete_snapshot, name, base)

    def _delete_snapshot(self, name: str, base: str) -> None:
        raise NotSupported('')

    def revert_snapshot(self, name: str, base: str) -> Result:
        """Bring VM *base* back to snapshot *name*."""
        return self._attempt(self._revert_snapshot, name, base)

    def _revert_snapshot(self, name: str, base: str) -> None:
        raise NotSupported('')

    def list_snapshots(self, base: str) -> list[str]:
        """Return the names of the snapshots of VM *base*, oldest first. NotFound when there is no such VM."""
        return self._ask(self._list_snapshots, base)

    def _list_snapshots(self, base: str) -> list[str]:
        raise NotSupported('')
