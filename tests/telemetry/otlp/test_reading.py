"""From bytes to batches: equal to the official schema, and nothing but a refusal for everything else."""

import contextlib
import json
import math
import tracemalloc
import zlib

import pytest
from google.protobuf.internal.encoder import _VarintBytes as varint
from hypothesis import example, given
from hypothesis import strategies as st

from telemetry.batch import Batch
from telemetry.origins import Origin
from telemetry.sources.otlp import limits
from telemetry.sources.otlp.limits import Refusal
from telemetry.sources.otlp.requests import Request, Signal, read
from telemetry.sources.otlp.resources import Resources
from telemetry.sources.otlp.wire import pieces
from tests.telemetry.otlp.messages import CLIENT, CONSUMER, NANO, NOW, as_json, logs, metrics, packed, traces

MIB = 1 << 20


def batch(body, signal=Signal.TRACES, *, json_=False, gzip=False):
    return read(Request(signal, json_, gzip, body), Resources(), lambda: None)


def refusal(body, signal=Signal.TRACES, **how):
    with pytest.raises(Refusal) as caught:
        batch(body, signal, **how)
    return caught.value.reason.value


def field(number, content):
    return varint(number << 3 | 2) + varint(len(content)) + content


def both(request, signal):
    """The same batch from protobuf and from JSON."""
    ours, theirs = batch(request.SerializeToString(), signal), batch(as_json(request), signal, json_=True)
    assert comparable(ours) == comparable(theirs)
    return ours


def comparable(made: Batch):
    requests = made.requests and tuple(
        getattr(made.requests, name).tolist() for name in ("origin", "started", "ended", "failed")
    )
    gauges = [(g.origin, g.column, repr(g.value), g.at, g.points, g.temporal) for g in made.gauges]
    return list(made.origins), list(made.items), requests, gauges


def test_server_spans_are_read_and_the_others_are_counted():
    request = traces(4, failed=1, took=0.25)
    traces(3, kind=CLIENT, request=request, name="cart")
    traces(2, kind=CONSUMER, request=request, name="mail", namespace=None, instance=None)
    made = both(request, Signal.TRACES)
    assert made.origins == [Origin("web", "shop", "i1"), Origin("cart", "shop", "i1"), Origin("mail")]
    assert made.items == [4, 3, 2]
    assert made.requests.origin.tolist() == [0, 0, 0, 0, 2, 2]
    assert made.requests.failed.tolist() == [True, False, False, False, False, False]
    assert (made.requests.ended - made.requests.started).tolist() == [NANO // 4] * 4 + [NANO // 10] * 2
    assert made.requests.ended.tolist() == [round(NOW * NANO)] * 6


def test_more_spans_than_one_piece_are_all_there():
    made = batch(traces(1700).SerializeToString())
    assert made.items == [1700]
    assert len(made.requests.failed) == 1700


def test_kubernetes_attributes_name_the_workload():
    said = {"k8s.namespace.name": "shop", "k8s.statefulset.name": "db", "k8s.pod.uid": "u-1"}
    (origin,) = both(traces(1, name=None, namespace=None, **said), Signal.TRACES).origins
    assert origin == Origin("unknown_service", "", "u-1", ("StatefulSet", "shop", "db"))


def test_the_process_is_the_instance_if_nothing_better_is_said():
    (origin,) = both(traces(1, instance=None, **{"process.pid": 4711}), Signal.TRACES).origins
    assert origin.instance == "4711"


def test_gauges_that_fill_a_column_are_read_and_all_points_are_counted():
    request = metrics(
        ("queue.depth", "gauge", 7),
        ("process.cpu.utilization", "gauge", 0.25, 0.5),  # by mode
        ("process.memory.usage", "updown", 1 << 30),
        ("process.memory.usage", "delta", 5),
        ("process.memory.usage", "counter", 5),
        ("http.server.request.duration", "histogram", 1, 2, 3),
        ("something.else", "gauge", 1.0),
    )
    made = both(request, Signal.METRICS)
    assert made.items == [10]
    found = [(gauge.column, gauge.value, gauge.points, gauge.temporal) for gauge in made.gauges]
    assert found == [
        ("queue.depth", 7, 1, True),
        ("cpu.ratio", 0.75, 2, True),
        ("memory.bytes", 1 << 30, 1, True),
        ("memory.bytes", 5, 1, False),
        ("memory.bytes", 5, 1, False),
    ]


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, -0.0, 5e-324])
def test_numbers_at_the_edge_are_carried_as_they_are(value):
    made = both(metrics(("queue.depth", "gauge", value)), Signal.METRICS)
    assert repr(made.gauges[0].value) == repr(0.0 if value == 0 else math.nan if math.isinf(value) else value)


def test_a_point_that_says_it_has_no_value_has_none():
    request = metrics(("queue.depth", "gauge", 7))
    request.resource_metrics[0].scope_metrics[0].metrics[0].gauge.data_points[0].flags = 1
    made = both(request, Signal.METRICS)
    assert (made.items, made.gauges) == ([1], [])


