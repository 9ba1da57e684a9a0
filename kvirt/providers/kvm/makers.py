"""Who is making a VM: enough to tell later, from the journal, if that process still lives."""

from __future__ import annotations

import os
import platform
from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from pathlib import Path

from kvirt.providers.kvm.domain import Journal

_FOREIGN_PATIENCE = timedelta(hours=1)
"""How long a VM that is being made from another machine is left alone, since that process can't be asked about."""


def start_time(pid: int) -> str:
    """Return when process *pid* started, as the system counts it; empty when there is none."""
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


def begin(volumes: Iterable[tuple[str, str]]) -> Journal:
    """Return the journal of a VM that this process begins to make, with the *volumes* (pool, name) it will own."""
    pid = os.getpid()
    return Journal(state='creating', host=boot_id(), pid=pid, started=start_time(pid),
                   since=datetime.now(timezone.utc).isoformat(timespec='seconds'), volumes=tuple(volumes))


def done(journal: Journal) -> Journal:
    """Return *journal* as that of a VM that is complete."""
    return replace(journal, state='done')


def without(journal: Journal, pool: str, name: str) -> Journal:
    """Return *journal* without a volume."""
    return replace(journal, volumes=tuple(volume for volume in journal.volumes if volume != (pool, name)))


def abandoned(journal: Journal, now: datetime | None = None) -> bool:
    """Tell if a VM was begun and nobody is making it any more."""
    if journal.state == 'done':
        return False
    if journal.host == boot_id():
        return not journal.started or start_time(journal.pid) != journal.started
    try:
        since = datetime.fromisoformat(journal.since)
    except ValueError:
        return True
    return (now or datetime.now(timezone.utc)) - since > _FOREIGN_PATIENCE


def adding(journal: Journal, pool: str, name: str) -> Journal:
    """Return *journal* with a volume more."""
    return replace(journal, volumes=(*journal.volumes, (pool, name)))
