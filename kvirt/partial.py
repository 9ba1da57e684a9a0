"""What has arrived of a file that is being downloaded, and what the server said of it: enough to go on later."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import re
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, BinaryIO

from kvirt import yamlfile
from kvirt.errors import Cancelled, TimedOut, Unavailable

_KEPT_FOR = 7 * 24 * 3600
_RANGE = re.compile(r'bytes (?:(?P<first>\d+)-\d+|\*)/(?:(?P<total>\d+)|\*)')


class Partial:
    """A file of which ``size`` bytes of ``total`` (None when nobody said) have arrived."""

    def __init__(self, path: Path, note: Path | None = None) -> None:
        self.path, self._note = path, note
        self.total: int | None = None
        self._validator = ''
        known = _read(note) if note else {}
        if known:
            self.total, self._validator = known['total'], known['validator']
        else:
            path.write_bytes(b'')

    @classmethod
    @contextmanager
    def of(cls, url: str, keep: Path | None = None, folder: Path | None = None) -> Iterator[Partial]:
        """Give what has arrived of *url* in the folder *keep*, and leave it there when the block is interrupted.

        After any other end it is removed. Without *keep*, or while another process fetches the same file, it begins with
        nothing in a temporary folder within *folder*. What nobody went on with for a week is removed.
        """
        path = keep / f'{hashlib.sha256(url.encode()).hexdigest()[:32]}.part' if keep else None
        held = _opened(path) if path else None
        if path and held:
            with held:
                _prune(path.parent)
                partial = cls(path, path.with_suffix('.json'))
                with partial._kept_when_interrupted():
                    yield partial
            return
        with tempfile.TemporaryDirectory(prefix='.kvirt-', dir=folder) as temporary:
            yield cls(Path(temporary, 'fetched'))

    @contextmanager
    def _kept_when_interrupted(self) -> Iterator[None]:
        try:
            yield
        except BaseException as error:
            interrupted = isinstance(error, (Unavailable, TimedOut, Cancelled)) or not isinstance(error, Exception)
            if not (interrupted and self.kept):
                _remove(self.path)
            raise
        _remove(self.path)

    @property
    def size(self) -> int:
        """How many bytes there are."""
        return self.path.stat().st_size

    @property
    def kept(self) -> bool:
        """True when a later attempt can go on from here: the server said how it knows the file again."""
        return bool(self._note and self._validator and self.size)

    def condition(self) -> dict[str, str]:
        """Return the headers that ask for what is missing, if the file is still the same."""
        if not self.size:
            return {}
        return {'Range': f'bytes={self.size}-', **({'If-Range': self._validator} if self._validator else {})}

    def begin(self, headers: Mapping[str, str]) -> None:
        """Begin anew with what the server says of the file now."""
        os.truncate(self.path, 0)
        length = headers.get('Content-Length', '')
        self.total = int(length) if length.isdigit() else None
        tag = headers.get('ETag', '')
        # A weak tag tells that the content means the same, not that its bytes are the same.
        self._validator = tag if tag and not tag.startswith('W/') else headers.get('Last-Modified', '')
        if self._note:
            yamlfile.write_private(self._note, json.dumps({'total': self.total, 'validator': self._validator}))

    def continues(self, headers: Mapping[str, str]) -> bool:
        """Tell if an answer holds the bytes that follow, of the same file; if not, what has arrived is forgotten."""
        match = _RANGE.match(headers.get('Content-Range', ''))
        total = int(match['total']) if match and match['total'] else None
        told = headers.get('ETag' if self._validator.startswith('"') else 'Last-Modified', '')
        same = (match is not None and match['first'] == str(self.size) and (total is None or self.total in (None, total))
                and not (told and self._validator and told != self._validator))
        if same:
            self.total = self.total or total
        else:
            os.truncate(self.path, 0)
        return same

    def ends(self, headers: Mapping[str, str]) -> bool:
        """Tell if the server's refusal of a range means that all has arrived; if not, what has arrived is forgotten."""
        match = _RANGE.match(headers.get('Content-Range', ''))
        whole = bool(match and self._validator and match['total'] == str(self.size))
        if not whole:
            os.truncate(self.path, 0)
        return whole


def _read(note: Path) -> dict[str, Any]:
    try:
        known = json.loads(note.read_text(encoding='utf-8'))
        return known if known['validator'] and isinstance(known['total'], (int, type(None))) else {}
    except (OSError, ValueError, KeyError, TypeError):
        return {}


def _opened(path: Path) -> BinaryIO | None:
    """Return *path*, made when absent, opened and locked; None when another one has it, or it can't be made."""
    with suppress(OSError):
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        return lock(path)
    return None


def lock(path: Path) -> BinaryIO | None:
    """Return the file *path*, made when absent, opened and locked until it is closed; None when another one has it."""
    file = path.open('ab')
    with suppress(BlockingIOError, FileNotFoundError):  # locked by another one, or removed by it just now
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if os.path.samestat(os.fstat(file.fileno()), path.stat()):
            return file
    file.close()
    return None


def _prune(folder: Path) -> None:
    """Remove what nobody has gone on with for a week."""
    for path in folder.glob('*.part'):
        with suppress(FileNotFoundError):
            if time.time() - path.stat().st_mtime > _KEPT_FOR:
                held = lock(path)
                if held:
                    with held:
                        _remove(path)


def _remove(path: Path) -> None:
    for each in (path.with_suffix('.json'), path):
        each.unlink(missing_ok=True)
