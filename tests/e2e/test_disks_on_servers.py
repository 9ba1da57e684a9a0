"""Disks of VMs on a real Ceph, and on a real iSCSI target, to which QEMU goes itself.

The VMs have nothing to boot: what counts is that QEMU has their disks open.
"""

from __future__ import annotations

import base64
import os
import secrets
import struct
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import libvirt
import pytest

from kvirt.providers.kvm import Kvirt
from kvirt.wait import until
from tests.e2e import tgt
from tests.e2e.ceph import POOL, USER, Ceph, ceph_on
from tests.e2e.conftest import STEM
from tests.e2e.remotehost import RemoteHost, remote_host

pytestmark = [pytest.mark.e2e, pytest.mark.xdist_group('servers')]  # one host and one Ceph serve them all

BARE: dict[str, Any] = {'virttype': 'qemu', 'cloudinit': False, 'nets': [], 'memory': 64, 'numcpus': 1, 'pool': 'ceph'}
CONTENT = os.urandom(4 * 1024**2)
SECRET = f"<secret ephemeral='no' private='yes'><usage type='ceph'><name>{USER}</name></usage></secret>"


@pytest.fixture(scope='module')
def host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RemoteHost]:
    with remote_host(tmp_path_factory.mktemp('host'), f'{STEM}{secrets.token_hex(3)}') as host:
        yield host


@pytest.fixture(scope='module')
def ceph(host: RemoteHost, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ceph]:
    with ceph_on(host, tmp_path_factory.mktemp('ceph')) as ceph:
        yield ceph


@pytest.fixture(scope='module')
def connected(host: RemoteHost, ceph: Ceph) -> Iterator[Kvirt]:
    with Kvirt(url=host.uri) as kvm:
        kvm.conn.secretDefineXML(SECRET).setValue(base64.b64decode(ceph.key))  # type: ignore[attr-defined]
        kvm.create_pool('ceph', POOL, 'rbd', overrides={'host': '127.0.0.1', 'user': USER, 'secret': USER}).expect()
        yield kvm


@pytest.fixture
def kvm(connected: Kvirt, ceph: Ceph) -> Iterator[Kvirt]:
    """The provider; after a test nothing may be there, on Ceph nor in the folder."""
    yield connected
    left = [row['name'] for row in connected.list()], ceph.volumes(), list(connected.list_disks())
    for row in connected.list():
        connected.delete(row['name'])
    for name in ceph.volumes():
        ceph.run('rbd', 'snap', 'purge', f'{POOL}/{name}')
        ceph.run('rbd', 'rm', f'{POOL}/{name}')
    assert left == ([], [], [])


@pytest.fixture
def image(host: RemoteHost, connected: Kvirt) -> Iterator[str]:
    """An image in a folder of the host, in a format that Ceph does not know."""
    file = host.folder / 'var/lib/libvirt/images/base.qcow2'
    raw = host.folder / 'raw'
    raw.write_bytes(CONTENT)
    os.truncate(raw, 64 * 1024**2)
    subprocess.run(['qemu-img', 'convert', '-O', 'qcow2', raw, file], check=True)
    connected.refresh_all()
    yield 'base.qcow2'
    file.unlink()
    connected.refresh_all()


def content(ceph: Ceph, volume: str) -> bytes:
    """What Ceph has at the beginning of a volume."""
    words = ceph.words('rbd', 'export', '--no-progress', f'{POOL}/{volume}', '-')
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as export:
        assert export.stdout is not None
        found = export.stdout.read(len(CONTENT))
        export.kill()
    return found


def parent(ceph: Ceph, volume: str) -> str | None:
    lines = [line.split() for line in ceph.run('rbd', 'info', f'{POOL}/{volume}').splitlines()]
    return next((line[1] for line in lines if line and line[0] == 'parent:'), None)


