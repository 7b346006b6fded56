"""The journal in one SQLite file: the default store.

One thread uses one `SqliteStore` (SQLite's module enforces it); other threads and processes open their own.
"""

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from audit import chain as chains
from audit.chain import Chain, Entry, Link
from audit.journal import (
    Checkpoint,
    Claim,
    Claimed,
    Fenced,
    JournalError,
    OverBudget,
    Pruned,
    Spend,
    Store,
    Unavailable,
    Unstorable,
)
from audit.stores.connection import MAX_STATE, SqliteError, ensure, explained, limit, open_writable, poisons
from audit.stores.read_only import open_read_only
from audit.stores.reading import CHAIN, HEAD, Reading, Row, chain_of, head_of

__all__ = ["SqliteStore", "open_read_only"]

TAIL = 1000
"""Records whose chain is verified at each opening: what a crash could have touched."""

PRUNE = 5_000
"""Records that are taken away in one transaction: other writers wait for no more than that."""

KEEP_SPENDS = 86_400.0
"""Seconds for which spends stay even where their window is shorter, so that a wider window finds its past."""


class SqliteStore(Reading):
    """A journal in a file, which is made if there is none.

    An I/O error closes the connection; the next call opens it again and verifies the tail. How often to try is the
    caller's choice.
    """

    def __init__(self, path: Path) -> None:
        self._path = path.absolute()
        self._closed = False
        self._connection: sqlite3.Connection | None = None
        self._file = (0, 0)
        self._id = ""
        self._seen = Link()
        ensure(self._path)
        self._ready()

    @staticmethod
    def open(path: Path, *, read_only: bool = False) -> Store:
        """The journal at `path`: made if there is none, or, read-only, opened without leaving a trace."""
        return open_read_only(path) if read_only else SqliteStore(path)

    def append(
        self,
        entries: Sequence[Entry],
        *,
        epoch: int | None,
        claims: Sequence[Claim] = (),
        releases: Sequence[str | Claim] = (),
        spends: Sequence[Spend] = (),
    ) -> int:
        """Append all of it durably, or nothing; see `audit.journal.Store`."""
        _require(entries, epoch, (claims, releases, spends))
        with self._transaction() as connection:
            chain, current = self._current(connection)
            if epoch is not None and epoch != current:
                raise Fenced(epoch, current)
            _release(connection, releases)
            _claim(connection, claims)
            for spend in spends:
                _spend(connection, spend)
            first, link = self._chained(connection, chain, entries, epoch or 0)
        self._seen = link
        return first

    def lead(self, holder: str) -> int:
        """Begin a leadership; effects of all earlier epochs are refused from now on."""
        with self._transaction() as connection:
            current = self._current(connection)[1]
            connection.execute("UPDATE chain SET epoch = ?, holder = ?", (current + 1, holder))
        return current + 1

    def save_checkpoint(self, signed: Checkpoint, state: bytes) -> None:
        """Keep a signed state; of older checkpoints but one only the signature stays."""
        if len(state) > MAX_STATE:
            raise Unstorable(f"the state has {len(state):,} bytes; allowed are {MAX_STATE:,}")
        with self._transaction() as connection:
            limit(connection, wide=True)
            rows = connection.execute("SELECT hash FROM entries WHERE seq = ?", (signed.seq,)).fetchall()
            if not rows or rows[0][0] != signed.hash:
                raise JournalError(f"the checkpoint is not of this journal: record {signed.seq} has another hash")
            connection.execute(
                "INSERT OR REPLACE INTO checkpoints VALUES (?, ?, ?, ?, ?, ?, ?)",
                (signed.seq, signed.hash, signed.state, signed.at, signed.key, signed.signature, state),
            )
            connection.execute(
                "UPDATE checkpoints SET state = NULL WHERE state IS NOT NULL AND seq < "
                "(SELECT min(seq) FROM (SELECT seq FROM checkpoints ORDER BY seq DESC LIMIT 2))"
            )

    def prune(self, pruned: Pruned) -> int:
        """Take away the records up to `pruned.seq`: first they count no more, durably, then they go, part by part."""
        with self._transaction() as connection:
            _prunable(connection, pruned, self._current(connection)[0], self._gone())
            said = (pruned.seq, pruned.hash, pruned.epoch, pruned.at, pruned.who, pruned.why)
            connection.execute(
                "INSERT OR REPLACE INTO pruned VALUES (1, ?, ?, ?, ?, ?, ?, ?, ?)",
                (*said, pruned.key, pruned.signature),
            )
            connection.execute("DELETE FROM checkpoints WHERE seq <= ?", (pruned.seq,))
        count = 0
        while gone := self._take_away(pruned.seq):
            count += gone
        return count

    def _take_away(self, seq: int) -> int:
        with self._transaction() as connection:
            part = "DELETE FROM entries WHERE seq <= ? AND seq < (SELECT min(seq) FROM entries) + ?"
            return connection.execute(part, (seq, PRUNE)).rowcount

    def fetch(self, sql: str, *arguments: object, wide: bool = False) -> list[Row]:
        """All rows of one short statement."""
        connection = self._ready()
        limit(connection, wide=wide)
        try:
            return connection.execute(sql, arguments).fetchall()
        except SqliteError as error:
            raise self._failed(error) from error

    def close(self) -> None:
        """Let go of the file."""
        self._closed = True
        self._drop()

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        connection = self._ready()
        limit(connection, wide=False)
        try:
            connection.execute("BEGIN IMMEDIATE")
            yield connection
            connection.execute("COMMIT")
        except SqliteError as error:
            raise self._failed(error) from error
        except BaseException:
            self._roll_back()
            raise

    def _failed(self, error: sqlite3.Error | UnicodeDecodeError) -> JournalError:
        failure = explained(error, self._path)
        if poisons(error):
            self._drop()
        else:
            self._roll_back()
        return failure

    def _roll_back(self) -> None:
        try:
            if self._connection and self._connection.in_transaction:
                self._connection.execute("ROLLBACK")
        except sqlite3.Error:
            self._drop()  # closing rolls back as well

    def _drop(self) -> None:
        connection, self._connection = self._connection, None
        if connection:
            connection.close()

    def _ready(self) -> sqlite3.Connection:
        """The open connection to the file that is at the path now."""
        if self._closed:
            raise Unavailable(f"{self._path}: this store is closed")
        if self._connection is None:
            self._connection = open_writable(self._path)
            try:
                self._file = self._identity()
                self._verify_tail()
            except BaseException:
                self._drop()
                raise
        elif self._identity() != self._file:
            self._drop()
            raise Unavailable(f"{self._path} was moved or replaced while it was open; what is there now is read next")
        return self._connection

    def _identity(self) -> tuple[int, int]:
        try:
            status = self._path.stat()
        except OSError as error:
            self._drop()
            raise Unavailable(f"{self._path} is gone. Put it back, or stop this process ({error.strerror})") from error
        return status.st_dev, status.st_ino

    def _verify_tail(self) -> None:
        """The last records chain, and what this process has seen acknowledged is still there."""
        chain, epoch = self._chain()
        if self._id and chain.id != self._id:
            raise Unavailable(f"{self._path} was replaced by another journal")
        self._id = chain.id
        head = self.head()[0]
        seen = self.row(self._seen.seq) if self._seen.seq else None
        if self._seen.seq and (seen is None or seen[-1] != self._seen.hash):
            raise Unavailable(f"{self._path} went back: acknowledged record {self._seen.seq} is not there any more")
        pruned = self.pruned()
        link = Link(pruned.seq, pruned.hash, pruned.epoch) if pruned else Link()
        if head - TAIL > link.seq:
            anchor = self.read(head - TAIL)
            if anchor is None:
                raise Unavailable(f"{self._path}: record {head - TAIL} is missing; `verify` tells more")
            link = chains.follow(link, anchor)
        for row in self.after(link.seq):
            problem = chains.broken(chain, link, row)
            if not problem and row.epoch > epoch:
                problem = f"record {row.seq} is of epoch {row.epoch}, but the journal is at epoch {epoch}"
            if problem:
                raise Unavailable(f"{self._path}: {problem}; `verify` tells more")
            link = chains.follow(link, row)
        self._seen = link

    def _current(self, connection: sqlite3.Connection) -> tuple[Chain, int]:
        return chain_of(connection.execute(CHAIN).fetchall())

    def _chained(
        self, connection: sqlite3.Connection, chain: Chain, entries: Sequence[Entry], epoch: int
    ) -> tuple[int, Link]:
        seq, previous = head_of(connection.execute(HEAD).fetchall())
        if seq < self._seen.seq or (seq == self._seen.seq and previous != self._seen.hash):
            raise Unavailable(f"{self._path} went back from record {self._seen.seq} to {seq} while it was open")
        rows = []
        for number, entry in enumerate(entries, start=seq + 1):
            previous = chain.hash(number, previous, epoch, entry)
            rows.append((number, entry.at + 0.0, epoch, entry.actor, entry.kind, entry.subject, entry.body, previous))
        connection.executemany("INSERT INTO entries VALUES (?, ?, ?, ?, ?, ?, ?, ?)", rows)
        return seq + 1, Link(seq + len(rows), previous)


