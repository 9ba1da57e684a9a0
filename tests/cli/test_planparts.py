from __future__ import annotations

import json
from pathlib import Path

from kvirt.guest import images
from kvirt.plan.check import ITEMS

from .conftest import Run


def test_kinds_of_entries(kvirt: Run) -> None:
    assert kvirt('list', 'plan-types', '-o', 'name').out.split() == list(ITEMS)
    known = json.loads(kvirt('info', 'type', 'network', '-o', 'json').out)
    assert known['name'] == 'network' and known['meaning'] and 'cidr' in {key['name'] for key in known['keys']}
    shown = kvirt('info', 'plan-type', 'vm')
    assert shown.out.startswith('vm: ') and 'list keyword' in shown.err
    assert "did you mean 'network'?" in kvirt('info', 'plan-type', 'netwrk').errors[0]


def test_snapshots_of_a_plan(kvirt: Run) -> None:
    Path('shop.yml').write_text('web:\n  image: debian12\n  insecure: true\ndb:\n  image: debian12\n  insecure: true\n')
    assert kvirt('create', 'plan', '-f', 'shop.yml', 'shop').code == 0
    assert kvirt('list', 'plan-snapshot', 'shop').out == ''
    assert kvirt('create', 'plan-snapshot', 'shop', 'before').code == 0
    assert kvirt('create', 'snapshot', '-n', 'web', 'later').code == 0
    rows = json.loads(kvirt('list', 'plan-snapshots', 'shop', '-o', 'json').out)
    assert {row['name']: sorted(row['vms']) for row in rows} == {'before': ['db', 'web'], 'later': ['web']}
    assert kvirt('list', 'plan-snapshot', 'shop', '-P', 'vms=db', '--short').out == 'before\n'
    assert kvirt('list', 'plan-snapshot', 'shopp').code == 1


def test_well_known_images(kvirt: Run) -> None:
    assert kvirt('list', 'available-images', '-o', 'name').out.split() == images.names()
    row = json.loads(kvirt('list', 'available-image', '-P', 'name=debian12', '-o', 'json').out)[0]
    assert (row['user'], row['kind']) == ('debian', 'cloudinit') and 'x86_64' in row['archs']
