"""Pools of libvirt: golden descriptions, checked against libvirt's own schema; on its pretending driver, also in plans."""

from __future__ import annotations

import logging
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from kvirt.config import Kconfig
from kvirt.errors import InvalidInput, NotSupported
from kvirt.plan.engine import Plan
from kvirt.providers.kvm import Kvirt, domain
from kvirt.providers.kvm.pools import pool_element
from kvirt.settings import Settings

SCHEMA = Path('/usr/share/libvirt/schemas/storagepool.rng')

POOLS = {
    'dir': ('/srv/a & b', 'dir', {}),
    'lvm': ('vg0', 'lvm', {}),
    'zfs': ('tank/vms', 'zfs', {}),
    'netfs': ('/export/vms', 'netfs', {'host': 'nas.example.com', 'format': 'nfs'}),
    'netfs-elsewhere': ('/export/vms', 'netfs', {'host': 'fd00::1', 'target': '/mnt/vms'}),
    'iscsi': ('iqn.2013-06.com.example:disk', 'iscsi', {
        'host': '10.0.0.5', 'port': 3261, 'user': 'me', 'secret': 'iscsi-me',
        'initiator': 'iqn.2013-06.com.example:host'}),
    'iscsi-direct': ('iqn.2013-06.com.example:disk', 'iscsi-direct', {
        'host': '10.0.0.5', 'user': 'me', 'secret': 'iscsi-me', 'initiator': 'iqn.2013-06.com.example:host'}),
    'rbd': ('vms', 'rbd', {'host': 'mon1:6789, mon2:6789', 'user': 'libvirt',
                           'secret': '2ec115d7-3a88-3ceb-bc12-0ac909a6fd87'})}


def validate(text: str) -> None:
    if SCHEMA.exists() and shutil.which('xmllint'):
        subprocess.run(['xmllint', '--noout', '--relaxng', str(SCHEMA), '-'], input=text, text=True, check=True,
                       capture_output=True)


@pytest.fixture
def kvm():
    with Kvirt(url='test:///default') as provider:
        yield provider


@pytest.mark.parametrize('case', POOLS)
def test_pools(case, golden):
    path, pooltype, settings = POOLS[case]
    text = domain.to_text(pool_element('lab', path, pooltype, None, settings))
    golden(f'{case}.pool', text)
    validate(text)


@pytest.mark.parametrize(('path', 'pooltype', 'settings', 'fragment'), [
    ('/a', 'dri', {}, "did you mean 'dir'"), ('a', 'dir', {}, 'absolute'), (None, 'dir', {}, 'needs a path'),
    ('/a', 'dir', {'host': 'x'}, "'host' means nothing"), ('/a', 'netfs', {}, 'needs a host'),
    ('/a', 'netfs', {'host': 'x', 'target': 'rel'}, 'absolute'),
    ('/a', 'netfs', {'host': 'x', 'format': 'ext4'}, 'no format'),
    ('iqn', 'iscsi-direct', {'host': 'x'}, 'needs an initiator'),
    ('p', 'rbd', {'host': 'x', 'user': 'me'}, 'belong together'), ('p', 'rbd', {'host': 'x:y'}, 'no host with a port'),
    ('/a\x01', 'dir', {}, 'U+0001')])
def test_pools_that_can_not_be(path, pooltype, settings, fragment):
    with pytest.raises(InvalidInput, match=fragment.replace('+', r'\+')):
        pool_element('lab', path, pooltype, None, settings)


def test_thin_pools_of_lvm_are_refused():
    with pytest.raises(NotSupported, match='thin pool'):
        pool_element('lab', 'vg0', 'lvm', 'thin', {})


def test_pools_of_every_kind_are_made(kvm):
    for case, (path, pooltype, settings) in POOLS.items():
        assert kvm.create_pool(case, path, pooltype=pooltype, overrides=settings).ok, case
        assert kvm.info_pool(case)['status'] == 'running'
        assert kvm.create_pool(case, path, pooltype=pooltype, overrides=settings)['error'] == 'AlreadyExists'
    for case in POOLS:
        assert kvm.delete_pool(case).ok
    wrong = kvm.create_pool('lab', '/srv/x', overrides={'hots': 'x'})
    assert wrong['error'] == 'InvalidInput' and 'hots' in wrong['reason']
    assert 'lab' not in kvm.list_pools()


