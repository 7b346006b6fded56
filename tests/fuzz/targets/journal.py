"""The journal reader: damaged files, forged checkpoints, bodies that no version wrote, and what is exported of them."""

import contextlib
import csv
import io
import json
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import msgspec

from audit import checkpoint as checkpoints
from audit.chain import GENESIS, Chain, Link, Stored, broken, unstorable
from audit.checkpoint import EXPORT
from audit.export import COLUMNS, export_csv, export_jsonl
from audit.journal import JournalError
from audit.keys import Signer
from audit.stores.read_only import open_read_only
from audit.verify import verify
from controller.core.records import AnyRecord, decode, encode
from controller.core.state import dump, load
from tests.audit.journals import NAME, make_journal
from tests.fuzz.rules import bounded, grown, plain, require, scratch

_ROOT = scratch()
_GOOD = _ROOT / "good"
_BYTES = make_journal(_GOOD, 12, (4, 9)).read_bytes()
_SIGNER = Signer.open(_ROOT)
_CHAIN = json.loads((_GOOD / EXPORT).read_text().splitlines()[0])["chain"]
_TABLES = {
    "chain": ("id", "algorithm", "epoch"),
    "entries": ("seq", "at", "epoch", "actor", "kind", "subject", "body", "hash"),
    "checkpoints": ("seq", "hash", "digest", "at", "key", "signature", "state"),
    "claims": ("object", "holder"),
}
WORDS = [
    "chain",
    "algorithm",
    "seq",
    "hash",
    "state",
    "at",
    "key",
    "signature",
    "sha256",
    *_TABLES,
    "18446744073709551615",
]
WORDS += [kind.__name__.lower() for kind in AnyRecord.__args__] + [
    "episode",
    "target",
    "platform",
    "before",
    "after",
    "changes",
]


def check(data: bytes) -> None:
    """The first byte says what is damaged."""
    if not data:
        return
    ways = (_line, _body, _image, _patched, _forged, _rows, _exported)
    with bounded():
        ways[data[0] % len(ways)](grown(data[1:]))


def _line(text: bytes) -> None:
    """A line of the export is a checkpoint that reads back as itself, or no checkpoint."""
    path = _ROOT / "lines.jsonl"
    path.write_bytes(text)
    checkpoints.last_exported(path, _SIGNER.public)
    try:
        read = checkpoints.parse(text)
    except ValueError:
        return
    require(checkpoints.parse(checkpoints.line(read)) == read, "a checkpoint is another one after it was written")
    require(not checkpoints.genuine(read, _SIGNER.public), "a signature that nobody made")


def _body(body: bytes) -> None:
    """A body is a record that reads back as itself, or no record."""
    try:
        record = decode(body)
    except msgspec.DecodeError:
        return
    require(decode(encode(record)) == record, "a record is another one after it was written")


def _image(image: bytes) -> None:
    """An image is a state that reads back as itself, or no state."""
    try:
        state = load(image)
    except msgspec.DecodeError:
        return
    require(dump(load(dump(state))) == dump(state), "a state is another one after it was kept")


def _copy() -> Path:
    """The good journal again, with what stands beside it."""
    folder = _ROOT / "damaged"
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(_GOOD, folder)
    return folder / NAME


def _patched(edits: bytes) -> None:
    """Bytes of the file are others: three for the place, one for the value."""
    content = bytearray(_BYTES)
    for start in range(0, len(edits) - 3, 4):
        content[int.from_bytes(edits[start : start + 3], "big") % len(content)] = edits[start + 3]
    path = _copy()
    path.write_bytes(content)
    _read(path)


