"""Disks as volumes of a block storage. A provider says how volumes are read, made, attached, detached, grown and deleted.

A volume that is made for a VM bears its mark and goes with it. Whatever is made here also bears a request of its own, so
that a volume whose making failed half-way, or whose answer was lost, is found again and no other is taken for it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, ClassVar

import msgspec

from kvirt.base import waits
from kvirt.errors import AlreadyExists, Conflict, InvalidInput, NotFound, NotSupported
from kvirt.names import did_you_mean
from kvirt.providers.families import cloud, marks
from kvirt.providers.families.machines import Machine, Machines
from kvirt.shapes import DiskRow, DiskShape

REQUEST = 'request'
"""The field of a volume that tells by which request it was made, whichever VM it is for."""


class Volume(msgspec.Struct, frozen=True, kw_only=True):
    """A volume that is there. Its size is GiB."""

    id: str
    name: str
    """What it is called; its id where it bears no name."""

    size: int
    place: str
    """Where a VM must be to get it, in the words of :class:`Machine`."""

    path: str
    """Where the guest finds it, else what the platform calls it."""

    device: str = ''
    """What the VM that has it calls it; another name of it for users."""

    vms: Sequence[str] = ()
    """The ids of the VMs that have it, or are getting it, as in :class:`Machine`."""

    fields: Mapping[str, str] = {}
    """What ``make_volume`` was told to remember, as far as the volume still bears it."""

    pool: str | None = None
    root: bool = False
    """It is the disk that its VM boots from."""

    native: Any = None
    """The volume as the platform tells it."""


class NewVolume(msgspec.Struct, frozen=True, kw_only=True):
    """A volume to be made, of so many GiB. Its name may be empty where ``fresh_name`` returns that."""

    name: str
    size: int
    place: str
    fields: Mapping[str, str]
    pool: str | None = None
    image: str | None = None


class Volumes(Machines):
    """Volumes over seven primitives."""

    root_device: ClassVar[str | None] = None
    """The device of the root disk, where that is a part of the VM and no volume."""

    names_are_local: ClassVar[bool] = False
    """Volumes in different places may bear one name."""

    # primitives

    def read_volumes(self, name: str | None = None) -> Iterable[Volume]:
        """Return the volumes of the account, or of the client's location. With *name*, those of this name or id will do."""
        raise NotImplementedError

    def make_volume(self, wanted: NewVolume) -> Volume:
        """Make a volume; where a VM can't get it at once, wait. InvalidInput for a name; NotFound for an image."""
        raise NotImplementedError

    def drop_volume(self, volume: Volume) -> None:
        """Delete a volume that no VM has; wait for one that was detached a moment ago. One that is gone is fine."""
        raise NotImplementedError

    def attach_volume(self, volume: Volume, machine: Machine) -> Volume:
        """Give a volume to a VM, and return it as the VM has it: with its device."""
        raise NotImplementedError

    def detach_volume(self, volume: Volume) -> None:
        """Take a volume from the VM that has it. One that it has let go of meanwhile, as a VM that is deleted, is fine."""
        raise NotImplementedError

    def grow_volume(self, volume: Volume, size: int) -> None:
        """Make a volume larger."""
        raise NotImplementedError

    def keep_volume(self, volume: Volume) -> None:
        """Take from a volume what makes it go with a VM: its mark and maker."""
        raise NotImplementedError

    # what a platform may do in another way

    def in_sight(self, volume: Volume) -> bool:
        """Tell if a volume is in the client's location, where ``read_volumes`` returns others as well."""
        return self.is_seen(volume.place)

    def volume_place(self) -> str:
        """Return where a volume is made that is for no VM."""
        return self.made_in()

    def check_volume(self, size: int | None = None, pool: str | None = None, image: str | None = None) -> None:
        """Raise what forbids a volume, of what is known of it. InvalidInput; NotFound for a pool."""

    def fresh_name(self, machine: Machine) -> str:
        """Return a name for a further volume of a VM; empty where a volume needs none."""
        return next_name(machine.name, self._volume_names(machine.place))

    def make_disk(self, wanted: NewVolume, machine: Machine) -> Volume:
        """Make a volume for a VM, which goes with it; return it as the VM has it."""
        return self.attach_volume(self.make_volume(wanted), machine)

    def volumes_of(self, machine: Machine) -> list[Volume]:
        """Return the volumes of a VM in the order of its disks. Nothing is asked for a VM that is told to have none."""
        if machine.volumes is None:
            return [volume for volume in self.read_volumes() if machine.id in volume.vms]
        known = {volume.id: volume for volume in self.read_volumes()} if machine.volumes else {}
        return [known[each] for each in machine.volumes if each in known]

    def drop_volumes(self, volumes: Iterable[Volume]) -> None:
        """Delete *volumes* that no VM has."""
        for volume in volumes:
            self.drop_volume(volume)

    # hooks

    @waits
    def _create_disk(self, name: str, size: int, pool: str | None = None, thin: bool = True,
                     image: str | None = None) -> Mapping[str, Any] | None:
        self.check_volume(size, pool, image)
        place, request = self.volume_place(), marks.new_request()
        self._need_volume_name(name, place)
        with self.undo() as undo:
            undo.add(f'volume {name}', lambda: self.unmake_volumes(REQUEST, request))
            volume = self.make_volume(NewVolume(name=name, size=size, place=place, pool=pool, image=image,
                                                fields={REQUEST: request}))
        return {'path': volume.path}

    @waits
    def _add_disk(self, name: str, size: int, pool: str | None, thin: bool, image: str | None, shareable: bool,
                  existing: str | None, interface: str, overrides: Mapping[str, Any]) -> Mapping[str, Any] | None:
        cloud.check_settings('a further disk', overrides, ('diskname',))
        if shareable:
            raise InvalidInput('shareable can not be honoured: a volume is a disk of one VM')
        if existing:
            machine = self.machine(name)
            volume = self.attach_volume(self.free_volume(existing, machine.place), machine)
        else:
            self.check_volume(size, pool, image)
            volume = self._made_disk(self.machine(name), size, pool, image, overrides.get('diskname'))
        return {'device': volume.device, 'path': volume.path}

    def _made_disk(self, machine: Machine, size: int, pool: str | None, image: str | None, name: str | None) -> Volume:
        if name:
            self._need_volume_name(name, machine.place)
        name, request = name or self.fresh_name(machine), marks.new_request()
        with self.undo() as undo:
            undo.add(f'volume {name} of VM {machine.name}', lambda: self.unmake_volumes(REQUEST, request))
            return self.make_disk(NewVolume(name=name, size=size, place=machine.place, pool=pool, image=image,
                                            fields={marks.MARK: machine.mark, REQUEST: request}), machine)

    @waits
    def _delete_disk(self, name: str | None, diskname: str, pool: str | None = None) -> None:
        self.check_volume(pool=pool)
        if name is None:
            volume = self.free_volume(diskname)
        else:
            volume = self._disk_of(self.machine(name), diskname)
            if volume.root:
                raise Conflict(f'disk {diskname} is the root disk of VM {name}', hint='It goes with the VM')
            self.detach_volume(volume)
        self.drop_volumes([volume])

    @waits
    def _detach_disks(self, name: str) -> Mapping[str, Any] | None:
        volumes = [volume for volume in self.volumes_of(self.machine(name)) if not volume.root]
        for volume in volumes:
            self.detach_volume(volume)
            self.keep_volume(volume)  # so that it stays when the VM goes
        return {'disks': [volume.path for volume in volumes]}

    @waits
    def _resize_disk(self, name: str, diskname: str, size: int) -> None:
        volume = self._disk_of(self.machine(name), diskname)
        if size < volume.size:
            raise InvalidInput(f'disk {diskname} of VM {name} has {volume.size} GiB and can not be made smaller')
        if size > volume.size:
            self.grow_volume(volume, size)

    def _list_disks(self) -> dict[str, DiskRow]:
        volumes = sorted(filter(self.in_sight, self.read_volumes()), key=lambda volume: (volume.name, volume.id))
        names = self._users_of_volumes(volumes)
        rows: dict[str, DiskRow] = {}
        for volume in volumes:  # a VM that is unknown is gone, and its volumes will be let go of in a moment
            row: DiskRow = {'path': volume.path, 'size': volume.size,
                            'vms': [names[each] for each in volume.vms if each in names]}
            rows[volume.id if volume.name in rows else volume.name] = {**row, 'pool': volume.pool} if volume.pool else row
        return dict(sorted(rows.items()))

    # for the areas beside this one

    def free_volume(self, name: str, place: str | None = None) -> Volume:
        """Return the volume of this name or id for a VM at *place*. NotFound; Conflict when a VM has it, or elsewhere."""
        found = list(self.read_volumes(name))
        here = [volume for volume in found if volume.place == place and name in (volume.name, volume.id)]
        volume = cloud.find('volume', name, here or found or self.read_volumes(), lambda each: each.name,
                            lambda each: each.id)
        self.need_unused(volume, place)
        return volume

    def need_unused(self, volume: Volume, place: str | None = None) -> None:
        """Raise Conflict when a VM has *volume*, naming it, or when it is not at *place*, where a VM wants it."""
        if volume.vms:
            names = self._users_of_volumes([volume])
            raise Conflict(f"volume {volume.name} is a disk of {', '.join(names.get(each, each) for each in volume.vms)}",
                           hint='Detach it first')
        if place not in (None, volume.place):
            raise Conflict(f'volume {volume.name} is in {volume.place}, and the VM in {place}')

    def make_volumes(self, new: Mapping[str, int], place: str, request: str) -> list[Volume]:
        """Make volumes of these sizes, by name, for the VM that *request* is making."""
        fields = marks.making(request)
        return [self.make_volume(NewVolume(name=name, size=size, place=place, fields=fields)) for name, size in new.items()]

    def unmake_volumes(self, field: str, value: str) -> None:
        """Delete the volumes that bear *value* in *field*; one that a VM has got already is taken from it."""
        found = [volume for volume in self.read_volumes() if volume.fields.get(field) == value]
        for volume in found:
            if volume.vms:
                self.detach_volume(volume)
        self.drop_volumes(found)

    def disks_of(self, machine: Machine) -> list[DiskShape]:
        """Return the disks of a VM as ``info`` shows them: the root one first, and volumes."""
        disks: list[DiskShape] = []
        if machine.disk is not None:
            disks.append({'device': self.root_device or '', 'size': machine.disk, 'format': 'raw', 'type': 'local',
                          'path': f'/dev/{self.root_device}'})
        for volume in self.volumes_of(machine):
            disks.append({'device': volume.device, 'size': volume.size, 'format': 'raw', 'type': volume.pool or 'volume',
                          'path': volume.path})
        return disks

    def _disk_of(self, machine: Machine, disk: str) -> Volume:
        """Return a volume of a VM by device, name, path or id. NotFound; NotSupported for a root disk that is no volume."""
        if self.root_device and disk.removeprefix('/dev/') == self.root_device:
            raise NotSupported(f'the root disk of VM {machine.name} is of its flavor, and stays with it',
                               hint='Change the flavor instead')
        known = self.volumes_of(machine)
        for volume in known:
            if disk in (volume.device, volume.device.removeprefix('/dev/'), volume.name, volume.path, volume.id):
                return volume
        words = [word for volume in known for word in (volume.device, volume.name)]
        raise NotFound(f'VM {machine.name} has no disk {disk}{did_you_mean(disk, words)}')

    def _users_of_volumes(self, volumes: Iterable[Volume]) -> Mapping[str, str]:
        ids = {each for volume in volumes for each in volume.vms}
        return self.vm_names(ids) if ids else {}

    def _volume_names(self, place: str, name: str | None = None) -> set[str]:
        """Return the names that a new volume at *place* can not have; of *name* alone when it is given."""
        return {volume.name for volume in self.read_volumes(name) if volume.place == place or not self.names_are_local}

    def _need_volume_name(self, name: str, place: str) -> None:
        if name in self._volume_names(place, name):
            raise AlreadyExists(f'volume {name} exists')


def next_name(vm: str, taken: Iterable[str]) -> str:
    """Return the next name of the form web-1 that no volume bears: small letters, digits and dashes, up to 63."""
    known = set(taken)
    stem = re.sub('[^a-z0-9-]', '-', vm.lower())[:58]
    stem = stem if stem[0].isalpha() else f'v{stem}'
    return next(name for name in (f'{stem}-{number}' for number in range(1, len(known) + 2)) if name not in known)
