"""What reaches what: guests on two routed networks, between which the host routes, and a card on one without a way out."""

from __future__ import annotations

import itertools
import json
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from kvirt.config import Kconfig
from kvirt.spec import VmSpec

from .conftest import IMAGE, Leftovers
from .test_guest import kvirt

pytestmark = [pytest.mark.e2e, pytest.mark.minutes(2)]

PLAN = """\
parameters: {prefix: x, image: x, left: x, right: x, apart: x}
{{ prefix }}-left: {type: network, cidr: {{ left }}, forward_mode: routed, domain: {{ prefix }}.test}
{{ prefix }}-right: {type: network, cidr: {{ right }}, forward_mode: routed}
{{ prefix }}-apart: {type: network, cidr: {{ apart }}, nat: false}
{{ prefix }}-a: {image: {{ image }}, memory: 256, numcpus: 1, nets: [{{ prefix }}-left, {{ prefix }}-apart]}
{{ prefix }}-b: {image: {{ image }}, memory: 256, numcpus: 1, nets: [{{ prefix }}-right]}
"""
TRIED = """\
tried() { "$@" >/dev/null 2>&1 && echo reached || echo cut; }
apart() { sudo ip netns exec apart "$@"; }
echo "over the host: $(tried ping -c 1 -W 4 %(b)s)"
echo "lease: $(ip -4 -o addr show to %(inner)s | wc -l)"
echo "ways out: $(ip -4 route show default | grep -o 'via [0-9.]*' | sort -u)"
echo "name: $(getent hosts there.%(zone)s | cut -d' ' -f1)"
card=$(ip -o route show %(apart)s | grep -o 'dev [^ ]*' | cut -d' ' -f2)
sudo ip netns add apart
sudo ip link set "$card" netns apart
apart ip addr add %(inner)s/24 dev "$card"
apart ip link set "$card" up
echo "host, apart: $(tried apart ping -c 1 -W 9 %(apart_host)s)"
echo "other addresses of the host, apart: $(tried apart ping -c 1 -W 4 192.168.122.1)"
apart ip route add default via %(apart_host)s
echo "the other guest, apart: $(tried apart ping -c 1 -W 4 %(b)s)"
"""
"""What the first guest tries. It looks at its second card alone, as a guest would that has no other."""


@pytest.fixture
def lab(home: Path, prefix: str, config: Kconfig, leftovers: Leftovers) -> Iterator[dict[str, str]]:
    """The networks and the address of the second guest."""
    subprocess.run(['ssh-keygen', '-q', '-t', 'ed25519', '-N', '', '-f', str(home / 'id_ed25519')], check=True)
    taken = {row.get('cidr') for row in config.k.list_networks().values()}
    free = (cidr for third in range(120, 150) if (cidr := f'192.168.{third}.0/24') not in taken)
    found = dict(zip(('left', 'right', 'apart'), itertools.islice(free, 3), strict=True))
    config.plan(f'{prefix}-lab', inputstring=PLAN, overrides={'prefix': prefix, 'image': IMAGE, **found}).expect()
    with ThreadPoolExecutor(2) as pool:
        for ready in pool.map(lambda vm: config.wait_vm(vm, VmSpec(waittimeout=1800)), (f'{prefix}-a', f'{prefix}-b')):
            assert ready.ok, ready
    yield found
    config.delete_plan(f'{prefix}-lab').expect()
    assert leftovers.now(prefix) == set()


def test_what_reaches_what(lab: dict[str, str], config: Kconfig, home: Path, prefix: str) -> None:
    k, zone = config.k, f'{prefix}.test'
    a, b = k.ip(f'{prefix}-a'), k.ip(f'{prefix}-b')
    [inner] = [nic['ip'] for nic in k.info(f'{prefix}-a')['nets'] if nic['net'] == f'{prefix}-apart']
    assert a and b and Path('/proc/sys/net/ipv4/ip_forward').read_text().strip() == '1'

    # A name that is reserved without an address gets that of its VM; others are answered within the network as well.
    k.reserve_dns(f'{prefix}-a', domain=zone).expect()
    assert [(record['name'], record['data']) for record in k.list_dns(zone)] == [(f'{prefix}-a.{zone}', [a])]
    k.reserve_dns('there', domain=zone, ip=b).expect()
    seen = json.loads(kvirt(home, 'info', 'network', f'{prefix}-right', '-o', 'json').stdout)
    assert (seen['mode'], seen['vms']) == ('routed', [f'{prefix}-b'])

    gateway, apart_host = (lab[net].replace('.0/24', '.1') for net in ('left', 'apart'))
    words = {'b': b, 'zone': zone, 'inner': inner, 'apart': lab['apart'], 'apart_host': apart_host}
    told = kvirt(home, 'ssh', f'{prefix}-a', TRIED % words).stdout.splitlines()
    assert told == [
        'over the host: reached', 'lease: 1', f'ways out: via {gateway}', f'name: {b}', 'host, apart: reached',
        'other addresses of the host, apart: cut',  # no route leads there, for the isolated network offers none
        'the other guest, apart: cut']  # and with a route that an administrator sets the host passes nothing on
    back = kvirt(home, 'ssh', f'{prefix}-b', f'ping -c 1 -W 5 {a} >/dev/null && echo reached; ping -c 1 -W 4 {inner} '
                                             '>/dev/null || echo cut').stdout.split()
    assert back == ['reached', 'cut']
