"""F1 over Scale with its hold, Release and Redo: kill -9 at every boundary, then the books are compared."""

import contextlib

import pytest

from tests.faults.matrix import REDO, RELEASE, Bench, Fault


@pytest.fixture(scope="module")
def bench():
    with contextlib.closing(Bench("busy", "relapse")) as made:
        yield made
    print(made.tally)


@pytest.mark.parametrize("fault", [*RELEASE, *REDO], ids=str)
def test_nothing_is_lost_doubled_or_left_open(bench: Bench, fault: Fault):
    bench.play(fault)
