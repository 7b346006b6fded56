"""The typed bodies of the trail: what happened, in the words of the constitution.

Effects (`Opened` .. `Closed`, `Led`) are appended by the leader only; statements (`Said`, `Loaded`) by anybody.
Only what is declared here can be stored: free-form data never enters a record.
"""

from enum import StrEnum
from typing import TypeVar

import msgspec

from actions.plan import Change, Plan, Undo
from actions.reason import Reason
from telemetry.target import Target
from telemetry.verdict import Verdict


class Step(StrEnum):
    """Which step of an attempt an intent performs."""

    DO = "Do"
    UNDO = "Undo"
    RELEASE = "Release"
    REDO = "Redo"


class Result(StrEnum):
    """How an episode ended."""

    RECOVERED = "Recovered"  # by itself: nothing was done (the shadow ledger)
    HEALED = "Healed"  # we acted, it helped, and what had to be lifted is lifted
    UNDONE = "Undone"  # we acted, it did not help, and it is put back
    DROPPED = "Dropped"  # nothing was written: the world had moved on
    NEEDS_HUMAN = "NeedsHuman"  # no safe way on; its claims are kept until `auto ack`


class Verb(StrEnum):
    """What a person can say."""

    PAUSE = "pause"
    RESUME = "resume"
    FREEZE = "freeze"
    UNFREEZE = "unfreeze"
    ACT = "act"
    APPROVE = "approve"
    UNDO = "undo"
    ABORT = "abort"
    ACK = "ack"


class Key(msgspec.Struct, frozen=True, order=True):
    """An episode: one policy's condition holding for one target."""

    policy: str
    target: Target

    def __str__(self) -> str:
        return f"{self.policy}:{self.target.ref}"


class Evidence(msgspec.Struct, frozen=True):
    """What a wish rests on.

    Attributes:
        confidence: decisiveness x coverage x reliability, 0..1.
        decisiveness: how surely and how far the condition holds, 0..1.
        coverage: how much of what it reads is known and fresh, 0..1.
        reliability: how well this policy's action did before, 0..1; it can only demote.
        samples: fewest samples behind a column that the condition reads.
        values: name and value of each column it reads.
    """

    confidence: float
    decisiveness: float
    coverage: float
    reliability: float
    samples: float = 0.0
    values: tuple[tuple[str, float], ...] = ()


class Record(msgspec.Struct, frozen=True, tag_field="kind", tag=str.lower):
    """One entry of the trail.

    Attributes:
        at: epoch seconds by the writer's clock.
    """

    at: float


class Opened(Record, frozen=True):
    """An episode began.

    Attributes:
        episode: short id that a person uses: `e1`, `e2`, ...
        policy_hash: which content of the policy; the episode is followed up by exactly that.
    """

    key: Key
    episode: str
    policy_hash: str
    evidence: Evidence


class Held(Record, frozen=True):
    """The controller wanted to act and did not; written when the reason changes."""

    key: Key
    reason: Reason
    detail: str = ""


class Intent(Record, frozen=True):
    """Durable before the effect: what will be written, and everything needed to judge and undo it.

    Attributes:
        number: counts intents over the whole trail; `id` is the key that every effect carries.
        step: which step of the attempt.
        rung: index of the action in the policy's ladder.
        action: name of the action.
        changes: what this step writes.
        plan: the plan of the attempt (of the Do that it belongs to).
        judge_at: before this time verification reads nothing.
        due: by this time it must have passed.
        stage: how many release stages are done once this step is done.
        hold: seconds to hold this step's success before the next release.
    """

    key: Key
    number: int
    step: Step
    rung: int
    action: str
    changes: tuple[Change, ...]
    plan: Plan
    judge_at: float
    due: float
    stage: int = 0
    hold: float = 0.0

    @property
    def id(self) -> str:
        """The idempotency key of its effects."""
        return f"i{self.number}"


def claims_of(intent: Intent) -> tuple[str, ...]:
    """Names an intent claims: each object it touches, and each field of it.

    While an attempt is under way nobody else may touch the object; while its success is only held, nobody else may
    touch the field, so that a hung instance can be restarted while replicas are held.
    """
    objects = dict.fromkeys(str(change.object) for change in intent.changes)
    fields = (f"{change.object}#{change.path}" for change in intent.changes if intent.plan.undo is Undo.REVERSIBLE)
    return (*objects, *fields)


