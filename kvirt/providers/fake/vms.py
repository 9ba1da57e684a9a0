"""VMs: their life, what is known of them, and changes to them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from kvirt.base.vms import Rows
from kvirt.errors import AlreadyExists, Conflict, NotFound
from kvirt.providers.fake import dns, mapping
from kvirt.providers.fake.create import Create, refuse_computed
from kvirt.providers.fake.images import checked_iso
from kvirt.providers.fake.records import Seed, Vm, Volume
from kvirt.providers.fake.snapshots import names_of
from kvirt.providers.fake.storage import pools_of
from kvirt.providers.fake.world import Transaction
from kvirt.shapes import VmInfo

_SITE = 'console.fake.invalid'


class Vms(Create):
    """The VMs of an account."""

    # life

    def _start(self, name: str) -> None:
        with self.conn.change() as world:
            vm = self.settled(world, name)
            if vm.power != 'on':
                self._boot(world, vm)

    def _boot(self, world: Transaction, vm: Vm) -> None:
        vm.power, vm.settles = 'on', self.time() + self.boot_seconds
        world.put(vm)

    def _stop(self, name: str, soft: bool = False) -> None:
        with self.conn.change() as world:
            vm = self.settled(world, name)
            if vm.power == 'off' and (soft or self.time() >= vm.settles):
                return
            self.allowed(vm, 'stoppable')
            vm.power, vm.settles = 'off', self.time() + (self.boot_seconds if soft else 0)
            world.put(vm)

    def _restart(self, name: str) -> None:
        with self.conn.change() as world:
            vm = self.settled(world, name)
            self.allowed(vm, 'rebootable')
            self._boot(world, vm)

    def _rename(self, name: str, new: str) -> None:
        with self.conn.change() as world:
            vm = self.stopped(world, name)
            if any(other.location == vm.location for other in world.named(Vm, new)):
                raise AlreadyExists(f'VM {new} exists')
            dns.renamed(world, vm, new)
            vm.name = new
            world.put(vm)

    # what is known

    def _list(self) -> Rows:
        with self.conn.read() as world:
            vms = self.seen(world)
        now = self.time()
        return [mapping.vm_row(vm, now) for vm in vms]

    def _info(self, name: str) -> VmInfo:
        with self.conn.read() as world:
            vm = self.get(world, name)
            volumes = {disk.volume: volume for disk in vm.disks
                       if (volume := world.get(Volume, f'{vm.location}/{disk.volume}')) is not None}
            return mapping.vm_info(vm, self.time(), volumes, pools_of(world), names_of(world, vm))

    def _exists(self, name: str) -> bool:
        with self.conn.read() as world:
            return self.find(world, name) is not None

    def user_data(self, name: str) -> str:
        """Return what the guest of VM *name* was told at its birth. Only the fake has this, for tests of scripts.

        It may hold secrets: passwords, the private host key. NotFound when there is no such VM, or it was told nothing.
        """
        return self._ask(self._user_data, name)

    def _user_data(self, name: str) -> str:
        with self.conn.read() as world:
            return self._seed(world, self.get(world, name)).user_data

    @staticmethod
    def _seed(world: Transaction, vm: Vm) -> Seed:
        seed = world.get(Seed, vm.id)
        if seed is None:
            raise NotFound(f'VM {vm.name} has no seed')
        return seed

    def _console(self, name: str, tunnel: bool = False, tunnelhost: str | None = None, tunnelport: int = 22,
                 tunneluser: str = 'root', web: bool = False) -> dict[str, Any]:
        with self.conn.read() as world:
            vm = self._running(world, name)
        protocol = 'vnc' if vm.hardware.get('vnc', True) else 'spice'
        answer: dict[str, Any] = {'protocol': protocol, 'host': _SITE, 'port': 5900 + vm.request,
                                  'url': f'https://{_SITE}/{vm.id}' if web else f'{protocol}://{_SITE}:{5900 + vm.request}'}
        if vm.displaypassword:
            answer['password'] = vm.displaypassword
        if tunnel:
            answer['tunnel'] = tunnelhost or _SITE
        return answer

    def _serialconsole(self, name: str, web: bool = False) -> dict[str, Any]:
        with self.conn.read() as world:
            vm = self._running(world, name)
        lines = ['[    0.000000] Booting a pretended kernel', f'[    0.000000] Memory: {vm.memory} MiB, {vm.numcpus} CPUs',
                 *(f'[    0.8{number:05}] {nic.device}: {nic.mac} {nic.ip or "no address"}'
                   for number, nic in enumerate(vm.nics)), '', f'{vm.name} login: ']
        return {'output': '\n'.join(lines)}

    def _running(self, world: Transaction, name: str) -> Vm:
        vm = self.settled(world, name)
        if vm.power != 'on':
            raise Conflict(f'VM {name} is stopped', hint=f"Start it: 'kvirt start vm {name}'")
        return vm

    # changes

    def _update_metadata(self, name: str, metatype: str, metavalue: str | None, append: bool = False) -> None:
        refuse_computed(metatype)
        with self.conn.change() as world:
            vm = self.settled(world, name)
            have = vm.fields.pop(metatype, '')
            if metavalue is not None:
                vm.fields[metatype] = f'{have},{metavalue}' if append and have else str(metavalue)
            world.put(vm)

    def _update_memory(self, name: str, memory: int) -> Mapping[str, Any] | None:
        with self.conn.change() as world:
            self._resize(world, name, 'memoryhotplug', memory=memory)
        return None

    def _update_cpus(self, name: str, numcpus: int) -> Mapping[str, Any] | None:
        with self.conn.change() as world:
            self._resize(world, name, 'cpuhotplug', numcpus=numcpus)
        return None

    def _resize(self, world: Transaction, name: str, hotplug: str, **sizes: int) -> None:
        """Give a VM other *sizes*; while it runs only with *hotplug*, and only more."""
        vm = self.settled(world, name)
        if all(getattr(vm, key) == value for key, value in sizes.items()):
            return
        self.allowed(vm, 'resizable')
        if not (vm.hardware.get(hotplug) and all(value > getattr(vm, key) for key, value in sizes.items())):
            self.stopped(world, name)
        for key, value in sizes.items():
            setattr(vm, key, value)
        vm.flavor = ''  # none has this size
        world.put(vm)

    def _update_flavor(self, name: str, flavor: str) -> None:
        new = self.flavor(flavor)
        with self.conn.change() as world:
            vm = self.settled(world, name)
            if vm.flavor == new.name:
                return
            self.allowed(vm, 'resizable')
            self.stopped(world, name)
            vm.flavor, vm.numcpus, vm.memory = new.name, new.numcpus, new.memory
            world.put(vm)

    def _update_start(self, name: str, start: bool = True) -> None:
        with self.conn.change() as world:
            vm = self.settled(world, name)
            vm.autostart = start
            world.put(vm)

    def _update_iso(self, name: str, iso: str | None) -> None:
        with self.conn.change() as world:
            vm = self.settled(world, name)
            vm.iso = checked_iso(world, iso) if iso else None
            world.put(vm)

    def _remove_cloudinit(self, name: str) -> None:
        with self.conn.change() as world:
            world.drop(self._seed(world, self.settled(world, name)))


