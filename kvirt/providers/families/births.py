"""Making and removing VMs on clouds, all or nothing, and what was left behind.

Everything is looked up first. What VMs share is ensured, volumes that a VM alone has are made with the mark of its request,
and the VM comes last, in one call that carries its marks and all that it has. So what bears the mark of a request undoes a
create whose answer was lost, and what bears a mark and the maker that is gone, without a VM, was left behind.
"""

from __future__ import annotations

import time
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any, ClassVar

import msgspec

from kvirt.base import waits
from kvirt.errors import AlreadyExists, Conflict, InvalidInput, NotFound
from kvirt.guest.guest import Guest
from kvirt.providers.families import cloud, marks
from kvirt.providers.families.blocks import Blocks
from kvirt.providers.families.dns import CloudDns
from kvirt.providers.families.groups import Group, SharedGroups
from kvirt.providers.families.images import CloudImages
from kvirt.providers.families.keys import Key, SharedKeys
from kvirt.providers.families.machines import Machine
from kvirt.providers.families.snapshots import Snapshots
from kvirt.providers.families.volumes import Volume, Volumes
from kvirt.shapes import Flavor, Orphan
from kvirt.spec import VmSpec

GROUP = 'security group'
"""The kind of a group among what was left behind."""

_NO_VM = 'a VM that is not there'


class Draft(msgspec.Struct, frozen=True, kw_only=True):
    """A VM to be made, as it was looked up. Nothing of it is made yet."""

    name: str
    spec: VmSpec
    guest: Guest
    request: str
    flavor: Flavor
    image: Any
    """What ``find_image`` returned."""

    place: str
    """Where it will be, in the words of :class:`Machine`."""

    fields: Mapping[str, str]
    """What is to be remembered on it, the mark of its request included."""

    user_data: str | None
    """What its guest is told, None for nothing."""

    groups: Sequence[Group]
    """The security groups that it names; that of its rules comes on top."""

    volumes: Sequence[Volume]
    """Volumes that are there and that it gets."""

    new_volumes: Mapping[str, int]
    """The sizes in GiB of the volumes that are made for it, by name."""

    needs: Any = None
    """What ``needs_of`` returned."""


class Left(msgspec.Struct, frozen=True, kw_only=True):
    """Something that a process was making, or had made for a VM, before it went away without having finished."""

    kind: str
    name: str
    detail: str
    native: Any
    """The :class:`Machine`, Volume, Group or Key; or what else ``drop_left`` of a platform knows how to remove."""


class CloudDelete(Volumes, Snapshots, CloudDns):
    """The deletion of VMs, over a primitive of its own."""

    def drop_vm(self, machine: Machine) -> None:
        """Delete a VM, as soon as the platform lets it go. One that is gone is fine."""
        raise NotImplementedError

    def need_deletable(self, machine: Machine) -> None:
        """Raise Conflict when a VM is protected from being deleted."""

    def forget_vm(self, machine: Machine) -> None:
        """Remove what a VM that was deleted shared with others, where none needs it any more."""

    def its_volumes(self, machine: Machine) -> tuple[list[Volume], list[str]]:
        """Return the volumes that have to be deleted with a VM, and what those that stay are called."""
        attached = self.volumes_of(machine)
        ours = [volume for volume in attached if volume.fields.get(marks.MARK) == machine.mark]
        return ours, [volume.name for volume in attached if volume not in ours]

    @waits
    def _delete(self, name: str, snapshots: bool = False) -> Mapping[str, Any] | None:
        machine = self.machine(name)
        taken = self.read_snapshots(machine)
        if taken and not snapshots:
            raise Conflict(f'VM {name} has snapshots', hint='Delete them first, or with the VM: --force')
        self.need_deletable(machine)
        ours, kept = self.its_volumes(machine)
        # What belongs to it goes first: were it left when the VM is gone, nobody would know what it was for.
        self.forget_records(machine.fields)
        for snapshot in taken:
            self.drop_snapshot(snapshot)
        self.drop_vm(machine)
        self.drop_volumes(ours)
        self.forget_vm(machine)
        return {'kept': kept} if kept else None