def test_logs_are_only_counted():
    assert batch(logs(5).SerializeToString(), Signal.LOGS) == 5
    assert batch(as_json(logs(5)), Signal.LOGS, json_=True) == 5


def test_gzip_is_unpacked():
    body = traces(5).SerializeToString()
    assert batch(packed(body), gzip=True).items == [5]


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (packed(b"\0" * (64 * MIB)), "large"),  # 1000 : 1
        (packed(packed(b"\0" * MIB)), "malformed"),  # gzip in gzip
        (packed(traces(5).SerializeToString())[:-9], "malformed"),
        (packed(b"") + packed(b""), "malformed"),
        (b"no gzip", "malformed"),
        (b"", "malformed"),
        (zlib.compress(b""), "malformed"),
    ],
)
def test_a_bomb_or_a_broken_gzip_is_refused_within_the_limit(body, reason):
    tracemalloc.start()
    try:
        assert refusal(body, gzip=True) == reason
        assert tracemalloc.get_traced_memory()[1] < 2 * limits.BODY + 4 * MIB  # its pieces, and then the whole
    finally:
        tracemalloc.stop()


def test_a_million_empty_spans_in_two_megabytes_cost_no_memory():
    body = field(1, field(2, b"\x12\x00" * 1_000_000))
    assert len(body) < 2.1 * MIB
    tracemalloc.start()
    try:
        assert refusal(body) == "items"
        assert tracemalloc.get_traced_memory()[1] < 8 * MIB
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize(
    ("body", "signal", "reason"),
    [
        (b"\x0a\x00" * 2000, Signal.TRACES, "items"),  # senders
        (field(1, b"\x12\x00" * 50_000), Signal.TRACES, "items"),  # scopes
        (field(1, field(2, b"\x12\x00" * 50_000)), Signal.METRICS, "items"),  # metrics
        (field(1, field(2, field(2, field(9, b"\x0a\x00" * 60_000)))), Signal.METRICS, "items"),  # points
        (field(1, field(2, b"\x12\x00" * 60_000)), Signal.LOGS, "items"),
        (field(1, field(1, b"\x0a\x00" * 300)), Signal.TRACES, "attributes"),
        (field(1, field(1, field(1, b"\x12" * 70_000))), Signal.TRACES, "attributes"),
        (field(1, field(1, b"\x0a\x00" * 20_000) * 2), Signal.TRACES, "attributes"),
    ],
)
def test_too_many_of_anything_is_refused(body, signal, reason):
    assert refusal(body, signal) == reason


def test_attributes_of_spans_cost_nothing_however_many_and_deep():
    deep = b""
    for _ in range(5000):  # an AnyValue in an array in an AnyValue ...
        deep = field(5, field(1, deep))
    one = field(2, varint(6 << 3) + b"\x02" + field(9, field(2, deep)) + b"\x4a\x00" * 200_000)
    made = batch(field(1, field(2, one)))
    assert made.items == [1]


def test_a_resource_nested_deeply_is_stepped_over():
    deep = b""
    for _ in range(5000):
        deep = field(5, field(1, deep))
    (origin,) = batch(field(1, field(1, field(1, field(1, b"k") + field(2, deep))))).origins
    assert origin == Origin("unknown_service")


@pytest.mark.parametrize(
    "body",
    [
        b"\xff",
        b"\x0a\x05ab",
        b"\x0b",  # a group
        b"\x02\x00",  # field 0
        b"\x80" * 11 + b"\x01",
        field(1, field(2, b"\x12\x7f")),
        field(1, field(2, field(2, b"\x39\x00"))),  # a time of one byte
        field(1, field(1, field(1, field(1, b"service.name") + field(2, field(1, b"\xff\xfe"))))),
        b"{}",
    ],
)
def test_bytes_that_are_no_request_are_malformed(body):
    assert refusal(body) == "malformed"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "nonsense",
        '{"resourceSpans": {}}',
        '{"resourceSpans": [' + "[" * 100_000,
        '{"resourceSpans": [], "x": ' + '{"a":' * 50_000 + "1" + "}" * 50_000 + "}",
        '{"resourceSpans": [{"scopeSpans": [{"spans": [{"kind": "SPAN_KIND_SERVER"}]}]}]}',
        '{"resourceSpans": [{"scopeSpans": [{"spans": [{"kind": 2, "endTimeUnixNano": "x"}]}]}]}',
        '{"resourceSpans": [{"scopeSpans": [{"spans": [{"kind": 2, "endTimeUnixNano": "-5"}]}]}]}',
        '{"resourceSpans": [{"scopeSpans": [{"spans": [{"kind": 2, "endTimeUnixNano": 1e30}]}]}]}',
        '{"resourceSpans": [{"scopeSpans": [{"spans": [{"kind": 2, "endTimeUnixNano": "99999999999999999999"}]}]}]}',
        traces(1).SerializeToString().decode("latin-1"),
    ],
)
def test_json_that_is_no_request_is_malformed(text):
    assert refusal(text.encode(), json_=True) == "malformed"


