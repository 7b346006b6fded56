"""F26: every attack is found, at the right record. P16."""

import math
import shutil
import sqlite3
import struct
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from audit.chain import Chain
from audit.checkpoint import EXPORT, Signer, export, parse, sign
from audit.keys import KEY, PUBLIC
from audit.stores.sqlite import SqliteStore, open_read_only
from audit.verify import verify

from .journals import NAME, copy, entries, entry, make_journal, tamper

RECORDS = 200
TEXT = ("actor", "kind", "subject")


@pytest.fixture(scope="module")
def honest(tmp_path_factory) -> Path:
    """A state directory of 200 records with checkpoints at 50, 100 and 150."""
    directory = tmp_path_factory.mktemp("honest")
    make_journal(directory, RECORDS, (50, 100, 150))
    return directory


@pytest.fixture
def path(honest, tmp_path) -> Path:
    return copy(honest, tmp_path / "attacked")


def test_an_honest_journal_is_verified_whole(path):
    report = verify(path)
    assert (report.ok, report.records, report.first_bad, report.problem) == (True, RECORDS, None, "")
    assert (report.checked_checkpoints, report.vouched, report.notes) == (6, 150, ())  # exported and in the database


def test_verification_changes_nothing(path):
    before = {file.name: (file.read_bytes(), file.stat().st_mtime_ns) for file in path.parent.iterdir()}
    verify(path)
    assert {file.name: (file.read_bytes(), file.stat().st_mtime_ns) for file in path.parent.iterdir()} == before


def test_a_journal_in_use_is_verified_up_to_its_last_record(path):
    with closing(SqliteStore(path)) as store:
        store.append(entries(5, 201), epoch=store.epoch())
        report = verify(path)
        assert (report.ok, report.records) == (True, 205)


def flipped(value: object, bit: int) -> object:
    if isinstance(value, int):
        return value ^ (1 << (bit % 63))
    raw = bytearray(struct.pack(">d", value) if isinstance(value, float) else value)
    raw[bit // 8 % len(raw)] ^= 1 << (bit % 8)
    return struct.unpack(">d", raw)[0] if isinstance(value, float) else bytes(raw)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    seq=st.integers(1, RECORDS),
    column=st.sampled_from(["at", "epoch", "actor", "kind", "subject", "body", "hash"]),
    bit=st.integers(0, 511),
)
def test_one_flipped_bit_in_any_column_is_found_at_its_record(honest, tmp_path_factory, seq, column, bit):
    path = tmp_path_factory.mktemp("flip") / NAME
    shutil.copy(honest / NAME, path)
    with closing(sqlite3.connect(path)) as connection:
        connection.text_factory = bytes
        value = connection.execute(f"SELECT {column} FROM entries WHERE seq = ?", (seq,)).fetchone()[0]
    changed = flipped(value, bit)
    if column == "at" and math.isnan(changed):  # SQLite has no NaN: it can not be written
        return
    stored = "CAST(? AS TEXT)" if column in TEXT else "?"
    tamper(path, (f"UPDATE entries SET {column} = {stored} WHERE seq = ?", (changed, seq)))
    report = verify(path)
    assert (report.first_bad, report.records) == (seq, seq - 1), report.problem
    path.unlink()


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(seq=st.integers(1, RECORDS), bit=st.integers(0, 62))
def test_a_flipped_bit_in_the_number_itself_is_found(honest, tmp_path_factory, seq, bit):
    moved = seq ^ (1 << bit)
    if 1 <= moved <= RECORDS:  # taken already: SQLite refuses
        return
    path = tmp_path_factory.mktemp("number") / NAME
    shutil.copy(honest / NAME, path)
    tamper(path, ("UPDATE entries SET seq = ? WHERE seq = ?", (moved, seq)))
    assert verify(path).first_bad == (0 if moved == 0 else seq)
    path.unlink()


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(place=st.floats(0, 1, exclude_max=True) | st.floats(0, 0.1), bit=st.integers(0, 7))
def test_one_flipped_bit_anywhere_in_the_file_is_found_or_touches_no_record(honest, tmp_path_factory, place, bit):
    path = tmp_path_factory.mktemp("raw") / NAME
    raw = bytearray((honest / NAME).read_bytes())
    raw[int(place * len(raw))] ^= 1 << bit
    path.write_bytes(raw)
    report = verify(path, honest / EXPORT, honest / PUBLIC)
    if report.ok:
        with closing(open_read_only(path)) as store, closing(open_read_only(honest / NAME)) as wanted:
            assert list(store.after(0)) == list(wanted.after(0))
            assert store.chain == wanted.chain
    else:
        assert report.problem
    path.unlink()


