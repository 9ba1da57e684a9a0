"""The network of a guest: its cards, and what is made of them there (bonds, bridges, VLANs).

Cards are matched by MAC address, never by a guessed name. Addresses belong to what is on top of a card: to its VLAN, else
its bridge, else its bond, else the card itself.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterator, Sequence
from typing import Any, Literal

import msgspec

from kvirt.errors import InvalidInput, Problem
from kvirt.spec import NetSpec

_NAME = re.compile(r'(?!(?:all|default|lo)$)[A-Za-z0-9_][A-Za-z0-9_.-]{0,14}')  # as the kernel has it, and no option
_SEARCH = re.compile(r'[A-Za-z0-9_](?:[A-Za-z0-9_.-]{0,251}[A-Za-z0-9_])?\.?')


class Device(msgspec.Struct, frozen=True):
    """A network device of the guest. ``config`` is the one whose addresses it has, None for a part of another device."""

    name: str
    kind: Literal['ethernet', 'bond', 'bridge', 'vlan']
    mac: str
    config: NetSpec | None
    mtu: int | None = None
    parts: tuple[str, ...] = ()
    vlan: int | None = None
    renamed: bool = False


def check(cards: Sequence[NetSpec]) -> list[Problem]:
    """Return what is wrong with the cards' keywords."""
    return [Problem(message, f'nets {index}') for index, card in enumerate(cards) for message in _faults(card)] + [
        Problem(message, 'nets') for message in _clashes(cards)]


def devices(cards: Sequence[NetSpec], macs: Sequence[str]) -> list[Device]:
    """Return the devices that make up the network, each after those that it is made of."""
    if len(cards) != len(macs):
        raise InvalidInput(f'{len(cards)} network cards, but {len(macs)} MAC addresses')
    found: list[Device] = []
    bonds: dict[str, list[tuple[int, str]]] = {}
    bridges: dict[str, list[tuple[int, str]]] = {}
    tops: dict[int, str] = {}
    for index, (card, mac) in enumerate(zip(cards, macs, strict=True)):
        name = card.nic or f'nic{index}'
        part = bool(card.bond or card.bridge)
        found.append(Device(name, 'ethernet', mac.lower(), None if part or card.vlan else card, card.mtu,
                            renamed=bool(card.nic or part or card.vlan)))
        if card.bond:
            bonds.setdefault(card.bond, []).append((index, name))
        elif card.bridge:
            bridges.setdefault(_bridge(card, index), []).append((index, name))
        else:
            tops[index] = name
    for bond, members in bonds.items():
        index = members[0][0]
        card = cards[index]
        found.append(Device(bond, 'bond', macs[index].lower(), None if card.bridge or card.vlan else card, card.mtu,
                            tuple(name for _, name in members)))
        if card.bridge:
            bridges.setdefault(_bridge(card, index), []).append((index, bond))
        else:
            tops[index] = bond
    for bridge, members in bridges.items():
        members.sort()
        index = members[0][0]
        card = cards[index]
        found.append(Device(bridge, 'bridge', macs[index].lower(), None if card.vlan else card, card.mtu,
                            tuple(name for _, name in members)))
        tops[index] = bridge
    names = {device.name for device in found}
    for index, below in sorted(tops.items()):
        card = cards[index]
        if card.vlan:
            name = f'vlan{card.vlan}' if f'vlan{card.vlan}' not in names else f'vlan{card.vlan}-{index}'
            names.add(name)
            found.append(Device(name, 'vlan', macs[index].lower(), card, card.mtu, (below,), card.vlan))
    return found


def _bridge(card: NetSpec, index: int) -> str:
    """Return the name of a card's bridge: its network's, where that can name one (``default`` can't)."""
    return card.bridgename or (card.name if _NAME.fullmatch(card.name) else f'br{index}')


def addresses(card: NetSpec) -> list[str]:
    """Return the fixed addresses of a card, each with its prefix length."""
    interface = card.interface
    found = [str(interface)] if interface else []
    for vip in card.vips:
        address = ipaddress.ip_interface(vip)
        if '/' not in vip and interface is not None and interface.version == address.version:
            address = ipaddress.ip_interface(f'{vip}/{interface.network.prefixlen}')
        found.append(str(address))
    return found


def name_servers(card: NetSpec) -> list[str]:
    """Return the name servers of a card: with a fixed address and none named, its gateway is asked."""
    if card.dns:
        return list(card.dns)
    return [card.gateway] if card.ip and card.gateway else []


def families(card: NetSpec) -> tuple[bool, bool]:
    """Return if a card is configured by DHCPv4 and by DHCPv6."""
    if card.noconf:
        return False, False
    interface = card.interface
    if interface is None:
        return card.dualstack or not card.ipv6, card.dualstack or card.ipv6
    return (card.dualstack and interface.version == 6, (card.dualstack or card.ipv6) and interface.version == 4)


# cloud-init


