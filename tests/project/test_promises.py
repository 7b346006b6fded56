"""Every promise is either proven by tests that exist, or says that it is not proven."""

import ast
import re
from dataclasses import dataclass

import pytest

from .docs import ROOT

PAGE = ROOT / "docs" / "promises.md"
REQUIRED = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28}
"""Proven since the local path exists: what was proven once is not given up silently."""


@dataclass(frozen=True, slots=True)
class Row:
    """A promise."""

    number: int
    promise: str
    status: str
    tests: tuple[tuple[str, str, str], ...]
    removed: str


def _row(cells: list[str]) -> Row:
    named = re.findall(r"\[([\w/]+\.py)::(\w+)\]\(([^)]+)\)", cells[3])
    return Row(int(cells[0][1:]), cells[1], cells[2], tuple(named), cells[4])


def _tests(path: str) -> set[str]:
    """The names of a module's tests, read and not run."""
    tree = ast.parse((PAGE.parent / path).read_text())
    return {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef) and node.name.startswith("test_")}


LINES = [line for line in PAGE.read_text().splitlines() if re.match(r"\| P\d+ \|", line)]
ROWS = [_row([cell.strip() for cell in line.strip("|").split(" | ")]) for line in LINES]


def test_every_promise_has_one_row_in_order() -> None:
    assert [row.number for row in ROWS] == list(range(1, 29))


@pytest.mark.parametrize("row", ROWS, ids=lambda row: f"P{row.number}")
def test_a_promise_is_proven_by_tests_that_exist_or_says_that_it_is_not(row: Row) -> None:
    assert row.status.startswith("proven") == bool(row.tests)
    assert row.status.startswith("**not proven**: ") == (not row.tests)
    for label, name, link in row.tests:
        assert link == f"../tests/{label}"
        assert name in _tests(link)
    assert not row.tests or row.removed not in ("", "-")


def test_what_was_proven_stays_proven() -> None:
    assert {row.number for row in ROWS if row.tests} >= REQUIRED


def test_every_other_test_that_the_page_names_exists() -> None:
    every = {name for path in (ROOT / "tests").rglob("test_*.py") for name in _tests(f"../{path.relative_to(ROOT)}")}
    assert [name for name in re.findall(r"\b(test_\w+)\b(?!\.py)", PAGE.read_text()) if name not in every] == []


def test_every_seeded_bug_that_the_page_names_is_planted_and_every_planted_one_is_named() -> None:
    tree = ast.parse((ROOT / "tests" / "scenarios" / "test_simulation.py").read_text())
    table = next(n for n in ast.walk(tree) if isinstance(n, ast.AnnAssign) and ast.unparse(n.target) == "MUTANTS")
    assert isinstance(table.value, ast.Dict)
    planted = {key.value for key in table.value.keys if isinstance(key, ast.Constant)}
    named = set(re.findall("“([^”]+)”", PAGE.read_text()))
    assert named == planted