@pytest.mark.parametrize("seq", [1, 2, 99, 100, 101, 199])
def test_a_deleted_record_is_found(path, seq):
    tamper(path, ("DELETE FROM entries WHERE seq = ?", (seq,)))
    report = verify(path)
    assert (report.first_bad, report.problem) == (
        seq,
        f"record {seq} is missing: record {seq + 1} follows record {seq - 1}",
    )


@pytest.mark.parametrize(("one", "other"), [(1, 2), (1, 200), (120, 121)])
def test_two_swapped_records_are_found_at_the_first(path, one, other):
    tamper(
        path,
        ("UPDATE entries SET seq = 1000 WHERE seq = ?", (one,)),
        ("UPDATE entries SET seq = ? WHERE seq = ?", (one, other)),
        ("UPDATE entries SET seq = ? WHERE seq = 1000", (other,)),
    )
    assert verify(path).first_bad == one


def test_an_inserted_record_is_found_where_it_was_put_in(path):
    tamper(
        path,
        ("UPDATE entries SET seq = -seq WHERE seq >= 80", ()),
        ("INSERT INTO entries SELECT 80, at, epoch, actor, kind, subject, body, hash FROM entries WHERE seq = 79", ()),
        ("UPDATE entries SET seq = 1 - seq WHERE seq < 0", ()),
    )
    assert verify(path).first_bad == 80


@pytest.mark.parametrize("seq", [0, -3])
def test_a_record_in_front_of_the_first_is_found(path, seq):
    tamper(
        path,
        (
            "INSERT INTO entries SELECT ?, at, epoch, actor, kind, subject, body, hash FROM entries WHERE seq = 1",
            (seq,),
        ),
    )
    assert verify(path).first_bad == seq


@pytest.mark.parametrize("cut", [1, 50, 149])
def test_a_cut_tail_is_found_against_the_exported_checkpoints(path, cut):
    tamper(path, ("DELETE FROM entries WHERE seq > ?", (cut,)), ("DELETE FROM checkpoints WHERE seq > ?", (cut,)))
    report = verify(path)
    assert (report.first_bad, report.records) == (cut + 1, cut)
    end = 50 if cut == 1 else 100 if cut == 50 else 150
    assert f"records {cut + 1} to {end} are missing" in report.problem


def test_a_tail_cut_behind_the_last_checkpoint_is_not_vouched_for(path):
    tamper(path, ("DELETE FROM entries WHERE seq > 170", ()))
    report = verify(path)
    assert (report.ok, report.records, report.vouched) == (True, 170, 150)  # docs/audit.md says so


def rewrite(path: Path, start: int, chain: Chain | None = None) -> None:
    """What somebody does who knows the format: change record `start`, then make all hashes right again."""
    with closing(open_read_only(path)) as store:
        chain = chain or store.chain
        records = list(store.after(0))
    previous, statements = (records[start - 2].hash if start > 1 else bytes(32)), []
    for record in records[start - 1 :]:
        body = b'{"nothing":"happened"}' if record.seq == start else record.body
        previous = chain.hash(record.seq, previous, record.epoch, entry(record.seq, body))
        statements.append(("UPDATE entries SET body = ?, hash = ? WHERE seq = ?", (body, previous, record.seq)))
    tamper(path, *statements)


@pytest.mark.parametrize(("start", "shows"), [(1, 50), (50, 50), (51, 100), (150, 150)])
def test_a_rewritten_chain_shows_at_the_first_checkpoint_behind(path, start, shows):
    rewrite(path, start)
    for attack in (path, stripped_of_kept_checkpoints(path)):
        report = verify(attack)
        assert (report.first_bad, report.vouched) == (shows, shows - 50)
        assert f"from record {shows - 49} or later up to {shows}" in report.problem


def stripped_of_kept_checkpoints(path: Path) -> Path:
    tamper(path, ("DELETE FROM checkpoints", ()))
    return path


def test_a_rewritten_chain_shows_against_the_checkpoints_in_the_database_alone(path):
    (path.parent / EXPORT).unlink()
    rewrite(path, 70)
    assert verify(path).first_bad == 100


def test_a_rewritten_chain_with_forged_checkpoints_shows_by_the_key(path, tmp_path):
    rewrite(path, 70)
    (tmp_path / "attacker").mkdir()
    forger = Signer.open(tmp_path / "attacker")
    with closing(open_read_only(path)) as store:
        forged = sign(forger, store.chain, (150, store.read(150).hash), b"", 5.0)
    stripped_of_kept_checkpoints(path)
    (path.parent / EXPORT).unlink()
    export(path.parent / EXPORT, forged)
    assert "another key signed it" in verify(path).problem
    (path.parent / PUBLIC).unlink()
    report = verify(path)  # nothing is left to compare with, and that is said
    assert report.ok
    assert "whether the right key signed" in report.notes[0]


