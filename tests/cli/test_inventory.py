"""VMs as Ansible's inventory: what the command prints, and what Ansible itself makes of it and of the plug-in."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from kvirt.config import Kconfig
from kvirt.filters import FIELDS
from kvirt.inventory import GROUPS, _names, hosts, inventory
from kvirt.providers import catalog, registry
from kvirt.version import __version__

from .conftest import ROOT, Run

ANSIBLE = shutil.which('ansible-inventory', path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")


@pytest.fixture
def shop(web: Run) -> Run:
    """VM web of no plan and db of plan shop on client lab, another web on client two."""
    for client, name, plan in (('lab', 'db', 'my-shop'), ('two', 'web', 'other')):
        done = web('-C', client, 'create', 'vm', '-i', 'debian12', '-P', 'insecure=true', '-P', f'plan={plan}', name)
        assert done.code == 0, done.err
    return web


def test_hosts_are_grouped_by_what_they_have_in_common(shop: Run) -> None:
    done = shop('list', 'inventory')
    assert (done.code, done.err) == (0, '')
    data = json.loads(done.out)
    assert data['all'] == {'hosts': ['db', 'web'],
                           'children': ['client_lab', 'image_debian12', 'plan_my_shop', 'status_running']}
    assert data['plan_my_shop'] == {'hosts': ['db']}
    assert data['client_lab'] == data['status_running'] == {'hosts': ['db', 'web']}
    assert data['_meta']['hostvars']['db'] | {
        'kvirt_name': 'db', 'kvirt_client': 'lab', 'kvirt_plan': 'my-shop', 'kvirt_image': 'debian12',
        'kvirt_status': 'running'} == data['_meta']['hostvars']['db']


def test_vms_are_chosen_and_one_can_be_shown(shop: Run) -> None:
    assert shop('list', 'inventory', '-P', 'plan=my-*', '-o', 'name').out == 'db\n'
    assert json.loads(shop('list', 'inventory', '--host', 'web').out)['kvirt_client'] == 'lab'
    assert 'kvirt_client: lab' in shop('list', 'inventory', '--host', 'web', '-o', 'yaml').out
    absent = shop('list', 'inventory', '--host', 'wep')
    assert (absent.code, absent.out) == (1, '') and "did you mean 'web'" in absent.err
    assert json.loads(shop('list', 'inventory', '-P', 'plan=none').out) == {
        '_meta': {'hostvars': {}}, 'all': {'hosts': [], 'children': []}}


def test_two_vms_of_one_name_are_told_apart(shop: Run) -> None:
    data = json.loads(shop('-C', 'all', 'list', 'inventory', '--list').out)
    assert data['all']['hosts'] == ['db', 'web.lab', 'web.two']
    assert data['client_two'] == {'hosts': ['web.two']}


def test_a_client_that_fails_fails_the_whole(shop: Run) -> None:
    done = shop('-C', 'lab,broken', 'list', 'inventory')
    assert (done.code, done.out) == (1, '')
    assert len(done.errors) == 1


def test_what_can_not_be_reached_is_nowhere(shop: Run) -> None:
    known = json.loads(shop('list', 'inventory', '--host', 'web').out)
    assert known['ansible_host'] == 'web.invalid'
    assert 'only exists on paper' in known['kvirt_unreachable']


@pytest.fixture
def reachable(shop: Run, home: Path, monkeypatch: pytest.MonkeyPatch) -> Kconfig:
    """Client lab, whose VMs can be reached as far as kvirt knows."""
    monkeypatch.setattr(registry, 'CATALOG', (
        *catalog.CATALOG, catalog.Entry('reachable', '', 'tests.cli.reachable:Kreachable')))
    path = home / 'config.yml'
    path.write_text(path.read_text().replace('type: fake', 'type: reachable'))
    return Kconfig('lab')


def test_hosts_tell_how_they_are_reached(reachable: Kconfig) -> None:
    with reachable as config:
        assert config.k.stop('db').ok
        db, web = hosts([config])
        assert config.k.update_metadata('db', 'owner', "{{ lookup('pipe', 'id') }}").ok
        assert config.k.update_metadata('web', 'owner', 'ann').ok
        hostile, plain = hosts([config])
        known = config.k.info('web')
    assert web.variables['ansible_host'] == known['ip'] and web.variables['ansible_user'] == 'debian'
    assert 'StrictHostKeyChecking=no' in web.variables['ansible_ssh_common_args']  # it was made with insecure: true
    assert 'kvirt_unreachable' not in web.variables
    assert db.variables['ansible_host'] == 'db.invalid' and 'no address' in db.variables['kvirt_unreachable']
    assert 'status_stopped' in db.groups
    assert plain.variables['kvirt_owner'] == 'ann'
    assert 'kvirt_owner' not in hostile.variables, 'a template of a VM would be carried out by Ansible'


def test_groups_are_made_of_what_is_wanted(shop: Run) -> None:
    with Kconfig('lab') as config:
        assert set(inventory(hosts([config], {'name': 'db'}, group_by=['plan']))) == {'_meta', 'all', 'plan_my_shop'}


def test_names_that_other_programs_gave_are_told_apart_too() -> None:
    known = [{'name': name, 'client': client, 'id': str(number)} for number, (name, client) in enumerate([
        ('a b', 'lab'), ('web', 'lab'), ('web', 'lab'), ('web', 'two'), ("{{ lookup('pipe', 'id') }}", 'lab')])]
    assert _names(known) == ['a_b', 'web.lab.1', 'web.lab.2', 'web.two', '___lookup__pipe____id_____']


# Ansible itself


def test_the_collection_keeps_up_with_the_library() -> None:
    folder = ROOT / 'extras' / 'ansible'
    assert yaml.safe_load((folder / 'galaxy.yml').read_text())['version'] == __version__
    text = (folder / 'plugins' / 'inventory' / 'kvirt.py').read_text().split('"""')[3]
    options = yaml.safe_load(text)['options']
    assert options['group_by']['choices'] == options['group_by']['default'] == list(GROUPS)
    assert all(field in options['filters']['description'] for field in FIELDS)


