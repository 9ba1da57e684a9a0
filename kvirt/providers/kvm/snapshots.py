"""Snapshots of VMs.

An internal one lies in the VM's qcow2 files, with its memory when it runs. An external one freezes the files of the disks
as they are: what is written from then on goes to new files, which are volumes of the VM and stand in its journal.
https://libvirt.org/formatsnapshot.html
"""

from __future__ import annotations

import xml.etree.ElementTree as ET
from dataclasses import replace
from functools import partial
from typing import Any

import libvirt

from kvirt.base import waits
from kvirt.errors import AlreadyExists, Conflict, NotFound, NotSupported
from kvirt.names import did_you_mean
from kvirt.providers.kvm import domain
from kvirt.providers.kvm.create import Create
from kvirt.providers.kvm.domain import DiskView, Domain
from kvirt.providers.kvm.volumes import below
from kvirt.undo import Undo
from kvirt.wait import until

_INTERNAL = libvirt.VIR_DOMAIN_SNAPSHOT_CREATE_VALIDATE
_EXTERNAL = (libvirt.VIR_DOMAIN_SNAPSHOT_CREATE_VALIDATE | libvirt.VIR_DOMAIN_SNAPSHOT_CREATE_DISK_ONLY
             | libvirt.VIR_DOMAIN_SNAPSHOT_CREATE_ATOMIC)
_DELETES_EXTERNAL, _HAS_UEFI = 9_000_000, 10_009_000  # versions of libvirt; for reverting there is a capability


