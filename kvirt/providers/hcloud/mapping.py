"""From what Hetzner Cloud answers to what the contract returns."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, cast

from kvirt.guest import images
from kvirt.providers.families import marks
from kvirt.providers.families.balancers import Balancer
from kvirt.providers.families.dns import Record
from kvirt.providers.families.floating import Address
from kvirt.providers.families.groups import Group
from kvirt.providers.families.images import Image
from kvirt.providers.families.keys import Key
from kvirt.providers.families.machines import Machine
from kvirt.providers.families.networks import Network
from kvirt.providers.families.rules import from_text
from kvirt.providers.families.snapshots import Snapshot
from kvirt.providers.families.volumes import Volume
from kvirt.shapes import Flavor, NetworkShape, NicShape, Status

Native = Any

STATUS: Mapping[str, Status] = {
    'initializing': 'pending', 'starting': 'pending', 'rebuilding': 'pending', 'migrating': 'pending',
    'running': 'running', 'stopping': 'stopping', 'off': 'stopped', 'deleting': 'terminating', 'unknown': 'unknown'}
"""Every word of the platform, and the standard one."""

ARCH = {'x86': 'x86_64', 'arm': 'aarch64'}
SNAPSHOT = 'snapshot'
"""The field of an image that is a snapshot of a VM, and of a VM: the one that it is at."""


def fields(native: Native) -> dict[str, str]:
    """Return what is remembered on a thing."""
    return marks.from_labels(native.labels or {})


def machine(server: Native) -> Machine:
    """Map a server."""
    kind = server.server_type
    return Machine(id=str(server.id), name=server.name, status=STATUS.get(server.status, 'unknown'),
                   native_status=server.status, ip=address(server), fields=fields(server),
                   place=server.location.name, flavor=kind.name, numcpus=int(kind.cores), memory=int(kind.memory * 1024),
                   disk=int(server.primary_disk_size), image=image_name(server.image) if server.image else '',
                   created=server.created, native=server,
                   volumes=[str(number) for number in sorted(volume.id for volume in server.volumes or ())])


def cards(server: Native, networks: Mapping[int, str]) -> list[NicShape]:
    """Map the cards of a server, with the names of *networks* by id."""
    return [{'net': networks.get(card.network.id, str(card.network.id)), 'mac': card.mac_address.lower(), 'ip': card.ip,
             'type': 'private'} for card in server.private_net or ()]


def address(server: Native) -> str | None:
    """Return where a server is reached: its public IPv4 address, else IPv6, else the one in its first network."""
    public = server.public_net
    if public and public.ipv4:
        return str(public.ipv4.ip)
    if public and public.ipv6:
        return first_of_ipv6(public.ipv6.ip)
    return next((str(card.ip) for card in server.private_net or ()), None)


def first_of_ipv6(network: str) -> str:
    """Return the address that a server has in the IPv6 network that it was given."""
    return f"{network.partition('/')[0]}1"


def volume(native: Native) -> Volume:
    """Map a volume."""
    return Volume(id=str(native.id), name=native.name, size=int(native.size), place=native.location.name,
                  device=native.name, path=native.linux_device, vms=[str(native.server.id)] if native.server else [],
                  fields=fields(native), native=native)


def floating(native: Native) -> Address:
    """Map a floating IP."""
    return Address(id=str(native.id), name=native.name, ip=native.ip, place=native.home_location.name,
                   vm_id=str(native.server.id) if native.server else None, native=native,
                   request=(native.labels or {}).get(marks.MARK))


def image_name(image: Native) -> str:
    """Return what an image is called: snapshots and backups have a description instead of a name."""
    return str(image.name or image.description or image.id)


def image(native: Native) -> Image:
    """Map an image."""
    name = image_name(native)
    return Image(id=str(native.id), name=name, own=native.type != 'system', size=int(native.disk_size),
                 short=short_name(name), arch=ARCH.get(native.architecture), family=native.os_flavor or '',
                 version=native.os_version or '', fields=fields(native), native=native)


def snapshot(image: Native) -> Snapshot:
    """Map an image that is a snapshot of a VM."""
    kept = fields(image)
    return Snapshot(id=str(image.id), name=kept[SNAPSHOT], request=kept.get(marks.MARK), native=image)


def short_name(name: str | None) -> str | None:
    """Return the short name (debian12) that the platform's own name of a system image (debian-12) means."""
    words = (name or '').split('-')
    if words[:2] == ['centos', 'stream']:
        words = ['centos', *words[2:], 'stream']
    known = images.find(''.join(words).replace('.', ''))
    return known.short if known else None


