"""The OTLP decoder: any bytes as a request of any signal and encoding, or as what comes over a connection."""

import math
import struct
import zlib

import numpy as np

from telemetry.batch import Batch
from telemetry.inventory import Facts
from telemetry.processor import Processor
from telemetry.sources import Reading
from telemetry.sources.otlp import identity
from telemetry.sources.otlp.connection import Connection, State
from telemetry.sources.otlp.ingest import Ingest, Job
from telemetry.sources.otlp.limits import BUFFERED, ITEMS, Refusal
from telemetry.sources.otlp.metrics import COLUMNS
from telemetry.sources.otlp.requests import ITEMS as COUNTED
from telemetry.sources.otlp.requests import JSON, PROTOBUF, Request, Signal, read
from telemetry.sources.otlp.resources import Resources
from telemetry.target import Target
from tests.fuzz.rules import bounded, plain, require

NOW = 1_763_784_000.0
_SIGNALS = tuple(Signal)
_CONNECTION = 1 << 4
"""Bits of the first byte: signal (0, 1), JSON (2), gzip (3), a whole connection (4)."""
_JSON = (
    "resourceSpans",
    "scopeSpans",
    "spans",
    "startTimeUnixNano",
    "endTimeUnixNano",
    "resourceMetrics",
    "scopeMetrics",
)
_JSON += (
    "metrics",
    "dataPoints",
    "asDouble",
    "asInt",
    "timeUnixNano",
    "isMonotonic",
    "aggregationTemporality",
    "1.7e308",
)
_JSON += ("resourceLogs", "logRecords", "attributes", "stringValue", "intValue")
_HTTP = ("POST /v1/traces HTTP/1.1\r\n", "content-type: application/json\r\n", "content-length: ", "\r\n\r\n")
_HTTP += ("transfer-encoding: chunked\r\n", "content-encoding: gzip\r\n")
WORDS = sorted({*identity.KEYS, *COLUMNS, *_JSON, *_HTTP})


def _processor() -> Processor:
    """One that knows a target, so that some of what is sent joins."""
    made = Processor()
    made.ingest(
        Reading(NOW, "local", {Target("local", "Service", "shop", "web", "u1"): Facts(seen_at=NOW, desired=1, ready=1)})
    )
    return made


class _World:
    """What lives as long as the process of a controller does."""

    def __init__(self) -> None:
        self.processor = _processor()
        self.ingest = Ingest(self.processor.take, lambda: NOW, duty=1.0)
        self.taken = 0


_WORLD = _World()


def check(data: bytes) -> None:
    """It is refused with a reason and a status, or each of its items has a fate; and the answer can be read."""
    if not data:
        return
    how, body = data[0], data[1:]
    if how & _CONNECTION:
        with bounded():
            _spoken(body)
        return
    signal = _SIGNALS[(how & 3) % len(_SIGNALS)]
    request = Request(signal, bool(how & 4), bool(how & 8), body)
    with bounded():
        _answered(request)
        if not request.gzip:
            _same_in_gzip(request)
    _WORLD.taken += 1
    if _WORLD.taken % 64 == 0:
        _WORLD.processor.refresh(NOW)
        _WORLD.processor.snapshot(NOW)


def _answered(request: Request) -> None:
    before = dict(_WORLD.ingest.counts.totals()[COUNTED[request.signal]])
    reply, reason = _WORLD.ingest._answer(Job(request, math.inf, lambda *_: None))
    after = _WORLD.ingest.counts.totals()[COUNTED[request.signal]]
    received = sum(after.values()) - sum(before.values())
    require(0 <= received <= ITEMS, f"{received} items")
    require(reply.kind == (JSON if request.json else PROTOBUF), f"an answer of kind {reply.kind}")
    if reason is not None:
        require(not received, "items of a refused request are counted")
        require(400 <= reply.status < 600, f"a refusal with status {reply.status}")
        if request.json:
            plain(reply.body.decode())
        return
    require(reply.status == 200, f"taken, with status {reply.status}")
    batch = read(request, Resources(), lambda: None)
    require((batch if isinstance(batch, int) else sum(batch.items)) == received, "items without a fate")


def _same_in_gzip(request: Request) -> None:
    packed = zlib.compressobj(1, zlib.DEFLATED, 31)
    zipped = Request(request.signal, request.json, gzip=True, body=packed.compress(request.body) + packed.flush())
    require(_picture(request) == _picture(zipped), "gzip changes what is read")


def _picture(request: Request) -> object:
    try:
        batch = read(request, Resources(), lambda: None)
    except Refusal as refusal:
        return refusal.reason, refusal.message
    return repr(batch) if not isinstance(batch, Batch) else _of(batch)


def _of(batch: Batch) -> object:
    spans = batch.requests
    lines = (
        ()
        if spans is None
        else (spans.origin.tobytes(), spans.started.tobytes(), spans.ended.tobytes(), spans.failed.tobytes())
    )
    if spans is not None:
        require(
            len(spans.origin) == len(spans.started) == len(spans.ended) == len(spans.failed),
            "vectors of several lengths",
        )
        require(not len(spans.origin) or int(np.max(spans.origin)) < len(batch.origins), "a span of nobody")
    gauges = [(g.origin, g.column, struct.pack(">dd", g.value, g.at), g.points, g.temporal) for g in batch.gauges]
    return batch.origins, batch.items, lines, gauges


def _spoken(data: bytes) -> None:
    """A connection takes any bytes in any pieces: what it holds is bounded, and it always comes to an end."""
    held = [0]

    def room(size: int) -> bool:
        held[0] += size
        return held[0] <= BUFFERED

    link = Connection(room)
    size = 1 + (data[0] if data else 0)
    for start in range(1, len(data), size):
        for request in link.receive(data[start : start + size]):
            _replied(link, request)
        require(link.state in State, "a state that is none")
        require(len(link.answered) <= len(data), "more answers than requests")
        if link.state is State.LEAVING:
            require(not list(link.receive(b"more")), "a request after the last answer")


def _replied(link: Connection, request: Request) -> None:
    reply, reason = _WORLD.ingest._answer(Job(request, math.inf, lambda *_: None))
    for another in link.reply(reply, reason):
        _replied(link, another)
