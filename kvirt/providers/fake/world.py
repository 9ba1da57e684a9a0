"""Where the world is kept: one SQLite file, safe for any number of threads and processes.

A change takes the lock of the whole file at its begin, so what it reads stays true until it is written; and it is written
whole or not at all, whatever happens to the process.
"""

from __future__ import annotations

import functools
import os
import sqlite3
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from kvirt.errors import AlreadyExists, InvalidInput, NotFound
from kvirt.names import did_you_mean
from kvirt.providers.fake import catalogue
from kvirt.providers.fake.records import Record

R = TypeVar('R', bound=Record)

VERSION = 1
"""Of the tables; a file of another version is refused."""

_PATIENCE = 60.0  # seconds to wait for the lock of another process
_TABLES = """
    CREATE TABLE records (kind TEXT, key TEXT, name TEXT NOT NULL, owner TEXT NOT NULL, body BLOB NOT NULL,
                          PRIMARY KEY (kind, key)) WITHOUT ROWID;
    CREATE INDEX by_name ON records (kind, name);
    CREATE INDEX by_owner ON records (owner) WHERE owner != '';
    CREATE TABLE counters (name TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID;
    CREATE TABLE files (bucket TEXT, path TEXT, public INTEGER NOT NULL, content BLOB NOT NULL,
                        PRIMARY KEY (bucket, path));
"""


class World:
    """The things there are, in the file at *path* (``:memory:`` keeps them with this object)."""

    def __init__(self, path: str) -> None:
        self.path = path
        self._lock = threading.RLock()
        self._connection: sqlite3.Connection | None = None
        self._process = 0

    @contextmanager
    def read(self) -> Iterator[Transaction]:
        """Give a view of one moment."""
        with self._transaction('BEGIN') as transaction:
            yield transaction

    @contextmanager
    def change(self) -> Iterator[Transaction]:
        """Give a view that nobody else changes, and keep what is changed when the block ends well."""
        with self._transaction('BEGIN IMMEDIATE') as transaction:
            yield transaction

    def close(self) -> None:
        """Let go of the file."""
        with self._lock:
            if self._connection is not None:
                self._connection.close()
                self._connection = None

    @contextmanager
    def _transaction(self, begin: str) -> Iterator[Transaction]:
        with self._lock:
            connection = self._open()
            if connection.in_transaction:
                raise RuntimeError('a transaction within another one')
            connection.execute(begin)
            try:
                yield Transaction(connection)
                connection.execute('COMMIT')
            except BaseException:
                connection.execute('ROLLBACK')
                raise

    def _open(self) -> sqlite3.Connection:
        # A connection can't be carried into a forked process; a world in memory goes along as it is.
        if self._connection is None or (self._process != os.getpid() and self.path != ':memory:'):
            self._connection = self._connect()
            self._process = os.getpid()
        return self._connection

    def _connect(self) -> sqlite3.Connection:
        if self.path != ':memory:':
            file = Path(self.path)
            file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            # It holds what guests are told, so it is its owner's alone from the first moment.
            os.close(os.open(file, os.O_RDWR | os.O_CREAT, 0o600))
        connection = sqlite3.connect(self.path, timeout=_PATIENCE, isolation_level=None, check_same_thread=False)
        try:
            # What a crash of the machine would lose is not worth a flush to disk at every step; a kill loses nothing.
            connection.execute('PRAGMA synchronous = OFF')
            connection.execute('BEGIN IMMEDIATE')
            version = connection.execute('PRAGMA user_version').fetchone()[0]
            if version == 0:
                for statement in _TABLES.split(';'):
                    connection.execute(statement)
                for record in catalogue.first_things():
                    Transaction(connection).add(record)
                connection.execute(f'PRAGMA user_version = {VERSION}')
            connection.execute('COMMIT')
            if version not in (0, VERSION):
                raise InvalidInput(f'{self.path} was made by another version of kvirt', hint='Remove it to begin anew')
        except BaseException:
            connection.close()
            raise
        return connection


class Transaction:
    """The things, for as long as nothing else changes them."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self.execute = connection.execute

    def get(self, kind: type[R], key: str) -> R | None:
        """Return the thing of this *kind* with this *key*."""
        found = self._select(kind, 'key = ?', key)
        return found[0] if found else None

    def need(self, kind: type[R], key: str, hint: str | None = None) -> R:
        """Return the thing of this *kind* with this *key*; NotFound suggests the likely one."""
        found = self.get(kind, key)
        if found is None:
            raise NotFound(f"{kind.what} '{key}' does not exist{did_you_mean(key, self.names(kind))}", hint=hint)
        return found

    def named(self, kind: type[R], name: str) -> list[R]:
        """Return the things of this *kind* that bear this *name*."""
        return self._select(kind, 'name = ?', name)

    def of(self, kind: type[R], owner: str) -> list[R]:
        """Return the things of this *kind* that bear the mark of *owner*."""
        return self._select(kind, 'owner = ?', owner)

    def all(self, kind: type[R]) -> list[R]:
        """Return every thing of this *kind*, sorted by name."""
        return self._select(kind, 'TRUE')

    def names(self, kind: type[Record]) -> list[str]:
        """Return the names of the things of this *kind*, sorted."""
        return [name for (name,) in self.execute('SELECT name FROM records WHERE kind = ? ORDER BY name', (kind.__name__,))]

    def count(self, kind: type[Record]) -> int:
        """Return how many things of this *kind* there are."""
        return int(self.execute('SELECT count(*) FROM records WHERE kind = ?', (kind.__name__,)).fetchone()[0])

    def add(self, record: Record) -> None:
        """Add *record*. AlreadyExists."""
        try:
            self._write('INSERT', record)
        except sqlite3.IntegrityError:
            raise AlreadyExists(f'{record.what} {record.name} exists') from None

    def put(self, *records: Record) -> None:
        """Keep *records* as they are now."""
        for record in records:
            self._write('REPLACE', record)

    def drop(self, record: Record) -> None:
        """Remove *record*."""
        self.execute('DELETE FROM records WHERE kind = ? AND key = ?', (type(record).__name__, record.key))

    def drop_of(self, owner: str) -> None:
        """Remove all that bears the mark of *owner*."""
        self.execute("DELETE FROM records WHERE owner = ? AND owner != ''", (owner,))

    def number(self, counter: str) -> int:
        """Return the next number of *counter*, from 1."""
        self.execute('INSERT INTO counters VALUES (?, 1) ON CONFLICT (name) DO UPDATE SET value = value + 1', (counter,))
        return int(self.execute('SELECT value FROM counters WHERE name = ?', (counter,)).fetchone()[0])

    def _select(self, kind: type[R], condition: str, *values: str) -> list[R]:
        decode = _decoder(kind).decode
        rows: Iterable[Any] = self.execute(
            f'SELECT body FROM records WHERE kind = ? AND {condition} ORDER BY name, key', (kind.__name__, *values))
        return [decode(body) for (body,) in rows]

    def _write(self, verb: str, record: Record) -> None:
        self.execute(f'{verb} INTO records VALUES (?, ?, ?, ?, ?)',
                     (type(record).__name__, record.key, record.name, record.owner, msgspec.json.encode(record)))


@functools.cache
def _decoder(kind: type[R]) -> msgspec.json.Decoder[R]:
    return msgspec.json.Decoder(kind)
