import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from telemetry.baselines import LEAST, MINUTES, SLOPE_LEAST, Baselines
from telemetry.columns import COLUMNS
from telemetry.target import Target

WEB = Target("local", "Service", "shop", "web", "u1")
CART = Target("local", "Service", "shop", "cart", "u2")
RATE = "requests.rate"


def baselines(*targets, column=RATE, sloped=""):
    made = Baselines([COLUMNS[column]] if column else [], sloped)
    made.follow(targets or (WEB,))
    return made


def feed(made, *values, start=0, target=WEB, column=RATE, frozen=False):
    for minute, value in enumerate(values, start):
        made.record(minute * 60.0 + 1, [target], {column: np.array([value])}, np.array([frozen]))


def usual(made, target=WEB):
    found = made.learn([target])
    return float(found.values[0]), float(found.spread[0]), float(found.count[0])


@given(st.lists(st.one_of(st.floats(0, 1000), st.just(np.nan)), min_size=1, max_size=100))
def test_it_is_the_median_of_the_last_hour_and_the_median_of_the_deviations_from_it(values):
    made = baselines()
    feed(made, *values)
    last = np.array(values[-MINUTES:], np.float32)
    known = last[np.isfinite(last)]
    middle, spread, count = usual(made)
    assert count == len(known)
    if len(known) < LEAST:
        assert np.isnan(middle)
        assert np.isnan(spread)
    else:
        assert middle == pytest.approx(float(np.median(known)), rel=1e-6)
        wanted = float(np.median(np.abs(known - np.float32(np.median(known)))))
        assert spread == pytest.approx(max(wanted, 0.1, 0.01 * middle), rel=1e-4, abs=1e-4)


def test_half_an_hour_of_being_sick_does_not_become_usual():
    made = baselines()
    feed(made, *[100.0] * 31, *[5.0] * 29)
    assert usual(made)[0] == 100.0


def test_a_frozen_row_learns_nothing():
    made = baselines()
    feed(made, *[100.0] * 20)
    feed(made, *[5.0] * 30, start=20, frozen=True)
    assert usual(made)[::2] == (100.0, 20.0)


def test_minutes_in_which_nobody_recorded_are_unknown():
    made = baselines()
    feed(made, *[100.0] * 12)
    feed(made, 7.0, start=12 + 55)
    assert usual(made)[2] == 60 - 55
    feed(made, 7.0, start=1000)
    assert usual(made)[2] == 1


def test_a_target_that_is_gone_takes_its_past_with_it():
    made = baselines(WEB)
    feed(made, *[100.0] * 12)
    made.follow([CART])
    made.follow([WEB, CART])
    feed(made, 1.0, start=12)
    assert usual(made)[2] == 1


def test_one_column_is_told_at_a_time_and_each_once_a_minute():
    made = Baselines([COLUMNS[RATE], COLUMNS["cpu.ratio"]], "memory.bytes")
    made.follow([WEB])
    one = np.array([1.0])
    made.record(61, [WEB], dict.fromkeys(made.columns, one), np.array([False]))
    told = [made.learn([WEB]) for _ in range(4)]
    assert {each.column for each in told[:3]} == set(made.columns)
    assert told[3] is None
    assert (made.wants(62), made.wants(119.9), made.wants(120)) == (False, False, True)


@given(st.floats(-1e6, 1e6), st.integers(SLOPE_LEAST, 15), st.integers(0, 2))
def test_a_slope_is_not_moved_by_a_burst(slope, minutes, burst):
    made = baselines(column="", sloped="memory.bytes")
    values = [1e9 + slope * 60 * minute for minute in range(minutes)]
    if minutes >= 12:
        values[burst + 4] += 5e9
    feed(made, *values, column="memory.bytes")
    middle, _, count = usual(made)
    assert count == minutes
    assert middle == pytest.approx(slope, rel=0.6 if minutes >= 12 else 0.02, abs=60)


def test_a_slope_of_too_few_minutes_is_unknown():
    made = baselines(column="", sloped="memory.bytes")
    feed(made, 1.0, 2.0, column="memory.bytes")
    assert np.isnan(usual(made)[0])
