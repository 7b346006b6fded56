"""Watches a controller from outside: what it wrote into the store, and what really reached the platform.

It keeps books of its own and never asks the controller's: a promise that is broken raises `Broken` with its name.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from actions.plan import Change, Undo
from audit import chain as chains
from audit.chain import Link, Stored
from audit.journal import Store
from controller.core.records import (
    AnyRecord,
    Closed,
    Failed,
    Held,
    Intent,
    Key,
    Led,
    Loaded,
    Opened,
    Outcome,
    Passed,
    Result,
    Said,
    Step,
    Verb,
    decode,
    encode,
)
from controller.core.state import State, dump, load
from controller.core.tick import tick
from controller.core.wish import Proposal, Proposals, Rulebook
from policies.policy import Mode
from telemetry.inventory import Value
from telemetry.snapshot import Snapshot
from telemetry.target import Target
from telemetry.verdict import Verdict


class Broken(BaseException):
    """A promise was broken: nothing in the program may catch it.

    Attributes:
        promise: which one: P1 ... P20, I12, I13.
    """

    def __init__(self, promise: str, what: str) -> None:
        super().__init__(f"{promise}: {what}")
        self.promise = promise


def promise(name: str, kept: object, what: object) -> None:
    """Raise unless it is kept."""
    if not kept:
        raise Broken(name, str(what))


@dataclass(frozen=True, slots=True)
class Inputs:
    """Everything one decision saw.

    Attributes:
        state: its bytes; empty where this decision is not replayed.
    """

    now: float
    snapshot: Snapshot
    state: bytes
    proposals: Sequence[Proposal]
    rules: Rulebook

    def replay(self) -> list[bytes]:
        """Decide again, from the recorded bytes, with the wishes in another order."""
        wishes = self.proposals
        if isinstance(wishes, Proposals):
            wishes = replace(wishes, best=tuple(reversed(wishes.best)))
        again = tick(self.now, self.snapshot, load(self.state), wishes, self.rules)
        return [encode(record) for record in again]


@dataclass(slots=True)
class Books:
    """What the trail says, in the checker's own words."""

    intents: dict[int, Intent] = field(default_factory=dict)
    outcomes: dict[int, Outcome] = field(default_factory=dict)
    policy_of: dict[Key, str] = field(default_factory=dict)
    ids: dict[str, Key] = field(default_factory=dict)
    objects: dict[Target, Key] = field(default_factory=dict)
    fields: dict[tuple[Target, str], Key] = field(default_factory=dict)
    under_way: set[Key] = field(default_factory=set)
    waiting_for_ack: set[Key] = field(default_factory=set)
    starts: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    episodes_started: dict[Key, list[float]] = field(default_factory=lambda: defaultdict(list))
    fresh: set[Key] = field(default_factory=set)
    by_person: set[Key] = field(default_factory=set)
    stopped: dict[str, bool] = field(default_factory=lambda: {"paused": False, "frozen": False})
    epoch: int = 0

    def free(self, key: Key, *, fields: bool) -> None:
        self.objects = {o: k for o, k in self.objects.items() if k != key}
        if fields:
            self.fields = {f: k for f, k in self.fields.items() if k != key}
        self.under_way.discard(key)


