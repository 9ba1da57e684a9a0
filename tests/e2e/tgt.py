"""An iSCSI target with two disks, in the network of a second host, for who knows the password."""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

from tests.e2e.remotehost import RemoteHost

TARGET, USER, PASSWORD = 'iqn.2013-06.com.example:disks', 'kvirt', 'twelve-or-more'
FIRST, SECOND = 'unit:0:0:1', 'unit:0:0:2'
"""What libvirt calls them."""

_PATIENCE = 30  # seconds


@contextlib.contextmanager
def target_on(host: RemoteHost, folder: Path) -> Iterator[None]:
    """Serve two disks of 64 MiB that lie in *folder*, in the network of *host*."""
    assert shutil.which('tgtd', path=f"{os.environ['PATH']}:/usr/sbin"), 'a target needs tgtd: apt install tgt'
    number = str(20000 + secrets.randbelow(12000))  # of its socket
    words = host.within('tgtd', '--foreground', '--control-port', number, '--iscsi', 'portal=127.0.0.1:3260')

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
