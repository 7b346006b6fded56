"""What every SQLite store can read, over one primitive: fetch all rows of one short statement."""

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from typing import Any

from audit.chain import GENESIS, Chain, Stored
from audit.journal import Checkpoint, Pruned, Saved, Unavailable

Row = tuple[Any, ...]

MAX_SEQ = (1 << 63) - 1
"""The largest number of a record; a checkpoint from elsewhere may name a larger one."""

PAGE = 64
"""Records read at a time: no read transaction outlives a page, so a slow reader never makes the WAL grow."""

_COLUMNS = "seq, at, epoch, actor, kind, subject, body, hash"
_PAGE = f"SELECT {_COLUMNS} FROM entries WHERE seq > ? ORDER BY seq LIMIT {PAGE}"  # noqa: S608 - constants only
_ONE = f"SELECT {_COLUMNS} FROM entries WHERE seq = ?"  # noqa: S608 - constants only
HEAD = "SELECT seq, hash FROM entries ORDER BY seq DESC LIMIT 1"
CHAIN = "SELECT id, algorithm, epoch FROM chain"
_SIGNED = "SELECT seq, hash, digest, at, key, signature"


def stored(row: Row) -> Stored:
    """The record in this row.

    Raises:
        ValueError: a column does not hold what it must; the row was not written by a store.
    """
    seq, at, epoch, actor, kind, subject, body, digest = row
    if not (isinstance(seq, int) and isinstance(at, float) and isinstance(epoch, int) and epoch >= 0):
        raise ValueError(f"record {seq} is damaged: its number, time or epoch is none")
    if not all(isinstance(value, bytes) for value in row[3:]):
        raise ValueError(f"record {seq} is damaged: a column holds neither text nor bytes")
    try:
        return Stored(at, actor.decode(), kind.decode(), subject.decode(), body, seq, epoch, digest)
    except UnicodeDecodeError as error:
        raise ValueError(f"record {seq} is damaged: a column does not hold UTF-8 text") from error


def head_of(rows: list[Row]) -> tuple[int, bytes]:
    """Number and hash in the answer to `HEAD`."""
    seq, digest = rows[0] if rows else (0, GENESIS)
    if not isinstance(seq, int) or not isinstance(digest, bytes):
        raise Unavailable("the journal is damaged: its last record has no number or no hash")
    return seq, digest


def chain_of(rows: list[Row]) -> tuple[Chain, int]:
    """Chain and epoch in the answer to `CHAIN`."""
    if len(rows) != 1 or not isinstance(rows[0][2], int) or not all(isinstance(text, bytes) for text in rows[0][:2]):
        raise Unavailable("the journal is damaged: it does not say which chain it is")
    name, algorithm, epoch = rows[0]
    return Chain(name.decode(errors="replace"), algorithm.decode(errors="replace")), epoch


class Reading(ABC):
    """The reading half of a store."""

    @abstractmethod
    def fetch(self, sql: str, *arguments: object, wide: bool = False) -> list[Row]:
        """All rows of one short statement; `wide` for those that hold states.

        Raises:
            JournalError: why not.
        """

    @property
    def chain(self) -> Chain:
        """Which chain this is."""
        return self._chain()[0]

    def epoch(self) -> int:
        """The current fencing token."""
        return self._chain()[1]

    def _chain(self) -> tuple[Chain, int]:
        return chain_of(self.fetch(CHAIN))

    def page(self, seq: int) -> list[Row]:
        """The raw rows behind `seq`, at most `PAGE`."""
        return self.fetch(_PAGE, seq)

    def row(self, seq: int) -> Row | None:
        """The raw row with this number."""
        rows = self.fetch(_ONE, seq) if abs(seq) <= MAX_SEQ else []
        return rows[0] if rows else None

    def after(self, seq: int) -> Iterator[Stored]:
        """The records behind `seq`, in order, in bounded memory."""
        seq = max(seq, self._gone())
        while rows := self.page(seq):
            for row in rows:
                yield _or_unavailable(row)
            seq = rows[-1][0]

    def read(self, seq: int) -> Stored | None:
        """The record with this number; None where there is none, or it was pruned."""
        row = self.row(seq)
        return _or_unavailable(row) if row and seq > self._gone() else None

    def head(self) -> tuple[int, bytes]:
        """Number and hash of the last record."""
        return head_of(self.fetch(HEAD))

    def claims(self) -> Mapping[str, str]:
        """Holder of each claimed object."""
        rows = self.fetch("SELECT object, holder FROM claims")
        try:
            return {name.decode(): holder.decode() for name, holder in rows}
        except (UnicodeDecodeError, AttributeError) as error:
            raise Unavailable("the journal is damaged: a claim does not hold text") from error

    def signed(self, seq: int) -> list[Checkpoint]:
        """The checkpoints of records behind `seq` that the database keeps, at most `PAGE`."""
        rows = self.fetch(f"{_SIGNED} FROM checkpoints WHERE seq > ? ORDER BY seq LIMIT {PAGE}", seq)
        chain = self.chain if rows else Chain("")
        if not all(isinstance(row[0], int) for row in rows):
            raise Unavailable("the journal is damaged: a checkpoint has no number")
        return [Checkpoint(chain.id, chain.algorithm, *row) for row in rows]

    def pruned(self) -> Pruned | None:
        """What was taken away from the beginning."""
        if not self.fetch("SELECT 1 FROM sqlite_master WHERE name = 'pruned'"):  # a file of schema 1, opened to read
            return None
        rows = self.fetch("SELECT seq, hash, epoch, at, who, why, key, signature FROM pruned")
        if not rows:
            return None
        seq, digest, epoch, at, who, why, key, signature = rows[0]
        texts = (digest, who, why, key, signature)
        if not (isinstance(seq, int) and isinstance(epoch, int) and isinstance(at, float)) or not all(
            isinstance(text, bytes) for text in texts
        ):
            raise Unavailable("the journal is damaged: what it says of pruned records is nothing that was written")
        chain, names = self.chain, (who.decode(errors="replace"), why.decode(errors="replace"))
        return Pruned(chain.id, chain.algorithm, seq, digest, epoch, at, *names, key, signature)

    def _gone(self) -> int:
        pruned = self.pruned()
        return pruned.seq if pruned else 0

    def states(self) -> list[Row]:
        """Record, signed digest and bytes of the states that are kept."""
        return self.fetch("SELECT seq, digest, state FROM checkpoints WHERE state IS NOT NULL ORDER BY seq", wide=True)

    def checkpoint(self) -> Saved | None:
        """The newest checkpoint whose state and record are as they were signed."""
        newest = self.fetch(
            f"{_SIGNED}, state FROM checkpoints WHERE state IS NOT NULL ORDER BY seq DESC LIMIT 2", wide=True
        )
        for *columns, state in newest:
            chain = self.chain
            signed = Checkpoint(chain.id, chain.algorithm, *columns)
            record = self.row(signed.seq) if isinstance(signed.seq, int) else None
            whole = isinstance(state, bytes) and hashlib.sha256(state).digest() == signed.state
            if whole and record and record[-1] == signed.hash:
                return Saved(signed.seq, signed.hash, state, signed)
        return None


def _or_unavailable(row: Row) -> Stored:
    try:
        return stored(row)
    except ValueError as error:
        raise Unavailable(f"{error}; `verify` tells more") from error
