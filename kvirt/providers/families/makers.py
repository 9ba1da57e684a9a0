"""Who is making a VM: enough to tell later, from what was written down, if that process still lives."""

from __future__ import annotations

import os
import platform
from pathlib import Path

import msgspec

FOREIGN_PATIENCE = 3600.0
"""Seconds that a VM in the making is left alone when its maker runs on another machine and can't be asked about."""


class Maker(msgspec.Struct, frozen=True, kw_only=True):
    """A process beyond doubt: its machine (as booted), number, and start; and since when it makes something (epoch)."""

    host: str
    pid: int
    started: str
    since: float

    def gone(self, now: float) -> bool:
        """Tell if this process will never finish what it began."""
        if self.host != boot_id():
            return now - self.since > FOREIGN_PATIENCE
        if self.started:
            return start_time(self.pid) != self.started
        return not _lives(self.pid)


def me(now: float) -> Maker:
    """Return this process as a maker that begins *now*."""
    return Maker(host=boot_id(), pid=os.getpid(), started=start_time(os.getpid()), since=now)


def start_time(pid: int) -> str:
    """Return when process *pid* started, as the system counts it; empty when there is none, or it can't be told."""
    try:
        return Path(f'/proc/{pid}/stat').read_text().rpartition(')')[2].split()[19]
    except (OSError, IndexError):
        return ''


def boot_id() -> str:
    """Return what tells this machine, since its last start, from all others."""
    try:
        return Path('/proc/sys/kernel/random/boot_id').read_text().strip()
    except OSError:
        return platform.node()


def _lives(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return True