def network_config(cards: Sequence[NetSpec], macs: Sequence[str], *, early: bool = False) -> dict[str, Any]:
    """Return the network-config, version 2.

    *early* is for a cloud-init before 22.3 that does not leave the work to netplan: it takes a device's name as given, so
    each card is renamed by its MAC address; and it writes a default route so that only net-tools understand it, so it
    gets ``gateway4`` instead. All others take the route to 0.0.0.0/0: ``to: default`` came later, ``gateway4`` is going.
    """
    config: dict[str, Any] = {'version': 2, 'ethernets': {}}
    for device in devices(cards, macs):
        settings: dict[str, Any] = {}
        if device.kind == 'ethernet':
            settings['match'] = {'macaddress': device.mac}
            if early or device.renamed:
                settings['set-name'] = device.name
        elif device.kind == 'vlan':
            settings |= {'id': device.vlan, 'link': device.parts[0]}
        else:
            # Without it the device has a MAC address of its own, and its lease could not be told from the VM's cards.
            settings |= {'interfaces': list(device.parts), 'macaddress': device.mac}
            settings['parameters'] = _PARAMETERS[device.kind]
        if device.mtu:
            settings['mtu'] = device.mtu
        settings |= _addressing(device.config, first=device.config is cards[0], early=early)
        config.setdefault(f'{device.kind}s', {})[device.name] = settings
    return config


_PARAMETERS: dict[str, dict[str, Any]] = {
    'bond': {'mode': 'active-backup', 'mii-monitor-interval': '100'},
    'bridge': {'stp': False, 'forward-delay': 0},  # at work at once, not after half a minute
}


def _addressing(card: NetSpec | None, *, first: bool, early: bool) -> dict[str, Any]:
    """Return how a device gets its addresses and name servers."""
    nothing = {'dhcp4': False, 'dhcp6': False, 'accept-ra': False, 'link-local': []}
    if card is None:
        return nothing
    if card.noconf:
        return {**nothing, 'optional': True}
    dhcp4, dhcp6 = families(card)
    settings: dict[str, Any] = {'dhcp4': dhcp4, 'dhcp6': dhcp6}
    if dhcp4:
        # A clone has its original's machine id, from which the client id would come otherwise: both would get one address.
        settings['dhcp-identifier'] = 'mac'
    fixed = addresses(card)
    if fixed:
        settings['addresses'] = fixed
    if card.interface is None:
        if not first:
            settings['optional'] = True  # a further card that nobody answers must not hold the boot up
    else:
        if card.interface.version == 4 and not dhcp6:
            settings['accept-ra'] = False  # else the boot waits 12 seconds for a router that may not be there
        if card.gateway:
            settings |= _default_route(card.gateway, early)
    servers = {'addresses': name_servers(card), 'search': [card.domain] if card.domain else []}
    if any(servers.values()):
        settings['nameservers'] = {key: value for key, value in servers.items() if value}
    return settings


def _default_route(gateway: str, early: bool) -> dict[str, Any]:
    six = ':' in gateway
    if early:
        return {'gateway6' if six else 'gateway4': gateway}
    return {'routes': [{'to': '::/0' if six else '0.0.0.0/0', 'via': gateway}]}


# faults


def _faults(card: NetSpec) -> Iterator[str]:
    for key, value in (('nic', card.nic), ('bond', card.bond), ('bridgename', card.bridgename)):
        if value is not None and not _NAME.fullmatch(value):
            yield f'{key}: {value!r} can not name a network device: up to 15 letters, digits, dots, dashes, underscores'
    if card.vlan is not None and not 1 <= card.vlan <= 4094:
        yield f'vlan: {card.vlan} is not a VLAN id, 1 to 4094'
    if card.mtu is not None and not 68 <= card.mtu <= 65535:
        yield f'mtu: {card.mtu} is out of range, 68 to 65535'
    if card.domain is not None and not _SEARCH.fullmatch(card.domain):
        yield f'domain: {card.domain!r} is not a DNS domain'
    for vip in card.vips:
        try:
            ipaddress.ip_interface(vip)
        except ValueError:
            yield f'vips: {vip!r} is not an IP address'
    if card.gateway and card.interface and card.interface.version != ipaddress.ip_address(card.gateway).version:
        yield f'gateway: {card.gateway} can not be reached from {card.interface}: IPv4 and IPv6 do not mix'


def _clashes(cards: Sequence[NetSpec]) -> Iterator[str]:
    """Yield what is wrong with cards that are each right: two of a name, and two configurations for one device."""
    names = [card.nic or f'nic{index}' for index, card in enumerate(cards)]
    names += {card.bond for card in cards if card.bond}
    names += {_bridge(card, index) for index, card in enumerate(cards) if card.bridge}
    for name in sorted({name for name in names if names.count(name) > 1}):
        yield f"two network devices have the name '{name}'"
    seen: set[str] = set()
    for index, card in enumerate(cards):
        above = [('bond', card.bond)] if card.bond else []
        above += [('bridge', _bridge(card, index))] if card.bridge and card.bond not in seen else []
        for kind, name in above:
            if name in seen and (card.ip or card.vips or card.vlan or (kind == 'bond' and card.bridge)):
                yield f"{name} is configured by its first card; a further one can't have ip, vips, vlan or bridge"
        seen |= {name for _, name in above if name}