def test_a_vm_lives_on_ceph(kvm: Kvirt, ceph: Ceph, image: str) -> None:
    settings = {**BARE, 'cloudinit': True, 'nokeys': True, 'image': image}
    kvm.create('web', **settings, disks=[1, {'size': 1, 'serial': 'S1', 'interface': 'scsi'}]).expect()
    assert ceph.volumes() == ['web_0.img', 'web_1.img']
    assert kvm.info('web')['status'] == 'running'
    assert [(disk['device'], disk['path'], disk['size'], disk['format']) for disk in kvm.info('web')['disks']] == [
        ('vda', 'vms/web_0.img', 1, 'raw'), ('sda', 'vms/web_1.img', 1, 'raw')]
    rows = kvm.list_disks()
    assert {name: (row['pool'], row['vms']) for name, row in rows.items()} == {
        name: ('ceph', ['web']) for name in ('web_0.img', 'web_1.img')}
    assert kvm.find_volume('web.iso', 'default') is not None, 'libvirt can write a seed there, and not on Ceph'

    kvm.resize_disk('web', 'vda', 2).expect()
    assert kvm.info('web')['disks'][0]['size'] == 2
    added = kvm.add_disk('web', 1).expect()
    assert (added['device'], added['path']) == ('vdc', 'vms/web_2.img'), 'vdb is the seed'
    assert len(kvm.info('web')['disks']) == 3
    for refused in (kvm.delete_disk(None, 'web_2.img'), kvm.delete_image('web_0.img'), kvm.clone('web', 'copy'),
                    kvm.create('other', **BARE, disks=[{'existing': 'web_0.img', 'pool': 'ceph'}])):
        assert refused['error'] == 'Conflict', refused
    for external, why in ((None, 'is no file'), (False, 'is raw'), (True, 'is no file')):
        refused = kvm.create_snapshot('first', 'web', external=external)
        assert refused['error'] == 'NotSupported' and why in refused['reason'], refused

    kvm.stop('web').expect()
    assert content(ceph, 'web_0.img') == CONTENT
    assert [disk['size'] for disk in kvm.info('web')['disks']] == [2, 1, 1]
    kvm.resize_disk('web', 'vdc', 3).expect()
    kvm.delete_disk('web', 'web_2.img').expect()
    kvm.detach_disks('web').expect()
    assert ceph.volumes() == ['web_0.img', 'web_1.img']
    kvm.add_disk('web', existing='web_1.img', pool='ceph').expect()
    assert kvm.delete('web').expect()['kept'] == ['web_1.img']
    kvm.delete_disk(None, 'web_1.img').expect()


def test_clones_on_ceph(kvm: Kvirt, ceph: Ceph, image: str) -> None:
    kvm.create_disk('base.raw', 1, 'ceph', image=image).expect()
    kvm.create('thin', **BARE, image='base.raw', start=False).expect()
    kvm.create('thick', **BARE, image='base.raw', start=False, diskthin=False).expect()
    assert (parent(ceph, 'thin_0.img') or '').startswith('vms/base.raw@') and parent(ceph, 'thick_0.img') is None
    refused = kvm.create('above', **BARE, image='thin_0.img')
    assert refused['error'] == 'Conflict' and 'no image' in refused['reason']
    refused = kvm.delete_image('base.raw')
    assert refused['error'] == 'Conflict' and 'thin clones' in refused['reason'], refused
    kvm.clone('thin', 'copy').expect()
    assert parent(ceph, 'copy_0.img') is None, 'else the VM could not be deleted before its clone'
    kvm.delete('thin').expect()
    kvm.start('copy').expect()
    kvm.stop('copy').expect()
    assert kvm.export('copy', 'golden').expect()['image'] == 'golden.raw'
    for volume in ('copy_0.img', 'thick_0.img', 'golden.raw'):
        assert content(ceph, volume) == CONTENT, volume
    assert 'golden.raw' in kvm.volumes()
    ceph.run('rbd', 'snap', 'create', f'{POOL}/copy_0.img@backup')
    refused = kvm.delete('copy')
    assert refused['error'] == 'Conflict' and 'snapshots' in refused['reason'] and kvm.exists('copy')
    ceph.run('rbd', 'snap', 'purge', f'{POOL}/copy_0.img')
    for name in ('copy', 'thick'):
        kvm.delete(name).expect()
    for name in ('base.raw', 'golden.raw'):
        kvm.delete_image(name).expect()


def test_what_another_host_made_there_stays(kvm: Kvirt, ceph: Ceph, image: str) -> None:
    kvm.create_disk('base.raw', 1, 'ceph', image=image).expect()
    for name, settings in (('empty', {'disks': [1]}), ('clone', {'image': 'base.raw'}), ('copy', {'image': image})):
        ceph.run('rbd', 'create', f'{POOL}/{name}_0.img', '--size', '7M')  # libvirt does not know of it
        refused = kvm.create(name, **BARE, **settings)
        assert refused['error'] == 'AlreadyExists', refused
        assert not kvm.exists(name)
        assert 'size 7 MiB' in ceph.run('rbd', 'info', f'{POOL}/{name}_0.img')
        kvm.refresh_all()
        kvm.delete_disk(None, f'{name}_0.img', 'ceph').expect()
    kvm.delete_image('base.raw').expect()


def test_a_copy_that_fails_leaves_nothing(kvm: Kvirt, host: RemoteHost, image: str) -> None:
    with (host.folder / 'var/lib/libvirt/images' / image).open('r+b') as file:
        file.seek(40)
        first = struct.unpack('>Q', file.read(8))[0]
        file.seek(first)
        file.write(struct.pack('>Q', 1 << 63 | 0x10200))  # the table of clusters is where none can be
    for refused in (kvm.create('web', **BARE, image=image), kvm.create_disk('base.raw', 1, 'ceph', image=image)):
        assert not refused.ok and 'could not copy' in refused['reason'], refused


CREATE = """
import sys
from kvirt.providers.kvm import Kvirt
Kvirt(url=sys.argv[1]).create('big', virttype='qemu', cloudinit=False, nets=[], pool='ceph', image='big.raw')
"""


