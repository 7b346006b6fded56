"""Records as text for other programs: JSON lines, and CSV that a spreadsheet can not be made to run."""

import csv
from base64 import b64encode
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import TextIO

import msgspec

from audit.chain import Stored

COLUMNS = ("seq", "at", "epoch", "actor", "kind", "subject", "body", "body_base64", "hash")

_FORMULA = tuple("=+-@\t\r\n|%")
"""A cell that begins with one of these gets an apostrophe in front: spreadsheets would take it for a formula."""


def export_jsonl(records: Iterable[Stored], out: TextIO) -> int:
    """Write one object a line; returns how many.

    A body that is JSON stands as `body`, as it is; any other as `body_base64`.
    """
    count = 0
    encoder = msgspec.json.Encoder()
    for count, record in enumerate(records, start=1):  # noqa: B007 - the number of the last is the result
        body = _json(record.body)
        value: dict[str, object] = {
            "seq": record.seq,
            "at": instant(record.at),
            "epoch": record.epoch,
            "actor": record.actor,
            "kind": record.kind,
            "subject": record.subject,
        }
        if body is None:
            value["body_base64"] = b64encode(record.body).decode()
        else:
            value["body"] = msgspec.Raw(body)
        value["hash"] = record.hash.hex()
        out.write(encoder.encode(value).decode() + "\n")
    return count


def export_csv(records: Iterable[Stored], out: TextIO) -> int:
    """Write a header and one row for each record; returns how many records.

    Cells that a spreadsheet would run as a formula begin with an apostrophe.
    """
    count = 0
    # all text is quoted: left to itself, the module writes a lone carriage return bare, which begins a row for many
    writer = csv.writer(out, quoting=csv.QUOTE_NONNUMERIC, lineterminator="\n")
    writer.writerow(COLUMNS)
    for count, record in enumerate(records, start=1):  # noqa: B007 - the number of the last is the result
        body = _json(record.body)
        bodies = ("", b64encode(record.body).decode()) if body is None else (body.decode(), "")
        texts = (record.actor, record.kind, record.subject, *bodies)
        writer.writerow((record.seq, instant(record.at), record.epoch, *map(_harmless, texts), record.hash.hex()))
    return count


def instant(at: float) -> str:
    """ISO 8601 in UTC with microseconds; plain seconds outside the years 1 to 9999."""
    try:
        return datetime.fromtimestamp(at, UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
    except (ValueError, OverflowError, OSError):
        return repr(at)


def _json(body: bytes) -> bytes | None:
    """The body on one line, if it is JSON."""
    try:
        msgspec.json.decode(body)
        return msgspec.json.format(body, indent=-1)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
        return None


def _harmless(cell: str) -> str:
    return f"'{cell}" if cell.startswith(_FORMULA) else cell
