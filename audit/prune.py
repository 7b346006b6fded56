"""Taking away old records, below an exported checkpoint only, with a signed statement of what went, when and for whom.

Nothing is lost by a crash in between: the statement is durable before the first record goes, and from then on the
records it names do not count, whether they are still there or not. The next call takes away what is left.
"""

from contextlib import closing
from pathlib import Path

import msgspec

from audit.checkpoint import EXPORT, exported, genuine
from audit.journal import Checkpoint, JournalError, Pruned
from audit.keys import PUBLIC, Signer, public_key
from audit.pruned import sign
from audit.stores.read_only import open_read_only
from audit.stores.reading import Reading
from audit.stores.sqlite import SqliteStore
from audit.verify import verify


class Pruning(msgspec.Struct, frozen=True):
    """What pruning takes away.

    Attributes:
        first: the record with which the journal begins afterwards.
        records: how many go; 0 when nothing may.
        why_not_more: what keeps the rest.
    """

    first: int
    records: int
    why_not_more: str


class Wish(msgspec.Struct, frozen=True):
    """Who wants what to go.

    Attributes:
        before: epoch seconds; only what was signed before this goes.
        who: a person.
        why: their reason.
    """

    before: float
    who: str
    why: str


def plan(path: Path, before: float) -> Pruning:
    """What `prune` would take away from the journal at `path`; nothing is changed.

    Raises:
        JournalError: the journal is not what was written, or its exported checkpoints or its public key are missing.
    """
    _require_verified(path)
    with closing(open_read_only(path)) as store:
        return _plan(store, path, before)


def prune(path: Path, wish: Wish, now: float) -> Pruning:
    """Take away the records below the newest exported checkpoint that was signed before `wish.before`.

    The two newest states and everything behind the older of them always stay: a restart needs them.

    Raises:
        JournalError: nothing was taken away, and why; or the store broke off, and the next call goes on.
    """
    _require_verified(path)
    with closing(SqliteStore(path)) as store:
        planned = _plan(store, path, wish.before)
        last, old = planned.first - 1, store.pruned()
        if old and old.seq == last:
            return msgspec.structs.replace(planned, records=store.prune(old))  # what a crash left
        if not last:
            return planned
        row = store.read(last)
        if row is None:
            raise JournalError(f"{path}: record {last} is missing; `verify` tells more")
        epochs = store.fetch("SELECT epoch FROM entries WHERE seq <= ? AND epoch > 0 ORDER BY seq DESC LIMIT 1", last)
        epoch = epochs[0][0] if epochs else old.epoch if old else 0
        chain = store.chain
        who, why = (text.encode(errors="replace").decode() for text in (wish.who, wish.why))  # bytes of a command line
        pruned = Pruned(chain.id, chain.algorithm, last, row.hash, epoch, now, who, why, b"", b"")
        signed = sign(Signer.open(path.parent), pruned)
        return msgspec.structs.replace(planned, records=store.prune(signed))


def _require_verified(path: Path) -> None:
    """What is wrong must stay: it is the evidence."""
    report = verify(path)
    if not report.ok:
        raise JournalError(f"nothing is pruned from a journal that is not what was written: {report.problem}")
    for name in (EXPORT, PUBLIC):
        if not path.with_name(name).exists():
            raise JournalError(f"nothing is pruned without {path.with_name(name)}: no signature outside vouches for it")


def _plan(store: Reading, path: Path, before: float) -> Pruning:
    pruned = store.pruned()
    first = pruned.seq + 1 if pruned else 1
    kept = [row[0] for row in store.states()]
    if not kept:
        return Pruning(first, 0, "no checkpoint with its state is kept, so a restart needs every record")
    limit = min(kept)
    old = [c for c in exported(path.with_name(EXPORT)) if c.at < before]
    vouched = _newest(store, [c for c in old if first < c.seq <= limit], public_key(path.with_name(PUBLIC)))
    newer = "what is behind it is newer, or no exported checkpoint vouches for it"
    needed = f"a restart may need every record from {limit} on"
    why = needed if any(c.seq >= limit for c in old) else newer
    if vouched is None:
        return Pruning(first, 0, why)
    return Pruning(vouched.seq, vouched.seq - first, why)


def _newest(store: Reading, candidates: list[Checkpoint], key: bytes) -> Checkpoint | None:
    """The last genuine one of this very journal."""
    for checkpoint in sorted(candidates, key=lambda c: c.seq, reverse=True):
        record = store.read(checkpoint.seq)
        if record and record.hash == checkpoint.hash and genuine(checkpoint, key):
            return checkpoint
    return None
