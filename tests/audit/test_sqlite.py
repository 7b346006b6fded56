"""What is particular to the SQLite store: its file."""

import contextlib
import os
import shutil
import sqlite3
import stat
import subprocess
import sys
import threading
from contextlib import closing
from pathlib import Path
from random import Random

import pytest

from audit.journal import Claim, JournalError, NewerSchema, ReadOnly, Spend, Store, Unavailable
from audit.stores import connection, mounts
from audit.stores.sqlite import TAIL, SqliteStore, open_read_only
from audit.verify import verify

from ..needs import need  # noqa: TID252  importlib mode has no package named tests
from .journals import NAME, copy, entries, make_journal, tamper


def test_all_files_of_a_journal_are_for_their_owner_only_whatever_the_umask(tmp_path):
    before = os.umask(0)
    try:
        path = make_journal(tmp_path / "state", 5, (5,))
        with closing(SqliteStore(path)) as store:
            store.append(entries(1), epoch=None)
            modes = {file.name: stat.S_IMODE(file.stat().st_mode) for file in path.parent.iterdir()}
    finally:
        os.umask(before)
    assert {f"{NAME}-wal", f"{NAME}-shm"} < set(modes)
    assert modes.pop("signing.pub") == 0o644
    assert set(modes.values()) == {0o600}


def test_commits_are_synced_as_a_power_cut_demands(tmp_path):
    with closing(SqliteStore(tmp_path / NAME)) as store:
        assert store.fetch("PRAGMA synchronous") == [(3,)]  # EXTRA
        assert store.fetch("PRAGMA journal_mode") == [(b"wal",)]


def test_a_file_of_a_newer_version_is_refused_naming_both(tmp_path):
    path = make_journal(tmp_path, 3)
    tamper(path, ("PRAGMA user_version = 7", ()))
    for opening in (SqliteStore, open_read_only):
        with pytest.raises(NewerSchema, match=r"has schema 7; this version knows schemas up to 2") as refusal:
            opening(path)
        assert (refusal.value.found, refusal.value.known) == (7, connection.SCHEMA)
    assert "schema 7" in verify(path).problem


def test_a_database_of_another_program_is_refused_and_not_touched(tmp_path):
    path = tmp_path / NAME
    with closing(sqlite3.connect(path)) as other:
        other.execute("CREATE TABLE precious (x)")
    before = path.read_bytes()
    for opening in (SqliteStore, open_read_only):
        with pytest.raises(Unavailable, match="database of another program"):
            opening(path)
    assert path.read_bytes() == before


@pytest.mark.parametrize("content", [b"", b"junk" * 3000])
def test_a_file_that_is_no_database_is_refused_and_not_touched(tmp_path, content):
    (tmp_path / NAME).write_bytes(content)
    with pytest.raises(Unavailable):
        SqliteStore(tmp_path / NAME)
    assert (tmp_path / NAME).read_bytes() == content


