"""F3: whatever a power cut leaves of the disk, no acknowledged record is lost. P17."""

import shutil
import sys
from itertools import groupby
from pathlib import Path
from random import Random

import pytest

from tests.faults import power_cuts as f3
from tests.faults import store_writer
from tests.faults.disk import Ack, Disk, Name, Resize, Sync, Write, after_each, power_cuts
from tests.faults.power_cuts import SETTINGS, Found, enumerate_cuts
from tests.faults.recording import recording
from tests.faults.rig import ROOT
from tests.faults.system_calls import recorded, traced
from tests.needs import need

STATES, PARTS = 4_000, 4
FEWER = 150
"""States that are enough to see a weaker setting lose something."""
SEED = 2026


@pytest.fixture
def scratch():
    """A folder in memory, for the syncs of those who start again are not the question."""
    import tempfile

    need(Path("/dev/shm").is_dir(), "needs /dev/shm")
    with tempfile.TemporaryDirectory(dir="/dev/shm") as folder:
        yield Path(folder)


def under(name: str, states: int, scratch: Path, first: int | None = None) -> Found:
    setting = next(setting for setting in SETTINGS if setting.name == name)
    return enumerate_cuts(setting, SEED, states, scratch, first)


@pytest.mark.parametrize("part", range(PARTS))
def test_no_state_that_a_power_cut_can_leave_lost_what_was_acknowledged(part, scratch):
    found = enumerate_cuts(f3.AS_IT_IS, SEED, STATES, scratch, part=slice(part, None, PARTS))
    assert found.examples == {}
    assert (found.states, found.losing) == (STATES // PARTS, 0)


@pytest.mark.parametrize("setting", ["NORMAL", "OFF"])
def test_a_weaker_setting_is_caught_losing_acknowledged_records(setting, scratch):
    found = under(setting, FEWER, scratch)
    assert found.losing > FEWER // 4, found
    assert "records" in found.examples, found


def test_full_loses_nothing_because_the_journal_is_made_under_another_name_and_its_names_are_synced(scratch):
    assert under("FULL", FEWER, scratch).losing == 0


def test_without_the_syncs_of_the_directory_records_are_lost(scratch):
    assert "records" in under("EXTRA, made in place, names never synced", FEWER, scratch).examples


def test_made_under_its_own_name_a_journal_can_be_left_half_made(scratch):
    assert "half-made" in under("EXTRA, made in place", FEWER, scratch, first=60).examples


def test_what_is_recorded_is_what_the_sqlite_that_we_ship_with_really_writes_and_syncs(scratch, tmp_path, monkeypatch):
    """Two versions of SQLite and two ways of locking: the same files in the same order, and a sync at every same place.

    How many pages stand between two syncs may differ. SQLite's own syncs of the directory are not recorded.
    """
    need(shutil.which("strace"), "needs strace with ptrace (apt-get install strace)")
    monkeypatch.setattr(store_writer, "tell", lambda **_: None)
    folder = scratch / "recorded"
    folder.mkdir()
    with recording(folder) as recorder:
        store_writer.main(folder)
    command = [sys.executable, "-m", "tests.faults.store_writer", str(scratch / "traced")]
    really = traced(scratch / "traced", command, tmp_path / "strace", ROOT)

    def places(words: list[str]) -> list[str]:
        return [word for word, _ in groupby(word for word in words if word != "sync .")]

    assert len(places(really)) > 100
    assert places(recorded(recorder.events)) == places(really)
    assert 8 < recorded(recorder.events).count("sync .") < really.count("sync .")


# The disk itself: it must lose what may be lost, and nothing else


def left(disk: Disk) -> set[tuple[tuple[str, bytes], ...]]:
    dice = Random(1)
    cuts = [kept for _ in range(200) for kept in disk.cuts(dice, 3)]
    return {tuple(sorted(disk.after_a_cut(kept).items())) for kept in cuts}


def fed(*events) -> Disk:
    disk = Disk()
    for event in events:
        disk.take(event)
    return disk


def test_what_was_synced_stays_and_what_was_not_may_be_there_in_any_part():
    disk = fed(Name("a", 1), Write(1, 0, b"xx"), Sync(1), Sync(None), Write(1, 2, b"yy"), Write(1, 0, b"zz"))
    assert left(disk) == {(("a", content),) for content in (b"xx", b"xxyy", b"zz", b"zzyy")}


def test_a_synced_file_may_have_no_name_and_a_removed_name_may_come_back():
    assert left(fed(Name("a", 1), Write(1, 0, b"x"), Sync(1))) == {(), (("a", b"x"),)}
    gone = fed(Name("a", 1), Write(1, 0, b"x"), Sync(1), Sync(None), Name("a", None))
    assert left(gone) == {(), (("a", b"x"),)}


def test_a_renamed_file_has_its_old_or_its_new_name_and_what_was_there_before_is_gone_only_then():
    disk = fed(Name("new", 1), Write(1, 0, b"1"), Name("a", 2), Write(2, 0, b"2"), Sync(1), Sync(2), Sync(None))
    disk.take(Name("a", 1, instead_of="new"))
    assert left(disk) == {(("a", b"2"), ("new", b"1")), (("a", b"1"),)}


def test_a_write_is_torn_between_sectors_and_nowhere_else():
    disk = fed(Name("a", 1), Sync(None), Write(1, 100, b"x" * 1000))
    found = {dict(files)["a"] for files in left(disk)}
    first, second, third = b"x" * 412, b"x" * 512, b"x" * 76
    assert bytes(100) + first in found
    assert bytes(512) + second in found
    assert bytes(1024) + third in found
    assert all(content.count(b"x") in (0, 76, 412, 488, 512, 588, 924, 1000) for content in found)


def test_a_cut_file_may_be_as_long_as_before():
    disk = fed(Name("a", 1), Write(1, 0, b"xyz"), Sync(1), Sync(None), Resize(1, 1))
    assert left(disk) == {(("a", b"xyz"),), (("a", b"x"),)}


def test_each_cut_is_given_with_what_was_acknowledged_last_and_only_once():
    events = [Name("a", 1), Sync(None), Write(1, 0, b"x"), Ack("one"), Sync(1), Ack("two")]
    cuts = power_cuts(events, 1)
    assert {(cut.at, cut.said) for cut in cuts} == {(1, None), (2, None), (3, None), (4, "one"), (5, "one"), (6, "two")}
    states = [(cut.at, tuple(files.items())) for cut, files in after_each(events, cuts)]
    assert len(states) == len(set(states)) > 6


def test_the_life_that_is_recorded_makes_signs_moves_and_cuts_everything_that_a_store_does(scratch):
    folder = scratch / "life"
    folder.mkdir()
    events = f3.live(folder, {}).events
    names = {event.name for event in events if isinstance(event, Name) and event.file}
    wanted = {"trail.db", "trail.db-wal", "signing.key", "signing.pub", "checkpoints.jsonl", ".trail.db.new-journal"}
    assert wanted <= names
    journal = next(e.file for e in events if isinstance(e, Name) and e.name == "trail.db")
    assert sum(isinstance(e, Write) and e.file == journal for e in events) > 20  # the log was moved into the file
    assert sum(isinstance(e, Ack) for e in events) > f3.APPENDS
    assert sum(isinstance(e, Sync) and e.file is None for e in events) > 10
