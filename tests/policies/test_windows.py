from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policies.windows import Window, check_schedule, zone
from telemetry.documents import InvalidError

BERLIN = zone("Europe/Berlin")
OFFICE = Window("0 9 * * 1-5", 8 * 3600.0, BERLIN)


def at(text: str) -> float:
    """Epoch seconds of a local time in Berlin."""
    return datetime.fromisoformat(text).replace(tzinfo=BERLIN).timestamp()


@pytest.mark.parametrize(
    ("when", "is_open"),
    [
        ("2026-11-23 08:59:59", False),
        ("2026-11-23 09:00:00", True),  # a Monday
        ("2026-11-23 16:59:59.999", True),
        ("2026-11-23 17:00:00", False),
        ("2026-11-27 12:00:00", True),
        ("2026-11-28 12:00:00", False),  # a Saturday
        ("2026-11-29 12:00:00", False),  # a Sunday, which cron counts from 0
        ("2026-07-06 09:00:00", True),  # in summer, an hour earlier on every other clock
        ("2026-07-06 08:59:59", False),
    ],
)
def test_a_window_opens_by_the_local_time_of_its_zone(when: str, is_open: bool):
    assert OFFICE.open_at(at(when)) is is_open


def test_a_window_keeps_its_length_when_the_clock_is_changed():
    night = Window("30 1 * * *", 2 * 3600.0, BERLIN)
    spring = at("2026-03-29 01:30:00")  # at two it is three
    assert [night.open_at(spring + hours * 3600) for hours in (-0.01, 0, 1.99, 2)] == [False, True, True, False]
    autumn = at("2026-10-25 01:30:00")  # at three it is two again
    assert [night.open_at(autumn + hours * 3600) for hours in (-0.01, 0, 1.99, 2)] == [False, True, True, False]


def test_a_start_that_the_clock_skips_still_opens_the_window():
    skipped = Window("30 2 * * *", 3600.0, BERLIN)
    assert skipped.open_at(at("2026-03-29 03:00:00"))


def test_a_window_that_outlasts_the_next_start_never_closes():
    always = Window("0 * * * *", 2 * 3600.0, BERLIN)
    assert all(always.open_at(at("2026-11-23 00:00:00") + minutes * 60) for minutes in range(0, 3000, 7))


@given(st.floats(1.7e9, 2e9), st.integers(1, 30 * 3600))
def test_a_daily_window_is_open_for_its_duration_after_each_start(at: float, duration: int):
    window = Window("0 9 * * *", float(duration), zone("UTC"))
    now = datetime.fromtimestamp(at, UTC)
    start = now.replace(hour=9, minute=0, second=0, microsecond=0)
    last = start if start <= now else start - timedelta(days=1)
    assert window.open_at(at) is (at - last.timestamp() < duration)


@pytest.mark.parametrize(
    "name", ["Europe", "Europe/Berln", "../../etc/passwd", "/etc/localtime", "", "\x00", "a" * 5000]
)
def test_what_is_no_zone_is_refused(name: str):
    with pytest.raises(InvalidError, match="is not a time zone"):
        zone(name)


@pytest.mark.parametrize(
    "schedule",
    ["", "* * * *", "* * * * * *", "@daily", "60 * * * *", "* 24 * * *", "* * 32 * *", "* * * 13 *", "* * * * 8",
     "*/0 * * * *", "5-1 * * * *", "x * * * *", "0 0 30 2 *", "0 0 31 4,6,9,11 *", "-1 * * * *", "1,,2 * * * *",
     "\u0661 * * * *", "* * * * 1#6", "* * * * ²L"],
)  # fmt: skip
def test_what_is_no_schedule_or_never_comes_is_refused(schedule: str):
    with pytest.raises(InvalidError, match="is not a cron schedule"):
        check_schedule(schedule)


@pytest.mark.parametrize(
    "schedule",
    ["* * * * *", "0 0 29 2 *", "0 9 * * MON-FRI", "0 0 L * *", "0 0 * * 5L", "0 0 LW * *", "*/5 0-6 1,15 JAN *"],
)
def test_a_schedule_that_comes_however_rarely_is_accepted(schedule: str):
    assert check_schedule(schedule) == schedule


@given(st.lists(st.sampled_from([*"0123456789*/-,#LW ", " ", "* *", "MON", "FEB", "x", "²"]), max_size=20).map("".join))
def test_checking_any_text_raises_nothing_but_invalid_error(schedule: str):
    try:
        check_schedule(schedule)
    except InvalidError as error:
        assert "five fields" in error.hint  # noqa: PT017  either way is right: what counts is that nothing else comes out
