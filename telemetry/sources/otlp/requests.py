"""From the bytes of a request to a batch, and from what became of it to the bytes of the answer."""

import json
import zlib
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum

from telemetry.batch import KEPT, Batch, Fate
from telemetry.sources.otlp import text
from telemetry.sources.otlp.limits import BODY, RETRY_AFTER, Reason, Refusal, malformed
from telemetry.sources.otlp.metrics import read_metrics
from telemetry.sources.otlp.resources import Resources
from telemetry.sources.otlp.traces import read_traces
from telemetry.sources.otlp.wire import Tally, pieces

PROTOBUF, JSON = "application/x-protobuf", "application/json"
_PIECE = 4096


class Signal(StrEnum):
    """What a request holds; the last part of its path."""

    TRACES = "traces"
    METRICS = "metrics"
    LOGS = "logs"


ITEMS: Mapping[Signal, str] = {Signal.TRACES: "spans", Signal.METRICS: "data_points", Signal.LOGS: "log_records"}
NO_LOGS = "logs are not read"


@dataclass(frozen=True, slots=True)
class Request:
    """A request whose body was received.

    Attributes:
        signal: which.
        json: whether it is JSON rather than protobuf.
        gzip: whether it is compressed.
        body: as received.
    """

    signal: Signal
    json: bool
    gzip: bool
    body: bytes


@dataclass(frozen=True, slots=True)
class Reply:
    """What a sender is told."""

    status: int
    kind: str
    body: bytes
    retry_after: int = 0


def read(request: Request, resources: Resources, rest: Callable[[], None]) -> Batch | int:
    """The batch of a request; of logs, which are not read, only how many there are.

    Args:
        request: what came.
        resources: who is known already.
        rest: called every half millisecond or so, so that others get their turn.

    Raises:
        Refusal: it can not be read, or holds too much.
    """
    data = unpacked(request.body) if request.gzip else request.body
    rest()
    match request.signal, request.json:
        case Signal.TRACES, True:
            return text.read_traces(data)
        case Signal.TRACES, False:
            return read_traces(data, resources, rest)
        case Signal.METRICS, True:
            return text.read_metrics(data)
        case Signal.METRICS, False:
            return read_metrics(data, resources, rest)
        case _, True:
            return text.count_logs(data)
        case _:
            return _count_logs(data, resources, rest)


def unpacked(body: bytes) -> bytes:
    """The content of a gzip body, never more than is allowed.

    Raises:
        Refusal: it is no gzip, not whole, more than one, or too large.
    """
    gzip = zlib.decompressobj(wbits=31)
    try:
        data = gzip.decompress(body, BODY + 1)
    except zlib.error as error:
        raise malformed(f"gzip: {error}") from None
    if len(data) > BODY:
        raise Refusal(Reason.LARGE, f"a request is at most {BODY} bytes after decompression")
    if not gzip.eof:
        raise malformed("gzip: it ends too early")
    if gzip.unused_data:
        raise malformed("gzip: there is something behind its end")
    return data


def _count_logs(data: bytes, resources: Resources, rest: Callable[[], None]) -> int:
    tally = Tally()
    for resource in resources.read(data):
        for first, last in resource.scopes:
            for _, _, records in pieces(data, first, last, 2, _PIECE):
                tally.add(records)
                rest()
    return tally.items


def accepted(request: Request, fates: Counter[Fate]) -> Reply:
    """The answer to a request that was taken, with what of it was not."""
    lost = sum(items for fate, items in fates.items() if fate not in KEPT)
    said = ", ".join(f"{items} {_WORDS[fate]}" for fate, items in fates.items() if fate is not Fate.ACCEPTED)
    return _success(request, lost, said)


def logs_refused(request: Request, items: int) -> Reply:
    """The answer to logs: they are well received, and none is taken."""
    return _success(request, items, NO_LOGS if items else "")


def refused(refusal: Refusal, json_wanted: bool) -> Reply:
    """The answer to a request that is not taken: a Status, as the protocol asks."""
    retry = RETRY_AFTER if refusal.reason is Reason.FULL else 0
    if json_wanted:
        return Reply(refusal.status, JSON, json.dumps({"message": refusal.message}).encode(), retry)
    return Reply(refusal.status, PROTOBUF, _bytes_field(2, refusal.message.encode()), retry)


_WORDS: Mapping[Fate, str] = {
    Fate.UNMATCHED: "of a service that no platform lists: shown by `auto status`, used for nothing",
    Fate.SERIES: "of one more service that no platform lists: there is no room to show it",
    Fate.FUTURE: "that end in the future: look at the sender's clock",
    Fate.PAST: "older than a minute",
    Fate.BACKWARDS: "that end before they start",
    Fate.VALUE: "that are not finite numbers of 0 or more",
    Fate.TEMPORALITY: "of a sum that is no current value",
}


def _success(request: Request, lost: int, said: str) -> Reply:
    """Zero lost with words is a warning, by the protocol."""
    if request.json:
        name = "rejected" + ITEMS[request.signal].title().replace("_", "")
        partial = {"partialSuccess": {name: str(lost), "errorMessage": said}} if said else {}
        return Reply(200, JSON, json.dumps(partial).encode())
    if not said:
        return Reply(200, PROTOBUF, b"")
    rejected = b"\x08" + _varint(lost) if lost else b""
    return Reply(200, PROTOBUF, _bytes_field(1, rejected + _bytes_field(2, said.encode())))


def _bytes_field(number: int, content: bytes) -> bytes:
    return bytes([number << 3 | 2]) + _varint(len(content)) + content


def _varint(value: int) -> bytes:
    parts = bytearray()
    while value > 0x7F:
        parts.append(value & 0x7F | 0x80)
        value >>= 7
    parts.append(value)
    return bytes(parts)
