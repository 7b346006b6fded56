import math
from collections import defaultdict

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from telemetry.rings import SLOT, SLOTS, RowTable, grown
from telemetry.windows import COLUMNS, LEAST_FOR_RATIO, SpanWindows

T0 = 1_000_000.0  # the beginning of a slot


def windows(rows=1):
    made = SpanWindows()
    made.grow(rows)
    return made


def put(made, row, *requests, now=None):
    """Requests are (ended, took, failed)."""
    ended, took, failed = (
        np.array(each, kind) for each, kind in zip(zip(*requests, strict=True), (float, float, bool), strict=True)
    )
    made.add(np.full(len(requests), row), ended, took, failed)
    made.hear(np.array([row]), np.array([len(requests)]), max(ended) if now is None else now, spans=True)


def one(made, row=0):
    values, count = made.measure(np.array([row]))
    return {name: float(each[0]) for name, each in values.items()} | {"samples": float(count[0])}


def test_a_window_knows_how_many_how_long_and_how_many_failed():
    made = windows()
    put(made, 0, *[(T0 + i, 0.1 * (i + 1), i < 2) for i in range(20)])
    found = one(made)
    assert found.keys() == {*COLUMNS, "samples"}
    assert (found["requests.count"], found["samples"], found["requests.volume"]) == (20, 20, 20)
    assert found["requests.rate"] == pytest.approx(20 / 19)
    assert (found["errors.ratio"], found["completion.ratio"]) == pytest.approx((0.1, 0.9))
    assert found["latency.p50"] == pytest.approx(1.0, rel=0.02)
    assert found["latency.p99"] == pytest.approx(2.0, rel=0.02)
    assert found["latency.max"] == 2.0


def test_the_share_of_errors_needs_enough_requests_and_a_failure_to_complete_needs_one():
    made = windows()
    put(made, 0, *[(T0, 0.1, True)] * (LEAST_FOR_RATIO - 1))
    assert math.isnan(one(made)["errors.ratio"])
    assert one(made)["completion.ratio"] == 0.0
    put(made, 0, (T0, 0.1, False))
    assert one(made)["errors.ratio"] == pytest.approx(0.9)


def test_silence_changes_nothing_but_the_age_of_what_was_last_seen():
    made = windows()
    put(made, 0, *[(T0 + i, 0.1, False) for i in range(60)])
    before = one(made)
    made.hear(np.array([0]), np.array([0]), T0 + 59, spans=False)
    assert one(made) == before
    assert before["requests.rate"] == pytest.approx(60 / 59)
    assert made.traced[0] == T0 + 59


def test_spans_that_are_no_requests_say_that_there_are_none_once_there_were_some():
    made = windows(2)
    put(made, 0, (T0, 0.1, False))
    for second in (120, 130):
        made.hear(np.array([0, 1]), np.array([5, 5]), T0 + second, spans=True)
    assert (one(made)["requests.rate"], one(made)["requests.count"]) == (0.0, 0.0)
    assert math.isnan(one(made)["latency.p99"])
    assert math.isnan(one(made, 1)["requests.rate"])  # a worker that serves nobody has no rate
    assert one(made, 1)["requests.volume"] == 10


def test_metrics_alone_say_nothing_of_requests():
    made = windows()
    put(made, 0, *[(T0 + i, 0.1, False) for i in range(50)])
    rate = one(made)["requests.rate"]
    made.hear(np.array([0]), np.array([9]), T0 + 300, spans=False)
    assert (one(made)["requests.rate"], one(made)["requests.volume"]) == (rate, 9)
    assert (made.traced[0], made.heard[0]) == (T0 + 49, T0 + 300)


def test_a_row_that_is_cleared_is_as_new():
    made = windows()
    put(made, 0, (T0, 5.0, True))
    made.clear(0)
    put(made, 0, (T0, 0.1, False))
    assert (one(made)["requests.count"], one(made)["errors.rate"]) == (1, 0)
    assert one(made)["latency.max"] == 0.1


class Reference:
    """The same by remembering everything."""

    def __init__(self):
        self.requests, self.items = defaultdict(list), defaultdict(list)
        self.newest = {}

    def put(self, row, ended, took, failed, now):
        slot = ended // SLOT
        self.requests[row].append((slot, took, failed))
        self.items[row].append(now)

    def count(self, row):
        head = max(self.items[row]) // SLOT
        return [request for request in self.requests[row] if head - SLOTS < request[0] <= head]


@given(
    st.lists(
        st.tuples(st.integers(0, 2), st.floats(0, 45), st.floats(0, 20), st.booleans(), st.floats(0, 30)),
        min_size=1,
        max_size=80,
    )
)
def test_windows_agree_with_remembering_everything(steps):
    """Each step: a row, how late its request comes, how long it took, whether it failed, and time until the next."""
    made, reference, now = windows(3), Reference(), T0 + 100
    for row, late, took, failed, wait in steps:
        ended = max(now - late, (now // SLOT - SLOTS + 1) * SLOT)
        put(made, row, (ended, took, failed), now=now)
        reference.put(row, ended, took, failed, now)
        now += wait
    for row in reference.items:
        wanted, found = reference.count(row), one(made, row)
        assert found["requests.count"] == len(wanted)
        assert found["errors.rate"] == pytest.approx(
            found["requests.rate"] * sum(failed for _, _, failed in wanted) / len(wanted) if wanted else 0
        )
        if wanted:
            assert found["latency.max"] == max(took for _, took, _ in wanted)
            assert found["latency.p50"] <= found["latency.p90"] <= found["latency.p99"] <= found["latency.max"]
            assert 0 <= found["completion.ratio"] <= 1


def test_a_key_keeps_its_row_and_rows_are_used_again():
    table = RowTable(2)
    assert [table.add(key) for key in "abac"] == [0, 1, 0, -1]
    assert (table.drop("a"), table.drop("a"), table.get("a"), table.add("c")) == (0, -1, -1, 0)
    assert table.rows("bcx").tolist() == [1, 0, -1]
    assert (len(table), sorted(table), table.height) == (2, ["b", "c"], 2)


def test_an_array_grows_with_what_it_is_filled_with():
    array = grown(np.zeros((0, 2)), 3, np.nan)
    array[0] = 1
    more = grown(array, 100, np.nan)
    assert more[0].tolist() == [1, 1]
    assert np.isnan(more[1:]).all()
    assert grown(more, 5) is more
