"""docs/telemetry.md names what the code knows."""

from pathlib import Path

import pytest

from telemetry.batch import Fate
from telemetry.columns import BASELINED, SENT
from telemetry.sources.otlp import limits
from telemetry.sources.otlp.ingest import NOT_READ
from telemetry.sources.otlp.limits import Reason, Refusal
from telemetry.sources.otlp.metrics import COLUMNS
from telemetry.traffic import MOST_TARGETS, MOST_UNLISTED

PAGE = (Path(__file__).parents[3] / "docs" / "telemetry.md").read_text()
NAMES = {*COLUMNS, *COLUMNS.values(), *Fate, NOT_READ, *(name for name in SENT if not name.startswith("latency"))}


@pytest.mark.parametrize("name", sorted(NAMES))
def test_every_name_is_on_the_page(name):
    assert f"`{name}`" in PAGE


def test_every_reason_is_on_the_page_with_its_status():
    for reason in set(Reason) - {Reason.ABORTED}:
        assert f"`{reason}`" in PAGE
        assert str(Refusal(reason, "").status) in PAGE


@pytest.mark.parametrize(
    "bound",
    [
        f"{limits.BODY >> 20} MiB",
        f"{limits.ITEMS:,}",
        f"{limits.RESOURCES:,}; {limits.PARTS:,}",
        f"{limits.RESOURCE_BYTES >> 10} KiB, {limits.ATTRIBUTES} attributes",
        f"{limits.JSON_OBJECTS:,}",
        f"{limits.BUFFERED >> 20} MiB",
        f"`Retry-After: {limits.RETRY_AFTER}`",
        f"{limits.WAIT_SECONDS:g} s",
        f"{limits.REQUEST_SECONDS:g} s",
        f"{limits.IDLE_SECONDS:g} s",
        f"{limits.CONNECTIONS} |",
        f"At most {MOST_TARGETS:,} targets",
        f"At most {MOST_UNLISTED} names",
    ],
)
def test_every_bound_is_on_the_page(bound):
    assert bound in PAGE


def test_every_column_that_has_a_baseline_is_on_the_page():
    for name in BASELINED:
        assert f"`{name}`" in PAGE or name.startswith(("latency", "queue"))
