"""The devices of a domain that are there when asked for: TPM, random numbers, watchdog, sound, IOMMU, devices of the host.

https://libvirt.org/formatdomain.html#devices
"""

from __future__ import annotations

from xml.etree.ElementTree import Element, register_namespace

from kvirt.errors import InvalidInput, NotSupported
from kvirt.providers.kvm.domain.element import add
from kvirt.providers.kvm.domain.host import Host
from kvirt.spec import VmSpec

_QEMU = 'http://libvirt.org/schemas/domain/qemu/1.0'
_TPM_MODEL = {'x86_64': 'tpm-crb', 'i686': 'tpm-crb', 'aarch64': 'tpm-tis', 'ppc64': 'tpm-spapr',
              'ppc64le': 'tpm-spapr', 'riscv64': 'tpm-tis'}
_NO_PCI = frozenset({'s390x', 's390'})

register_namespace('qemu', _QEMU)


def add_extras(devices: Element, spec: VmSpec, host: Host) -> None:
    """Add what *spec* asks for beside the usual, and the memory balloon. Raises NotSupported, InvalidInput."""
    if spec.tpm:
        if not host.tpm or host.arch not in _TPM_MODEL:
            raise NotSupported('tpm: the hypervisor can not emulate a TPM', hint='Install swtpm on it')
        add(add(devices, 'tpm', model=_TPM_MODEL[host.arch]), 'backend', type='emulator', version='2.0')
    if spec.sound:
        _need_pci('sound', host)
        add(devices, 'sound', model='ich9' if host.chipset == 'q35' else 'ich6')
    _add_host_devices(devices, spec, host)
    if spec.watchdog:
        add(devices, 'watchdog', model='diag288' if host.arch in _NO_PCI else 'i6300esb', action=spec.watchdog)
    add(devices, 'memballoon', model='virtio')
    if spec.rng:
        add(add(devices, 'rng', model='virtio'), 'backend', '/dev/urandom', model='random')
    if spec.iommu:
        _add_iommu(devices, host)
    if spec.vsock:
        add(add(devices, 'vsock', model='virtio'), 'cid', auto='yes')


def add_arguments(domain: Element, spec: VmSpec) -> None:
    """Add the arguments that QEMU is started with beside libvirt's own, which libvirt does not look at."""
    if spec.qemuextra:
        line = add(domain, f'{{{_QEMU}}}commandline')
        for word in spec.qemuextra:
            add(line, f'{{{_QEMU}}}arg', value=word)


def _need_pci(keyword: str, host: Host) -> None:
    if host.arch in _NO_PCI:
        raise NotSupported(f'{keyword}: {host.arch} machines have none of these devices')


def _add_host_devices(devices: Element, spec: VmSpec, host: Host) -> None:
    """Add the PCI devices of the host; libvirt takes them from their drivers, and gives them back."""
    if spec.pcidevices and not host.passes_pci:
        raise NotSupported("pcidevices: the hypervisor can't give devices to guests")
    if len(set(spec.pcidevices)) < len(spec.pcidevices):
        raise InvalidInput('pcidevices: a device is named twice')
    for address in spec.pcidevices:
        domain, bus, rest = address.split(':')
        slot, function = rest.split('.')
        device = add(devices, 'hostdev', mode='subsystem', type='pci', managed='yes')
        add(add(device, 'source'), 'address', domain=f'0x{domain}', bus=f'0x{bus}', slot=f'0x{slot}',
            function=f'0x{function}')


def _add_iommu(devices: Element, host: Host) -> None:
    if host.chipset == 'virt' and host.arch == 'aarch64':
        add(devices, 'iommu', model='smmuv3')
    elif host.x86 and host.chipset == 'q35':
        add(add(devices, 'iommu', model='intel'), 'driver', intremap='on', caching_mode='on')
    else:
        raise NotSupported(f'iommu: machine {host.machine or host.arch} has none', hint='Use machine: q35')
