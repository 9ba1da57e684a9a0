"""The root directory of a Debian of another release: with its libvirt and QEMU, and nothing else of use.

It is made once by mmdebstrap, from the archive of Debian, and kept below ``/var/cache``. Whoever uses it shares a lock.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

CACHE = Path('/var/cache/kvirt-tests')
PACKAGES = ('libvirt-daemon', *(f'libvirt-daemon-driver-{driver}' for driver in (
                'interface', 'qemu', 'network', 'nodedev', 'nwfilter', 'secret', 'storage')),
            *(f'qemu-system-{arch}' for arch in ('x86', 'arm', 'ppc', 'riscv', 's390x')), 'qemu-system-modules-spice',
            'qemu-utils', 'ovmf', 'qemu-efi-aarch64', 'opensbi', 'passt', 'swtpm', 'swtpm-tools', 'virtiofsd',
            'dnsmasq-base', 'iptables', 'nftables')
OPTIONS = ('--quiet', '--variant=apt', '--format=directory', f"--include={','.join(PACKAGES)}",
           '--aptopt=APT::Install-Recommends "false"', '--dpkgopt=force-unsafe-io',
           *(f'--dpkgopt=path-exclude=/usr/share/{each}' for each in (
               'doc/*', 'locale/*', 'man/*', 'AAVMF/*.ms.fd', 'AAVMF/*.snakeoil.fd', 'AAVMF/*.strictnx.fd')))
CONTAINED = ('unshare', '--mount', '--pid', '--fork', '--kill-child')  # what is killed takes all that it began with it
PROGRAMS = {'mmdebstrap': 'mmdebstrap', 'unshare': 'util-linux'}
AS_HERE = ('Acquire::http', 'Acquire::Check-', 'Acquire::Retries')  # settings that decide if the archive can be reached
_PATIENCE = 600  # seconds


@contextlib.contextmanager
def debian_root(suite: str) -> Iterator[Path]:
    """Give the root of Debian *suite*, which nobody writes to. It is made when there is none of this description."""
    missing = {package for program, package in PROGRAMS.items() if not shutil.which(program)}
    assert not missing, f"another Debian needs programs that are not installed: apt install {' '.join(sorted(missing))}"
    assert os.getuid() == 0, 'another Debian needs root: its files are of several owners'
    CACHE.mkdir(mode=0o755, parents=True, exist_ok=True)
    root = CACHE / f"{suite}-{hashlib.sha256(repr(OPTIONS).encode()).hexdigest()[:12]}"
    with (CACHE / f'{suite}.lock').open('w') as lock:
        fcntl.flock(lock, fcntl.LOCK_SH)
        while not root.is_dir():
            fcntl.flock(lock, fcntl.LOCK_EX)  # nobody uses a root of this suite now, so older ones can go
            if not root.is_dir():
                _build(suite, root)
            fcntl.flock(lock, fcntl.LOCK_SH)
        yield root


def _build(suite: str, root: Path) -> None:
    for old in CACHE.glob(f'{suite}-*'):
        old.rename(CACHE / f'.{old.name}-old')  # who is ended while it is removed leaves nothing that looks whole
    for old in CACHE.glob(f'.{suite}-*'):
        subprocess.run(['rm', '-rf', '--one-file-system', old], check=True)
    part = Path(tempfile.mkdtemp(prefix=f'.{suite}-', dir=CACHE))
    part.chmod(0o755)
    settings = subprocess.run(['apt-config', 'dump'], capture_output=True, text=True, check=True).stdout.splitlines()
    as_here = [f'--aptopt={setting}' for setting in settings if setting.startswith(AS_HERE)]
    done = subprocess.run([*CONTAINED, 'mmdebstrap', *OPTIONS, *as_here, suite, part], capture_output=True, text=True,
                          timeout=_PATIENCE)
    assert done.returncode == 0, f'mmdebstrap does not make a Debian {suite}: {done.stderr[-2000:]}'
    part.rename(root)