class Checker:
    """The judge.

    Attributes:
        kinds: how many records of each kind.
        calls: how often each change of each intent was sent.
    """

    def __init__(self, store: Store, max_concurrent: int) -> None:
        self.store, self.max_concurrent = store, max_concurrent
        self.books = Books()
        self.shadow = State()
        self.link = Link()
        self.kinds: Counter[str] = Counter()
        self.steps: Counter[str] = Counter()
        self.reasons: Counter[str] = Counter()
        self.calls: Counter[tuple[str, Change]] = Counter()
        self.ours: dict[Target, tuple[Value, Value]] = {}  # our override of `desired`: what was before, what we wrote
        self.flags: dict[str, bool] = {"paused": False, "frozen": False}  # files, there now
        self.obeyed = False  # the trail said freeze, and a turn has gone by since
        self.inputs: Inputs | None = None
        self.replayed = 0

    # --- what the platform saw

    def called(self, epoch: int, change: Change, intent_id: str) -> None:
        """A write is about to reach the platform."""
        self.catch_up()
        number = int(intent_id.removeprefix("i"))
        intent = self.books.intents.get(number)
        promise("P1", intent is not None, f"{intent_id} was sent before it was durable: {change}")
        assert intent is not None
        allowed = {*intent.changes, *(c.inverse() for c in intent.changes)}
        promise("P1", change in allowed, f"{intent_id} sent what is not in its plan: {change}")
        promise("P4", epoch == self.books.epoch, f"{intent_id} sent by epoch {epoch} under epoch {self.books.epoch}")
        promise("P13", not (self.flags["frozen"] or self.obeyed), f"{intent_id} sent while frozen")
        promise("P3", self.books.objects.get(change.object) == intent.key, f"{intent_id} sent without its claim")
        promise("P2", number not in self.books.outcomes, f"{intent_id} sent after its outcome")
        self.calls[intent_id, change] += 1
        promise("P2", self.calls[intent_id, change] == 1, f"{intent_id} sent twice: {change}")

    def written(self, change: Change, was: Value, intent_id: str) -> None:
        """A write took effect; `was` is what stood there."""
        if change.path != "desired":
            return
        promise("P10", was == change.before, f"overwrote another writer's {was}: {change}")
        begun = self.books.intents[int(intent_id.removeprefix("i"))].plan.changes[0]
        first = self.ours.get(change.object, (begun.before, None))[0]
        self.ours[change.object] = (first, change.after)
        if first == change.after:
            del self.ours[change.object]

    def taken_over(self, target: Target) -> None:
        """Somebody else wrote it: it is theirs."""
        self.ours.pop(target, None)

    # --- what the trail says

    def catch_up(self) -> None:
        """Read what was appended, and judge it."""
        for stored in self.store.after(self.link.seq):
            problem = chains.broken(self.store.chain, self.link, stored)
            promise("P16", not problem, problem)
            self.link = chains.follow(self.link, stored)
            record = decode(stored.body)
            self.kinds[type(record).__name__] += 1
            self._judge(record, stored)
            self.shadow.apply(record)

    def _judge(self, record: AnyRecord, stored: Stored) -> None:
        books = self.books
        match record:
            case Led():
                promise("P4", record.epoch > books.epoch, f"epoch {record.epoch} after {books.epoch}")
                books.epoch = record.epoch
            case Said():
                self._said(record)
            case Loaded():
                pass
            case Opened():
                promise("P20", record.episode not in books.ids, f"{record.episode} twice")
                books.ids[record.episode] = record.key
                books.policy_of[record.key] = record.policy_hash
                books.fresh.add(record.key)
            case Intent():
                self._intent(record)
            case Outcome():
                promise("P1", record.number in books.intents, f"an outcome of nothing: {record}")
                books.outcomes.setdefault(record.number, record)
            case Passed():
                books.free(record.key, fields=False)
            case Failed():
                books.free(record.key, fields=True)
            case Closed():
                self._closed(record)
            case Held():
                self.reasons[record.reason] += 1
            case _:
                pass
        if not isinstance(record, Said):
            promise("P4", stored.epoch == books.epoch, f"{type(record).__name__} of epoch {stored.epoch}")

    def _said(self, said: Said) -> None:
        books = self.books
        match said.verb:
            case Verb.PAUSE | Verb.RESUME:
                books.stopped["paused"] = said.verb is Verb.PAUSE
            case Verb.FREEZE | Verb.UNFREEZE:
                books.stopped["frozen"] = said.verb is Verb.FREEZE
            case Verb.ACT if said.request:
                books.by_person.add(Key(said.request.policy, said.request.target))
            case Verb.ACK if (key := books.ids.get(said.about)) in books.waiting_for_ack:
                assert key is not None
                books.waiting_for_ack.discard(key)
                for target in [o for o, k in books.objects.items() if k == key]:
                    self.ours.pop(target, None)  # a person has looked after it
                books.free(key, fields=True)
            case _:
                pass

    def _closed(self, closed: Closed) -> None:
        if closed.result is Result.NEEDS_HUMAN:
            self.books.waiting_for_ack.add(closed.key)
            self.books.under_way.discard(closed.key)
        else:
            self.books.free(closed.key, fields=True)

    def _intent(self, intent: Intent) -> None:
        books, key = self.books, intent.key
        promise("P1", intent.number == len(books.intents) + 1, f"i{intent.number} after i{len(books.intents)}")
        books.intents[intent.number] = intent
        self.steps[intent.step] += 1
        frozen = books.stopped["frozen"] or self.flags["frozen"]
        paused = books.stopped["paused"] or self.flags["paused"]
        promise("P13", not frozen, f"{intent.id} {intent.step} while frozen")
        promise("P13", not (paused and intent.step is Step.DO), f"{intent.id} started while paused")
        for change in intent.changes:
            place = (change.object, change.path)
            promise("P3", books.objects.get(change.object, key) == key, f"{intent.id}: {change.object} is taken")
            promise("P3", books.fields.get(place, key) == key, f"{intent.id}: {place} is held")
            books.objects[change.object] = key
            if intent.plan.undo is Undo.REVERSIBLE:
                books.fields[place] = key
        if intent.step is Step.DO:
            self._start(intent)
        books.under_way.add(key)

    def _start(self, intent: Intent) -> None:
        """A start: budgets, evidence, mode."""
        books, key, inputs = self.books, intent.key, self.inputs
        assert inputs is not None
        promise("P3", key not in books.under_way, f"{intent.id}: {key} is under way")
        promise("P5", len(books.under_way) < self.max_concurrent, f"{intent.id} is one too many at once")
        policy = inputs.rules.policies[books.policy_of[key]]
        starts = books.starts[policy.name]
        starts.append(intent.at)
        for limit in policy.throttle.limits:
            count = sum(at > intent.at - limit.per for at in starts)
            promise("P5", count <= limit.max, f"{intent.id}: {count} starts of {policy.name} in {limit.per} s")
        own = sum(k.policy == key.policy for k in books.under_way)
        promise("P5", own < policy.throttle.max_concurrent, f"{intent.id}: {own} of {policy.name} are under way")
        if key in books.fresh:
            books.fresh.discard(key)
            last = books.episodes_started[key]
            early = last and intent.at - last[-1] < policy.throttle.cooldown
            promise("P5", not early, f"{intent.id}: cooldown of {key}")
        books.episodes_started[key].append(intent.at)
        if key in books.by_person:
            return
        seen, target = inputs.snapshot, key.target
        verdict = policy.when.evaluate(seen.columns).at(seen.rows.get(target))
        promise("P7", verdict is not Verdict.UNKNOWN, f"{intent.id} started on unknown")
        old = inputs.now - seen.facts[target].seen_at
        promise("P7", old <= inputs.rules.limits.facts_stale, f"{intent.id} started on facts {old} s old")
        promise("P13", policy.mode >= Mode.APPROVE, f"{intent.id}: {policy.name} only watches")
        promise("P8", policy.selects(target, seen.facts[target]), f"{intent.id}: not selected by {policy.name}")

    # --- what is remembered and what is decided

    def decided(self, inputs: Inputs, records: Iterable[AnyRecord]) -> None:
        """A decision was made; where its state was recorded, it is made again."""
        self.inputs = inputs
        if inputs.state:
            self.replayed += 1
            promise("I13", inputs.replay() == [encode(record) for record in records], "another decision from the same")

    def same_state(self, state: State) -> None:
        """A controller's state is the fold of all that is stored."""
        self.catch_up()
        promise("I12", state == self.shadow, _difference(state, self.shadow))

    def survives(self) -> None:
        """The state reads back from its own bytes."""
        promise("I12", load(dump(self.shadow)) == self.shadow, "load(dump(state)) is another state")

    def settled(self) -> None:
        """At the end: every intent has an outcome, and everything of ours is lifted, undone or with a person."""
        books = self.books
        missing = set(books.intents) - set(books.outcomes)
        promise("P2", not missing, f"intents nobody classified: {sorted(missing)}")
        with_people = {o for o, k in books.objects.items() if k in books.waiting_for_ack}
        with_people |= {o for (o, _), k in books.fields.items() if k in books.waiting_for_ack}
        left = {t: v for t, v in self.ours.items() if t not in with_people}
        promise("P10", not left, f"left behind: {left}")
        promise("P10", not books.under_way, f"still under way: {books.under_way}")


def _difference(one: State, other: State) -> str:
    names: Mapping[str, tuple[object, object]] = {
        name: (getattr(one, name), getattr(other, name)) for name in one.__struct_fields__
    }
    return "; ".join(f"{name}: {a!r:.300} is not {b!r:.300}" for name, (a, b) in names.items() if a != b)
