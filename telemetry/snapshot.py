"""Snapshot: inventory x columns x facts, frozen at one instant."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from telemetry.columns import Column
from telemetry.inventory import Facts
from telemetry.target import Target


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What is true now.

    Attributes:
        at: epoch seconds.
        targets: one per row, sorted, so that a namespace is a contiguous slice.
        columns: by name; a column nobody filled is present with every cell unknown.
        facts: by target; every target has them.
        rows: row of each target.
        silent: platforms that did not answer for this snapshot, and why; their facts may be old.
    """

    at: float
    targets: tuple[Target, ...]
    columns: Mapping[str, Column]
    facts: Mapping[Target, Facts]
    rows: Mapping[Target, int] = field(default_factory=dict)
    silent: Mapping[str, str] = field(default_factory=dict)
