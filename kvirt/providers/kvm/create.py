"""Making and removing VMs, all or nothing.

The domain is defined first. Its name is the lock that two creates race for, and its metadata the journal: who is making it,
and the names of the volumes that will be made for it. So whatever happens after that, and to whom, "remove the domain and
what its journal lists" leaves nothing behind; rollback, delete and `delete orphans` are this one function.
"""

from __future__ import annotations

import logging
import uuid as uuids
import xml.etree.ElementTree as ET
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import libvirt
import msgspec

from kvirt.base import waits
from kvirt.errors import AlreadyExists, Conflict, InvalidInput, NotFound, NotSupported
from kvirt.names import safe_name
from kvirt.parallel import begun
from kvirt.providers.kvm import domain, journals
from kvirt.providers.kvm.domain import Disk, Domain, Journal, Nic, random_mac
from kvirt.providers.kvm.host import Host
from kvirt.providers.kvm.images import Images
from kvirt.providers.kvm.reservations import FIELD, Reservations, text_of
from kvirt.providers.kvm.volumes import below, clone_size, volume_format
from kvirt.spec import DiskSpec, NetSpec, VmSpec
from kvirt.undo import Undo

if TYPE_CHECKING:
    from kvirt.guest.guest import Guest

log = logging.getLogger(__name__)

_UNDEFINE_TEST = libvirt.VIR_DOMAIN_UNDEFINE_MANAGED_SAVE | libvirt.VIR_DOMAIN_UNDEFINE_SNAPSHOTS_METADATA
_UNDEFINE = (_UNDEFINE_TEST | libvirt.VIR_DOMAIN_UNDEFINE_NVRAM | libvirt.VIR_DOMAIN_UNDEFINE_CHECKPOINTS_METADATA)
_ELEMENT = libvirt.VIR_DOMAIN_METADATA_ELEMENT


class Volume(msgspec.Struct, frozen=True):
    """A disk of a VM to be: a volume to make, or with ``existing`` one that is there."""

    pool: str
    name: str
    path: str
    size: int  # bytes
    thin: bool
    image: libvirt.virStorageVol | None
    existing: bool
    device: Disk
    form: str | None = None  # the format asked for, None for what is usual


class Copy(msgspec.Struct, frozen=True):
    """A volume that is to be a copy of ``original``, which the domain calls ``source``; or a new seed in its place."""

    pool: str
    name: str
    path: str
    source: str
    original: libvirt.virStorageVol
    seed: bool


