"""A hypervisor host that is itself a guest, with a kernel of its own: device mapper, NFS, iSCSI, Open vSwitch, shaping.

QEMU emulates it, without this machine's libvirt, and ssh reaches it over a port of the loopback. Its image is built from
what is in the folder ``guesthost``, booted once, and saved with its memory when all that takes long is done: from then on
it is there within seconds. What is saved is kept below ``/var/cache``, under a name that changes with what it is made of.
"""

from __future__ import annotations

import base64
import contextlib
import fcntl
import hashlib
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path

from kvirt.guest.keys import HostKey

from .debianroot import CACHE

RECIPE = Path(__file__).with_name('guesthost')
BUILD = Path(__file__).parents[2] / 'extras/guest-image/build'
QEMU = 'qemu-system-x86_64'
ADDRESS = '127.0.0.2'  # of the loopback, and yet no address that kvirt takes for this machine
MEMORY = 2048  # MiB
_PATIENCE = 300  # seconds that a first boot may take where the machine is busy


class GuestHost:
    """What a test knows of the host: how it is reached, and how a command is run there, past kvirt."""

    user = 'root'

    def __init__(self, saved: Path, folder: Path) -> None:
        self.saved, self.folder = saved, folder
        self.key, self.known_hosts = saved / 'key', folder / 'known_hosts'
        with socket.create_server((ADDRESS, 0)) as listener:
            self.port = listener.getsockname()[1]
        self._process: subprocess.Popen[bytes] | None = None
        self._ways = Path(tempfile.mkdtemp(prefix='kvirt-'))  # the name of a socket must be short

    def section(self, **changes: object) -> dict[str, object]:
        """Return the section of a client for this host."""
        return {'type': 'kvm', 'host': ADDRESS, 'port': self.port, 'user': self.user, 'keyfile': str(self.key),
                'known_hosts': str(self.known_hosts), 'virttype': 'qemu', 'cloudinit': False, **changes}

    def run(self, command: str, content: str = '', timeout: float = 120) -> str:
        """Run a command of the shell on the host, and return what it prints."""
        done = subprocess.run(self._ssh(command), input=content, capture_output=True, text=True, timeout=timeout)
        assert done.returncode == 0, f'{command}: {done.stderr.strip()}'
        return done.stdout

    def _ssh(self, command: str) -> list[str]:
        options = {'UserKnownHostsFile': self.known_hosts, 'BatchMode': 'yes', 'ConnectTimeout': 10, 'LogLevel': 'ERROR',
                   'ControlMaster': 'auto', 'ControlPath': self._ways / 'way', 'ControlPersist': 'yes'}
        return ['ssh', '-F', 'none', '-p', str(self.port), '-i', str(self.key),
                *(word for name, value in options.items() for word in ('-o', f'{name}={value}')),
                f'{self.user}@{ADDRESS}', command]

    def start(self) -> None:
        """Let the host go on where it was saved; or boot it, when it was not yet."""
        host_key = (self.saved / 'host_key.pub').read_text()
        self.known_hosts.write_text(f'[{ADDRESS}]:{self.port} {host_key}\n')
        disk, state = self.saved / 'disk.qcow2', self.saved / 'state'
        if state.exists():
            _run('qemu-img', 'create', '-q', '-f', 'qcow2', '-F', 'qcow2', '-b', str(disk), str(self.folder / 'disk'))
            disk = self.folder / 'disk'
        with (self.folder / 'more').open('wb') as more:
            more.truncate(8 * 1024**3)
        drive = 'if=virtio,cache=unsafe,discard=unmap'
        with (self.folder / 'log').open('wb') as log:
            self._process = subprocess.Popen([
                QEMU, '-nodefaults', '-display', 'none', '-monitor', 'stdio', '-machine', 'pc,accel=tcg', '-smp', '2',
                # Neither another level of page tables nor virtualization, of which an emulated CPU has no good.
                '-cpu', 'max,la57=off,svm=off', '-m', str(MEMORY), '-smbios', self._told(),
                '-drive', f'file={disk},format=qcow2,{drive}', '-drive', f'file={self.folder}/more,format=raw,{drive}',
                '-netdev', f'user,id=net,restrict=on,hostfwd=tcp:{ADDRESS}:{self.port}-:22',
                '-device', 'virtio-net-pci,netdev=net,romfile=', '-device', 'virtio-rng-pci',
                '-serial', f'file:{self.folder}/serial',
                *(['-incoming', f'exec:cat {state}'] if state.exists() else [])],
                stdin=subprocess.PIPE, stdout=log, stderr=log)
        self._await()
        self.run(f'date -s @{time.time():.0f}')  # it was asleep

    def _told(self) -> str:
        """Return what the firmware tells systemd: who may log in, and the ssh host key."""
        files = {'/root/.ssh/authorized_keys': 'key.pub', '/etc/ssh/ssh_host_ed25519_key': 'host_key'}
        lines = ['d /root/.ssh 0700 root root'] + [
            f'f+~ {path} 0600 root root - {base64.b64encode((self.saved / name).read_bytes()).decode()}'
            for path, name in files.items()]
        told = base64.b64encode('\n'.join([*lines, '']).encode()).decode()
        return f'type=11,value=io.systemd.credential.binary:tmpfiles.extra={told}'

    def _await(self) -> None:
        assert self._process is not None
        deadline = time.monotonic() + _PATIENCE
        while subprocess.run(self._ssh('true'), capture_output=True).returncode:
            said = (self.folder / 'log').read_text(errors='replace')
            assert self._process.poll() is None, f'the host ended: {said}'
            assert time.monotonic() < deadline, f'the host does not answer: {said} {self._serial()}'
            threading.Event().wait(0.2)

    def _serial(self) -> str:
        return (self.folder / 'serial').read_text(errors='replace')[-2000:]

    def save(self) -> None:
        """Write the memory of the host to a file beside its disk, and end it."""
        assert self._process is not None
        state = self.saved / 'state'
        self._hang_up()
        self._process.communicate(f'migrate_set_parameter max-bandwidth 10G\nmigrate "exec:cat >{state}"\nquit\n'.encode(),
                                  timeout=120)
        assert state.stat().st_size > 10**7, (self.folder / 'log').read_text(errors='replace')

    def _hang_up(self) -> None:
        subprocess.run([*self._ssh('-')[:-2], '-O', 'exit', ADDRESS], capture_output=True)

    def close(self) -> None:
        """End the host; nothing of it remains but what was saved."""
        self._hang_up()
        if self._process is not None:
            self._process.kill()
            self._process.communicate()
        shutil.rmtree(self._ways)
        for disk in ('disk', 'more'):
            (self.folder / disk).unlink(missing_ok=True)


