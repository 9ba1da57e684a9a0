"""Which hardware keywords the builder honours; apart from it, so that a list need not load it."""

from __future__ import annotations

HONOURED = frozenset({
    'virttype', 'arch', 'machine', 'emulator', 'uuid',
    'cpumodel', 'cpuflags', 'cpupinning', 'cpuhotplug', 'sockets', 'cores', 'threads', 'nested',
    'memoryhotplug', 'numamode', 'numa',
    'uefi', 'secureboot', 'kernel', 'initrd', 'cmdline', 'boot_order',
    'tpm', 'rng', 'vnc', 'vncpassword', 'sharedfolders',
})
"""The hardware keywords that this package knows what to do with."""
