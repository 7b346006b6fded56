"""A batch of a sender whose clock is another one."""

import numpy as np
import pytest

from telemetry.batch import Batch, Gauge, Requests

BATCH = Batch(
    (),
    (),
    Requests(
        np.array([0, 0]),
        np.array([0, 5 * 10**18], np.uint64),
        np.array([1, 2**64 - 1], np.uint64),
        np.array([False, True]),
    ),
    (Gauge(0, "queue.depth", 1.0, 100.0),),
)


@pytest.mark.parametrize("seconds", [-10.0, 10.0, 5e9, -5e9])
def test_every_time_moves_and_none_wraps_around(seconds: float) -> None:
    moved = BATCH.moved(seconds)
    assert moved.gauges[0].at == 100.0 + seconds
    assert BATCH.requests is not None
    assert moved.requests is not None
    for before, after in (
        (BATCH.requests.started, moved.requests.started),
        (BATCH.requests.ended, moved.requests.ended),
    ):
        wanted = [min(max(0, int(time) + int(seconds) * 10**9), 2**64 - 1) for time in before]
        assert after.tolist() == wanted
        assert after.dtype == np.uint64


def test_a_clock_that_is_hardly_off_is_the_same() -> None:
    assert BATCH.moved(0.4) is BATCH


def test_a_batch_without_requests_moves_too() -> None:
    assert Batch((), (), None, BATCH.gauges).moved(60).gauges[0].at == 160
