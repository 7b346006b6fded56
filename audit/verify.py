"""Offline verification: is this the journal that was written, and if not, where does it stop being it?"""

import hashlib
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from audit import chain as chains
from audit.chain import Chain, Link
from audit.checkpoint import EXPORT, genuine, parse
from audit.journal import Checkpoint, JournalError
from audit.keys import PUBLIC, public_key
from audit.pruned import authentic
from audit.stores.read_only import ReadOnlyStore, open_read_only
from audit.stores.reading import PAGE, Row, stored


class Report(msgspec.Struct, frozen=True):
    """What verification found.

    Attributes:
        records: how many records, from the first that is kept on, chain without a fault.
        first_bad: the first record that is surely not what was written; None when none is, or none can be named.
        problem: what is wrong, for a person; empty when nothing is.
        pruned: up to this record everything was taken away on purpose, by a signed statement; 0 when nothing was.
        checked_checkpoints: signed checkpoints that were compared.
        vouched: up to this record the journal is what was signed; what follows is only chained.
        notes: what could not be checked, or is odd without being wrong.
    """

    records: int
    first_bad: int | None = None
    problem: str = ""
    checked_checkpoints: int = 0
    vouched: int = 0
    pruned: int = 0
    notes: tuple[str, ...] = ()

    @property
    def ok(self) -> bool:
        """Nothing is wrong."""
        return not self.problem


class _Bad(Exception):  # noqa: N818 - never leaves this module
    def __init__(self, problem: str, seq: int | None = None) -> None:
        super().__init__(problem)
        self.problem, self.seq = problem, seq


def verify(path: Path, checkpoints_path: Path | None = None, key_path: Path | None = None) -> Report:
    """Verify the journal at `path` against its chain and its signed checkpoints. Never raises for what is in a file.

    Args:
        path: the SQLite file. Nothing is written, and a running writer is not disturbed.
        checkpoints_path: exported checkpoints; by default `checkpoints.jsonl` beside the journal, if it is there.
        key_path: the public key that must have signed; by default `signing.pub` beside the journal, if it is there.
    """
    try:
        with closing(open_read_only(path)) as store:
            while True:
                before = store.pruned()
                report = _Verification(store, path, checkpoints_path, key_path).report()
                if report.ok or store.pruned() == before:
                    return report  # else records were pruned while they were read
    except (JournalError, OSError) as error:
        return Report(0, problem=str(error))


