"""Small files of the journal: durable, whole, let go of, and every error in words."""

import errno
import os
import resource
import sqlite3
import tracemalloc
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization as form
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from audit.chain import Chain
from audit.checkpoint import EXPORT, Signer, export, last_exported, line, sign
from audit.files import refused, sync_directory, write_new
from audit.journal import Full, JournalError, ReadOnly, Unavailable
from audit.keys import KEY, PUBLIC, public_key
from audit.stores.connection import explained, poisons
from audit.verify import verify

from .journals import make_journal

CHAIN = Chain("0" * 32)


@pytest.fixture
def signer(tmp_path: Path) -> Signer:
    return Signer.open(tmp_path)


def signed(signer: Signer, seq: int = 1):
    return sign(signer, CHAIN, (seq, bytes(32)), b"", 5.0)


def descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


@pytest.fixture
def synced(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What the real fsync was asked for, by the name that it had then."""
    names: list[str] = []
    fsync = os.fsync

    def noted(descriptor: int) -> None:
        names.append(str(Path(f"/proc/self/fd/{descriptor}").readlink()))
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", noted)
    return names


def test_a_new_file_is_durable_before_its_name_and_its_name_before_anything_else(tmp_path, synced):
    write_new(tmp_path / "key", b"text", 0o600)
    assert synced == [f"{tmp_path}/.key.new", str(tmp_path)]
    assert (tmp_path / "key").read_bytes() == b"text"


def test_a_draft_that_a_power_cut_left_is_replaced(tmp_path):
    (tmp_path / ".key.new").write_bytes(b"half")
    write_new(tmp_path / "key", b"whole", 0o600)
    assert [(path.name, path.read_bytes()) for path in tmp_path.iterdir()] == [("key", b"whole")]


def test_an_exported_line_and_its_file_are_durable(tmp_path, signer, synced):
    export(tmp_path / EXPORT, signed(signer))
    assert synced == [f"{tmp_path}/{EXPORT}", str(tmp_path)]


def test_every_file_is_let_go_of(tmp_path, signer):
    before = descriptors()
    for number in range(5):
        export(tmp_path / EXPORT, signed(signer))
        write_new(tmp_path / f"{number}", b"", 0o600)
        sync_directory(tmp_path)
    assert descriptors() == before


@contextmanager
def no_file_longer_than(size: int) -> Iterator[None]:
    """As a full disk: a write beyond it is short, the next one fails."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.parametrize(("room", "error"), [(10, Full), (0, Unavailable)])
def test_a_line_for_which_there_is_no_room_leaves_nothing(tmp_path, signer, room, error):
    path = tmp_path / EXPORT
    export(path, signed(signer))
    before = path.read_bytes()
    count = descriptors()
    with no_file_longer_than(len(before) + room), pytest.raises(error):
        export(path, signed(signer, 2))
    assert path.read_bytes() == before
    assert descriptors() == count


def test_a_torn_line_is_ended_before_the_next_and_a_whole_one_is_not(tmp_path, signer):
    path = tmp_path / EXPORT
    path.write_bytes(b'{"torn')
    for seq in (1, 2):
        export(path, signed(signer, seq))
    assert path.read_bytes() == b'{"torn\n' + line(signed(signer, 1)) + line(signed(signer, 2))


def test_a_huge_export_is_read_from_its_end(tmp_path, signer):
    path = tmp_path / EXPORT
    with path.open("wb") as file:
        file.truncate(64 << 20)
    export(path, signed(signer, 7))
    tracemalloc.start()
    found = last_exported(path, signer.public)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert found == signed(signer, 7)
    assert peak < 4 << 20


def test_an_export_that_is_no_file_is_a_journal_error(tmp_path, signer):
    (tmp_path / EXPORT).mkdir()
    with pytest.raises(Unavailable, match="can not be read"):
        last_exported(tmp_path / EXPORT, signer.public)


@pytest.mark.parametrize(
    ("number", "kind"),
    [
        (errno.ENOSPC, Full),
        (errno.EDQUOT, Full),
        (errno.EROFS, ReadOnly),
        (errno.EACCES, ReadOnly),
        (errno.EPERM, ReadOnly),
        (errno.EIO, Unavailable),
    ],
)
def test_a_file_error_says_what_it_means_and_which_file(number, kind):
    error = refused(OSError(number, os.strerror(number)), Path("/state/key"))
    assert type(error) is kind
    assert "/state/key" in str(error)


# Keys

UNKNOWN = (
    b"-----BEGIN PUBLIC KEY-----\nMCowBQYDKgMEAyEAeHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHg=\n"
    b"-----END PUBLIC KEY-----\n"
)
"""A key of a kind that nobody knows: its object identifier is 1.2.3.4."""
UNKNOWN_PRIVATE = (
    b"-----BEGIN PRIVATE KEY-----\nMCwCAQAwBQYDKgMEBCB4eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4eA==\n"
    b"-----END PRIVATE KEY-----\n"
)


def foreign() -> bytes:
    """A sound public key of another kind."""
    key = X25519PrivateKey.generate().public_key()
    return key.public_bytes(form.Encoding.PEM, form.PublicFormat.SubjectPublicKeyInfo)


@pytest.mark.parametrize(
    ("text", "why"),
    [(b"no key", "no public key in PEM form"), (UNKNOWN, "no public key"), (foreign(), "not an Ed25519 key")],
)
def test_what_is_no_public_key_is_refused_and_stops_no_verification(tmp_path, text, why):
    """A key of an unknown kind ended `auto audit verify` with the UnsupportedAlgorithm of the library."""
    path = make_journal(tmp_path, 5, (3,))
    (tmp_path / PUBLIC).write_bytes(text)
    with pytest.raises(JournalError, match=why):
        public_key(tmp_path / PUBLIC)
    report = verify(path)
    assert not report.ok
    assert why in report.problem


def test_a_private_key_of_an_unknown_kind_is_refused_without_being_quoted(tmp_path):
    (tmp_path / KEY).write_bytes(UNKNOWN_PRIVATE)
    (tmp_path / KEY).chmod(0o600)
    with pytest.raises(JournalError, match="no private key in PEM form") as caught:
        Signer.open(tmp_path)
    assert "eHh4" not in str(caught.value)


def test_a_key_that_can_not_be_read_or_made_is_a_journal_error(tmp_path):
    (tmp_path / KEY).mkdir(mode=0o700)
    with pytest.raises(Unavailable, match=KEY):
        Signer.open(tmp_path)
    with pytest.raises(JournalError, match=KEY):
        Signer.open(tmp_path / "nowhere")


# What SQLite says


def failure(path: Path, *statements: str) -> sqlite3.Error:
    """The error of the last of these statements."""
    with closing(sqlite3.connect(path, isolation_level=None, timeout=0)) as connection:
        for statement in statements[:-1]:
            connection.execute(statement)
        with pytest.raises(sqlite3.Error) as caught:
            connection.execute(statements[-1]).fetchall()
        return caught.value


def test_no_room_and_a_lock_leave_a_connection_usable_and_damage_does_not(tmp_path):
    path = tmp_path / "a.db"
    full = failure(path, "CREATE TABLE a (b)", "PRAGMA max_page_count = 2", "INSERT INTO a VALUES (zeroblob(100000))")
    assert (poisons(full), type(explained(full, path))) == (False, Full)
    with closing(sqlite3.connect(path, isolation_level=None)) as holder:
        holder.execute("BEGIN EXCLUSIVE")
        busy = failure(path, "INSERT INTO a VALUES (1)")
    assert (poisons(busy), type(explained(busy, path))) == (False, Unavailable)
    assert "locked" in str(explained(busy, path))
    (tmp_path / "b.db").write_bytes(b"no database" * 1000)
    other = failure(tmp_path / "b.db", "SELECT * FROM a")
    assert (poisons(other), type(explained(other, path))) == (True, Unavailable)
    quoting = UnicodeDecodeError("utf-8", b"\xff", 0, 1, "damaged")
    assert (poisons(quoting), type(explained(quoting, path))) == (True, Unavailable)


def test_a_mistake_in_the_program_is_shown_as_it_is(tmp_path):
    connection = sqlite3.connect(tmp_path / "a.db")
    connection.close()
    with pytest.raises(sqlite3.ProgrammingError) as caught:
        connection.execute("SELECT 1")
    with pytest.raises(sqlite3.ProgrammingError, match="closed"):
        explained(caught.value, tmp_path / "a.db")
