"""Floating addresses are reserved IPs.

A reserved IP can't bear a name. A tag that nothing bears keeps it: ``kvirt-ip:<name>:<address>``. One that was reserved
elsewhere is called by its address.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, ClassVar

from kvirt.errors import TimedOut, Unavailable
from kvirt.providers.digitalocean import mapping
from kvirt.providers.digitalocean.account import Account
from kvirt.providers.families import marks
from kvirt.providers.families.floating import Address, Floating
from kvirt.providers.families.machines import Machine

_IP = 'kvirt-ip'


class Addresses(Floating, Account):
    """Reserved IPs."""

    one_address_each: ClassVar[bool] = True

    def addresses(self) -> Iterator[Address]:
        known = list(filter(self.seen, self.all('/reserved_ips')))
        named = dict(filter(None, map(_named, (tag['name'] for tag in self.all('/tags'))))) if known else {}
        for each in known:
            droplet = each.get('droplet') or {}
            yield Address(id=each['ip'], name=named.get(each['ip'], each['ip']), ip=each['ip'], place=mapping.region(each),
                          vm_id=str(droplet['id']) if droplet else None, vm=droplet.get('name'))

    def reserve_address(self, name: str, request: str) -> Address:
        with self.undo() as undo:
            try:
                address = self.api.post('/reserved_ips', {'region': self.made_in()})['reserved_ip']['ip']
            except (Unavailable, TimedOut) as error:
                error.hint = "An address may have been taken: 'kvirt list floating-ip' shows it under no other name"
                raise
            reserved = Address(id=address, name=name, ip=address)
            undo.add(f'address {address}', lambda: self.release_address(reserved))
            self.tag([_tag(reserved)])
        return reserved

    def release_address(self, address: Address) -> None:
        self.insist(lambda: self.api.delete(f'/reserved_ips/{address.ip}'), f'giving back the address {address.ip}')
        self.drop(f'/tags/{_tag(address)}')

    def assign_address(self, address: Address, machine: Machine) -> None:
        self._change_address(address, f'attaching {address.name} to {machine.name}', type='assign',
                             droplet_id=machine.native['id'])

    def unassign_address(self, address: Address) -> None:
        self._change_address(address, f'detaching {address.name}', type='unassign')

    def _change_address(self, address: Address, what: str, **body: Any) -> None:
        self.finish(self.api.post(f'/reserved_ips/{address.ip}/actions', body), what)


def _tag(address: Address) -> str:
    """Return the tag that keeps the name of an address."""
    return f"{_IP}:{mapping.plain(marks.encode(address.name, dots=False))}:{address.ip.replace('.', '-')}"


def _named(tag: str) -> tuple[str, str] | None:
    """Return the address and the name that a tag keeps, None for another tag."""
    kind, _, rest = tag.partition(':')
    name, _, address = rest.partition(':')
    return (address.replace('-', '.'), marks.decode(name)) if kind == _IP else None
