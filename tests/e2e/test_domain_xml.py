"""libvirt itself takes what we write: every golden domain is defined with validation, and QEMU made from it, not run."""

from __future__ import annotations

import secrets
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple
from xml.etree import ElementTree

import libvirt
import pytest

from kvirt.providers.kvm import domain
from kvirt.providers.kvm.domain import Disk, Host, Journal, Nic, read
from kvirt.spec import decode_vm

from .conftest import STEM, Leftovers

pytestmark = pytest.mark.e2e

GOLDEN = Path(__file__).parents[1] / 'unit/providers/kvm/golden'
NEWER = {'nvme', 'create-usermode'}  # libvirt 11.5; and passt, which Debian 12 has taken out of its libvirt
NEEDS_MORE = {'kernel', 'initrd', 'cmdline', 'nics', 'interleave', 'kvm', 'host-passthrough', 'hugepages',
              'hugepages-shared', 'numa-distances', 'pcidevices', 'vsock', 'create-ceph'}
"""Domains that can be defined anywhere, but start only with a kernel, networks, NUMA nodes, KVM, devices or servers of that
name."""

CASES = sorted({path.stem for path in GOLDEN.glob('*.xml')} - NEWER)
JOURNAL = Journal('creating', 'b00t', 1, '2', '2025-11-21T08:00:00Z', (('default', '<&>'),))
PERSISTENT = libvirt.VIR_DOMAIN_XML_INACTIVE | libvirt.VIR_DOMAIN_XML_SECURE


@pytest.fixture(scope='module')
def conn(libvirt_uri: str) -> Iterator[libvirt.virConnect]:
    conn = libvirt.open(libvirt_uri)
    yield conn
    conn.close()


def small_volume(conn: libvirt.virConnect, name: str) -> libvirt.virStorageVol:
    return conn.storagePoolLookupByName('default').createXML(
        f"<volume><name>{name}.img</name><capacity unit='MiB'>2</capacity>"
        "<target><format type='raw'/></target></volume>", 0)


@pytest.fixture
def volumes(conn: libvirt.virConnect, prefix: str) -> Iterator[tuple[str, str]]:
    """The paths of two empty disks of 2 MiB."""
    made = [small_volume(conn, f'{prefix}_{index}') for index in range(2)]
    yield made[0].path(), made[1].path()
    for volume in made:
        volume.delete(0)


@pytest.fixture
def volume(volumes: tuple[str, str]) -> str:
    return volumes[0]


def remove(natives: list[libvirt.virDomain]) -> None:
    for native in natives:
        if native.isActive():
            native.destroy()
        native.undefineFlags(libvirt.VIR_DOMAIN_UNDEFINE_NVRAM)


@pytest.fixture
def defined(conn: libvirt.virConnect, volumes: tuple[str, str]) -> Iterator[list[libvirt.virDomain]]:
    """Domains to remove after the test."""
    natives: list[libvirt.virDomain] = []
    yield natives
    remove(natives)


class Shared(NamedTuple):
    """What the golden domains share: a volume, and who removes them while the next one is tried."""

    prefix: str
    volume: str
    remover: ThreadPoolExecutor


@pytest.fixture(scope='module')
def shared(conn: libvirt.virConnect, leftovers: Leftovers) -> Iterator[Shared]:
    prefix = f'{STEM}{secrets.token_hex(3)}'
    volume = small_volume(conn, prefix)
    with ThreadPoolExecutor(4) as remover:
        yield Shared(prefix, volume.path(), remover)
    volume.delete(0)
    left = leftovers.now(prefix)
    leftovers.remove(prefix)
    assert not left, f'left behind: {sorted(left)}'


def define(conn: libvirt.virConnect, defined: list[libvirt.virDomain], xml: str) -> libvirt.virDomain:
    native = conn.defineXMLFlags(xml, libvirt.VIR_DOMAIN_DEFINE_VALIDATE)
    if native.UUIDString() not in [known.UUIDString() for known in defined]:
        defined.append(native)
    return native


def built(conn: libvirt.virConnect, name: str, volume: str, keywords: dict[str, object]) -> str:
    spec = decode_vm(keywords, honoured=domain.HONOURED)
    host = domain.read_host(conn.getDomainCapabilities(
        spec.emulator, spec.arch, domain.machine_for(spec, 'x86_64'), 'qemu'))
    return domain.to_text(domain.build(name, str(uuid.uuid4()), spec, host, [Disk(volume, format='raw')],
                                       [Nic(network='default')], None, {'plan': 'p'}, JOURNAL.to_element()))


@pytest.mark.parametrize('case', CASES)
def test_golden(case: str, conn: libvirt.virConnect, shared: Shared) -> None:
    try_out(case, conn, shared, start=case not in NEEDS_MORE)


