"""The real server on real sockets: what senders are told, and that no sender can take what is due to others."""

import contextlib
import http.client
import json
import socket
import threading
import time
from collections import Counter

import pytest
from google.rpc.status_pb2 import Status
from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
from opentelemetry.exporter.otlp.proto.http.trace_exporter import Compression, OTLPSpanExporter
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceResponse
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.trace import SpanKind, StatusCode

from controller.clock import Clock
from telemetry.batch import Fate
from telemetry.processor import Processor
from telemetry.sources import Reading
from telemetry.sources.otlp import limits, server
from telemetry.sources.otlp.receiver import Receiver
from tests.telemetry.batches import WEB, facts
from tests.telemetry.otlp.messages import as_json, logs, metrics, packed, traces

PROTOBUF = {"Content-Type": "application/x-protobuf"}
JSON = {"Content-Type": "application/json"}


CLOCK = Clock()


def head(length, *more):
    lines = ["POST /v1/traces HTTP/1.1", "Host: x", "Content-Type: application/x-protobuf"]
    lines += [f"Content-Length: {length}"] if length is not None else []
    return "\r\n".join([*lines, *more, "", ""]).encode()


class World:
    """A receiver, and a processor behind it that lists one service."""

    def __init__(self, take=None):
        self.processor = Processor()
        self.processor.ingest(Reading(CLOCK.now(), "local", {WEB: facts(at=CLOCK.now())}))
        self.receiver = Receiver(("127.0.0.1", 0), take or self.processor.take, CLOCK.now)
        host, port = self.receiver.address.split(":")
        self.address = host, int(port)

    def post(self, body, path="/v1/traces", headers=PROTOBUF, method="POST"):
        connection = http.client.HTTPConnection(*self.address, timeout=10)
        with contextlib.closing(connection):
            connection.request(method, path, body, headers)
            reply = connection.getresponse()
            return reply.status, dict(reply.headers), reply.read()

    def connect(self):
        return socket.create_connection(self.address, timeout=10)

    def view(self):
        return self.receiver.view(CLOCK.now())

    def outcome(self, name, count=1):
        """Wait until so many requests ended like this."""
        until(lambda: self.view()["requests"].get(name, 0) >= count)
        return self.view()["requests"]

    def cell(self, column):
        now = CLOCK.now()
        self.processor.refresh(now)
        snapshot = self.processor.snapshot(now)
        return snapshot.columns[column].values[snapshot.rows[WEB]]


def until(true, within=8.0):
    end = time.monotonic() + within
    while not true():
        assert time.monotonic() < end
        time.sleep(0.01)


@pytest.fixture
def world():
    made = World()
    yield made
    made.receiver.close()


def now_traces(spans=10, **more):
    return traces(spans, at=CLOCK.now(), **more)


@pytest.mark.parametrize("compression", [Compression.NoCompression, Compression.Gzip])
def test_the_official_sdk_is_understood(world, compression):
    url = f"http://{world.receiver.address}"
    resource = Resource.create({"service.name": "web", "service.namespace": "shop"})
    tracing = TracerProvider(resource=resource)
    exporter = OTLPSpanExporter(endpoint=f"{url}/v1/traces", compression=compression)
    tracing.add_span_processor(SimpleSpanProcessor(exporter))
    for number in range(12):
        with tracing.get_tracer("t").start_as_current_span("work", kind=SpanKind.SERVER) as span:
            span.set_status(StatusCode.ERROR if number < 3 else StatusCode.OK)
    tracing.shutdown()
    to = OTLPMetricExporter(endpoint=f"{url}/v1/metrics", compression=compression)
    metering = MeterProvider([PeriodicExportingMetricReader(to, 60_000)], resource=resource)
    metering.get_meter("m").create_up_down_counter("queue.depth").add(7)
    metering.shutdown()
    assert world.cell("requests.count") == 12
    assert world.cell("errors.ratio") == 0.25
    assert world.cell("queue.depth") == 7
    assert world.cell("active.count") == 1
    assert world.view()["items"] == {"spans": {"accepted": 12}, "data_points": {"accepted": 1}, "log_records": {}}


