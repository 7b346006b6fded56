"""What a sender may send, in one table, and how it is told that it may not."""

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType

BODY = 8 << 20
"""Bytes of one request, as sent and again after decompression."""
ITEMS = 50_000
"""Spans, data points or log records of one request."""
RESOURCES = 1_000
"""Senders in one request."""
PARTS = 20_000
"""Scopes, and metrics, of one request."""
RESOURCE_BYTES = 64 << 10
"""Bytes that one sender may say of itself."""
ATTRIBUTES = 256
"""Attributes that one sender may say of itself; those of spans and points are never read."""
NAME = 255
"""Bytes of a name that are read; no target's name is longer."""
JSON_OBJECTS = 400_000
"""Opening braces of a JSON request."""
BUFFERED = 32 << 20
"""Bytes of all requests that are being received or wait."""
CONNECTIONS = 256
REQUEST_SECONDS = 10.0
"""From the first byte of a request to its last."""
IDLE_SECONDS = 75.0
"""Between two requests of a connection."""
WAIT_SECONDS = 4.0
"""Longest wait of a request that was received; SDKs give up after ten seconds."""
RETRY_AFTER = 2
"""Seconds after which a sender should try again."""


class Reason(StrEnum):
    """Why a whole request was not taken."""

    PATH = "path"
    METHOD = "method"
    ORIGIN = "origin"  # it comes from a web page
    TYPE = "type"
    ENCODING = "encoding"
    LARGE = "large"
    ITEMS = "items"
    ATTRIBUTES = "attributes"
    MALFORMED = "malformed"
    SLOW = "slow"
    FULL = "full"
    ABORTED = "aborted"  # the sender went away in the middle of it


_STATUS: Mapping[Reason, int] = MappingProxyType(
    {
        Reason.PATH: 404,
        Reason.METHOD: 405,
        Reason.ORIGIN: 403,
        Reason.TYPE: 415,
        Reason.ENCODING: 415,
        Reason.LARGE: 413,
        Reason.ITEMS: 413,
        Reason.ATTRIBUTES: 413,
        Reason.MALFORMED: 400,
        Reason.SLOW: 408,
        Reason.FULL: 503,
        Reason.ABORTED: 400,
    }
)


class Refusal(Exception):  # noqa: N818 - it is an answer, not a fault of ours
    """A request that is not taken, and why.

    Attributes:
        reason: by which it is counted.
        message: for the sender.
    """

    def __init__(self, reason: Reason, message: str) -> None:
        super().__init__(message)
        self.reason = reason
        self.message = message

    @property
    def status(self) -> int:
        """Of HTTP: only 503 asks the sender to try again."""
        return _STATUS[self.reason]


def malformed(what: str) -> Refusal:
    """A request that can not be read."""
    return Refusal(Reason.MALFORMED, f"the request can not be read: {what}")