def try_out(case: str, conn: libvirt.virConnect, shared: Shared, start: bool) -> None:
    """Define a golden domain as it is and as a clone with a disk that exists, and start that one."""
    original = (GOLDEN / f'{case}.xml').read_text()
    view = read(original)
    if view.virttype == 'kvm' and "<domain type='kvm'" not in conn.getCapabilities():
        pytest.skip('libvirt on this machine has no KVM')
    defined: list[libvirt.virDomain] = []
    try:
        itself = domain.parse(original)
        itself.find('name').text = f'{shared.prefix}-itself-{case}'
        itself.find('uuid').text = str(uuid.uuid4())  # others may be trying the same at this moment
        define(conn, defined, domain.to_text(itself))
        files = {disk.path or f'{disk.pool}/{disk.volume}' for disk in view.disks if not disk.ceph} - {'None/None'}
        root = domain.clone(original, f'{shared.prefix}-{case}', str(uuid.uuid4()), [],
                            dict.fromkeys(files, shared.volume), {'plan': 'p'}, None)
        for disk in root.iterfind('devices/disk'):  # they are now one small raw file, shared
            disk.find('driver').attrib.update(type='raw')
            if disk.find('shareable') is None:
                domain.add(disk, 'shareable')
        native = define(conn, defined, domain.to_text(root))
        if start:
            native.createWithFlags(libvirt.VIR_DOMAIN_START_PAUSED)
            running = read(native.XMLDesc(0))
            assert running.serial and running.serial.startswith('/dev/pts/')
            assert all(shown.port and shown.listen == '127.0.0.1' for shown in running.graphics)
            filled = [disk for disk in view.disks if disk.path or disk.volume]
            assert [disk.path for disk in running.disks if disk.path] == [shared.volume] * len(filled)
    finally:
        shared.remover.submit(remove, defined)


@pytest.mark.parametrize('machine', ['pc', 'q35'])
def test_host(conn: libvirt.virConnect, machine: str) -> None:
    host = domain.read_host(conn.getDomainCapabilities(None, 'x86_64', machine, 'qemu'))
    assert (host.arch, host.virttype, host.chipset) == ('x86_64', 'qemu', machine)
    assert host.emulator and host.emulator.startswith('/')
    assert 'maximum' in host.cpu_modes and 'vnc' in host.graphics and 'virtio' in host.disk_buses
    assert 200 < host.max_vcpus <= 4096


def test_host_without_anything() -> None:
    assert domain.read_host('<domainCapabilities/>') == Host('', '', disk_buses=frozenset(), graphics=frozenset())


def test_memory_is_plugged_in(conn: libvirt.virConnect, defined: list[libvirt.virDomain], prefix: str,
                              volume: str) -> None:
    native = define(conn, defined, built(conn, f'{prefix}-a', volume, {'memoryhotplug': True, 'cpuhotplug': True}))
    native.createWithFlags(libvirt.VIR_DOMAIN_START_PAUSED)
    native.attachDeviceFlags(domain.to_text(domain.memory_module(256)),
                             libvirt.VIR_DOMAIN_AFFECT_LIVE | libvirt.VIR_DOMAIN_AFFECT_CONFIG)
    native.setVcpusFlags(4, libvirt.VIR_DOMAIN_AFFECT_LIVE | libvirt.VIR_DOMAIN_AFFECT_CONFIG)
    for flags in (0, libvirt.VIR_DOMAIN_XML_INACTIVE):
        view = read(native.XMLDesc(flags))
        assert (view.memory, view.numcpus, view.max_cpus, view.max_memory) == (768, 4, 64, 65536)
    native.destroy()
    xml = domain.with_memory(domain.with_cpus(native.XMLDesc(PERSISTENT), 6), 1024)
    assert (changed := read(define(conn, defined, xml).XMLDesc(0))).memory == 1024 and changed.numcpus == 6


def test_edits(conn: libvirt.virConnect, defined: list[libvirt.virDomain], prefix: str, volume: str) -> None:
    for machine in ('pc', 'q35'):
        native = define(conn, defined, built(conn, f'{prefix}-{machine}', volume, {'machine': machine}))
        for edit in (lambda xml: domain.with_cpus(xml, 3), lambda xml: domain.with_memory(xml, 640),
                     lambda xml: domain.with_iso(xml, volume)):
            define(conn, defined, edit(native.XMLDesc(PERSISTENT)))
        view = read(native.XMLDesc(PERSISTENT))
        assert (view.numcpus, view.memory, view.disks[-1].device, view.disks[-1].path) == (3, 640, 'cdrom', volume)
        assert (view.info, view.journal) == ({'plan': 'p'}, JOURNAL)
        define(conn, defined, domain.with_iso(native.XMLDesc(PERSISTENT), None))
        assert read(native.XMLDesc(PERSISTENT)).disks[-1].path is None


