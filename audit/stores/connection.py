"""Opening and creating the SQLite file of a journal, and saying in words what SQLite refuses."""

import errno
import fcntl
import os
import secrets
import sqlite3
from contextlib import closing
from pathlib import Path
from urllib.parse import quote

from audit.chain import ALGORITHM, MAX_BODY
from audit.files import refused, sync_directory
from audit.journal import Full, JournalError, NewerSchema, ReadOnly, Unavailable
from audit.stores.mounts import network_file_system

APPLICATION = 0x4A524E4C
"""`application_id` of the file ("JRNL"): another program's database is refused instead of changed."""

SCRIPTS = sorted(Path(__file__).with_name("sqlite").glob("[0-9]*.sql"))
SCHEMA = len(SCRIPTS)
"""Script n leads from schema n-1 to schema n."""

BUSY_SECONDS = 5.0
MAX_STATE = 64 << 20
"""Bytes of the largest state that a checkpoint keeps."""

_STAYS_OPEN = frozenset({sqlite3.SQLITE_FULL, sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED})
_NO_WRITE = "the file or its file system is read-only, or belongs to another user"


SqliteError = (sqlite3.Error, UnicodeDecodeError)
"""What the module raises; the second where the message itself quotes a damaged file."""


def poisons(error: sqlite3.Error | UnicodeDecodeError) -> bool:
    """Whether the connection must not be used again: after an I/O error nothing it remembers can be trusted."""
    return isinstance(error, UnicodeDecodeError) or error.sqlite_errorcode & 0xFF not in _STAYS_OPEN


def explained(error: sqlite3.Error | UnicodeDecodeError, path: Path) -> JournalError:
    """What an SQLite error means, with the file and what can be done."""
    if isinstance(error, UnicodeDecodeError):
        return Unavailable(f"{path} is damaged: what should be text in it is not")
    code = getattr(error, "sqlite_errorcode", None)
    if code is None:  # misuse of the module (wrong thread): a mistake in the program, shown as it is
        raise error
    primary = code & 0xFF
    if primary == sqlite3.SQLITE_IOERR and (reason := _file_system_says(path)):
        return refused(reason, path)
    return _named(primary, error, path)


def _named(primary: int, error: sqlite3.Error, path: Path) -> JournalError:
    name = error.sqlite_errorname
    if primary == sqlite3.SQLITE_FULL:
        return Full(f"{path}: no space left on its file system. Free some space")
    if primary in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
        return Unavailable(f"{path} is locked by another process for more than {BUSY_SECONDS:g} s ({name})")
    if primary == sqlite3.SQLITE_READONLY:
        return ReadOnly(f"{path} can not be written ({name}): {_NO_WRITE}")
    if primary in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_ERROR, sqlite3.SQLITE_TOOBIG):
        return Unavailable(f"{path} is damaged, or is no journal ({name}: {error})")
    return Unavailable(f"{path} can not be read or written now ({name}: {error})")


def _file_system_says(path: Path) -> OSError | None:
    """Why nothing can be written beside `path`, if so: SQLite keeps the reason of an I/O error to itself."""
    try:
        descriptor = os.open(path.parent, os.O_TMPFILE | os.O_RDWR | os.O_CLOEXEC, 0o600)  # it has no name, so no trace
        try:
            os.write(descriptor, bytes(4096))
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
    except OSError as error:
        return None if error.errno in (errno.EOPNOTSUPP, errno.EISDIR, errno.EINVAL) else error
    return None


def limit(connection: sqlite3.Connection, *, wide: bool) -> None:
    """Let no value be larger than a body (or, wide, a state) may be, so that a hostile file can not fill the memory."""
    connection.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, (MAX_STATE if wide else MAX_BODY) + (1 << 16))


