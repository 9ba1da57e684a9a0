"""Give the DHCP leases of a deleted VM back, as its guest would have done had it been shut down.

libvirt has no call for it; DHCPRELEASE (RFC 2131, 4.4.6) is one packet to the network's own server. That can only be sent
from the host itself, so leases of a remote host end when they expire.
"""

from __future__ import annotations

import ipaddress
import logging
import os
import struct
import xml.etree.ElementTree as ET
from collections.abc import Mapping
from typing import Any

import libvirt

log = logging.getLogger(__name__)

_COOKIE = b'\x63\x82\x53\x63'
_PORT = 67


def release_packet(lease: Mapping[str, Any], server: str) -> bytes:
    """Return the DHCPRELEASE for a lease as libvirt tells it (``mac``, ``ipaddr``, ``clientid``)."""
    mac = bytes.fromhex(lease['mac'].replace(':', ''))
    header = struct.pack('!BBBB4sHH4s4s4s4s16s64s128s', 1, 1, len(mac), 0, os.urandom(4), 0, 0,
                         ipaddress.IPv4Address(lease['ipaddr']).packed, b'', b'', b'', mac, b'', b'')
    options = b'\x35\x01\x07' + b'\x36\x04' + ipaddress.IPv4Address(server).packed
    if lease.get('clientid'):
        client = bytes.fromhex(lease['clientid'].replace(':', ''))
        options += bytes((61, len(client))) + client
    return header + _COOKIE + options + b'\xff'


def release(network: libvirt.virNetwork, macs: set[str]) -> None:
    """Release the IPv4 leases that *macs* have on *network*. What can't be released expires by itself."""
    server = _server(network)
    if server is None:
        return
    for lease in network.DHCPLeases():
        if lease['mac'] in macs and lease['type'] == libvirt.VIR_IP_ADDR_TYPE_IPV4:
            import socket
            try:
                with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
                    sender.settimeout(2)
                    sender.sendto(release_packet(lease, server), (server, _PORT))
            except OSError as error:
                log.debug('the lease of %s was not released: %s', lease['ipaddr'], error)


def _server(network: libvirt.virNetwork) -> str | None:
    for address in ET.fromstring(network.XMLDesc(0)).iterfind('ip'):
        if address.find('dhcp') is not None and address.get('family', 'ipv4') == 'ipv4':
            return address.get('address')
    return None
