"""A walk over the tags of protobuf: what there is, and how much of it, before an object is made of anything."""

from collections.abc import Iterator

from telemetry.sources.otlp.limits import ITEMS, Reason, Refusal, malformed

_VARINT, _FIXED64, _LENGTH, _FIXED32 = 0, 1, 2, 5
_MOST_VARINT = 10  # bytes


def varint(data: bytes, place: int, end: int) -> tuple[int, int]:
    """A number, and the place behind it."""
    value = shift = 0
    last = min(end, place + _MOST_VARINT)
    while place < last:
        byte = data[place]
        place += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, place
        shift += 7
    raise malformed(f"byte {place}: a number has no end")


def fields(data: bytes, start: int, end: int) -> Iterator[tuple[int, int, int]]:
    """Number, start and end of each length-delimited field of a message; the others are stepped over."""
    place = start
    while place < end:
        at = place
        tag, place = varint(data, place, end)
        kind = tag & 7
        if kind == _LENGTH:
            size, place = varint(data, place, end)
            if size > end - place:
                raise malformed(f"byte {at}: a field is longer than what holds it")
            yield tag >> 3, place, place + size
            place += size
        else:
            place = _over(data, place, end, kind)
        if not tag >> 3:
            raise malformed(f"byte {at}: a field has number 0")


def _over(data: bytes, place: int, end: int, kind: int) -> int:
    """The place behind a field of fixed size, or of a number."""
    if kind == _VARINT:
        return varint(data, place, end)[1]
    size = {_FIXED64: 8, _FIXED32: 4}.get(kind, 0)
    if not size or size > end - place:
        raise malformed(f"byte {place}: a field of kind {kind} that is not allowed or not whole")
    return place + size


def pieces(data: bytes, start: int, end: int, number: int, most: int) -> Iterator[tuple[int, int, int]]:
    """Cut a message between its fields, so that no piece holds more than `most` fields of a number (1 to 15).

    Yields:
        Start, end, and how many fields of that number.
    """
    tag, begun, count, place = number << 3 | _LENGTH, start, 0, start
    while place < end:
        if data[place] == tag and place + 1 < end:  # nearly always
            size, behind = data[place + 1], place + 2
            if size >= 0x80:
                size, behind = varint(data, place + 1, end)
            behind += size
        else:
            behind = _behind(data, place, end)
        if behind > end:
            raise malformed(f"byte {place}: a field is longer than what holds it")
        count += data[place] == tag
        place = behind
        if count == most:
            yield begun, place, count
            begun, count = place, 0
    if count or begun < end:
        yield begun, end, count


def _behind(data: bytes, place: int, end: int) -> int:
    """The place behind the field that begins here."""
    tag, behind = varint(data, place, end)
    if not tag >> 3:
        raise malformed(f"byte {place}: a field has number 0")
    if tag & 7 == _LENGTH:
        size, behind = varint(data, behind, end)
        return behind + size
    return _over(data, behind, end, tag & 7)


def count(data: bytes, start: int, end: int, number: int) -> int:
    """How many length-delimited fields of a number a message has."""
    return sum(found == number for found, _, _ in fields(data, start, end))


class Tally:
    """Counts the items of one request, and refuses one too many.

    Attributes:
        items: so far.
    """

    def __init__(self) -> None:
        self.items = 0

    def add(self, items: int) -> None:
        """So many more."""
        self.items += items
        if self.items > ITEMS:
            raise Refusal(Reason.ITEMS, f"a request holds at most {ITEMS} items: send smaller batches")
