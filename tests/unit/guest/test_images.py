"""What is known of images by their names, and the current build of a stream from a server on this machine."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from urllib.parse import urlsplit

import pytest

from kvirt.errors import NotFound, NotSupported, Unavailable
from kvirt.guest import images
from kvirt.guest.images import Image


@pytest.mark.parametrize(('name', 'user'), [
    ('debian12', 'debian'), ('debian-12-genericcloud-amd64.qcow2', 'debian'), ('/x/debian-13-generic.qcow2', 'debian'),
    ('ubuntu2404', 'ubuntu'), ('noble-server-cloudimg-amd64.img', 'ubuntu'), ('alma9', 'almalinux'),
    ('AlmaLinux-9-GenericCloud-latest.x86_64.qcow2', 'almalinux'), ('rocky9', 'rocky'), ('rockylinux8', 'rocky'),
    ('CentOS-Stream-GenericCloud-9-latest.x86_64.qcow2', 'cloud-user'), ('centos9stream', 'cloud-user'),
    ('centos10s', 'cloud-user'), ('centos8stream', 'centos'), ('CentOS-7-x86_64-GenericCloud.qcow2', 'centos'),
    ('rhel-9.4-x86_64-kvm.qcow2', 'cloud-user'), ('Fedora-Cloud-Base-Generic-43-1.6.x86_64.qcow2', 'fedora'),
    ('fedora44', 'fedora'), ('fcos', 'core'), ('fedora-coreos-43.2026.x86_64.qcow2', 'core'), ('rhcos418', 'core'),
    ('flatcar', 'core'), ('cirros', 'cirros'), ('cirros-0.6.3-x86_64-disk.img', 'cirros'), ('arch', 'arch'),
    ('Arch-Linux-x86_64-cloudimg.qcow2', 'arch'), ('opensuse156', 'root'), ('nocloud_alpine-3.22.qcow2', 'alpine'),
    ('something.aarch64.qcow2', 'root'), ('/home/ubuntu/mine.qcow2', 'root'), ('', 'root'),
    ('https://cloud.debian.org/images/x.qcow2', 'debian'), ('freebsd122', 'freebsd')])
def test_login_users(name: str, user: str) -> None:
    assert images.login_user(name) == user


@pytest.mark.parametrize('name', ['fcos', 'rhcos-4.12.17-x86_64-openstack.x86_64.qcow2', 'scos-419', 'susemicro',
                                  'flatcar_production_x.img', 'openSUSE-MicroOS.x86_64-kvm.qcow2',
                                  'SLE-Micro.x86_64-5.5.qcow2', 'fedora-coreos-43.qcow2'])
def test_ignition_images(name: str) -> None:
    assert images.kind_of(name) == 'ignition'


@pytest.mark.parametrize('name', ['debian12', 'fedora43', 'opensuse156', 'Fedora-Cloud-Base-43.qcow2', '', 'x'])
def test_cloud_init_images(name: str) -> None:
    assert images.kind_of(name) == 'cloudinit'


@pytest.mark.parametrize(('name', 'version'), [
    ('fcos', '3.4.0'), ('flatcar', '3.3.0'), ('susemicro', '3.1.0'), ('rhcos46', '3.1.0'), ('rhcos-47.83.2021-x', '3.1.0'),
    ('rhcos-4.8.2-x86_64-openstack.qcow2', '3.2.0'), ('rhcos413', '3.2.0'), ('rhcos-414-openstack.x86_64.qcow2', '3.4.0'),
    ('rhcos-418.94.202410-0-openstack', '3.4.0'), ('rhcos419', '3.5.0'), ('rhcos-4.21', '3.5.0'),
    ('rhcos-openstack.x86_64.qcow2', '3.2.0'), ('rhcos-9.6.20250523-0-openstack.x86_64.qcow2', '3.2.0')])
def test_ignition_versions(name: str, version: str) -> None:
    assert images.ignition_version(name) == version


def test_openshift_before_4_6_is_refused() -> None:
    with pytest.raises(NotSupported, match='version 2'):
        images.ignition_version('rhcos-4.5.6-x86_64-openstack.qcow2')


@pytest.mark.parametrize(('name', 'early'), [
    ('debian11', True), ('debian-10-openstack-amd64.qcow2', True), ('debian12', False), ('debian-12-11', False),
    ('CentOS-7-x86_64-GenericCloud.qcow2', True), ('centos8stream', True), ('centos9stream', False), ('almalinux8', False),
    ('openSUSE-Leap-15.5.x86_64-NoCloud.qcow2', True), ('opensuse156', False), ('ubuntu2004', False)])
def test_which_need_the_older_network_config(name: str, early: bool) -> None:
    assert images.is_early(name) is early


@pytest.mark.parametrize('image', images.published(), ids=lambda image: f'{image.short}-{image.arch}')
def test_every_entry_is_sound(image: Image) -> None:
    short = image.short
    assert images.find(short, image.arch) == image and image.arch in ('x86_64', 'aarch64', 's390x', 'ppc64le', 'riscv64')
    assert images.find(short, 'x86_64') is not None
    assert image.checksums or image.stream, 'whatever has a vendor can be verified'
    for url in [image.url, *([image.checksums] if image.checksums else [])]:
        parts = urlsplit(url)
        assert parts.scheme == 'https' and parts.netloc and '{' not in url
    assert image.file and '/' not in image.file and '{' not in image.file
    assert not image.file.endswith(('.xz', '.gz', '.bz2', '.json'))
    assert images.kind_of(image.file) == images.kind_of(short)
    assert images.login_user(image.file) == images.login_user(short)
    assert images.is_early(image.file) == images.is_early(short)
    assert images.find(short, 'vax') is None


def test_files_of_two_images_never_have_the_same_name() -> None:
    kept = [image.file for image in images.published()]
    assert len(set(kept)) == len(kept) > 60


def test_architectures_and_aliases() -> None:
    arm = images.find('debian12', 'aarch64')
    assert arm == Image('debian12', 'https://cloud.debian.org/images/cloud/bookworm/latest/debian-12-generic-arm64.qcow2',
                        'https://cloud.debian.org/images/cloud/bookworm/latest/SHA512SUMS', 'debian-12-generic-arm64.qcow2',
                        'aarch64')
    assert images.find('rocky9') == images.find('rockylinux9')
    assert images.find('arch', 'aarch64') is None and images.find('nope') is None


def test_an_architecture_may_have_a_tree_of_its_own() -> None:
    power, intel = images.find('fedora43', 'ppc64le'), images.find('fedora43')
    assert power and power.url.startswith('https://download.fedoraproject.org/pub/fedora-secondary/releases/43/Cloud/ppc64le/')
    assert intel and intel.url.startswith('https://download.fedoraproject.org/pub/fedora/linux/releases/43/Cloud/x86_64/')
    assert power.checksums == f"{power.url.rpartition('/')[0]}/Fedora-Cloud-43-1.6-ppc64le-CHECKSUM"


def test_what_verifies_an_image_is_known_by_its_place() -> None:
    arm = images.find('debian12', 'aarch64')
    assert arm and images.checksums_of('debian12', arm.url) == arm.checksums
    rocky = images.find('rockylinux9', 's390x')
    assert rocky and images.checksums_of('rocky9', rocky.url) == rocky.checksums
    for short, url in (('debian12', 'https://mirror.example/debian-12-generic-arm64.qcow2'), ('debian13', arm.url),
                       (None, arm.url), ('nope', arm.url), ('fcos', 'https://mirror.example/fcos.qcow2.xz')):
        assert images.checksums_of(short, url) is None


def test_what_is_not_published_is_told() -> None:
    assert images.need('debian12', 'aarch64') == images.find('debian12', 'aarch64')
    with pytest.raises(NotFound, match="'arch' is not published for s390x, only for x86_64"):
        images.need('arch', 's390x')
    with pytest.raises(NotFound, match="no well-known image 'debain12', did you mean 'debian12'"):
        images.need('debain12', 'x86_64')


def test_the_table_is_read_only_when_needed() -> None:
    code = 'import sys, kvirt.guest.images; print("yaml" in sys.modules)'
    assert subprocess.run([sys.executable, '-c', code], capture_output=True, text=True, check=True).stdout == 'False\n'


@pytest.fixture
def server() -> Iterator[tuple[str, dict[str, bytes]]]:
    """A web server on the loopback: its URL, and its pages."""
    pages: dict[str, bytes] = {}

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200 if self.path in pages else 503)
            self.end_headers()
            self.wfile.write(pages.get(self.path, b''))

        def log_message(self, *args: object) -> None:
            pass

    with HTTPServer(('127.0.0.1', 0), Handler) as httpd:
        thread = threading.Thread(target=httpd.serve_forever)
        thread.start()
        yield f'http://127.0.0.1:{httpd.server_port}', pages
        httpd.shutdown()
        thread.join()


def test_the_current_build_of_a_stream(server: tuple[str, dict[str, bytes]]) -> None:
    url, pages = server
    disk = {'disk': {'location': 'https://x/fedora-coreos-43-openstack.x86_64.qcow2.xz'}}
    pages['/stable.json'] = json.dumps({'architectures': {'x86_64': {'artifacts': {'openstack': {
        'formats': {'qcow2.xz': disk}}}}}}).encode()
    pages['/odd.json'] = b'[]'
    pages['/text.json'] = b'<html>'
    stream = Image('fcos', f'{url}/stable.json', file='f', stream=True)
    assert images.current(stream) == Image('fcos', disk['disk']['location'], file='f')
    disk['disk']['sha256'] = 'a' * 64
    pages['/stable.json'] = json.dumps({'architectures': {'x86_64': {'artifacts': {'openstack': {
        'formats': {'qcow2.xz': disk}}}}}}).encode()
    assert images.current(stream).checksums == f'sha256:{"a" * 64}'
    debian = images.find('debian12')
    assert debian is not None and images.current(debian) is debian
    with pytest.raises(NotFound, match='no image for s390x'):
        images.current(Image('fcos', f'{url}/stable.json', arch='s390x', stream=True))
    with pytest.raises(NotFound):
        images.current(Image('fcos', f'{url}/odd.json', stream=True))
    for page in ('text.json', 'missing.json'):
        with pytest.raises(Unavailable):
            images.current(Image('fcos', f'{url}/{page}', stream=True))
