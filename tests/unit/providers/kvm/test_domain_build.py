"""Golden XML for every honoured keyword, checked against libvirt's own schema; and what must be refused."""

from __future__ import annotations

import re
import shutil
import subprocess
import uuid
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any
from xml.etree.ElementTree import Element

import pytest

from kvirt.errors import InvalidInput, KvirtError, NotSupported
from kvirt.providers.kvm import domain
from kvirt.providers.kvm.domain import Disk, Host, Journal, Nic
from kvirt.spec import decode_vm

GOLDEN = Path(__file__).parent / 'golden'
SCHEMA = Path('/usr/share/libvirt/schemas/domain.rng')
POOL = '/var/lib/libvirt/images'

QEMU = Host(arch='x86_64', virttype='qemu', emulator='/usr/bin/qemu-system-x86_64', machine='pc-i440fx-7.2', efi=True,
            secureboot=True, max_vcpus=255, cpu_modes=frozenset({'maximum', 'host-model'}),
            graphics=frozenset({'vnc', 'spice'}), tpm=True, folders='virtiofs', passes_pci=True,
            pages=frozenset({4, 2048, 1048576}))
KVM = replace(QEMU, virttype='kvm', cpu_modes=frozenset({'maximum', 'host-model', 'host-passthrough'}),
              cpu_vendor='Intel')
ARM = replace(QEMU, arch='aarch64', emulator='/usr/bin/qemu-system-aarch64', machine='virt-7.2',
              cpu_modes=frozenset({'maximum'}))
Q35 = replace(QEMU, machine='pc-q35-7.2')
PPC = replace(QEMU, arch='ppc64le', emulator='/usr/bin/qemu-system-ppc64le', machine='pseries-7.2', efi=False,
              cpu_modes=frozenset(), disk_buses=frozenset({'virtio', 'scsi', 'sata'}))
RISCV = replace(QEMU, arch='riscv64', emulator='/usr/bin/qemu-system-riscv64', machine='virt', efi=False,
                cpu_modes=frozenset(), disk_buses=frozenset({'virtio', 'scsi', 'sata'}))
S390 = replace(QEMU, arch='s390x', emulator='/usr/bin/qemu-system-s390x', machine='s390-ccw-virtio-7.2', efi=False,
               graphics=frozenset())

ROOT = Disk(f'{POOL}/kvirt-xml-root.qcow2', bus='virtio')
CARD = Nic(network='default', mac='52:54:00:12:34:56')
INFO = {'plan': 'kvirt', 'profile': 'web', 'image': 'debian12', 'creationdate': '21-11-2025 08:30', 'owner': 'Zoë <&>'}
JOURNAL = Journal('creating', 'b7c0ffee', 4711, '123456', '2025-11-21T08:30:00+00:00', (('default', 'web_0.img'),))

