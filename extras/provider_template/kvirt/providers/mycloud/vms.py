"""VMs: their life, what is known of them, and changes to them."""

from __future__ import annotations

from kvirt.base import unsupported
from kvirt.base.vms import Rows
from kvirt.providers.families import marks
from kvirt.providers.mycloud import mapping
from kvirt.providers.mycloud.account import NAME
from kvirt.providers.mycloud.create import Create
from kvirt.shapes import VmInfo


class Vms(Create):
    """The servers of an account."""

    def _start(self, name: str) -> None:
        server = self.server(name)
        if mapping.STATUS.get(server['status']) != 'running':
            self.act(server, 'start')

    def _stop(self, name: str, soft: bool = False) -> None:
        server = self.server(name)
        if mapping.STATUS.get(server['status']) != 'stopped':
            self.act(server, 'shutdown' if soft else 'stop')

    def _restart(self, name: str) -> None:
        server = self.server(name)
        self.act(server, 'start' if mapping.STATUS.get(server['status']) == 'stopped' else 'reboot')

    def _list(self) -> Rows:
        return sorted(map(mapping.vm_row, self.servers()), key=lambda row: row['name'])

    def _info(self, name: str) -> VmInfo:
        return mapping.vm_info(self.server(name))

    def _update_metadata(self, name: str, metatype: str, metavalue: str | None, append: bool = False) -> None:
        marks.check_field(metatype)
        server = self.server(name)
        fields = marks.from_labels(server['labels'])
        have = fields.pop(metatype, '')
        value = f'{have},{metavalue}' if append and have and metavalue is not None else metavalue
        labels = marks.to_labels({**fields, **({metatype: value} if value else {})})
        self.api.patch(f"/servers/{server['id']}", {'labels': labels})

    _update_memory = unsupported(f'a VM of {NAME} has the size of its flavor')
    _update_cpus = unsupported(f'a VM of {NAME} has the size of its flavor')
