"""How the file of a journal is made and opened: for its owner, durable, bounded, and every refusal in words."""

import os
import sqlite3
import stat
from contextlib import closing
from pathlib import Path

import pytest

from audit.chain import MAX_BODY
from audit.journal import ReadOnly, Unavailable
from audit.stores.connection import (
    MAX_STATE,
    _discard,
    _file_system_says,
    connect,
    ensure,
    explained,
    limit,
    open_writable,
    poisons,
)
from audit.stores.mounts import file_system

NAME = "trail.db"


def pragma(connection: sqlite3.Connection, name: str) -> object:
    return connection.execute(f"PRAGMA {name}").fetchone()[0]


def test_a_journal_is_made_with_its_folders_for_its_owner_only(tmp_path):
    before = os.umask(0)
    try:
        ensure(tmp_path / "a" / "b" / NAME)
        ensure(tmp_path / "a" / "b" / NAME)
    finally:
        os.umask(before)
    modes = [stat.S_IMODE((tmp_path / "a" / "b" / end).stat().st_mode) for end in ("", NAME)]
    assert modes == [0o700, 0o600]
    assert [path.name for path in (tmp_path / "a" / "b").iterdir()] == [NAME]


def test_the_name_of_a_new_journal_is_durable(tmp_path, monkeypatch):
    synced, fsync = [], os.fsync
    monkeypatch.setattr(os, "fsync", lambda fd: (synced.append(Path(f"/proc/self/fd/{fd}").readlink()), fsync(fd)))
    ensure(tmp_path / NAME)
    assert synced == [tmp_path]
    synced.clear()
    open_writable(tmp_path / NAME).close()
    assert synced == [tmp_path]


def test_a_writable_journal_is_durable_bounded_and_trusts_no_schema(tmp_path):
    ensure(tmp_path / NAME)
    with closing(open_writable(tmp_path / NAME)) as connection:
        names = ("synchronous", "journal_mode", "journal_size_limit", "trusted_schema")
        assert [pragma(connection, name) for name in names] == [3, b"wal", 16 << 20, 0]
        assert (connection.isolation_level, connection.text_factory) == (None, bytes)
        assert connection.getlimit(sqlite3.SQLITE_LIMIT_LENGTH) == MAX_BODY + (1 << 16)
        limit(connection, wide=True)
        assert connection.getlimit(sqlite3.SQLITE_LIMIT_LENGTH) == MAX_STATE + (1 << 16)
        (name,) = connection.execute("SELECT id FROM chain").fetchone()
        assert len(bytes.fromhex(name.decode())) == 16


def test_the_helper_files_of_a_draft_go_with_it(tmp_path):
    for end in ("", "-journal", "-wal", "-shm"):
        (tmp_path / f"draft{end}").write_bytes(b"old")
    (tmp_path / "draft-other").write_bytes(b"somebody's")
    _discard(tmp_path / "draft")
    assert [path.name for path in tmp_path.iterdir()] == ["draft-other"]


def test_a_half_made_journal_is_replaced_by_a_whole_one(tmp_path):
    for end in ("", "-journal", "-wal", "-shm"):
        (tmp_path / f".{NAME}.new{end}").write_bytes(b"torn")
    ensure(tmp_path / NAME)
    assert [path.name for path in tmp_path.iterdir()] == [NAME]
    open_writable(tmp_path / NAME).close()


def test_no_file_is_made_by_opening_one_that_is_not_there(tmp_path):
    with pytest.raises(sqlite3.OperationalError) as caught:
        connect(tmp_path / "a?mode=rwc", "mode=rw")
    assert isinstance(explained(caught.value, tmp_path / NAME), Unavailable)
    assert not list(tmp_path.iterdir())


def test_a_write_to_what_is_read_only_says_so(tmp_path):
    ensure(tmp_path / NAME)
    with closing(connect(tmp_path / NAME, "mode=ro")) as connection, pytest.raises(sqlite3.Error) as caught:
        connection.execute("UPDATE chain SET epoch = 1")
    assert isinstance(explained(caught.value, tmp_path / NAME), ReadOnly)
    assert poisons(caught.value)


@pytest.mark.parametrize("sql", ["SELECT nothing", "SELECT zeroblob(2000000)"])
def test_what_a_damaged_file_makes_sqlite_say_is_damage(tmp_path, sql):
    ensure(tmp_path / NAME)
    with closing(connect(tmp_path / NAME, "mode=rw")) as connection, pytest.raises(sqlite3.Error) as caught:
        connection.execute(sql).fetchall()
    assert "is damaged, or is no journal" in str(explained(caught.value, tmp_path / NAME))


def test_what_is_neither_is_unavailable_now(tmp_path):
    ensure(tmp_path / NAME)
    with closing(connect(tmp_path / NAME, "mode=rw")) as connection, pytest.raises(sqlite3.Error) as caught:
        connection.execute("INSERT INTO chain VALUES (1, 'a', 'b', 0, '')")  # a constraint
    error = explained(caught.value, tmp_path / NAME)
    assert type(error) is Unavailable
    assert "can not be read or written now" in str(error)


def test_the_reason_is_asked_of_the_folder_where_the_file_lies(tmp_path):
    assert _file_system_says(tmp_path / NAME) is None
    assert list(tmp_path.iterdir()) == []
    assert isinstance(_file_system_says(tmp_path / "nowhere" / NAME), FileNotFoundError)


def test_a_folder_that_can_not_be_made_is_a_journal_error(tmp_path):
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(Unavailable, match="can not be made"):
        ensure(tmp_path / "file" / NAME)


@pytest.mark.parametrize(
    ("mounts", "found"),
    [
        ("", ("", "")),
        ("a /", ("", "")),
        ("a / ext4", ("ext4", "/")),
        ("a / ext4 rw 0 0\nb /data nfs rw 0 0\n", ("nfs", "/data")),
        ("b /data nfs rw\na / ext4 rw\n", ("nfs", "/data")),
        ("short\nb /data nfs rw\n", ("nfs", "/data")),
        ("b /data nfs rw\nc /data tmpfs rw\n", ("tmpfs", "/data")),
        ("b /data/other nfs rw\na / ext4 rw\n", ("ext4", "/")),
        ("b /data/with\\040blank nfs rw\na / ext4 rw\n", ("ext4", "/")),
    ],
)
def test_the_longest_and_latest_mount_over_a_path_holds_it(mounts, found):
    assert file_system(Path("/data/state/trail.db"), mounts) == found


def test_a_blank_in_a_mount_point_is_read_as_one():
    assert file_system(Path("/a b/c"), "x /a\\040b nfs4 rw") == ("nfs4", "/a b")