def test_a_checkpoint_whose_fields_were_changed_does_not_hold(path):
    lines = (path.parent / EXPORT).read_text().splitlines(keepends=True)
    (path.parent / EXPORT).write_text(lines[0] + lines[1].replace('"seq":100', '"seq":99') + lines[2])
    assert f"{EXPORT}:2: the checkpoint of record 99: its signature does not hold" in verify(path).problem


def test_a_line_that_is_no_checkpoint_is_named(path):
    with (path.parent / EXPORT).open("a") as file:
        file.write('{"chain":"x"}\n')
    assert f"{EXPORT}:4 is no checkpoint" in verify(path).problem


def test_a_line_torn_by_a_power_cut_is_only_noted_and_the_next_one_counts(path):
    with (path.parent / EXPORT).open("rb+") as file:
        lines = file.readlines()
        file.truncate(len(lines[0]) + len(lines[1]) + 30)
    export(path.parent / EXPORT, parse(lines[2]))
    report = verify(path)
    assert (report.ok, report.vouched, report.checked_checkpoints) == (True, 150, 6)
    assert report.notes == (f"{path.parent / EXPORT}:3 is a torn line",)


@pytest.mark.parametrize("lost", [slice(0, 200), slice(100, 300)])
def test_a_line_that_lost_a_sector_in_a_power_cut_is_only_noted(path, lost):
    lines = (path.parent / EXPORT).read_bytes().splitlines(keepends=True)
    torn = bytearray(lines[1])
    torn[lost] = bytes(200)
    (path.parent / EXPORT).write_bytes(lines[0] + bytes(torn) + lines[2])
    report = verify(path)
    assert (report.ok, report.checked_checkpoints) == (True, 5)
    assert report.notes == (f"{path.parent / EXPORT}:2 is a torn line",)


@pytest.mark.parametrize("algorithm", ["md5", "none", ""])
def test_a_downgraded_algorithm_is_refused_at_the_first_record(path, algorithm):
    tamper(path, ("UPDATE chain SET algorithm = ?", (algorithm,)))
    report = verify(path)
    assert report.first_bad == 1
    assert "knows only 'sha256'" in report.problem


def test_rows_of_another_chain_do_not_fit(path, tmp_path):
    other = make_journal(tmp_path / "other", RECORDS)
    tamper(path, ("DELETE FROM entries WHERE seq > 160", ()))
    with closing(open_read_only(other)) as store:
        rows = [(r.seq, r.at, r.epoch, r.actor, r.kind, r.subject, r.body, r.hash) for r in store.after(160)]
    tamper(path, *[("INSERT INTO entries VALUES (?, ?, ?, ?, ?, ?, ?, ?)", row) for row in rows])
    assert verify(path).first_bad == 161


def test_another_journal_in_its_place_is_found(path, tmp_path):
    other = make_journal(tmp_path / "other", RECORDS)
    path.unlink()
    shutil.copy(other, path)
    report = verify(path)
    assert report.first_bad == 1
    assert "is of chain" in report.problem


def test_of_two_forks_only_the_one_that_was_signed_is_right(path, tmp_path):
    fork = copy(path.parent, tmp_path / "fork")
    for place, text in ((path, b"true"), (fork, b"false")):
        with closing(SqliteStore(place)) as store:
            store.append([entry(201, text), *entries(49, 202)], epoch=store.epoch())
            if place is path:
                signer = Signer.open(path.parent)
                export(path.parent / EXPORT, sign(signer, store.chain, (250, store.read(250).hash), b"", 5.0))
    assert verify(path).ok
    report = verify(fork, path.parent / EXPORT)
    assert (report.first_bad, report.vouched) == (250, 150)
    assert "another fork" in report.problem


def test_a_state_that_was_changed_under_its_checkpoint_is_found(path):
    tamper(path, ("UPDATE checkpoints SET state = ? WHERE seq = 150", (b"another",)))
    report = verify(path)
    assert (report.first_bad, report.problem) == (
        None,
        "the state that checkpoint 150 keeps is not the one that was signed",
    )
    with closing(open_read_only(path)) as store:
        assert store.checkpoint().seq == 100  # and nobody starts from it


def test_an_epoch_that_was_set_back_is_found(path):
    tamper(path, ("UPDATE chain SET epoch = 0", ()))
    assert verify(path).first_bad == 1


def test_a_value_that_would_fill_the_memory_is_not_loaded(path):
    tamper(path, ("UPDATE entries SET subject = CAST(zeroblob(200000000) AS TEXT) WHERE seq = 7", ()))
    report = verify(path)
    assert (report.first_bad, report.records) == (7, 6)


