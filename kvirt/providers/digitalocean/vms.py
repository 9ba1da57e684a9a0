"""VMs: their life, what is known of them, and changes to them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, ClassVar

from kvirt.base import unsupported
from kvirt.providers.digitalocean import mapping
from kvirt.providers.digitalocean.account import NAME
from kvirt.providers.digitalocean.create import Create
from kvirt.providers.families.machines import Machine
from kvirt.providers.families.vms import CloudVms
from kvirt.shapes import NicShape


class Vms(Create, CloudVms):
    """The droplets of an account."""

    stops_to_resize: ClassVar[bool] = False

    def machines(self) -> Iterator[Machine]:
        return map(mapping.machine, self.droplets())

    def nics_of(self, machine: Machine) -> list[NicShape]:
        vpc = machine.native.get('vpc_uuid')
        return [mapping.card(machine.native, self.api.get(f'/vpcs/{vpc}')['vpc']['name'])] if vpc else []

    def shown(self, machine: Machine) -> Mapping[str, str]:
        return {'user': 'root', **super().shown(machine)}

    def more_of_vm(self, machine: Machine) -> dict[str, Any]:
        return {'autostart': True, 'securitygroups': mapping.labelled('group', machine.native.get('tags') or ())}

    _console = unsupported(f'the console of {NAME} is a part of its control panel, and has no API')
    _serialconsole = unsupported(f'{NAME} has no serial console')

    # life and changes

    def start_vm(self, machine: Machine) -> None:
        self.act(machine.native, 'power_on')

    def stop_vm(self, machine: Machine, soft: bool) -> None:
        self.act(machine.native, 'shutdown' if soft else 'power_off')

    def restart_vm(self, machine: Machine) -> None:
        self.act(machine.native, 'reboot')

    def halt_vm(self, machine: Machine) -> None:
        self.finish(self.act(machine.native, 'power_off'), f'stopping VM {machine.name}')

    def rename_vm(self, machine: Machine, new: str) -> None:
        self.finish(self.act(machine.native, 'rename', name=new), f'renaming VM {machine.name}')

    def resize_vm(self, machine: Machine, flavor: str) -> None:
        """Resize CPUs and memory. The root disk stays as it is, so that a smaller flavor can follow a larger one."""
        asked = self.act(machine.native, 'resize', size=flavor, disk=False)
        self.finish(asked, f'resizing VM {machine.name}', timeout=3600)
