"""What depends on the kernel of a hypervisor host: volume groups, NFS, iSCSI, Open vSwitch, the shaping of traffic, huge
pages and vsock. The host is a guest with a kernel of its own, so that nothing depends on the kernel of this machine.
"""

from __future__ import annotations

import functools
import hashlib
import http.server
import json
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from kvirt.config import Kconfig
from kvirt.settings import Settings

from .emulatedhost import GuestHost, guest_host
from .test_guest import kvirt

# One host serves them all. It is built and saved when that was not done yet, which takes some minutes.
pytestmark = [pytest.mark.e2e, pytest.mark.kernel, pytest.mark.minutes(4), pytest.mark.xdist_group('kernel'),
              pytest.mark.timeout(1200)]

BARE: dict[str, Any] = {'virttype': 'qemu', 'cloudinit': False, 'nets': [], 'memory': 64, 'numcpus': 1}
GROUP, BRIDGE, TARGET = 'vg0', 'ovs0', 'iqn.2026-01.test.kvirt:disks'


class Handler(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *args: Any) -> None:
        pass


@pytest.fixture(scope='module')
def host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[GuestHost]:
    with guest_host(tmp_path_factory.mktemp('host')) as host:
        host.run(f'vgcreate -q {GROUP} /dev/vdb')
        yield host
        left = host.run('virsh list --all --name; virsh pool-list --all --name; virsh net-list --all --name; '
                        'lvs --noheadings; findmnt -t nfs4; iscsiadm -m session 2>/dev/null || true')
        assert left.split() == ['default'], f'left on the host: {left}'  # the network that libvirt is installed with