@pytest.mark.parametrize("form", ["protobuf", "json", "gzip", "json gzip", "chunked"])
def test_every_form_of_a_request_is_taken(world, form):
    request = now_traces(5)
    body = as_json(request) if "json" in form else request.SerializeToString()
    headers = dict(JSON if "json" in form else PROTOBUF)
    if "gzip" in form:
        body, headers["Content-Encoding"] = packed(body), "gzip"
    status, said, answer = world.post(iter([body[:50], body[50:]]) if form == "chunked" else body, headers=headers)
    assert (status, answer) == (200, b"{}" if "json" in form else b"")
    assert said["Content-Type"] == headers["Content-Type"]
    assert world.cell("requests.count") == 5


def test_what_was_not_taken_is_told_by_number_and_reason(world):
    request = traces(4, at=CLOCK.now() + 3600)
    now_traces(3, request=request)
    status, _, answer = world.post(request.SerializeToString())
    partial = ExportTraceServiceResponse.FromString(answer).partial_success
    assert (status, partial.rejected_spans) == (200, 4)
    assert "end in the future" in partial.error_message
    _, _, answer = world.post(as_json(request), headers=JSON)
    assert json.loads(answer)["partialSuccess"]["rejectedSpans"] == "4"
    assert world.view()["items"]["spans"] == {"accepted": 6, "future": 8}


def test_a_service_that_nobody_lists_is_a_warning_and_no_loss(world):
    _, _, answer = world.post(now_traces(3, name="ghost").SerializeToString())
    partial = ExportTraceServiceResponse.FromString(answer).partial_success
    assert partial.rejected_spans == 0
    assert "no platform lists" in partial.error_message


def test_logs_are_answered_and_none_is_taken(world):
    status, _, answer = world.post(logs(3).SerializeToString(), "/v1/logs")
    partial = ExportLogsServiceResponse.FromString(answer).partial_success
    assert (status, partial.rejected_log_records, partial.error_message) == (200, 3, "logs are not read")
    assert world.view()["items"]["log_records"] == {"not_read": 3}


@pytest.mark.parametrize(
    ("how", "status", "reason"),
    [
        ({"path": "/"}, 404, "path"),
        ({"path": "/v1/profiles"}, 404, "path"),
        ({"method": "GET", "body": None}, 405, "method"),
        ({"method": "OPTIONS", "body": None}, 405, "method"),
        ({"headers": {}}, 415, "type"),
        ({"headers": {"Content-Type": "text/plain"}}, 415, "type"),
        ({"headers": PROTOBUF | {"Content-Encoding": "zstd"}}, 415, "encoding"),
        ({"headers": PROTOBUF | {"Origin": "http://evil.example"}}, 403, "origin"),
        ({"body": b"\xff\xff"}, 400, "malformed"),
        ({"body": b"{", "headers": JSON}, 400, "malformed"),
        ({"headers": PROTOBUF | {"Content-Encoding": "gzip"}}, 400, "malformed"),
        ({"body": b"\x0a\x00" * 2000}, 413, "items"),
        ({"body": b"\x00" * (limits.BODY + 1)}, 413, "large"),
        ({"body": packed(b"\0" * (64 << 20)), "headers": PROTOBUF | {"Content-Encoding": "gzip"}}, 413, "large"),
    ],
)
def test_what_is_not_for_us_is_refused_with_its_reason(world, how, status, reason):
    how = {"body": traces(1).SerializeToString()} | how
    answered, headers, answer = world.post(**how)
    assert answered == status
    assert "Retry-After" not in headers
    said = json.loads(answer)["message"] if how.get("headers") == JSON else Status.FromString(answer).message
    assert said
    assert world.outcome(reason) == {reason: 1}
    assert world.post(now_traces(1).SerializeToString())[0] == 200


