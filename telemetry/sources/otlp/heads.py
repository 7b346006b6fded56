"""The head of a request: what it is, or why it is not taken, before a byte of its body is read."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from telemetry.sources.otlp.limits import BODY, Reason, Refusal
from telemetry.sources.otlp.requests import JSON, PROTOBUF, Signal

_PATHS = {f"/v1/{signal}": signal for signal in Signal}
_ENCODINGS = {"": False, "identity": False, "gzip": True}


@dataclass(frozen=True, slots=True)
class Head:
    """What a request says of itself.

    Attributes:
        signal: by its path.
        json: whether it is JSON rather than protobuf.
        gzip: whether its body is compressed.
    """

    signal: Signal
    json: bool
    gzip: bool


def head_of(method: str, path: str, headers: Sequence[tuple[bytes, bytes]]) -> Head:
    """The head of a request; names of headers are in lower case.

    Raises:
        Refusal: it is not for us.
    """
    said = {name.decode("latin-1"): value.decode("latin-1").strip().lower() for name, value in headers}
    signal = _PATHS.get(path.partition("?")[0])
    if signal is None:
        raise Refusal(Reason.PATH, f"there are {', '.join(_PATHS)}")
    if method != "POST":
        raise Refusal(Reason.METHOD, "only POST is answered")
    if "origin" in said:
        raise Refusal(Reason.ORIGIN, "requests of web pages are not taken")
    kind = said.get("content-type", "").partition(";")[0].strip()
    if kind not in (PROTOBUF, JSON):
        raise Refusal(Reason.TYPE, f"the content type is {PROTOBUF} or {JSON}")
    encoding = said.get("content-encoding", "")
    if encoding not in _ENCODINGS:
        raise Refusal(Reason.ENCODING, "the content encoding is gzip or none")
    _fits(said)
    return Head(signal, kind == JSON, _ENCODINGS[encoding])


def wants_json(headers: Sequence[tuple[bytes, bytes]]) -> bool:
    """Whether an answer is best given in JSON."""
    return any(name == b"content-type" and value.lower().startswith(JSON.encode()) for name, value in headers)


def too_large() -> Refusal:
    """A body over the limit."""
    return Refusal(Reason.LARGE, f"a request is at most {BODY} bytes: send smaller batches")


def _fits(said: Mapping[str, str]) -> None:
    length = said.get("content-length", "")
    if re.fullmatch(r"[0-9]+", length) and (len(length) > 12 or int(length) > BODY):
        raise too_large()
