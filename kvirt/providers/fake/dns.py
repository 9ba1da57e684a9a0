"""DNS: zones, and the domains that networks answer for."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from kvirt import units
from kvirt.errors import AlreadyExists, Conflict, InvalidInput, NotFound
from kvirt.names import did_you_mean
from kvirt.providers.fake.account import Account
from kvirt.providers.fake.records import Entry, Network, Vm, Zone
from kvirt.providers.fake.world import Transaction
from kvirt.shapes import DnsRecord


class Dns(Account):
    """The DNS of an account."""

    def _list_dns_zones(self) -> list[str]:
        with self.conn.read() as world:
            return zones(world)

    def _list_dns(self, domain: str) -> list[DnsRecord]:
        with self.conn.read() as world:
            zone = _need(world, domain)
            return [{'name': entry.name, 'type': entry.type, 'ttl': entry.ttl, 'data': entry.data}
                    for entry in sorted(world.all(Entry), key=lambda entry: (entry.name, entry.type)) if entry.zone == zone]

    def _reserve_dns(self, name: str, nets: Sequence[Any] = (), domain: str | None = None, ip: str | None = None,
                     alias: Sequence[str] = (), force: bool = False, primary: bool = False,
                     instanceid: str | None = None) -> None:
        with self.conn.change() as world:
            vm = self.find(world, instanceid or name)
            domain = domain or (vm.fields.get('domain') if vm else None)
            if domain is None:
                raise InvalidInput(f'give the domain to record {name} in', hint=f"There are {', '.join(zones(world))}")
            if ip is None:
                if vm is None:
                    raise NotFound(f'there is no VM {name} to take the address of', hint='Give the address')
                if vm.ip is None:
                    raise Conflict(f'VM {vm.name} has no address')
            record(world, _need(world, domain), [name, *alias], str(units.address(ip)) if ip else str(vm and vm.ip),
                   owner=vm.id if vm else '', force=force)

    def _delete_dns(self, name: str, domain: str, allentries: bool = False) -> None:
        with self.conn.change() as world:
            zone = _need(world, domain)
            entries = [entry for entry in world.all(Entry) if entry.zone == zone]
            found = [entry for entry in entries if entry.name == full_name(name, zone)]
            if not found:
                names = [entry.name for entry in entries]
                raise NotFound(f'{domain} has no record {name}{did_you_mean(full_name(name, zone), names)}')
            addresses = {address for entry in found for address in entry.data} if allentries else set()
            for entry in entries:
                if entry in found or addresses & set(entry.data):
                    world.drop(entry)


def zones(world: Transaction) -> list[str]:
    """Return the names of the zones, and the domains of networks."""
    return sorted({*world.names(Zone), *(network.domain for network in world.all(Network) if network.domain)})


def full_name(name: str, zone: str) -> str:
    """Return *name* in *zone*, fully qualified; ``@`` is the zone itself."""
    name = name.removesuffix('.')
    return zone if name in ('@', zone) else name if name.endswith(f'.{zone}') else f'{name}.{zone}'


def record(world: Transaction, zone: str, names: Sequence[str], ip: str, *, owner: str = '', force: bool = False) -> None:
    """Record every one of *names* in *zone* for *ip*. AlreadyExists unless *force*."""
    for name in names:
        entry = Entry(name=full_name(name, zone), zone=zone, data=[ip], type='AAAA' if ':' in ip else 'A', owner=owner)
        if force:
            world.put(entry)
        elif world.get(Entry, entry.key) is not None:
            raise AlreadyExists(f'DNS record {entry.name} exists', hint='Delete it first, or replace it with force')
        else:
            world.add(entry)


def renamed(world: Transaction, vm: Vm, new: str) -> None:
    """Let the DNS records that were made for *vm* under its name follow it to the name *new*."""
    for entry in world.of(Entry, vm.id):
        if entry.name == full_name(vm.name, entry.zone):
            world.drop(entry)
            record(world, entry.zone, [new], entry.data[0], owner=vm.id)


def _need(world: Transaction, domain: str) -> str:
    zone = domain.removesuffix('.')
    known = zones(world)
    if zone not in known:
        raise NotFound(f'there is no DNS zone {domain}{did_you_mean(zone, known)}', hint=f"There are {', '.join(known)}")
    return zone