@contextlib.contextmanager
def guest_host(folder: Path) -> Iterator[GuestHost]:
    """Give the host, which keeps what is written to it in *folder*. It is made when there is none of this description."""
    CACHE.mkdir(mode=0o755, parents=True, exist_ok=True)
    saved = CACHE / f'guesthost-{_made_of()}'
    with (CACHE / 'guesthost.lock').open('w') as lock:
        fcntl.flock(lock, fcntl.LOCK_SH)
        while not saved.is_dir():
            fcntl.flock(lock, fcntl.LOCK_EX)  # nobody uses a saved host now, so older ones can go
            if not saved.is_dir():
                for old in CACHE.glob('guesthost-*'):
                    old.rename(CACHE / f'.{old.name}-old')  # one half removed would look whole
                for old in CACHE.glob('.guesthost-*'):
                    shutil.rmtree(old)
                _make(saved)
            fcntl.flock(lock, fcntl.LOCK_SH)
        host = GuestHost(saved, folder)
        try:
            host.start()
            yield host
        finally:
            host.close()


def _made_of() -> str:
    parts = sorted(path for folder in (RECIPE, BUILD.parent) for path in folder.rglob('*') if path.is_file())
    digest = hashlib.sha256(_run(QEMU, '--version').encode())
    for path in [Path(__file__), *parts]:
        digest.update(path.name.encode() + path.read_bytes())
    return digest.hexdigest()[:12]


def _make(saved: Path) -> None:
    new = Path(tempfile.mkdtemp(prefix='.guesthost-', dir=CACHE))
    _run('ssh-keygen', '-q', '-t', 'ed25519', '-N', '', '-f', str(new / 'key'))
    host_key = HostKey.generate()
    (new / 'host_key').write_text(host_key.private)
    (new / 'host_key.pub').write_text(host_key.public)
    _run(sys.executable, str(BUILD), '--output', str(new / 'disk.qcow2'), '--suite', 'trixie', '--size', '3G',
         '--packages', str(RECIPE / 'packages'), '--overlay', str(RECIPE / 'rootfs'))
    host = GuestHost(new, new)
    try:
        host.start()
        host.run('sh', (RECIPE / 'prepare').read_text(), timeout=_PATIENCE)
        host.save()
    finally:
        host.close()
    new.rename(saved)


def _run(*words: str) -> str:
    done = subprocess.run(words, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, f"a host that is a guest can not be made here: {' '.join(words)}: {done.stderr.strip()}"
    return done.stdout
