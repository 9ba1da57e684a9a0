"""Pools and volumes on libvirt's own pretending driver; their descriptions are checked against libvirt's schemas."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from kvirt.errors import InvalidInput, NotSupported
from kvirt.providers.kvm import Kvirt, domain
from kvirt.providers.kvm.pools import pool_element
from kvirt.providers.kvm.storage import volume_element

BARE = {'cloudinit': False, 'pool': 'default-pool', 'disks': [1], 'start': False}
SCHEMAS = Path('/usr/share/libvirt/schemas')

POOLS = {
    'dir': ('/srv/a & b', 'dir', {}),
    'lvm': ('vg0', 'lvm', {}),
    'zfs': ('tank/vms', 'zfs', {}),
    'netfs': ('/export/vms', 'netfs', {'host': 'nas.example.com', 'format': 'nfs'}),
    'netfs-elsewhere': ('/export/vms', 'netfs', {'host': 'fd00::1', 'target': '/mnt/vms'}),
    'iscsi': ('iqn.2013-06.com.example:disk', 'iscsi', {
        'host': '10.0.0.5', 'port': 3261, 'user': 'me', 'secret': 'iscsi-me',
        'initiator': 'iqn.2013-06.com.example:host'}),
    'rbd': ('vms', 'rbd', {'host': 'mon1:6789, mon2:6789', 'user': 'libvirt',
                           'secret': '2ec115d7-3a88-3ceb-bc12-0ac909a6fd87'})}


def validate(schema: str, text: str) -> None:
    if (SCHEMAS / schema).exists() and shutil.which('xmllint'):
        subprocess.run(['xmllint', '--noout', '--relaxng', str(SCHEMAS / schema), '-'], input=text, text=True, check=True,
                       capture_output=True)


@pytest.fixture
def kvm():
    with Kvirt(url='test:///default') as provider:
        yield provider
        for row in provider.list():
            if row['name'] != 'test':
                provider.delete(row['name']).expect()
        for name, row in provider.list_disks().items():
            provider.delete_disk(None, name, pool=row['pool']).expect()


@pytest.mark.parametrize('case', POOLS)
def test_pools(case, golden):
    path, pooltype, settings = POOLS[case]
    text = domain.to_text(pool_element('lab', path, pooltype, None, settings))
    golden(f'{case}.pool', text)
    validate('storagepool.rng', text)


@pytest.mark.parametrize(('path', 'pooltype', 'settings', 'fragment'), [
    ('/a', 'dri', {}, "did you mean 'dir'"), ('a', 'dir', {}, 'absolute'), (None, 'dir', {}, 'needs a path'),
    ('/a', 'dir', {'host': 'x'}, "'host' means nothing"), ('/a', 'netfs', {}, 'needs a host'),
    ('/a', 'netfs', {'host': 'x', 'target': 'rel'}, 'absolute'),
    ('/a', 'netfs', {'host': 'x', 'format': 'ext4'}, 'no format'),
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


def test_disks_on_ceph_are_refused_before_anything_is_made(kvm):
    path, pooltype, settings = POOLS['rbd']
    kvm.create_pool('ceph', path, pooltype=pooltype, overrides=settings).expect()
    refused = kvm.create('web', **{**BARE, 'pool': 'ceph'})
    assert refused['error'] == 'NotSupported' and 'Ceph' in refused['reason']
    assert not kvm.exists('web')
    kvm.delete_pool('ceph').expect()


@pytest.mark.parametrize(('thin', 'form', 'case'), [(True, None, 'thin'), (False, None, 'full'), (True, 'raw', 'thin-raw'),
                                                    (False, 'qcow2', 'full-qcow2')])
def test_volumes(kvm, thin, form, case, golden):
    pool = kvm.pool('default-pool')
    chosen = kvm.format_of(pool, thin, False, form)
    text = domain.to_text(volume_element('web_1.img', 1024**3, chosen, allocation=0 if thin else 1024**3))
    golden(f'{case}.volume', text)
    validate('storagevol.rng', text)


@pytest.mark.parametrize(('overrides', 'fragment'), [
    ({'chace': 'none'}, "did you mean 'cache'"), ({'cache': 'nnoe'}, "did you mean 'none'"), ({'format': 'vmdk'}, 'vmdk'),
    ({'discard': 'yes'}, 'discard'), ({'wwn': 'x'}, 'world wide name'), ({'serial': '"'}, 'serial')])
def test_settings_of_disks_that_can_not_be(kvm, overrides, fragment):
    kvm.create('web', **BARE).expect()
    refused = kvm.add_disk('web', 1, overrides=overrides)
    assert refused['error'] == 'InvalidInput' and fragment in refused['reason'], refused
    assert len(kvm.info('web')['disks']) == 1
    assert list(kvm.list_disks()) == ['web_0.img']


def test_a_shared_disk_is_raw(kvm):
    kvm.create('web', **BARE).expect()
    for overrides, thin in (({'format': 'qcow2'}, True), ({'format': 'qcow2'}, False)):
        refused = kvm.add_disk('web', 1, thin=thin, shareable=True, overrides=overrides)
        assert refused['error'] == 'InvalidInput' and 'raw' in refused['reason']
    kvm.create_disk('data', 1, pool='default-pool').expect()
    refused = kvm.add_disk('web', existing='data', pool='default-pool', shareable=True)
    assert refused['error'] == 'InvalidInput' and 'raw' in refused['reason']


def test_what_is_the_root_of_a_thin_clone_is_not_deleted(kvm):
    kvm.create_disk('root', 1, pool='default-pool').expect()
    kvm.create_disk('clone', 2, pool='default-pool', image='root').expect()
    for refused in (kvm.delete_disk(None, 'root'), kvm.delete_image('root')):
        assert refused['error'] == 'Conflict' and 'clone' in refused['reason']
    kvm.delete_disk(None, 'clone').expect()