@pytest.fixture
def ceph(kvm):
    path, pooltype, settings = POOLS['rbd']
    kvm.create_pool('ceph', path, pooltype=pooltype, overrides=settings).expect()
    yield kvm
    for row in kvm.list():
        if row['name'] != 'test':
            kvm.delete(row['name']).expect()
    for name, row in kvm.list_disks().items():
        kvm.delete_disk(None, name, pool=row['pool']).expect()
    kvm.delete_pool('ceph').expect()


BARE = {'cloudinit': False, 'start': False, 'pool': 'ceph'}


def test_a_vm_on_ceph(ceph):
    ceph.create('web', **BARE, disks=[1, 1]).expect()
    disks = ceph.info('web')['disks']
    assert [(disk['path'], disk['size'], disk['format']) for disk in disks] == [
        ('vms/web_0.img', 1, 'raw'), ('vms/web_1.img', 1, 'raw')]
    assert ceph.delete('web').ok
    assert ceph.list_disks() == {}


def test_a_seed_goes_where_libvirt_can_write(ceph, monkeypatch):
    seeded = {**BARE, 'cloudinit': True, 'nokeys': True, 'disks': [1]}
    monkeypatch.setattr(ceph, 'pools', lambda: [ceph.pool('ceph')])
    refused = ceph.create('web', **seeded)
    assert refused['error'] == 'NotSupported' and 'seed' in refused['reason'] and not ceph.exists('web')


@pytest.mark.parametrize(('keywords', 'fragment'), [
    ({'disks': [{'size': 1, 'format': 'qcow2'}]}, 'holds no files'), ({'disks': [1], 'iso': 'cd.iso'}, 'a drive takes')])
def test_what_can_not_be_on_ceph_is_refused_before_anything_is_made(ceph, keywords, fragment):
    ceph.create_disk('cd.iso', 1, 'ceph').expect()
    refused = ceph.create('web', **BARE, **keywords)
    assert not refused.ok and fragment in refused['reason'], refused
    assert not ceph.exists('web') and ceph.list_disks() == {}
    ceph.delete_disk(None, 'cd.iso', pool='ceph').expect()


def test_an_image_is_not_sent_to_ceph(ceph, tmp_path):
    (tmp_path / 'base.img').write_bytes(b'x' * 512)
    refused = ceph.add_image(f'file://{tmp_path}/base.img', 'ceph')
    assert refused['error'] == 'NotSupported' and 'can not write an image' in refused['reason']


def test_not_all_of_ceph_is_deleted(ceph):
    ceph.create_disk('others', 1, 'ceph').expect()
    refused = ceph.delete_pool('ceph', full=True)
    assert refused['error'] == 'NotSupported' and 'other hosts' in refused['reason']
    assert 'others' in ceph.list_disks()


def test_disks_of_one_name_on_two_cephs_are_told_apart(ceph):
    other = {**POOLS['rbd'][2], 'host': 'mon9'}
    ceph.create_pool('ceph9', 'vms', pooltype='rbd', overrides=other).expect()
    for name, pool in (('a', 'ceph'), ('b', 'ceph9')):
        ceph.create_disk('same', 1, pool).expect()
        disk = {'existing': 'same', 'pool': pool, 'shareable': True}
        ceph.create(name, **{**BARE, 'pool': pool, 'disks': [disk]}).expect()
    found = [ceph.volume_of(ceph.persistent(ceph.domain_of(name)).disks[0]) for name in ('a', 'b')]
    assert [volume.storagePoolLookupByVolume().name() for volume in found] == ['ceph', 'ceph9']
    for name in ('a', 'b'):
        ceph.delete(name).expect()
    ceph.delete_disk(None, 'same', pool='ceph9').expect()
    ceph.delete_pool('ceph9').expect()


