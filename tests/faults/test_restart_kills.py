"""F1 over Restart and Undo: kill -9 at every boundary, then the books are compared."""

import contextlib

import pytest

from tests.faults.matrix import RAISES, RESTART, UNDO, Bench, Fault


@pytest.fixture(scope="module")
def bench():
    with contextlib.closing(Bench("hung", "lasting", "worse")) as made:
        yield made
    print(made.tally)


@pytest.mark.parametrize("fault", [*RESTART, *UNDO, *RAISES], ids=str)
def test_nothing_is_lost_doubled_or_left_open(bench: Bench, fault: Fault):
    bench.play(fault)