class Snapshots(Create):
    """Taking, listing, reverting to and deleting snapshots."""

    @waits
    def _create_snapshot(self, name: str, base: str) -> None:
        native = self.domain_of(base)
        view = self.persistent(native)
        obstacle = self._no_internal(native, view)
        if self._reverts_external() and (obstacle or any(map(_is_external, self._snapshots(native)))):
            self._take(native, name, view, external=True)
        elif obstacle is None:
            self._take(native, name, view, external=False)
        else:
            self._overlays(view, name)  # raises where there can be no external one either
            raise NotSupported(f'no internal snapshot can be taken of VM {base}: {obstacle}',
                               hint='An external one can be taken, but this libvirt can not revert to it: 9.9 can')

    @waits
    def _create_snapshot_of_kind(self, name: str, base: str, external: bool) -> None:
        native = self.domain_of(base)
        view = self.persistent(native)
        obstacle = None if external else self._no_internal(native, view)
        if obstacle is not None:
            raise NotSupported(f'no internal snapshot can be taken of VM {base}: {obstacle}')
        self._take(native, name, view, external)

    def _take(self, native: libvirt.virDomain, name: str, view: Domain, external: bool) -> None:
        there = self._snapshots(native)
        if name in [snapshot.getName() for snapshot in there]:
            raise AlreadyExists(f'VM {view.name} has a snapshot {name}')
        if any(_is_external(snapshot) != external for snapshot in there):
            raise Conflict(f"the snapshots of VM {view.name} are {'internal' if external else 'external'} ones, and both "
                           'kinds on the same disks would spoil each other', hint='Delete those first')
        overlays = self._overlays(view, name) if external else {}
        text = snapshot_xml(name, {target: path for target, (_, _, path) in overlays.items()}, view if external else None)
        with Undo().translating(self.translate) as undo:
            if overlays:
                journal = self.journal_of(view)
                undo.add('journal', lambda: self.write_journal(native, journal))
                for pool, volume, _ in overlays.values():
                    undo.add(f'volume {volume}', partial(self.remove_volume, pool, volume))
                self.write_journal(native, replace(journal, volumes=(
                    *journal.volumes, *((pool, volume) for pool, volume, _ in overlays.values()))))
            native.snapshotCreateXML(text, (_EXTERNAL if external else _INTERNAL) if self.driver != 'test' else 0)
        for pool in {pool for pool, _, _ in overlays.values()}:
            self.refresh(self.pool(pool))

    def _no_internal(self, native: libvirt.virDomain, view: Domain) -> str | None:
        """Return why a VM can have no internal snapshot, None when it can."""
        for disk in _writable(view):
            if disk.shared:
                return f'its disk {disk.target} is shared with other VMs'
            if disk.bus == 'nvme' and native.isActive():
                return f'its disk {disk.target} is NVMe, whose state QEMU can not keep while it runs; stop it first'
            if disk.format != 'qcow2' and self.driver != 'test':
                return f'its disk {disk.target} is {disk.format or "raw"}, and only qcow2 can hold one'
        if view.uefi and native.isActive():
            if self.libvirt.getLibVersion() < _HAS_UEFI:
                return 'it runs with UEFI, whose variables only libvirt 10.9 and later can keep; stop it first'
            if domain.read(native.XMLDesc(0)).nvram_format not in (None, 'qcow2'):
                return 'it runs with UEFI, and its variables are no qcow2, which could hold them; stop it first'
        return None

    def _overlays(self, view: Domain, name: str) -> dict[str, tuple[str, str, str]]:
        """Return the volumes that an external snapshot makes, by device: pool, name and path."""
        owned, _ = self.owned(view)
        found: dict[str, tuple[str, str, str]] = {}
        for disk in _writable(view):
            volume = self.volume_of(disk)
            if volume is None:
                raise NotFound(f'disk {disk.target} of VM {view.name} is in no pool')
            pool = volume.storagePoolLookupByVolume()
            if not self.on_files(pool):
                raise NotSupported(f'disk {disk.target} of VM {view.name} is no file: no external snapshot can be taken')
            if disk.shared or (pool.name(), volume.name()) not in owned:
                raise NotSupported(f'disk {disk.target} of VM {view.name} was not made for it and outlives it: no external '
                                   'snapshot can be taken', hint='Detach it first')
            overlay = f'{view.name}_{disk.target}.{name}.img'
            if self.find_volume(overlay, pool.name()) is not None:
                raise AlreadyExists(f'volume {overlay} exists in pool {pool.name()}')
            found[disk.target] = (pool.name(), overlay, f'{self.pool_folder(pool)}/{overlay}')
        if not found:
            raise NotSupported(f'VM {view.name} has no disk, so there is nothing that an external snapshot could hold')
        return found

    def _reverts_external(self) -> bool:
        return self.capabilities_xml.find('guest/features/externalSnapshot') is not None

    # what is there

    def _snapshots(self, native: libvirt.virDomain) -> list[libvirt.virDomainSnapshot]:
        """Return the snapshots of a VM, oldest first. libvirt tells their times in seconds, and parents before children."""
        try:
            found = native.listAllSnapshots(libvirt.VIR_DOMAIN_SNAPSHOT_LIST_TOPOLOGICAL)
        except libvirt.libvirtError as error:
            if error.get_error_code() == libvirt.VIR_ERR_NO_SUPPORT:
                return []
            raise
        return sorted(found, key=lambda snapshot: int(_described(snapshot).findtext('creationTime') or 0))

    def _snapshot(self, native: libvirt.virDomain, name: str) -> libvirt.virDomainSnapshot:
        known = {snapshot.getName(): snapshot for snapshot in self._snapshots(native)}
        if name not in known:
            raise NotFound(f'VM {native.name()} has no snapshot {name}{did_you_mean(name, known)}')
        return known[name]

    def _list_snapshots(self, base: str) -> list[str]:
        return [snapshot.getName() for snapshot in self._snapshots(self.domain_of(base))]

    def snapshot_shapes(self, native: libvirt.virDomain) -> list[Any]:
        """Return the snapshots of a VM as ``info`` lists them."""
        found = self._snapshots(native)
        current = native.snapshotCurrent(0).getName() if found and native.hasCurrentSnapshot(0) else None
        return [{'snapshot': snapshot.getName(), 'current': snapshot.getName() == current} for snapshot in found]

    # back, and away

    @waits
    def _revert_snapshot(self, name: str, base: str) -> None:
        native = self.domain_of(base)
        snapshot = self._snapshot(native, name)
        external = _is_external(snapshot)
        if external and not self._reverts_external():
            raise NotSupported(f"{self._version()} can not revert to external snapshots: libvirt 9.9 and later can")
        before = self.persistent(native)
        self._refuse_gone(before, snapshot)
        until(lambda: _reverted(native, snapshot, external), what=f'VM {base} going back to {name}', timeout=5, interval=1)
        if external:
            self._look_again(before)
        self._follow(native, before)

    def _refuse_gone(self, view: Domain, snapshot: libvirt.virDomainSnapshot) -> None:
        """Raise Conflict if a disk that the VM had then is gone, or is another VM's by now."""
        described = _described(snapshot).find('domain')
        if described is None or self.driver == 'test':
            return
        now = {disk.path for disk in view.disks}
        for disk in _writable(domain.read(ET.tostring(described, encoding='unicode'))):
            if disk.path in now or not disk.path:
                continue
            if self._lookup(self.libvirt.storageVolLookupByPath, disk.path) is None:
                raise Conflict(f'VM {view.name} can not go back to {snapshot.getName()}: its disk {disk.path} is gone')
            users = [vm for vm in self.users_of(disk.path) if vm != view.name]
            if users and not disk.shared:
                raise Conflict(f"VM {view.name} can not go back to {snapshot.getName()}: its disk {disk.path} is a disk of "
                               f"{', '.join(users)} now")

    def _delete_snapshot(self, name: str, base: str) -> None:
        native = self.domain_of(base)
        snapshot = self._snapshot(native, name)
        before = self.persistent(native)
        if _is_external(snapshot):
            self._delete_external(native, snapshot)
            self._look_again(before)
        else:
            snapshot.delete(0)
        self._follow(native, before)

    def _delete_external(self, native: libvirt.virDomain, snapshot: libvirt.virDomainSnapshot) -> None:
        if self.libvirt.getLibVersion() < _DELETES_EXTERNAL:
            raise NotSupported(f'{self._version()} can not delete external snapshots: libvirt 9.0 and later can')
        name, younger = snapshot.getName(), snapshot.listChildrenNames(0)
        if younger and not native.isActive() and not self._reverts_external():
            raise Conflict(f'VM {native.name()} is stopped, and snapshot {name} has younger ones, which lie upon it',
                           hint='Delete those first, or start the VM')
        try:
            snapshot.delete(0)
        except libvirt.libvirtError as error:
            if not younger or error.get_error_code() != libvirt.VIR_ERR_CONFIG_UNSUPPORTED:
                raise
            raise Conflict(f'snapshot {name} of VM {native.name()} has younger ones, which lie upon it',
                           hint=f"Delete those first: {', '.join(younger)}") from None

    def _look_again(self, view: Domain) -> None:
        """Have the pools of a VM's own volumes learn what libvirt made and took away with an external snapshot."""
        for pool in {pool for pool, _ in view.journal.volumes} if view.journal else ():
            self.refresh(self.pool(pool))

    def _follow(self, native: libvirt.virDomain, before: Domain) -> None:
        """Make the journal right after disks came and went with a snapshot: a VM still owns what was made for it."""
        now = self.persistent(native)
        if before.journal is None:
            return
        volumes = {(pool, name): self.find_volume(name, pool) for pool, name in before.journal.volumes}
        kept = [key for key, volume in volumes.items() if volume is not None]
        paths = [volume.path() for volume in volumes.values() if volume is not None]
        for disk in _writable(now):
            volume = self.volume_of(disk)
            if volume is not None and below(volume) in paths:  # what a revert to an external snapshot makes
                kept.append((volume.storagePoolLookupByVolume().name(), volume.name()))
        owned = tuple(dict.fromkeys(kept))
        if now.journal is None or now.journal.volumes != owned:
            self.write_journal(native, replace(before.journal, volumes=owned))

    def _version(self) -> str:
        number = self.libvirt.getLibVersion()
        return f'libvirt {number // 1000000}.{number // 1000 % 1000}.{number % 1000}'


