"""One episode as the follow-up table sees it, and the records that a row may write."""

from dataclasses import dataclass, field

from actions.plan import Change
from controller.core.knobs import too_soon
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
        return max(0.0, self.episode.moved_at - self.intent.at)

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
    def steady(self) -> bool:
        """The next release would not make a field flap."""
        change = self.intent.plan.release[self.intent.stage]
        knob = self.state.knobs.get(f"{change.object}#{change.path}")
        return too_soon(knob, change, self.now, self.limits.turn_spacing, ours=True) == 0

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

    def again(self) -> Intent:
        """The step that a crash kept from being written: its compare-and-set makes it as safe as the first time."""
        intent = self.intent
        return self.intend(intent.step, intent.changes, stage=intent.stage, hold=intent.hold)

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
