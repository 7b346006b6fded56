"""Signed checkpoints: what makes a cut tail or a rewritten chain show.

The hash chain has no key, so whoever can write the file can make a new, valid chain. A checkpoint says, signed, which
hash a record had; its line outside the database stays when the database is changed.
"""

import errno
import hashlib
import os
import struct
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import msgspec

from audit.chain import Chain, fields
from audit.files import refused, sync_directory
from audit.journal import Checkpoint, JournalError, Store
from audit.keys import Signer, signed_by_owner
from audit.pruned import authentic

__all__ = [
    "EVERY_RECORDS",
    "EVERY_SECONDS",
    "EXPORT",
    "Rewound",
    "Signer",
    "due",
    "export",
    "exported",
    "genuine",
    "last_exported",
    "line",
    "parse",
    "require_exported",
    "save",
    "sign",
]

EXPORT = "checkpoints.jsonl"
"""Name of the export in the state directory."""

EVERY_RECORDS = 10_000
EVERY_SECONDS = 300.0

_LAST = 1 << 16  # bytes at the end of the export in which its last genuine line is looked for


class Rewound(JournalError):  # noqa: N818 - an error of the journal, named like its sisters
    """The journal is behind, or other than, what its own exported checkpoints say."""


class _Line(msgspec.Struct, forbid_unknown_fields=True):
    chain: str
    algorithm: str
    seq: int
    hash: str
    state: str
    at: float
    key: str
    signature: str


def due(
    records: int,
    seconds: float,
    *,
    stopping: bool = False,
    every_records: int = EVERY_RECORDS,
    every_seconds: float = EVERY_SECONDS,
) -> bool:
    """Whether a checkpoint is due: there is news, and enough of it, or it is old enough, or the last chance.

    Args:
        records: since the last checkpoint.
        seconds: since the last checkpoint.
        stopping: a clean stop.
        every_records: how many are enough.
        every_seconds: how old is old enough.
    """
    return records > 0 and (stopping or records >= every_records or seconds >= every_seconds)


def sign(signer: Signer, chain: Chain, record: tuple[int, bytes], state: bytes, at: float) -> Checkpoint:
    """The signed statement that record `record[0]` has the hash `record[1]`, and that the state there is `state`."""
    digest = hashlib.sha256(state).digest()
    unsigned = Checkpoint(chain.id, chain.algorithm, *record, digest, float(at), signer.public, b"")
    return msgspec.structs.replace(unsigned, signature=signer.signature(_message(unsigned)))


def _message(checkpoint: Checkpoint) -> bytes:
    return fields(
        b"audit-checkpoint-1",
        checkpoint.chain.encode(),
        checkpoint.algorithm.encode(),
        struct.pack(">Q", checkpoint.seq),
        checkpoint.hash,
        checkpoint.state,
        struct.pack(">d", checkpoint.at),
    )


def genuine(checkpoint: Checkpoint, key: bytes | None = None) -> bool:
    """Whether the signature holds under the key the checkpoint names and, if given, that is this `key`."""
    return signed_by_owner(checkpoint, _message, key)


def line(checkpoint: Checkpoint) -> bytes:
    """The checkpoint as one line of JSON."""
    values = _Line(
        checkpoint.chain,
        checkpoint.algorithm,
        checkpoint.seq,
        checkpoint.hash.hex(),
        checkpoint.state.hex(),
        checkpoint.at,
        checkpoint.key.hex(),
        checkpoint.signature.hex(),
    )
    return msgspec.json.encode(values) + b"\n"


def parse(text: bytes) -> Checkpoint:
    """The checkpoint in this line.

    Raises:
        ValueError: it is none.
    """
    read = msgspec.json.decode(text, type=_Line)
    digests = (bytes.fromhex(read.hash), bytes.fromhex(read.state))
    return Checkpoint(
        read.chain, read.algorithm, read.seq, *digests, read.at, bytes.fromhex(read.key), bytes.fromhex(read.signature)
    )


def save(store: Store, signer: Signer, state_dir: Path, state: bytes, place: tuple[int, float]) -> Checkpoint:
    """Sign the state at record `place[0]` and time `place[1]`, keep it in the store, export it.

    Raises:
        JournalError: it could not be kept or exported; the journal itself is unharmed.
    """
    seq, at = place
    record = store.read(seq)
    if record is None:
        raise JournalError(f"no checkpoint: there is no record {seq}")
    signed = sign(signer, store.chain, (seq, record.hash), state, at)
    export(state_dir / EXPORT, signed)  # first: its record is durable already, so the line is true in any case
    store.save_checkpoint(signed, state)
    return signed


def export(path: Path, checkpoint: Checkpoint) -> None:
    """Append the checkpoint's line durably; a line that can not be written whole leaves nothing.

    Raises:
        Full: no space left.
        ReadOnly: the file can not be written.
        Unavailable: an I/O error.
    """
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            _append(descriptor, line(checkpoint))
        finally:
            os.close(descriptor)
        sync_directory(path.parent)
    except OSError as error:
        raise refused(error, path) from error


def _append(descriptor: int, text: bytes) -> None:
    size = os.fstat(descriptor).st_size
    if size and os.pread(descriptor, 1, size - 1) != b"\n":  # a power cut in the middle of the last line
        text = b"\n" + text
    try:
        written = os.write(descriptor, text)
        if written == len(text):
            os.fsync(descriptor)
            return
    except OSError:
        os.ftruncate(descriptor, size)
        raise
    os.ftruncate(descriptor, size)
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def exported(path: Path) -> Iterator[Checkpoint]:
    """The checkpoints in the export, whoever signed them; torn lines are passed over.

    Raises:
        JournalError: it can not be read.
    """
    try:
        with path.open("rb") as file:
            for text in file:
                with suppress(ValueError):
                    yield parse(text)
    except OSError as error:
        raise refused(error, path) from error


def last_exported(path: Path, key: bytes) -> Checkpoint | None:
    """The last line of the export that this key signed; forged or torn lines behind it are passed over."""
    try:
        with path.open("rb") as file:
            file.seek(max(0, path.stat().st_size - _LAST))
            lines = file.read().split(b"\n")
    except FileNotFoundError:
        return None
    except OSError as error:
        raise refused(error, path) from error
    for text in reversed(lines):
        try:
            checkpoint = parse(text)
        except ValueError:
            continue
        if genuine(checkpoint, key):
            return checkpoint
    return None


def require_exported(store: Store, state_dir: Path, key: bytes) -> None:
    """The store holds what its last exported checkpoint says.

    Raises:
        Rewound: it was cut, restored from an older copy, or replaced.
    """
    pruned = store.pruned()
    if pruned and not authentic(pruned, key):
        raise Rewound(f"the journal says that records 1 to {pruned.seq} were pruned, but this key did not sign that")
    path = state_dir / EXPORT
    last = last_exported(path, key)
    if last is None:
        return
    where = f"{path} holds a signed checkpoint of record {last.seq}"
    repair = f"Put the right journal back, or, to begin a new trail knowingly, move {EXPORT} away"
    if last.chain != store.chain.id:
        raise Rewound(f"{where} of another journal ({last.chain}); this one is {store.chain.id}. {repair}")
    record = store.read(last.seq)
    if record is None or record.hash != last.hash:
        found = "has another hash there" if record else f"ends at record {store.head()[0]}"
        raise Rewound(f"{where}, but the journal {found}: it was cut, rewritten or restored from a copy. {repair}")