KEYWORDS: dict[str, dict[str, Any]] = {
    'virttype': {'virttype': 'qemu'},
    'arch': {'arch': 'i686'},
    'machine': {'machine': 'q35'},
    'emulator': {'arch': 'i686', 'emulator': '/usr/bin/qemu-system-i386'},
    'uuid': {'uuid': '11111111-2222-4333-8444-555555555555'},
    'cpumodel': {'cpumodel': 'Westmere'},
    'cpuflags': {'cpuflags': ['aes', {'name': 'avx', 'policy': 'disable'}]},
    'cpupinning': {'numcpus': 4, 'cpupinning': [{'vcpus': '0-1', 'hostcpus': '0'}, {'vcpus': 3, 'hostcpus': '0-1'}]},
    'cpuhotplug': {'cpuhotplug': True},
    'sockets': {'numcpus': 4, 'sockets': 2},
    'cores': {'numcpus': 8, 'cores': 4},
    'threads': {'numcpus': 4, 'threads': 2},
    'nested': {'nested': False},
    'memoryhotplug': {'memoryhotplug': True},
    'numamode': {'numamode': 'strict'},
    'numa': {'memory': 1024, 'numa': [{'id': 0, 'vcpus': '0', 'memory': 512}, {'id': 1, 'vcpus': '1', 'memory': 512}]},
    'uefi': {'uefi': True},
    'secureboot': {'secureboot': True},
    'kernel': {'kernel': f'{POOL}/vmlinuz'},
    'initrd': {'kernel': f'{POOL}/vmlinuz', 'initrd': f'{POOL}/initrd.img'},
    'cmdline': {'kernel': f'{POOL}/vmlinuz', 'cmdline': 'console=ttyS0 init="/bin/sh" a<b&c'},
    'boot_order': {'boot_order': ['network', 'hd']},
    'hugepages': {'hugepages': True},
    'pmu': {'pmu': False},
    'iommu': {'machine': 'q35', 'iommu': True},
    'uefi_firmware': {'machine': 'q35', 'uefi_firmware': '/usr/share/OVMF/OVMF_CODE_4M.fd'},
    'uefi_nvtemplate': {'machine': 'q35', 'uefi_firmware': '/usr/share/OVMF/OVMF_CODE_4M.fd',
                        'uefi_nvtemplate': '/usr/share/OVMF/OVMF_VARS_4M.fd'},
    'vsock': {'vsock': True},
    'watchdog': {'watchdog': 'poweroff'},
    'sound': {'sound': True},
    'pcidevices': {'pcidevices': ['01:00.0', '0000:0a:1f.7']},
    'seriallog': {'seriallog': '/var/log/libvirt/qemu/kvirt-xml-seriallog.log'},
    'qemuextra': {'qemuextra': '-fw_cfg "name=opt/a b,string=<&>"'},
    'tpm': {'tpm': True},
    'rng': {'rng': True},
    'vnc': {'vnc': False},
    'vncpassword': {'vncpassword': '<s3&"\'>'},
    'sharedfolders': {'sharedfolders': ['/srv', '/var/lib']},
}


def make(case: str, keywords: dict[str, Any], host: Host = QEMU, **parts: Any) -> Element:
    """Build the domain of a case: with a root disk and a card, unless *parts* say otherwise."""
    spec = decode_vm(keywords, honoured=domain.HONOURED, provider='kvm')
    parts = {'disks': [ROOT], 'nics': [CARD], **parts}
    return domain.build(f'kvirt-xml-{case}', str(uuid.uuid5(uuid.NAMESPACE_URL, case)), spec, host, **parts)