def test_json_of_too_many_objects_is_refused_before_any_is_made():
    body = b'{"resourceSpans":[{"scopeSpans":[{"spans":[' + b",".join([b"{}"] * 500_000) + b"]}]}]}"
    tracemalloc.start()
    try:
        assert refusal(body, json_=True) == "items"
        assert tracemalloc.get_traced_memory()[1] < 4 * MIB
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("value", ['"1e400"', '"x"', '"NaN"', "1e308", '"Infinity"', "null"])
def test_odd_json_numbers_are_no_numbers(value):
    point = f'{{"timeUnixNano": "5", "asDouble": {value}}}'
    metric = f'{{"name": "queue.depth", "gauge": {{"dataPoints": [{point}]}}}}'
    text = f'{{"resourceMetrics": [{{"scopeMetrics": [{{"metrics": [{metric}]}}]}}]}}'
    made = batch(text.encode(), Signal.METRICS, json_=True)
    assert made.items == [1]
    assert math.isnan(made.gauges[0].value) is (value != "1e308")


@pytest.mark.parametrize("name", ["../../x", "$(id)", "{{7*7}}", "<img onerror>", "\x1b[31m", "a\nb", "x" * 5000, ""])
def test_a_name_is_data_and_at_most_so_long(name):
    (origin,) = both(traces(1, name=name), Signal.TRACES).origins
    assert origin.name == (name[: limits.NAME] or "unknown_service")


WORD = st.sampled_from([b"service.name", b"service.namespace", b"\x00", b"", b"queue.depth", b"\xff\xfe"])
MESSAGE = st.recursive(
    st.one_of(st.binary(max_size=12), WORD),
    lambda inner: st.lists(st.tuples(st.integers(0, 15), inner), max_size=4).map(
        lambda parts: b"".join(field(number, content) for number, content in parts)
    ),
    max_leaves=20,
)


def survives(body, signal, **how):
    """It is read, or refused; nothing else is ever raised."""
    with contextlib.suppress(Refusal):
        assert isinstance(batch(body, signal, **how), int | Batch)


@given(MESSAGE, st.sampled_from(list(Signal)))
@example(b"\x0a\x02\x0a\x00", Signal.METRICS)
def test_no_bytes_raise_anything_but_a_refusal(body, signal):
    survives(field(1, body), signal)


SAMPLES = [
    (traces(3, attributes=1).SerializeToString(), Signal.TRACES),
    (metrics(("queue.depth", "gauge", 7), ("process.memory.usage", "updown", 5)).SerializeToString(), Signal.METRICS),
]


@given(st.data())
def test_a_request_with_bytes_changed_raises_nothing_but_a_refusal(data):
    whole, signal = data.draw(st.sampled_from(SAMPLES))
    body = bytearray(whole)
    for place, byte in data.draw(st.lists(st.tuples(st.integers(0, len(body) - 1), st.integers(0, 255)), max_size=4)):
        body[place] = byte
    survives(bytes(body[: data.draw(st.integers(0, len(body)))]), signal)


KEYS = (
    *("resourceSpans", "scopeSpans", "spans", "kind", "status", "code", "resource", "attributes", "key", "value"),
    *("stringValue", "resourceMetrics", "scopeMetrics", "metrics", "name", "gauge", "sum", "dataPoints", "asInt"),
    *("asDouble", "timeUnixNano"),
)
JSON = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=5)),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.sampled_from(KEYS), inner, max_size=3)),
    max_leaves=20,
)


@given(JSON, st.sampled_from(list(Signal)))
def test_no_json_raises_anything_but_a_refusal(value, signal):
    survives(json.dumps(value).encode(), signal, json_=True)


@given(st.lists(st.binary(max_size=40), max_size=30), st.integers(1, 5))
def test_pieces_are_the_whole_and_none_is_too_large(spans, most):
    data = b"".join(field(2, span) for span in spans) + field(3, b"schema")
    cut = list(pieces(data, 0, len(data), 2, most))
    assert b"".join(data[start:end] for start, end, _ in cut) == data
    assert sum(count for _, _, count in cut) == len(spans)
    assert all(count <= most for _, _, count in cut)


@pytest.mark.parametrize("json_", [False, True])
def test_points_whose_sum_is_too_large_for_a_number_are_no_value_and_end_nothing(json_):
    """Found by fuzzing: a sum of finite numbers that overflows ended the ingest thread, and with it all receiving."""
    request = metrics(("process.cpu.utilization", "gauge", 1.7e308, 1.7e308), ("queue.depth", "gauge", 3.0))
    body = as_json(request) if json_ else request.SerializeToString()
    cpu, queue = batch(body, Signal.METRICS, json_=json_).gauges
    assert math.isnan(cpu.value)
    assert (cpu.points, queue.value) == (2, 3.0)
