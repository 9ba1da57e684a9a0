"""Snapshots, on libvirt's own pretending driver; their descriptions are checked against libvirt's schema."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from kvirt.providers.kvm import Kvirt, domain
from kvirt.providers.kvm.snapshots import snapshot_xml

BARE = {'cloudinit': False, 'pool': 'default-pool', 'disks': [1]}
GOLDEN = Path(__file__).parent / 'golden'
SCHEMA = Path('/usr/share/libvirt/schemas/domainsnapshot.rng')


@pytest.fixture
def kvm():
    with Kvirt(url='test:///default') as provider:
        provider.create('web', **BARE).expect()
        yield provider
        provider.delete('web', snapshots=True).expect()


def test_snapshots(kvm):
    assert kvm.list_snapshots('web') == []
    assert kvm.create_snapshot('zebra', 'web').ok
    assert kvm.create_snapshot('ant', 'web').ok
    assert kvm.create_snapshot('ant', 'web')['error'] == 'AlreadyExists'
    assert kvm.list_snapshots('web') == ['zebra', 'ant']
    assert kvm.info('web')['snapshots'] == [{'snapshot': 'zebra', 'current': False}, {'snapshot': 'ant', 'current': True}]
    assert kvm.revert_snapshot('zebra', 'web').ok
    assert [each['snapshot'] for each in kvm.info('web')['snapshots'] if each['current']] == ['zebra']
    assert kvm.status('web') == 'running'
    absent = kvm.revert_snapshot('zebrra', 'web')
    assert absent['error'] == 'NotFound' and "did you mean 'zebra'" in absent['reason']
    assert kvm.delete('web')['error'] == 'Conflict'
    assert kvm.delete_snapshot('ant', 'web').ok
    assert kvm.delete_snapshot('ant', 'web')['error'] == 'NotFound'
    assert kvm.list_snapshots('web') == ['zebra']
    assert kvm.create_snapshot('a/b', 'web')['error'] == 'InvalidInput'


def test_both_kinds_are_not_mixed(kvm):
    assert kvm.create_snapshot('first', 'web', external=False).ok
    mixed = kvm.create_snapshot('second', 'web', external=True)
    assert mixed['error'] == 'Conflict' and 'internal' in mixed['reason']
    assert kvm.list_snapshots('web') == ['first']


def test_a_platform_with_one_kind_says_so(tmp_path):
    from kvirt.providers.fake import Kfake
    with Kfake(state=str(tmp_path / 'state')) as fake:
        assert fake.create_snapshot('first', 'web', external=True)['error'] == 'NotSupported'


VIEW = domain.read((GOLDEN / 'disks.xml').read_text())


@pytest.mark.parametrize(('case', 'files', 'view'), [
    ('snapshot-internal', {}, None), ('snapshot-external', {'vda': '/var/lib/libvirt/images/web_vda.<&>.img'}, VIEW)])
def test_descriptions(case, files, view, golden):
    text = snapshot_xml('before', files, view)
    golden(f'{case}.snapshot', text)
    if SCHEMA.exists() and shutil.which('xmllint'):
        subprocess.run(['xmllint', '--noout', '--relaxng', str(SCHEMA), '-'], input=text, text=True, check=True,
                       capture_output=True)
