"""Images and ISOs on the real libvirtd, from a web server on the loopback that drops connections and lies.

A pool is reached in two ways: by its folder, which this process can write to, and through libvirt's stream alone, as on a
host that is elsewhere or where one is not root. libvirt's socket in the URI makes kvirt take the second way.
"""

from __future__ import annotations

import gzip
import hashlib
import lzma
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from kvirt.providers.kvm import Kvirt
from kvirt.unpack import unpacker
from kvirt.wait import until
from tests.webserver import Web, serving

from .conftest import URI
from .faults import WAYS as FAULTS
from .faults import Faults

pytestmark = pytest.mark.e2e

WAYS = pytest.mark.parametrize('uri', [URI, 'qemu+unix:///system'], ids=['folder', 'stream'])
BARE = {'virttype': 'qemu', 'cloudinit': False, 'nets': [], 'memory': 64, 'numcpus': 1, 'start': False}


@pytest.fixture(scope='module')
def image(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A qcow2 image of a disk of 8 MiB, half of them noise."""
    folder = tmp_path_factory.mktemp('image')
    (folder / 'raw').write_bytes(os.urandom(4 * 1024**2) + bytes(4 * 1024**2))
    subprocess.run(['qemu-img', 'convert', '-O', 'qcow2', folder / 'raw', folder / 'a.qcow2'], check=True)
    return folder / 'a.qcow2'


@pytest.fixture
def web(image: Path) -> Iterator[Web]:
    body = image.read_bytes()
    with serving() as web:
        web.files |= {'/a.qcow2': body, '/SHA256SUMS': f'{hashlib.sha256(body).hexdigest()} *a.qcow2\n'.encode()}
        yield web


def kvirt(home: Path, uri: str, *words: str) -> subprocess.CompletedProcess[str]:
    """Run the command line on libvirt at *uri*."""
    (home / 'config.yml').write_text(f'here:\n  type: kvm\n  url: {uri}\n')
    environment = {**os.environ, 'KVIRT_HOME': str(home), 'NO_COLOR': '1'}
    words = (sys.executable, '-m', 'kvirt', *words)
    return subprocess.run(words, capture_output=True, text=True, env=environment, timeout=120)


def volumes(pool: str) -> list[str]:
    """Return what virsh, which hides nothing, finds in a pool, and what is in its folder."""
    subprocess.run(['virsh', '-c', URI, 'pool-refresh', pool], check=True, capture_output=True)
    rows = subprocess.run(['virsh', '-c', URI, 'vol-list', pool], check=True, capture_output=True, text=True)
    found = [line.split()[0] for line in rows.stdout.splitlines()[2:] if line.strip()]
    assert sorted(found) == sorted(path.name for path in Path('/var/lib/libvirt', pool).iterdir())
    return found


def same(one: Path, other: str) -> bool:
    """Tell if a guest would find the same on two disks."""
    return subprocess.run(['qemu-img', 'compare', '-q', one, other]).returncode == 0


@WAYS
def test_a_download_that_is_dropped_twice_asks_for_what_is_missing(
        kvm: Kvirt, web: Web, pool: str, home: Path, uri: str, image: Path) -> None:
    web.cuts = [1_000_000, 1_500_000]
    url, sums = f'{web.url}/a.qcow2', f'{web.url}/SHA256SUMS'
    done = kvirt(home, uri, 'download', 'image', '-u', url, '--checksum', sums, '-p', pool)
    assert (done.returncode, done.stderr.splitlines()[-1]) == (0, 'Image a.qcow2 downloaded on here'), done.stderr
    tag = web.validator('/a.qcow2')['ETag']
    assert web.asked == [('/SHA256SUMS', '', '', 200), ('/a.qcow2', '', '', 200),
                         ('/a.qcow2', 'bytes=1000000-', tag, 206), ('/a.qcow2', 'bytes=2500000-', tag, 206)]
    assert volumes(pool) == ['a.qcow2']
    assert same(image, kvm.get_volume('a.qcow2', pool).path())
    assert list((home / 'downloads').iterdir()) == []
    assert kvm.add_image(url, pool=pool).expect()['found'] and len(web.asked) == 4


@WAYS
def test_a_wrong_checksum_is_one_clear_message_and_leaves_nothing(web: Web, pool: str, home: Path, uri: str) -> None:
    web.files['/SHA256SUMS'] = f'{"0" * 64}  a.qcow2\n'.encode()
    url, sums = f'{web.url}/a.qcow2', f'{web.url}/SHA256SUMS'
    done = kvirt(home, uri, 'download', 'image', '-u', url, '--checksum', sums, '-p', pool)
    assert done.returncode == 2
    assert [line for line in done.stderr.splitlines() if '%' not in line] == [
        f'Error: {url} has another checksum than {sums} says. It was not kept; try again later']
    assert volumes(pool) == [] and list((home / 'downloads').iterdir()) == []


def test_a_killed_download_leaves_nothing_in_the_pool_and_is_gone_on_with(
        kvm: Kvirt, web: Web, pool: str, home: Path, image: Path) -> None:
    """The program is killed by the server, as it were: after the bytes that it is sent."""
    web.hold = 2_000_000
    words = [sys.executable, '-m', 'kvirt', 'download', 'image', '-u', f'{web.url}/a.qcow2', '-p', pool]
    (home / 'config.yml').write_text(f'here:\n  type: kvm\n  url: {URI}\n')
    with subprocess.Popen(words, env={**os.environ, 'KVIRT_HOME': str(home)}, stderr=subprocess.PIPE) as running:
        assert web.held.wait(60)
        until(lambda: sum(path.stat().st_size for path in (home / 'downloads').glob('*.part')) >= 1_000_000,
              what='the first bytes', timeout=30, interval=0.05)
        running.kill()
    web.hold = 0
    web.let_go.set()
    assert volumes(pool) == []
    web.asked.clear()
    kvm.add_image(f'{web.url}/a.qcow2', pool=pool).expect()
    [(_, asked, condition, status)] = web.asked
    assert asked.startswith('bytes=') and int(asked[6:-1]) >= 1_000_000 and condition and status == 206
    assert volumes(pool) == ['a.qcow2'] and same(image, kvm.get_volume('a.qcow2', pool).path())


@WAYS
def test_what_is_refused_leaves_nothing(web: Web, pool: str, home: Path, uri: str, image: Path, tmp_path: Path) -> None:
    thin = tmp_path / 'thin.qcow2'
    subprocess.run(['qemu-img', 'create', '-q', '-f', 'qcow2', '-b', '/etc/shadow', '-F', 'raw', thin, '1M'], check=True)
    whole = image.read_bytes()
    web.files |= {'/thin.qcow2': thin.read_bytes(), '/page.qcow2': b'<html>' + bytes(9999), '/short.img': b'short',
                  '/big.qcow2': whole[:24] + (7 * 1024**3).to_bytes(8, 'big') + whole[32:],
                  '/half.qcow2': whole[:len(whole) // 2],
                  '/cut.qcow2.xz': lzma.compress(whole[:99_999])[:-100], '/page.qcow2.gz': b'<html>', '/empty.iso': b''}
    with Kvirt(url=uri, home=str(home)) as provider:
        for path, error, told in (
                ('thin.qcow2', 'InvalidInput', 'stands on another file'), ('page.qcow2', 'InvalidInput', 'web page'),
                ('short.img', 'InvalidInput', 'not an image'), ('cut.qcow2.xz', 'InvalidInput', 'can not be unpacked'),
                ('page.qcow2.gz', 'InvalidInput', 'web page'), ('empty.iso', 'InvalidInput', 'not an image'),
                ('half.qcow2', 'InvalidInput', 'a part is missing'), ('absent.img', 'NotFound', 'does not exist'),
                ("$(touch%20x)';touch%20y.img", 'InvalidInput', 'can not name'),
                ('big.qcow2', 'InvalidInput', 'made one of 5 GiB')):
            refused = provider.add_image(f'{web.url}/{path}', pool=pool, size=5)
            assert (refused['error'], told in refused['reason']) == (error, True), refused
    assert volumes(pool) == [] and list((home / 'downloads').iterdir()) == []


@WAYS
def test_packed_images_and_isos_arrive_and_grow(
        kvm: Kvirt, web: Web, pool: str, home: Path, uri: str, image: Path) -> None:
    noise = os.urandom(99 * 2048)
    web.files |= {'/z.qcow2.zst': unpacker('.zst').compress(image.read_bytes()), '/x.img.xz': lzma.compress(noise),
                  '/l.iso': noise}
    with Kvirt(url=uri, home=str(home)) as provider:
        assert provider.add_image(f'{web.url}/z.qcow2.zst', pool=pool, size=3).expect()['image'] == 'z.qcow2'
        assert provider.add_image(f'{web.url}/x.img.xz', pool=pool, name='named').expect()['image'] == 'named'
        assert provider.add_image(f'{web.url}/l.iso', pool=pool).expect()['image'] == 'l.iso'
        assert 'l.iso' in provider.volumes(iso=True) and 'l.iso' not in provider.volumes()
    assert sorted(volumes(pool)) == ['l.iso', 'named', 'z.qcow2']
    assert kvm.get_volume('z.qcow2', pool).info()[1] == 3 * 1024**3
    assert same(image, kvm.get_volume('z.qcow2', pool).path())
    for name in ('named', 'l.iso'):
        assert Path(kvm.get_volume(name, pool).path()).read_bytes() == noise
    assert kvm.delete_image('l.iso').ok and kvm.volumes(iso=True).count('l.iso') == 0


@WAYS
def test_a_pool_without_room_is_told_before_anything_is_fetched(web: Web, pool: str, home: Path, uri: str) -> None:
    folder = Path('/var/lib/libvirt', pool)
    subprocess.run(['mount', '-t', 'tmpfs', '-o', 'size=3M', 'tmpfs', folder], check=True)
    try:
        with Kvirt(url=uri, home=str(home)) as provider:
            refused = provider.add_image(f'{web.url}/a.qcow2', pool=pool)
            assert (refused['error'], 'free' in refused['reason']) == ('OutOfCapacity', True), refused
            web.files['/b.img.gz'] = gzip.compress(bytes(50 * 1024**2))
            refused = provider.add_image(f'{web.url}/b.img.gz', pool=pool)
            assert refused['error'] == 'OutOfCapacity', refused
            assert volumes(pool) == [] and list((home / 'downloads').iterdir()) == []
            subprocess.run(['mount', '-o', 'remount,size=32M', folder], check=True)
            assert provider.add_image(f'{web.url}/a.qcow2', pool=pool).ok, 'a pool on another file system'
            assert volumes(pool) == ['a.qcow2']
    finally:
        subprocess.run(['umount', folder], check=True)


@WAYS
@pytest.mark.parametrize('way', FAULTS[:2])
def test_a_failing_call_leaves_nothing(pool: str, home: Path, uri: str, way: str, tmp_path: Path) -> None:
    """libvirt fails at each of its calls in turn, until one download finds nothing that fails."""
    small, folder = tmp_path / 'small.qcow2', Path('/var/lib/libvirt', pool)
    subprocess.run(['qemu-img', 'create', '-q', '-f', 'qcow2', small, '1M'], check=True)
    for at in range(60):
        faults = Faults(at, way)
        with Kvirt(url=uri, home=str(home)) as provider, faults.armed():
            result = provider.add_image(str(small), pool=pool, size=1)
        if at >= len(faults.calls):
            break
        where = f'call {at} ({faults.calls[at]}), {way}'
        if result.ok:  # what failed was of no matter
            (folder / 'small.qcow2').unlink()
        assert list(folder.iterdir()) == [], where
    assert result.ok and not result.get('found') and at > 8 and volumes(pool) == ['small.qcow2']


def test_an_image_in_use_names_the_vms(kvm: Kvirt, prefix: str, pool: str, image: Path, home: Path) -> None:
    name, base = f'{prefix}-a', f'{prefix}.qcow2'
    kvm.add_image(str(image), pool=pool, name=base).expect()
    kvm.create(name, **{**BARE, 'disks': [{'size': 1, 'image': base, 'pool': pool}]}).expect()
    kvm.create_disk(f'{prefix}-loose', 1, pool=pool, image=base).expect()
    done = kvirt(home, URI, 'delete', 'image', '-y', base)
    assert (done.returncode, done.stderr.splitlines()[-1]) == (
        1, f'Error: image {base} is in use by {name} ({name}_0.img), volume {prefix}-loose')
    kvm.delete_disk(None, f'{prefix}-loose').expect()
    kvm.delete(name).expect()
    stranger = Path('/var/lib/libvirt', pool, f'{prefix}-later.qcow2')  # nobody told libvirt
    backing = ('-b', stranger.with_name(base), '-F', 'qcow2')
    subprocess.run(['qemu-img', 'create', '-q', '-f', 'qcow2', *backing, stranger], check=True)
    refused = kvm.delete_image(base)
    assert refused['error'] == 'Conflict' and stranger.name in refused['reason']
    stranger.unlink()
    kvm.delete_image(base).expect()
    assert volumes(pool) == []
