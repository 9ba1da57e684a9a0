"""What the builder must know of the hypervisor, read from libvirt's domain capabilities.

https://libvirt.org/formatdomaincaps.html
"""

from __future__ import annotations

from dataclasses import dataclass
from xml.etree.ElementTree import Element

from kvirt.providers.kvm.domain.element import parse
from kvirt.spec import VmSpec

X86 = frozenset({'x86_64', 'i686'})


@dataclass(frozen=True)
class Host:
    """What libvirt offers to a domain of one architecture, machine type and kind of virtualization.

    ``machine`` is the type that libvirt takes (its own choice when none is asked for). Ask libvirt for the capabilities
    of ``spec.emulator``, ``spec.arch``, ``machine_for(spec, arch)`` and ``spec.virttype``: they differ by each.
    """

    arch: str
    virttype: str
    emulator: str | None = None
    machine: str | None = None
    efi: bool = False
    secureboot: bool = False
    max_vcpus: int = 4096
    cpu_modes: frozenset[str] = frozenset()
    cpu_vendor: str | None = None
    disk_buses: frozenset[str] = frozenset({'virtio', 'scsi', 'sata', 'ide', 'fdc'})
    graphics: frozenset[str] = frozenset({'vnc'})
    tpm: bool = False
    folders: str | None = None
    """How folders are shared: ``virtiofs``, ``9p``, or not at all."""

    passes_pci: bool = False
    """Whether devices of the host can be given to guests."""

    nodes: int = 1
    """NUMA nodes of the host; domain capabilities do not tell them, nor the sizes of pages (KiB)."""

    pages: frozenset[int] = frozenset()

    @property
    def x86(self) -> bool:
        """Whether the guest is a PC."""
        return self.arch in X86

    @property
    def chipset(self) -> str:
        """The family of the machine type: ``pc``, ``q35``, ``virt``, or ``other`` (s390x, pseries, microvm...)."""
        machine = self.machine or ('pc' if self.x86 else 'other')
        if 'q35' in machine:
            return 'q35'
        if machine == 'pc' or machine.startswith('pc-'):
            return 'pc'
        return 'virt' if machine == 'virt' or machine.startswith('virt-') else 'other'


def machine_for(spec: VmSpec, arch: str) -> str | None:
    """Return the machine type to ask libvirt for, None when its own choice is right."""
    if spec.machine:
        return spec.machine
    if arch in X86 and (spec.uefi or spec.secureboot):
        return 'q35'  # secure boot needs its SMM, and some distributions ship UEFI for no other PC
    return 'virt' if arch in {'aarch64', 'riscv64'} else None


def read_host(domain_capabilities: str, nodes: int = 1, pages: frozenset[int] = frozenset()) -> Host:
    """Return what libvirt's text of domain capabilities says."""
    root = parse(domain_capabilities)
    modes = [mode for mode in root.iterfind('cpu/mode') if mode.get('supported') == 'yes']
    vcpu = root.find('vcpu')
    most = vcpu.get('max', '') if vcpu is not None else ''
    folders = _values(root, 'devices/filesystem', 'driverType')
    return Host(
        arch=root.findtext('arch') or '',
        virttype=root.findtext('domain') or '',
        emulator=root.findtext('path'),
        machine=root.findtext('machine'),
        efi='efi' in _values(root, 'os', 'firmware'),
        secureboot='yes' in _values(root, 'os/loader', 'secure'),
        max_vcpus=int(most) if most.isdecimal() else 4096,
        cpu_modes=frozenset(mode.get('name', '') for mode in modes),
        cpu_vendor=next((vendor.text for mode in modes for vendor in mode.iterfind('vendor')), None),
        disk_buses=_values(root, 'devices/disk', 'bus'),
        graphics=_values(root, 'devices/graphics', 'type'),
        tpm='emulator' in _values(root, 'devices/tpm', 'backendModel'),
        folders='virtiofs' if 'virtiofs' in folders else '9p' if 'path' in folders else None,
        passes_pci='pci' in _values(root, 'devices/hostdev', 'subsysType'),
        nodes=nodes,
        pages=pages)


def _values(root: Element, area: str, enum: str) -> frozenset[str]:
    """Return the values of an enumeration, none when libvirt says that the area is not supported."""
    element = root.find(area)
    if element is None or element.get('supported') == 'no':
        return frozenset()
    return frozenset(value.text or '' for value in element.iterfind(f"enum[@name='{enum}']/value"))
