"""A second hypervisor host, on this machine: a libvirtd of its own that is reached over ssh, as any other host would be.

It lives in a network namespace at the other end of a pair of veth devices, in a mount namespace where all that libvirt
keeps lies below a folder of the test, and in a process namespace, whose first process takes all others with it when it
ends. That one ends with whoever made the host, however that came, as it reads from a pipe of theirs; and what is left
then are namespaces without a process or a name, which the kernel takes away, and the devices with them.

Its own network `default` has the addresses of this machine's own, so what reaches a guest there went over the host.

The one key that is let in may forward ports and speak to libvirt, and nothing else: there is no shell on this host.

Its libvirt and QEMU are this machine's, or those of another Debian (debianroot.py).
"""

from __future__ import annotations

import contextlib
import ipaddress
import json
import os
import queue
import secrets
import shutil
import socket
import subprocess
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import libvirt

from kvirt.guest.keys import HostKey

FIRST = """\
set -e
exec 3<&0
read -r device
mount -t sysfs sysfs /sys
mount --bind {folder}/run /run
for place in {places}; do
    mount --bind {folder}/$place /$place
done
ip link set lo up
ip address add {address}/29 dev $device
ip link set $device up
unshare --mount sh -e {folder}/libvirt.sh &
/usr/sbin/sshd -D -e -f {folder}/sshd_config &
trap exit TERM
{{ read -r never || kill $$; }} <&3 &
wait  # for the processes that others leave behind, too
"""
LIBVIRT = """\
virtlogd --pid-file /run/virtlogd.pid &
libvirtd --pid-file /run/libvirtd.pid &
wait
"""
OTHER_ROOT = """\
mkdir {folder}/root {folder}/changed {folder}/work
mount -t overlay -o lowerdir={root},upperdir={folder}/changed,workdir={folder}/work other {folder}/root
cd {folder}/root
for place in dev proc run sys tmp {places}; do
    mount --rbind /$place $place
done
pivot_root . mnt  # and no chroot: within one nobody makes the user namespace that passt hides in
umount --lazy mnt
"""
KVM = Path('/dev/kvm')
PLACES = 'etc/libvirt var/lib/libvirt var/cache/libvirt var/log/libvirt'
SSHD = """\
ListenAddress {address}
HostKey {folder}/host_key
AuthorizedKeysFile {folder}/authorized_keys
PidFile none
StrictModes no
UsePAM no
PasswordAuthentication no
KbdInteractiveAuthentication no
PermitRootLogin yes
MaxStartups 100
"""
LIBVIRTD = 'auth_unix_ro = "none"\nauth_unix_rw = "none"\nhost_uuid = "{uuid}"\n'
QEMU = 'namespaces = []\ncgroup_controllers = []\n'
POOL = '<pool type="dir"><name>default</name><target><path>/var/lib/libvirt/images</path></target></pool>'
NETWORK = """\
<network><name>default</name><bridge name="virbr0"/><forward mode="nat"/>
<ip address="192.168.122.1" netmask="255.255.255.0"><dhcp><range start="192.168.122.2" end="192.168.122.254"/></dhcp></ip>
</network>
"""
PROGRAMS = {'ip': 'iproute2', 'unshare': 'util-linux', 'nsenter': 'util-linux', 'pivot_root': 'util-linux',
            'mount': 'mount', 'sshd': 'openssh-server', 'ssh': 'openssh-client', 'ssh-keygen': 'openssh-client',
            'libvirtd': 'libvirt-daemon', 'virtlogd': 'libvirt-daemon', 'virt-ssh-helper': 'libvirt-daemon',
            'dnsmasq': 'dnsmasq-base', 'iptables': 'iptables'}
_PATIENCE = 60  # seconds