class Outcome(Record, frozen=True):
    """What became of an intent's effect.

    Attributes:
        result: PASS written, FAIL surely nothing is left of it, UNKNOWN may have been written.
        found: for each probe of the plan, its verdict.
        settled: the answer was read back after a crash or an ambiguous reply.
        taken: what we held was found to be somebody else's value; only then is a refusal their doing.
    """

    key: Key
    number: int
    result: Verdict
    detail: str = ""
    found: tuple[Verdict, ...] = ()
    settled: bool = False
    taken: bool = False


class Passed(Record, frozen=True):
    """Verification succeeded: from here there is no undo, only release."""

    key: Key
    number: int


class Failed(Record, frozen=True):
    """An attempt is over, did not help and left nothing behind; the episode goes on with `rung`.

    Attributes:
        counts: it was a remedy that failed; a look that found something wrong is none.
    """

    key: Key
    number: int
    rung: int
    detail: str = ""
    counts: bool = True


class Closed(Record, frozen=True):
    """An episode ended.

    Attributes:
        helped: whether the action helped; None when nothing can be said.
        objects: what stays claimed (NeedsHuman only).
    """

    key: Key
    result: Result
    detail: str = ""
    helped: bool | None = None
    objects: tuple[Target, ...] = ()


class Request(msgspec.Struct, frozen=True):
    """What a person asks to be done, complete: the policy document that `auto act` made, and its target."""

    target: Target
    policy: str
    policy_hash: str
    expires: float


class Crowded(Record, frozen=True):
    """More targets of one policy are sick than episodes may be open; written when the count doubles or halves.

    Attributes:
        count: targets that wait without an episode of their own.
    """

    policy: str
    count: int


class Storm(Record, frozen=True):
    """Too much goes wrong at once, so nothing new starts; it begins, calms down, rages again, or is over.

    Attributes:
        group: which targets, e.g. `local` or `local/shop`; `own-storm`: our own actions do not help.
        why: what was counted.
        until: before this time nothing new starts; 0 while no end is in sight.
        over: it is over; `until` means nothing.
    """

    group: str
    why: str
    until: float = 0.0
    over: bool = False


class Said(Record, frozen=True):
    """A person's statement.

    Attributes:
        who: operating-system user.
        verb: what.
        about: episode id, `own-storm`, or empty.
        why: their reason; never empty for a verb that changes anything.
        request: for `act`.
    """

    who: str
    verb: Verb
    why: str
    about: str = ""
    request: Request | None = None


class Loaded(Record, frozen=True):
    """A policy came into force, changed, or (with an empty hash) went.

    Attributes:
        content: canonical JSON of the policy document.
        once: it serves one request of a person and is not in force for anything else.
    """

    policy: str
    hash: str
    content: str = ""
    once: bool = False


class Led(Record, frozen=True):
    """A leadership began; intents of older epochs without outcome are classified before anything new.

    Attributes:
        jumped: seconds that the wall clock jumped forward since the last one: they did not pass.
        ahead: seconds by which the trail's time is ahead of the calendar, by which windows go.
    """

    epoch: int
    holder: str
    jumped: float = 0.0
    ahead: float = 0.0


OWN_STORM = "own-storm"
"""The storm of our own actions, as records and people call it."""

AnyRecord = Opened | Held | Intent | Outcome | Passed | Failed | Closed | Crowded | Storm | Said | Loaded | Led

EFFECTS = (Opened, Held, Intent, Outcome, Passed, Failed, Closed, Crowded, Storm, Led)
"""Kinds that only the leader may append."""

_encoder = msgspec.json.Encoder(order="sorted")
_decoder: msgspec.json.Decoder[AnyRecord] = msgspec.json.Decoder(AnyRecord)


def encode(record: AnyRecord) -> bytes:
    """Canonical bytes: sorted keys, shortest floats that read back as the same value."""
    return _encoder.encode(record)


def decode(body: bytes) -> AnyRecord:
    """The record of these bytes.

    Raises:
        msgspec.DecodeError: the bytes are no record of this version.
    """
    return decoded(_decoder, body)


T = TypeVar("T")


def decoded(decoder: msgspec.json.Decoder[T], content: bytes) -> T:
    """What is in these bytes; whatever is wrong with them is one kind of error.

    Raises:
        msgspec.DecodeError: they are not what this decoder reads.
    """
    try:
        return decoder.decode(content)
    except UnicodeDecodeError as error:
        raise msgspec.DecodeError(f"it is not UTF-8: {error}") from None
    except RecursionError:
        raise msgspec.DecodeError("it is nested too deeply") from None
