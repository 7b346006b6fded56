"""Every row of the matrix names tests that exist, or says what it waits for."""

import re
import shlex

import pytest

from tests.faults.rig import ROOT
from tests.faults.rows import ROWS, Row


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.id)
def test_what_shows_a_row_exists(row: Row) -> None:
    assert bool(row.tests) != bool(row.waits)
    for words in map(shlex.split, row.tests):
        path, _, name = words[0].partition("::")
        text = (ROOT / path).read_text()
        assert f"def {name}(" in text or not name
        wanted = re.split(r"\s+or\s+", words[2]) if words[1:] else []
        tests = re.findall(r"^def (test_\w+)", text, re.MULTILINE)
        assert all(any(word in test for test in tests) for word in wanted), words


def test_no_row_is_there_twice_and_every_fault_of_the_matrix_is() -> None:
    ids = [row.id for row in ROWS]
    assert len(ids) == len(set(ids))
    assert {f"F{n}" for n in range(1, 33)} - set(ids) == {"F28", "F31"}  # the soak, and a benchmark
