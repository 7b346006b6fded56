"""The resources of a request: who speaks, and where in the bytes are its parts."""

from collections.abc import Iterator
from dataclasses import dataclass

from google.protobuf.message import DecodeError

from telemetry.origins import Origin
from telemetry.sources.otlp import identity
from telemetry.sources.otlp.limits import (
    ATTRIBUTES,
    PARTS,
    RESOURCE_BYTES,
    RESOURCES,
    Reason,
    Refusal,
    malformed,
)
from telemetry.sources.otlp.schema import message
from telemetry.sources.otlp.wire import count, fields

_REMEMBERED, _REMEMBERED_BYTES = 4096, 4096


@dataclass(frozen=True, slots=True)
class Resource:
    """One sender in a request.

    Attributes:
        origin: who it says it is.
        scopes: start and end in the request of each of its scopes.
    """

    origin: Origin
    scopes: list[tuple[int, int]]


class Resources:
    """Reads resources; the same bytes are the same origin, so that they are read once. Not for two threads at once."""

    def __init__(self) -> None:
        self._origins: dict[bytes, Origin] = {}

    def read(self, data: bytes) -> Iterator[Resource]:
        """Each resource of a request of any signal: they are numbered alike.

        Raises:
            Refusal: the bytes are no such request, or hold too much.
        """
        resources = parts = 0
        for number, start, end in fields(data, 0, len(data)):
            if number != 1:
                continue
            resources += 1
            _bound(resources, RESOURCES, "senders")
            said, scopes = b"", []
            for inner, first, last in fields(data, start, end):
                if inner == 1:
                    said += _said(data, first, last, len(said))
                elif inner == 2:
                    parts += 1
                    _bound(parts, PARTS, "scopes")
                    scopes.append((first, last))
            yield Resource(self._origin(said), scopes)

    def _origin(self, said: bytes) -> Origin:
        known = self._origins.get(said)
        if known is not None:
            return known
        if count(said, 0, len(said), 1) > ATTRIBUTES:
            raise Refusal(Reason.ATTRIBUTES, f"a resource has at most {ATTRIBUTES} attributes")
        try:
            read = message("Resource").FromString(said)
            origin = identity.origin_of(dict(_texts(read)))
        except (DecodeError, UnicodeDecodeError) as error:
            raise malformed(f"a resource: {error}") from None
        if len(said) <= _REMEMBERED_BYTES:
            if len(self._origins) >= _REMEMBERED:
                self._origins.clear()
            self._origins[said] = origin
        return origin


def _said(data: bytes, first: int, last: int, already: int) -> bytes:
    if already + last - first > RESOURCE_BYTES:
        raise Refusal(Reason.ATTRIBUTES, f"the attributes of a resource are at most {RESOURCE_BYTES} bytes")
    return data[first:last]


def _texts(resource: object) -> Iterator[tuple[str, str]]:
    """Key and value of the attributes that are read; the first of a key counts."""
    seen = set()
    for attribute in resource.attributes:  # type: ignore[attr-defined]
        key = attribute.key.decode()
        if key not in identity.KEYS or key in seen:
            continue
        seen.add(key)
        value = attribute.value
        yield key, str(value.int_value) if value.HasField("int_value") else value.string_value.decode()


def _bound(number: int, most: int, what: str) -> None:
    if number > most:
        raise Refusal(Reason.ITEMS, f"a request holds at most {most} {what}")