def test_fifty_megabytes_of_one_sender_are_refused_and_cost_others_nothing(world):
    done = threading.Event()

    def flood():
        while not done.is_set():
            connection = http.client.HTTPConnection(*world.address, timeout=10)
            with contextlib.closing(connection), contextlib.suppress(OSError, http.client.HTTPException):
                connection.request("POST", "/v1/traces", (b"\0" * (1 << 20) for _ in range(50)), PROTOBUF)
                assert connection.getresponse().status == 413

    sender = threading.Thread(target=flood)
    sender.start()
    try:
        for _ in range(30):
            assert world.post(now_traces(2).SerializeToString())[0] == 200
    finally:
        done.set()
        sender.join()
    assert world.cell("requests.count") == 60
    assert world.receiver._server._held == 0


def test_a_full_line_says_try_again_and_the_sdk_does(monkeypatch):
    gate = threading.Event()
    world = World(lambda batch, now: gate.wait(20) and Counter({Fate.ACCEPTED: sum(batch.items)}))
    try:
        body = now_traces(5000, attributes=20).SerializeToString()
        assert limits.BODY // 2 < len(body) < limits.BODY
        connections = [http.client.HTTPConnection(*world.address, timeout=20) for _ in range(9)]
        for connection in connections:
            connection.request("POST", "/v1/traces", body, PROTOBUF)
        world.outcome("full")
        url = f"http://{world.receiver.address}/v1/traces"
        tracing = TracerProvider()
        tracing.add_span_processor(SimpleSpanProcessor(OTLPSpanExporter(endpoint=url)))
        gate.set()
        with tracing.get_tracer("t").start_as_current_span("work"):
            pass
        tracing.shutdown()
        replies = []
        for connection in connections:
            reply = connection.getresponse()
            replies.append((reply.status, reply.headers.get("Retry-After")))
            reply.read()
            connection.close()
        assert set(replies) == {(200, None), (503, "2")}
        assert world.view()["items"]["spans"]["accepted"] == 5000 * replies.count((200, None)) + 1
        until(lambda: world.receiver._server._held == 0)
    finally:
        gate.set()
        world.receiver.close()


def test_a_request_that_waited_for_too_long_is_not_read(world, monkeypatch):
    monkeypatch.setattr("telemetry.sources.otlp.ingest.WAIT_SECONDS", -1.0)
    status, headers, _ = world.post(now_traces(1).SerializeToString())
    assert (status, headers["Retry-After"]) == (503, "2")
    assert world.view()["items"]["spans"] == {}


def test_a_sender_that_is_slow_is_told_and_left(world, monkeypatch):
    monkeypatch.setattr(server, "REQUEST_SECONDS", 0.3)
    with world.connect() as slow:
        slow.sendall(head(100)[:-2])
        time.sleep(0.1)
        slow.sendall(b"\r\nx")
        assert slow.recv(100).startswith(b"HTTP/1.1 408")
        slow.settimeout(5)
        while slow.recv(1000):
            pass
    assert world.outcome("slow") == {"slow": 1}


def test_half_a_head_is_slow_too(world, monkeypatch):
    monkeypatch.setattr(server, "REQUEST_SECONDS", 0.3)
    with world.connect() as slow:
        slow.sendall(b"POST /v1/tra")
        slow.settimeout(5)
        assert b"408" in slow.recv(100)
    assert world.outcome("slow") == {"slow": 1}


def test_a_connection_that_does_nothing_is_closed(world, monkeypatch):
    monkeypatch.setattr(server, "IDLE_SECONDS", 0.2)
    with world.connect() as idle:
        idle.settimeout(5)
        assert idle.recv(1) == b""
    assert world.view()["requests"] == {}


