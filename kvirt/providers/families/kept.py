"""What changes seldom and takes many calls to ask for (types, prices) is kept in kvirt's own folder, with its date."""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any, TypeVar, cast

import msgspec

from kvirt.errors import KvirtError
from kvirt.yamlfile import write_private

log = logging.getLogger(__name__)

T = TypeVar('T')

FRESH = timedelta(days=7)


class _Kept(msgspec.Struct):
    date: datetime
    content: Any


def now() -> datetime:
    """Return the time."""
    return datetime.now(timezone.utc)


def kept(home: str | None, name: str, kind: type[T], ask: Callable[[], T], *, instead: T | None = None,
         translate: Callable[[Exception], KvirtError | None]) -> T:
    """Return what is kept under *name* (``aws/prices``), asked anew when it is older than a week.

    When *ask* fails, what is kept serves on and its date is told in the log; where nothing is kept, *instead* serves, and
    without that the failure is raised. *translate* tells failures from bugs. Without a *home* nothing is kept.
    """
    path = Path(home).expanduser() / f'{name}.json' if home else None
    there = _read(path)
    if there is not None and now() - there.date < FRESH:
        return msgspec.convert(there.content, kind)
    try:
        content = ask()
    except Exception as error:
        known = translate(error)
        if known is None or (there is None and instead is None):
            raise
        if there is None:
            log.info('%s are not known: %s', name, known)
            return cast(T, instead)
        log.warning('%s could not be asked for, so those of %s are used: %s', name, there.date.date(), known)
        return msgspec.convert(there.content, kind)
    if path is not None:
        _write(path, content)
    return content


def _read(path: Path | None) -> _Kept | None:
    try:
        return msgspec.json.decode(path.read_bytes(), type=_Kept) if path else None
    except (OSError, msgspec.DecodeError):
        return None


def _write(path: Path, content: Any) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_private(path, msgspec.json.encode(_Kept(now(), content)).decode())
    except OSError as error:  # a folder that can't be written to costs time, and nothing else
        log.info('%s can not be written: %s', path, error)