@pytest.fixture(scope='module')
def away(host: GuestHost, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home whose client is the host."""
    home = tmp_path_factory.mktemp('home')
    (home / 'config.yml').write_text(yaml.safe_dump({'default': {'client': 'far'}, 'far': host.section()}))
    return home


@pytest.fixture(scope='module')
def k(away: Path) -> Iterator[Any]:
    with Kconfig(settings=Settings(away)) as config:
        yield config.k


@pytest.fixture
def fast(k: Any) -> Iterator[str]:
    """A pool on the volume group."""
    k.create_pool('fast', GROUP, 'lvm').expect()
    yield 'fast'
    k.delete_pool('fast').expect()


def volumes(host: GuestHost) -> dict[str, str]:
    """Return the logical volumes with their sizes, seen past libvirt."""
    rows = json.loads(host.run('lvs --units m --reportformat json'))['report'][0]['lv']
    return {row['lv_name']: row['lv_size'] for row in rows}


# pools


def test_volumes_of_a_volume_group(host: GuestHost, away: Path, k: Any) -> None:
    kvirt(away, 'create', 'pool', '-t', 'lvm', '-p', GROUP, 'fast')
    known = json.loads(kvirt(away, 'info', 'pool', 'fast', '-o', 'json').stdout)
    assert (known['type'], known['status'], known['path']) == ('logical', 'running', f'/dev/{GROUP}')
    assert (known['capacity'], known['available']) == (8.0, 8.0)
    kvirt(away, 'create', 'disk', '-n', '-s', '1', '-p', 'fast', 'data')
    assert volumes(host) == {'data': '1024.00m'}
    row = k.list_disks()['data']
    assert (row['pool'], row['size'], row['path']) == ('fast', 1, f'/dev/{GROUP}/data')
    host.run(f'lvcreate -q -L 2g -n other {GROUP}')
    assert k.info_pool('fast')['available'] == 5.0
    full = k.create_disk('more', 6, 'fast')
    assert full['error'] == 'OutOfCapacity' and 'lvcreate: Volume group' in full['reason']
    host.run(f'lvremove -qy {GROUP}/other')
    kvirt(away, 'delete', 'disk', '-y', '-n', 'data')
    assert volumes(host) == {}
    kvirt(away, 'delete', 'pool', '-y', 'fast')
    absent = k.create_pool('fast', 'none', 'lvm')
    assert absent['error'] == 'NotFound' and "group name 'none'" in absent['reason'] and k.list_pools() == []


def test_a_vm_on_a_volume_group(host: GuestHost, k: Any, fast: str) -> None:
    seeded = {**BARE, 'cloudinit': True, 'nokeys': True, 'pool': fast}
    refused = k.create('web', disks=[1, 20], **seeded)
    assert refused['error'] == 'OutOfCapacity' and volumes(host) == {} and k.list() == []
    k.create('web', disks=[1], **seeded).expect()
    disk, = k.info('web')['disks']
    assert (disk['path'], disk['format'], disk['size']) == (f'/dev/{GROUP}/web_0.img', 'raw', 1)
    k.add_disk('web', 1).expect()
    assert volumes(host) == {'web.iso': '4.00m', 'web_0.img': '1024.00m', 'web_1.img': '1024.00m'}
    assert host.run(f'blkid -o value -s LABEL /dev/{GROUP}/web.iso') == 'cidata\n'

    refused = k.resize_disk('web', 'vda', 2)
    assert refused['error'] == 'NotSupported' and 'lvextend' in refused['reason']
    host.run(f'lvextend -q -L 2g {GROUP}/web_0.img')
    k.resize_disk('web', 'vda', 2).expect()
    assert str(2 * 1024**3) in host.run('virsh domblkinfo web vda')
    assert k.create_snapshot('first', 'web')['error'] == 'NotSupported'
    assert 'holds disks of web' in k.delete_pool(fast)['reason']

    k.stop('web').expect()
    k.delete_disk('web', 'web_1.img').expect()
    assert sorted(volumes(host)) == ['web.iso', 'web_0.img']
    k.delete('web').expect()
    assert volumes(host) == {}


def test_images_on_a_volume_group(host: GuestHost, away: Path, k: Any, fast: str, tmp_path: Path) -> None:
    """A disk that is sent as qcow2 is, byte for byte, what it was when it is a block device; and so are its copies."""
    content = hashlib.sha256(b'seed').digest() * 2**14
    wanted = hashlib.sha256(content).hexdigest()
    (tmp_path / 'tiny.img').write_bytes(content.ljust(4 * 1024**2, b'\0'))
    subprocess.run(['qemu-img', 'convert', '-O', 'qcow2', tmp_path / 'tiny.img', tmp_path / 'small.qcow2'], check=True)
    with http.server.ThreadingHTTPServer(('127.0.0.1', 0), functools.partial(Handler, directory=str(tmp_path))) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        url = f'http://127.0.0.1:{server.server_address[1]}'
        k.add_image(f'{url}/tiny.img', pool=fast).expect()
        nowhere = k.add_image(f'{url}/small.qcow2', pool=fast)
        assert 'unpacked from a pool of files there, and none has' in nowhere['reason']
        k.create_pool('files', '/srv/files').expect()
        kvirt(away, 'download', 'image', '-u', f'{url}/small.qcow2', '-p', fast)
        server.shutdown()
    assert volumes(host) == {'tiny.img': '4.00m', 'small.qcow2': '4.00m'} and host.run('ls -A /srv/files') == ''
    k.delete_pool('files').expect()
    k.create('web', pool=fast, image='small', disks=[1], start=False, **BARE).expect()
    assert volumes(host)['web_0.img'] == '1024.00m'
    k.create('two', disks=[{'existing': 'tiny.img', 'pool': fast}], pool=fast, start=False, **BARE).expect()
    k.clone('two', 'copy').expect()
    k.export('two').expect()
    copies = ('tiny.img', 'small.qcow2', 'web_0.img', 'copy_0.img', 'two.raw')
    sums = host.run('; '.join(f'head -c {len(content)} /dev/{GROUP}/{name} | sha256sum' for name in copies)).split()
    assert dict(zip(copies, sums[::2], strict=True)) == dict.fromkeys(copies, wanted)
    assert k.delete('two').expect()['kept'] == ['tiny.img']
    for name in ('web', 'copy'):
        k.delete(name).expect()
    for image in k.volumes():
        k.delete_image(image).expect()
    assert volumes(host) == {}


def test_a_pool_on_nfs(host: GuestHost, away: Path, k: Any) -> None:
    settings = ['-P', 'host=127.0.0.1', '-P', 'format=nfs']
    refused = kvirt(away, 'create', 'pool', '-t', 'netfs', '-p', '/none', *settings, 'nas', ok=False)
    assert refused.returncode == 1 and 'mount' in refused.stderr and 'Child' not in refused.stderr
    kvirt(away, 'create', 'pool', '-t', 'netfs', '-p', '/export/vms', *settings, 'nas')
    assert host.run('findmnt -n -o SOURCE,FSTYPE /var/lib/libvirt/nas').split() == ['127.0.0.1:/export/vms', 'nfs4']
    known = k.info_pool('nas')
    assert known['type'] == 'netfs' and 0 < known['available'] < known['capacity'] < 3
    k.create_disk('data', 1, 'nas').expect()
    k.create('web', pool='nas', disks=[1], **BARE).expect()
    assert host.run('ls /export/vms').split() == ['data', 'web_0.img']
    assert k.info('web')['disks'][0]['path'] == '/var/lib/libvirt/nas/web_0.img'
    k.create_snapshot('first', 'web').expect()
    refused = k.delete_pool('nas', full=True)
    assert refused['error'] == 'Conflict' and 'disks of web' in refused['reason']
    k.delete('web', snapshots=True).expect()
    assert host.run('ls /export/vms').split() == ['data']
    kvirt(away, 'delete', 'pool', '-y', '--full', 'nas')
    assert host.run('ls /export/vms; findmnt -t nfs4 || true') == ''


def test_a_pool_on_iscsi(host: GuestHost, away: Path, k: Any) -> None:
    kvirt(away, 'create', 'pool', '-t', 'iscsi', '-p', TARGET, '-P', 'host=127.0.0.1', 'luns')
    rows = json.loads(kvirt(away, 'list', 'disk', '-o', 'json').stdout)
    disks = sorted(row['name'] for row in rows)
    assert [row['pool'] for row in rows] == ['luns', 'luns'] and disks == ['unit:0:0:1', 'unit:0:0:2']
    host.run(f'echo kept | dd of={rows[0]["path"]} conv=sync bs=512 status=none')
    refused = k.create('web', disks=[1], pool='luns', **BARE)
    assert refused['error'] == 'NotSupported' and 'existing' in refused['reason'] and k.list() == []
    k.create('web', disks=[{'existing': disks[0], 'pool': 'luns'}], pool='luns', **BARE).expect()
    taken = k.create('two', disks=[{'existing': disks[0], 'pool': 'luns'}], pool='luns', start=False, **BARE)
    assert taken['error'] == 'Conflict' and 'is a disk of web' in taken['reason']
    k.add_disk('web', existing=disks[1], pool='luns').expect()
    assert [disk['path'] for disk in k.info('web')['disks']] == sorted(row['path'] for row in rows)
    assert k.delete_pool('luns')['error'] == 'Conflict'
    gone = k.delete('web').expect()
    assert sorted(gone['kept']) == disks
    assert k.delete_disk(None, disks[0], 'luns')['error'] == 'NotSupported'
    assert host.run(f'head -n 1 {rows[0]["path"]}') == 'kept\n'
    kvirt(away, 'delete', 'pool', '-y', 'luns')
    assert 'unit' not in kvirt(away, 'list', 'disk').stdout
    assert host.run('iscsiadm -m session 2>/dev/null || true') == ''


# networks


def test_the_bandwidth_of_a_network(host: GuestHost, away: Path, k: Any) -> None:
    limits = {'inbound_average': 1000, 'inbound_peak': 2000, 'inbound_burst': 512, 'outbound_average': 500}
    kvirt(away, 'create', 'network', '-c', '10.77.0.0/24', '-P', 'bridgename=slow0',
          *(word for name, value in limits.items() for word in ('-P', f'bandwidth_{name}={value}')), 'slow')
    classes = host.run('tc class show dev slow0')
    assert 'leaf 2: prio 0 rate 8Mbit ceil 16Mbit burst 512Kb' in classes
    assert 'police 0x1 rate 4Mbit burst 500Kb' in host.run('tc filter show dev slow0 ingress')
    refused = k.update_network('slow', overrides={'bandwidth_inbound_average': 3000})
    assert refused['error'] == 'InvalidInput' and 'peak: 2000 is less than the average' in refused['reason']
    k.update_network('slow', overrides={'bandwidth_inbound_average': 3000, 'bandwidth_inbound_peak': 4000}).expect()
    assert 'rate 24Mbit ceil 32Mbit' in host.run('tc class show dev slow0')
    kvirt(away, 'delete', 'network', '-y', 'slow')
    assert 'slow0' not in host.run('ip -br link')


def test_vlans_on_bridges_and_what_else_a_running_vm_may_have(host: GuestHost, away: Path, k: Any) -> None:
    """Open vSwitch, a bridge of Linux that filters VLANs, huge pages and a socket to the host, all with one VM."""
    host.run(f'ovs-vsctl add-br {BRIDGE}; ip link add linux0 type bridge vlan_filtering 1; ip link set linux0 up; '
             'echo 40 > /proc/sys/vm/nr_hugepages')
    kvirt(away, 'create', 'network', '-P', 'ovs=true', '-P', f'bridgename={BRIDGE}', '-P', 'vlan=42', 'access')
    k.create_network('trunk', overrides={'ovs': True, 'bridgename': BRIDGE, 'vlans': [10, 20]}).expect()
    k.create_network('plain', overrides={'bridge': True, 'bridgename': 'linux0', 'vlan': 7}).expect()
    modes = {row['name']: row['mode'] for row in json.loads(kvirt(away, 'list', 'network', '-o', 'json').stdout)}
    assert modes == {'access': 'ovs', 'default': 'nat', 'plain': 'bridge', 'trunk': 'ovs'}
    pages = 'grep HugePages_Free /proc/meminfo'
    assert host.run(pages).split()[1] == '40'
    k.create_pool('default', '/srv/default').expect()
    k.create('web', disks=[], hugepages=2, vsock=True, **{**BARE, 'nets': ['access', 'trunk', 'plain']}).expect()
    ports = [' '.join(line.split()) for line in host.run('ovs-vsctl show').splitlines()]
    assert 'tag: 42' in ports and 'trunks: [10, 20]' in ports
    assert any(line.split()[1:2] == ['7'] for line in host.run('bridge vlan show').splitlines())
    assert [nic['net'] for nic in k.info('web')['nets']] == ['access', 'trunk', 'plain']
    assert host.run(pages).split()[1] == '8'  # 64 MiB are in use
    assert "cid auto='yes' address='3'" in host.run('virsh dumpxml web')
    direct = k.add_nic('web', BRIDGE)
    assert direct['error'] == 'NotSupported' and 'make a network with ovs: true' in direct['reason']
    k.delete('web').expect()
    assert host.run(pages).split()[1] == '40' and 'vnet' not in host.run('ovs-vsctl show')
    for name in ('access', 'trunk', 'plain'):
        k.delete_network(name).expect()
    k.delete_pool('default').expect()
    host.run(f'ovs-vsctl del-br {BRIDGE}; ip link del linux0; echo 0 > /proc/sys/vm/nr_hugepages')
