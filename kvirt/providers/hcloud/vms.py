"""VMs: their life, what is known of them, and changes to them."""

from __future__ import annotations

from typing import Any

from hcloud.server_types.domain import ServerType

from kvirt.base import unsupported, waits
from kvirt.base.vms import Rows
from kvirt.errors import Conflict, NotFound
from kvirt.names import did_you_mean
from kvirt.providers.hcloud import mapping
from kvirt.providers.hcloud.create import Create
from kvirt.shapes import VmInfo

_BY_FLAVOR = 'the size of a VM of Hetzner Cloud is that of its flavor: use update_flavor'


class Vms(Create):
    """The VMs of a project."""

    def _list(self) -> Rows:
        rows = [mapping.vm_row(server) for server in self.conn.servers.get_all()
                if self.place in (None, server.location.name)]
        return sorted(rows, key=lambda row: row['name'])

    def _info(self, name: str) -> VmInfo:
        server = self.server(name)
        networks = {each.id: each.name for each in self.conn.networks.get_all()} if server.private_net else {}
        groups = {each.id: each.name for each in self.conn.firewalls.get_all()} if server.public_net.firewalls else {}
        return mapping.vm_info(server, self.disks_of(self.machine_of(server)), networks, groups, self.snapshots(server))

    def _start(self, name: str) -> None:
        server = self.server(name)
        if server.status not in ('running', 'starting'):
            server.power_on()

    def _stop(self, name: str, soft: bool = False) -> None:
        server = self.server(name)
        if server.status != 'off':
            (server.shutdown if soft else server.power_off)()

    def _restart(self, name: str) -> None:
        server = self.server(name)
        (server.power_on if server.status == 'off' else server.reboot)()

    _clone = unsupported('volumes of Hetzner Cloud can not be copied: export the VM, and create one from the image')

    def _rename(self, name: str, new: str) -> None:
        server = self.server(name)
        self.free('VM', self.conn.servers, self.check_machine_name(new))
        server.update(name=new)

    def _console(self, name: str, tunnel: bool = False, tunnelhost: str | None = None, tunnelport: int = 22,
                 tunneluser: str = 'root', web: bool = False) -> dict[str, Any]:
        server = self.server(name)
        if server.status != 'running':
            raise Conflict(f'VM {name} does not run', hint=f"Start it: 'kvirt start vm {name}'")
        answer = server.request_console()
        return {'url': answer.wss_url, 'password': answer.password}

    _serialconsole = unsupported('Hetzner Cloud has no serial console: use console, a display over a web socket')

    @waits
    def _update_flavor(self, name: str, flavor: str) -> None:
        """Change the power off for it, and on again when the VM ran. The disk stays as it is, so the way back is open."""
        server = self.server(name)
        known = {each.name: each for each in self._list_flavors()}
        if flavor not in known:
            raise NotFound(f"flavor '{flavor}' does not exist{did_you_mean(flavor, known)}",
                           hint="'kvirt list flavor' shows them all")
        if server.server_type.name == flavor:
            return
        if server.status != 'off':
            self.done(self.patiently(f'stopping VM {name}', server.power_off))
        try:
            kind = ServerType(name=flavor)
            self.done(self.patiently(f'changing VM {name}', lambda: server.change_type(kind, upgrade_disk=False)))
        finally:
            if server.status != 'off':
                self.patiently(f'starting VM {name}', server.power_on)

    @waits
    def _update_iso(self, name: str, iso: str | None) -> None:
        server = self.server(name)
        self.done(server.attach_iso(self.iso(iso)) if iso else server.detach_iso())

    _update_memory = unsupported(_BY_FLAVOR)
    _update_cpus = unsupported(_BY_FLAVOR)
    _update_start = unsupported('Hetzner Cloud starts a VM again after a fault of its own in any case')
    _remove_cloudinit = unsupported('Hetzner Cloud keeps what a guest is told for the whole life of a VM')
