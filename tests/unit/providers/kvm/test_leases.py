import ipaddress

from kvirt.providers.kvm.leases import release_packet

LEASE = {'mac': '52:54:00:01:02:03', 'ipaddr': '192.168.122.77', 'clientid': 'ff:00:11'}


def test_a_release_says_which_lease_of_which_server():
    packet = release_packet(LEASE, '192.168.122.1')
    assert packet[:4] == bytes((1, 1, 6, 0))  # BOOTREQUEST, Ethernet, six bytes of address, no hops
    assert ipaddress.IPv4Address(packet[12:16]) == ipaddress.IPv4Address('192.168.122.77')
    assert packet[28:34] == bytes.fromhex('525400010203')
    assert packet[236:240] == bytes.fromhex('63825363')
    assert options(packet) == {53: b'\x07', 54: bytes((192, 168, 122, 1)), 61: b'\xff\x00\x11'}


def test_a_guest_without_a_client_id_is_known_by_its_card():
    assert set(options(release_packet({**LEASE, 'clientid': None}, '192.168.122.1'))) == {53, 54}


def options(packet: bytes) -> dict[int, bytes]:
    found, rest = {}, packet[240:]
    while rest[0] != 255:
        found[rest[0]] = rest[2:2 + rest[1]]
        rest = rest[2 + rest[1]:]
    return found