VARIANTS: dict[str, Callable[[str], Element]] = {
    'default': lambda case: make(case, {}),
    'kvm': lambda case: make(case, {}, KVM),
    'host-passthrough': lambda case: make(case, {'cpumodel': 'host-passthrough', 'nested': False}, KVM),
    'metadata': lambda case: make(case, {}, metadata=INFO, journal=JOURNAL.to_element()),
    'layout': lambda case: make(case, {'sockets': 2, 'cores': 2, 'threads': 2}),
    'layout-hotplug': lambda case: make(case, {'sockets': 2, 'cores': 2, 'cpuhotplug': True, 'memoryhotplug': True}),
    'interleave': lambda case: make(case, {'numamode': 'interleave'}, replace(QEMU, nodes=2)),
    'seed-virtio': lambda case: make(case, {}, seed=domain.seed_disk(f'{POOL}/kvirt-xml-seed.iso', ROOT, QEMU)),
    'seed-scsi': lambda case: make(case, {}, disks=[replace(ROOT, bus='scsi')], seed=domain.seed_disk(
        f'{POOL}/kvirt-xml-seed.iso', replace(ROOT, bus='scsi'), QEMU)),
    'seed-sata': lambda case: make(case, {'machine': 'q35'}, disks=[replace(ROOT, bus='sata')], seed=domain.seed_disk(
        f'{POOL}/kvirt-xml-seed.iso', replace(ROOT, bus='sata'), replace(QEMU, machine='pc-q35-7.2'))),
    'cdrom-pc': lambda case: make(case, {}, disks=[ROOT, domain.cdrom(f'{POOL}/kvirt-xml-seed.iso', QEMU)]),
    'cdrom-empty': lambda case: make(case, {'machine': 'q35'}, disks=[
        ROOT, Disk(format='raw', device='cdrom')]),
    'disks': lambda case: make(case, {}, disks=[
        ROOT, Disk(f'{POOL}/kvirt-xml-b.qcow2', bus='virtio', serial='S 1.+_-', cache='none'),
        Disk(pool='default', volume='kvirt-xml & c.qcow2', bus='scsi', wwn='0x5000C50015EA71AA'),
        Disk('/dev/null', format='raw', bus='sata'), Disk(f'{POOL}/kvirt-xml-d.img', format='raw', bus='ssd'),
        Disk(f'{POOL}/kvirt-xml-e.img', format='raw', bus='ide', discard=None)]),
    'nvme': lambda case: make(case, {}, replace(QEMU, disk_buses=frozenset({'virtio', 'nvme'})), disks=[
        ROOT, Disk(f'{POOL}/kvirt-xml-b.qcow2', bus='nvme', serial='n1'),
        Disk(f'{POOL}/kvirt-xml-c.qcow2', bus='nvme', serial='n2'), Disk(f'{POOL}/kvirt-xml-d.qcow2', bus='nvme')]),
    'nics': lambda case: make(case, {}, nics=[
        CARD, Nic(bridge='br0', mac='52:54:00:12:34:57', model='e1000', mtu=9000),
        Nic(network='a & b', queues=4, filter='clean-traffic')]),
    'sharedfolders-9p': lambda case: make(case, KEYWORDS['sharedfolders'], replace(QEMU, folders='9p')),
    'no-nics': lambda case: make(case, {'guestagent': False}, nics=[]),
    'numa-distances': lambda case: make(case, {'memory': 1024, 'hugepages': '1G', 'numa': [
        {'id': 0, 'vcpus': '0', 'memory': 512, 'siblings': [{'id': 0, 'value': 10}, {'id': 1, 'value': 21}]},
        {'id': 1, 'vcpus': '1', 'memory': 512}]}),
    'hugepages-shared': lambda case: make(case, {'hugepages': '2M', 'sharedfolders': ['/srv']}),
    'spice-password': lambda case: make(case, {'vnc': False, 'vncpassword': 'longer than eight', 'sound': True,
                                               'machine': 'q35'}, Q35),
    'everything': lambda case: make(case, {
        'uefi': True, 'tpm': True, 'rng': True, 'watchdog': 'reset', 'iommu': True, 'cpuhotplug': True, 'sound': True,
        'memoryhotplug': True, 'seriallog': '/var/log/libvirt/qemu/kvirt-xml-everything.log', 'pmu': False}, Q35),
    'aarch64-iommu': lambda case: make(case, {'iommu': True, 'memoryhotplug': True, 'tpm': True,
                                              'rng': True, 'sound': True, 'watchdog': 'reset'}, ARM),
    'ppc64le': lambda case: make(case, {'watchdog': 'reset', 'rng': True, 'sound': True}, PPC, disks=[
        ROOT, Disk(format='raw', device='cdrom')]),
    'riscv64': lambda case: make(case, {'watchdog': 'reset', 'rng': True}, RISCV, disks=[
        ROOT, Disk(format='raw', device='cdrom')]),
    's390x-log': lambda case: make(case, {'watchdog': 'reset', 'rng': True,
                                          'seriallog': '/var/log/libvirt/qemu/kvirt-xml-s390x.log'}, S390),
    'aarch64': lambda case: make(case, {}, ARM, disks=[ROOT, Disk(format='raw', device='cdrom')]),
    's390x': lambda case: make(case, {}, S390, disks=[ROOT, Disk(format='raw', device='cdrom')]),
}
CASES = {keyword: (lambda case, keywords=keywords: make(case, keywords))
         for keyword, keywords in KEYWORDS.items()} | VARIANTS


@pytest.mark.parametrize('case', CASES)
def test_golden(case: str, golden: Callable[[str, str], None]) -> None:
    golden(f'{case}.xml', domain.to_text(CASES[case](case)))


def test_golden_files_all_belong_to_a_case() -> None:
    made = {path.stem for path in GOLDEN.glob('*.xml') if not path.stem.startswith('create-')}
    assert made == set(CASES)


@pytest.mark.parametrize('keyword', sorted(set(KEYWORDS) - {'virttype'}))
def test_keyword_changes_the_domain(keyword: str) -> None:
    given = KEYWORDS[keyword]
    without = {key: value for key, value in given.items() if key != keyword}
    assert domain.to_text(make('x', given)) != domain.to_text(make('x', without))


