"""The disks of VMs that exist."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, get_args
from xml.etree.ElementTree import Element

import libvirt

from kvirt.base import waits
from kvirt.errors import AlreadyExists, Conflict, InvalidInput, NotFound, NotSupported
from kvirt.names import did_you_mean, safe_name
from kvirt.providers.kvm import domain, journals
from kvirt.providers.kvm.create import Create
from kvirt.providers.kvm.domain import DiskView, Domain
from kvirt.providers.kvm.volumes import GIB, clone_size
from kvirt.spec import Cache
from kvirt.undo import Undo

_SETTINGS: dict[str, tuple[str, ...]] = {
    'diskname': (), 'serial': (), 'wwn': (), 'format': ('raw', 'qcow2'), 'discard': ('unmap', 'ignore'),
    'cache': get_args(Cache)}
"""What can be said of a further disk, with the words that it can be said in."""


class Disks(Create):
    """Disks: adding, removing, detaching, growing."""

    def _add_disk(self, name: str, size: int, pool: str | None, thin: bool, image: str | None, shareable: bool,
                  existing: str | None, interface: str, overrides: Mapping[str, Any]) -> Mapping[str, Any] | None:
        native = self.domain_of(name)
        view = self.persistent(native)
        _check_settings(overrides)
        if existing:
            volume = self.get_volume(existing, pool)
            self.refuse_used(volume, existing, shareable)
            return self._attach(native, view, volume, interface, overrides, shareable)
        where = self.pool(pool or self._pool_of(view))
        source = self.get_image(image, where.name()) if image else None
        form = overrides.get('format') or ('raw' if shareable else None)
        self.format_of(where, thin, image is not None, form)
        if shareable and form != 'raw':
            raise InvalidInput('only a raw disk can be shared', hint='Give format: raw')
        disk_name = safe_name('volume', overrides.get('diskname') or self._free_name(view, where))
        if self.find_volume(disk_name, where.name(), refresh=False) is not None:
            raise AlreadyExists(f'volume {disk_name} exists in pool {where.name()}')
        with Undo().translating(self.translate) as undo:
            journal = self.journal_of(view)
            undo.add(f'volume {disk_name}', lambda: self.remove_volume(where.name(), disk_name))
            volume = self.make_volume(where, disk_name, clone_size(size, source, disk_name), thin=thin, image=source,
                                      form=form)
            undo.add('journal', lambda: self.write_journal(native, journal))
            self.write_journal(native, journals.adding(journal, where.name(), disk_name))
            return self._attach(native, view, volume, interface, overrides, shareable)

    def _attach(self, native: libvirt.virDomain, view: Domain, volume: libvirt.virStorageVol, interface: str,
                overrides: Mapping[str, Any], shareable: bool) -> dict[str, Any]:
        wanted = self.disk_of(volume, bus=interface, serial=overrides.get('serial'), wwn=overrides.get('wwn'),
                              cache=overrides.get('cache'), discard=overrides.get('discard', 'unmap'), shareable=shareable)
        disk = domain.with_bus(wanted, self.host_of(view))
        _refuse_fixed(native, disk.bus)
        target = domain.next_target(disk.bus or 'virtio', {known.target for known in view.disks if known.target})
        element = domain.disk_element(disk, target)
        devices = domain.parse(self.persistent_xml(native)).find('devices')
        if disk.bus == 'scsi' and devices is not None and devices.find("controller[@type='scsi']") is None:
            controller = domain.to_text(Element('controller', type='scsi', index='0', model='virtio-scsi'))
            native.attachDeviceFlags(controller, self.affected(native))  # the one that libvirt adds, few guests can drive
        native.attachDeviceFlags(domain.to_text(element), self.affected(native))
        return {'device': target, 'path': volume.path()}

    def _pool_of(self, view: Domain) -> str:
        """Return the pool of a VM's root disk."""
        for disk in view.disks:
            volume = self.volume_of(disk)
            if volume is not None:
                return str(volume.storagePoolLookupByVolume().name())
        return 'default'

    def _free_name(self, view: Domain, pool: libvirt.virStoragePool) -> str:
        number = len([disk for disk in view.disks if disk.device == 'disk' and not disk.readonly])
        while self.find_volume(f'{view.name}_{number}.img', pool.name(), refresh=False) is not None:
            number += 1
        return f'{view.name}_{number}.img'

    def _find_disk(self, view: Domain, diskname: str) -> DiskView:
        """Return a disk of a VM, by device, volume or path, as ``info`` lists it. NotFound suggests the likely one."""
        names: dict[str, DiskView] = {}
        for disk in view.disks:
            if disk.device != 'disk' or disk.readonly:
                continue
            for known in (disk.target, disk.path, (disk.path or '').rpartition('/')[2], disk.volume):
                if known:
                    names.setdefault(known, disk)
        if diskname not in names:
            raise NotFound(f'VM {view.name} has no disk {diskname}{did_you_mean(diskname, names)}')
        return names[diskname]

    def _delete_disk(self, name: str | None, diskname: str, pool: str | None = None) -> None:
        if name is None:
            volume = self.get_volume(diskname, pool)
            users = self.users_of(volume.path())
            if users:
                raise Conflict(f"volume {diskname} is a disk of {', '.join(users)}", hint='Detach it first')
            clones = self.backed_by(volume.path())
            if clones:
                raise Conflict(f"{', '.join(sorted(clones))} lies upon volume {diskname}", hint='Delete those first')
            self.delete_volume(volume, snapshots=True)
            return
        native = self.domain_of(name)
        view = self.persistent(native)
        disk = self._find_disk(view, diskname)
        volume = self.volume_of(disk)
        if volume is not None:
            self.refuse_deletion(volume)
        self._detach(native, disk)
        if volume is None:
            return
        where, volume_name = volume.storagePoolLookupByVolume().name(), volume.name()
        if not any(vm != view.name for vm in self.users_of(volume.path())):  # else another VM shares it
            self.delete_volume(volume)
        if view.journal:
            self.write_journal(native, journals.without(view.journal, where, volume_name))

    def _detach(self, native: libvirt.virDomain, disk: DiskView) -> None:
        _refuse_fixed(native, disk.bus)
        self.detach(native, domain.view_element(disk), f'disk {disk.target or disk.path}',
                    lambda view: disk.target in [known.target for known in view.disks])

    def _detach_disks(self, name: str) -> Mapping[str, Any] | None:
        native = self.domain_of(name)
        view = self.persistent(native)
        disks = [disk for disk in view.disks if disk.device == 'disk' and not disk.readonly][1:]
        journal = view.journal
        for disk in disks:
            self._detach(native, disk)
            volume = self.volume_of(disk)
            if journal and volume is not None:
                journal = journals.without(journal, volume.storagePoolLookupByVolume().name(), volume.name())
        if journal and disks:
            self.write_journal(native, journal)  # what is detached is kept when the VM is deleted
        return {'disks': [disk.path for disk in disks]}

    @waits
    def _resize_disk(self, name: str, diskname: str, size: int) -> None:
        native = self.domain_of(name)
        disk = self._find_disk(self.persistent(native), diskname)
        volume = self.volume_of(disk)
        if volume is None:
            raise NotFound(f'disk {diskname} of VM {name} is in no pool, so it can not be resized')
        pool = volume.storagePoolLookupByVolume()
        grows = self.can_grow(pool)
        if not grows:
            self.refresh(pool)
        have = volume.info()[1]
        if size * GIB < have:
            raise InvalidInput(f'disk {diskname} has {have / GIB:.1f} GiB and can not be made smaller')
        if not grows and have < size * GIB:
            raise NotSupported(f'libvirt can not grow the block devices of pool {pool.name()}',
                               hint=f'Grow {volume.path()} on the host (lvextend), then say this again to tell VM {name}')
        if grows and not native.isActive():
            volume.resize(size * GIB, 0)
        if native.isActive():  # QEMU grows a file itself, and is told of a device that has grown
            native.blockResize(disk.target or disk.path, size * GIB, libvirt.VIR_DOMAIN_BLOCK_RESIZE_BYTES)


def _refuse_fixed(native: libvirt.virDomain, bus: str | None) -> None:
    """Raise Conflict if disks on *bus* neither come nor go at this moment, since the VM runs."""
    if bus in ('ide', 'sata', 'ssd', 'nvme') and native.isActive():
        raise Conflict(f"VM {native.name()} is running, and disks on {'sata' if bus == 'ssd' else bus} neither come nor go "
                       'while it does', hint='Stop it first; disks on virtio and scsi do')


def _check_settings(overrides: Mapping[str, Any]) -> None:
    for key, value in overrides.items():
        if key not in _SETTINGS:
            raise InvalidInput(f"'{key}' means nothing for a disk{did_you_mean(key, _SETTINGS)}",
                               hint=f"Give {', '.join(_SETTINGS)}")
        words = _SETTINGS[key]
        if words and value not in words:
            raise InvalidInput(f"'{value}' is no {key} of a disk{did_you_mean(str(value), words)}",
                               hint=f"Use {', '.join(words)}")