class RemoteHost:
    """What a test knows of the host: its ``address``, the ``key`` that it lets in, ``known_hosts`` with its own."""

    user = 'root'

    def __init__(self, folder: Path, name: str, root: Path | None = None) -> None:
        self.folder, self.name, self.root = folder, name, root
        short = name if len(name) < 14 else name[:7] + name[-6:]  # a device's name has 15 letters at most
        self.devices = (f'{short}-h', f'{short}-g')
        network = _free_network()
        self.here, self.address = str(network[1]), str(network[2])
        self.key, self.known_hosts = folder / 'key', folder / 'known_hosts'
        self._first: subprocess.Popen[bytes] | None = None

    @property
    def uri(self) -> str:
        """The way past kvirt and ssh, for a look at what is there."""
        return f'qemu+unix:///system?socket={self.folder}/run/libvirt/libvirt-sock'

    def section(self, **changes: object) -> dict[str, object]:
        """Return the section of a client for this host."""
        return {'type': 'kvm', 'host': self.address, 'user': self.user, 'keyfile': str(self.key),
                'known_hosts': str(self.known_hosts), 'tunnel': True, 'virttype': 'qemu', **changes}

    def start(self) -> None:
        """Make the host, and wait until libvirt and ssh answer there."""
        missing = {package for program, package in PROGRAMS.items()
                   if not shutil.which(program, path=f"{os.environ['PATH']}:/usr/sbin:/sbin")}
        assert not missing, f"a second host needs programs that are not installed: apt install {' '.join(sorted(missing))}"
        assert os.getuid() == 0, 'a second host needs root: it is made of namespaces'
        self._write()
        with (self.folder / 'log').open('wb') as log:
            self._first = subprocess.Popen(
                ['unshare', '--net', '--mount', '--propagation', 'private', '--pid', '--fork', '--kill-child',
                 '--mount-proc', 'sh', '-c', FIRST.format(folder=self.folder, address=self.address, places=PLACES)],
                stdin=subprocess.PIPE, stdout=log, stderr=log)
        self._until(lambda: network_of(self.pid) not in ('', network_of(os.getpid())))
        _run('ip', 'link', 'add', self.devices[0], 'type', 'veth', 'peer', 'name', self.devices[1], 'netns', str(self.pid))
        _run('ip', 'address', 'add', f'{self.here}/29', 'dev', self.devices[0])
        _run('ip', 'link', 'set', self.devices[0], 'up')
        assert self._first.stdin is not None
        self._first.stdin.write(f'{self.devices[1]}\n'.encode())
        self._first.stdin.flush()
        self._until(self._answers)

    def _write(self) -> None:
        for place in ('run/sshd', 'run/lock', 'etc/libvirt/qemu/networks/autostart', 'etc/libvirt/storage/autostart',
                      'var/lib/libvirt/images', 'var/cache/libvirt/qemu', 'var/log/libvirt'):
            (self.folder / place).mkdir(parents=True)
        host_key = HostKey.generate()
        self._private('host_key', host_key.private)
        self.known_hosts.write_text(f'{self.address} {host_key.public}\n')
        _run('ssh-keygen', '-q', '-t', 'ed25519', '-N', '', '-f', str(self.key))
        may = 'restrict,port-forwarding,command="virt-ssh-helper qemu:///system"'
        (self.folder / 'authorized_keys').write_text(f'{may} {self.key.with_suffix(".pub").read_text()}')
        (self.folder / 'sshd_config').write_text(SSHD.format(folder=self.folder, address=self.address))
        elsewhere = OTHER_ROOT.format(root=self.root, folder=self.folder, places=PLACES) if self.root else ''
        (self.folder / 'libvirt.sh').write_text(elsewhere + LIBVIRT)
        settings = self.folder / 'etc/libvirt'
        (settings / 'libvirtd.conf').write_text(LIBVIRTD.format(uuid=uuid.uuid4()))
        (settings / 'qemu.conf').write_text(QEMU)
        if self.root and KVM.exists():  # the group of that name has another number there, so KVM would come and go
            (settings / 'qemu.conf').write_text(f'{QEMU}group = "+{KVM.stat().st_gid}"\n')
        for place, text in (('storage', POOL), ('qemu/networks', NETWORK)):
            (settings / place / 'default.xml').write_text(text)
            (settings / place / 'autostart/default.xml').symlink_to(f'/etc/libvirt/{place}/default.xml')
        known = Path('/var/cache/libvirt/qemu/capabilities')  # to find out what QEMU can do takes seconds
        if known.is_dir() and self.root is None:
            shutil.copytree(known, self.folder / 'var/cache/libvirt/qemu/capabilities')

    def _private(self, name: str, text: str) -> None:
        path = self.folder / name
        path.touch(mode=0o600)
        path.write_text(text)

    @property
    def pid(self) -> int:
        """The process on this side that all others of the host come from."""
        assert self._first is not None
        return self._first.pid

    def _answers(self) -> bool:
        libvirt.open(self.uri).close()
        socket.create_connection((self.address, 22), timeout=5).close()
        return True

    def _until(self, there: Callable[[], bool]) -> None:
        assert self._first is not None
        deadline, error = time.monotonic() + _PATIENCE, ''
        while True:
            try:
                if there():
                    return
            except (libvirt.libvirtError, OSError) as trouble:
                error = str(trouble)
            said = (self.folder / 'log').read_text(errors='replace')
            assert self._first.poll() is None, f'the second host did not come up: {said}'
            assert time.monotonic() < deadline, f'the second host does not answer: {error}; {said}'
            threading.Event().wait(0.1)

    def run(self, *words: str) -> str:
        """Run a program within the network of the host."""
        return _run(*self.within(*words))

    def within(self, *words: str) -> list[str]:
        """Return what runs a program within the network of the host."""
        return ['nsenter', '--net', '--target', str(self.pid), *words]

    def close(self) -> None:
        """End what runs there, and take the devices away; the kernel does as much later."""
        if self._first is not None:
            self._first.kill()  # the first process of the namespace goes with it, and all others with that one
            self._first.communicate()
        subprocess.run(['ip', 'link', 'delete', self.devices[0]], capture_output=True)
        assert self.devices[0] not in links(), f'left behind: {self.devices[0]}'


