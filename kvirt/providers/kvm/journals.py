"""What happens to the journal of a VM: begun, changed as volumes come and go, done; or abandoned by a process that died."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime, timezone

from kvirt.providers.families.makers import Maker, me
from kvirt.providers.kvm.domain import Journal


def begin(volumes: Iterable[tuple[str, str]]) -> Journal:
    """Return the journal of a VM that this process begins to make, with the *volumes* (pool, name) it will own."""
    now = datetime.now(timezone.utc)
    maker = me(now.timestamp())
    return Journal(state='creating', host=maker.host, pid=maker.pid, started=maker.started,
                   since=now.isoformat(timespec='seconds'), volumes=tuple(volumes))


def done(journal: Journal) -> Journal:
    """Return *journal* as that of a VM that is complete."""
    return replace(journal, state='done')


def adding(journal: Journal, pool: str, name: str) -> Journal:
    """Return *journal* with a volume more."""
    return replace(journal, volumes=(*journal.volumes, (pool, name)))


def without(journal: Journal, pool: str, name: str) -> Journal:
    """Return *journal* without a volume."""
    return replace(journal, volumes=tuple(volume for volume in journal.volumes if volume != (pool, name)))


def abandoned(journal: Journal, now: datetime | None = None) -> bool:
    """Tell if a VM was begun and nobody is making it any more."""
    if journal.state == 'done':
        return False
    try:
        since = datetime.fromisoformat(journal.since).timestamp()
    except ValueError:
        return True
    maker = Maker(host=journal.host, pid=journal.pid, started=journal.started, since=since)
    return maker.gone((now or datetime.now(timezone.utc)).timestamp())
