"""The port of the journal: what a store takes, gives and refuses."""

# ruff: noqa: N818 - the errors are words of the constitution (Fenced, Claimed, ...), read as `except Fenced`

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Protocol

import msgspec

from audit.chain import Chain, Entry, Stored

__all__ = [
    "Chain",
    "Checkpoint",
    "Claim",
    "Claimed",
    "Entry",
    "Fenced",
    "Full",
    "JournalError",
    "NewerSchema",
    "OverBudget",
    "Pruned",
    "ReadOnly",
    "Saved",
    "Spend",
    "Store",
    "Stored",
    "Unavailable",
    "Unstorable",
]


class Claim(msgspec.Struct, frozen=True):
    """`holder` alone may touch `object` until it releases it."""

    object: str
    holder: str


class Spend(msgspec.Struct, frozen=True):
    """What an effect takes from a budget: in any `window` seconds a bucket gives at most `limit`.

    A bucket is one limit: two limits on one thing (3 an hour, 10 a day) are two buckets.

    Attributes:
        bucket: name of the budget.
        at: epoch seconds.
        amount: how much is taken, 1 or more.
        limit: most that may be taken within the window.
        window: seconds, more than 0.
    """

    bucket: str
    at: float
    amount: int
    limit: int
    window: float

    def __post_init__(self) -> None:
        if not (math.isfinite(self.at) and math.isfinite(self.window) and self.window > 0 and self.amount >= 1):
            raise ValueError(f"a spend needs a finite time, a window > 0 and an amount >= 1, not {self}")


class Checkpoint(msgspec.Struct, frozen=True):
    """A signed statement: this chain had this hash at this record, and the reader's state was this.

    Attributes:
        chain: id of the chain.
        algorithm: of the chain.
        seq: the record.
        hash: its hash.
        state: SHA-256 of the state's bytes.
        at: epoch seconds.
        key: Ed25519 public key, 32 bytes.
        signature: Ed25519, 64 bytes, over all of the above.
    """

    chain: str
    algorithm: str
    seq: int
    hash: bytes
    state: bytes
    at: float
    key: bytes
    signature: bytes


class Saved(msgspec.Struct, frozen=True):
    """A checkpoint that the store holds together with the state itself."""

    seq: int
    hash: bytes
    state: bytes
    signed: Checkpoint


class Pruned(msgspec.Struct, frozen=True):
    """A signed statement: the records up to `seq` were taken away on purpose, and this is where the chain goes on.

    Attributes:
        chain: id of the chain.
        algorithm: of the chain.
        seq: last record that is gone.
        hash: its hash; the next record follows it.
        epoch: of the last effect that is gone; 0 when there was none.
        at: epoch seconds.
        who: wanted it.
        why: their reason.
        key: Ed25519 public key, 32 bytes.
        signature: Ed25519, 64 bytes, over all of the above.
    """

    chain: str
    algorithm: str
    seq: int
    hash: bytes
    epoch: int
    at: float
    who: str
    why: str
    key: bytes
    signature: bytes


class JournalError(Exception):
    """The journal refused; the message is for a person."""


class Unstorable(JournalError):
    """An entry that can not become a record."""


class Fenced(JournalError):
    """An effect of a leadership that is over.

    Attributes:
        epoch: of the writer.
        current: of the store.
    """

    def __init__(self, epoch: int, current: int) -> None:
        super().__init__(
            f"refused: this process leads epoch {epoch}, but the journal is at epoch {current}; another one leads now"
        )
        self.epoch, self.current = epoch, current


class Claimed(JournalError):
    """Somebody else holds the object."""

    def __init__(self, object: str, holder: str) -> None:  # noqa: A002 - the word of the contract (Claim.object)
        super().__init__(f"{object} is claimed by {holder}")
        self.object, self.holder = object, holder


class OverBudget(JournalError):
    """The budget does not give that much.

    Attributes:
        spend: what was wanted.
        used: what its window holds already.
    """

    def __init__(self, spend: Spend, used: int) -> None:
        super().__init__(
            f"budget {spend.bucket}: {used} of {spend.limit} are spent in the last {spend.window:g} s, "
            f"{spend.amount} more would exceed it"
        )
        self.spend, self.used, self.bucket = spend, used, spend.bucket


class Full(JournalError):
    """No space left; it works again by itself once there is some. Read before going on, as after `Unavailable`."""


class Unavailable(JournalError):
    """The store can not be read or written now: locked, I/O error, damaged, moved.

    After a failed `append` it is unknown whether the entries are there: read `after` the last known record first.
    """


class NewerSchema(JournalError):
    """The file was written by a newer version."""

    def __init__(self, path: object, found: int, known: int) -> None:
        super().__init__(
            f"{path} has schema {found}; this version knows schemas up to {known}. Use the version that wrote it, "
            "or a newer one"
        )
        self.found, self.known = found, known


class ReadOnly(JournalError):
    """Opened for reading, or the file can not be written."""


class Store(Protocol):
    """A journal. One thread uses one store; other threads and processes open their own on the same journal."""

    @property
    def chain(self) -> Chain:
        """Which chain this is."""
        ...

    def append(
        self,
        entries: Sequence[Entry],
        *,
        epoch: int | None,
        claims: Sequence[Claim] = (),
        releases: Sequence[str | Claim] = (),
        spends: Sequence[Spend] = (),
    ) -> int:
        """Append all of it durably, or nothing, in one transaction.

        Args:
            entries: at least one, in this order.
            epoch: of the writer's leadership: effects. None: statements, which claim, release and spend nothing.
            claims: objects to hold; the same holder may claim again.
            releases: a holder, all of whose claims go, or one claim. They go before `claims` are taken.
            spends: in this order, each seeing those before it.

        Returns:
            Sequence number of the first entry.

        Raises:
            Fenced: the epoch is not the store's.
            Claimed: somebody else holds an object.
            OverBudget: a budget does not give that much.
            Full: no space.
            Unavailable: it is unknown whether anything was kept.
            Unstorable: an entry can not become a record.
            ReadOnly: this store only reads.
        """
        ...

    def after(self, seq: int) -> Iterator[Stored]:
        """The records behind `seq` (0: all), in order, in bounded memory, as they are when they are reached."""
        ...

    def read(self, seq: int) -> Stored | None:
        """The record with this number."""
        ...

    def head(self) -> tuple[int, bytes]:
        """Number and hash of the last record; (0, 32 zero bytes) when there is none."""
        ...

    def epoch(self) -> int:
        """The current fencing token; 0 before the first leadership."""
        ...

    def lead(self, holder: str) -> int:
        """Begin a leadership: from now on only effects of the returned epoch are taken."""
        ...

    def claims(self) -> Mapping[str, str]:
        """Holder of each claimed object."""
        ...

    def save_checkpoint(self, signed: Checkpoint, state: bytes) -> None:
        """Keep `state`, which was folded up to record `signed.seq`. States of older checkpoints but one are dropped."""
        ...

    def checkpoint(self) -> Saved | None:
        """The newest checkpoint whose state and record are as they were signed (hashes; the signature is not read)."""
        ...

    def pruned(self) -> Pruned | None:
        """What was taken away from the beginning of this journal; `after` and `read` give only what is behind it."""
        ...

    def prune(self, pruned: Pruned) -> int:
        """Take away the records up to `pruned.seq`; returns how many went. After a crash, call it again.

        Raises:
            JournalError: nothing went: no checkpoint with its state is kept at or behind the next record.
        """
        ...

    def close(self) -> None:
        """Let go of the file. Closing twice is fine."""
        ...
