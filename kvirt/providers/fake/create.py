"""Making and removing VMs, all or nothing.

The steps of :data:`kvirt.providers.fake.faults.STEPS` are transactions of their own, as the calls to a real platform are,
so that a process can die between any two. The first one writes down who is making the VM, and all that later ones make
bears its id. So "remove the VM and what bears its mark" leaves nothing behind; rollback, delete and ``delete orphans``
are this one function.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from kvirt.base import serves
from kvirt.base.flavors import CHEAPEST
from kvirt.errors import AlreadyExists, Conflict, InvalidInput, NotFound, OutOfCapacity
from kvirt.guest.guest import Guest
from kvirt.guest.keys import public_keys
from kvirt.names import did_you_mean
from kvirt.providers.fake import addresses, dns, mapping
from kvirt.providers.fake.account import Account
from kvirt.providers.fake.catalogue import FLAVORS, PLACEMENTS, ZONES
from kvirt.providers.fake.images import checked_iso
from kvirt.providers.fake.records import Balancer, Disk, FloatingIp, Group, Image, Seed, Vm, Volume
from kvirt.providers.fake.securitygroups import group_for, group_of, reap
from kvirt.providers.fake.snapshots import names_of
from kvirt.providers.fake.storage import add_volume, free_volume, planned_volume, users_of
from kvirt.providers.fake.world import Transaction
from kvirt.providers.families.makers import me
from kvirt.shapes import Flavor, Orphan, Rule
from kvirt.spec import HARDWARE, DiskSpec, NetSpec, VmSpec
from kvirt.undo import Undo
from kvirt.wait import CANCEL

_DEFAULTS = VmSpec()
_NOT_SHOWN = frozenset({'uuid', 'vncpassword'})


@dataclass(frozen=True)
class Draft:
    """A VM to be made: what is known of it before its steps are taken."""

    vm: Vm
    volumes: Sequence[Volume]
    cards: Sequence[NetSpec]
    user_data: str | None
    start: bool
    rules: Sequence[Rule] = ()


class Create(Account):
    """Create, clone, delete, and what was left behind."""

    @serves('create')
    def _create_decoded(self, name: str, keywords: dict[str, Any]) -> Mapping[str, Any]:
        # Nobody logs in to a pretended guest, so it can be made on a machine that has no ssh key.
        if not keywords.get('keys') and not _has_key(keywords.get('home')):
            keywords = {**keywords, 'nokeys': True}
        return super()._create_decoded(name, keywords)

    def _create(self, name: str, spec: VmSpec, guest: Guest) -> Mapping[str, Any] | None:
        flavor = self.flavor_for(spec)
        fields = _fields(spec, guest)
        user_data = guest.user_data() if guest.kind else None
        return self._make(name, spec.uuid, lambda world, vm: self._drafted(world, vm, spec, flavor, fields, user_data))

    def _drafted(self, world: Transaction, vm: Vm, spec: VmSpec, flavor: Flavor | None, fields: dict[str, str],
                 user_data: str | None) -> Draft:
        vm.numcpus, vm.memory = (flavor.numcpus, flavor.memory) if flavor else (spec.numcpus, spec.memory)
        vm.flavor = flavor.name if flavor else ''
        vm.fields, vm.autostart, vm.displaypassword = fields, spec.autostart, spec.vncpassword
        vm.iso = checked_iso(world, spec.iso) if spec.iso else None
        vm.spot, vm.publicip, vm.placement = spec.spot, spec.publicip, _placement(spec)
        vm.sublocation = self._zone(spec)
        vm.groups = [world.need(Group, name, "'kvirt list security-group' shows what is there").name
                     for name in dict.fromkeys(spec.securitygroups)]
        vm.hardware = {key: msgspec.to_builtins(getattr(spec, key)) for key in sorted(HARDWARE - _NOT_SHOWN)
                       if getattr(spec, key) != getattr(_DEFAULTS, key)}
        volumes = list(self._planned_disks(world, vm, spec, flavor))
        for net in spec.nets:
            addresses.segment_of(world, net.name)
        return Draft(vm, volumes, spec.cards(), user_data, spec.start, spec.ports)

    def _zone(self, spec: VmSpec) -> str:
        """Return the zone that a VM goes to: the one asked for, else the first. NotFound."""
        zones = [f'{self.here()}-{zone}' for zone in ZONES]
        if spec.sublocation not in (None, *zones):
            raise NotFound(f"sublocation '{spec.sublocation}' does not exist{did_you_mean(str(spec.sublocation), zones)}",
                           hint=f"{self.here()} has {', '.join(zones)}")
        return spec.sublocation or zones[0]

    def _planned_disks(self, world: Transaction, vm: Vm, spec: VmSpec, flavor: Flavor | None) -> Iterator[Volume]:
        """Give *vm* its disks, and yield the volumes that are to be made for them."""
        for index, disk in enumerate(spec.disks or ((DiskSpec(),) if spec.image else ())):
            name = disk.volume or f'{vm.name}_{index}.img'
            if disk.volume and name in [other.volume for other in vm.disks]:
                raise InvalidInput(f'disk {name} is there twice')
            there = world.get(Volume, f'{vm.location}/{name}') if disk.volume else None
            if there is not None or disk.existing:
                share = bool(disk.shareable or (there and there.shareable))
                there = free_volume(world, vm.location, name, disk.pool, share=share)
                if disk.shareable and not there.shareable:
                    there.shareable = True
                    world.put(there)
            else:
                image = disk.image or (spec.image if index == 0 else None)
                thin = spec.diskthin if disk.thin is None else disk.thin
                yield msgspec.structs.replace(
                    planned_volume(world, vm.location, name, _size(world, disk, spec, image, flavor),
                                   disk.pool or spec.pool, thin, image), owner=vm.id,
                    shareable=bool(disk.shareable))
            bus = disk.interface or spec.diskinterface
            vm.disks = [*vm.disks, Disk(device=mapping.next_device(bus, vm.disks), volume=name, bus=bus,
                                        serial=disk.serial, wwn=disk.wwn)]

    def flavor_for(self, spec: VmSpec) -> Flavor | None:
        """Return the flavor that is asked for, by name or by what only a flavor has; else None: any size can be had."""
        if spec.flavor not in (None, CHEAPEST):
            flavor = self.flavor(str(spec.flavor))
            if spec.spot and not flavor.preemptible:
                raise InvalidInput(f'flavor {flavor.name} is not sold as spare capacity')
            return flavor
        return super().flavor_for(spec) if spec.flavor or spec.gpus or spec.spot else None

    def flavor(self, name: str) -> Flavor:
        """Return flavor *name*. NotFound suggests the likely one, or says where it is sold."""
        flavor = FLAVORS.get(name)
        if flavor is None:
            raise NotFound(f"flavor '{name}' does not exist{did_you_mean(name, FLAVORS)}",
                           hint="'kvirt list flavor' shows them all")
        if flavor.location not in (None, self.here()):
            raise NotFound(f"flavor '{name}' is sold in {flavor.location}, and not in {self.here()}")
        return flavor

    # steps

    def _make(self, name: str, wanted_id: str | None, draft: Callable[[Transaction, Vm], Draft]) -> dict[str, Any]:
        """Take all steps that make VM *name*, or none. *draft* is told the bare VM, in the step that reserves it."""
        with self.conn.change() as world:
            number = world.number('vm')
        now = self.time()
        vm = Vm(name=name, id=wanted_id or self.stable_id('vm', number), location=self.here(), request=number, numcpus=1,
                memory=1, created=now, maker=me(now))
        with Undo().translating(self.translate) as undo:
            undo.add(f'VM {name}', lambda: self._unmake(vm))
            with self._step('reserve') as world:
                self._refuse(world, name)
                plan = draft(world, vm)
                world.add(vm)
            with self._step('disks', vm) as world:
                for volume in plan.volumes:
                    add_volume(world, volume)
                if plan.user_data is not None:
                    world.add(Seed(name=name, owner=vm.id, user_data=plan.user_data))
            with self._step('nics', vm) as world:
                for net in plan.cards:
                    addresses.connect(world, vm, net, self.seed)
                world.put(vm)
            with self._step('securitygroup', vm) as world:
                ssh = group_for(world, int(vm.fields.get('userport', 22)))
                vm.groups = list(dict.fromkeys([ssh, *([group_of(world, plan.rules)] if plan.rules else []), *vm.groups]))
                world.put(vm)
            with self._step('dns', vm) as world:
                domain = vm.fields.get('domain')
                if domain in dns.zones(world) and vm.ip:
                    dns.record(world, domain, [name], vm.ip, owner=vm.id)
            with self._step('finish', vm) as world:
                vm.maker = None
                if plan.start:
                    vm.power, vm.settles = 'on', self.time() + self.boot_seconds
                world.put(vm)
            self.faults.at_step('answer')
        return {'id': vm.id}

    @contextmanager
    def _step(self, name: str, vm: Vm | None = None) -> Iterator[Transaction]:
        CANCEL.check()
        self.faults.at_step(name)
        with self.conn.change() as world:
            if vm is not None and world.get(Vm, vm.id) is None:
                raise Conflict(f'VM {vm.name} was deleted while it was being made')
            yield world

    def _refuse(self, world: Transaction, name: str) -> None:
        """Raise what forbids a VM of this *name*: another one, the quota, or a lack of room."""
        if any(vm.location == self.here() for vm in world.named(Vm, name)):
            raise AlreadyExists(f'VM {name} exists')
        self.within_quota(world, 'vms', Vm)
        if 'capacity' in self.faults:
            raise OutOfCapacity(f'there is no room for VM {name} in {self.here()} now')

    def _unmake(self, vm: Vm) -> None:
        with self.conn.change() as world:
            there = world.get(Vm, vm.id)
            if there is not None and there.request == vm.request:  # else another VM has the id that was wished for
                remove(world, there)

    # clone, delete

    def _clone(self, old: str, new: str, full: bool = False, start: bool = False) -> Mapping[str, Any] | None:
        with self.conn.read() as world:
            source = self.stopped(world, old)
            seeded = world.get(Seed, source.id) is not None
        # What a clone's guest is told: its new name and host key. Its users stay as they are.
        guest = Guest.prepare(new, VmSpec(nokeys=True, insecure='insecure' in source.fields,
                                          domain=source.fields.get('domain')),
                              basedir=Path('.'), variables={}, home=None,
                              image=self.image_behind(source.fields.get('image'))) if seeded else None
        key = guest.host_key if guest else None
        made = self._make(new, None, lambda world, vm: self._copied(world, vm, self.stopped(world, source.id), guest, full,
                                                                    start))
        return {'name': new, **made, **({'hostkey': key.public} if key else {})}

    def _copied(self, world: Transaction, vm: Vm, source: Vm, guest: Guest | None, full: bool, start: bool) -> Draft:
        vm.fields = {key: value for key, value in source.fields.items() if key != 'hostkey'}
        if guest and guest.host_key:
            vm.fields['hostkey'] = guest.host_key.fingerprint
        for field in ('numcpus', 'memory', 'flavor', 'iso', 'autostart', 'hardware', 'displaypassword', 'groups',
                      'sublocation', 'placement', 'spot', 'publicip'):
            setattr(vm, field, getattr(source, field))
        volumes = []
        for index, disk in enumerate(source.disks):
            original = world.need(Volume, f'{source.location}/{disk.volume}')
            copy = msgspec.structs.replace(disk, volume=f'{vm.name}_{index}.img')
            vm.disks = [*vm.disks, copy]
            volumes.append(msgspec.structs.replace(original, name=copy.volume, owner=vm.id, location=vm.location,
                                                   shareable=False, image=None if full else original.image))
        cards = [NetSpec(name=nic.net, type=nic.type) for nic in source.nics]
        return Draft(vm, volumes, cards, guest.user_data() if guest else None, start)

    def _delete(self, name: str, snapshots: bool = False) -> Mapping[str, Any] | None:
        with self.conn.change() as world:
            vm = self.get(world, name)
            if vm.maker is not None and not vm.maker.gone(self.time()):
                raise Conflict(f'VM {name} is still being made')
            if not snapshots and names_of(world, vm):
                raise Conflict(f'VM {name} has snapshots', hint='Delete them first, or with the VM: --force')
            kept = remove(world, vm)
        return {'kept': kept} if kept else None

    # what was left behind

    def _list_orphans(self) -> list[Orphan]:
        with self.conn.read() as world:
            return [_orphan(vm) for vm in self._abandoned(world)]

    def _delete_orphans(self) -> Mapping[str, Any] | None:
        with self.conn.change() as world:
            orphans = self._abandoned(world)
            for vm in orphans:
                remove(world, vm)
        return {'deleted': [_orphan(vm) for vm in orphans]}

    def _abandoned(self, world: Transaction) -> list[Vm]:
        return [vm for vm in self.seen(world) if vm.maker is not None and vm.maker.gone(self.time())]


def remove(world: Transaction, vm: Vm) -> list[str]:
    """Remove *vm* and all that was made for it; return the names of disks that were not, and stay."""
    kept = []
    for disk in vm.disks:
        volume = world.get(Volume, f'{vm.location}/{disk.volume}')
        if volume is None:
            continue  # it was to be made in a step that was not taken
        if volume.owner == vm.id and volume.shareable and users_of(world, volume) != [vm.name]:
            volume.owner = ''
            world.put(volume)
        if volume.owner != vm.id:
            kept.append(volume.name)
    for floating in world.all(FloatingIp):
        if floating.vm == vm.id:
            floating.vm = None
            world.put(floating)
    for balancer in world.all(Balancer):
        if vm.id in balancer.vms:
            balancer.vms.remove(vm.id)
            world.put(balancer)
    world.drop_of(vm.id)
    world.drop(vm)
    reap(world, vm.groups)
    return kept


def _has_key(home: str | Path | None) -> bool:
    try:
        return bool(public_keys(_DEFAULTS, home=Path(home) if home else None))
    except InvalidInput:
        return False


def _placement(spec: VmSpec) -> str | None:
    if spec.placement not in (None, *PLACEMENTS):
        raise NotFound(f"placement '{spec.placement}' does not exist{did_you_mean(str(spec.placement), PLACEMENTS)}",
                       hint='; '.join(f'{name}: {meaning}' for name, meaning in PLACEMENTS.items()))
    return spec.placement


def _orphan(vm: Vm) -> Orphan:
    assert vm.maker is not None
    return {'kind': 'vm', 'name': vm.name,
            'detail': f'begun {mapping.iso_date(vm.maker.since)} by process {vm.maker.pid}, and never finished'}


def _size(world: Transaction, disk: DiskSpec, spec: VmSpec, image: str | None, flavor: Flavor | None) -> int:
    """Return the size in GiB: the one asked for, else the flavor's or the default one, but at least the image's."""
    if disk.size is not None:
        return disk.size
    usual = flavor.disk if flavor and flavor.disk and disk.default else spec.disksize
    source = world.get(Image, image) if image else None
    return max(usual, source.size if source else 0)


def _fields(spec: VmSpec, guest: Guest) -> dict[str, str]:
    """Return the texts that are kept on the VM. InvalidInput for one that would hide what info tells."""
    for key in spec.metadata:
        refuse_computed(key)
    values = {'plan': spec.plan, 'profile': spec.profile, 'image': spec.image, 'owner': spec.owner,
              'domain': spec.domain, 'tags': ','.join(spec.tags), 'user': guest.user if guest.kind else None,
              'userport': str(spec.vmport) if spec.vmport else None,
              'hostkey': guest.host_key.fingerprint if guest.host_key else None,
              'insecure': 'true' if spec.insecure else None, **spec.metadata}
    return {key: str(value) for key, value in values.items() if value}


def refuse_computed(key: str) -> None:
    """Raise InvalidInput when *key* can't name a text that is kept on a VM."""
    if key in mapping.COMPUTED:
        raise InvalidInput(f"'{key}' is what the platform tells of a VM, and can not be set as metadata")