def test_medium_of_a_running_vm(conn: libvirt.virConnect, defined: list[libvirt.virDomain], prefix: str,
                                volumes: tuple[str, str]) -> None:
    root, image = volumes
    native = define(conn, defined, domain.with_iso(built(conn, f'{prefix}-a', root, {}), image))
    native.createWithFlags(libvirt.VIR_DOMAIN_START_PAUSED)
    for path in (None, image):
        drive = read(native.XMLDesc(0)).disks[-1]
        native.updateDeviceFlags(domain.to_text(domain.cdrom_element(drive, path)), libvirt.VIR_DOMAIN_AFFECT_LIVE)
        assert read(native.XMLDesc(0)).disks[-1].path == path


@pytest.mark.parametrize('machine', ['pc', 'q35'])
def test_disks_come_and_go_while_running(machine: str, conn: libvirt.virConnect, defined: list[libvirt.virDomain],
                                         prefix: str, volume: str) -> None:
    xml = built(conn, f'{prefix}-a', volume, {'machine': machine}).replace('<target dev="vda"',
                                                                          '<shareable/><target dev="vda"')
    native = define(conn, defined, xml)
    native.createWithFlags(libvirt.VIR_DOMAIN_START_PAUSED)
    both = libvirt.VIR_DOMAIN_AFFECT_LIVE | libvirt.VIR_DOMAIN_AFFECT_CONFIG
    for number in range(3):
        target = domain.next_target('virtio', {disk.target for disk in read(native.XMLDesc(0)).disks})
        element = domain.disk_element(Disk(volume, format='raw', bus='virtio', serial=f's{number}'), target)
        domain.add(element, 'shareable')
        native.attachDeviceFlags(domain.to_text(element), both)
    view = read(native.XMLDesc(0))
    assert [(disk.target, disk.serial) for disk in view.disks] == [
        ('vda', None), ('vdb', 's0'), ('vdc', 's1'), ('vdd', 's2')]
    native.destroy()
    native.detachDeviceFlags(domain.to_text(domain.view_element(view.disks[2])), libvirt.VIR_DOMAIN_AFFECT_CONFIG)
    assert [disk.target for disk in read(native.XMLDesc(0)).disks] == ['vda', 'vdb', 'vdd']


def test_clone_with_firmware_of_its_own(conn: libvirt.virConnect, defined: list[libvirt.virDomain], prefix: str,
                                        volume: str) -> None:
    native = define(conn, defined, built(conn, f'{prefix}-a', volume, {'uefi': True}))
    native.createWithFlags(libvirt.VIR_DOMAIN_START_PAUSED)
    original = read(native.XMLDesc(0))  # running, it names the file with its variables
    assert original.uefi and original.nvram and f'{prefix}-a' in original.nvram
    native.destroy()
    copy = define(conn, defined, domain.to_text(domain.clone(
        native.XMLDesc(PERSISTENT), f'{prefix}-b', str(uuid.uuid4()), [], {}, {'plan': 'q'}, None)))
    copy.createWithFlags(libvirt.VIR_DOMAIN_START_PAUSED)
    view = read(copy.XMLDesc(0))
    assert view.nvram and f'{prefix}-b' in view.nvram
    assert (view.info, view.journal) == ({'plan': 'q'}, None)
    assert view.nics[0].mac != original.nics[0].mac


@pytest.mark.parametrize('active', [False, True])
def test_metadata_is_changed_in_kclis_manner_and_ours(active: bool, conn: libvirt.virConnect, prefix: str, volume: str,
                                                      defined: list[libvirt.virDomain]) -> None:
    native = define(conn, defined, built(conn, f'{prefix}-a', volume, {}))
    flags = libvirt.VIR_DOMAIN_AFFECT_CONFIG
    if active:
        native.createWithFlags(libvirt.VIR_DOMAIN_START_PAUSED)
        flags |= libvirt.VIR_DOMAIN_AFFECT_LIVE
    element = libvirt.VIR_DOMAIN_METADATA_ELEMENT
    root = ElementTree.fromstring(native.metadata(element, 'kvirt', 0))
    ElementTree.SubElement(root, 'owner').text = 'o'
    native.setMetadata(element, ElementTree.tostring(root, encoding='unicode'), 'kvirt', 'kvirt', flags)
    assert read(native.XMLDesc(0)).info == {'plan': 'p', 'owner': 'o'}
    native.setMetadata(element, domain.to_metadata(domain.info_element({'plan': 'q'})), domain.INFO_PREFIX,
                       domain.INFO_URI, flags)
    fewer = Journal('done', 'h', 2, '3', 's', ())
    native.setMetadata(element, fewer.to_metadata(), domain.JOURNAL_PREFIX, domain.JOURNAL_URI, flags)
    for which in (0, libvirt.VIR_DOMAIN_XML_INACTIVE):
        view = read(native.XMLDesc(which))
        assert (view.info, view.journal) == ({'plan': 'q'}, fewer)
