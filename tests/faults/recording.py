"""Records what our own store writes, syncs, names and removes: SQLite by a VFS of apsw, the rest by the os module.

The store that runs is `SqliteStore`, with its own statements and pragmas, on apsw's SQLite instead of the one of the
standard library. Below apsw is SQLite's own unix VFS, so every call that is recorded is also really made. A Python VFS
has no shared memory, so the journal is locked exclusively; what is written to the files, and when it is synced, is the
same. That SQLite itself syncs the directory with a new journal is left out: the disk is worse than it really is.
"""

import contextlib
import os
import sqlite3
import stat
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any
from unittest.mock import patch

import apsw

from audit.stores import connection
from tests.faults.disk import Ack, Event, Name, Resize, Sync, Write


class Recorder:
    """What happened in one directory, in order.

    Attributes:
        events: so far.
    """

    def __init__(self, directory: Path) -> None:
        self.events: list[Event] = []
        self._directory = directory
        self._files: dict[str, int] = {}
        self._descriptors: dict[int, int | None] = {}
        self._count = 0

    def said(self, what: Any) -> None:
        """Something was acknowledged."""
        self.events.append(Ack(what))

    def file(self, path: os.PathLike[str] | str) -> int:
        """The number of the file with this name; a new one if it was not there."""
        name = self._name(path)
        if name not in self._files:
            self._count += 1
            self._files[name] = self._count
            self.events.append(Name(name, self._count))
        return self._files[name]

    def removed(self, path: os.PathLike[str] | str) -> None:
        """The name is gone."""
        name = self._name(path)
        del self._files[name]
        self.events.append(Name(name, None))

    def _name(self, path: os.PathLike[str] | str) -> str:
        assert self._inside(path), path
        return Path(path).name

    def _inside(self, path: object) -> bool:
        return isinstance(path, str | os.PathLike) and Path(path).parent == self._directory

    # --- the os module: what `audit.files`, `audit.keys` and `audit.checkpoint` use of it

    @contextlib.contextmanager
    def watching(self) -> Iterator[None]:
        """Record these functions while the block runs."""
        with contextlib.ExitStack() as stack:
            for name in ("open", "close", "write", "fsync", "ftruncate", "rename", "unlink"):
                stack.enter_context(patch.object(os, name, self._wrapped(name, getattr(os, name))))
            yield

    def _wrapped(self, name: str, real: Any) -> Any:
        record = getattr(self, f"_{name}")

        def call(*arguments: Any, **named: Any) -> Any:
            return record(real, *arguments, **named)

        return call

    def _open(self, real: Any, path: Any, flags: int, *rest: Any, **named: Any) -> int:
        descriptor: int = real(path, flags, *rest, **named)
        if self._inside(path) and flags & (os.O_WRONLY | os.O_RDWR):
            self._descriptors[descriptor] = self.file(path)
        elif isinstance(path, str | os.PathLike) and Path(path) == self._directory:
            self._descriptors[descriptor] = None
        return descriptor

    def _close(self, real: Any, descriptor: int) -> None:
        self._descriptors.pop(descriptor, None)
        real(descriptor)

    def _write(self, real: Any, descriptor: int, data: bytes) -> int:
        if descriptor in self._descriptors:
            end = os.fstat(descriptor).st_size
            self.events.append(Write(self._descriptors[descriptor] or 0, end, bytes(data)))  # all of ours append
        return int(real(descriptor, data))

    def _fsync(self, real: Any, descriptor: int) -> None:
        real(descriptor)
        if descriptor in self._descriptors:
            file = self._descriptors[descriptor]
            assert (file is None) == stat.S_ISDIR(os.fstat(descriptor).st_mode)
            self.events.append(Sync(file))

    def _ftruncate(self, real: Any, descriptor: int, size: int) -> None:
        real(descriptor, size)
        if descriptor in self._descriptors:
            self.events.append(Resize(self._descriptors[descriptor] or 0, size))

    def _rename(self, real: Any, old: Any, new: Any) -> None:
        real(old, new)
        if self._inside(new):
            file = self._files[self._name(new)] = self._files.pop(self._name(old))
            self.events.append(Name(self._name(new), file, instead_of=self._name(old)))

    def _unlink(self, real: Any, path: Any) -> None:
        real(path)
        if self._inside(path):
            self.removed(path)


