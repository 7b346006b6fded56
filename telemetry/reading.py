"""What conditions read of the inventory itself: namespace, name, kind and labels of targets, as string columns.

They are built when somebody reads them, because most conditions do not.
"""

from collections.abc import Iterable, Mapping

import numpy as np
from numpy.typing import NDArray

from telemetry.columns import Column, ColumnSpec, Kind
from telemetry.inventory import Facts
from telemetry.snapshot import Snapshot
from telemetry.target import Target
from telemetry.words import WORDS

LABEL_MAPS = ("target.labels", "labels")
"""Names of the map of labels; the short one is what people write."""
_ALWAYS = float("inf")


def _spec(name: str, meaning: str) -> ColumnSpec:
    return ColumnSpec(name, Kind.STRING, "", meaning, _ALWAYS)


TEXTS: Mapping[str, ColumnSpec] = {
    spec.name: spec
    for spec in (
        _spec("target.namespace", "the namespace of the target"),
        _spec("target.name", "the name of the target"),
        _spec("target.kind", "what the target is, e.g. Service"),
    )
}
"""Those that every target has."""


def label_column(key: str) -> ColumnSpec:
    """The column of one label; unknown where a target does not have it."""
    return _spec(f'labels["{key}"]', f"the label {key}")


def label_key(name: str) -> str | None:
    """The label of a column's name; None if it is not that of a label."""
    return name[8:-2] if name.startswith('labels["') and name.endswith('"]') else None


def columns_at(snapshot: Snapshot, names: Iterable[str], rows: NDArray[np.intp] | None = None) -> Mapping[str, Column]:
    """These columns at these rows; one that nobody fills is left out.

    Args:
        snapshot: what is true.
        names: of columns, the inventory's own among them.
        rows: ascending; all if not given.

    Returns:
        At least one column, because rows are counted on it.
    """
    found: dict[str, Column] = {}
    at = None if rows is None or len(rows) == len(snapshot.targets) else _indexes(rows)
    for name in names:
        column = snapshot.columns.get(name)
        if column is not None:
            found[name] = column if at is None else _taken(column, at)
        elif name in TEXTS or label_key(name) is not None:
            found[name] = _text(snapshot, name, snapshot.targets if at is None else _targets(snapshot, at))
    if not found:
        name, column = next(iter(snapshot.columns.items()))
        found[name] = column if at is None else _taken(column, at)
    return found


def _indexes(rows: NDArray[np.intp]) -> slice | NDArray[np.intp]:
    """A slice where rows are contiguous, as those of a namespace are: nothing is copied then."""
    if len(rows) and rows[-1] - rows[0] + 1 == len(rows):
        return slice(int(rows[0]), int(rows[-1]) + 1)
    return rows


def _taken(column: Column, at: slice | NDArray[np.intp]) -> Column:
    return Column(column.spec, column.values[at], column.age[at], column.count[at])


def _targets(snapshot: Snapshot, at: slice | NDArray[np.intp]) -> tuple[Target, ...]:
    if isinstance(at, slice):
        return snapshot.targets[at]
    return tuple(snapshot.targets[row] for row in at.tolist())


def _text(snapshot: Snapshot, name: str, targets: tuple[Target, ...]) -> Column:
    key = label_key(name)
    if key is None:
        field = name.removeprefix("target.")
        words: list[str | None] = [getattr(target, field) for target in targets]
    else:
        facts: Mapping[Target, Facts] = snapshot.facts
        words = [facts[target].labels.get(key) for target in targets]
    spec = TEXTS[name] if key is None else label_column(key)
    rows = len(targets)
    return Column(spec, WORDS.codes(words), np.zeros(rows), np.full(rows, _ALWAYS))