def network_of(pid: int) -> str:
    """Return which network namespace a process is in, nothing when it is gone."""
    try:
        return os.readlink(f'/proc/{pid}/ns/net')
    except OSError:
        return ''


def links() -> set[str]:
    """Return the names of the network devices of this machine."""
    return {row['ifname'] for row in json.loads(_run('ip', '-j', 'link'))}


def _run(*words: str) -> str:
    done = subprocess.run(words, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, f"a second host can not be made here: {' '.join(words)}: {done.stderr.strip()}"
    return done.stdout


def _free_network() -> ipaddress.IPv4Network:
    """Return a small network that this machine has no route to, but for that of everything."""
    taken = [ipaddress.ip_network(row['dst']) for row in json.loads(_run('ip', '-j', '-4', 'route', 'show', 'table', 'all'))
             if row['dst'] != 'default' and row.get('type') not in ('broadcast', 'multicast')]
    while True:
        found = ipaddress.ip_network((ipaddress.ip_address('10.200.0.0') + 8 * secrets.randbelow(2 ** 16), 29))
        if not any(found.overlaps(each) for each in taken if isinstance(each, ipaddress.IPv4Network)):
            return found  # type: ignore[return-value]


@contextlib.contextmanager
def remote_host(folder: Path, name: str, root: Path | None = None) -> Iterator[RemoteHost]:
    """Give a second host that keeps what it has in *folder*; its devices are called after *name*.

    *root* is the Debian whose libvirt and QEMU it runs, this machine's without one.
    """
    host = RemoteHost(folder, name, root)
    try:
        host.start()
        yield host
    finally:
        host.close()


@contextlib.contextmanager
def delayed(host: RemoteHost, seconds: float) -> Iterator[dict[str, object]]:
    """Give the options of a client for *host* over a way that takes so many *seconds* in each direction."""
    with socket.create_server(('127.0.0.2', 0)) as listener:
        port = listener.getsockname()[1]
        known = host.folder / f'known_hosts-{port}'
        known.write_text(host.known_hosts.read_text().replace(host.address, f'[127.0.0.2]:{port}'))

        def serve() -> None:
            with contextlib.suppress(OSError):  # the listener is closed
                while True:
                    near = listener.accept()[0]
                    far = socket.create_connection((host.address, 22))
                    for source, target in ((near, far), (far, near)):
                        _forward_late(source, target, seconds)

        threading.Thread(target=serve, daemon=True).start()
        yield {'host': '127.0.0.2', 'port': port, 'keyfile': str(host.key), 'known_hosts': str(known)}
        listener.shutdown(socket.SHUT_RDWR)


def _forward_late(source: socket.socket, target: socket.socket, seconds: float) -> None:
    """Bring what *source* says to *target*, each piece that much later; any number of them may be on their way."""
    pieces: queue.SimpleQueue[tuple[float, bytes]] = queue.SimpleQueue()

    def read() -> None:
        piece = b'?'
        while piece:
            with contextlib.suppress(OSError):
                piece = source.recv(65536)
                pieces.put((time.monotonic() + seconds, piece))
                continue
            piece = b''
            pieces.put((time.monotonic(), piece))

    def write() -> None:
        while True:
            due, piece = pieces.get()
            threading.Event().wait(max(0.0, due - time.monotonic()))
            if not piece:
                target.close()
                return
            with contextlib.suppress(OSError):
                target.sendall(piece)

    for work in (read, write):
        threading.Thread(target=work, daemon=True).start()
