"""What becomes of an episode that is under way: a table, first match wins. The docs draw their diagram from it.

Rule 1  Nothing new is begun here: only verified, released, undone, or given to a person.
Rule 2  Unknown never reverses and never counts as success: past the deadline it becomes a person's.
Rule 3  Every effect ends lifted, undone or with a person.
"""

from collections.abc import Callable
from dataclasses import dataclass, field

from actions.plan import Change
from controller.core.records import Closed, Failed, Intent, Outcome, Passed, Result, Step
from controller.core.state import Episode, State
from controller.core.wish import Limits
from policies.policy import OnFailure, Policy
from telemetry.verdict import Verdict

HOLD_MAX = 86_400.0
"""Seconds: holds double with each redo up to this."""

Next = Intent | Passed | Failed | Closed


@dataclass(frozen=True, slots=True)
class Case:
    """One episode as the table sees it.

    Attributes:
        until: whether the policy's `until` holds now for the target.
        policy: the content that the episode was opened with.
        gone: the platform answers and no longer lists the target.
    """

    now: float
    episode: Episode
    until: Verdict
    policy: Policy
    state: State
    limits: Limits
    gone: bool = False
    step: Step = field(init=False)
    intent: Intent = field(init=False)
    outcome: Outcome = field(init=False)

    def __post_init__(self) -> None:
        """Name what every row reads; rows about a missing intent or outcome stand first in the table."""
        if self.episode.intent is not None:
            object.__setattr__(self, "intent", self.episode.intent)
            object.__setattr__(self, "step", self.episode.intent.step)
        if self.episode.outcome is not None:
            object.__setattr__(self, "outcome", self.episode.outcome)

    @property
    def passed(self) -> bool:
        """This step's verification has succeeded."""
        return self.episode.judged == self.intent.number

    @property
    def delay(self) -> float:
        """Seconds by which a restart of the controller moved the deadlines: time that nobody watched."""
        lost = self.state.led_at - self.intent.at
        return max(0.0, lost)

    @property
    def early(self) -> bool:
        """Verification reads nothing yet."""
        return self.now < self.intent.judge_at + self.delay

    @property
    def due(self) -> bool:
        """The deadline has passed."""
        return self.now >= self.intent.due + self.delay

    @property
    def reversible(self) -> bool:
        """Something of ours is in force that can be put back."""
        plan, stage = self.intent.plan, self.intent.stage
        lifted = bool(plan.release) and stage >= len(plan.release)
        return bool(plan.undo_changes()) and not lifted

    @property
    def stages_left(self) -> bool:
        """Something is still held and must be lifted."""
        return self.intent.stage < len(self.intent.plan.release)

    @property
    def hold_over(self) -> bool:
        """The success was held for as long as asked."""
        return self.now >= self.episode.outcome_at + self.intent.hold

    @property
    def can_climb(self) -> bool:
        """There is a further rung."""
        return self.intent.rung + 1 < len(self.policy.rungs)

    @property
    def climbs(self) -> bool:
        """A failed rung is followed by the next."""
        return self.policy.on_failure is OnFailure.NEXT and self.can_climb

    @property
    def may_retry(self) -> bool:
        """This failure is not the last one allowed."""
        before = self.state.failures.get(self.episode.key)
        return (before.count if before else 0) + 1 < self.limits.attempts

    @property
    def free(self) -> bool:
        """Writing is allowed, and no other episode is at the same object."""
        holders = (self.state.claims.get(str(change.object)) for change in self.intent.plan.changes)
        return not self.state.frozen and all(holder in (None, self.episode.key) for holder in holders)

    def closed(self, result: Result, detail: str = "", *, helped: bool | None = None) -> Closed:
        """The end; what a person must look at stays claimed."""
        keep = result is Result.NEEDS_HUMAN and self.episode.intent is not None
        objects = tuple(dict.fromkeys(change.object for change in self.intent.plan.changes)) if keep else ()
        return Closed(self.now, self.episode.key, result, detail, helped, objects)

    def intend(self, step: Step, changes: tuple[Change, ...], *, stage: int, hold: float = 0.0) -> Intent:
        """A further step of the same attempt."""
        return Intent(
            self.now,
            self.episode.key,
            number=self.state.intents + 1,
            step=step,
            rung=self.intent.rung,
            action=self.intent.action,
            changes=changes,
            plan=self.intent.plan,
            judge_at=self.now + self.policy.initial_delay,
            due=self.now + self.policy.within,
            stage=stage,
            hold=hold,
        )

    def undo(self) -> Intent:
        """Put back what is still ours: after a release stage, only what is not yet lifted."""
        plan, stage = self.intent.plan, self.intent.stage
        lifted = plan.release[stage - 1] if stage else None
        changes = plan.undo_changes()
        if lifted is not None:
            first = plan.changes[0]
            changes = (Change(lifted.object, lifted.path, lifted.after, first.before),)
        return self.intend(Step.UNDO, changes, stage=len(plan.release))

    def release(self) -> Intent:
        """Lift the next stage of a success."""
        stage, plan = self.intent.stage, self.intent.plan
        return self.intend(
            Step.RELEASE, (plan.release[stage],), stage=stage + 1, hold=plan.hold / max(1, len(plan.release))
        )

    def redo(self) -> Intent:
        """The release came too early: back one stage, and hold twice as long as the last time."""
        stage = self.intent.stage - 1
        doublings = min(self.episode.redos + 1, 64)
        first = self.intent.plan.hold
        hold = max(first, min(HOLD_MAX, first * 2.0**doublings))
        return self.intend(Step.REDO, (self.intent.plan.release[stage].inverse(),), stage=stage, hold=hold)

    def failed(self, rung: int, detail: str, *, counts: bool = True) -> Failed:
        """The attempt is over; the episode is not."""
        return Failed(self.now, self.episode.key, self.intent.number, rung, detail, counts)


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the table.

    Attributes:
        place: where the episode stands: Open (nothing begun), Acting, Written, Holding, Verifying; as docs draw it.
        when: the case, in words, as docs show it.
        then: what is recorded, in words.
        matches: the case, in code.
        record: what is recorded; None waits.
    """

    place: str
    when: str
    then: str
    matches: Callable[[Case], bool]
    record: Callable[[Case], Next | None] = lambda _: None


def _is(case: Case, *steps: Step) -> bool:
    return case.step in steps


TABLE: tuple[Row, ...] = (
    Row("Over", "it waits for `auto ack`", "-", lambda c: c.episode.needs_human),
    Row(
        "Open",
        "no intent, a person aborted it",
        "Closed Dropped",
        lambda c: c.episode.intent is None and c.episode.wish is not None,
        lambda c: c.closed(Result.DROPPED, "a person ended it"),
    ),
    Row(
        "Open",
        "no intent, a person's request expired",
        "Closed Dropped",
        lambda c: c.episode.intent is None and _expired(c),
        lambda c: c.closed(Result.DROPPED, f"not started in time: {c.episode.held or 'no plan'}"),
    ),
    Row(
        "Open",
        "no intent, until passes, nobody asked",
        "Closed Recovered",
        lambda c: c.episode.intent is None and c.until is Verdict.PASS and not _asked(c),
        lambda c: c.closed(Result.RECOVERED, "by itself; nothing was done"),
    ),
    Row(
        "Open",
        "no intent, the target is gone",
        "Closed Dropped",
        lambda c: c.episode.intent is None and c.gone,
        lambda c: c.closed(Result.DROPPED, "the target is gone"),
    ),
    Row(
        "Open",
        "no intent, its policy is no longer in force",
        "Closed Dropped",
        lambda c: c.episode.intent is None and not _in_force(c) and not _asked(c),
        lambda c: c.closed(Result.DROPPED, "its policy was changed or removed"),
    ),
    Row("Open", "no intent", "-", lambda c: c.episode.intent is None),
    Row("Acting", "no outcome yet", "-", lambda c: c.episode.outcome is None),
    Row(
        "Written",
        "outcome Unknown",
        "Closed NeedsHuman",
        lambda c: c.outcome.result is Verdict.UNKNOWN,
        lambda c: c.closed(Result.NEEDS_HUMAN, f"nobody can tell whether it was written: {c.outcome.detail}"),
    ),
    Row(
        "Written",
        "Do failed to write",
        "Closed Dropped",
        lambda c: c.outcome.result is Verdict.FAIL and _is(c, Step.DO),
        lambda c: c.closed(Result.DROPPED, c.outcome.detail),
    ),
    Row(
        "Written",
        "another step failed to write",
        "Closed NeedsHuman",
        lambda c: c.outcome.result is Verdict.FAIL,
        lambda c: c.closed(Result.NEEDS_HUMAN, f"{c.step} was refused: {c.outcome.detail}", helped=_helped(c)),
    ),
    Row(
        "Written",
        "Undo written, as a person asked",
        "Closed Undone",
        lambda c: _is(c, Step.UNDO) and c.episode.wish is not None,
        lambda c: c.closed(Result.UNDONE, "put back, as a person asked"),
    ),
    Row(
        "Written",
        "Undo written, no attempt left",
        "Closed NeedsHuman",
        lambda c: _is(c, Step.UNDO) and not c.may_retry,
        lambda c: c.closed(Result.NEEDS_HUMAN, "did not help, put back, and no attempt is left", helped=False),
    ),
    Row(
        "Written",
        "Undo written, a further rung is left",
        "Failed, next rung",
        lambda c: _is(c, Step.UNDO) and c.climbs,
        lambda c: c.failed(c.intent.rung + 1, "did not help, put back"),
    ),
    Row(
        "Written",
        "Undo written",
        "Closed Undone",
        lambda c: _is(c, Step.UNDO),
        lambda c: c.closed(Result.UNDONE, "did not help, put back", helped=False),
    ),
    Row(
        "Written",
        "a person wants it undone or ended, reversible, free",
        "Undo",
        lambda c: c.episode.wish is not None and c.reversible and c.free,
        lambda c: c.undo(),
    ),
    Row(
        "Written",
        "a person ended it, nothing to put back",
        "Closed Dropped",
        lambda c: c.episode.wish is not None and not c.reversible,
        lambda c: c.closed(Result.DROPPED, "a person ended it; there is nothing to put back"),
    ),
    Row(
        "Holding",
        "passed, stages left, hold over, free",
        "Release",
        lambda c: c.passed and c.stages_left and c.hold_over and c.free,
        lambda c: c.release(),
    ),
    Row("Holding", "passed, stages left", "-", lambda c: c.passed and c.stages_left),
    Row(
        "Holding",
        "passed",
        "Closed Healed",
        lambda c: c.passed,
        lambda c: c.closed(Result.HEALED, "", helped=bool(c.intent.plan.changes) or None),
    ),
    Row(
        "Verifying",
        "a probe failed, a further rung is left",
        "Failed, next rung",
        lambda c: Verdict.FAIL in c.outcome.found and c.can_climb,
        lambda c: c.failed(c.intent.rung + 1, f"{c.outcome.found.count(Verdict.FAIL)} probes failed", counts=False),
    ),
    Row("Verifying", "before the initial delay", "-", lambda c: c.early),
    Row(
        "Verifying",
        "until passes",
        "Passed",
        lambda c: c.until is Verdict.PASS,
        lambda c: Passed(c.now, c.episode.key, c.intent.number),
    ),
    Row("Verifying", "before the deadline", "-", lambda c: not c.due),
    Row(
        "Verifying",
        "deadline, until unknown",
        "Closed NeedsHuman",
        lambda c: c.until is Verdict.UNKNOWN,
        lambda c: c.closed(Result.NEEDS_HUMAN, "nobody can tell whether it helped"),
    ),
    Row(
        "Verifying",
        "deadline, Release failed, free",
        "Redo, twice the hold",
        lambda c: _is(c, Step.RELEASE) and c.free,
        lambda c: c.redo(),
    ),
    Row("Verifying", "deadline, Release failed", "-", lambda c: _is(c, Step.RELEASE)),
    Row(
        "Verifying",
        "deadline, did not help, the policy says Escalate",
        "Closed NeedsHuman",
        lambda c: c.policy.on_failure is OnFailure.ESCALATE,
        lambda c: c.closed(Result.NEEDS_HUMAN, "did not help; the policy asks for a person", helped=False),
    ),
    Row(
        "Verifying",
        "deadline, did not help, reversible, free",
        "Undo",
        lambda c: c.reversible and c.free,
        lambda c: c.undo(),
    ),
    Row("Verifying", "deadline, did not help, reversible", "-", lambda c: c.reversible),
    Row(
        "Verifying",
        "deadline, did not help, a further rung is left",
        "Failed, next rung",
        lambda c: c.climbs and c.may_retry,
        lambda c: c.failed(c.intent.rung + 1, "did not help"),
    ),
    Row(
        "Verifying",
        "deadline, did not help, attempts left",
        "Failed, same rung",
        lambda c: c.may_retry,
        lambda c: c.failed(c.intent.rung, "did not help"),
    ),
    Row(
        "Verifying",
        "deadline, did not help",
        "Closed NeedsHuman",
        lambda _: True,
        lambda c: c.closed(Result.NEEDS_HUMAN, "did not help, and no attempt is left", helped=False),
    ),
)
"""First match wins."""


def _asked(case: Case) -> bool:
    return case.episode.key in case.state.requests


def _in_force(case: Case) -> bool:
    return case.state.in_force.get(case.episode.key.policy) == case.episode.policy_hash


def _expired(case: Case) -> bool:
    said = case.state.requests.get(case.episode.key)
    return said is not None and said.request is not None and case.now >= said.request.expires


def _helped(case: Case) -> bool | None:
    """An undo is only tried after something did not help; a release or redo only after it did."""
    return False if case.step is Step.UNDO else None


def row_of(case: Case) -> Row:
    """The line of the table that decides this case."""
    return next(row for row in TABLE if row.matches(case))


def follow_up(case: Case) -> Next | None:
    """What is recorded now about an episode under way; None waits."""
    return row_of(case).record(case)