def test_virttype_decides_over_the_host() -> None:
    assert make('x', {'virttype': 'kvm'}, QEMU).get('type') == 'kvm'


@pytest.fixture
def validate() -> Callable[[Sequence[Path]], subprocess.CompletedProcess[str]]:
    tool = shutil.which('xmllint')
    if tool is None or not SCHEMA.exists():
        pytest.skip('needs xmllint (libxml2-utils) and the schemas of libvirt (libvirt-daemon)')
    return lambda files: subprocess.run([tool, '--noout', '--relaxng', str(SCHEMA), *map(str, files)],
                                        capture_output=True, text=True)


def test_golden_files_follow_libvirts_schema(validate: Callable[[Sequence[Path]], Any]) -> None:
    # The schema of a libvirt before 11.5 knows no NVMe disks, and there such a disk is refused (case nvme below).
    files = sorted(path for path in GOLDEN.glob('*.xml') if path.stem != 'nvme')
    done = validate(files)
    assert done.returncode == 0, done.stderr
    assert done.stderr.count(' validates') == len(files) > len(CASES)


def test_schema_check_can_fail(validate: Callable[[Sequence[Path]], Any], tmp_path: Path) -> None:
    root = make('x', {})
    domain.add(root, 'invented')
    (tmp_path / 'bad.xml').write_text(domain.to_text(root))
    assert validate([tmp_path / 'bad.xml']).returncode != 0


def test_display_listens_on_loopback_only() -> None:
    for case in CASES.values():
        for graphics in case('x').iter('graphics'):
            assert graphics.get('listen') == '127.0.0.1'
            assert [listen.get('address') for listen in graphics.iter('listen')] == ['127.0.0.1']


def test_device_names_count_by_bus() -> None:
    root = make('x', {}, disks=[replace(ROOT, bus=bus) for bus in ('virtio', 'sata', 'ssd', 'scsi', 'ide', 'virtio')])
    assert [target.get('dev') for target in root.iterfind('devices/disk/target')] == [
        'vda', 'sda', 'sdb', 'sdc', 'hda', 'vdb']


def test_device_names_go_on_after_z() -> None:
    taken: set[str | None] = set()
    for _ in range(28):
        taken.add(domain.next_target('virtio', taken))
    assert {'vda', 'vdz', 'vdaa', 'vdab'} <= taken and len(taken) == 28


def test_root_comes_first_and_seed_last() -> None:
    seed = domain.seed_disk('/s.iso', ROOT, QEMU)
    root = make('x', {}, disks=[ROOT, replace(ROOT, path=f'{POOL}/b.qcow2')], seed=seed)
    assert [source.get('file') for source in root.iterfind('devices/disk/source')] == [
        ROOT.path, f'{POOL}/b.qcow2', '/s.iso']


def test_sockets_and_cores_decide_the_number_of_cpus() -> None:
    assert make('x', {'sockets': 2, 'cores': 3}).findtext('vcpu') == '6'


def test_emulated_guests_get_all_that_qemu_emulates() -> None:
    for model in ('host-model', 'host-passthrough'):
        cpu = make('x', {'cpumodel': model}).find('cpu')
        assert cpu is not None and cpu.get('mode') == 'maximum'


def test_kvm_without_host_model_passes_the_host_through() -> None:
    cpu = make('x', {}, replace(KVM, cpu_modes=frozenset({'host-passthrough', 'maximum'}))).find('cpu')
    assert cpu is not None and cpu.get('mode') == 'host-passthrough'