def snapshot_xml(name: str, files: dict[str, str], view: Domain | None = None) -> str:
    """Return the description of a snapshot: an external one with the new *files* by device, of a VM like *view*."""
    root = ET.Element('domainsnapshot')
    domain.add(root, 'name', name)
    if view is not None:
        domain.add(root, 'memory', snapshot='no')
        disks = domain.add(root, 'disks')
        for disk in view.disks:
            if disk.target in files:
                entry = domain.add(disks, 'disk', name=disk.target, snapshot='external')
                domain.add(entry, 'driver', type='qcow2')
                domain.add(entry, 'source', file=files[disk.target])
            else:
                domain.add(disks, 'disk', name=disk.target, snapshot='no')
    return domain.to_text(root)


def _reverted(native: libvirt.virDomain, snapshot: libvirt.virDomainSnapshot, external: bool) -> bool:
    """Bring a VM back to a snapshot. False when the name of a new file is taken: they are called by the second."""
    try:
        native.revertToSnapshot(snapshot, 0)
    except libvirt.libvirtError as error:
        if external and 'already exists' in str(error):
            return False
        if error.get_error_code() != libvirt.VIR_ERR_SNAPSHOT_REVERT_RISKY:
            raise
        # The VM was changed since, so QEMU can't go on as it is: it is ended and started anew.
        native.revertToSnapshot(snapshot, libvirt.VIR_DOMAIN_SNAPSHOT_REVERT_FORCE)
    return True


def _described(snapshot: libvirt.virDomainSnapshot) -> ET.Element:
    return ET.fromstring(snapshot.getXMLDesc(0))


def _is_external(snapshot: libvirt.virDomainSnapshot) -> bool:
    return any(disk.get('snapshot') == 'external' for disk in _described(snapshot).iterfind('disks/disk'))


def _writable(view: Domain) -> list[DiskView]:
    return [disk for disk in view.disks if disk.device == 'disk' and not disk.readonly]
