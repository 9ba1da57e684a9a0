"""A Ceph of one monitor and one daemon that keeps everything in memory, in the network of a second host, with cephx.

It has no manager: that one knows how full a pool is, and nothing else that a test would ask for.
"""

from __future__ import annotations

import contextlib
import shutil
import subprocess
import uuid
from collections.abc import Iterator
from pathlib import Path

from tests.e2e.remotehost import RemoteHost

MONITOR = '[v2:127.0.0.1:3300,v1:127.0.0.1:6789]'
CONF = """\
[global]
fsid = {fsid}
mon_host = {monitor}
auth_cluster_required = cephx
auth_service_required = cephx
auth_client_required = cephx
keyring = {folder}/keyring
run_dir = {folder}
admin_socket = {folder}/$name.asok
log_file = {folder}/$name.log
pid_file =
osd_pool_default_size = 1
osd_pool_default_min_size = 1
osd_crush_chooseleaf_type = 0
mon_allow_pool_size_one = true
mon_data = {folder}/mon
mon_data_avail_crit = 1
osd_data = {folder}/osd
osd_objectstore = memstore
memstore_device_bytes = 2147483648
osd_memory_target = 939524096
"""
PROGRAMS = {'ceph': 'ceph-common', 'rbd': 'ceph-common', 'ceph-authtool': 'ceph-common', 'monmaptool': 'ceph-common',
            'ceph-mon': 'ceph-mon', 'ceph-osd': 'ceph-osd'}
POOL, USER = 'vms', 'kvirt'
_PATIENCE = 60  # seconds


class Ceph:
    """What a test knows of it: ``key`` is the one of a user who may use its pool and no more."""

    def __init__(self, folder: Path, host: RemoteHost) -> None:
        self.folder, self.host, self.key = folder, host, ''
        self._daemons: list[subprocess.Popen[bytes]] = []

    def start(self) -> None:
        """Make it, with a pool and a user, and wait until the pool can be written to."""
        missing = {package for program, package in PROGRAMS.items() if not shutil.which(program)}
        assert not missing, f"Ceph needs programs that are not installed: apt install {' '.join(sorted(missing))}"
        for place in ('mon', 'osd'):
            (self.folder / place).mkdir(parents=True)
        fsid, osd = str(uuid.uuid4()), str(uuid.uuid4())
        (self.folder / 'ceph.conf').write_text(CONF.format(fsid=fsid, folder=self.folder, monitor=MONITOR))
        keyring, monmap = self.folder / 'keyring', self.folder / 'monmap'
        for name, caps in (('client.admin', ('mon', 'allow *', 'osd', 'allow *')), ('mon.', ('mon', 'allow *')),
                           ('osd.0', ('mon', 'allow profile osd', 'osd', 'allow *'))):
            granted = [word for kind, cap in zip(caps[::2], caps[1::2], strict=True) for word in ('--cap', kind, cap)]
            create = [] if keyring.exists() else ['--create-keyring']
            self.run('ceph-authtool', str(keyring), *create, '--gen-key', '--name', name, *granted)
        self.run('monmaptool', '--create', '--addv', 'a', MONITOR, '--fsid', fsid, str(monmap))
        self.run('ceph-mon', '--mkfs', '--id', 'a', '--monmap', str(monmap), '--keyring', str(keyring))
        self._daemon('ceph-mon', 'a')
        self.run('ceph', 'osd', 'new', osd, '0')
        self.run('ceph-osd', '--mkfs', '--id', '0', '--osd-uuid', osd)
        self._daemon('ceph-osd', '0')
        self.run('ceph', 'osd', 'pool', 'create', POOL, '8')
        self.run('ceph', 'auth', 'add', f'client.{USER}', 'mon', 'profile rbd', 'osd', f'profile rbd pool={POOL}')
        self.key = self.run('ceph', 'auth', 'print-key', f'client.{USER}').strip()
        self.run('rbd', 'pool', 'init', POOL)  # returns when it was written to

    def _daemon(self, program: str, name: str) -> None:
        with (self.folder / f'{program}.out').open('wb') as out:
            self._daemons.append(subprocess.Popen(self.words(program, '--foreground', '--id', name),
                                                  stdin=subprocess.DEVNULL, stdout=out, stderr=out))

    def words(self, *words: str) -> list[str]:
        """Return what runs one of Ceph's programs as its administrator."""
        return self.host.within(words[0], '--conf', f'{self.folder}/ceph.conf', *words[1:])

    def run(self, *words: str) -> str:
        """Run one of them, and return what it prints."""
        done = subprocess.run(self.words(*words), capture_output=True, text=True, timeout=_PATIENCE)
        assert done.returncode == 0, f"{' '.join(words)}: {done.stderr.strip()}"
        return done.stdout

    def volumes(self) -> list[str]:
        """Return the names of what lies in the pool."""
        return self.run('rbd', 'ls', POOL).split()

    def close(self) -> None:
        """End the daemons."""
        for daemon in reversed(self._daemons):
            daemon.kill()
            daemon.wait()


@contextlib.contextmanager
def ceph_on(host: RemoteHost, folder: Path) -> Iterator[Ceph]:
    """Give a Ceph in the network of *host* that keeps what it has in *folder*."""
    ceph = Ceph(folder, host)
    try:
        ceph.start()
        yield ceph
    finally:
        ceph.close()