class _File(apsw.VFSFile):
    def __init__(self, name: Any, flags: list[int], recorder: Recorder) -> None:
        super().__init__("unix", name, flags)
        self._path = name.filename() if isinstance(name, apsw.URIFilename) else name
        self._recorder, self._file = recorder, recorder.file(self._path)

    def xWrite(self, data: Any, offset: int) -> None:  # noqa: N802 - SQLite's names
        super().xWrite(data, offset)
        self._recorder.events.append(Write(self._file, offset, bytes(data)))

    def xTruncate(self, newsize: int) -> None:  # noqa: N802
        super().xTruncate(newsize)
        self._recorder.events.append(Resize(self._file, newsize))

    def xSync(self, flags: int) -> None:  # noqa: N802
        super().xSync(flags)
        self._recorder.events.append(Sync(self._file))


class _Vfs(apsw.VFS):
    def __init__(self, name: str, recorder: Recorder) -> None:
        super().__init__(name, "unix")
        self._recorder = recorder

    def xOpen(self, name: Any, flags: list[int]) -> _File:  # noqa: N802
        assert name is not None, "the store needs no temporary file"
        return _File(name, flags, self._recorder)

    def xDelete(self, filename: str, syncdir: bool) -> None:  # noqa: N802
        super().xDelete(filename, syncdir)
        self._recorder.removed(filename)
        if syncdir:
            self._recorder.events.append(Sync(None))


class _Rows(list[tuple[Any, ...]]):
    rowcount = -1

    def fetchone(self) -> Any:
        return self.pop(0) if self else None

    def fetchall(self) -> list[tuple[Any, ...]]:
        return self


class Connection:
    """What `audit.stores` uses of `sqlite3.Connection`, over apsw; text comes back as bytes, as there.

    Args:
        pragmas: statements that stand in for others.
    """

    def __init__(self, path: Path, vfs: str, pragmas: dict[str, str]) -> None:
        self._apsw = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READWRITE, vfs=vfs)
        self._pragmas = pragmas
        self.execute("PRAGMA locking_mode = EXCLUSIVE")
        self.execute("PRAGMA trusted_schema = OFF")

    def execute(self, sql: str, arguments: Sequence[Any] = ()) -> _Rows:
        rows = self._apsw.execute(self._pragmas.get(sql, sql), tuple(arguments)).fetchall()
        found = _Rows(tuple(v.encode() if isinstance(v, str) else v for v in row) for row in rows)
        found.rowcount = self._apsw.changes()
        return found

    def executescript(self, sql: str) -> None:
        self._apsw.execute(sql).fetchall()

    def executemany(self, sql: str, many: Sequence[Sequence[Any]]) -> None:
        self._apsw.executemany(sql, many).fetchall()

    def setlimit(self, which: int, value: int) -> None:
        self._apsw.limit(which, value)

    @property
    def in_transaction(self) -> bool:
        return self._apsw.in_transaction

    def close(self) -> None:
        self._apsw.close()


@contextlib.contextmanager
def recording(directory: Path, pragmas: dict[str, str] | None = None) -> Iterator[Recorder]:
    """While the block runs, stores in this directory are recorded.

    Args:
        directory: exists, and is synced.
        pragmas: statements of the store that are replaced by weaker ones.
    """
    recorder = Recorder(directory)
    vfs = _Vfs(f"recording-{id(recorder)}", recorder)

    def connect(path: Path, query: str) -> Connection:
        assert query == "mode=rw"
        made = Connection(path, f"recording-{id(recorder)}", pragmas or {})
        connection.limit(made, wide=False)  # type: ignore[arg-type]
        return made

    with patch.object(connection, "connect", connect), recorder.watching():
        yield recorder
    vfs.unregister()


assert apsw.SQLITE_LIMIT_LENGTH == sqlite3.SQLITE_LIMIT_LENGTH
