"""libvirt's words, and ours."""

from __future__ import annotations

import libvirt

from kvirt.shapes import Status

STATUS: dict[int, Status] = {
    libvirt.VIR_DOMAIN_NOSTATE: 'unknown',
    libvirt.VIR_DOMAIN_RUNNING: 'running',
    libvirt.VIR_DOMAIN_BLOCKED: 'running',
    libvirt.VIR_DOMAIN_PAUSED: 'suspended',
    libvirt.VIR_DOMAIN_SHUTDOWN: 'stopping',
    libvirt.VIR_DOMAIN_SHUTOFF: 'stopped',
    libvirt.VIR_DOMAIN_CRASHED: 'failed',
    libvirt.VIR_DOMAIN_PMSUSPENDED: 'suspended',
}

NATIVE = {libvirt.VIR_DOMAIN_NOSTATE: 'nostate', libvirt.VIR_DOMAIN_RUNNING: 'running',
          libvirt.VIR_DOMAIN_BLOCKED: 'blocked', libvirt.VIR_DOMAIN_PAUSED: 'paused',
          libvirt.VIR_DOMAIN_SHUTDOWN: 'shutdown', libvirt.VIR_DOMAIN_SHUTOFF: 'shutoff',
          libvirt.VIR_DOMAIN_CRASHED: 'crashed', libvirt.VIR_DOMAIN_PMSUSPENDED: 'pmsuspended'}

_GAVE_UP = (libvirt.VIR_DOMAIN_PAUSED_UNKNOWN, libvirt.VIR_DOMAIN_PAUSED_IOERROR, libvirt.VIR_DOMAIN_PAUSED_CRASHED)
"""Why the hypervisor, and not a person, pauses a guest: an internal error (not told as such), a full disk, a panic."""


def status_of(state: int, reason: int | None = None) -> Status:
    """Return the standard status for a libvirt state and its reason."""
    if state == libvirt.VIR_DOMAIN_PAUSED and reason in _GAVE_UP:
        return 'failed'
    return STATUS.get(state, 'unknown')
