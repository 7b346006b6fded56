"""What State is made of: episodes, and what is remembered of attempts."""

import msgspec

from actions.reason import Reason
from controller.core.records import Evidence, Intent, Key, Outcome, Verb


def age(now: float, at: float) -> float:
    """Seconds since `at`; a time in the future counts as just happened, so that a clock jump frees nothing."""
    return max(0.0, now - at)


class Episode(msgspec.Struct, frozen=True):
    """One policy's condition holding for one target, as far as it has come.

    Attributes:
        id: short name for people: `e7`.
        rung: which action of the ladder is next or under way.
        last_rung: which one was tried last; -1 when none.
        attempts: Do intents so far.
        intent, outcome: the step under way, and what became of it.
        outcome_at: when the outcome was recorded.
        epoch: leadership that made the intent.
        judged: number of the last intent whose verification passed; 0 when none.
        redos: how often a release came too early since the Do.
        moved_at: since when the deadlines of the step run anew, because the controller was started; 0 when they do not.
        moves: how often that happened.
        held, held_detail: why it did not act when it last wanted to.
        approved_at: when a person approved; 0 when nobody did.
        wish: what a person asked of it: undo or abort.
        needs_human: it is over, but its claims wait for `auto ack`.
        detail: what a human should know.
    """

    key: Key
    id: str
    opened_at: float
    policy_hash: str
    evidence: Evidence
    rung: int = 0
    last_rung: int = -1
    attempts: int = 0
    intent: Intent | None = None
    outcome: Outcome | None = None
    outcome_at: float = 0.0
    epoch: int = 0
    judged: int = 0
    redos: int = 0
    moved_at: float = 0.0
    moves: int = 0
    held: Reason | None = None
    held_detail: str = ""
    approved_at: float = 0.0
    wish: Verb | None = None
    needs_human: bool = False
    detail: str = ""

    @property
    def under_way(self) -> bool:
        """A step is being performed or verified: it takes a place of the concurrency budget."""
        return self.intent is not None and not self.needs_human and self.judged != self.intent.number


class Start(msgspec.Struct, frozen=True):
    """One Do that was admitted: what budgets count."""

    at: float
    key: Key
    disrupts: int


class Failures(msgspec.Struct, frozen=True):
    """Attempts in a row that did not help, over episodes of one key."""

    count: int
    at: float


class Track(msgspec.Struct, frozen=True):
    """How an action of a policy did before."""

    helped: int = 0
    failed: int = 0
