"""Disks and pools."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, get_args

from kvirt.errors import Conflict, InvalidInput, NotFound, OutOfCapacity
from kvirt.names import did_you_mean, safe_name
from kvirt.providers.fake import mapping
from kvirt.providers.fake.account import EVERYWHERE, Account, lacks
from kvirt.providers.fake.records import Disk, Image, Pool, Vm, Volume
from kvirt.providers.fake.world import Transaction
from kvirt.shapes import DiskRow, PoolShape
from kvirt.spec import Bus

DEFAULT_POOL = 'default'
POOL_TYPES = ('dir', 'lvm', 'logical', 'zfs')


class Storage(Account):
    """The volumes and pools of an account."""

    def _create_disk(self, name: str, size: int, pool: str | None = None, thin: bool = True,
                     image: str | None = None) -> Mapping[str, Any] | None:
        with self.conn.change() as world:
            volume = planned_volume(world, self.here(), name, size, pool or DEFAULT_POOL, thin, image)
            add_volume(world, volume)
            return {'path': mapping.volume_path(volume, pools_of(world))}

    def _add_disk(self, name: str, size: int, pool: str | None, thin: bool, image: str | None, shareable: bool,
                  existing: str | None, interface: str, overrides: Mapping[str, Any]) -> Mapping[str, Any] | None:
        if interface not in get_args(Bus):
            raise InvalidInput(f"unknown interface of a disk '{interface}'{did_you_mean(interface, get_args(Bus))}")
        with self.conn.change() as world:
            vm = self.settled(world, name)
            if existing:
                volume = free_volume(world, vm.location, existing, pool, share=shareable)
                volume.shareable = volume.shareable or shareable
                world.put(volume)
            else:
                volume_name = safe_name('volume', overrides.get('diskname') or free_volume_name(world, vm))
                volume = planned_volume(world, vm.location, volume_name, size, pool or self._pool_of(world, vm), thin,
                                        image)
                volume.owner, volume.shareable = vm.id, shareable
                add_volume(world, volume)
            disk = Disk(device=mapping.next_device(interface, vm.disks), volume=volume.name, bus=interface,
                        serial=overrides.get('serial'), wwn=overrides.get('wwn'))
            vm.disks = [*vm.disks, disk]
            world.put(vm)
            return {'device': disk.device, 'path': mapping.volume_path(volume, pools_of(world))}

    @staticmethod
    def _pool_of(world: Transaction, vm: Vm) -> str:
        """Return the pool of a VM's root disk."""
        root = world.get(Volume, f'{vm.location}/{vm.disks[0].volume}') if vm.disks else None
        return root.pool if root else DEFAULT_POOL

    def _delete_disk(self, name: str | None, diskname: str, pool: str | None = None) -> None:
        with self.conn.change() as world:
            if name is None:
                world.drop(free_volume(world, self.here(), diskname, pool))
                return
            vm = self.settled(world, name)
            disk = self._disk_of(vm, diskname)
            vm.disks.remove(disk)
            world.put(vm)
            volume = world.get(Volume, f'{vm.location}/{disk.volume}')
            if volume is not None and not users_of(world, volume):
                world.drop(volume)

    @staticmethod
    def _disk_of(vm: Vm, diskname: str) -> Disk:
        """Return a disk of a VM, by device, volume, or path."""
        for disk in vm.disks:
            if diskname in (disk.device, disk.volume) or diskname.endswith(f'/{disk.volume}'):
                return disk
        raise lacks(vm, 'disk', diskname, (known for disk in vm.disks for known in (disk.device, disk.volume)))

    def _detach_disks(self, name: str) -> Mapping[str, Any] | None:
        with self.conn.change() as world:
            vm = self.settled(world, name)
            vm.disks, detached = vm.disks[:1], vm.disks[1:]
            world.put(vm)
            volumes = [world.need(Volume, f'{vm.location}/{disk.volume}') for disk in detached]
            for volume in volumes:
                volume.owner = ''  # so that they stay when the VM goes
                world.put(volume)
            pools = pools_of(world)
            return {'disks': [mapping.volume_path(volume, pools) for volume in volumes]}

    def _resize_disk(self, name: str, diskname: str, size: int) -> None:
        with self.conn.change() as world:
            vm = self.settled(world, name)
            volume = world.need(Volume, f'{vm.location}/{self._disk_of(vm, diskname).volume}')
            if size < volume.size:
                raise InvalidInput(f'disk {diskname} of VM {name} has {volume.size} GiB and can not be made smaller')
            within_capacity(world, volume, size - volume.size)
            volume.size = size
            world.put(volume)

    def _list_disks(self) -> dict[str, DiskRow]:
        with self.conn.read() as world:
            users: dict[str, list[str]] = {}
            for vm in self.seen(world):
                for disk in vm.disks:
                    users.setdefault(f'{vm.location}/{disk.volume}', []).append(vm.name)
            pools = pools_of(world)
            rows: dict[str, DiskRow] = {}
            for volume in world.all(Volume):
                if self.location in (volume.location, EVERYWHERE):
                    name = volume.key if volume.name in rows else volume.name  # in another location
                    rows[name] = {'pool': volume.pool, 'path': mapping.volume_path(volume, pools), 'size': volume.size,
                                  'vms': users.get(volume.key, [])}
            return rows

    def _create_pool(self, name: str, poolpath: str | None, pooltype: str = 'dir', user: str = 'qemu',
                     thinpool: str | None = None) -> None:
        if pooltype not in POOL_TYPES:
            raise InvalidInput(f"unknown type of pool '{pooltype}'{did_you_mean(pooltype, POOL_TYPES)}",
                               hint='Use dir, lvm or zfs')
        if not poolpath:
            raise InvalidInput(f'pool {name} needs a path', hint='Give the folder, the volume group, or the dataset')
        if pooltype == 'dir' and not poolpath.startswith('/'):
            raise InvalidInput(f"the folder '{poolpath}' of a pool must be an absolute path")
        with self.conn.change() as world:
            other = next((pool.name for pool in world.all(Pool) if pool.path == poolpath and pool.name != name), None)
            if other is not None:
                raise Conflict(f'{poolpath} is the place of pool {other}')
            world.add(Pool(name=name, path=poolpath, type=pooltype, user=user, thinpool=thinpool))

    def _delete_pool(self, name: str, full: bool = False) -> None:
        with self.conn.change() as world:
            pool = world.need(Pool, name)
            volumes = [volume for volume in world.all(Volume) if volume.pool == name]
            users = sorted({vm for volume in volumes for vm in users_of(world, volume)})
            if users:
                raise Conflict(f"pool {name} holds disks of {', '.join(users)}", hint='Delete those VMs first')
            images = [image for image in world.all(Image) if image.pool == name]
            if (volumes or images) and not full:
                raise Conflict(f"pool {name} holds {', '.join(each.name for each in [*volumes, *images][:5])}",
                               hint='Delete it with its volumes: full')
            for record in [pool, *volumes, *images]:
                world.drop(record)

    def _list_pools(self) -> list[str]:
        with self.conn.read() as world:
            return world.names(Pool)

    def _info_pool(self, name: str) -> PoolShape:
        with self.conn.read() as world:
            pool = world.get(Pool, name)
            if pool is None:
                return {}
            return {'name': name, 'type': pool.type, 'path': pool.path, 'status': 'running',
                    'capacity': float(pool.capacity), 'available': float(available(world, pool))}


