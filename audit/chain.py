"""The hash chain: what exactly is hashed, and what makes a record follow its predecessor. Pure."""

import hashlib
import math
from functools import lru_cache
from struct import Struct as Layout

import msgspec

ALGORITHM = "sha256"
"""The only algorithm of this version. It is fixed per chain and part of every hash, so no row can name a weaker one."""

GENESIS = bytes(32)
"""What stands for the previous hash in front of record 1."""

MAX_BODY = 1 << 20
"""Bytes; a larger body is no record: reader and verifier stay within memory whatever the file holds."""

MAX_TEXT = 4096
"""Bytes of UTF-8 in each of actor, kind and subject."""

# seq, previous hash, at, epoch, then the lengths of actor, kind, subject, body; the four follow in this order.
_HEAD = Layout(">Q32sdQQQQQ")


class Entry(msgspec.Struct, frozen=True):
    """What somebody wants to have remembered.

    Attributes:
        at: epoch seconds by the writer's clock; finite.
        actor: who wrote it.
        kind: what it is, in the writer's words.
        subject: what it is about.
        body: opaque bytes, at most `MAX_BODY`.
    """

    at: float
    actor: str
    kind: str
    subject: str
    body: bytes


class Stored(Entry, frozen=True):
    """An entry in its place.

    Attributes:
        seq: 1, 2, 3, ... without a gap.
        epoch: fencing token of the leadership that wrote it; 0 for a statement.
        hash: SHA-256 over the chain, the place, the previous hash and all of the entry.
    """

    seq: int
    epoch: int
    hash: bytes


class Chain(msgspec.Struct, frozen=True):
    """Which chain, and how it hashes.

    Attributes:
        id: random, made with the journal: a record of another chain never fits.
        algorithm: name that goes into every hash.
    """

    id: str
    algorithm: str = ALGORITHM

    def hash(self, seq: int, previous: bytes, epoch: int, entry: Entry) -> bytes:
        """The hash of `entry` at this place.

        Raises:
            ValueError: an algorithm that this version does not know, or text that is not UTF-8.
        """
        actor, kind, subject = entry.actor.encode(), entry.kind.encode(), entry.subject.encode()
        state = _start(self.id, self.algorithm)
        lengths = len(actor), len(kind), len(subject), len(entry.body)
        state.update(_HEAD.pack(seq, previous, entry.at + 0.0, epoch, *lengths) + actor + kind + subject)
        state.update(entry.body)
        return state.digest()


def _start(chain: str, algorithm: str) -> "hashlib._Hash":
    return _prefix(chain, algorithm).copy()


@lru_cache(maxsize=8)
def _prefix(chain: str, algorithm: str) -> "hashlib._Hash":
    if algorithm != ALGORITHM:
        raise ValueError(f"the chain names the algorithm {algorithm!r}; this version knows only {ALGORITHM!r}")
    return hashlib.sha256(fields(b"audit-record-1", chain.encode(), algorithm.encode()))


def fields(*values: bytes) -> bytes:
    """Each value after its length (8 bytes, big-endian): no two different tuples give the same bytes."""
    return b"".join(len(value).to_bytes(8, "big") + value for value in values)


def unstorable(entry: Entry) -> str:
    """Why this entry can not become a record; empty when it can."""
    if not math.isfinite(entry.at):
        return f"its time is {entry.at}, not a finite number of seconds"
    for name in ("actor", "kind", "subject"):
        try:
            size = len(getattr(entry, name).encode())
        except UnicodeEncodeError:
            return f"its {name} is not valid text (lone surrogates): {getattr(entry, name)!a}"
        if size > MAX_TEXT:
            return f"its {name} has {size:,} bytes; allowed are {MAX_TEXT:,}"
    if len(entry.body) > MAX_BODY:
        return f"its body has {len(entry.body):,} bytes; allowed are {MAX_BODY:,}"
    return ""


class Link(msgspec.Struct, frozen=True):
    """The end of what is verified: the next record must follow it."""

    seq: int = 0
    hash: bytes = GENESIS
    epoch: int = 0


def broken(chain: Chain, link: Link, row: Stored) -> str:
    """Why `row` does not follow `link`; empty when it does."""
    if row.seq != link.seq + 1:
        return f"record {link.seq + 1} is missing: record {row.seq} follows record {link.seq}"
    try:
        expected = chain.hash(row.seq, link.hash, row.epoch, row)
    except ValueError as error:
        return str(error)
    if expected != row.hash:
        return f"record {row.seq} was changed, or does not belong here: its hash does not match"
    if row.epoch and row.epoch < link.epoch:
        return f"record {row.seq} is an effect of epoch {row.epoch} after one of epoch {link.epoch}"
    return ""


def follow(link: Link, row: Stored) -> Link:
    """The link after `row`."""
    return Link(row.seq, row.hash, row.epoch or link.epoch)
