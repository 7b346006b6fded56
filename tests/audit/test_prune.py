"""Pruning: only what a signed checkpoint outside vouches for goes, and the rest stays what it was. P16, P17."""

import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import msgspec
import pytest

from audit.checkpoint import EXPORT, Rewound, Signer, require_exported, save
from audit.journal import Claim, JournalError, Pruned, ReadOnly, Spend
from audit.keys import KEY, PUBLIC
from audit.prune import Pruning, Wish, plan, prune
from audit.pruned import sign
from audit.stores import sqlite as stores
from audit.stores.sqlite import TAIL, SqliteStore, open_read_only
from audit.verify import verify

from .journals import NAME, entries, make_journal, tamper

SIGNED = 1_700_000_000.0
"""Checkpoint n of `make_journal` was signed at this time plus n."""
NOW = 1_800_000_000.0


def wish(before: float = NOW) -> Wish:
    return Wish(before, "ann", "no more than a year")


@pytest.fixture
def path(tmp_path) -> Path:
    """200 records, checkpoints at 50, 100, 150 and 180."""
    return make_journal(tmp_path / "state", 200, (50, 100, 150, 180))


def left(path: Path) -> list[int]:
    with closing(sqlite3.connect(path)) as connection:
        return [seq for (seq,) in connection.execute("SELECT seq FROM entries ORDER BY seq")]


def test_records_below_the_older_of_the_two_kept_states_go_and_verification_says_so(path):
    before = list(open_read_only(path).after(149))
    assert prune(path, wish(), NOW) == Pruning(150, 149, "a restart may need every record from 150 on")
    assert left(path) == list(range(150, 201))
    report = verify(path)
    assert (report.ok, report.records, report.pruned, report.vouched) == (True, 51, 149, 180)
    assert report.checked_checkpoints == 4  # of 150 and 180, exported and in the database
    assert report.notes == ("records 1 to 149 were pruned by ann, 2027-01-15T08:00:00+00:00: no more than a year",)
    with closing(open_read_only(path)) as store:
        assert list(store.after(0)) == before
        assert store.read(149) is None
        assert store.checkpoint().state == b"state at 180"


@pytest.mark.parametrize(
    ("before", "first", "why"),
    [
        (SIGNED + 50, 1, "what is behind it is newer, or no exported checkpoint vouches for it"),
        (SIGNED + 51, 50, "what is behind it is newer, or no exported checkpoint vouches for it"),
        (SIGNED + 150, 100, "what is behind it is newer, or no exported checkpoint vouches for it"),
        (SIGNED + 151, 150, "a restart may need every record from 150 on"),
        (NOW, 150, "a restart may need every record from 150 on"),
    ],
)
def test_only_what_was_signed_before_goes(path, before, first, why):
    assert plan(path, before) == Pruning(first, first - 1, why)
    assert len(left(path)) == 200
    assert prune(path, wish(before), NOW) == Pruning(first, first - 1, why)
    assert left(path)[0] == first


def test_what_was_pruned_is_pruned_further_and_not_twice(path):
    assert prune(path, wish(SIGNED + 60), NOW).first == 50
    again = plan(path, SIGNED + 60)
    assert (again.first, again.records) == (50, 0)
    assert prune(path, wish(), NOW).records == 100
    assert prune(path, wish(), NOW) == Pruning(150, 0, "a restart may need every record from 150 on")
    assert verify(path).pruned == 149


def test_names_and_reasons_that_are_no_text_are_kept_as_text(path):
    prune(path, Wish(NOW, "ann\udcff", "old\udcff"), NOW)
    (note,) = verify(path).notes
    assert note.endswith(": old?")
    assert "by ann?," in note


def test_claims_budgets_epoch_and_the_next_number_stay(path):
    with closing(SqliteStore(path)) as store:
        epoch = store.lead("b")
        store.append(entries(1, 201), epoch=epoch, claims=[Claim("o", "h")], spends=[Spend("b", 5.0, 2, 3, 60.0)])
    prune(path, wish(), NOW)
    with closing(SqliteStore(path)) as store:
        assert (store.epoch(), dict(store.claims())) == (epoch, {"o": "h"})
        with pytest.raises(JournalError, match="2 of 3 are spent"):
            store.append(entries(1), epoch=epoch, spends=[Spend("b", 6.0, 2, 3, 60.0)])
        assert store.append(entries(1), epoch=epoch) == 202
        require_exported(store, path.parent, Signer.open(path.parent).public)
    assert verify(path).ok


