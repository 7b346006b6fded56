"""Spans from protobuf: of each its kind, times and status, and nothing else."""

from array import array
from collections.abc import Callable
from typing import Any

import numpy as np
from google.protobuf.message import DecodeError

from telemetry.batch import Batch, Requests
from telemetry.origins import Origin
from telemetry.sources.otlp.limits import malformed
from telemetry.sources.otlp.resources import Resources
from telemetry.sources.otlp.schema import message
from telemetry.sources.otlp.wire import Tally, pieces

SERVING = frozenset({2, 5})
"""Kinds of spans that are requests: SERVER and CONSUMER."""
ERROR = 2
"""The status code of a failed span."""
_PIECE = 512  # spans between two rests: half a millisecond


class RequestLines:
    """Collects server spans, and makes vectors of them."""

    def __init__(self) -> None:
        self.origins: list[Origin] = []
        self.items: list[int] = []
        self._origin, self._failed = array("q"), array("b")
        self._started, self._ended = array("Q"), array("Q")

    def begin(self, origin: Origin) -> None:
        """What is added now is of this origin."""
        self.origins.append(origin)
        self.items.append(0)

    def add(self, started: list[int], ended: list[int], failed: list[bool]) -> None:
        """Add server spans; nanoseconds.

        Raises:
            OverflowError: a time is not one of 64 bits.
        """
        self._started.extend(started)
        self._ended.extend(ended)
        self._failed.extend(failed)
        self._origin.extend([len(self.origins) - 1] * len(failed))

    def batch(self) -> Batch:
        """All of them."""
        requests = Requests(
            np.frombuffer(self._origin, np.int64),
            np.frombuffer(self._started, np.uint64),
            np.frombuffer(self._ended, np.uint64),
            np.frombuffer(self._failed, np.bool_),
        )
        return Batch(self.origins, self.items, requests)


def read_traces(data: bytes, resources: Resources, rest: Callable[[], None]) -> Batch:
    """A batch from an ExportTraceServiceRequest.

    Args:
        data: its bytes.
        resources: who is known already.
        rest: called every half millisecond or so, so that others get their turn.

    Raises:
        Refusal: the bytes are no such request, or hold too much.
    """
    lines, tally = RequestLines(), Tally()
    scope = message("ScopeSpans")
    for resource in resources.read(data):
        lines.begin(resource.origin)
        for first, last in resource.scopes:
            for start, end, spans in pieces(data, first, last, 2, _PIECE):
                tally.add(spans)
                lines.items[-1] += spans
                try:
                    _add(lines, scope.FromString(data[start:end]))
                except DecodeError as error:
                    raise malformed(f"spans: {error}") from None
                rest()
    return lines.batch()


def _add(lines: RequestLines, scope: Any) -> None:
    serving = [span for span in scope.spans if span.kind in SERVING]
    lines.add(
        [span.start_time_unix_nano for span in serving],
        [span.end_time_unix_nano for span in serving],
        [_failed(span.status) for span in serving],
    )


def _failed(status: bytes) -> bool:
    """Most spans have no status at all, or the same few bytes."""
    if not status:
        return False
    return bool(message("Status").FromString(status).code == ERROR)
