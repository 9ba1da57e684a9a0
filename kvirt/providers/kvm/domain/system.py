"""``<os>``, ``<features>``, ``<clock>`` and ``<pm>`` of a domain.

https://libvirt.org/formatdomain.html#operating-system-booting, #hypervisor-features, #time-keeping, #power-management
"""

from __future__ import annotations

from xml.etree.ElementTree import Element

from kvirt.errors import InvalidInput, NotSupported
from kvirt.providers.kvm.domain.element import add, check_path
from kvirt.providers.kvm.domain.host import Host, machine_for
from kvirt.spec import VmSpec

# A disk that does not boot yet falls through to the installer on CD, and then to the network.
_BOOT_ORDER = ('hd', 'cdrom', 'network')


def wants_uefi(spec: VmSpec, arch: str) -> bool:
    """Say if the VM boots with UEFI. On aarch64 it is all there is, unless a kernel is booted directly."""
    return spec.uefi or spec.secureboot or bool(spec.uefi_firmware) or (arch == 'aarch64' and not spec.kernel)


def add_os(domain: Element, spec: VmSpec, host: Host) -> None:
    """Add how the VM boots: machine type, firmware, kernel, devices."""
    uefi = wants_uefi(spec, host.arch) and not spec.uefi_firmware
    if uefi and not host.efi:
        raise NotSupported(f'the hypervisor has no UEFI firmware for {host.machine or host.arch}',
                           hint='Install it on the hypervisor (package ovmf, edk2-ovmf or qemu-efi-aarch64)')
    if spec.secureboot and spec.uefi_firmware:
        raise InvalidInput('secureboot and uefi_firmware do not go together',
                           hint='Leave uefi_firmware out: one with secure boot is chosen')
    if spec.secureboot and host.chipset == 'pc':
        raise InvalidInput(f'secureboot does not work with machine {host.machine}', hint='Use machine: q35')
    if spec.secureboot and not host.secureboot:
        raise NotSupported(f'the hypervisor has no firmware with secure boot for {host.machine or host.arch}')
    system = add(domain, 'os', firmware='efi' if uefi else None)
    add(system, 'type', 'hvm', arch=host.arch, machine=machine_for(spec, host.arch))
    if uefi:
        firmware = add(system, 'firmware')
        # "no" is said as well: libvirt may pick a firmware with secure boot on, where unsigned kernels do not boot.
        add(firmware, 'feature', enabled='yes' if spec.secureboot else 'no', name='secure-boot')
        if spec.secureboot:
            add(firmware, 'feature', enabled='yes', name='enrolled-keys')
        add(system, 'nvram')  # libvirt may pick a firmware that keeps no variables, such as one for confidential guests
    if spec.uefi_firmware:
        add(system, 'loader', check_path('uefi_firmware', spec.uefi_firmware), readonly='yes', type='pflash')
        if spec.uefi_nvtemplate:
            add(system, 'nvram', template=check_path('uefi_nvtemplate', spec.uefi_nvtemplate))
    for tag, path in (('kernel', spec.kernel), ('initrd', spec.initrd)):
        if path is not None:
            add(system, tag, check_path(tag, path))
    if spec.cmdline is not None:
        add(system, 'cmdline', spec.cmdline)
    for device in spec.boot_order or _BOOT_ORDER:
        add(system, 'boot', dev=device)


def add_features(domain: Element, spec: VmSpec, host: Host) -> None:
    """Add what a guest needs to be shut down politely (ACPI), and what secure boot needs (SMM)."""
    names = ['acpi', 'apic'] if host.x86 else ['acpi'] if host.arch == 'aarch64' and wants_uefi(spec, 'aarch64') else []
    if not names and spec.pmu is None:
        return
    features = add(domain, 'features')
    for name in names:
        add(features, name)
    if spec.pmu is not None:
        add(features, 'pmu', state='on' if spec.pmu else 'off')
    if host.x86 and spec.iommu:
        add(features, 'ioapic', driver='qemu')  # interrupts are remapped only where QEMU itself has the controller
    if host.x86 and spec.secureboot:
        add(features, 'smm', state='on')


def add_clock(domain: Element, host: Host) -> None:
    """Add a clock in UTC; on a PC with the timers that keep time when the hypervisor is busy."""
    clock = add(domain, 'clock', offset='utc')
    if host.x86:
        add(clock, 'timer', name='rtc', tickpolicy='catchup')
        add(clock, 'timer', name='pit', tickpolicy='delay')
        add(clock, 'timer', name='hpet', present='no')


def add_power(domain: Element, host: Host) -> None:
    """Keep a PC guest from suspending itself: it would look hung, and nothing would wake it."""
    if host.x86:
        power = add(domain, 'pm')
        add(power, 'suspend-to-mem', enabled='no')
        add(power, 'suspend-to-disk', enabled='no')
