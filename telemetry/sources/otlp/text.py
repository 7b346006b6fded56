"""The same requests as JSON: typed, and all that is not read is stepped over without making anything of it."""

import math
from collections.abc import Iterator
from typing import TypeVar

import msgspec
from msgspec import Struct, field

from telemetry.batch import Batch, Gauge
from telemetry.origins import Origin
from telemetry.sources.otlp import identity
from telemetry.sources.otlp.limits import ATTRIBUTES, JSON_OBJECTS, RESOURCES, Reason, Refusal, malformed
from telemetry.sources.otlp.metrics import COLUMNS, CUMULATIVE, NO_VALUE, Point, gauge_of
from telemetry.sources.otlp.traces import ERROR, SERVING, RequestLines
from telemetry.sources.otlp.wire import Tally

_Whole = int | str
"""Numbers of 64 bits are strings in JSON, and some senders do not know."""


class _Value(Struct, rename="camel"):
    string_value: str | None = None
    int_value: _Whole | None = None


class _Attribute(Struct):
    key: str = ""
    value: _Value = field(default_factory=_Value)


class _Resource(Struct):
    attributes: list[_Attribute] = field(default_factory=list)


class _Status(Struct):
    code: int = 0


class _Span(Struct, rename="camel"):
    kind: int = 0
    start_time_unix_nano: _Whole = 0
    end_time_unix_nano: _Whole = 0
    status: _Status | None = None


class _ScopeSpans(Struct):
    spans: list[_Span] = field(default_factory=list)


class _ResourceSpans(Struct, rename="camel"):
    resource: _Resource = field(default_factory=_Resource)
    scope_spans: list[_ScopeSpans] = field(default_factory=list)


class _Traces(Struct, rename="camel"):
    resource_spans: list[_ResourceSpans] = field(default_factory=list)


class _Point(Struct, rename="camel"):
    time_unix_nano: _Whole = 0
    as_double: float | str | None = None
    as_int: _Whole | None = None
    flags: int = 0


class _Data(Struct, rename="camel"):
    data_points: list[_Point] = field(default_factory=list)
    aggregation_temporality: int = 0
    is_monotonic: bool = False


class _Metric(Struct, rename="camel"):
    name: str = ""
    gauge: _Data | None = None
    sum: _Data | None = None
    histogram: _Data | None = None
    exponential_histogram: _Data | None = None
    summary: _Data | None = None


class _ScopeMetrics(Struct):
    metrics: list[_Metric] = field(default_factory=list)


class _ResourceMetrics(Struct, rename="camel"):
    resource: _Resource = field(default_factory=_Resource)
    scope_metrics: list[_ScopeMetrics] = field(default_factory=list)


class _Metrics(Struct, rename="camel"):
    resource_metrics: list[_ResourceMetrics] = field(default_factory=list)


class _Record(Struct):
    pass


class _ScopeLogs(Struct, rename="camel"):
    log_records: list[_Record] = field(default_factory=list)


class _ResourceLogs(Struct, rename="camel"):
    scope_logs: list[_ScopeLogs] = field(default_factory=list)


class _Logs(Struct, rename="camel"):
    resource_logs: list[_ResourceLogs] = field(default_factory=list)


T = TypeVar("T")


def read_traces(data: bytes) -> Batch:
    """A batch from an ExportTraceServiceRequest in JSON.

    Raises:
        Refusal: it is no such request, or holds too much.
    """
    lines, tally = RequestLines(), Tally()
    for part in _bounded(_read(data, _Traces).resource_spans):
        spans = [span for scope in part.scope_spans for span in scope.spans]
        tally.add(len(spans))
        lines.begin(_origin(part.resource))
        lines.items[-1] = len(spans)
        serving = [span for span in spans if span.kind in SERVING]
        try:
            lines.add(
                [_whole(span.start_time_unix_nano) for span in serving],
                [_whole(span.end_time_unix_nano) for span in serving],
                [span.status is not None and span.status.code == ERROR for span in serving],
            )
        except OverflowError:
            raise malformed("a time is not a whole number of 64 bits") from None
    return lines.batch()


def read_metrics(data: bytes) -> Batch:
    """A batch from an ExportMetricsServiceRequest in JSON.

    Raises:
        Refusal: it is no such request, or holds too much.
    """
    tally = Tally()
    origins: list[Origin] = []
    items: list[int] = []
    gauges: list[Gauge] = []
    for part in _bounded(_read(data, _Metrics).resource_metrics):
        before = tally.items
        for metric in (metric for scope in part.scope_metrics for metric in scope.metrics):
            gauges += _gauges(metric, tally, len(origins))
        origins.append(_origin(part.resource))
        items.append(tally.items - before)
    return Batch(origins, items, gauges=gauges)


def count_logs(data: bytes) -> int:
    """How many log records an ExportLogsServiceRequest in JSON holds.

    Raises:
        Refusal: it is no such request, or holds too much.
    """
    tally = Tally()
    for part in _read(data, _Logs).resource_logs:
        for scope in part.scope_logs:
            tally.add(len(scope.log_records))
    return tally.items


def _gauges(metric: _Metric, tally: Tally, origin: int) -> Iterator[Gauge]:
    for data in (metric.gauge, metric.sum, metric.histogram, metric.exponential_histogram, metric.summary):
        tally.add(len(data.data_points) if data else 0)
    if metric.name not in COLUMNS:
        return
    if metric.gauge and (points := _points(metric.gauge)):
        yield gauge_of(origin, metric.name, points, current=True)
    if metric.sum and (points := _points(metric.sum)):
        current = metric.sum.aggregation_temporality == CUMULATIVE and not metric.sum.is_monotonic
        yield gauge_of(origin, metric.name, points, current=current)


def _points(data: _Data) -> list[Point]:
    return [Point(_value(p), _whole(p.time_unix_nano)) for p in data.data_points if not p.flags & NO_VALUE]


def _value(point: _Point) -> float:
    try:
        if point.as_double is not None:
            return float(point.as_double)
        return math.nan if point.as_int is None else float(_whole(point.as_int))
    except (ValueError, OverflowError):
        return math.nan


def _whole(value: _Whole) -> int:
    if isinstance(value, str) and len(value) <= 20 and value.isascii() and value.removeprefix("-").isdigit():
        value = int(value)
    if isinstance(value, int) and abs(value) < 1 << 64:
        return value
    raise malformed(f"{str(value)[:40]!a} is no whole number of 64 bits")


def _read(data: bytes, kind: type[T]) -> T:
    objects = data.count(b"{")
    if objects > JSON_OBJECTS:
        raise Refusal(Reason.ITEMS, f"a JSON request holds at most {JSON_OBJECTS} objects: send smaller batches")
    try:
        return msgspec.json.decode(data, type=kind)
    except RecursionError:
        raise malformed("it is nested too deeply") from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise malformed(str(error)) from None


P = TypeVar("P", _ResourceSpans, _ResourceMetrics)


def _bounded(parts: list[P]) -> list[P]:
    if len(parts) > RESOURCES:
        raise Refusal(Reason.ITEMS, f"a request holds at most {RESOURCES} senders")
    return parts


def _origin(resource: _Resource) -> Origin:
    if len(resource.attributes) > ATTRIBUTES:
        raise Refusal(Reason.ATTRIBUTES, f"a resource has at most {ATTRIBUTES} attributes")
    said: dict[str, str] = {}
    for attribute in resource.attributes:
        if attribute.key in identity.KEYS:
            value = attribute.value
            said.setdefault(
                attribute.key, str(value.int_value if value.int_value is not None else value.string_value or "")
            )
    return identity.origin_of(said)
