"""What becomes of an episode that is under way: a table, first match wins. The docs draw their diagram from it.

Rule 1  Nothing new is begun here: only verified, released, undone, or given to a person.
Rule 2  Unknown never reverses and never counts as success: past the deadline it becomes a person's.
Rule 3  Every effect ends lifted, undone or with a person.
"""

from collections.abc import Callable
from dataclasses import dataclass

from controller.core.case import Case, Next
from controller.core.records import Passed, Result, Step
from policies.policy import OnFailure
from telemetry.verdict import Verdict


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
        "the plan asks a person",
        "Closed NeedsHuman",
        lambda c: bool(c.intent.plan.asks),
        lambda c: c.closed(Result.NEEDS_HUMAN, c.intent.plan.asks),
    ),
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
        "another step is surely not in force after a crash, free",
        "Release, Undo or Redo again",
        lambda c: c.outcome.result is Verdict.FAIL and c.outcome.settled and c.free,
        lambda c: c.again(),
    ),
    Row(
        "Written",
        "another step is surely not in force after a crash",
        "-",
        lambda c: c.outcome.result is Verdict.FAIL and c.outcome.settled,
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
        "passed, stages left, hold over, free, not flapping",
        "Release",
        lambda c: c.passed and c.stages_left and c.hold_over and c.free and c.steady,
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
