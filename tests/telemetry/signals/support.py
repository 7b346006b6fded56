"""Snapshots of one target whose columns are what a test says."""

from collections.abc import Mapping

import numpy as np

from telemetry.columns import COLUMNS, Column, Kind
from telemetry.inventory import Facts
from telemetry.signals.definitions import Definitions
from telemetry.signals.load import builtin
from telemetry.snapshot import Snapshot
from telemetry.target import Target
from telemetry.words import WORDS

TARGET = Target("memory", "Service", "shop", "web", "u")


def snapshot(values: Mapping[str, float | None], counts: Mapping[str, float] | None = None) -> Snapshot:
    """Fresh columns; None was sampled and is unknown now, what is not named was never sampled."""
    columns = {}
    for name, spec in COLUMNS.items():
        value = values.get(name)
        stale = name in values and value is None
        count = 0.0 if name not in values else (counts or {}).get(name, 1.0)
        cell = np.array([np.nan if value is None and not stale else 1.0 if value is None else value], np.float64)
        age = np.array([1e9 if stale else 0.0 if name in values else np.inf])
        columns[name] = Column(spec, cell, age, np.array([count]))
    return Snapshot(0.0, (TARGET,), columns, {TARGET: Facts(0.0, 1, 1)}, {TARGET: 0})


def value(
    name: str,
    values: Mapping[str, float | None],
    counts: Mapping[str, float] | None = None,
    signals: Definitions | None = None,
) -> float | str | bool | None:
    """What a signal says."""
    column = (signals or builtin()).columns(snapshot(values, counts), [name])[name]
    if not column.known[0]:
        return None
    cell = float(column.values[0])
    if column.spec.kind is Kind.STRING:
        return WORDS.word(cell)
    return bool(cell) if column.spec.kind is Kind.BOOL else cell