REFUSED: dict[str, tuple[type[KvirtError], str, Callable[[], Element]]] = {
    'lxc': (NotSupported, 'lxc', lambda: make('x', {'virttype': 'lxc'})),
    'xen': (NotSupported, 'xen', lambda: make('x', {'virttype': 'xen'})),
    'uuid': (InvalidInput, 'uuid', lambda: make('x', {'uuid': 'web'})),
    'cpus': (InvalidInput, '300 CPUs', lambda: make('x', {'numcpus': 300})),
    'layout': (InvalidInput, 'numcpus is 5', lambda: make('x', {'numcpus': 5, 'sockets': 2, 'cores': 2})),
    'division': (InvalidInput, 'divided by 2', lambda: make('x', {'numcpus': 3, 'cores': 2})),
    'cores': (InvalidInput, 'cores', lambda: make('x', {'cores': 0})),
    'sockets': (InvalidInput, 'sockets', lambda: make('x', {'sockets': -1})),
    'pin': (InvalidInput, 'virtual CPU 7', lambda: make('x', {'cpupinning': [{'vcpus': '7', 'hostcpus': '0'}]})),
    'pin-twice': (InvalidInput, 'twice', lambda: make('x', {'cpupinning': [
        {'vcpus': '0-1', 'hostcpus': '0'}, {'vcpus': '1', 'hostcpus': '1'}]})),
    'pin-words': (InvalidInput, 'cpupinning', lambda: make('x', {'cpupinning': [{'vcpus': 'all', 'hostcpus': '0'}]})),
    'pin-backwards': (InvalidInput, 'cpupinning', lambda: make('x', {'cpupinning': [{'vcpus': '1-0', 'hostcpus': '0'}]})),
    'numa-memory': (InvalidInput, '100 MiB', lambda: make('x', {'numa': [{'id': 0, 'vcpus': '0-1', 'memory': 100}]})),
    'numa-cpus': (InvalidInput, 'cell 0', lambda: make('x', {'numa': [{'id': 0, 'vcpus': '0-9', 'memory': 512}]})),
    'uefi': (NotSupported, 'UEFI', lambda: make('x', {'uefi': True}, replace(QEMU, efi=False))),
    'secureboot': (NotSupported, 'secure boot', lambda: make('x', {'secureboot': True}, replace(QEMU, secureboot=False))),
    'secureboot-pc': (InvalidInput, 'q35', lambda: make('x', {'secureboot': True, 'machine': 'pc'})),
    'tpm': (NotSupported, 'tpm', lambda: make('x', {'tpm': True}, replace(QEMU, tpm=False))),
    'spice': (NotSupported, 'SPICE', lambda: make('x', {'vnc': False}, replace(QEMU, graphics=frozenset({'vnc'})))),
    'password': (InvalidInput, 'vncpassword', lambda: make('x', {'vncpassword': 'ninechars'})),
    'password-s390x': (NotSupported, 'vncpassword', lambda: make('x', {'vncpassword': 'secret'}, S390)),
    'folders': (NotSupported, 'sharedfolders', lambda: make('x', {'sharedfolders': ['/a']}, replace(QEMU, folders=None))),
    'folder': (InvalidInput, 'absolute', lambda: make('x', {'sharedfolders': ['a']})),
    'flags': (NotSupported, 'cpuflags', lambda: make('x', {'cpuflags': ['aes']}, replace(QEMU, cpu_modes=frozenset()))),
    'nvme': (NotSupported, 'NVMe', lambda: make('x', {}, disks=[replace(ROOT, bus='nvme')])),
    'wwn': (InvalidInput, 'world wide name', lambda: make('x', {}, disks=[replace(ROOT, bus='scsi', wwn='12')])),
    'wwn-bus': (InvalidInput, 'wwn', lambda: make('x', {}, disks=[replace(ROOT, wwn='5000c50015ea71aa')])),
    'serial': (InvalidInput, 'serial number', lambda: make('x', {}, disks=[replace(ROOT, serial='<a>')])),
    'serial-long': (InvalidInput, 'serial number', lambda: make('x', {}, disks=[replace(ROOT, serial='a' * 21)])),
    'model': (InvalidInput, 'type of a network card', lambda: make('x', {}, nics=[replace(CARD, model='a b')])),
    'filter': (InvalidInput, 'filter of a network card', lambda: make('x', {}, nics=[replace(CARD, filter='<a>')])),
    'kernel': (InvalidInput, 'kernel', lambda: make('x', {'kernel': 'vmlinuz'})),
    'emulator': (InvalidInput, 'emulator', lambda: make('x', {'emulator': 'qemu'})),
    'cpuhotplug-arm': (NotSupported, 'cpuhotplug', lambda: make('x', {'cpuhotplug': True}, ARM)),
    'memoryhotplug-s390x': (NotSupported, 'memoryhotplug', lambda: make('x', {'memoryhotplug': True}, S390)),
    'hugepages': (NotSupported, 'no pages of 4096 KiB', lambda: make('x', {'hugepages': '4M'})),
    'hugepages-small': (NotSupported, 'no pages of 4 KiB', lambda: make('x', {'hugepages': '4K'})),
    'hugepages-word': (InvalidInput, 'hugepages', lambda: make('x', {'hugepages': 'many'})),
    'numa-sibling': (InvalidInput, 'no such cell', lambda: make('x', {'numa': [
        {'id': 0, 'vcpus': '0-1', 'memory': 512, 'siblings': [{'id': 3, 'value': 20}]}]})),
    'iommu-pc': (NotSupported, 'iommu', lambda: make('x', {'iommu': True})),
    'sound-s390x': (NotSupported, 'sound', lambda: make('x', {'sound': True}, S390)),
    'pci-address': (InvalidInput, "'1:0' is not the address", lambda: make('x', {'pcidevices': ['1:0']})),
    'pci-twice': (InvalidInput, 'twice', lambda: make('x', {'pcidevices': ['01:00.0', '0000:01:00.0']})),
    'pci-none': (NotSupported, 'pcidevices', lambda: make('x', {'pcidevices': ['01:00.0']}, replace(
        QEMU, passes_pci=False))),
    'firmware': (InvalidInput, 'absolute', lambda: make('x', {'uefi_firmware': 'OVMF.fd'})),
    'firmware-secure': (InvalidInput, 'do not go together', lambda: make('x', {
        'uefi_firmware': '/f', 'secureboot': True})),
    'firmware-template': (InvalidInput, 'needs uefi_firmware', lambda: make('x', {'uefi_nvtemplate': '/f'})),
    'seriallog': (InvalidInput, 'absolute', lambda: make('x', {'seriallog': 'log'})),
    'watchdog': (InvalidInput, 'watchdog', lambda: make('x', {'watchdog': 'bark'})),
    'qemuextra': (InvalidInput, 'qemuextra', lambda: make('x', {'qemuextra': 'a "b'})),
    'ide-q35': (NotSupported, 'no IDE disks', lambda: make('x', {}, replace(
        Q35, disk_buses=frozenset({'virtio'})), disks=[replace(ROOT, bus='ide')])),
    'floppy-arm': (NotSupported, 'floppy', lambda: make('x', {}, ARM, disks=[domain.floppy('/f.img', ARM)])),
    'mtu': (InvalidInput, 'MTU', lambda: make('x', {}, nics=[replace(CARD, mtu=20)])),
    'queues': (InvalidInput, 'queues', lambda: make('x', {}, nics=[replace(CARD, queues=257)])),
    'control-cmdline': (InvalidInput, 'cmdline contains the character U+0007', lambda: make(
        'x', {'kernel': '/k', 'cmdline': 'a\x07b'})),
    'control-disk': (InvalidInput, 'disks contains', lambda: make('x', {'disks': [{'size': 1, 'serial': 'a\x00'}]})),
    'control-path': (InvalidInput, 'source file', lambda: make('x', {}, disks=[Disk('/a\x1b')])),
    'surrogate': (InvalidInput, 'U+D800', lambda: make('x', {}, metadata={'owner': '\ud800'})),
    'field-name': (InvalidInput, 'can not name a field', lambda: make('x', {}, metadata={'a b': 'c'})),
}


@pytest.mark.parametrize('case', REFUSED)
def test_refused(case: str) -> None:
    kind, words, attempt = REFUSED[case]
    with pytest.raises(kind, match=re.escape(words)):
        attempt()


def test_a_vm_has_no_sound_unless_asked() -> None:
    assert make('x', {}).find('devices/sound') is None


def test_disk_needs_one_source() -> None:
    for wrong in ({}, {'pool': 'default'}, {'path': '/a', 'pool': 'p', 'volume': 'v'}):
        with pytest.raises(ValueError, match='disk'):
            Disk(**wrong)


def test_fresh_macs_are_local_unicast_and_differ() -> None:
    macs = {domain.random_mac() for _ in range(50)}
    assert len(macs) == 50
    assert all(mac.startswith('52:54:00:') and len(mac) == 17 for mac in macs)