def _require(entries: Sequence[Entry], epoch: int | None, effects: tuple[Sequence[object], ...]) -> None:
    if not entries:
        raise ValueError("an append needs at least one entry: nothing is claimed or spent without a record of it")
    if epoch is None and any(effects):
        raise ValueError("a statement claims, releases and spends nothing: that needs the epoch of a leadership")
    if epoch is not None and epoch < 1:
        raise ValueError(f"epoch {epoch}: effects need a leadership (`lead`), statements say epoch=None")
    for entry in entries:
        problem = chains.unstorable(entry)
        if problem:
            raise Unstorable(f"this {entry.kind!a} entry can not be stored: {problem}")


def _prunable(connection: sqlite3.Connection, pruned: Pruned, chain: Chain, gone: int) -> None:
    """Nothing goes that a restart or the chain needs: the newest kept states, and the last record before them."""
    if (pruned.chain, pruned.algorithm) != (chain.id, chain.algorithm) or pruned.seq < gone:
        raise JournalError(f"not pruned: this is not about the present journal, or {gone} records are gone already")
    states = connection.execute("SELECT min(seq) FROM checkpoints WHERE state IS NOT NULL").fetchone()[0]
    if states is None or pruned.seq >= states:
        raise JournalError(
            f"not pruned: a restart begins with the state at record {states or 0}, so record {pruned.seq} must stay"
        )
    last = connection.execute("SELECT hash FROM entries WHERE seq = ?", (pruned.seq,)).fetchall()
    if pruned.seq > gone and last != [(pruned.hash,)]:
        raise JournalError(f"not pruned: record {pruned.seq} has another hash")