class Births(SharedGroups, SharedKeys, CloudDelete, CloudImages):
    """Creation, over three further primitives; and what was left behind."""

    platform: ClassVar[str]
    user_data_limit: ClassVar[int]
    """The bytes that a guest can be told."""

    refused: ClassVar[Mapping[str, str]]
    """Keywords that the platform has no notion of, with the reason."""

    whole_at_birth: ClassVar[bool] = True
    """One call makes a VM complete; else the VM bears its maker until the last step is done."""

    # primitives

    def check_spec(self, spec: VmSpec) -> None:
        """Raise InvalidInput for what the platform can not honour. Nothing is asked."""

    def planned(self, vm: str, spec: VmSpec, flavor: Flavor, place: str) -> tuple[list[Volume], dict[str, int]]:
        """Return the volumes that are there, and the sizes of those to be made, by name, for the disks of *spec*."""
        raise NotImplementedError

    def birth_place(self, flavor: Flavor) -> str:
        """Return where a VM of this flavor is made, in the words of :class:`Machine`."""
        return flavor.location or self.made_in()

    def needs_of(self, draft: Draft) -> Any:
        """Look up what else a VM needs, its networks for one; raise what forbids it. Nothing is made yet."""
        return None

    def make_vm(self, draft: Draft, volumes: Sequence[Volume]) -> Machine:
        """Make a VM with *volumes*, its keys and groups (see ``shared_keys``, ``shared_group``), in one call.

        It bears the fields of *draft* from birth.
        """
        raise NotImplementedError

    def was_reaped(self, error: Exception) -> bool:
        """Tell if an error of ``make_vm`` may come from a key or group that was removed, as unused, a moment ago."""
        return False

    def complete_vm(self, draft: Draft, machine: Machine) -> None:
        """Do what could not be said in that call. AlreadyExists when another VM has got the name in the meantime."""

    def marked(self, request: str | None = None) -> Iterable[Machine]:
        """Return the VMs in all locations that bear the mark of a request: of this one, or of any."""
        raise NotImplementedError

    # what a platform may do in another way

    def chosen_flavor(self, spec: VmSpec) -> Flavor | None:
        """Return the flavor of a VM that is to be made, which is known to be there; prices do not matter any more."""
        return self.flavor_for(spec)

    def named_groups(self, names: Sequence[str]) -> Sequence[Group]:
        """Return the groups that a VM names. NotFound, Conflict."""
        known = list(self.groups()) if names else []
        return [self.group(name, known) for name in names]

    def forget_birth(self, draft: Draft) -> None:
        """Remove what a VM that was not made would have shared, where nobody needs it."""
        self.reap_groups()
        self.reap_keys()

    def forget_vm(self, machine: Machine) -> None:
        if marks.MARK in machine.fields:
            self.reap_groups()
            self.reap_keys()

    def has_vms(self, but: Collection[str] = ()) -> bool:
        return any(machine.id not in but for machine in self.marked())

    # hooks

    @waits
    def _create(self, name: str, spec: VmSpec, guest: Guest) -> Mapping[str, Any] | None:
        draft = self._drafted(name, spec, guest)
        with self.undo() as undo:
            undo.add(f'what VM {name} shares with others', lambda: self.forget_birth(draft))
            if draft.new_volumes:
                undo.add(f'volumes of VM {name}', lambda: self.unmake_volumes(marks.MARK, draft.request))
            new = self.make_volumes(draft.new_volumes, draft.place, draft.request)
            undo.add(f'VM {name}', lambda: self._unmake(draft.request))
            machine = self._made_vm(draft, [*draft.volumes, *new])
            self.complete_vm(draft, machine)
        return {'id': machine.id}

    def _made_vm(self, draft: Draft, volumes: Sequence[Volume]) -> Machine:
        try:
            return self.make_vm(draft, volumes)
        except Exception as error:
            if not self.was_reaped(error):
                raise
        return self.make_vm(draft, volumes)

    def _drafted(self, name: str, spec: VmSpec, guest: Guest) -> Draft:
        """Look up all that a VM needs. Raises what forbids it; nothing is made."""
        self.check_machine_name(name)
        cloud.refuse(spec, self.refused, self.platform)
        self.check_spec(spec)
        if spec.image is None:
            raise InvalidInput(f'a VM of {self.platform} needs an image', hint="'kvirt list image' shows what is there")
        user_data = cloud.check_user_data(guest.user_data(), self.user_data_limit, self.platform) if guest.kind else None
        fields = marks.fields_of(spec, guest)
        if self.machine_exists(name):
            raise AlreadyExists(f'VM {name} exists')
        flavor = self.chosen_flavor(spec)
        if flavor is None:
            raise NotFound(f'{self.platform} sells no flavors here', hint="'kvirt list location' shows where it does")
        place, request = self.birth_place(flavor), marks.new_request()
        volumes, new_volumes = self.planned(name, spec, flavor, place)
        draft = Draft(name=name, spec=spec, guest=guest, request=request, flavor=flavor, place=place, user_data=user_data,
                      image=self.find_image(spec.image, flavor.arch), fields={marks.MARK: request, **fields},
                      groups=self.named_groups(spec.securitygroups), volumes=volumes, new_volumes=new_volumes)
        return msgspec.structs.replace(draft, needs=self.needs_of(draft))

    def _unmake(self, request: str) -> None:
        for machine in list(self.marked(request)):
            self.drop_vm(machine)

    # what was left behind

    def _list_orphans(self) -> list[Orphan]:
        return [_orphan(left) for left in self._left_behind()]

    @waits
    def _delete_orphans(self) -> Mapping[str, Any] | None:
        deleted: list[Orphan] = []
        for left in self._left_behind():
            try:
                self.drop_left(left)
            except NotFound:
                pass  # it went with another
            except Conflict:
                if left.kind != GROUP:
                    raise
                continue  # it is held until its VM is gone, and listed until then
            deleted.append(_orphan(left))
        return {'deleted': deleted}

    def _left_behind(self) -> list[Left]:
        """Return what was left behind, in the order in which it can be deleted."""
        volumes = [volume for volume in self.read_volumes() if self.in_sight(volume) and unfinished(volume.fields)]
        known = list(self.marked()) if volumes or not self.whole_at_birth else []
        vms = {machine.id: machine for machine in known if unfinished(machine.fields)}
        owners = {machine.mark for machine in known if machine.id not in vms}
        lost = [volume for volume in volumes
                if volume.fields.get(marks.MARK) not in owners and vms.keys() >= {*volume.vms}]
        return [*(Left(kind='vm', name=vm.name, detail='was never finished', native=vm) for vm in vms.values()),
                *(Left(kind='disk', name=volume.name, detail=f'made for {_NO_VM}', native=volume) for volume in lost),
                *self.left_shared(vms.keys())]

    def left_shared(self, but_by: Collection[str]) -> list[Left]:
        """Return what VMs shared that are gone, or that never came; *but_by* those with these ids."""
        found: list[tuple[str, Group | Key]] = [('key', key) for key in self.unused_keys(but_by)]
        found += [(GROUP, group) for group in self.unused_groups(but_by)]
        return [Left(kind=kind, name=thing.name, detail=f'made for {_NO_VM}', native=thing)
                for kind, thing in found if unfinished(thing.fields)]

    def drop_left(self, left: Left) -> None:
        """Remove what was left behind. NotFound when it is gone."""
        if left.kind == 'vm':
            self.drop_vm(left.native)
        elif left.kind == 'disk':
            self.drop_volumes([left.native])
        else:  # which a VM that was deleted a moment ago may still hold
            drop = self.drop_key if left.kind == 'key' else self.drop_group
            self.insist(lambda: drop(left.native), f'deleting {left.kind} {left.name}')


class CloudCreate(Blocks, Births):
    """Creation where further disks are plain volumes."""


def unfinished(fields: Mapping[str, str]) -> bool:
    """Tell if a thing with these fields was being made by a process that is gone, or for a VM that it was making."""
    return marks.MAKER in fields and marks.abandoned(fields[marks.MAKER], time.time())


def _orphan(left: Left) -> Orphan:
    return {'kind': left.kind, 'name': left.name, 'detail': left.detail}
