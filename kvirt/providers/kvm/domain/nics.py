"""``<interface>``: https://libvirt.org/formatdomain.html#network-interfaces"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from typing import Literal
from xml.etree.ElementTree import Element

from kvirt.errors import InvalidInput
from kvirt.providers.kvm.domain.element import add

FORWARDED = 2222  # one that passt may listen on without being root


@dataclass(frozen=True)
class Nic:
    """A network card, on a libvirt ``network``, a ``bridge`` of the host, or a network of QEMU's own (``user``).

    Without ``mac`` libvirt makes one.
    """

    network: str | None = None
    bridge: str | None = None
    mac: str | None = None
    model: str = 'virtio'
    mtu: int | None = None
    queues: int | None = None
    filter: str | None = None
    user: Literal['slirp', 'passt'] | None = None
    ssh: int | None = None
    """The guest's port of ssh, which is reached from the host: for passt, and a card whose ``mac`` is known."""

    def __post_init__(self) -> None:
        if [self.network, self.bridge, self.user].count(None) != 2:
            raise ValueError('a card is on a network, on a bridge or on one of QEMU itself')


def random_mac() -> str:
    """Return a fresh MAC address in the range of QEMU and KVM."""
    return '52:54:00:' + ':'.join(f'{byte:02x}' for byte in os.urandom(3))


def loopback(mac: str) -> str:
    """Return the address of the host's loopback at which the guest with a card *mac* is reached: its own, as that is."""
    return '.'.join(['127', *(str(int(byte, 16)) for byte in mac.split(':')[3:])])


def nic_element(nic: Nic) -> Element:
    """Return the ``<interface>`` of *nic*."""
    for what, word in (('type', nic.model), ('filter', nic.filter or 'none')):
        if not re.fullmatch(r'[A-Za-z_][\w.-]*', word, re.ASCII):
            raise InvalidInput(f'nets: {word!r} is not a {what} of a network card')
    kind = 'user' if nic.user else 'bridge' if nic.bridge else 'network'
    element = Element('interface', type=kind)
    if nic.mac:
        add(element, 'mac', address=nic.mac)
    if nic.user == 'passt':
        add(element, 'backend', type='passt')
    elif not nic.user:
        add(element, 'source', **{kind: nic.bridge or nic.network})
    if nic.ssh and nic.mac:
        forward = add(element, 'portForward', proto='tcp', address=loopback(nic.mac))
        add(forward, 'range', start=FORWARDED, to=nic.ssh)
    add(element, 'model', type=nic.model)
    if nic.mtu is not None:
        if not 68 <= nic.mtu <= 65535:
            raise InvalidInput(f'nets: {nic.mtu} is not an MTU', hint='Write 68 to 65535')
        add(element, 'mtu', size=nic.mtu)
    if nic.queues is not None:
        if not 1 <= nic.queues <= 256:
            raise InvalidInput(f'nets: {nic.queues} is not a number of queues', hint='Write 1 to 256')
        add(element, 'driver', queues=nic.queues)
    if nic.filter:
        add(element, 'filterref', filter=nic.filter)
    return element
