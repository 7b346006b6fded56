"""Data points from protobuf: all are counted, and the gauges that fill a column are read."""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from google.protobuf.message import DecodeError

from telemetry.batch import Batch, Gauge
from telemetry.origins import Origin
from telemetry.sources.otlp.limits import PARTS, Reason, Refusal, malformed
from telemetry.sources.otlp.resources import Resources
from telemetry.sources.otlp.schema import message
from telemetry.sources.otlp.wire import Tally, count, fields

COLUMNS = {
    "queue.depth": "queue.depth",
    "queue.limit": "queue.limit",
    "process.cpu.utilization": "cpu.ratio",
    "k8s.pod.cpu_limit_utilization": "cpu.ratio",
    "k8s.container.cpu_limit_utilization": "cpu.ratio",
    "k8s.pod.memory_limit_utilization": "memory.ratio",
    "k8s.container.memory_limit_utilization": "memory.ratio",
    "process.memory.usage": "memory.bytes",
    "container.memory.usage": "memory.bytes",
    "process.thread.count": "threads.count",
    "process.open_file_descriptor.count": "files.count",
}
"""The metrics that are read, and the column that each fills: a gauge, or a sum that goes up and down."""
DATA = frozenset({5, 7, 9, 10, 11})
"""Fields of a metric that hold data points: gauge, sum, histogram, exponential histogram, summary."""
CUMULATIVE = 2
NO_VALUE = 1
"""The flag of a point that says there is no value."""
_REST_AFTER = 64  # metrics


@dataclass(frozen=True, slots=True)
class Point:
    """A number at a time.

    Attributes:
        value: NaN where none was sent.
        at: nanoseconds since the epoch.
    """

    value: float
    at: int


def gauge_of(origin: int, name: str, points: list[Point], *, current: bool) -> Gauge:
    """The gauge that the points of one metric make: they are parts of one whole, e.g. the modes of a CPU."""
    try:
        value = math.fsum(point.value for point in points) if all(math.isfinite(p.value) for p in points) else math.nan
    except OverflowError:  # each is finite, their sum is not
        value = math.nan
    at = max(point.at for point in points) / 1e9
    return Gauge(origin, COLUMNS[name], value, at, len(points), temporal=current)


def read_metrics(data: bytes, resources: Resources, rest: Callable[[], None]) -> Batch:
    """A batch from an ExportMetricsServiceRequest.

    Args:
        data: its bytes.
        resources: who is known already.
        rest: called every half millisecond or so, so that others get their turn.

    Raises:
        Refusal: the bytes are no such request, or hold too much.
    """
    tally, metrics = Tally(), 0
    origins: list[Origin] = []
    items: list[int] = []
    gauges: list[Gauge] = []
    for resource in resources.read(data):
        before = tally.items
        for start, end in _metrics(data, resource.scopes):
            metrics += 1
            if metrics > PARTS:
                raise Refusal(Reason.ITEMS, f"a request holds at most {PARTS} metrics")
            gauges += _metric(data[start:end], tally, len(origins))
            if metrics % _REST_AFTER == 0:
                rest()
        origins.append(resource.origin)
        items.append(tally.items - before)
    return Batch(origins, items, gauges=gauges)


def _metrics(data: bytes, scopes: list[tuple[int, int]]) -> Iterator[tuple[int, int]]:
    for first, last in scopes:
        for number, start, end in fields(data, first, last):
            if number == 2:
                yield start, end


def _metric(data: bytes, tally: Tally, origin: int) -> Iterator[Gauge]:
    """Count the points of a metric, and read them if it fills a column."""
    name = b""
    for number, start, end in fields(data, 0, len(data)):
        if number == 1:
            name = data[start:end]
        elif number in DATA:
            tally.add(count(data, start, end, 1))
    known = name.decode("ascii", "replace")
    if known not in COLUMNS:
        return
    try:
        metric = message("Metric").FromString(data)
    except DecodeError as error:
        raise malformed(f"metric {known}: {error}") from None
    if metric.HasField("gauge") and (points := _points(metric.gauge)):
        yield gauge_of(origin, known, points, current=True)
    if metric.HasField("sum") and (points := _points(metric.sum)):
        total = metric.sum
        current = total.aggregation_temporality == CUMULATIVE and not total.is_monotonic
        yield gauge_of(origin, known, points, current=current)


def _points(data: Any) -> list[Point]:
    return [Point(_value(point), point.time_unix_nano) for point in data.data_points if not point.flags & NO_VALUE]


def _value(point: Any) -> float:
    if point.HasField("as_double"):
        return float(point.as_double)
    return float(point.as_int) if point.HasField("as_int") else math.nan
