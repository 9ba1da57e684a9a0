"""A guest's network as files of NetworkManager, or of systemd-networkd, for guests that know no network-config.

Nothing is written for a network that is DHCP on plain cards: that is what these systems do by themselves.

https://networkmanager.dev/docs/api/latest/nm-settings-keyfile.html
https://www.freedesktop.org/software/systemd/man/latest/systemd.network.html
"""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Sequence

from kvirt.errors import NotSupported
from kvirt.guest.content import GuestFile
from kvirt.guest.network import Device, addresses, families, name_servers
from kvirt.spec import NetSpec

Section = tuple[str, list[tuple[str, object]]]

_KEYFILES = '/etc/NetworkManager/system-connections'
_NETWORKD = '/etc/systemd/network'


def network_manager(devices: Sequence[Device]) -> list[GuestFile]:
    """Return the keyfiles of NetworkManager for *devices*, and what gives cards their names."""
    if all(_plain(device) for device in devices):
        return []
    files = [(f'{_KEYFILES}/{device.name}.nmconnection', _connection(device, devices)) for device in devices]
    return [*_links(devices), *(GuestFile(path, _ini(sections), '0600') for path, sections in files)]


def networkd(devices: Sequence[Device]) -> list[GuestFile]:
    """Return the files of systemd-networkd for *devices*. NotSupported for what is made of cards."""
    if all(_plain(device) for device in devices):
        return []
    made = next((device for device in devices if device.kind != 'ethernet'), None)
    if made:
        raise NotSupported(f'a {made.kind} in a guest of this image is not supported', hint='Make it by a script')
    return [*_links(devices), *(GuestFile(f'{_NETWORKD}/20-{device.name}.network', _ini(_network(device)), '0644')
                                for device in devices)]


def _plain(device: Device) -> bool:
    card = device.config
    return (card is not None and device.kind == 'ethernet' and not (device.mtu or card.nic or card.noconf or card.interface
            or card.vips or card.dns or card.domain) and families(card) == (True, False))


def _links(devices: Sequence[Device]) -> list[GuestFile]:
    """Return what makes udev call a card as it was asked to be called."""
    named = [device for device in devices if device.config is not None and device.config.nic == device.name]
    return [GuestFile(f'{_NETWORKD}/10-{device.name}.link',
                      _ini([('Match', [('MACAddress', device.mac)]), ('Link', [('Name', device.name)])]), '0644')
            for device in named if device.kind == 'ethernet']


def _ini(sections: Iterable[Section]) -> bytes:
    lines = []
    for name, pairs in sections:
        lines += [f'[{name}]', *(f'{key}={value}' for key, value in pairs), '']
    return '\n'.join(lines).encode()


# NetworkManager


def _uuid(device: Device) -> str:
    return str(uuid.uuid5(uuid.NAMESPACE_OID, f'{device.name} {device.mac}'))


def _connection(device: Device, devices: Sequence[Device]) -> list[Section]:
    """Return the keyfile of a device, which is one of *devices*."""
    owner = next((each for each in devices if each.kind != 'vlan' and device.name in each.parts), None)
    connection: list[tuple[str, object]] = [('id', device.name), ('uuid', _uuid(device)), ('type', device.kind)]
    if device.kind != 'ethernet':
        connection.append(('interface-name', device.name))
    if owner is not None:
        connection += [('master', owner.name), ('slave-type', owner.kind)]
    address = 'mac-address' if device.kind == 'ethernet' else 'cloned-mac-address'
    sections: list[Section] = [('connection', connection)]
    ethernet: list[tuple[str, object]] = [] if device.kind == 'vlan' else [(address, device.mac)]
    ethernet += [('mtu', device.mtu)] if device.mtu else []
    sections += [('ethernet', ethernet)] if ethernet else []
    if device.kind == 'bond':
        sections.append(('bond', [('mode', 'active-backup'), ('miimon', 100)]))
    elif device.kind == 'bridge':
        sections.append(('bridge', [('stp', 'false')]))
    elif device.kind == 'vlan':
        below = next(each for each in devices if each.name == device.parts[0])
        sections.append(('vlan', [('id', device.vlan), ('parent', _uuid(below))]))  # a card's name is not known here
    if owner is None:
        sections += [('ipv4', _family(device.config, 4)), ('ipv6', _family(device.config, 6))]
    return sections


def _family(card: NetSpec | None, version: int) -> list[tuple[str, object]]:
    """Return how a device is configured for IPv4 or IPv6."""
    if card is None or card.noconf:
        return [('method', 'disabled')]
    fixed = [each for each in addresses(card) if _version(each) == version]
    automatic = families(card)[0 if version == 4 else 1]
    pairs: list[tuple[str, object]] = [('method', 'auto' if automatic else 'manual' if fixed else
                                        'disabled' if version == 4 else 'link-local')]
    pairs += [(f'address{number}', each) for number, each in enumerate(fixed, 1)]
    if card.interface is not None and card.gateway and _version(card.gateway) == version:
        pairs.append(('gateway', card.gateway))
    servers = [server for server in name_servers(card) if _version(server) == version]
    pairs += [('dns', f"{';'.join(servers)};")] if servers else []
    return pairs + ([('dns-search', f'{card.domain};')] if card.domain and pairs[0][1] in ('auto', 'manual') else [])


def _version(address: str) -> int:
    return 6 if ':' in address else 4


# systemd-networkd


def _network(device: Device) -> list[Section]:
    card = device.config
    match: Section = ('Match', [('MACAddress', device.mac)])
    if card is None or card.noconf:
        return [match, ('Link', [('Unmanaged', 'yes')])]
    word = {(True, True): 'yes', (True, False): 'ipv4', (False, True): 'ipv6', (False, False): 'no'}[families(card)]
    network: list[tuple[str, object]] = [('DHCP', word), *(('Address', each) for each in addresses(card))]
    if card.interface is not None:
        network += [('Gateway', card.gateway)] if card.gateway else []
        network += [('IPv6AcceptRA', 'no')] if card.interface.version == 4 and word == 'no' else []
    network += [('DNS', each) for each in name_servers(card)]
    network += [('Domains', card.domain)] if card.domain else []
    sections: list[Section] = [match, ('Network', network), ('DHCPv4', [('ClientIdentifier', 'mac')])]
    return sections + ([('Link', [('MTUBytes', device.mtu)])] if device.mtu else [])
