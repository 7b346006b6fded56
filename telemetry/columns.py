"""The columns: what a condition can read, each a vector over all targets.

A number cell is finite or unknown. Unknown is NaN, also for bool columns (1.0, 0.0, NaN); durations are seconds, and
strings are the codes that `telemetry.words` gives them, so that every column is a vector of one kind.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]


class Kind(StrEnum):
    """The type of a column, as a condition sees it."""

    NUMBER = "number"
    DURATION = "duration"
    BOOL = "bool"
    STRING = "string"


@dataclass(frozen=True, slots=True)
class ColumnSpec:
    """What a column means.

    Attributes:
        name: `noun.measure`.
        kind: its type.
        unit: `1`, `1/s`, `1/h`, `byte`, `byte/s`, `ratio` (0..1); empty for the other kinds.
        meaning: one sentence, shown by help and docs.
        stale_after: seconds without a sample after which a cell is unknown: three windows of its source.
    """

    name: str
    kind: Kind
    unit: str
    meaning: str
    stale_after: float = 180.0


@dataclass(frozen=True, slots=True)
class Column:
    """One column over all rows of a snapshot.

    Attributes:
        values: value per row, NaN where never sampled.
        age: seconds since the sample per row, +inf where never sampled.
        count: number of samples behind the value per row.
    """

    spec: ColumnSpec
    values: Floats
    age: Floats
    count: Floats

    @property
    def known(self) -> Bools:
        """True where the cell has a finite value that is not stale."""
        return np.isfinite(self.values) & (self.age <= self.spec.stale_after)


def _specs() -> tuple[ColumnSpec, ...]:
    number, duration, boolean = Kind.NUMBER, Kind.DURATION, Kind.BOOL
    probed, host = 10.0, 30.0  # local probes run every second or so, host samples every few seconds
    return (
        ColumnSpec("probe.ok", boolean, "", "every instance passed its last health probe", probed),
        ColumnSpec("probe.failures", number, "1", "most failed probes in a row of one instance", probed),
        ColumnSpec("instances.sick", number, "ratio", "share of instances that fail their probe", probed),
        ColumnSpec("active.count", number, "1", "instances seen alive", probed),
        ColumnSpec("replicas.desired", number, "1", "instances asked for"),
        ColumnSpec("replicas.ready", number, "1", "instances that pass their probe", probed),
        ColumnSpec("replicas.min", number, "1", "fewest instances allowed"),
        ColumnSpec("replicas.max", number, "1", "most instances allowed"),
        ColumnSpec("restarts.count", number, "1", "starts nobody asked for, since first seen", host),
        ColumnSpec("restarts.rate", number, "1/h", "starts nobody asked for in the last hour", host),
        ColumnSpec("up.duration", duration, "", "time since the youngest instance started", host),
        ColumnSpec("change.age", duration, "", "time since somebody else changed the workload's own spec", host),
        ColumnSpec("change.recent", boolean, "", "the workload's own spec changed in the last 30 minutes", host),
        ColumnSpec("cpu.ratio", number, "ratio", "CPU used / CPU allowed, worst instance", host),
        ColumnSpec("memory.ratio", number, "ratio", "resident memory / memory allowed, worst instance", host),
        ColumnSpec("memory.bytes", number, "byte", "resident memory of the worst instance", host),
        ColumnSpec("files.count", number, "1", "open files of the worst instance", host),
        ColumnSpec("files.ratio", number, "ratio", "open files / limit, worst instance", host),
        ColumnSpec("threads.count", number, "1", "threads of the worst instance", host),
        ColumnSpec("telemetry.age", duration, "", "time since it last sent telemetry of its own", float("inf")),
    )


def _sent() -> tuple[ColumnSpec, ...]:
    """What only the workload itself can tell: measured over its last minute, unknown two minutes after it."""
    number, duration, minute = Kind.NUMBER, Kind.DURATION, 120.0
    return (
        ColumnSpec("requests.rate", number, "1/s", "server spans per second", minute),
        ColumnSpec("requests.count", number, "1", "server spans in the window", minute),
        ColumnSpec("requests.volume", number, "1", "telemetry items of any kind in the window", minute),
        ColumnSpec("errors.rate", number, "1/s", "server spans that ended in an error, per second", minute),
        ColumnSpec("errors.ratio", number, "ratio", "failed server spans / all; of at least 10", minute),
        ColumnSpec("completion.ratio", number, "ratio", "server spans that ended without an error / all", minute),
        ColumnSpec("latency.p50", duration, "", "half of the server spans took no longer", minute),
        ColumnSpec("latency.p90", duration, "", "90 % of the server spans took no longer", minute),
        ColumnSpec("latency.p99", duration, "", "99 % of the server spans took no longer", minute),
        ColumnSpec("latency.max", duration, "", "the longest server span", minute),
        ColumnSpec("instances.silent", number, "ratio", "share of the ready instances that sent nothing", minute),
        ColumnSpec("queue.depth", number, "1", "work that waits, worst instance", 180.0),
        ColumnSpec("queue.limit", number, "1", "most work that can wait, worst instance", 180.0),
    )


def _clustered() -> tuple[ColumnSpec, ...]:
    """What only a cluster tells. Its source says all of it anew with each reading, so silence is unknown at once."""
    number, duration, boolean, silent = Kind.NUMBER, Kind.DURATION, Kind.BOOL, 10.0
    return (
        ColumnSpec("rollout.progressing", boolean, "", "a change of its template is not on every instance yet", silent),
        ColumnSpec("rollout.age", duration, "", "time since the rollout in progress began", silent),
        ColumnSpec("rollout.stuck", boolean, "", "the rollout makes no progress within its deadline", silent),
        ColumnSpec(
            "crashloop", boolean, "", "an instance crashes again and again, some minutes ago at the last", silent
        ),
        ColumnSpec("oomkilled", boolean, "", "an instance was killed for its memory in the last 30 minutes", silent),
        ColumnSpec("image.failed", boolean, "", "an image of an instance cannot be pulled", silent),
        ColumnSpec("pending.duration", duration, "", "longest time that an instance waits to be started", silent),
        ColumnSpec("k8s.autoscaled", boolean, "", "a HorizontalPodAutoscaler sets its instances", silent),
        ColumnSpec("k8s.autoscaler_limited", boolean, "", "its autoscaler wants more than its maximum", silent),
        ColumnSpec(
            "k8s.disruptions_allowed", number, "1", "evictions that its disruption budgets leave room for", silent
        ),
    )


BASELINED = (
    *("requests.rate", "errors.rate", "errors.ratio", "latency.p50", "latency.p90", "latency.p99", "latency.max"),
    *("queue.depth", "queue.limit", "cpu.ratio", "memory.ratio", "files.ratio", "threads.count", "files.count"),
)
"""Columns X of which X_baseline and X_mad tell what is usual."""


def _usual(spec: ColumnSpec) -> tuple[ColumnSpec, ...]:
    usual, hour = f"of {spec.name} over the last hour of minutes", 3600.0
    return (
        ColumnSpec(f"{spec.name}_baseline", spec.kind, spec.unit, f"median {usual}", hour),
        ColumnSpec(f"{spec.name}_mad", spec.kind, spec.unit, f"median absolute deviation {usual}", hour),
    )


_MEASURED = {spec.name: spec for spec in (*_specs(), *_sent(), *_clustered())}
_SLOPE = ColumnSpec("memory.slope", Kind.NUMBER, "byte/s", "growth of memory.bytes over 15 minutes", 300.0)

SENT = tuple(spec.name for spec in _sent())
"""Columns that only what workloads send can fill."""
CLUSTERED = tuple(spec.name for spec in _clustered())
"""Columns that only a cluster can fill."""
USUAL = (_SLOPE.name, *(usual.name for name in BASELINED for usual in _usual(_MEASURED[name])))
"""Columns that are learnt over minutes."""

COLUMNS: Mapping[str, ColumnSpec] = {
    **_MEASURED,
    _SLOPE.name: _SLOPE,
    **{usual.name: usual for name in BASELINED for usual in _usual(_MEASURED[name])},
}
"""Every column this build can fill, by name."""
