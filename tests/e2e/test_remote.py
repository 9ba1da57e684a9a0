"""A libvirt host that is not this machine: everything goes over ssh, and there is no shell on it."""

from __future__ import annotations

import http.server
import json
import os
import pty
import re
import secrets
import select
import shlex
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import libvirt
import pytest
import yaml

from kvirt.config import Kconfig
from kvirt.errors import Unauthorized, Unavailable
from kvirt.guest.keys import HostKey
from kvirt.providers.kvm import Kvirt
from kvirt.settings import Settings
from kvirt.wait import until

from .conftest import IMAGE, STEM, URI
from .remotehost import RemoteHost, delayed, links, network_of, remote_host
from .test_guest import kvirt

pytestmark = [pytest.mark.e2e, pytest.mark.minutes(3), pytest.mark.xdist_group('remote')]  # one host serves them all

BARE: dict[str, Any] = {'virttype': 'qemu', 'cloudinit': False, 'nets': [], 'memory': 64, 'numcpus': 1, 'disks': []}
SMALL = [word for value in ('disks=[]', 'nets=[]', 'cloudinit=false', 'start=false') for word in ('-P', value)]
DOMAIN = '<domain type="qemu"><name>{name}</name><memory>65536</memory><os><type>hvm</type></os></domain>'
BIG = 12 * 1024  # MiB: more than all else that runs on either host


@pytest.fixture(scope='module')
def far(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RemoteHost]:
    with remote_host(tmp_path_factory.mktemp('far'), f'{STEM}{secrets.token_hex(3)}') as host:
        yield host
        with closing(libvirt.open(host.uri)) as conn:
            assert [native.name() for native in conn.listAllDomains()] == []
            left = {volume.name() for pool in conn.listAllStoragePools() for volume in pool.listAllVolumes()}
            assert left <= {f'{IMAGE}.qcow2'}, f'left on the second host: {left}'


@pytest.fixture
def silent() -> Iterator[int]:
    """A port where somebody listens, and never says a word."""
    with socket.create_server(('127.0.0.2', 0)) as listener:
        yield listener.getsockname()[1]


def configure(home: Path, **clients: Any) -> Path:
    (home / 'config.yml').write_text(yaml.safe_dump({'default': {'client': 'far'}, **clients}))
    return home


@pytest.fixture
def away(home: Path, far: RemoteHost) -> Path:
    """A home whose client is the second host."""
    return configure(home, far=far.section())