def ansible(source: Path, home: Path, **env: str) -> Any:
    """Return what Ansible reads of an inventory."""
    if ANSIBLE is None:
        pytest.skip('ansible-inventory is not installed: pip install ansible-core')
    done = subprocess.run([ANSIBLE, '-i', str(source), '--list'], capture_output=True, text=True, timeout=60, env={
        **os.environ, 'PYTHONPATH': str(ROOT), 'PATH': f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        'ANSIBLE_HOME': str(home / 'ansible'), 'ANSIBLE_INVENTORY_UNPARSED_FAILED': 'true', 'LC_ALL': 'C.UTF-8', **env})
    return json.loads(done.stdout) if done.returncode == 0 else done.stderr


@pytest.fixture
def collection(tmp_path: Path) -> dict[str, str]:
    """The collection, where Ansible finds it."""
    folder = tmp_path / 'collections' / 'ansible_collections' / 'kvirt'
    folder.mkdir(parents=True)
    (folder / 'kvirt').symlink_to(ROOT / 'extras' / 'ansible')
    return {'ANSIBLE_COLLECTIONS_PATH': str(tmp_path / 'collections')}


def test_ansible_reads_the_plug_in(shop: Run, home: Path, tmp_path: Path, collection: dict[str, str]) -> None:
    source = tmp_path / 'kvirt.yml'
    source.write_text('plugin: kvirt.kvirt.kvirt\nclients: [lab, two]\ngroup_by: [plan, client]\n'
                      'keyed_groups: [{key: kvirt_location, prefix: in}]\n')
    data = ansible(source, home, **collection)
    assert isinstance(data, dict), data
    assert set(data['all']['children']) == {'ungrouped', 'client_lab', 'client_two', 'plan_my_shop', 'plan_other',
                                            'in_lisbon'}
    assert data['client_lab'] == {'hosts': ['db', 'web.lab']} and data['plan_other'] == {'hosts': ['web.two']}
    assert data['_meta']['hostvars']['db']['kvirt_image'] in ('debian12', {'__ansible_unsafe': 'debian12'})


def test_the_plug_in_takes_one_client_and_a_plan(shop: Run, home: Path, tmp_path: Path,
                                                 collection: dict[str, str]) -> None:
    source = tmp_path / 'kvirt.yml'
    source.write_text('plugin: kvirt.kvirt.kvirt\nclient: lab\nplan: my-shop\n')
    data = ansible(source, home, **collection)
    assert isinstance(data, dict), data
    assert list(data['_meta']['hostvars']) == ['db']
    source.write_text('plugin: kvirt.kvirt.kvirt\nclient: nowhere\n')
    assert "client 'nowhere' does not exist" in ansible(source, home, **collection)


def test_ansible_reads_a_script_of_one_line(shop: Run, home: Path, tmp_path: Path) -> None:
    source = tmp_path / 'inventory'
    source.write_text(f'#!/bin/sh\nexec {sys.executable} -m kvirt list inventory "$@"\n')
    source.chmod(0o755)
    data = ansible(source, home)
    assert isinstance(data, dict), data
    assert data['plan_my_shop'] == {'hosts': ['db']}
    assert data['_meta']['hostvars']['web']['kvirt_status'] == 'running'
