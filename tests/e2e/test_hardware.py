"""What a VM is given, as its guest sees it: firmware, devices, and what comes and goes while it runs."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from kvirt.config import Kconfig
from kvirt.providers.kvm import Kvirt
from kvirt.wait import until

from .conftest import IMAGE
from .test_guest import key, remote

pytestmark = pytest.mark.e2e
__all__ = ['key']  # a fixture

MIB = 1024**2
LOGS = Path('/var/log/libvirt/qemu')
PATIENCE = 120.0


@pytest.fixture
def serial_log(prefix: str) -> Iterator[Path]:
    path = LOGS / f'{prefix}-serial.log'
    yield path
    path.unlink(missing_ok=True)


@pytest.fixture
def boot_files(kvm: Kvirt, tmp_path: Path) -> Path:
    """The partition of the guest image that its boot loaders, kernel and initrd are on."""
    raw = tmp_path / 'start.raw'
    subprocess.run(['qemu-img', 'dd', '-U', '-f', 'qcow2', '-O', 'raw', 'bs=1M', 'count=65',
                    f'if={kvm.get_image(IMAGE).path()}', f'of={raw}'], check=True)
    return raw


def copied(boot_files: Path, name: str, target: Path) -> bool:
    done = subprocess.run(['mcopy', '-n', '-i', f'{boot_files}@@{MIB}', f'::{name}', str(target)], capture_output=True)
    return done.returncode == 0


def tell(path: Path) -> str:
    return path.read_text(errors='replace') if path.exists() else ''


@pytest.mark.minutes(2)
def test_what_a_guest_sees(home: Path, key: Path, prefix: str, config: Kconfig, boot_files: Path, tmp_path: Path,
                           serial_log: Path) -> None:
    assert copied(boot_files, 'EFI/BOOT/BOOTX64.EFI', tmp_path / 'loader'), (
        f'image {IMAGE} does not boot with UEFI: build it anew with extras/guest-image/build --default-pool --force')
    name, k = f'{prefix}-vm', config.k
    folder = Path('/var/lib/libvirt', f'{prefix}-share')
    folder.mkdir()
    (folder / 'hello').write_text('from the host\n')
    try:
        config.create_vm(name, None, overrides={
            'image': IMAGE, 'keys': [str(key.with_suffix('.pub'))], 'wait': True, 'numcpus': 1, 'memory': 512,
            'uefi': True, 'tpm': True, 'rng': True, 'cpuhotplug': True, 'memoryhotplug': True,
            'sharedfolders': [str(folder)],
            'disks': [6, {'size': 1, 'serial': 'BORN-1', 'cache': 'writeback', 'format': 'raw'}],
            'seriallog': str(serial_log)}).expect()

        seen = remote(home, key, name, 'ls -d /sys/firmware/efi /dev/tpm0 /dev/hwrng /sys/class/net/en*; '
                                       f'cat /sys/block/vd?/serial; echo; sudo cat {folder}/hello')
        assert '/sys/firmware/efi' in seen and '/dev/tpm0' in seen and '/dev/hwrng' in seen
        assert 'BORN-1' in seen and 'from the host' in seen
        assert seen.count('/sys/class/net/en') == 1

        disk = k.add_disk(name, 1, overrides={'serial': 'LIVE-1'}).expect()['device']
        k.add_nic(name, 'default').expect()
        assert k.update_cpus(name, 2).expect()['in_use'] == 2
        assert k.update_memory(name, 768).expect()['in_use'] == 768
        there = f'[ -e /sys/block/{disk} ] && [ $(ls -d /sys/class/net/en* | wc -l) = 2 ]'
        seen = remote(home, key, name, f'{_patiently(there)}; cd /sys/devices/system; cat cpu/online; '
                                       f'cat memory/memory*/state | grep -c ^online; ls -d /sys/class/net/en*; '
                                       f'cat /sys/block/{disk}/size /sys/block/{disk}/serial')
        assert 'LIVE-1' in seen and str(1024 * MIB // 512) in seen.split() and '0-1' in seen.split()
        assert seen.count('/sys/class/net/en') == 2 and str(768 // 128) in seen.split()

        k.resize_disk(name, disk, 2).expect()
        k.delete_nic(name, 'eth1').expect()
        seen = remote(home, key, name, _patiently(f'[ $(cat /sys/block/{disk}/size) = {2048 * MIB // 512} ]')
                      + '; ls -d /sys/class/net/en*')
        assert seen.count('/sys/class/net/en') == 1
        k.delete_disk(name, disk).expect()
        remote(home, key, name, _patiently(f'[ ! -e /sys/block/{disk} ]'))

        k.update_memory(name, 640).expect()  # it gives back what it does not need
        assert k.info(name)['memory'] == 640
        fewer = k.update_cpus(name, 1)
        assert remote(home, key, name, 'cat /sys/devices/system/cpu/online').strip() == '0'
        assert fewer.ok or 'let go of CPUs, and QEMU has not told libvirt' in fewer['reason'], fewer
        assert k.info(name)['numcpus'] == (1 if fewer.ok else 2)
        k.delete(name).expect()
        assert 'configured after' in tell(serial_log), 'its log outlives it'
    finally:
        (folder / 'hello').unlink()
        folder.rmdir()


def _patiently(condition: str) -> str:
    """Return a shell command that waits for *condition*, and fails when it never comes."""
    return f'for second in $(seq 60); do {condition} && break; sleep 1; done; {condition}'


def test_a_kernel_is_booted_directly_and_its_words_are_kept(kvm: Kvirt, prefix: str, boot_files: Path, tmp_path: Path,
                                                            serial_log: Path) -> None:
    paths = {}
    for name in ('vmlinuz', 'initrd.img'):
        assert copied(boot_files, name, tmp_path / name)
        volume = kvm.make_seed(kvm.pool('default'), f'{prefix}-{name}', (tmp_path / name).read_bytes())
        paths[name] = volume.path()
    vm = f'{prefix}-direct'
    try:
        kvm.create(vm, virttype='qemu', cloudinit=False, disks=[], nets=[], numcpus=1, memory=256,
                   kernel=paths['vmlinuz'], initrd=paths['initrd.img'], seriallog=str(serial_log),
                   cmdline=f'console=ttyS0 panic=-1 mark="{prefix} <&>"').expect()
        until(lambda: f'mark="{prefix} <&>"' in tell(serial_log), what='the kernel', timeout=PATIENCE, interval=0.5)
        assert 'Linux version' in tell(serial_log)
    finally:
        if kvm.exists(vm):
            kvm.delete(vm).expect()
        for name in paths:
            kvm.remove_volume('default', f'{prefix}-{name}')


@pytest.mark.parametrize(('keywords', 'error', 'words'), [
    ({'pcidevices': ['ff:1f.7']}, 'NotFound', 'no PCI device 0000:ff:1f.7'),
    ({'hugepages': '16M'}, 'NotSupported', 'no pages of 16384 KiB'),
    ({'arch': 'aarch64', 'cpuhotplug': True}, 'NotSupported', 'cpuhotplug'),
    ({'arch': 'sparc64'}, 'NotSupported', 'sparc64'),
    ({'iommu': True, 'machine': 'pc'}, 'NotSupported', 'iommu'),
    ({'machine': 'q35', 'disks': [{'size': 1, 'interface': 'ide'}]}, 'NotSupported', 'IDE'),
    ({'kernel': '/nowhere/vmlinuz'}, None, '/nowhere/vmlinuz'),
    ({'floppy': '/nowhere/floppy.img'}, 'NotFound', '/nowhere/floppy.img'),
    ({'qemuextra': '-no-such-option'}, None, 'no-such-option')])
def test_what_can_not_be_is_told_and_leaves_nothing(keywords: dict[str, object], error: str | None, words: str, kvm: Kvirt,
                                                    prefix: str) -> None:
    given = {'virttype': 'qemu', 'cloudinit': False, 'nets': [], 'disks': [1], 'memory': 64, **keywords}
    refused = kvm.create(f'{prefix}-a', **given)
    assert not refused.ok and words in refused['reason'], refused
    assert error in (None, refused['error'])


def test_disks_of_a_bus_without_hotplug_wait_for_a_stop(kvm: Kvirt, prefix: str) -> None:
    name = f'{prefix}-sata'
    kvm.create(name, virttype='qemu', cloudinit=False, nets=[], disks=[{'size': 1, 'interface': 'sata'}], memory=64,
               machine='q35').expect()
    assert "is no interface of a disk, did you mean 'virtio'?" in kvm.add_disk(name, 1, interface='virtoi')['reason']
    for refused in (kvm.add_disk(name, 1, interface='sata'), kvm.delete_disk(name, 'sda')):
        assert refused['error'] == 'Conflict' and 'neither come nor go' in refused['reason'], refused
    kvm.stop(name).expect()
    assert kvm.add_disk(name, 1, interface='sata').expect()['device'] == 'sdb'
    kvm.delete_disk(name, 'sdb').expect()
    kvm.delete(name).expect()


def test_what_a_guest_does_not_follow_is_no_success(kvm: Kvirt, prefix: str, caplog: pytest.LogCaptureFixture) -> None:
    name = f'{prefix}-deaf'  # it has nothing to boot, and so nobody in it who could answer
    kvm.let_go_seconds = 1  # type: ignore[misc]
    kvm.create(name, virttype='qemu', cloudinit=False, nets=[], disks=[], memory=256, numcpus=2, cpuhotplug=True,
               memoryhotplug=True).expect()
    refused = kvm.update_memory(name, 128)
    assert refused['error'] == 'Conflict' and 'from 256 to 128 MiB' in refused['reason'], refused
    refused = kvm.update_cpus(name, 1)
    assert refused['error'] == 'Conflict' and 'let go of its CPUs' in refused['reason'], refused
    assert (kvm.info(name)['memory'], kvm.info(name)['numcpus']) == (256, 2)
    for change in (lambda: kvm.update_cpus(name, 3), lambda: kvm.update_memory(name, 384)):
        caplog.clear()
        assert 'in_use' not in change().expect()
        assert 'whether its guest uses them is not known, as no guest agent answers in it' in caplog.text
    assert kvm.update_memory(name, 400)['error'] == 'InvalidInput'
    kvm.delete(name).expect()


def test_passt_is_there_or_refused_with_what_works(kvm: Kvirt, prefix: str) -> None:
    given = {'virttype': 'qemu', 'cloudinit': False, 'disks': [], 'memory': 64, 'start': False}
    for kind in ('slirp', 'passt'):
        name = f'{prefix}-{kind}'
        made = kvm.create(name, **given, usermode=kind)
        if kind == 'passt' and not made.ok:
            assert made['error'] == 'NotSupported' and 'Use usermode: slirp' in made['reason'], made
            continue
        assert kvm.info(made.expect()['name'])['nets'][0]['type'] == 'virtio'
        kvm.delete(name).expect()
