"""VMs: their life, what is known of them, and changes to them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from hcloud.server_types.domain import ServerType

from kvirt.base import unsupported, waits
from kvirt.errors import Conflict
from kvirt.providers.families.machines import Machine
from kvirt.providers.families.vms import CloudVms
from kvirt.providers.hcloud import mapping
from kvirt.providers.hcloud.create import Create
from kvirt.providers.hcloud.mapping import SNAPSHOT
from kvirt.shapes import NicShape


class Vms(Create, CloudVms):
    """The VMs of a project."""

    def machines(self) -> Iterator[Machine]:
        return (mapping.machine(server) for server in self.conn.servers.get_all()
                if self.place in (None, server.location.name))

    def nics_of(self, machine: Machine) -> list[NicShape]:
        server = machine.native
        return mapping.cards(server, {each.id: each.name for each in self.conn.networks.get_all()}
                             if server.private_net else {})

    def shown(self, machine: Machine) -> Mapping[str, str]:
        return {'user': 'root', **{key: text for key, text in super().shown(machine).items() if key != SNAPSHOT}}

    def more_of_vm(self, machine: Machine) -> dict[str, Any]:
        server = machine.native
        public, placement = server.public_net, server.placement_group
        names = {each.id: each.name for each in self.conn.firewalls.get_all()} if public.firewalls else {}
        groups = sorted(names.get(each.firewall.id, str(each.firewall.id)) for each in public.firewalls or ())
        return {'autostart': False, 'sublocation': server.location.network_zone, 'securitygroups': groups or None,
                'ipv6': mapping.first_of_ipv6(public.ipv6.ip) if public.ipv6 else None,
                'iso': server.iso.name if server.iso else None, 'placement': placement.name if placement else None}

    # life and changes

    def start_vm(self, machine: Machine) -> None:
        if machine.native_status != 'starting':
            machine.native.power_on()

    def stop_vm(self, machine: Machine, soft: bool) -> None:
        (machine.native.shutdown if soft else machine.native.power_off)()

    def restart_vm(self, machine: Machine) -> None:
        machine.native.reboot()

    def halt_vm(self, machine: Machine) -> None:
        self.done(self.patiently(f'stopping VM {machine.name}', machine.native.power_off))

    def rename_vm(self, machine: Machine, new: str) -> None:
        machine.native.update(name=new)

    def resize_vm(self, machine: Machine, flavor: str) -> None:
        """Change the type. The disk stays as it is, so the way back is open."""
        kind = ServerType(name=flavor)
        self.done(self.patiently(f'changing VM {machine.name}',
                                 lambda: machine.native.change_type(kind, upgrade_disk=False)))

    @waits
    def _update_iso(self, name: str, iso: str | None) -> None:
        server = self.server(name)
        self.done(server.attach_iso(self.iso(iso)) if iso else server.detach_iso())

    def _console(self, name: str, tunnel: bool = False, tunnelhost: str | None = None, tunnelport: int = 22,
                 tunneluser: str = 'root', web: bool = False) -> dict[str, Any]:
        server = self.server(name)
        if server.status != 'running':
            raise Conflict(f'VM {name} does not run', hint=f"Start it: 'kvirt start vm {name}'")
        answer = server.request_console()
        return {'url': answer.wss_url, 'password': answer.password}

    _serialconsole = unsupported('Hetzner Cloud has no serial console: use console, a display over a web socket')