def test_a_copy_ends_with_who_asked_for_it(kvm: Kvirt, ceph: Ceph, host: RemoteHost) -> None:
    file = host.folder / 'var/lib/libvirt/images/big.raw'
    file.write_bytes(os.urandom(32 * 1024**2) * 8)
    kvm.refresh_all()
    with subprocess.Popen([sys.executable, '-c', CREATE, host.uri]) as maker:
        until(lambda: any(row['name'].startswith('kvirt-copy-') for row in kvm.list()), what='a copy', timeout=60,
              interval=0.05)
        maker.kill()
    until(lambda: [row['name'] for row in kvm.list()] == ['big'], what='its end', timeout=30, interval=0.1)
    assert ceph.volumes() == ['big_0.img'] and [row['name'] for row in kvm.list_orphans()] == ['big']
    kvm.delete_orphans().expect()
    file.unlink()
    kvm.refresh_all()


def test_what_can_not_be_on_ceph_is_refused(kvm: Kvirt, ceph: Ceph, tmp_path: Path) -> None:
    (tmp_path / 'some.iso').write_bytes(b'x' * 512)
    ceph.run('rbd', 'create', f'{POOL}/cd.iso', '--size', '1M')
    for refused, fragment in (
            (kvm.add_image(f'file://{tmp_path}/some.iso', 'ceph'), 'can not write an image'),
            (kvm.create('web', **BARE, disks=[{'size': 1, 'format': 'qcow2'}]), 'raw'),
            (kvm.create('web', **BARE, disks=[1], iso='cd.iso'), 'a drive takes'),
            (kvm.delete_pool('ceph', full=True), 'other hosts')):
        assert not refused.ok and fragment in refused['reason'], refused
    assert ceph.volumes() == ['cd.iso'] and kvm.list() == []
    kvm.get_volume('cd.iso', 'ceph').delete()


def test_the_wrong_secret_is_told(kvm: Kvirt, ceph: Ceph, host: RemoteHost) -> None:
    with libvirt.open(host.uri) as conn:
        secret = conn.secretDefineXML(SECRET.replace(USER, 'wrong'))
        secret.setValue(base64.b64decode(ceph.run('ceph-authtool', '--gen-print-key')))
        settings = {'host': '127.0.0.1:6789', 'user': USER, 'secret': 'wrong'}
        refused = kvm.create_pool('other', POOL, 'rbd', overrides=settings)
        assert not refused.ok and 'monitor' in refused['reason'], refused
        assert 'other' not in kvm.list_pools()
        secret.undefine()


@pytest.fixture
def luns(kvm: Kvirt, host: RemoteHost, tmp_path: Path) -> Iterator[str]:
    """A pool of the disks of an iSCSI target."""
    secret = f"<secret ephemeral='no' private='yes'><usage type='iscsi'><target>{tgt.USER}</target></usage></secret>"
    kvm.conn.secretDefineXML(secret).setValue(tgt.PASSWORD.encode())  # type: ignore[attr-defined]
    settings = {'host': '127.0.0.1', 'user': tgt.USER, 'secret': tgt.USER, 'initiator': 'iqn.2013-06.com.example:host'}
    with tgt.target_on(host, tmp_path):
        kvm.create_pool('luns', tgt.TARGET, 'iscsi-direct', overrides=settings).expect()
        yield 'luns'
        kvm.delete_pool('luns').expect()


def test_a_vm_has_disks_of_an_iscsi_target(kvm: Kvirt, luns: str) -> None:
    shared = {'existing': tgt.SECOND, 'pool': luns, 'shareable': True}
    kvm.create('web', **BARE, disks=[{'existing': tgt.FIRST, 'pool': luns}, shared]).expect()
    assert [(disk['device'], disk['path'], disk['size'], disk['format']) for disk in kvm.info('web')['disks']] == [
        ('vda', f'{luns}/{tgt.FIRST}', 1, 'raw'), ('vdb', f'{luns}/{tgt.SECOND}', 1, 'raw')]
    kvm.create('db', **BARE, disks=[shared]).expect()
    rows = kvm.list_disks()
    assert (rows[tgt.FIRST]['vms'], rows[tgt.SECOND]['vms']) == (['web'], ['db', 'web'])
    assert kvm.add_disk('db', existing=tgt.FIRST, pool=luns)['error'] == 'Conflict'
    for name in ('web', 'db'):
        kvm.stop(name).expect()
    assert [disk['size'] for disk in kvm.info('web')['disks']] == [1, 1]
    for refused in (kvm.delete_disk('web', 'vda'), kvm.clone('web', 'copy'), kvm.resize_disk('web', 'vda', 2),
                    kvm.create_snapshot('first', 'web'), kvm.export('web'), kvm.create_disk('new', 1, luns),
                    kvm.create('new', **{**BARE, 'pool': luns}, disks=[1])):
        assert refused['error'] == 'NotSupported', refused
    assert len(kvm.info('web')['disks']) == 2, 'what is refused changes nothing'
    kvm.detach_disks('web').expect()
    kvm.add_disk('web', existing=tgt.SECOND, pool=luns, shareable=True).expect()
    assert kvm.delete('web').expect()['kept'] == [tgt.FIRST, tgt.SECOND]
    assert kvm.delete('db').expect()['kept'] == [tgt.SECOND]