def test_idle_connections_are_bounded_and_give_way(world, monkeypatch):
    monkeypatch.setattr(server, "CONNECTIONS", 20)
    with contextlib.ExitStack() as stack:
        for _ in range(100):
            stack.enter_context(world.connect())
        assert world.post(now_traces(3).SerializeToString())[0] == 200
        until(lambda: len(world.receiver._server._links) <= 20)


def test_where_all_are_busy_one_more_is_cut_and_counted(world, monkeypatch):
    monkeypatch.setattr(server, "CONNECTIONS", 5)
    with contextlib.ExitStack() as stack:
        for _ in range(5):
            busy = stack.enter_context(world.connect())
            busy.sendall(b"POST /v1/traces HTTP/1.1\r\n")
        until(lambda: sum(link.speaks.begun for link in world.receiver._server._links.values()) == 5)
        with world.connect() as late:
            late.settimeout(5)
            assert late.recv(1) == b""
    assert world.outcome("connection")["connection"] == 1


def test_a_sender_that_goes_away_in_the_middle_is_counted_and_holds_nothing(world):
    with world.connect() as gone:
        gone.sendall(head(999) + b"{")
        until(lambda: world.receiver._server._held == 1)
    assert world.outcome("aborted") == {"aborted": 1}
    assert world.receiver._server._held == 0


@pytest.mark.parametrize(
    "start",
    [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",  # TLS
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"nonsense\r\n\r\n",
        head(-1),
        head(1, "Content-Length: 2"),
        b"POST /v1/traces HTTP/1.1\r\nA: " + b"x" * 40_000,
    ],
)
def test_what_is_no_http_is_answered_and_left(world, start):
    with world.connect() as odd:
        odd.sendall(start + b"\r\n\r\n")
        odd.settimeout(8)
        said = b""
        with contextlib.suppress(ConnectionResetError):
            while data := odd.recv(1000):
                said += data
    assert said.startswith(b"HTTP/1.1 4")
    until(lambda: sum(world.view()["requests"].values()) == 1)


def test_requests_one_after_the_other_and_ahead_share_a_connection(world):
    body = now_traces(1).SerializeToString()
    with world.connect() as one:
        one.sendall((head(len(body)) + body) * 3)
        said = b""
        while said.count(b"HTTP/1.1 200") < 3:
            said += one.recv(1000)
    assert world.cell("requests.count") == 3


def test_a_sender_that_asks_first_is_told_to_go_on(world):
    body = now_traces(1).SerializeToString()
    with world.connect() as asks:
        asks.sendall(head(len(body), "Expect: 100-continue"))
        assert asks.recv(100).startswith(b"HTTP/1.1 100")
        asks.sendall(body)
        assert asks.recv(100).startswith(b"HTTP/1.1 200")


def test_received_is_accepted_plus_refused_whatever_is_sent(world):
    """P21, by a client that knows what it sent."""
    sent = Counter()
    for number in range(40):
        spans = number % 7 + 1
        request = now_traces(spans, name=f"s{number % 3}" if number % 2 else "web")
        if number % 5 == 0:
            traces(2, at=1.0, request=request)
            spans += 2
        sent["data_points"] += number % 3
        assert world.post(request.SerializeToString())[0] == 200
        points = [("queue.depth", "gauge", float("nan") if number % 2 else 1.0)] * (number % 3)
        assert world.post(metrics(*points, at=CLOCK.now()).SerializeToString(), "/v1/metrics")[0] == 200
        sent["spans"] += spans
    items = world.view()["items"]
    assert {name: sum(items[name].values()) for name in sent} == sent
    assert items["spans"]["past"] == 16
    assert world.view()["requests"] == {"taken": 80}


def test_an_address_that_is_taken_is_named():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(OSError, match=f"OTLP can not be received at 127.0.0.1:{port}"):
            Receiver(("127.0.0.1", port), lambda _batch, _now: Counter(), CLOCK.now)


def test_nothing_is_left_after_a_close(world):
    with world.connect():
        world.receiver.close()
    assert not {"otlp-http", "otlp-ingest"} & {thread.name for thread in threading.enumerate()}
