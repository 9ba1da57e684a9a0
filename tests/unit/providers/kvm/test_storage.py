"""Pools and volumes on libvirt's own pretending driver; their descriptions are checked against libvirt's schemas."""

from __future__ import annotations

import functools
import shutil
import subprocess
from pathlib import Path

import libvirt
import pytest

from kvirt.providers.kvm import Kvirt, domain
from kvirt.providers.kvm.volumes import below, volume_element

BARE = {'cloudinit': False, 'pool': 'default-pool', 'disks': [1], 'start': False}
SCHEMAS = Path('/usr/share/libvirt/schemas')

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


def test_a_volume_that_went_away_meanwhile_stands_on_nothing(kvm):
    kvm.create_disk('root', 1, pool='default-pool').expect()
    gone = kvm.get_volume('root')
    kvm.delete_disk(None, 'root', pool='default-pool').expect()
    assert below(gone) is None


def test_a_pool_that_can_not_be_read_hides_no_image(kvm, monkeypatch, caplog):
    """As libvirt has it of a pool whose folder, or server, is gone. kcli asked it for ever."""
    kvm.create_pool('broken', '/broken').expect()
    monkeypatch.setattr(kvm, 'refresh', functools.partial(_refresh, kvm.refresh))
    try:
        assert kvm.create('web', **BARE, image='absent')['error'] == 'NotFound'
        assert 'pool broken can not be read' in caplog.text
        kvm.create_disk('root', 1, pool='default-pool').expect()
        assert kvm.volumes() == ['root']
        assert kvm.delete_image('root').ok
    finally:
        kvm.delete_pool('broken').expect()


def test_a_block_device_is_grown_by_somebody_else(kvm, monkeypatch):
    kvm.create('web', **BARE).expect()
    monkeypatch.setattr(kvm, 'can_grow', lambda pool: False)
    refused = kvm.resize_disk('web', 'web_0.img', 2)
    assert refused['error'] == 'NotSupported' and 'Grow /default-pool/web_0.img on the host' in refused['reason']
    assert kvm.resize_disk('web', 'web_0.img', 1).ok


def test_what_is_told_of_a_pool_was_read_now(kvm, monkeypatch):
    read = []
    monkeypatch.setattr(kvm, 'refresh', lambda pool: read.append(pool.name()))
    kvm.info_pool('default-pool')
    assert read == ['default-pool']


def _refresh(real, pool):
    if pool.name() == 'broken':
        raise libvirt.libvirtError("cannot open directory '/broken': No such file or directory")
    real(pool)