def location(native: Native) -> dict[str, Any]:
    """Map a location."""
    return {'name': native.name, 'description': native.description, 'country': native.country, 'city': native.city,
            'sublocation': native.network_zone, 'available': True}


def flavors(kinds: Iterable[Native], place: str | None, currency: str) -> Iterator[Flavor]:
    """Yield the flavors that are sold at *place*, or anywhere: each where it can be had first. Prices are net."""
    for kind in kinds:
        where = [each for each in kind.locations or () if each.deprecation is None and place in (None, each.location.name)]
        if not where:
            continue
        chosen = next((each for each in where if each.available), where[0])
        prices: Mapping[str, Any] = next((row for row in kind.prices if row['location'] == chosen.location.name), {})
        yield Flavor(name=kind.name, numcpus=int(kind.cores), memory=int(kind.memory * 1024), disk=int(kind.disk),
                     arch=ARCH.get(kind.architecture, kind.architecture), location=chosen.location.name,
                     price_hourly=net(prices.get('price_hourly')), price_monthly=net(prices.get('price_monthly')),
                     currency=currency if prices else None, available=bool(chosen.available), firewall=True)


def net(price: Mapping[str, str] | None) -> float | None:
    """Return a price without the tax, which depends on who pays."""
    return float(price['net']) if price else None


def group(firewall: Native) -> Group:
    """Map a firewall, with what it lets in."""
    rules = [rule for each in firewall.rules or () if each.direction == 'in'
             for rule in from_text(each.protocol, each.port, each.source_ips)]
    users = [str(use.server.id) if use.type == 'server' else use.type for use in firewall.applied_to or ()]
    return Group(id=str(firewall.id), name=firewall.name, rules=rules, vms=users, fields=fields(firewall), native=firewall)


def key(native: Native) -> Key:
    """Map an ssh key."""
    return Key(id=str(native.id), name=native.name, public=native.public_key,
               fields=fields(native), native=native)


def network(native: Native) -> Network:
    """Map a network."""
    kept = fields(native)
    row = cast(NetworkShape, {
        'cidr': native.ip_range, 'dhcp': True, 'type': 'cloud', 'mode': 'isolated', 'plan': kept.get('plan', ''),
        'domain': kept.get('domain'), 'id': str(native.id),
        'protected': native.protection['delete'], 'expose_routes_to_vswitch': native.expose_routes_to_vswitch,
        'routes': [{'destination': route.destination, 'gateway': route.gateway} for route in native.routes or ()]})
    return Network(id=str(native.id), name=native.name, cidr=native.ip_range, row=row, fields=kept, native=native)


def record(native: Native) -> Record:
    """Map a set of records of one name and type."""
    return Record(name=native.name, type=native.type, ttl=native.ttl, values=tuple(each.value for each in native.records),
                  native=native)


def balancer(native: Native) -> Balancer:
    """Map a load balancer."""
    public, private = native.public_net, [each.ip for each in native.private_net or ()]
    return Balancer(id=str(native.id), name=native.name, ports=[service.listen_port for service in native.services],
                    ip=public.ipv4.ip if public.enabled else next(iter(private), None),
                    vms=[str(target.server.id) for target in native.targets if target.type == 'server'],
                    protocol=native.services[0].protocol if native.services else 'tcp', native=native)
