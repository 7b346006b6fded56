"""Reading a journal without leaving a trace: no lock that a writer waits for, no file made, none changed.

SQLite in WAL mode needs its two helper files even to read. Which way in leaves them alone depends on what is there:
  -shm (a writer runs, or was killed)   map it read-only;
  -wal alone (a copy, a restored file)  build the index in memory, without locks;
  neither (closed cleanly)              the file is all there is: read it as immutable.
The last two ways see no locks, so every read is repeated when the files changed meanwhile.
"""

import os
import sqlite3
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import NoReturn

from audit.journal import Checkpoint, Claim, Entry, JournalError, Pruned, ReadOnly, Spend, Unavailable
from audit.stores.connection import SqliteError, connect, explained, limit, require_journal
from audit.stores.reading import Reading, Row

_TRIES = 5
_Mark = tuple[tuple[int, int, int] | None, ...]


class ReadOnlyStore(Reading):
    """A store that only reads; whatever would write raises `ReadOnly`."""

    def __init__(self, path: Path) -> None:
        self._path = path.absolute()
        self._connection: sqlite3.Connection | None = None
        self._mark: _Mark = ()
        self._closed = False
        self.fetch("SELECT 1")

    def fetch(self, sql: str, *arguments: object, wide: bool = False) -> list[Row]:
        """All rows of one short statement, from files that did not change under it."""
        if self._closed:
            raise Unavailable(f"{self._path}: this store is closed")
        failure: JournalError | None = None
        for _ in range(_TRIES):
            try:
                connection = self._ready()
                limit(connection, wide=wide)
                rows = connection.execute(sql, arguments).fetchall()
            except SqliteError as error:
                self._drop()
                failure = explained(error, self._path)
                failure.__cause__ = error
                continue
            if self._mark == self._now():
                return rows
            self._drop()
        raise failure or Unavailable(f"{self._path} keeps changing while it is read; try again")

    def copy(self, to: Path) -> None:
        """Write the whole journal, as it is now, into a file of its own.

        Raises:
            Unavailable: it can not be read, or the copy can not be written.
        """
        for _ in range(_TRIES):
            try:
                connection = self._ready()
                limit(connection, wide=True)
                with closing(sqlite3.connect(to)) as copy:
                    connection.backup(copy)
            except SqliteError as error:
                self._drop()
                raise explained(error, self._path) from error
            if self._mark == self._now():
                return
            self._drop()
        raise Unavailable(f"{self._path} keeps changing while it is copied; try again")

    def close(self) -> None:
        """Let go of the file."""
        self._closed = True
        self._drop()

    def append(
        self,
        entries: Sequence[Entry],
        *,
        epoch: int | None,
        claims: Sequence[Claim] = (),
        releases: Sequence[str | Claim] = (),
        spends: Sequence[Spend] = (),
    ) -> int:
        """Refused."""
        del entries, epoch, claims, releases, spends
        self._refuse()

    def lead(self, holder: str) -> int:
        """Refused."""
        del holder
        self._refuse()

    def save_checkpoint(self, signed: Checkpoint, state: bytes) -> None:
        """Refused."""
        del signed, state
        self._refuse()

    def prune(self, pruned: Pruned) -> int:
        """Refused."""
        del pruned
        self._refuse()

    def _refuse(self) -> NoReturn:
        raise ReadOnly(f"{self._path} was opened for reading only")

    def _drop(self) -> None:
        connection, self._connection = self._connection, None
        if connection:
            connection.close()

    def _ready(self) -> sqlite3.Connection:
        if self._connection is None:
            self._mark = self._now()
            shm, wal = (self._path.with_name(self._path.name + end).exists() for end in ("-shm", "-wal"))
            way = "mode=ro&readonly_shm=1" if shm else "mode=ro&vfs=unix-none" if wal else "mode=ro&immutable=1"
            self._connection = connect(self._path, way)
            if wal and not shm:
                self._connection.execute("PRAGMA locking_mode = EXCLUSIVE")  # its own: the index stays in memory
            require_journal(self._connection, self._path)
        return self._connection

    def _now(self) -> _Mark:
        """What must stay the same under a read without locks; with shared memory SQLite sees to it."""
        path = str(self._path)
        shm = _status(path + "-shm")
        if shm:
            return ((shm[0], 0, 0), _only_inode(path))
        return (None, _status(path), _status(path + "-wal"))


def _status(path: str) -> tuple[int, int, int] | None:
    try:
        status = Path(path).stat()
    except OSError:
        return None
    return status.st_ino, status.st_size, status.st_mtime_ns


def _only_inode(path: str) -> tuple[int, int, int] | None:
    status = _status(path)
    return (status[0], 0, 0) if status else None


def open_read_only(path: Path) -> ReadOnlyStore:
    """Open an existing journal for reading: takes nothing, makes nothing, writes nothing.

    Raises:
        Unavailable: there is no journal, or it can not be read.
        NewerSchema: a newer version wrote it.
    """
    if not path.exists():
        raise Unavailable(f"there is no journal at {path}")
    if not os.access(path, os.R_OK):
        raise Unavailable(f"{path} can not be read: it belongs to another user (files of a journal have mode 0600)")
    return ReadOnlyStore(path)