@pytest.mark.parametrize('case', ['iscsi', 'iscsi-direct'])
def test_a_server_makes_its_disks_itself(kvm, case):
    path, pooltype, settings = POOLS[case]
    kvm.create_pool('lun', path, pooltype=pooltype, overrides=settings).expect()
    refused = kvm.create('web', **{**BARE, 'pool': 'lun', 'disks': [1]})
    kvm.delete_pool('lun').expect()
    assert refused['error'] == 'NotSupported' and 'existing' in refused['reason'] and not kvm.exists('web')


@pytest.fixture
def config(tmp_path: Path) -> Iterator[Kconfig]:
    (tmp_path / 'config.yml').write_text('here: {type: kvm, url: "test:///default"}\n')
    with Kconfig('here', settings=Settings(tmp_path)) as config:
        yield config


def opened(config: Kconfig, text: str) -> Plan:
    return config.open_plan('shop', inputstring=text)


def described(config: Kconfig, name: str) -> dict[str, str]:
    """What libvirt knows of the source and the target of a pool."""
    root = ElementTree.fromstring(config.k.pool(name).XMLDesc())
    return {part.tag: ElementTree.canonicalize(ElementTree.tostring(part, encoding='unicode'), strip_text=True)
            for part in root if part.tag in ('source', 'target')}


@pytest.mark.parametrize('case', POOLS)
def test_a_pool_of_a_plan_is_what_create_pool_makes(config: Kconfig, case: str) -> None:
    path, pooltype, settings = POOLS[case]
    config.k.create_pool('lab', path, pooltype=pooltype, overrides=settings).expect()
    wanted = described(config, 'lab')
    config.k.delete_pool('lab').expect()
    entry = {'type': 'pool', 'path': path, 'pooltype': pooltype, **settings}
    assert opened(config, f'lab: {entry}\nlab-disk: {{type: disk, pool: lab, size: 1}}').create().ok
    assert described(config, 'lab') == wanted
    known: dict[str, Any] = dict(config.k.info_pool('lab'))
    assert 0 < known['available'] <= known['capacity'] and known['status'] == 'running'
    again = opened(config, f'lab: {entry}').create()
    assert again.ok and again.changed() == []
    config.k.delete_disk(None, 'lab-disk', pool='lab').expect()
    config.k.delete_pool('lab').expect()


@pytest.mark.parametrize(('keys', 'fragment'), [
    ('path: /x, hots: nas', "unknown key of a pool of type dir 'hots'"),
    ('path: /x, host: nas', "unknown key of a pool of type dir 'host'"),
    ('path: /x, pooltype: netfs, hots: nas', "'hots', did you mean 'host'"),
    ('path: vg0, pooltype: lmv', "unknown type of pool 'lmv', did you mean 'lvm'")])
def test_what_a_pool_can_not_have_is_told_before_anything_is_made(config: Kconfig, keys: str, fragment: str) -> None:
    with pytest.raises(InvalidInput, match=fragment) as told:
        opened(config, f'other: {{type: network, cidr: 10.9.0.0/24}}\nlab: {{type: pool, {keys}}}')
    assert 'shop:2' in str(told.value)
    assert 'other' not in config.k.list_networks() and 'lab' not in config.k.list_pools()


def test_what_kcli_passed_over_is_passed_over_where_its_plans_are(config: Kconfig, tmp_path: Path,
                                                                  caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / 'kcli_plan.yml'
    path.write_text('lab: {type: pool, path: /srv/lab, colour: red}\n')
    with caplog.at_level(logging.WARNING):
        assert config.open_plan('shop', path).create().ok
    assert "unknown key of a pool of type dir 'colour'" in caplog.text
    config.k.delete_pool('lab').expect()


def test_a_pool_whose_server_lacks_a_setting_is_not_made(config: Kconfig) -> None:
    outcome = opened(config, 'lab: {type: pool, path: /export, pooltype: netfs}').create()
    reason = outcome.failed['pool', 'lab']
    assert 'needs a host' in reason['reason'] and reason['where'] == 'shop:1'
    assert 'lab' not in config.k.list_pools()
