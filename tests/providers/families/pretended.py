"""A platform in memory, as small as the families allow."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping

import msgspec

from kvirt.errors import AlreadyExists, Conflict, NotFound
from kvirt.providers.families import marks
from kvirt.providers.families.blocks import Blocks
from kvirt.providers.families.floating import Address, Floating
from kvirt.providers.families.machines import Machine
from kvirt.providers.families.volumes import NewVolume, Volume
from kvirt.testing.sweep import Haste


class Memory(Blocks, Floating):
    """VMs, volumes and addresses, by id."""

    root_device = 'vda'

    def __init__(self) -> None:
        self.clock = Haste()
        self.vms = {'1': Machine(id='1', name='web', place='here', fields={'kvirt': 'r1'}),
                    '2': Machine(id='2', name='db', place='there')}
        self.disks: dict[str, Volume] = {}
        self.ips: dict[str, Address] = {}
        self.asked: list[str] = []
        self.answers: list[Exception | None] = []
        """What the next calls fail with after they were served; None for those that succeed."""

    def served(self, what: str) -> None:
        self.asked.append(what)
        error = self.answers.pop(0) if self.answers else None
        if error:
            raise error

    def machine(self, name: str) -> Machine:
        for known in self.vms.values():
            if name in (known.name, known.id):
                return known
        raise NotFound(f'VM {name} does not exist')

    def vm_names(self, ids: Collection[str]) -> Mapping[str, str]:
        return {vm.id: vm.name for vm in self.vms.values()}

    # volumes

    def read_volumes(self, name: str | None = None) -> Iterable[Volume]:
        self.asked.append('volumes')
        return list(self.disks.values())

    def volume_place(self) -> str:
        return 'here'

    def make_volume(self, wanted: NewVolume) -> Volume:
        if any((wanted.name, wanted.place) == (volume.name, volume.place) for volume in self.disks.values()):
            raise AlreadyExists('the name is taken')
        native = f'd{len(self.disks) + 1}'
        made = Volume(id=native, name=wanted.name, size=wanted.size, place=wanted.place, path=f'/dev/{wanted.name}',
                      device=f'disk-{native}', fields=wanted.fields)
        self.disks[native] = made
        self.served('make')
        return made

    def drop_volume(self, volume: Volume) -> None:
        if self.disks[volume.id].vms:
            raise Conflict('it is attached')
        del self.disks[volume.id]

    def attach_volume(self, volume: Volume, machine: Machine) -> Volume:
        self.disks[volume.id] = msgspec.structs.replace(volume, vms=[machine.id])
        self.served('attach')
        return self.disks[volume.id]

    def detach_volume(self, volume: Volume) -> None:
        self.disks[volume.id] = msgspec.structs.replace(volume, vms=[])
        self.served('detach')

    def grow_volume(self, volume: Volume, size: int) -> None:
        self.disks[volume.id] = msgspec.structs.replace(volume, size=size)
        self.served('grow')

    def keep_volume(self, volume: Volume) -> None:
        now = self.disks[volume.id]
        kept = {key: text for key, text in now.fields.items() if key not in (marks.MARK, marks.MAKER)}
        self.disks[volume.id] = msgspec.structs.replace(now, fields=kept)

    # addresses

    def addresses(self) -> Iterable[Address]:
        self.asked.append('addresses')
        return list(self.ips.values())

    def reserve_address(self, name: str, request: str) -> Address:
        native = f'a{len(self.ips) + 1}'
        self.ips[native] = Address(id=native, name=name, ip=f'192.0.2.{len(self.ips) + 1}', request=request)
        self.served('reserve')
        return self.ips[native]

    def release_address(self, address: Address) -> None:
        if self.ips[address.id].vm_id:
            raise Conflict('it is assigned')
        del self.ips[address.id]

    def assign_address(self, address: Address, machine: Machine) -> None:
        self.ips[address.id] = msgspec.structs.replace(address, vm_id=machine.id)
        self.served('assign')

    def unassign_address(self, address: Address) -> None:
        self.ips[address.id] = msgspec.structs.replace(address, vm_id=None)
        self.served('unassign')
