import math

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from telemetry.histogram import BUCKETS, GROWTH, LEAST, MOST, bucket_of, quantiles

DURATIONS = st.floats(LEAST, MOST)


def counts(*rows):
    made = np.zeros((len(rows), BUCKETS), np.uint32)
    for row, values in zip(made, rows, strict=True):
        np.add.at(row, bucket_of(np.array(values, float)), 1)
    return made


@given(st.lists(st.lists(DURATIONS, min_size=1, max_size=60), min_size=1, max_size=4), st.floats(0.001, 1))
def test_every_quantile_of_every_row_is_within_two_percent(rows, share):
    (found,) = quantiles(counts(*rows), [share])
    for value, values in zip(found, rows, strict=True):
        exact = sorted(values)[max(1, math.ceil(share * len(values))) - 1]
        assert abs(value - exact) <= 0.02 * exact


@given(DURATIONS)
def test_a_duration_lies_between_the_bounds_of_its_bucket(seconds):
    bucket = int(bucket_of(np.array([seconds]))[0])
    assert LEAST * GROWTH ** (bucket - 1) * (1 - 1e-9) < seconds <= LEAST * GROWTH**bucket * (1 + 1e-9) or bucket == 0


def test_what_is_out_of_range_is_in_the_outermost_buckets():
    assert bucket_of(np.array([0.0, 1e-9, LEAST, 1e9])).tolist() == [0, 0, 0, BUCKETS - 1]


def test_a_row_without_durations_has_no_quantiles():
    low, high = quantiles(counts([], [1.0]), [0.5, 0.99])
    assert np.isnan([low[0], high[0]]).all()
    assert abs(low[1] - 1.0) <= 0.02
