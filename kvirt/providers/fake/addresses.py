"""MAC and IP addresses: each is claimed by one VM, in the same transaction that gives it away."""

from __future__ import annotations

from collections.abc import Collection
from zlib import crc32

from kvirt import units
from kvirt.errors import Conflict, InvalidInput, NotFound, OutOfCapacity
from kvirt.names import did_you_mean
from kvirt.providers.fake.records import Claim, Network, Nic, Subnet, Vm
from kvirt.providers.fake.world import Transaction
from kvirt.spec import NetSpec


def segment_of(world: Transaction, name: str) -> Network:
    """Return the network or subnet called *name*. NotFound suggests the likely one."""
    found = world.get(Network, name) or world.get(Subnet, name)
    if found is None:
        names = world.names(Network) + world.names(Subnet)
        raise NotFound(f"network '{name}' does not exist{did_you_mean(name, names)}",
                       hint="'kvirt list network' shows what is there")
    return found


def network_of(segment: Network) -> str:
    """Return the name of the network that *segment* is, or is a subnet of."""
    return segment.network if isinstance(segment, Subnet) else segment.name


def connect(world: Transaction, vm: Vm, net: NetSpec, seed: str) -> Nic:
    """Give *vm* a card as *net* asks for, with its addresses. NotFound, Conflict, OutOfCapacity."""
    segment = segment_of(world, net.name)
    mac = net.mac or _fresh_mac(world, seed)
    claim(world, f'mac/{mac}', vm.id)
    taken = {nic.device for nic in vm.nics}
    nic = Nic(device=next(f'eth{number}' for number in range(len(taken) + 1) if f'eth{number}' not in taken), mac=mac,
              net=net.name, network=network_of(segment), type=net.type)
    plug(world, vm, nic, segment, static=str(net.interface.ip) if net.interface else None, configured=not net.noconf)
    vm.nics = [*vm.nics, nic]
    return nic


def plug(world: Transaction, vm: Vm, nic: Nic, segment: Network, *, static: str | None = None,
         configured: bool = True) -> None:
    """Connect card *nic* to *segment*, with a *static* address, or one that is free."""
    nic.network = network_of(segment)
    if static:
        claim(world, f'ip/{nic.network}/{static}', vm.id)
        nic.ip = static
    else:
        nic.ip = free_address(world, segment, vm.id) if segment.dhcp and configured else None


def release(world: Transaction, nic: Nic, mac: bool = True) -> None:
    """Give the addresses of card *nic* back; without *mac* only the IP address."""
    for name in (f'mac/{nic.mac}' if mac else None, f'ip/{nic.network}/{nic.ip}' if nic.ip else None):
        if name:
            world.drop(Claim(name=name))
    nic.ip = None


def claim(world: Transaction, name: str, owner: str) -> None:
    """Take an address for *owner*. Conflict names who has it."""
    have = world.get(Claim, name)
    if have is not None:
        holder = world.get(Vm, have.owner)
        raise Conflict(f"address {name.rpartition('/')[2]} is in use by {holder.name if holder else have.owner}")
    world.add(Claim(name=name, owner=owner))


def free_address(world: Transaction, segment: Network, owner: str) -> str:
    """Take the next free address of *segment* for *owner*: the one after the last that was given. OutOfCapacity."""
    addresses = units.network(segment.cidr)
    last = addresses.num_addresses - (2 if addresses.version == 4 else 1)
    usable = last - 1  # the first one is the gateway's
    for step in range(usable):
        number = (segment.after - 1 + step) % usable + 2
        name = f'ip/{network_of(segment)}/{addresses[number]}'
        if world.get(Claim, name) is None:
            segment.after = number
            world.put(segment)
            world.add(Claim(name=name, owner=owner))
            return str(addresses[number])
    raise OutOfCapacity(f'network {segment.name} ({segment.cidr}) has no free address', hint='Make a larger one')


def range_of(cidr: str) -> units.Network:
    """Return the addresses that *cidr* means. InvalidInput when they are too few for a network."""
    addresses = units.network(cidr)
    if addresses.num_addresses < 8:
        raise InvalidInput(f'{cidr} is too small for a network', hint='Give at least 8 addresses')
    return addresses


def first_overlap(wanted: units.Network, others: Collection[Network]) -> Network | None:
    """Return the first of *others* that has addresses of *wanted*."""
    for other in others:
        have = units.network(other.cidr)
        if have.version == wanted.version and have.overlaps(wanted):
            return other
    return None


def _fresh_mac(world: Transaction, seed: str) -> str:
    """Return the next MAC address that nobody has; which ones depends on *seed*."""
    while True:
        number = (crc32(seed.encode()) + world.number('mac')) % 2**24
        mac = f'52:54:00:{number >> 16:02x}:{number >> 8 & 255:02x}:{number & 255:02x}'
        if world.get(Claim, f'mac/{mac}') is None:
            return mac
