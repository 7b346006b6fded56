"""Cells of one column: a reading counts before a measurement, as long as it is fresh."""

import numpy as np

from telemetry.cells import Cells
from telemetry.columns import COLUMNS

SPEC = COLUMNS["requests.rate"]
ROWS = np.array([0, 1])


def measured(value: float, at: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    return np.full(2, value), np.full(2, at), np.ones(2)


def test_a_measurement_replaces_a_reading_only_once_that_is_stale() -> None:
    cells = Cells(2)
    cells.put(0, 5.0, 100.0, 1.0)
    cells.put_many(SPEC, ROWS, measured(7.0, 100.0 + SPEC.stale_after))
    assert cells.values.tolist() == [5.0, 7.0]
    cells.put_many(SPEC, ROWS, measured(8.0, 101.0 + SPEC.stale_after))
    assert cells.values.tolist() == [8.0, 8.0]


def test_what_was_never_measured_may_be_written_over_what_was_never_read() -> None:
    cells = Cells(2)
    with np.errstate(invalid="raise"):  # a warning of numpy would stand in the log of the loop
        cells.put_many(SPEC, ROWS, measured(np.nan, -np.inf))
    assert np.isnan(cells.values).all()
    assert np.isneginf(cells.at).all()
