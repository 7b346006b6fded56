"""Every capability the seeds name has one row in the table, and what is called done is there to be looked at."""

import re
from dataclasses import dataclass

import pytest

from .docs import ROOT

PAGE = ROOT / "docs" / "capabilities.md"
IDS = (ROOT / "tests" / "project" / "capability_ids.txt").read_text().split()
STATUSES = ("done", "done differently", "planned", "refused")


@dataclass(frozen=True, slots=True)
class Row:
    """A row of the table."""

    id: str
    capability: str
    status: str
    how: str


def _rows() -> list[Row]:
    found = re.findall(r"^\| ((?:S\d|DC)-\d+) \| (.*?) \| (.*?) \| (.*) \|$", PAGE.read_text(), re.MULTILINE)
    return [Row(*cells) for cells in found]


ROWS = _rows()
DONE = [row for row in ROWS if row.status.startswith("done")]


def test_every_capability_has_exactly_one_row_in_order() -> None:
    assert [row.id for row in ROWS] == IDS
    assert len(set(IDS)) == 321


def test_every_status_is_one_of_four() -> None:
    assert {row.status for row in ROWS} <= set(STATUSES)


def test_what_is_refused_says_why() -> None:
    assert [row.id for row in ROWS if row.status == "refused" and row.how == "-"] == []


@pytest.mark.parametrize("row", DONE, ids=lambda row: row.id)
def test_what_is_done_names_a_file_or_a_command(row: Row) -> None:
    files = re.findall(r"\]\(([^)]+)\)", row.how)
    missing = [file for file in files if not (PAGE.parent / file).exists()]
    assert missing == []
    # that each command exists, with these options, is a test of test_commands.py
    assert files or "`auto " in row.how


def test_the_sums_are_those_of_the_rows() -> None:
    text = PAGE.read_text()
    order = re.findall(r"[\w ]+", text.split("\n| | ")[1].split("\n")[0].replace(" | ", "|").strip(" |"))
    sums = [int(number) for number in re.findall(r"\d+", text.split("\n| all |")[1].split("\n")[0])]
    assert dict(zip(order, sums, strict=True)) == {
        status: sum(row.status == status for row in ROWS) for status in order
    }
    assert sorted(order) == sorted(STATUSES)
