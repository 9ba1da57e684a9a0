from __future__ import annotations

import json
from pathlib import Path

import yaml

from .conftest import KEY, Run

PLAN = """\
parameters:
  workers: 2
net1:
  type: network
  cidr: 10.9.0.0/24
{% for number in range(workers) %}
web-{{ number }}:
  image: debian12
  nets: [net1]
  cmds: ['echo I am {{ number }}']
{% endfor %}
"""


def test_what_a_vm_would_be_told(kvirt: Run, home: Path) -> None:
    words = ('create', 'vm-data', '-i', 'debian12', '-P', f'keys=["{KEY}"]', '-P', 'cmds=["echo hello {{ name }}"]',
             '-P', 'nets=[{name: default, ip: 192.168.122.9, netmask: 24}]', 'web')
    told = json.loads(kvirt(*words, '-o', 'json').out)
    assert (told['name'], told['kind']) == ('web', 'cloudinit')
    assert told['userdata'].startswith('#cloud-config\n')
    data = yaml.safe_load(told['userdata'])
    assert 'echo hello web' in str(data) and KEY in str(data) and 'PRIVATE KEY' not in told['userdata']
    assert '192.168.122.9/24' in told['networkdata']
    shown = kvirt(*words)
    assert [line for line in shown.out.splitlines() if ' of web' in line] == [
        '# user-data of web', '# meta-data of web', '# network-config of web']
    assert kvirt('list', 'vm', '-o', 'name').out == '', 'nothing is made'


def test_secrets_are_masked(kvirt: Run) -> None:
    for form in ('table', 'json', 'yaml'):
        done = kvirt('create', 'vm-data', '-i', 'debian12', '-P', 'rootpassword=sesame-sesame', 'web', '-o', form)
        assert done.code == 0 and 'sesame-sesame' not in done.out + done.err


def test_a_guest_with_ignition(kvirt: Run) -> None:
    told = json.loads(kvirt('create', 'vm-data', '-i', 'fcos', '-P', f'keys=["{KEY}"]', 'core', '-o', 'json').out)
    assert told['kind'] == 'ignition' and 'metadata' not in told
    assert json.loads(told['userdata'])['ignition']['version']


def test_a_guest_that_is_told_nothing(kvirt: Run) -> None:
    done = kvirt('create', 'vm-data', '-i', 'debian12', '-P', 'cloudinit=false', 'web')
    assert (done.code, done.out) == (0, '') and 'told nothing' in done.err


def test_what_can_not_be_is_told_as_in_a_create(kvirt: Run) -> None:
    done = kvirt('create', 'vm-data', '-i', 'debian12', '-P', 'files=[/nowhere/at/all]', '-P', 'memory=much', 'web')
    assert done.code == 2 and 'memory' in done.err


def test_what_the_vms_of_a_plan_would_be_told(kvirt: Run) -> None:
    Path('web.yml').write_text(PLAN)
    done = kvirt('create', 'plan-data', '-f', 'web.yml', '-P', 'workers=3', 'shop', '-o', 'json')
    assert done.code == 0, done.err
    told = json.loads(done.out)
    assert [guest['name'] for guest in told] == ['web-0', 'web-1', 'web-2']
    assert all(f'I am {number}' in guest['userdata'] for number, guest in enumerate(told))
    assert kvirt('list', 'vm', '-o', 'name').out == kvirt('list', 'plan', '-o', 'name').out == ''
    Path('net.yml').write_text('net1:\n  type: network\n  cidr: 10.9.0.0/24\n')
    assert 'has no VM' in kvirt('create', 'plan-data', '-f', 'net.yml').err