@pytest.mark.parametrize("size", [0, 100, 5000, 20000])
def test_a_truncated_file_is_reported_not_raised(path, size):
    with path.open("rb+") as file:
        file.truncate(size)
    assert verify(path).problem


@pytest.mark.parametrize("content", [b"", b"not a database at all" * 100, b"SQLite format 3\0" + bytes(5000)])
def test_what_is_no_journal_is_reported_not_raised(tmp_path, content):
    (tmp_path / NAME).write_bytes(content)
    report = verify(tmp_path / NAME)
    assert report.problem.startswith(str(tmp_path / NAME))


def test_damaged_pages_are_named_by_the_first_record_that_is_lost(path):
    with closing(open_read_only(path)) as store:
        wanted = store.read(120).hash
    raw = bytearray(path.read_bytes())
    page = raw.index(wanted) // 4096
    raw[page * 4096 : page * 4096 + 64] = b"\xff" * 64
    path.write_bytes(raw)
    report = verify(path)
    assert report.first_bad is not None
    assert report.first_bad <= 120
    assert report.records == report.first_bad - 1


def test_the_checkpoint_of_the_very_first_record_counts(tmp_path):
    path = make_journal(tmp_path / "state", 3, (1,))
    (path.parent / EXPORT).unlink()
    assert verify(path).vouched == 1
    tamper(path, ("UPDATE checkpoints SET at = at + 1", ()))
    assert "signature does not hold" in verify(path).problem


def test_a_missing_journal_and_missing_helpers_are_said(tmp_path, path):
    assert verify(tmp_path / "none").problem == f"there is no journal at {tmp_path / 'none'}"
    assert verify(tmp_path / "none").records == 0
    (path.parent / EXPORT).unlink()
    stripped_of_kept_checkpoints(path)
    notes = " ".join(verify(path).notes)
    assert "a cut tail would not show" in notes
    assert "no signed checkpoint to compare with" in notes
    assert "No such file" in verify(path, tmp_path / "none.jsonl").problem
    assert "No such file" in verify(path, None, tmp_path / "none.pub").problem


def test_who_holds_the_private_key_can_forge_and_the_documentation_says_so(path):
    rewrite(path, 70)
    signer = Signer.open(path.parent)
    stripped_of_kept_checkpoints(path)
    (path.parent / EXPORT).unlink()
    with closing(open_read_only(path)) as store:
        export(path.parent / EXPORT, sign(signer, store.chain, (150, store.read(150).hash), b"", 5.0))
    assert verify(path).ok
    assert KEY in (Path(__file__).parents[2] / "docs" / "audit.md").read_text()


@pytest.mark.parametrize("value", [5, 2.5, "text", -(1 << 63)])
@pytest.mark.parametrize("column", ["state", "hash", "digest", "key", "signature", "at"])
def test_a_checkpoint_column_of_another_type_is_found_and_stops_no_reader(path, column, value):
    """Found by fuzzing: a state that is a number ended verification, and a controller's start, with a TypeError."""
    tamper(path, (f"UPDATE checkpoints SET {column} = ? WHERE seq = 150", (value,)))
    report = verify(path)
    assert not report.ok
    assert "checkpoint" in report.problem
    with closing(open_read_only(path)) as store:  # whose signature it is, is asked by whoever uses it
        assert store.checkpoint().seq == (100 if column in ("state", "hash", "digest") else 150)


@pytest.mark.parametrize("seq", [1 << 63, (1 << 64) - 1])
def test_a_checkpoint_of_a_record_that_no_journal_can_hold_is_a_missing_record(path, seq):
    """Found by fuzzing: whoever signed it, the number ended verification with an OverflowError."""
    signer = Signer.open(path.parent)
    with closing(open_read_only(path)) as store:
        export(path.with_name(EXPORT), sign(signer, store.chain, (seq, bytes(32)), b"", 1.0))
        assert store.read(seq) is None
    report = verify(path)
    assert report.first_bad == RECORDS + 1
    assert f"records {RECORDS + 1} to {seq} are missing" in report.problem


@pytest.mark.parametrize("number", [None, "soon", 1.5])
def test_a_checkpoint_without_a_number_is_none_and_stops_no_reader(path, number):
    """Found by fuzzing: where the schema itself is damaged, a primary key can be anything."""
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA writable_schema = ON")
        old, new = "seq       INTEGER PRIMARY KEY", "seq"
        sql = "UPDATE sqlite_master SET sql = replace(sql, ?, ?) WHERE name = 'checkpoints'"
        connection.execute(sql, (old, new))
        connection.commit()
    tamper(path, ("UPDATE checkpoints SET seq = ?", (number,)))
    report = verify(path)
    assert report.ok is (number is None)
    assert number is None or "a checkpoint has no number" in report.problem
    with closing(open_read_only(path)) as store:
        assert store.checkpoint() is None