def connect(path: Path, query: str) -> sqlite3.Connection:
    """A connection in autocommit mode that gives text as bytes, so that no damaged text can stop a reader."""
    connection = sqlite3.connect(
        f"file:{quote(os.fsencode(path))}?{query}", uri=True, isolation_level=None, timeout=BUSY_SECONDS
    )
    connection.text_factory = bytes
    limit(connection, wide=False)
    connection.execute("PRAGMA trusted_schema = OFF")
    return connection


def require_journal(connection: sqlite3.Connection, path: Path) -> int:
    """The schema of the file.

    Raises:
        Unavailable: it is another program's database.
        NewerSchema: a newer version wrote it.
    """
    application = connection.execute("PRAGMA application_id").fetchone()[0]
    if application != APPLICATION:
        raise Unavailable(f"{path} is a database of another program (application_id {application:#x}); not touched")
    schema = int(connection.execute("PRAGMA user_version").fetchone()[0])
    if schema > SCHEMA:
        raise NewerSchema(path, schema, SCHEMA)
    return schema


def open_writable(path: Path) -> sqlite3.Connection:
    """Open an existing journal so that what it acknowledges survives a power cut.

    Raises:
        JournalError: why not.
    """
    try:
        if not path.exists():
            raise Unavailable(f"{path} is gone. Put it back, or stop this process")
        if not os.access(path, os.W_OK):
            raise ReadOnly(f"{path} can not be written: {_NO_WRITE}")
        connection = connect(path, "mode=rw")
        try:
            schema = require_journal(connection, path)
            _durable(connection)
            _migrate(connection, schema)
            connection.execute("SELECT one FROM chain").fetchall()  # the first read makes the -wal file
            sync_directory(path.parent)
        except BaseException:
            connection.close()
            raise
    except SqliteError as error:
        raise explained(error, path) from error
    except OSError as error:
        raise refused(error, path, "can not be opened") from error
    return connection


def _durable(connection: sqlite3.Connection) -> None:
    connection.execute("PRAGMA synchronous = EXTRA")  # before WAL: else the file itself can be lost in a power cut
    mode = connection.execute("PRAGMA journal_mode = WAL").fetchone()[0]
    if mode != b"wal":
        raise Unavailable(f"SQLite refused WAL mode (journal mode is {mode.decode()})")
    connection.execute("PRAGMA journal_size_limit = 16777216")


def _migrate(connection: sqlite3.Connection, schema: int) -> None:
    for number, script in enumerate(SCRIPTS[schema:], start=schema + 1):
        text = script.read_text(encoding="utf-8")
        connection.executescript(f"BEGIN IMMEDIATE;\n{text}\nPRAGMA user_version = {number};\nCOMMIT;")


def ensure(path: Path) -> None:
    """Make the journal if there is none: whole or not at all, for its owner only, its name durable.

    Raises:
        JournalError: why not.
    """
    network = network_file_system(path)
    if network:
        raise Unavailable(
            f"{path} is on the network file system {network[1]} ({network[0]}), where SQLite's locks do not hold. "
            "Use a local disk, or PostgreSQL"
        )
    draft = path.with_name(f".{path.name}.new")
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        lock = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)  # two first starts at once: one makes it
            if not path.exists():
                _discard(draft)
                _make(draft)
                draft.rename(path)
                os.fsync(lock)
        finally:
            os.close(lock)
    except SqliteError as error:
        _discard(draft)
        raise explained(error, path) from error
    except OSError as error:
        raise refused(error, path, "can not be made") from error


def _discard(draft: Path) -> None:
    """With its helper files: an old one would be taken for the new file's own."""
    for end in ("-journal", "-wal", "-shm", ""):
        draft.with_name(draft.name + end).unlink(missing_ok=True)


def _make(draft: Path) -> None:
    os.close(os.open(draft, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, 0o600))
    with closing(connect(draft, "mode=rw")) as connection:
        _durable(connection)
        connection.execute(f"PRAGMA application_id = {APPLICATION}")
        _migrate(connection, 0)
        connection.execute("INSERT INTO chain VALUES (1, ?, ?, 0, '')", (secrets.token_hex(16), ALGORITHM))