def test_the_order_of_epochs_holds_over_what_was_pruned(path):
    with closing(SqliteStore(path)) as store:
        assert store.lead("b") == 2
        store.append(entries(1, 201), epoch=2)
        signer = Signer.open(path.parent)
        for seq in (201, 202):
            save(store, signer, path.parent, b"state", (seq, SIGNED + seq))
            store.append(entries(2, seq), epoch=None)
    prune(path, wish(), NOW)
    with closing(open_read_only(path)) as store:
        assert (store.pruned().seq, store.pruned().epoch) == (200, 1)


def test_a_loop_beside_it_goes_on(path):
    with closing(SqliteStore(path)) as running:
        running.append(entries(3, 201), epoch=1)
        prune(path, wish(), NOW)
        assert running.append(entries(1, 204), epoch=1) == 204
        assert [record.seq for record in running.after(0)] == list(range(150, 205))
    assert verify(path).records == 55


def test_a_short_rest_behind_a_long_past_is_opened_and_verified_to_its_beginning(tmp_path):
    path = make_journal(tmp_path / "state", TAIL + 300, (TAIL + 100, TAIL + 200))
    prune(path, wish(), NOW)
    SqliteStore(path).close()
    tamper(path, ("UPDATE entries SET body = x'00' WHERE seq = ?", (TAIL + 100,)))
    with pytest.raises(JournalError, match=f"record {TAIL + 100} was changed"):
        SqliteStore(path)
    assert verify(path).first_bad == TAIL + 100


def test_a_file_that_is_made_small_again_by_vacuum_holds_the_same(tmp_path):
    path = make_journal(tmp_path / "state", 2000, (1900, 1950))
    prune(path, wish(), NOW)
    before = path.stat().st_size
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("VACUUM")
    assert path.stat().st_size < before / 4
    report = verify(path)
    assert (report.ok, report.records, report.pruned) == (True, 101, 1899)


# What must not go


def test_nothing_is_pruned_without_an_export(path):
    (path.parent / EXPORT).unlink()
    with pytest.raises(JournalError, match="no signature outside vouches for it"):
        prune(path, wish(), NOW)
    assert len(left(path)) == 200


def test_nothing_is_pruned_on_the_word_of_a_checkpoint_that_was_not_exported(path):
    lines = (path.parent / EXPORT).read_bytes().splitlines(keepends=True)
    (path.parent / EXPORT).write_bytes(lines[0])
    assert prune(path, wish(), NOW).first == 50


def test_nothing_is_pruned_from_a_journal_that_was_changed(path):
    tamper(path, ("UPDATE entries SET body = x'00' WHERE seq = 7", ()))
    with pytest.raises(JournalError, match="not what was written: record 7 was changed"):
        prune(path, wish(), NOW)
    with pytest.raises(JournalError, match="not what was written: record 7 was changed"):
        plan(path, NOW)
    assert len(left(path)) == 200


def test_without_a_kept_state_nothing_is_pruned(tmp_path):
    path = make_journal(tmp_path / "state", 20, (5,))
    tamper(path, ("UPDATE checkpoints SET state = NULL", ()))
    assert prune(path, wish(), NOW).records == 0
    assert len(left(path)) == 20


def test_the_store_itself_refuses_what_a_restart_needs(path):
    with closing(SqliteStore(path)) as store:
        for seq, digest, why in (
            (150, store.read(150).hash, "begins with the state at record 150, so record 150 must stay"),
            (149, bytes(32), "record 149 has another hash"),
        ):
            chain = store.chain
            said = Pruned(chain.id, chain.algorithm, seq, digest, 1, NOW, "a", "b", b"", b"")
            with pytest.raises(JournalError, match=why):
                store.prune(said)
        with pytest.raises(JournalError, match="not about the present journal"):
            store.prune(msgspec.structs.replace(said, chain="x"))
    assert len(left(path)) == 200
    with closing(open_read_only(path)) as store, pytest.raises(ReadOnly):
        store.prune(said)


# What somebody could pretend


def test_records_that_were_taken_away_without_a_statement_are_missing(path):
    prune(path, wish(), NOW)
    tamper(path, ("DELETE FROM pruned", ()))
    report = verify(path)
    assert (report.first_bad, report.problem) == (1, "record 1 is missing: record 150 follows record 0")


