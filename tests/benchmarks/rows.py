"""What a benchmark says: rows of one table."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Row:
    """One measured number.

    Attributes:
        what: what was measured, and how big it was.
        value: in `unit`.
        must: what DESIGN §10 asks for, in the same unit; None where it asks for nothing.
        least: the value must not be below `must`, e.g. a ratio; else not above.
    """

    what: str
    value: float
    unit: str
    must: float | None = None
    least: bool = False

    @property
    def met(self) -> bool | None:
        """Whether it is as it must be; None where nothing must be."""
        if self.must is None:
            return None
        return self.value >= self.must if self.least else self.value <= self.must


def table(rows: list[Row]) -> str:
    """The rows as a markdown table."""
    lines = ["| what | measured | must | met |", "|---|---|---|---|"]
    marks = {True: "yes", False: "**no**", None: "-"}
    for row in rows:
        sign = "≥" if row.least else "≤"
        must = "-" if row.must is None else f"{sign} {row.must:g} {row.unit}"
        lines.append(f"| {row.what} | {row.value:.3g} {row.unit} | {must} | {marks[row.met]} |")
    return "\n".join(lines)
