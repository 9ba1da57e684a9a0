"""Reads over one client or several at once."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any

from kvirt.cli.context import Session
from kvirt.cli.errors import DONE, report, worst
from kvirt.errors import KvirtError
from kvirt.parallel import in_parallel

if TYPE_CHECKING:
    from kvirt.config import Kconfig

Rows = list[dict[str, Any]]
Found = tuple[Rows, list[str], int]
"""Rows, further columns of theirs, and the exit code so far."""

Read = Callable[['Kconfig'], Iterable[Mapping[str, Any]]]


def from_clients(session: Session, read: Read) -> Found:
    """Return the rows that *read* gives of each client, further columns, and the exit code so far.

    With several clients each row tells its ``client``; one that fails is reported, and the others are still read.
    """
    names = session.clients
    if len(names) == 1:
        return [dict(row) for row in read(session.config(names[0]))], [], DONE

    def attempt(name: str) -> Rows | KvirtError:
        try:
            return [{'client': name, **row} for row in read(session.config(name))]
        except KvirtError as error:
            return error

    answers = in_parallel(names, attempt, workers=len(names))
    rows: Rows = []
    codes = []
    for name, answer in zip(names, answers, strict=True):
        if isinstance(answer, KvirtError):
            report(answer, f'client {name}')
            codes.append(1)
        else:
            rows += answer
    return rows, ['client'], worst(codes)


def by_name(found: Mapping[str, Any]) -> Rows:
    """Return a mapping of things by name as rows."""
    return [{'name': name, **(facts if isinstance(facts, Mapping) else {})} for name, facts in found.items()]