def _rows(text: bytes) -> None:
    """Rows are changed by somebody with SQLite: `table column row value`, the value in JSON, a line each."""
    path = _copy()
    with closing(sqlite3.connect(path)) as connection:
        for line in text.splitlines()[:20]:
            table, _, rest = line.decode(errors="replace").partition(" ")
            column, _, rest = rest.partition(" ")
            row, _, value = rest.partition(" ")
            if column not in _TABLES.get(table, ()) or not row.isascii() or not row.isdigit() or len(row) > 9:
                continue
            with contextlib.suppress(sqlite3.Error, OverflowError):
                known = _value(value)
                connection.execute(
                    f"UPDATE {table} SET {column} = ? WHERE _rowid_ = ?",
                    (known, int(row)),
                )
        connection.commit()
    _read(path)


def _value(text: str) -> Any:
    """A value as SQLite keeps it; what is no JSON is a blob."""
    try:
        value = json.loads(text, parse_int=lambda digits: int(digits[:30]))
    except (ValueError, RecursionError):
        return text.encode()
    return value if value is None or isinstance(value, int | float | str) else text.encode()


def _read(path: Path) -> None:
    """Every reader of a journal gives records, or a JournalError that says what and where; verify never raises."""
    report = verify(path)
    require(report.ok or report.problem.strip(), "something is wrong, and nobody says what")
    verify(path, key_path=_GOOD / "signing.pub")
    try:
        with closing(open_read_only(path)) as store:
            list(store.after(0))
            for work in (store.checkpoint, store.claims, store.head, store.epoch):
                with contextlib.suppress(JournalError):
                    work()
    except JournalError as error:
        require(str(error).strip(), "an error says nothing")


def _forged(text: bytes) -> None:
    """A checkpoint that is signed, by whoever: any fields that its line can hold."""
    try:
        fields = msgspec.json.decode(text)
        record = int(fields["seq"]), bytes.fromhex(fields["hash"])
        chain = Chain(str(fields["chain"]) or _CHAIN)
        made = checkpoints.sign(_SIGNER, chain, record, b"", float(fields["at"]))
        line = checkpoints.line(made)
    except Exception:  # noqa: BLE001 - what can not be signed was never a checkpoint
        return
    with contextlib.suppress(ValueError):
        checkpoints.parse(line)
    path = _copy()
    path.with_name(EXPORT).write_bytes(line)
    _read(path)
    path.with_name("signing.pub").unlink()
    _read(path)
    with closing(open_read_only(path)) as store, contextlib.suppress(JournalError):
        checkpoints.require_exported(store, path.parent, _SIGNER.public)


def _exported(text: bytes) -> None:
    """Records of any text and body: as JSON lines and as CSV they are all there, and nothing runs."""
    parts = (text.split(b"\x1f") + [b""] * 4)[:4]
    actor, kind, subject = (part.decode(errors="surrogateescape") for part in parts[:3])
    at = float(len(text)) * (-1.0 if text[:1] == b"-" else 1e6)
    record = Stored(at, actor, kind, subject, parts[3], 1, 0, GENESIS)
    if why := unstorable(record):
        require(why.strip(), "refused without a reason")
        return
    chain = Chain("fuzz")
    sealed = msgspec.structs.replace(record, hash=chain.hash(1, GENESIS, 0, record))
    require(not broken(chain, Link(), sealed), "a record does not follow its own hash")
    lines = io.StringIO()
    require(export_jsonl([sealed], lines) == 1, "a record is missing")
    only, end = lines.getvalue().split("\n")
    require(not end, "a record of several lines")
    said = json.loads(only)
    require((said["actor"], said["kind"], said["subject"]) == (actor, kind, subject), "text changes on its way out")
    cells = io.StringIO(newline="")
    require(export_csv([sealed], cells) == 1, "a record is missing")
    rows = list(csv.reader(io.StringIO(cells.getvalue(), newline=""), strict=True))
    require(len(rows) == 2 and len(rows[1]) == len(COLUMNS), "a cell breaks its row")
    require(
        not any(cell.startswith(("=", "+", "@", "\t", "\r", "\n", "|", "%")) for cell in rows[1]), "a cell that runs"
    )
    plain(said["at"])