def pools_of(world: Transaction) -> dict[str, Pool]:
    """Return the pools by name."""
    return {pool.name: pool for pool in world.all(Pool)}


def planned_volume(world: Transaction, location: str, name: str, size: int, pool: str, thin: bool,
                   image: str | None) -> Volume:
    """Return a volume to be added. NotFound for its pool or image, InvalidInput when it is too small for the image."""
    world.need(Pool, pool, "'kvirt list pool' shows what is there")
    if image is not None:
        source = get_image(world, image)
        if size < source.size:
            raise InvalidInput(f'disk {name} of {size} GiB is smaller than its image {image} of {source.size} GiB',
                               hint=f'Give it at least {source.size}')
        image = source.name
    return Volume(name=name, location=location, pool=pool, size=size, thin=thin, image=image)


def add_volume(world: Transaction, volume: Volume) -> None:
    """Add *volume*. AlreadyExists, OutOfCapacity."""
    within_capacity(world, volume, volume.size)
    world.add(volume)


def get_image(world: Transaction, name: str) -> Image:
    """Return image *name*. NotFound suggests the likely one."""
    image = world.get(Image, name)
    if image is None or image.iso:
        names = [each.name for each in world.all(Image) if not each.iso]
        raise NotFound(f"image '{name}' does not exist{did_you_mean(name, names)}",
                       hint="'kvirt list image' shows what is there")
    return image


def free_volume(world: Transaction, location: str, name: str, pool: str | None = None, *, share: bool = False) -> Volume:
    """Return a volume that no VM has as a disk, or with *share* any. NotFound; Conflict names the VMs that have it."""
    volume = world.get(Volume, f'{location}/{name}')
    if volume is None or pool not in (None, volume.pool):
        names = [each.name for each in world.all(Volume) if each.location == location]
        raise NotFound(f'volume {name} does not exist' + (f' in pool {pool}' if pool else '') + did_you_mean(name, names))
    users = [] if share else users_of(world, volume)
    if users:
        raise Conflict(f"volume {name} is a disk of {', '.join(users)}", hint='Detach it first')
    return volume


def users_of(world: Transaction, volume: Volume) -> list[str]:
    """Return the names of the VMs that have *volume* as a disk."""
    return [vm.name for vm in world.all(Vm)
            if vm.location == volume.location and any(disk.volume == volume.name for disk in vm.disks)]


def free_volume_name(world: Transaction, vm: Vm) -> str:
    """Return the next name of the form web_1.img that no volume bears."""
    number = len(vm.disks)
    while world.get(Volume, f'{vm.location}/{vm.name}_{number}.img') is not None:
        number += 1
    return f'{vm.name}_{number}.img'


def available(world: Transaction, pool: Pool) -> int:
    """Return how many GiB of *pool* are not promised: thin volumes take nothing until they are written to."""
    return pool.capacity - sum(each.size for each in world.all(Volume) if each.pool == pool.name and not each.thin)


def within_capacity(world: Transaction, volume: Volume, more: int) -> None:
    """Raise OutOfCapacity when the pool of a thick *volume* has no room for this many GiB *more*."""
    pool = world.need(Pool, volume.pool)
    if not volume.thin and more > available(world, pool):
        raise OutOfCapacity(f'pool {pool.name} has {available(world, pool)} GiB left',
                            hint=f'Volume {volume.name} needs {more}; a thin one takes only what is written to it')
