"""A plan on the real libvirtd: made, compared, changed and deleted; killed at any time, and run again."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from kvirt.config import Kconfig
from kvirt.plan.engine import Plan

from .conftest import IMAGE, Leftovers

pytestmark = pytest.mark.e2e

PLAN = """\
parameters:
  prefix: x
  image: debian12
  cidr: 192.168.150.0/24
  folder: /tmp
  size: 2
  memory: 256
{{ prefix }}-lab: {type: network, cidr: {{ cidr }}, domain: {{ prefix }}.test}
{{ prefix }}-more: {type: pool, path: {{ folder }}}
{% for i in range(3) %}
{{ prefix }}-vm{{ i }}:
  image: {{ image }}
  start: false
  memory: {{ memory }}
  nets: [{{ prefix }}-lab]
  disks: [3, {{ size }}]
{% endfor %}
{{ prefix }}-own: {type: disk, pool: {{ prefix }}-more, size: 1, vms: [{{ prefix }}-vm0]}
{{ prefix }}-www: {type: dns, net: {{ prefix }}-lab, domain: {{ prefix }}.test, ip: {{ cidr | network_ip(9) }}}
"""


@pytest.fixture
def parameters(config: Kconfig, prefix: str, tmp_path: Path, leftovers: Leftovers) -> Iterator[dict[str, object]]:
    """Parameters with addresses that are free on this machine; the pool, which a plan leaves, is removed afterwards."""
    taken = {row.get('cidr') for row in config.k.list_networks().values()}
    cidr = next(cidr for third in random.sample(range(150, 200), 50)
                if (cidr := f'192.168.{third}.0/24') not in taken)
    folder = tmp_path / f'{prefix}-pool'
    folder.mkdir()
    tmp_path.chmod(0o755)
    yield {'prefix': prefix, 'image': IMAGE, 'cidr': cidr, 'folder': str(folder)}
    if f'{prefix}-more' in config.k.list_pools():
        config.k.delete_pool(f'{prefix}-more').expect()


@pytest.fixture
def key(home: Path) -> Path:
    path = home / 'id_ed25519'
    subprocess.run(['ssh-keygen', '-q', '-t', 'ed25519', '-N', '', '-f', str(path)], check=True)
    return path


def opened(config: Kconfig, parameters: dict[str, object], **more: object) -> Plan:
    return config.open_plan(f"{parameters['prefix']}-plan", inputstring=PLAN, overrides={**parameters, **more})


def test_the_life_of_a_plan(config: Kconfig, parameters: dict[str, object], prefix: str, key: Path,
                            leftovers: Leftovers) -> None:
    made = opened(config, parameters).create()
    assert made.ok, (made.failed, made.skipped)
    assert all(change.action == 'nothing' and not change.differences
               for change in opened(config, parameters).diff().values())
    assert opened(config, parameters).create().changed() == []
    names = {record['name']: record['data'] for record in config.k.list_dns(f'{prefix}.test')}
    assert names == {f'{prefix}-www.{prefix}.test': [str(parameters['cidr']).replace('.0/24', '.9')]}

    changed = opened(config, parameters, size=4, memory=512)
    differences = {key[1]: [(each.what, each.now, each.wanted) for each in change.differences]
                   for key, change in changed.diff().items() if change.action != 'nothing'}
    assert differences == {f'{prefix}-vm{number}': [('memory', 256, 512), ('size of disk 1', 2, 4)] for number in range(3)}
    updated = changed.update(changed.diff())
    assert updated.ok, updated.failed
    assert all(change.action == 'nothing' for change in opened(config, parameters, size=4, memory=512).diff().values())

    gone = opened(config, parameters).delete()
    assert gone.ok, gone.failed
    assert {each.partition(' ')[0] for each in leftovers.now(prefix)} <= {'pool', 'file'}


@pytest.mark.minutes(4)
@pytest.mark.xdist_group('orphans')  # what is left behind is nobody else's to look at
def test_killed_at_any_time_it_can_be_run_again(home: Path, config: Kconfig, parameters: dict[str, object], prefix: str,
                                                key: Path, tmp_path: Path) -> None:
    path = tmp_path / 'plan.yml'
    path.write_text(PLAN)
    words = [sys.executable, '-m', 'kvirt', 'create', 'plan', '-f', str(path), f'{prefix}-plan',
             *(word for name, value in parameters.items() for word in ('-P', f'{name}={value}'))]
    environment = {**os.environ, 'KVIRT_HOME': str(home)}
    begun = time.monotonic()
    subprocess.run(words, env=environment, check=True, capture_output=True, stdin=subprocess.DEVNULL)
    whole = time.monotonic() - begun
    dice = random.Random(7)
    for _ in range(20):
        for row in config.k.list():
            if row['name'].startswith(prefix) and dice.random() < 0.7:
                config.delete_vm(row['name'])
        with subprocess.Popen(words, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                              stdin=subprocess.DEVNULL) as process:
            try:
                process.wait(dice.uniform(0.2, 1.0) * whole)
            except subprocess.TimeoutExpired:
                process.send_signal(signal.SIGKILL)
    again = subprocess.run(words, env=environment, capture_output=True, text=True, stdin=subprocess.DEVNULL)
    assert again.returncode == 0, again.stderr
    plan = opened(config, parameters)
    assert all(change.action == 'nothing' for change in plan.diff().values())
    assert [orphan for orphan in config.k.list_orphans() if prefix in orphan['name']] == []
    assert {name for name in config.k.list_disks() if name.startswith(prefix)} == {
        f'{prefix}-own', *(f'{prefix}-vm{vm}_{disk}.img' for vm in range(3) for disk in range(2))}
    assert plan.delete().ok