class _Verification:
    def __init__(self, store: ReadOnlyStore, path: Path, export: Path | None, key: Path | None) -> None:
        self._store = store
        self._export = export or path.with_name(EXPORT)
        self._must_export = export is not None
        self._key_path = key or path.with_name(PUBLIC)
        self._must_key = key is not None
        self._link = Link()
        self._first = 1
        self._checked = self._vouched = 0
        self._notes: list[str] = []

    def report(self) -> Report:
        bad: _Bad | None = None
        try:
            chain, self._epoch = self._identity()
            self._key = self._public_key()
            self._begin(chain)
            try:
                self._walk(chain, None)
            except _Bad as error:
                bad = error
            self._compare(chain, bad)
            if bad is None:
                self._pages()
        except _Bad as error:
            bad = error
        except (JournalError, OSError) as error:
            bad = bad or _Bad(str(error))
        return Report(
            self._link.seq - self._first + 1,
            bad.seq if bad else None,
            bad.problem if bad else "",
            self._checked,
            self._vouched,
            self._first - 1,
            tuple(self._notes),
        )

    def _identity(self) -> tuple[Chain, int]:
        try:
            chain, epoch = self._store.chain, self._store.epoch()
        except JournalError as error:
            raise _Bad(str(error)) from error
        return chain, epoch

    def _public_key(self) -> bytes | None:
        if not self._must_key and not self._key_path.exists():
            self._notes.append(
                f"no public key at {self._key_path}: whether the right key signed the checkpoints is not known"
            )
            return None
        return public_key(self._key_path)

    def _begin(self, chain: Chain) -> None:
        """Where the chain begins: behind what was pruned, if the owner of the key signed that it was."""
        pruned = self._store.pruned()
        if pruned is None:
            return
        if (pruned.chain, pruned.algorithm) != (chain.id, chain.algorithm) or not authentic(pruned, self._key):
            gone = f"records 1 to {pruned.seq} are missing"
            raise _Bad(f"{gone}: that they were pruned was not signed, or with another key", 1)
        self._link, self._first = Link(pruned.seq, pruned.hash, pruned.epoch), pruned.seq + 1
        self._notes.append(f"records 1 to {pruned.seq} were pruned by {pruned.who}, {_time(pruned.at)}: {pruned.why}")
        left = self._store.fetch("SELECT count(*) FROM (SELECT 1 FROM entries WHERE seq <= ? LIMIT 1)", pruned.seq)
        if left[0][0]:
            self._notes.append("some of them are still in the file and do not count; the next pruning removes them")

    def _walk(self, chain: Chain, until: int | None) -> None:
        """Follow the chain from where it was left to its end, or to record `until`."""
        first = self._link.seq or -(1 << 63)
        for row in self._rows(first):
            try:
                record = stored(row)
            except ValueError as error:
                raise _Bad(str(error), row[0]) from error
            problem = chains.broken(chain, self._link, record)
            if problem:
                raise _Bad(problem, min(record.seq, self._link.seq + 1))
            if record.epoch > self._epoch and record.epoch > self._store.epoch():
                raise _Bad(
                    f"record {record.seq} is of epoch {record.epoch}, which the journal never reached", record.seq
                )
            self._link = chains.follow(self._link, record)
            if record.seq == until:
                return

    def _rows(self, seq: int) -> Iterator[Row]:
        while True:
            try:
                rows = self._store.page(seq)
            except JournalError:
                rows = list(self._one_by_one())
            if not rows:
                return
            yield from rows
            seq = rows[-1][0]

    def _one_by_one(self) -> Iterator[Row]:
        """The rows of a page that can not be read as a whole, up to the one that can not be read at all."""
        for seq in range(self._link.seq + 1, self._link.seq + 1 + PAGE):
            try:
                row = self._store.row(seq)
            except JournalError as error:
                if seq == self._link.seq + 1:
                    raise _Bad(f"record {seq} can not be read: {error}", seq) from error
                return
            if row is None:
                raise _Bad(
                    f"record {seq} can not be found, and the page of the file that should hold it is damaged", seq
                )
            yield row

    def _compare(self, chain: Chain, bad: _Bad | None) -> None:
        """Compare with every signed checkpoint in front of what is bad already."""
        for where, checkpoint in self._witnesses():
            if bad and bad.seq is not None and checkpoint.seq >= bad.seq and checkpoint.chain == chain.id:
                continue
            self._agree(chain, where, checkpoint, bad)
        if not self._checked and self._link.seq and bad is None:
            self._notes.append("no signed checkpoint to compare with: a cut tail or a rewritten chain would not show")

    def _agree(self, chain: Chain, where: str, checkpoint: Checkpoint, bad: _Bad | None) -> None:
        if not genuine(checkpoint, self._key):
            raise bad or _Bad(f"{where}: its signature does not hold, or another key signed it")
        when = _time(checkpoint.at)
        if (checkpoint.chain, checkpoint.algorithm) != (chain.id, chain.algorithm):
            raise _Bad(f"{where}, signed {when}, is of chain {checkpoint.chain}; this journal is chain {chain.id}", 1)
        if checkpoint.seq < self._first:  # of a record that was pruned
            return
        self._checked += 1
        if checkpoint.seq > self._link.seq:
            self._walk(chain, checkpoint.seq)  # appended since we began
        row = self._store.row(checkpoint.seq)
        if row is None:
            end = self._link.seq
            raise _Bad(f"{where}, signed {when}: records {end + 1} to {checkpoint.seq} are missing", end + 1)
        if row[-1] != checkpoint.hash:
            raise _Bad(
                f"{where}, signed {when}, has another hash: what stands from record {self._vouched + 1} or later up to "
                f"{checkpoint.seq} is not what was signed (rewritten, or another fork of the chain)",
                checkpoint.seq,
            )
        self._vouched = max(self._vouched, checkpoint.seq)

    def _witnesses(self) -> Iterator[tuple[str, Checkpoint]]:
        yield from self._exported()
        seq = 0
        try:
            while kept := self._store.signed(seq):
                for checkpoint in kept:
                    yield f"the checkpoint of record {checkpoint.seq} in the database", checkpoint
                seq = kept[-1].seq
        except JournalError as error:
            raise _Bad(f"the checkpoints in the database can not be read: {error}") from error

    def _exported(self) -> Iterator[tuple[str, Checkpoint]]:
        if not self._must_export and not self._export.exists():
            self._notes.append(f"no exported checkpoints at {self._export}: a cut tail would not show")
            return
        with self._export.open("rb") as file:
            for number, text in enumerate(file, start=1):
                where = f"{self._export}:{number}"
                try:
                    checkpoint = parse(text)
                except ValueError as error:
                    # a power cut, which may take any sector of a line, or a write that is under way
                    if b"\0" in text or not text.endswith(b"}\n"):
                        self._notes.append(f"{where} is a torn line")
                        continue
                    raise _Bad(f"{where} is no checkpoint: {error}") from error
                yield f"{where}: the checkpoint of record {checkpoint.seq}", checkpoint

    def _pages(self) -> None:
        """What the chain does not cover: the states of checkpoints, and the pages of the file."""
        try:
            for seq, digest, state in self._store.states():
                if not isinstance(state, bytes) or hashlib.sha256(state).digest() != digest:
                    raise _Bad(f"the state that checkpoint {seq} keeps is not the one that was signed")
            verdict = self._store.fetch("PRAGMA quick_check(1)")[0][0]
        except JournalError as error:
            raise _Bad(str(error)) from error
        if verdict != b"ok":
            raise _Bad(f"the records are whole, but the file is damaged: {verdict.decode(errors='replace')}")


def _time(at: float) -> str:
    try:
        return datetime.fromtimestamp(at, UTC).isoformat(timespec="seconds")
    except (ValueError, OverflowError, OSError):
        return f"at {at}"