def _release(connection: sqlite3.Connection, releases: Sequence[str | Claim]) -> None:
    for release in releases:
        if isinstance(release, Claim):
            connection.execute("DELETE FROM claims WHERE object = ? AND holder = ?", (release.object, release.holder))
        else:
            connection.execute("DELETE FROM claims WHERE holder = ?", (release,))


def _claim(connection: sqlite3.Connection, claims: Sequence[Claim]) -> None:
    for claim in claims:
        connection.execute("INSERT INTO claims VALUES (?, ?) ON CONFLICT DO NOTHING", (claim.object, claim.holder))
        holder = connection.execute("SELECT holder FROM claims WHERE object = ?", (claim.object,)).fetchone()[0]
        if holder != claim.holder.encode():
            raise Claimed(claim.object, holder.decode())


def _spend(connection: sqlite3.Connection, spend: Spend) -> None:
    """Take from a budget. A row is never dated before an earlier row, and a row in the future counts."""
    used = connection.execute(
        "SELECT total(amount) FROM spends WHERE bucket = ? AND at > ?", (spend.bucket, spend.at - spend.window)
    ).fetchone()[0]
    if used + spend.amount > spend.limit:
        raise OverBudget(spend, int(used))
    connection.execute(
        "INSERT INTO spends (bucket, at, amount) "
        "SELECT ?1, max(?2, coalesce((SELECT max(at) FROM spends WHERE bucket = ?1), ?2)), ?3",
        (spend.bucket, spend.at, spend.amount),
    )
    _prune(connection, spend)


def _prune(connection: sqlite3.Connection, spend: Spend) -> None:
    """Drop what no clock can make count again: old by the clock, and behind rows that alone use up the limit."""
    old = spend.at - max(spend.window, KEEP_SPENDS)
    if connection.execute("SELECT min(at) FROM spends WHERE bucket = ?", (spend.bucket,)).fetchone()[0] > old:
        return
    newest = connection.execute("SELECT at, amount FROM spends WHERE bucket = ? ORDER BY at DESC", (spend.bucket,))
    taken = 0
    for at, amount in newest:
        taken += amount
        if taken >= spend.limit:
            connection.execute("DELETE FROM spends WHERE bucket = ? AND at < ? AND at <= ?", (spend.bucket, at, old))
            return
