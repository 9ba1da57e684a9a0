"""The area of snapshots of VMs."""

from __future__ import annotations

from kvirt.base.area import Area, area, serves
from kvirt.errors import NotSupported
from kvirt.names import safe_name
from kvirt.result import Result


@area
class Snapshots(Area):
    """Snapshots. As in kcli, *name* is the snapshot and *base* the VM."""

    def create_snapshot(self, name: str, base: str, external: bool | None = None) -> Result:
        """Take snapshot *name* of VM *base*. AlreadyExists. May block while disks are copied.

        *external* asks for one outside (true) or inside (false) the files of the disks, where a platform has both.
        """
        return self._attempt(self._create_snapshot_checked, name, base, external)

    @serves('create_snapshot')
    def _create_snapshot_checked(self, name: str, base: str, external: bool | None) -> None:
        name = safe_name('snapshot', name)
        if external is None:
            self._create_snapshot(name, base)
        else:
            self._create_snapshot_of_kind(name, base, external)

    def _create_snapshot_of_kind(self, name: str, base: str, external: bool) -> None:
        raise NotSupported('there is one kind of snapshot here, neither external nor internal')

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
