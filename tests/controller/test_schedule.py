"""Calendar work happens at its times, and what it finds reaches the loop through the inbox."""

import sqlite3
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from queue import SimpleQueue
from threading import Event

import pytest

from audit.journal import Entry
from audit.stores.sqlite import SqliteStore
from controller.core.records import Said, Verb
from controller.core.state import State, fold
from controller.inbox import statements
from controller.instrumentation import Instruments
from controller.schedule import Cron, Schedule
from controller.settings import SettingsError, load
from telemetry.processor import Processor

NIGHTLY = "17 3 * * *"


@pytest.fixture
def store(tmp_path: Path) -> Path:
    path = tmp_path / "trail.db"
    with closing(SqliteStore(path)) as journal:
        journal.append([Entry(1.0 + n, "ada", "Said", "", b"{}") for n in range(5)], epoch=None)
    return path


def tamper(path: Path) -> None:
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("UPDATE entries SET body = x'7b7d20' WHERE seq = 3")


def schedule(path: Path) -> tuple[Schedule, SimpleQueue, Instruments]:
    inbox, instruments = SimpleQueue(), Instruments(1.0)
    return Schedule(path, NIGHTLY, inbox, instruments), inbox, instruments


def test_sunday_is_sunday() -> None:
    friday = datetime(2026, 11, 20, 12, tzinfo=UTC)
    assert Cron("0 2 * * 0").get_next_fire_time(None, friday) == datetime(2026, 11, 22, 2, tzinfo=UTC)


def test_the_next_time_comes_after_the_one_before_even_if_the_clock_was_set_back() -> None:
    before = datetime(2026, 11, 20, 3, 17, tzinfo=UTC)
    now = before - timedelta(days=2)
    assert Cron(NIGHTLY).get_next_fire_time(before, now) == datetime(2026, 11, 21, 3, 17, tzinfo=UTC)


def test_a_sound_trail_is_counted_and_nothing_is_asked(store: Path) -> None:
    nightly, inbox, instruments = schedule(store)
    assert nightly.verify().records == 5
    assert inbox.empty()
    assert instruments.registry.get_sample_value("gyrostat_trail_ok") == 1


def test_a_trail_that_was_changed_pauses_the_controller(store: Path) -> None:
    tamper(store)
    nightly, inbox, instruments = schedule(store)
    assert nightly.verify().first_bad == 3
    assert instruments.registry.get_sample_value("gyrostat_trail_ok") == 0
    said = statements(inbox.get_nowait().ask, 10.0, State(), Processor().snapshot(10.0))
    assert [(s.who, s.verb) for s in said if isinstance(s, Said)] == [("schedule", Verb.PAUSE)]
    assert "record 3" in fold(said).paused


def test_the_scheduler_really_runs_the_job(store: Path) -> None:
    nightly, _, instruments = schedule(store)
    done = Event()

    def verified(*, ok: bool) -> None:
        done.set()

    instruments.verified = verified  # type: ignore[method-assign]
    nightly.start()
    try:
        nightly.job.modify(next_run_time=datetime(2026, 1, 1, tzinfo=UTC))
        assert done.wait(10)
    finally:
        nightly.close()


@pytest.mark.parametrize("value", ["every day", "0 2 * *", "61 * * * *", "0 0 31 2 *"])
def test_a_schedule_that_is_none_is_refused(value: str) -> None:
    with pytest.raises(SettingsError, match=r"verify.trail"):
        load({"verify_trail": value})
