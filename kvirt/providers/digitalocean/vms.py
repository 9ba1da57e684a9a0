"""VMs: their life, what is known of them, and changes to them."""

from __future__ import annotations

from kvirt.base import unsupported, waits
from kvirt.base.vms import Rows
from kvirt.errors import AlreadyExists, Conflict, NotFound
from kvirt.providers.digitalocean import mapping
from kvirt.providers.digitalocean.account import NAME
from kvirt.providers.digitalocean.create import Create
from kvirt.shapes import Flavor, VmInfo

_BY_FLAVOR = f'a VM of {NAME} has the size of its flavor: update the flavor'


class Vms(Create):
    """The droplets of an account."""

    # life

    def _start(self, name: str) -> None:
        droplet = self.droplet(name)
        if droplet['status'] != 'active':
            self.act(droplet, 'power_on')

    def _stop(self, name: str, soft: bool = False) -> None:
        droplet = self.droplet(name)
        if droplet['status'] != 'off':
            self.act(droplet, 'shutdown' if soft else 'power_off')

    def _restart(self, name: str) -> None:
        droplet = self.droplet(name)
        self.act(droplet, 'power_on' if droplet['status'] == 'off' else 'reboot')

    @waits
    def _rename(self, name: str, new: str) -> None:
        droplet = self.droplet(name)
        if self.bearers(self.check_machine_name(new)):
            raise AlreadyExists(f'VM {new} exists')
        self.finish(self.act(droplet, 'rename', name=new), f'renaming VM {name}')

    # what is known

    def _list(self) -> Rows:
        rows = sorted(map(mapping.vm_row, self.droplets()), key=lambda row: (row['name'], row['id']))
        if not rows:
            self.check_location()
        return rows

    def _info(self, name: str) -> VmInfo:
        droplet = self.droplet(name)
        vpc = droplet.get('vpc_uuid')
        network = self.api.get(f'/vpcs/{vpc}')['vpc']['name'] if vpc else ''
        return mapping.vm_info(droplet, network, self.disks_of(self.machine_of(droplet)),
                               self.snapshots_of(droplet))

    def _exists(self, name: str) -> bool:
        try:
            return bool(self.droplet(name))
        except NotFound:
            return False

    _console = unsupported(f'the console of {NAME} is a part of its control panel, and has no API')
    _serialconsole = unsupported(f'{NAME} has no serial console')

    # changes

    @waits
    def _update_flavor(self, name: str, flavor: str) -> None:
        """Resize CPUs and memory. The root disk stays as it is, so that a smaller flavor can follow a larger one."""
        wanted, droplet = self._flavor(flavor), self.droplet(name)
        if droplet['size_slug'] == wanted.name:
            return
        if droplet['status'] != 'off':
            raise Conflict(f'VM {name} is running', hint='Stop it first')
        self.finish(self.act(droplet, 'resize', size=wanted.name, disk=False), f'resizing VM {name}', timeout=3600)

    def _flavor(self, name: str) -> Flavor:
        found = self._info_flavor(name)
        if found is None:
            raise NotFound(f"flavor '{name}' does not exist", hint="'kvirt list flavor' shows them all")
        return found

    _update_memory = unsupported(_BY_FLAVOR)
    _update_cpus = unsupported(_BY_FLAVOR)
    _update_start = unsupported(f'{NAME} starts VMs with their hosts in any case')
    _update_iso = unsupported(f'VMs of {NAME} have no CD drives')
    _remove_cloudinit = unsupported(f'what a guest of {NAME} was told at its birth can not be taken back')