@pytest.fixture
def image_server(tmp_path: Path) -> Iterator[str]:
    """The URL of the image, on a web server of this machine."""
    with closing(libvirt.open(URI)) as conn:
        source = conn.storagePoolLookupByName('default').storageVolLookupByName(f'{IMAGE}.qcow2').path()
    folder = tmp_path / 'web'
    folder.mkdir()
    (folder / f'{IMAGE}.qcow2').symlink_to(source)

    class Handler(http.server.SimpleHTTPRequestHandler):
        def __init__(self, *args: Any) -> None:
            super().__init__(*args, directory=str(folder))

        def log_message(self, *args: Any) -> None:
            pass

    with http.server.ThreadingHTTPServer(('127.0.0.1', 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f'http://127.0.0.1:{server.server_address[1]}/{IMAGE}.qcow2'
        server.shutdown()


def test_the_whole_life_of_a_guest_on_another_host(away: Path, far: RemoteHost, image_server: str, tmp_path: Path) -> None:
    key, name = away / 'id_ed25519', f'{far.name}-vm'
    subprocess.run(['ssh-keygen', '-q', '-t', 'ed25519', '-N', '', '-f', str(key)], check=True)

    kvirt(away, 'download', 'image', '-u', image_server)
    sent = far.folder / 'var/lib/libvirt/images' / f'{IMAGE}.qcow2'
    assert sent.stat().st_size > 10 ** 7 and f'{IMAGE}.qcow2' in kvirt(away, 'list', 'image').stdout

    kvirt(away, 'create', 'vm', name, '-i', IMAGE, '-P', 'memory=512', '-P', f'keys=[{key}.pub]',
          '-P', 'cmds=[echo made > /root/made]', '--wait')
    again = kvirt(away, 'sync', 'image', '-t', 'far', f'{IMAGE}.qcow2')
    assert f'Image {IMAGE}.qcow2 is already on far' in again.stderr
    with Kconfig(settings=Settings(away)) as config:
        row, = config.k.list()
        assert (row['name'], row['status']) == (name, 'running') and row['ip'].startswith('192.168.122.')
        assert kvirt(away, 'ssh', name, 'hostname; sudo cat /root/made').stdout.split() == [name, 'made']
        kvirt(away, 'scp', f'{name}:/etc/hostname', str(tmp_path / 'back'))
        assert (tmp_path / 'back').read_text().strip() == name
        kvirt(away, 'sync', 'config', name, 'far')
        assert far.address in kvirt(away, 'ssh', name, 'cat .kvirt/config.yml').stdout
        other = kvirt(away, 'ssh', '-J', f'root@{far.here}:1', name, 'true', ok=False)  # not the way of the client
        assert other.returncode == 255 and f'{far.here} port 1: Connection refused' in other.stderr

        see_display(away, name)
        see_serial_console(away, name)

        config.k.add_disk(name, 1).expect()
        config.k.stop(name).expect()
        config.k.resize_disk(name, config.k.info(name)['disks'][1]['device'], 2).expect()
        assert [disk['size'] for disk in config.k.info(name)['disks']] == [10, 2]
        config.k.create_snapshot('first', name).expect()
        assert config.k.list_snapshots(name) == ['first']
        config.k.delete_snapshot('first', name).expect()
        assert config.delete_vm(name).ok and config.k.list() == []


def see_display(away: Path, name: str) -> None:
    """The display answers at the address that is told, while the command that is told runs."""
    done = kvirt(away, 'console', name)
    host, port = re.fullmatch(r'vnc://(.+):(\d+)\n', done.stdout).groups()  # type: ignore[union-attr]
    command = shlex.split(done.stderr.partition('while this runs: ')[2])
    known = json.loads(kvirt(away, 'console', name, '-o', 'json').stdout)
    assert known['tunnel_command'][-4:] == command[-4:] and known['tunnel_url'].startswith('vnc://127.0.0.1:')
    with subprocess.Popen(command, stdin=subprocess.DEVNULL) as tunnel:
        try:
            assert read_soon(host, int(port)).startswith(b'RFB 003')
        finally:
            tunnel.terminate()


def read_soon(host: str, port: int) -> bytes:
    """Return the first bytes that somebody says there."""
    deadline = time.monotonic() + 20
    while True:
        with socket.socket() as way:
            way.settimeout(5)
            if way.connect_ex((host, port)) == 0:
                return way.recv(12)
        assert time.monotonic() < deadline, 'the tunnel does not come up'
        threading.Event().wait(0.1)


def see_serial_console(away: Path, name: str) -> None:
    """A terminal on the serial console: the guest asks who logs in."""
    ours, theirs = pty.openpty()
    words = [sys.executable, '-m', 'kvirt', 'serial', name]
    with subprocess.Popen(words, stdin=theirs, stdout=theirs, stderr=theirs, start_new_session=True,
                          env={**os.environ, 'KVIRT_HOME': str(away)}) as console:
        os.close(theirs)
        said, deadline = b'', time.monotonic() + 30
        while b'login:' not in said and time.monotonic() < deadline:
            if select.select([ours], [], [], 0.5)[0]:
                said += os.read(ours, 4096)
                if b'Escape character' in said and not said.endswith(b'login: '):
                    os.write(ours, b'\r')
        os.write(ours, b'\x1d')  # ^]
        os.close(ours)
        console.wait(20)
    assert f'{name} login:'.encode() in said, said


# a host that can't be reached


def other_key(folder: Path) -> Path:
    path = folder / 'another'
    subprocess.run(['ssh-keygen', '-q', '-t', 'ed25519', '-N', '', '-f', str(path)], check=True)
    return path


def test_who_is_not_who_they_should_be_is_refused(home: Path, far: RemoteHost, tmp_path: Path) -> None:
    changed, unknown, long = tmp_path / 'changed', tmp_path / 'unknown', tmp_path / ('so-' * 80) / 'long'
    long.parent.mkdir()
    for file in (changed, long):
        file.write_text(f'{far.address} {HostKey.generate().public}\n')
    unknown.touch()
    wrong = other_key(tmp_path)
    cases = {'changed': ({'known_hosts': str(changed)}, f'another ssh host key than the one in {changed}:1'),
             'wordy': ({'known_hosts': str(long)}, f'another ssh host key than the one in {long}:1'),
             'unknown': ({'known_hosts': str(unknown)}, f'the ssh host key of {far.address} is not known'),
             'key': ({'keyfile': str(wrong)}, f'{far.address} lets nobody in by ssh: root@{far.address}: Permission'),
             'user': ({'user': 'daemon'}, 'Permission denied'), 'port': ({'port': 2}, 'port 2: Connection refused'),
             'name': ({'host': 'nobody.invalid'}, 'Could not resolve hostname nobody.invalid')}
    configure(home, **{name: far.section(**changes) for name, (changes, _) in cases.items()})
    for name, (_, words) in cases.items():
        done = kvirt(home, '-C', name, 'list', 'vm', ok=False)
        assert (done.returncode, done.stdout) == (1, ''), name
        line, = done.stderr.splitlines()
        assert line.startswith(f'Error: client {name}: qemu+ssh://') and words in line and '@@' not in line
        with pytest.raises(Unavailable if name in ('port', 'name') else Unauthorized), \
                Kconfig(name, settings=Settings(home)) as config:
            config.k.list()


# the second host itself

MAKES_A_HOST = """\
import signal, sys
from pathlib import Path
from tests.e2e.remotehost import RemoteHost
host = RemoteHost(Path(sys.argv[1]), sys.argv[2])
host.start()
print(host.pid, host.uri, flush=True)
signal.pause()
"""


def test_a_host_goes_with_whoever_made_it(tmp_path: Path) -> None:
    name = f'{STEM}{secrets.token_hex(3)}'
    with subprocess.Popen([sys.executable, '-c', MAKES_A_HOST, str(tmp_path), name], stdout=subprocess.PIPE, text=True,
                          cwd=Path(__file__).parents[2]) as maker:
        assert maker.stdout is not None
        pid, uri = maker.stdout.readline().split()
        network = network_of(int(pid))

        def within() -> list[str]:
            pids = [each.name for each in Path('/proc').iterdir() if each.name.isdecimal()]
            return [pid for pid in pids if network_of(int(pid)) == network]
        with closing(libvirt.open(uri)) as conn:
            conn.createXML(DOMAIN.format(name=name))
        assert len(within()) > 5 and f'{name}-h' in links()  # libvirtd, virtlogd, sshd, dnsmasq, the guest
        maker.kill()
    until(lambda: not within() and f'{name}-h' not in links(), what='the end of the host', timeout=30, interval=0.2)


# several hosts


def test_lists_of_several_hosts_take_as_long_as_the_slowest(home: Path, far: RemoteHost, silent: int) -> None:
    name = f'{far.name}-row'
    dead = {f'dead{number}': far.section(host='127.0.0.2', port=silent) for number in (1, 2, 3)}
    configure(home, here={'type': 'kvm', 'url': URI}, far=far.section(), **dead)
    with Kconfig('far', settings=Settings(home)) as config:
        config.k.create(name, **BARE, start=False).expect()
        began = time.monotonic()
        done = kvirt(home, '-C', 'all', 'list', 'vm', '-o', 'json', ok=False)
        took = time.monotonic() - began
        config.k.delete(name).expect()
    assert done.returncode == 1
    assert [row['client'] for row in json.loads(done.stdout) if row['name'] == name] == ['far']
    lines = done.stderr.splitlines()
    assert [line.split(':')[1].strip() for line in lines] == ['client dead1', 'client dead2', 'client dead3']
    assert all('timed out' in line for line in lines)
    assert 10 <= took < 25, took  # seconds: one has ten, and the three of them would have thirty


def test_a_group_places_by_free_memory(home: Path, far: RemoteHost, prefix: str) -> None:
    configure(home, here={'type': 'kvm', 'url': URI, 'virttype': 'qemu'}, far=far.section(), gone=far.section(port=2),
              labs={'type': 'group', 'members': ['gone', 'here', 'far'], 'algorithm': 'free'})
    big, small = f'{prefix}-big', f'{prefix}-small'
    for full, free in (('far', 'here'), ('here', 'far')):
        with Kconfig(full, settings=Settings(home)) as config:
            config.k.create(big, **{**BARE, 'memory': BIG}).expect()
            known = config.k.info_host()
            assert known['memory_free'] <= known['memory_total'] - BIG and known['vms_running'] >= 1
            made = kvirt(home, '-C', 'labs', 'create', 'vm', small, *SMALL)
            assert f'created on {free}' in made.stderr and 'goes on without a member: client gone' in made.stderr
            kvirt(home, '-C', free, 'delete', 'vm', '-y', small)
            config.k.delete(big).expect()


def test_what_a_host_has(away: Path, far: RemoteHost) -> None:
    known = json.loads(kvirt(away, 'info', 'host', 'far', '-o', 'json').stdout)
    assert known['connection'] == f'qemu+ssh://root@{far.address}/system?keyfile={str(far.key).replace("/", "%2F")}'
    assert (known['vms'], known['vms_running'], known['cpus_used'], known['memory_used']) == (0, 0, 0, 0)
    assert known['memory_free'] == known['memory_total'] > 1024 and known['cpus_total'] >= 1
    pool, = known['pools']
    assert pool['name'] == 'default' and 0 < pool['available'] <= pool['capacity']


def test_a_list_takes_no_longer_for_more_vms(far: RemoteHost, home: Path) -> None:
    delay, times = 0.1, {}
    names = [f'{far.name}-{number}' for number in range(48)]
    with closing(libvirt.open(far.uri)) as conn, delayed(far, delay) as section, Kvirt(**section, home=str(home)) as kvm:
        assert kvm.conn is not None, kvm.unreachable
        for count in (3, 48):
            for name in names[len(kvm.list()):count]:
                conn.defineXML(DOMAIN.format(name=name))
            began = time.monotonic()
            assert len(kvm.list()) == count
            times[count] = time.monotonic() - began
        for name in names:
            conn.lookupByName(name).undefine()
    assert times[48] - times[3] < 8 * 2 * delay, times  # one after another they would take 45 round trips more
