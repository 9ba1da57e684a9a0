"""Which hardware keywords the builder honours; apart from it, so that a list need not load it."""

from __future__ import annotations

HONOURED = frozenset({
    'virttype', 'arch', 'machine', 'emulator', 'uuid',
    'cpumodel', 'cpuflags', 'cpupinning', 'cpuhotplug', 'sockets', 'cores', 'threads', 'nested',
    'memoryhotplug', 'numamode', 'numa', 'hugepages', 'pmu', 'iommu',
    'uefi', 'uefi_firmware', 'uefi_nvtemplate', 'secureboot', 'kernel', 'initrd', 'cmdline', 'boot_order',
    'extra_iso', 'floppy', 'tpm', 'rng', 'vsock', 'watchdog', 'sound', 'pcidevices', 'vnc', 'vncpassword',
    'sharedfolders', 'seriallog', 'usermode', 'qemuextra',
})
"""The hardware keywords that this package knows what to do with."""