def test_a_directory_that_can_not_be_made_is_said(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(Unavailable, match="can not be made"):
        SqliteStore(tmp_path / "file" / NAME)


def test_what_a_killed_first_start_left_does_not_disturb_the_next(tmp_path):
    for end in ("", "-wal", "-journal", "-shm"):
        (tmp_path / f".{NAME}.new{end}").write_bytes(b"half" * 1000)
    with closing(SqliteStore(tmp_path / NAME)) as store:
        store.append(entries(3), epoch=None)
    assert sorted(file.name for file in tmp_path.iterdir()) == [NAME]


def test_a_journal_that_was_moved_away_is_noticed_before_anything_is_acknowledged(tmp_path):
    with closing(SqliteStore(tmp_path / NAME)) as store:
        store.append(entries(3), epoch=None)
        (tmp_path / NAME).rename(tmp_path / "moved")
        for _ in range(2):
            with pytest.raises(Unavailable, match="is gone"):
                store.append(entries(1), epoch=None)
        (tmp_path / "moved").rename(tmp_path / NAME)
        assert store.append(entries(1), epoch=None) == 4


def test_an_older_copy_put_in_its_place_is_refused(tmp_path):
    path = tmp_path / "state" / NAME
    with closing(SqliteStore(path)) as store:
        store.append(entries(3), epoch=None)
    older = copy(path.parent, tmp_path / "older")
    with closing(SqliteStore(path)) as store:
        store.append(entries(2, 4), epoch=None)
        for end in ("", "-wal", "-shm"):
            path.with_name(NAME + end).unlink()
        shutil.copy(older, path)
        with pytest.raises(Unavailable, match="moved or replaced"):
            store.append(entries(1), epoch=None)
        with pytest.raises(Unavailable, match="went back: acknowledged record 5 is not there any more"):
            store.append(entries(1), epoch=None)


def test_another_journal_put_in_its_place_is_refused(tmp_path):
    path = tmp_path / NAME
    with closing(SqliteStore(path)) as store:
        store.append(entries(3), epoch=None)
        other = make_journal(tmp_path / "other", 9)
        for end in ("", "-wal", "-shm"):
            path.with_name(NAME + end).unlink()
        shutil.copy(other, path)
        with pytest.raises(Unavailable):
            store.head()
        with pytest.raises(Unavailable, match="replaced by another journal"):
            store.head()


def test_a_tail_cut_under_the_open_store_is_refused(tmp_path):
    with closing(SqliteStore(tmp_path / NAME)) as store:
        store.append(entries(9), epoch=None)
        tamper(tmp_path / NAME, ("DELETE FROM entries WHERE seq > 7", ()))
        with pytest.raises(Unavailable, match="went back from record 9 to 7"):
            store.append(entries(1), epoch=None)
        assert store.head()[0] == 7


@pytest.mark.parametrize("seq", [TAIL + 200, 205])
def test_a_damaged_tail_is_found_when_the_journal_is_opened(tmp_path, seq):
    path = make_journal(tmp_path, TAIL + 200)
    tamper(path, ("UPDATE entries SET body = x'00' WHERE seq = ?", (seq,)))
    with pytest.raises(Unavailable, match=f"record {seq} was changed"):
        SqliteStore(path)


def test_damage_in_front_of_the_tail_is_left_to_verify(tmp_path):
    path = make_journal(tmp_path, TAIL + 200)
    tamper(path, ("UPDATE entries SET body = x'00' WHERE seq = 100", ()))
    SqliteStore(path).close()
    assert verify(path).first_bad == 100


def test_an_epoch_that_was_set_back_lets_nobody_lead(tmp_path):
    path = make_journal(tmp_path, 3)
    tamper(path, ("UPDATE chain SET epoch = 0", ()))
    with pytest.raises(Unavailable, match="epoch 1, but the journal is at epoch 0"):
        SqliteStore(path)


def test_a_lock_that_somebody_keeps_is_said_and_over_when_it_is(tmp_path, monkeypatch):
    monkeypatch.setattr(connection, "BUSY_SECONDS", 0.05)
    with closing(SqliteStore(tmp_path / NAME)) as store:
        store.append(entries(1), epoch=None)
        with closing(sqlite3.connect(tmp_path / NAME, isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            with pytest.raises(Unavailable, match="locked by another process"):
                store.append(entries(1), epoch=None)
            assert store.head()[0] == 1  # reading goes on
        assert store.append(entries(1), epoch=None) == 2


def test_another_thread_may_not_use_the_store(tmp_path):
    with closing(SqliteStore(tmp_path / NAME)) as store:
        failures = []

        def use() -> None:
            try:
                store.head()
            except sqlite3.ProgrammingError as error:
                failures.append(error)

        thread = threading.Thread(target=use)
        thread.start()
        thread.join()
        assert len(failures) == 1
        assert store.head()[0] == 0


def test_old_spends_do_not_pile_up(tmp_path):
    with closing(SqliteStore(tmp_path / NAME)) as store:
        epoch = store.lead("a")
        for day in range(400):
            store.append(entries(1), epoch=epoch, spends=[Spend("b", day * 86_400.0, 1, 5, 3600.0)])
        kept = [at / 86_400.0 for (at,) in store.fetch("SELECT at FROM spends ORDER BY id")]
        assert kept == [395.0, 396.0, 397.0, 398.0, 399.0]


def test_an_interrupted_append_leaves_nothing(tmp_path):
    class Interrupting(list):
        def __iter__(self):
            yield self[0]
            raise KeyboardInterrupt

    with closing(SqliteStore(tmp_path / NAME)) as store:
        epoch = store.lead("a")
        with pytest.raises(KeyboardInterrupt):
            store.append(entries(1), epoch=epoch, claims=Interrupting([Claim("o", "h"), Claim("p", "h")]))
        assert (store.head()[0], dict(store.claims())) == (0, {})
        assert store.append(entries(1), epoch=epoch) == 1


MOUNTS = r"""/dev/vda / ext4 rw 0 0
tmpfs /run tmpfs rw 0 0
server:/x /mnt/nfs nfs4 rw 0 0
server:/y /mnt/with\040blank fuse.sshfs rw 0 0
/dev/vdb /mnt/nfs/local xfs rw 0 0
tmpfs /mnt/twice tmpfs rw 0 0
//server/z /mnt/twice cifs rw 0 0
broken
/dev/vdd /mnt/last xfs rw 0 0
"""


@pytest.mark.parametrize(
    ("path", "found"),
    [
        ("/home/x/trail.db", ("ext4", "/")),
        ("/mnt/nfs/a/trail.db", ("nfs4", "/mnt/nfs")),
        ("/mnt/nfsx/trail.db", ("ext4", "/")),
        ("/mnt/nfs/local/trail.db", ("xfs", "/mnt/nfs/local")),
        ("/mnt/with blank/trail.db", ("fuse.sshfs", "/mnt/with blank")),
        ("/mnt/twice/trail.db", ("cifs", "/mnt/twice")),
        ("/mnt/last/trail.db", ("xfs", "/mnt/last")),
    ],
)
def test_the_file_system_of_a_path_is_its_deepest_and_last_mount(path, found):
    assert mounts.file_system(Path(path), MOUNTS) == found


def test_a_journal_on_a_network_file_system_is_refused(tmp_path, monkeypatch):
    listed = tmp_path / "mounts"
    listed.write_text(f"/dev/vda / ext4 rw 0 0\nserver:/x {tmp_path} nfs4 rw 0 0\n")
    monkeypatch.setattr(mounts, "MOUNTS", listed)
    with pytest.raises(Unavailable, match=rf"is on the network file system {tmp_path} \(nfs4\).*PostgreSQL"):
        SqliteStore(tmp_path / "state" / NAME)
    assert not (tmp_path / "state").exists()
    listed.write_bytes(b"/dev/vda / ext4 rw 0 0\n/dev/vdb /a-name-\xff ext4 rw 0 0\n")
    SqliteStore(tmp_path / "state" / NAME).close()


# Read-only


def names(directory: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in directory.iterdir()}


def reads_all(path: Path, records: int) -> None:
    before = names(path.parent)
    with closing(SqliteStore.open(path, read_only=True)) as store:
        assert [record.seq for record in store.after(0)] == list(range(1, records + 1))
        assert store.head()[0] == records
        assert store.epoch() == 1
    assert names(path.parent) == before


def test_a_closed_journal_is_read_without_a_trace(tmp_path):
    reads_all(make_journal(tmp_path, 150, (100,)), 150)


def test_a_journal_in_use_is_read_without_a_trace_and_to_its_newest_record(tmp_path):
    path = make_journal(tmp_path, 150)
    with closing(SqliteStore(path)) as store, closing(open_read_only(path)) as reader:
        for number in range(151, 154):
            store.append(entries(1), epoch=1)
            before = names(path.parent)
            script = (
                "import sys; from pathlib import Path; from audit.stores.sqlite import open_read_only; "
                "print(open_read_only(Path(sys.argv[1])).head()[0])"
            )
            run = subprocess.run([sys.executable, "-c", script, str(path)], check=True, capture_output=True, text=True)
            assert run.stdout.strip() == str(number)
            assert names(path.parent) == before
            assert reader.head()[0] == number


def test_a_killed_writers_journal_is_read_without_a_trace(tmp_path):
    path = tmp_path / "state" / NAME
    with closing(SqliteStore(path)) as store:
        store.append(entries(150), epoch=store.lead("a"))
        killed = copy(path.parent, tmp_path / "killed")
    assert killed.with_name(NAME + "-wal").stat().st_size
    reads_all(killed, 150)
    killed.with_name(NAME + "-shm").unlink()  # a backup of database and log
    reads_all(killed, 150)


def test_a_reader_of_a_closed_journal_sees_that_a_writer_came_and_went(tmp_path):
    path = make_journal(tmp_path, 150)
    with closing(open_read_only(path)) as reader:
        reading = reader.after(0)
        assert next(reading).seq == 1
        with closing(SqliteStore(path)) as store:
            store.append(entries(2000), epoch=1)
            assert reader.head()[0] == 2150
        assert [record.seq for record in reading] == list(range(2, 2151))
        assert reader.head()[0] == 2150


def test_a_reader_sees_what_a_writer_left_that_came_and_went_between_two_looks(tmp_path):
    path = make_journal(tmp_path, 150)
    with closing(open_read_only(path)) as reader:
        for end in (155, 160):
            with closing(SqliteStore(path)) as store:
                store.append(entries(5), epoch=1)
            assert reader.head()[0] == end


def test_a_read_only_store_writes_nothing(tmp_path):
    path = make_journal(tmp_path, 3, (3,))
    with closing(open_read_only(path)) as reader:
        store: Store = reader
        for write in (
            lambda: store.append(entries(1), epoch=None),
            lambda: store.lead("a"),
            lambda: store.save_checkpoint(store.checkpoint().signed, b""),
        ):
            with pytest.raises(ReadOnly, match="opened for reading only"):
                write()
        assert store.checkpoint().seq == 3
    with pytest.raises(Unavailable, match="closed"):
        reader.head()


def test_reading_makes_no_journal(tmp_path):
    with pytest.raises(Unavailable, match="there is no journal at"):
        open_read_only(tmp_path / NAME)
    assert list(tmp_path.iterdir()) == []


READ_ONLY_MOUNT = """
import sys
from pathlib import Path
from audit.journal import ReadOnly
from audit.stores.sqlite import SqliteStore, open_read_only
path = Path(sys.argv[1])
print(open_read_only(path).head()[0])
try:
    SqliteStore(path)
except ReadOnly as error:
    print(error)
"""


def test_a_journal_on_a_read_only_file_system_is_read_and_says_why_it_can_not_be_written(tmp_path):
    path = tmp_path / "state" / NAME
    (tmp_path / "script.py").write_text(READ_ONLY_MOUNT)
    with closing(SqliteStore(path)) as store:
        store.append(entries(20), epoch=None)
        copy(path.parent, tmp_path / "killed")
    need(shutil.which("unshare"), "needs unshare (util-linux)")
    for directory in (path.parent, tmp_path / "killed"):
        mounted = [
            "unshare",
            "-m",
            "sh",
            "-c",
            'mount --bind "$0" "$0" && mount -o remount,ro,bind "$0" && exec "$@"',
            str(directory),
        ]
        probe = subprocess.run([*mounted, "true"], check=False, capture_output=True)
        need(probe.returncode == 0, "needs the right to bind-mount in a mount namespace (root)")
        run = subprocess.run(
            [*mounted, sys.executable, str(tmp_path / "script.py"), str(directory / NAME)],
            check=True,
            capture_output=True,
            text=True,
        )
        head, refusal = run.stdout.splitlines()
        assert head == "20"
        assert "can not be written: the file or its file system is read-only" in refusal


def test_every_error_is_a_journal_error_with_a_sentence(tmp_path):
    path = make_journal(tmp_path, 3)
    tamper(path, ("DELETE FROM chain", ()))
    with pytest.raises(JournalError, match="does not say which chain it is"):
        SqliteStore(path)
    tamper(path, ("DROP TABLE entries", ()))
    with pytest.raises(JournalError, match="damaged"):
        SqliteStore(path)


def test_no_damage_of_the_file_makes_a_store_raise_anything_but_a_journal_error(tmp_path):
    honest = make_journal(tmp_path / "honest", 60, (30,)).read_bytes()
    chance, opened = Random(20), 0
    for number in range(300):
        damaged = bytearray(honest)
        for _ in range(chance.choice([1, 3, 30])):
            damaged[chance.randrange(8192 if number % 2 else len(damaged))] ^= 1 << chance.randrange(8)
        path = tmp_path / str(number) / NAME
        path.parent.mkdir()
        path.write_bytes(damaged)
        with contextlib.suppress(JournalError), closing(SqliteStore(path)) as store:
            store.append(entries(1), epoch=None)
            store.claims()
            store.checkpoint()
            opened += 1
        shutil.rmtree(path.parent)
    assert 0 < opened < 300
