"""The state and the store, kept equal: what is appended comes back by the same road as after a restart."""

from collections.abc import Callable, Iterable, Mapping, Sequence

import msgspec

from audit.journal import Claim, Entry, JournalError, Saved, Store
from audit.journal import Spend as StoreSpend
from controller.core.ledger import ledger
from controller.core.records import AnyRecord, Crowded, Intent, Key, Led, Loaded, Said, Step, Storm, decode, encode
from controller.core.state import State, load
from controller.executor import Committed
from policies.policy import Policy

CONTROLLER = "controller"


class Trail:
    """The only writer of records.

    Attributes:
        state: fold of everything up to `seq`.
        seq: last record taken in.
        checkpointed: record up to which a kept state was taken; 0 when the whole trail was folded.
    """

    def __init__(self, store: Store, trusted: Callable[[Saved], bool] = lambda _: True) -> None:
        """Fold the trail, from its newest kept state if that is `trusted`.

        Raises:
            JournalError: the store does not answer, or holds what this version cannot read.
        """
        self.store = store
        self.epoch = 0
        saved = store.checkpoint()
        if saved is not None and not trusted(saved):
            saved = None
        require_remembered(store, saved)
        self.state = load(saved.state) if saved else State()
        self.seq = self.checkpointed = saved.seq if saved else 0
        self.catch_up()

    def catch_up(self) -> list[AnyRecord]:
        """Take in what this and other processes appended since; returns it.

        Raises:
            JournalError: the store does not answer, or holds a record that this version cannot read.
        """
        new = []
        for stored in self.store.after(self.seq):
            try:
                record = decode(stored.body)
            except msgspec.DecodeError as error:
                raise JournalError(f"record {stored.seq} cannot be read by this version: {error}") from error
            self.state.apply(record)
            self.seq = stored.seq
            new.append(record)
        return new

    def lead(self, now: float, holder: str, jumped: float = 0.0, ahead: float = 0.0) -> None:
        """Begin a leadership: from here no older epoch can append an effect; for `jumped` and `ahead` see `Led`."""
        self.epoch = self.store.lead(holder)
        self.append([Led(now, self.epoch, holder, jumped, ahead)], {})
        self.catch_up()

    def append(self, records: Sequence[AnyRecord], policies: Mapping[str, Policy]) -> list[Committed]:
        """Make records durable, all or none, with their claims and budgets; returns the intents that may now be done.

        Raises:
            JournalError: nothing was appended; nothing may be done.
        """
        side = ledger(records, self.state, policies)
        self.store.append(
            [entry(record) for record in records],
            epoch=self.epoch,
            claims=[Claim(*claim) for claim in side.claims],
            releases=[Claim(*release) if release[0] else release[1] for release in side.releases],
            spends=[StoreSpend(s.bucket, s.at, 1, s.limit, s.window) for s in side.spends],
        )
        return [Committed(record, self.epoch) for record in records if isinstance(record, Intent)]


def require_remembered(store: Store, saved: Saved | None) -> None:
    """What was pruned is known from a kept state; without one, claims and budgets would be forgotten."""
    pruned = store.pruned()
    if pruned and (saved is None or saved.seq <= pruned.seq):
        raise JournalError(
            f"records 1 to {pruned.seq} of the trail were pruned, and no state that is kept and signed here replaces "
            "them. Put the signing key back, or restore the trail with its checkpoints from a copy"
        )


def entry(record: AnyRecord) -> Entry:
    """The envelope of a record: who, what kind, about what."""
    actor = record.who if isinstance(record, Said) else CONTROLLER
    return Entry(at=record.at, actor=actor, kind=type(record).__name__, subject=subject(record), body=encode(record))


def subject(record: AnyRecord) -> str:
    """What a record is about, in a few words."""
    match record:
        case Said():
            return record.about or (record.request.target.ref if record.request else "")
        case Loaded() | Crowded():
            return record.policy
        case Storm():
            return record.group
        case Led():
            return f"epoch {record.epoch}"
        case _:
            return str(record.key)


def say(store: Store, said: Said) -> int:
    """Append a person's statement from any process; returns its sequence number."""
    return store.append([entry(said)], epoch=None)


def without_starts(records: Iterable[AnyRecord]) -> tuple[list[AnyRecord], list[Key]]:
    """The records that remain when the store refuses the starts among them, and whose starts they were."""
    kept, starts = list[AnyRecord](), list[Key]()
    for record in records:
        if isinstance(record, Intent) and record.step is Step.DO:
            starts.append(record.key)
        else:
            kept.append(record)
    return kept, starts
