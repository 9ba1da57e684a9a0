"""Disks of VMs on an iSCSI target that QEMU itself logs in to: a real one, of tgt, in the network of a second host."""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from kvirt.providers.kvm import Kvirt
from tests.e2e.conftest import STEM
from tests.e2e.remotehost import RemoteHost, remote_host

pytestmark = [pytest.mark.e2e, pytest.mark.xdist_group('iscsi')]  # one target serves them all

BARE: dict[str, Any] = {'virttype': 'qemu', 'cloudinit': False, 'nets': [], 'memory': 64, 'numcpus': 1}
TARGET, INITIATOR = 'iqn.2013-06.com.example:disks', 'iqn.2013-06.com.example:host'
USER, PASSWORD = 'kvirt', 'twelve-or-more'
SECRET = f"<secret ephemeral='no' private='yes'><usage type='iscsi'><target>{USER}</target></usage></secret>"
FIRST, SECOND = 'unit:0:0:1', 'unit:0:0:2'
_PATIENCE = 30  # seconds


@contextlib.contextmanager
def served(host: RemoteHost, folder: Path) -> Iterator[None]:
    """Serve two disks of 64 MiB in the network of *host*, to who knows the password."""
    assert shutil.which('tgtd', path=f"{os.environ['PATH']}:/usr/sbin"), 'a target needs tgtd: apt install tgt'
    number = str(20000 + secrets.randbelow(12000))  # of its socket
    words = ['ip', 'netns', 'exec', host.name, 'tgtd', '--foreground', '--control-port', number, '--iscsi',
             'portal=127.0.0.1:3260']

    def tell(*words: str) -> bool:
        done = subprocess.run(['tgtadm', '--control-port', number, '--lld', 'iscsi', *words], capture_output=True)
        return done.returncode == 0

    with (folder / 'out').open('wb') as out, subprocess.Popen(words, stdout=out, stderr=out) as daemon:
        try:
            deadline = time.monotonic() + _PATIENCE
            while not tell('--mode', 'sys', '--op', 'show'):
                assert daemon.poll() is None and time.monotonic() < deadline, (folder / 'out').read_text()
            target = ('--tid', '1')
            steps = [('--mode', 'target', '--op', 'new', *target, '--targetname', TARGET),
                     ('--mode', 'target', '--op', 'bind', *target, '--initiator-address', 'ALL'),
                     ('--mode', 'account', '--op', 'new', '--user', USER, '--password', PASSWORD),
                     ('--mode', 'account', '--op', 'bind', *target, '--user', USER)]
            for lun in ('1', '2'):
                file = folder / lun
                file.touch()
                os.truncate(file, 64 * 1024**2)
                steps.append(('--mode', 'logicalunit', '--op', 'new', *target, '--lun', lun, '--backing-store', str(file)))
            assert all(tell(*step) for step in steps), (folder / 'out').read_text()
            yield
        finally:
            daemon.kill()
            daemon.wait()
            for left in Path('/run/tgtd').glob(f'socket.{number}*'):
                left.unlink()


@pytest.fixture(scope='module')
def kvm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kvirt]:
    with remote_host(tmp_path_factory.mktemp('host'), f'{STEM}{secrets.token_hex(3)}') as host, \
            served(host, tmp_path_factory.mktemp('target')), Kvirt(url=host.uri) as kvm:
        kvm.conn.secretDefineXML(SECRET).setValue(PASSWORD.encode())  # type: ignore[attr-defined]
        settings = {'host': '127.0.0.1', 'user': USER, 'secret': USER, 'initiator': INITIATOR}
        kvm.create_pool('luns', TARGET, 'iscsi-direct', overrides=settings).expect()
        yield kvm


def test_a_vm_has_disks_of_a_target(kvm: Kvirt) -> None:
    shared = {'existing': SECOND, 'pool': 'luns', 'shareable': True}
    kvm.create('web', **BARE, disks=[{'existing': FIRST, 'pool': 'luns'}, shared]).expect()
    assert [(disk['device'], disk['path'], disk['size'], disk['format']) for disk in kvm.info('web')['disks']] == [
        ('vda', f'luns/{FIRST}', 1, 'raw'), ('vdb', f'luns/{SECOND}', 1, 'raw')]
    kvm.create('db', **BARE, disks=[shared]).expect()
    rows = kvm.list_disks()
    assert (rows[FIRST]['vms'], rows[SECOND]['vms']) == (['web'], ['db', 'web'])
    assert kvm.add_disk('db', existing=FIRST, pool='luns')['error'] == 'Conflict'
    for name in ('web', 'db'):
        kvm.stop(name).expect()
    assert [disk['size'] for disk in kvm.info('web')['disks']] == [1, 1]
    for refused in (kvm.delete_disk('web', 'vda'), kvm.clone('web', 'copy'), kvm.resize_disk('web', 'vda', 2),
                    kvm.create_snapshot('first', 'web'), kvm.export('web'), kvm.create_disk('new', 1, 'luns'),
                    kvm.create('new', **BARE, pool='luns', disks=[1])):
        assert refused['error'] == 'NotSupported', refused
    assert len(kvm.info('web')['disks']) == 2, 'what is refused changes nothing'
    kvm.detach_disks('web').expect()
    kvm.add_disk('web', existing=SECOND, pool='luns', shareable=True).expect()
    assert kvm.delete('web').expect()['kept'] == [FIRST, SECOND]
    assert kvm.delete('db').expect()['kept'] == [SECOND]
    assert kvm.list() == []
    kvm.delete_pool('luns').expect()