class Create(Reservations, Images, Host):
    """Create, clone and delete."""

    def _create(self, name: str, spec: VmSpec, guest: Guest) -> Mapping[str, Any] | None:
        self.refuse_existing(name)
        host = self.host_for(spec)
        self.need_devices(spec.pcidevices)
        nics = [self.card(net, spec.usermode) for net in spec.cards()]
        if spec.usermode == 'passt' and nics:
            nics[0] = replace(nics[0], ssh=spec.vmport or 22)
        reserved = self.reservations(name, spec, nics)
        volumes = [self.planned(name, index, disk, spec) for index, disk in enumerate(self._disks(spec))]
        twice = {volume.path for volume in volumes if [other.path for other in volumes].count(volume.path) > 1}
        if twice:
            raise InvalidInput(f"disks: {', '.join(sorted(twice))} is there twice")
        drives = list(self._drives(spec, host))
        fresh = spec.uuid or str(uuids.uuid4())
        guest = replace(guest, mounts=tuple(domain.mounts(spec, host)))
        seeded, seed_name = guest.kind is not None, f'{name}.iso'
        pool = self.pool(spec.pool)
        if seeded:
            pool = self._pool_of_seed(pool)
            if self.find_volume(seed_name, pool.name(), refresh=False) is not None:
                raise AlreadyExists(f'volume {seed_name} exists in pool {pool.name()}', hint='Delete it first')
        made = [(volume.pool, volume.name) for volume in volumes if not volume.existing]
        journal = journals.begin([*made, *([(pool.name(), seed_name)] if seeded else [])])
        root = domain.build(name, fresh, spec, host, [*(volume.device for volume in volumes), *drives], nics,
                            self._seed_device(pool, seed_name, volumes, host) if seeded else None,
                            {**self.fields(spec, guest), **({FIELD: text_of(reserved)} if reserved else {})},
                            journal.to_element())
        # The seed is made while libvirt checks the domain and makes the disks.
        seed = begun(lambda: guest.seed([nic.mac or '' for nic in nics], fresh)) if seeded else None
        with Undo().translating(self.translate) as undo:
            undo.add(f'VM {name}', lambda: self.remove(fresh))
            native = self.define(name, root)
            self.reserve(reserved, spec)
            for volume in volumes:
                if not volume.existing:
                    self._make(native, volume, journal)
            if seed is not None:
                self.make_seed(pool, seed_name, seed())
            if spec.autostart:
                native.setAutostart(1)
            if spec.start:
                native.create()
            self.finish(native, journal)
        return {'id': fresh}

    # steps

    def define(self, name: str, root: ET.Element) -> libvirt.virDomain:
        """Define a domain that does not exist yet."""
        text = domain.to_text(root)
        log.debug('defining %s', name)
        try:
            return self.libvirt.defineXMLFlags(text, libvirt.VIR_DOMAIN_DEFINE_VALIDATE)
        except libvirt.libvirtError as error:
            if 'already exists' in (error.get_error_message() or ''):
                raise AlreadyExists(f'VM {name} exists on {self.uri}: somebody else was first') from None
            if "'passt'" in (error.get_error_message() or ''):
                raise NotSupported('usermode: libvirt on this hypervisor is built without passt',
                                   hint='Use usermode: slirp') from None
            raise

    def _make(self, native: libvirt.virDomain, volume: Volume, journal: Journal) -> None:
        try:
            self.make_volume(self.pool(volume.pool), volume.name, volume.size, thin=volume.thin, image=volume.image,
                             form=volume.form)
        except (libvirt.libvirtError, AlreadyExists) as error:
            if isinstance(error, libvirt.libvirtError) and error.get_error_code() != libvirt.VIR_ERR_STORAGE_VOL_EXIST:
                raise
            # Somebody else made it after we looked: it is not ours to remove.
            self.write_journal(native, journals.without(journal, volume.pool, volume.name))
            if isinstance(error, AlreadyExists):
                raise
            raise AlreadyExists(f'volume {volume.name} exists in pool {volume.pool}') from None

    def finish(self, native: libvirt.virDomain, journal: Journal) -> None:
        """Write into the journal that the VM is complete."""
        self.write_journal(native, journals.done(journal))

    def journal_of(self, view: Domain) -> Journal:
        """Return the journal of a VM that is complete: its own, or one of the volumes that kcli made for it."""
        return view.journal or journals.done(journals.begin(self.owned(view)[0]))

    def write_journal(self, native: libvirt.virDomain, journal: Journal) -> None:
        """Put *journal* into the metadata of a domain, running or not."""
        flags = libvirt.VIR_DOMAIN_AFFECT_CONFIG | (libvirt.VIR_DOMAIN_AFFECT_LIVE if native.isActive() else 0)
        native.setMetadata(_ELEMENT, journal.to_metadata(), domain.JOURNAL_PREFIX, domain.JOURNAL_URI, flags)

    def remove(self, uuid: str) -> list[str]:
        """Remove the domain and the volumes that were made for it; return the names of volumes that were left alone.

        Nothing there is fine: it may have been removed before, or never made.
        """
        try:
            native = self.libvirt.lookupByUUIDString(uuid)
        except libvirt.libvirtError as error:
            if error.get_error_code() == libvirt.VIR_ERR_NO_DOMAIN:
                return []
            raise
        view = domain.read(native.XMLDesc(libvirt.VIR_DOMAIN_XML_INACTIVE))
        if native.isActive():
            try:
                native.destroy()
            except libvirt.libvirtError:
                if native.isActive():
                    raise
        self.release(view)
        self.release_leases(view)
        volumes, kept = self.owned(view)
        shared = self._shared(view)
        for pool, name in volumes:
            if (pool, name) in shared:
                kept.append(name)
            else:
                self.remove_volume(pool, name)
        native.undefineFlags(_UNDEFINE if self.driver != 'test' else _UNDEFINE_TEST)
        return kept

    def _shared(self, view: Domain) -> set[tuple[str, str]]:
        """Return those disks (pool, name) of a VM that another VM has as well."""
        volumes = [self.volume_of(disk) for disk in view.disks if disk.shared]
        return {(volume.storagePoolLookupByVolume().name(), volume.name()) for volume in volumes
                if volume is not None and any(vm != view.name for vm in self.users_of(volume.path()))}

    def owned(self, view: Domain) -> tuple[list[tuple[str, str]], list[str]]:
        """Return the volumes (pool, name) that were made for a VM, and the names of its other writable disks.

        A VM made by kcli has no journal: of its disks those that bear the names kcli gives are its own.
        """
        journal = set(view.journal.volumes) if view.journal else set()
        kept = []
        for disk in view.disks:
            volume = self.volume_of(disk)
            if volume is None:
                continue
            key = (volume.storagePoolLookupByVolume().name(), volume.name())
            stem = key[1].rpartition('.')[0]
            if not view.journal and view.info and (stem == view.name or (
                    stem.startswith(f'{view.name}_') and stem[len(view.name) + 1:].isdigit())):
                journal.add(key)
            elif key not in journal and disk.device == 'disk' and not disk.readonly:
                kept.append(key[1])
        return sorted(journal), kept

    # what is asked for, resolved

    @staticmethod
    def _disks(spec: VmSpec) -> Sequence[DiskSpec]:
        if spec.image and not spec.disks:
            return (DiskSpec(),)
        return spec.disks

    def planned(self, name: str, index: int, disk: DiskSpec, spec: VmSpec) -> Volume:
        """Return what disk number *index* will be. NotFound for its pool or image, AlreadyExists for its volume."""
        if disk.existing:
            there = self.get_volume(disk.existing, disk.pool)
            pool, volume_name = there.storagePoolLookupByVolume(), there.name()
        else:
            pool = self.pool(disk.pool or spec.pool)
            volume_name = safe_name('volume', disk.name) if disk.name else f'{name}_{index}.img'
            there = self.find_volume(volume_name, pool.name(), refresh=False)
        shared = bool(disk.shareable)
        wanted: dict[str, Any] = {
            'bus': disk.interface or spec.diskinterface, 'serial': disk.serial, 'wwn': disk.wwn, 'cache': disk.cache,
            'discard': disk.discard or 'unmap', 'shareable': shared}
        if there is not None:
            if not disk.volume:
                self._refuse_left(there, volume_name, pool)
            self.refuse_used(there, volume_name, shared)
            return Volume(pool.name(), volume_name, there.path(), there.info()[1], False, None, True,
                          self.disk_of(there, **wanted))
        thin = spec.diskthin if disk.thin is None else disk.thin
        image_name = disk.image or (spec.image if index == 0 else None)
        image = self.get_image(image_name, pool.name()) if image_name else None
        if image is not None:
            self.refuse_source(image)
        form = disk.format or ('raw' if shared else None)
        device = Disk(format=self.format_of(pool, thin, image is not None, form), **self.whereabouts(pool, volume_name),
                      **wanted)
        size = clone_size(self._size(disk, spec, image), image, volume_name)
        return Volume(pool.name(), volume_name, device.path or '', size, thin, image, False, device, form)

    def _refuse_left(self, there: libvirt.virStorageVol, volume_name: str, pool: libvirt.virStoragePool) -> None:
        """Raise AlreadyExists for a volume that bears the name of a disk which was given none."""
        users = self.users_of(there.path())  # one that was renamed keeps its disks as they are called
        if users:
            raise AlreadyExists(f"volume {volume_name} exists in pool {pool.name()}, and is a disk of "
                                f"{', '.join(users)}", hint='Give the disk a name')
        raise AlreadyExists(f'volume {volume_name} exists in pool {pool.name()}',
                            hint='It is not one of a VM that exists; delete it, or give the disk a name')

    def refuse_used(self, volume: libvirt.virStorageVol, name: str, shareable: bool) -> None:
        """Raise if *volume* can't be a further VM's disk: Conflict, or InvalidInput for a format that none can share."""
        users = {view.name: [disk.shared for disk in view.disks if self.path_of(disk) == volume.path()]
                 for view in self.domains_read() if volume.path() in self.paths_of(view)}
        if users and not shareable:
            raise Conflict(f"volume {name} is a disk of {', '.join(sorted(users))}", hint='Share it with shareable')
        alone = sorted(vm for vm, shared in users.items() if not all(shared) or not shared)
        if alone:
            raise Conflict(f"volume {name} is a disk of {', '.join(alone)}, and not shared there")
        if shareable and volume_format(volume) != 'raw':
            raise InvalidInput(f'volume {name} is {volume_format(volume)}, and only a raw disk can be shared')

    def _drives(self, spec: VmSpec, host: domain.Host) -> Iterator[Disk]:
        """Yield the drives for what is asked for to lie in them. NotFound."""
        for iso in (spec.iso, spec.extra_iso):
            if iso:
                yield domain.cdrom(self.iso_path(iso), host)
        if spec.floppy:
            yield domain.floppy(self.iso_path(spec.floppy, 'floppy image'), host)

    @staticmethod
    def _size(disk: DiskSpec, spec: VmSpec, image: libvirt.virStorageVol | None) -> int:
        """Return the size in GiB: the one asked for, else the default one, but at least the image's."""
        if disk.size is not None or image is None:
            return spec.disk_size(disk)
        return int(max(spec.disksize, -(-image.info()[1] // 1024**3)))

    def card(self, net: NetSpec, user: Literal['slirp', 'passt'] | None) -> Nic:
        """Return the network card that *net* asks for: on a network or a bridge of the host, else as *user*. NotFound."""
        source = {'user': user} if user else self.network_or_bridge(net.name)
        return Nic(**source, mac=net.mac or random_mac(), model=net.type, mtu=net.mtu, queues=net.multiqueues,
                   filter=net.filter)

    def _pool_of_seed(self, pool: libvirt.virStoragePool) -> libvirt.virStoragePool:
        """Return where the seed of a VM in *pool* goes: there, or where it can be written to. NotSupported."""
        if self.writable(pool):
            return pool
        folders = [other for other in self.pools() if self.on_files(other)]
        if not folders:
            raise NotSupported(f'libvirt can not write a seed into pool {pool.name()}, and there is no pool in a folder',
                               hint='Make one, or give cloudinit: false')
        return min(folders, key=lambda folder: (folder.name() != 'default', folder.name()))

    def _seed_device(self, pool: libvirt.virStoragePool, name: str, volumes: Sequence[Volume], host: domain.Host) -> Disk:
        root = volumes[0].device if volumes else None
        return domain.seed_disk(f'{self.pool_folder(pool)}/{name}', root, host)

    def fields(self, spec: VmSpec, guest: Guest) -> dict[str, str]:
        """Return what is kept on the VM: the fields that kcli knows, and ours."""
        first = spec.cards()[0].interface if spec.nets else None
        values = {'creationdate': domain.creation_date(datetime.now(timezone.utc)), 'plan': spec.plan,
                  'profile': spec.profile, 'image': spec.image, 'owner': spec.owner, 'domain': spec.domain,
                  'user': guest.user if guest.kind else None, 'ip': str(first.ip) if first else None,
                  'tags': ','.join(spec.tags),
                  'userport': str(spec.vmport) if spec.vmport else None,
                  'hostkey': guest.host_key.fingerprint if guest.host_key else None,
                  'insecure': 'true' if spec.insecure else None, **spec.metadata}
        return {key: str(value) for key, value in values.items() if value}

    # delete and clone

    def _delete(self, name: str, snapshots: bool = False) -> Mapping[str, Any] | None:
        native = self.domain_of(name)
        taken = native.listAllSnapshots(0)
        if taken and not snapshots:
            raise Conflict(f'VM {name} has snapshots', hint='Delete them first, or with the VM: --force')
        if taken and self.owned(self.persistent(native))[1]:
            for snapshot in taken:
                snapshot.delete(0)  # a disk that outlives the VM is not to carry what nobody can reach any more
        kept = self.remove(native.UUIDString())
        return {'kept': kept} if kept else None

    @waits
    def _clone(self, old: str, new: str, full: bool = False, start: bool = False) -> Mapping[str, Any] | None:
        native = self.domain_of(old)
        self.refuse_existing(new)
        if native.isActive():
            raise Conflict(f'VM {old} is running', hint='Stop it first: its disks change while they would be copied')
        text = self.persistent_xml(native)
        view = domain.read(text)
        fresh, macs = str(uuids.uuid4()), [random_mac() for _ in view.nics]
        copies = list(self._copies(view, new))
        guest = self._reborn(view, new, macs) if view.seed_pool else None
        own = set(self.paths_of(view))
        journal = journals.begin((copy.pool, copy.name) for copy in copies)
        info = {key: value for key, value in view.info.items() if key not in ('ip', 'hostkey', FIELD)}
        info |= {'creationdate': domain.creation_date(datetime.now(timezone.utc))} if info else {}
        if guest and guest.host_key:
            info['hostkey'] = guest.host_key.fingerprint
        root = domain.clone(text, new, fresh, macs, {copy.source: copy.path for copy in copies}, info,
                            journal.to_element())
        with Undo().translating(self.translate) as undo:
            undo.add(f'VM {new}', lambda: self.remove(fresh))
            made = self.define(new, root)
            for copy in copies:
                if copy.seed and guest:
                    self.make_seed(self.pool(copy.pool), copy.name, guest.seed(macs, fresh))
                else:
                    # What lies below a snapshot goes with the VM that is copied, so a copy may not stand on it.
                    on_own = below(copy.original) in own
                    self.copy_volume(self.pool(copy.pool), copy.name, copy.original, full or on_own)
            if start:
                made.create()
            self.finish(made, journal)
        return {'id': fresh, 'name': new, **({'hostkey': guest.host_key.public} if guest and guest.host_key else {})}

    def _copies(self, view: Domain, new: str) -> Iterator[Copy]:
        """Yield a copy for each writable disk of a VM, and for its seed; what else it has, and shares, is shared."""
        for index, disk in enumerate(disk for disk in view.disks if disk.path or disk.volume):
            volume = self.volume_of(disk)
            stays = disk.readonly or disk.device != 'disk' or disk.shared
            if volume is None:
                if stays:
                    continue
                raise NotFound(f'disk {disk.target} of VM {view.name} is in no pool, so it can not be copied')
            pool = volume.storagePoolLookupByVolume()
            seed = volume.name().endswith('.iso') and view.seed_pool == pool.name()
            if stays and not seed:
                continue
            name = f'{new}.iso' if seed else f'{new}_{index}.img'
            if self.find_volume(name, pool.name(), refresh=False) is not None:
                raise AlreadyExists(f'volume {name} exists in pool {pool.name()}')
            source = disk.path or f'{disk.pool}/{disk.volume}'
            if not seed:
                self.format_of(pool, thin=False, clone=True)  # refused where none can be made
            yield Copy(pool.name(), name, self.whereabouts(pool, name).get('path', ''), source, volume, seed)

    @staticmethod
    def _reborn(view: Domain, new: str, macs: Sequence[str]) -> Guest:
        """Return what a clone's guest is told: its new name, network cards and host key. Its users stay as they are."""
        from kvirt.guest.guest import Guest
        spec = VmSpec(nokeys=True, nets=tuple(NetSpec(mac=mac) for mac in macs), insecure='insecure' in view.info,
                      vmuser=None, domain=view.info.get('domain'))
        return Guest.prepare(new, spec, basedir=Path('.'), variables={}, home=None, image=view.info.get('image'))