@pytest.mark.parametrize(
    "change",
    [
        "seq = 150",
        "hash = zeroblob(32)",
        "epoch = 0",
        "at = 1.0",
        "who = 'eve'",
        "why = ''",
        "signature = zeroblob(64)",
    ],
)
def test_a_changed_statement_does_not_hold(path, change):
    prune(path, wish(), NOW)
    tamper(path, (f"UPDATE pruned SET {change}", ()))
    report = verify(path)
    assert report.first_bad == 1
    assert "that they were pruned was not signed, or with another key" in report.problem
    with closing(open_read_only(path)) as store, pytest.raises(Rewound, match="this key did not sign that"):
        require_exported(store, path.parent, Signer.open(path.parent).public)


def test_a_statement_with_another_key_does_not_hold(path, tmp_path):
    (tmp_path / "attacker").mkdir()
    with closing(open_read_only(path)) as store:
        record, chain = store.read(99), store.chain
    forged = Pruned(chain.id, chain.algorithm, 99, record.hash, 1, NOW, "ann", "x", b"", b"")
    forged = sign(Signer.open(tmp_path / "attacker"), forged)
    row = (forged.seq, forged.hash, forged.epoch, forged.at, "ann", "x", forged.key, forged.signature)
    tamper(
        path,
        ("DELETE FROM entries WHERE seq <= 99", ()),
        ("INSERT INTO pruned VALUES (1, ?, ?, ?, ?, ?, ?, ?, ?)", row),
    )
    report = verify(path)
    assert (report.first_bad, "records 1 to 99 are missing" in report.problem) == (1, True)


def test_more_taken_away_than_the_statement_says_is_missing(path):
    prune(path, wish(), NOW)
    tamper(path, ("DELETE FROM entries WHERE seq < 160", ()))
    assert verify(path).first_bad == 150


def test_nonsense_in_the_place_of_the_statement_is_reported_not_raised(path):
    prune(path, wish(), NOW)
    tamper(path, ("UPDATE pruned SET hash = 5", ()))
    assert "nothing that was written" in verify(path).problem


# Crashes

KILLED = """
import os, signal, sys
from pathlib import Path
from audit.prune import Wish, prune
from audit.stores import sqlite
sqlite.PRUNE = 10
real, left = sqlite.SqliteStore._take_away, [int(sys.argv[2])]
def part(store, seq):
    if not left[0]:
        os.kill(os.getpid(), signal.SIGKILL)
    left[0] -= 1
    return real(store, seq)
sqlite.SqliteStore._take_away = part
prune(Path(sys.argv[1]), Wish(1.8e9, "ann", "x"), 1.8e9)
"""


@pytest.mark.parametrize("parts", [0, 1, 7, 14])
def test_a_crash_in_the_midst_loses_nothing_and_the_next_call_goes_on(path, parts):
    run = subprocess.run([sys.executable, "-c", KILLED, str(path), str(parts)], check=False)
    assert run.returncode == -9
    assert left(path)[0] == 1 + 10 * parts
    report = verify(path)
    assert (report.ok, report.records, report.pruned) == (True, 51, 149)
    assert "the next pruning removes them" in report.notes[1]
    with closing(SqliteStore(path)) as store:
        assert [record.seq for record in store.after(0)] == list(range(150, 201))
        assert store.read(149) is None
        assert store.append(entries(1, 201), epoch=1) == 201
    assert prune(path, wish(), NOW).records == 149 - 10 * parts
    assert left(path)[0] == 150
    assert verify(path).notes[1:] == ()


def test_other_writers_wait_for_one_part_only(path, monkeypatch):
    monkeypatch.setattr(stores, "PRUNE", 10)
    parts = []

    def trace(sql: str) -> None:
        if sql.startswith("COMMIT"):
            parts.append(sql)

    with closing(SqliteStore(path)) as store:
        store._connection.set_trace_callback(trace)
        chain, record = store.chain, store.read(149)
        said = Pruned(chain.id, chain.algorithm, 149, record.hash, 1, NOW, "a", "b", b"", b"")
        assert store.prune(sign(Signer.open(path.parent), said)) == 149
    assert len(parts) == 1 + 15 + 1  # the statement, the parts, and the one that finds nothing


def test_a_journal_of_the_first_schema_is_read_as_it_is_and_pruned_after_its_first_opening(path):
    tamper(path, ("DELETE FROM checkpoints WHERE seq < 0 OR seq = 50", ()))
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("DROP TABLE pruned")
        connection.execute("PRAGMA user_version = 1")
    assert verify(path).ok
    with closing(open_read_only(path)) as store:
        assert store.pruned() is None
    assert prune(path, wish(), NOW).first == 150
    assert sorted(file.name for file in path.parent.iterdir()) == [EXPORT, KEY, PUBLIC, NAME]
