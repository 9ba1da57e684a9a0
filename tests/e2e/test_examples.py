"""Examples that install nothing from outside, with real guests: what each promises is tried from within."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from kvirt.config import Kconfig
from kvirt.spec import VmSpec

from .conftest import IMAGE, Leftovers
from .test_guest import kvirt

pytestmark = pytest.mark.e2e

PLANS = Path(__file__).parents[2] / 'plans'

Within = Callable[[str, str], str]


@pytest.fixture
def within(home: Path) -> Within:
    """Return a function that runs a command in a guest, and returns its output."""
    subprocess.run(['ssh-keygen', '-q', '-t', 'ed25519', '-N', '', '-f', str(home / 'id_ed25519')], check=True)

    def run(vm: str, command: str) -> str:
        return kvirt(home, 'ssh', vm, command).stdout.strip()
    return run


@pytest.fixture
def ranges(config: Kconfig) -> Iterator[str]:
    """Networks that are free on this machine, and that no other worker takes."""
    taken = {row.get('cidr') for row in config.k.list_networks().values()}
    worker = int(os.environ.get('PYTEST_XDIST_WORKER', 'gw0').removeprefix('gw'))
    return (cidr for third in range(200 + worker % 2, 250, 2) if (cidr := f'192.168.{third}.0/24') not in taken)


@pytest.fixture
def made(home: Path, prefix: str, config: Kconfig, leftovers: Leftovers) -> Iterator[Callable[..., str]]:
    """Return a function that makes an example and returns the plan's name, once all its guests are ready."""
    made: list[tuple[str, str]] = []

    def make(example: str, **parameters: str) -> str:
        name = f'{prefix}-{example.partition("-")[0]}'
        made.append((example, name))
        given = [word for key, value in {'image': IMAGE, **parameters}.items() for word in ('-P', f'{key}={value}')]
        kvirt(home, 'create', 'plan', '-f', str(PLANS / f'{example}.yml'), *given, name)
        vms = [row['name'] for row in config.k.list() if row['plan'] == name]
        with ThreadPoolExecutor(2) as pool:
            for ready in pool.map(lambda vm: config.wait_vm(vm, VmSpec(waittimeout=900)), vms):
                assert ready.ok, ready
        return name
    yield make
    for _, name in made:
        kvirt(home, 'delete', 'plan', '-y', name)
        assert leftovers.now(prefix) == set()


@pytest.mark.minutes(2)
def test_static_addresses(made: Callable[..., str], within: Within, ranges: Iterator[str]) -> None:
    cidr = next(ranges)
    plan, base = made('static-addresses', cidr=cidr, count='1'), cidr.removesuffix('.0/24')
    assert f'{base}.10/24' in within(f'{plan}-0', 'ip -4 -o addr show')
    assert f'default via {base}.1 ' in within(f'{plan}-0', 'ip route')
    assert within(f'{plan}-0', 'hostname -f') == f'{plan}-0.lab.test'
    within(f'{plan}-0', f'ping -c 1 -W 5 {base}.1')


@pytest.mark.minutes(3)
def test_a_router_between_two_networks(made: Callable[..., str], within: Within, ranges: Iterator[str]) -> None:
    left, right = next(ranges), next(ranges)
    plan = made('router', left=left, right=right)
    there = right.replace('.0/24', '.10')
    assert f"via {left.replace('.0/24', '.2')}" in within(f'{plan}-left', f'ip route get {there}')
    within(f'{plan}-left', f'ping -c 1 -W 5 {there}')
    assert within(plan, 'cat /proc/sys/net/ipv4/ip_forward') == '1'
    within(plan, 'sudo sysctl -qw net.ipv4.ip_forward=0')
    assert within(f'{plan}-left', f'ping -c 1 -W 5 {there} >/dev/null || echo cut') == 'cut'


@pytest.mark.minutes(2)
def test_a_bastion_before_a_private_network(made: Callable[..., str], within: Within, ranges: Iterator[str],
                                            config: Kconfig) -> None:
    plan = made('bastion', cidr=next(ranges), count='1')
    private = config.k.ip(f'{plan}-private-0')
    asks = f"python3 -c \"import socket; print(socket.create_connection(('{private}', 22), 10).recv(8).decode())\""
    assert within(plan, asks).startswith('SSH-2.0')
    assert within(f'{plan}-private-0', 'ip route show default') == ''  # nothing leads out
    assert 'default' in within(plan, 'ip route show default')
