"""The table: every line is reached by the case it is named after, and no case falls through."""

from collections.abc import Callable, Mapping
from dataclasses import replace

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from actions.plan import Plan, Undo
from controller.core.case import HOLD_MAX, Case
from controller.core.follow_up import TABLE, follow_up, row_of
from controller.core.knobs import Knob
from controller.core.records import (
    AnyRecord,
    Closed,
    Failed,
    Intent,
    Key,
    Led,
    Loaded,
    Passed,
    Request,
    Result,
    Said,
    Step,
    Verb,
)
from controller.core.state import MOST_MOVES, Episode, Failures, fold
from controller.core.wish import Limits
from policies.policy import Policy
from telemetry.verdict import Verdict

from .world import (
    LOOK,
    NOW,
    RESTART,
    SCALE,
    Service,
    change,
    intent,
    led,
    look_plan,
    opened,
    outcome,
    policy,
    restart_plan,
    scale_plan,
)

WEB = Service("web", "---")
OTHER = Key("other", WEB.target)
ONE = policy()
LADDER = policy("ladder", actions=[SCALE, RESTART], onFailure="Next")
ASKING = policy("asking", onFailure="Escalate")
TELLING = policy("telling", action={"type": "Escalate"})
RESTARTING = policy("restarting", action=RESTART)
LOOKING = policy("looking", actions=[LOOK, RESTART])
STAGES = (4, 3)
EARLY, JUDGING, DUE = NOW + 4.99, NOW + 5, NOW + 20  # the policies wait 5 s, and 20 s at most
PASS, FAIL, UNKNOWN = Verdict.PASS, Verdict.FAIL, Verdict.UNKNOWN


def case(
    *records: AnyRecord,
    of: Policy = ONE,
    now: float = NOW,
    until: Verdict = FAIL,
    gone: bool = False,
    spacing: float = 0.0,
) -> Case:
    """The episode that these records make, at a time."""
    key = Key(of.name, WEB.target)
    state = fold([opened(of, WEB), *records], led(of))
    return Case(now, state.episodes[key], until, of, state, Limits(attempts=3, turn_spacing=spacing), gone)


def do(of: Policy = ONE, plan: Plan | None = None, **given: object) -> Intent:
    return intent(of, WEB, plan or scale_plan(WEB, stages=STAGES), at=NOW, **given)


def step(which: Step, stage: int = 0, of: Policy = ONE, number: int = 2) -> list[AnyRecord]:
    """A Do that passed, and a further step that was written."""
    first = do(of)
    plan = first.plan
    changes = {
        Step.UNDO: plan.undo_changes(),
        Step.RELEASE: plan.release[stage - 1 : stage],
        Step.REDO: tuple(c.inverse() for c in plan.release[stage : stage + 1]),
    }[which]
    passed = [] if which is Step.UNDO else [Passed(NOW, first.key, first.number)]
    further = do(of, plan, number=number, step=which, changes=changes, stage=stage, hold=30.0)
    return [first, outcome(first), *passed, further, outcome(further)]


def lost(which: Step, stage: int = 0) -> list[AnyRecord]:
    """A further step that a crash kept from being written."""
    *before, further, _ = step(which, stage)
    return [*before, further, outcome(further, FAIL, settled=True)]


def said(verb: Verb) -> Said:
    return Said(NOW, "ann", verb, "because", "e1")


def asked(of: Policy, expires: float) -> list[AnyRecord]:
    request = Request(WEB.target, of.name, of.hash, expires)
    return [Loaded(NOW, of.name, ""), Said(NOW, "ann", Verb.ACT, "help", request=request)]


def with_(built: Case, *, claimed_by: Key | None = None, failures: int = 0, frozen: str = "") -> Case:
    """The same case in another state."""
    if claimed_by:
        built.state.claims[str(WEB.target)] = claimed_by
    if failures:
        built.state.failures[built.episode.key] = Failures(failures, NOW)
    built.state.frozen = frozen
    return built


def done(of: Policy = ONE, plan: Plan | None = None, result: Verdict = PASS) -> list[AnyRecord]:
    first = do(of, plan)
    return [first, outcome(first, result)]


def passed(of: Policy = ONE, plan: Plan | None = None) -> list[AnyRecord]:
    return [*done(of, plan), Passed(NOW, Key(of.name, WEB.target), 1)]


def looked(*found: Verdict) -> list[AnyRecord]:
    first = do(LOOKING, look_plan(WEB))
    return [first, outcome(first, found=found)]


CASES: Mapping[str, Callable[[], Case]] = {
    "it waits for `auto ack`": lambda: case(*done(), Closed(NOW, Key(ONE.name, WEB.target), Result.NEEDS_HUMAN)),
    "no intent, a person aborted it": lambda: case(said(Verb.ABORT)),
    "no intent, a person's request expired": lambda: case(*asked(ONE, NOW)),
    "no intent, until passes, nobody asked": lambda: case(until=PASS),
    "no intent, the target is gone": lambda: case(until=UNKNOWN, gone=True),
    "no intent, its policy is no longer in force": lambda: case(Loaded(NOW, ONE.name, "")),
    "no intent": case,
    "no outcome yet": lambda: case(do(), now=DUE),
    "the plan asks a person": lambda: case(*done(TELLING, Plan((), asks="web-1: OOMKilled")), of=TELLING, until=PASS),
    "outcome Unknown": lambda: case(*done(result=UNKNOWN), until=PASS),
    "Do failed to write": lambda: case(*done(result=FAIL)),
    "another step is surely not in force after a crash, free": lambda: case(*lost(Step.RELEASE, 1)),
    "another step is surely not in force after a crash": lambda: with_(case(*lost(Step.RELEASE, 1)), frozen="x"),
    "another step failed to write": lambda: case(*step(Step.RELEASE, 1)[:-1], outcome(do(number=2), FAIL)),
    "Undo written, as a person asked": lambda: case(*done(), said(Verb.UNDO), *step(Step.UNDO)[2:]),
    "Undo written, no attempt left": lambda: with_(case(*step(Step.UNDO)), failures=2),
    "Undo written, a further rung is left": lambda: case(*step(Step.UNDO, of=LADDER), of=LADDER),
    "Undo written": lambda: case(*step(Step.UNDO)),
    "a person wants it undone or ended, reversible, free": lambda: case(*done(), said(Verb.ABORT)),
    "a person ended it, nothing to put back": lambda: case(
        *done(RESTARTING, restart_plan(WEB)), said(Verb.ABORT), of=RESTARTING
    ),
    "passed, stages left, hold over, free, not flapping": lambda: case(*passed(), now=NOW + 60),
    "passed, stages left": lambda: case(*passed(), now=NOW + 59),
    "passed": lambda: case(*passed(RESTARTING, restart_plan(WEB)), of=RESTARTING),
    "a probe failed, a further rung is left": lambda: case(*looked(PASS, FAIL), of=LOOKING),
    "before the initial delay": lambda: case(*done(), now=EARLY, until=PASS),
    "until passes": lambda: case(*done(), now=JUDGING, until=PASS),
    "before the deadline": lambda: case(*done(), now=JUDGING),
    "deadline, until unknown": lambda: case(*done(), now=DUE, until=UNKNOWN),
    "deadline, Release failed, free": lambda: case(*step(Step.RELEASE, 1), now=DUE),
    "deadline, Release failed": lambda: with_(case(*step(Step.RELEASE, 1), now=DUE), claimed_by=OTHER),
    "deadline, did not help, the policy says Escalate": lambda: case(*done(ASKING), of=ASKING, now=DUE),
    "deadline, did not help, reversible, free": lambda: case(*done(), now=DUE),
    "deadline, did not help, reversible": lambda: with_(case(*done(), now=DUE), frozen="fire"),
    "deadline, did not help, a further rung is left": lambda: case(
        *done(LADDER, restart_plan(WEB)), of=LADDER, now=DUE
    ),
    "deadline, did not help, attempts left": lambda: case(*done(RESTARTING, restart_plan(WEB)), of=RESTARTING, now=DUE),
    "deadline, did not help": lambda: with_(
        case(*done(RESTARTING, restart_plan(WEB)), of=RESTARTING, now=DUE), failures=2
    ),
}


def test_every_line_of_the_table_has_a_case_and_a_name_of_its_own() -> None:
    assert list(CASES) == [row.when for row in TABLE]


@pytest.mark.parametrize("name", CASES)
def test_a_case_meets_the_line_it_is_named_after(name: str) -> None:
    built = CASES[name]()
    row = row_of(built)
    assert row.when == name
    assert row.then.startswith(_in_words(follow_up(built)))


def _in_words(record: object) -> str:
    match record:
        case None:
            return "-"
        case Intent():
            return record.step
        case Closed():
            return f"Closed {record.result}"
        case _:
            return type(record).__name__


# --- what the records say


def test_a_person_gets_what_stays_claimed() -> None:
    record = follow_up(CASES["outcome Unknown"]())
    assert isinstance(record, Closed)
    assert record.objects == (WEB.target,)


@pytest.mark.parametrize("name", ["Undo written", "Undo written, no attempt left", "deadline, did not help"])
def test_what_did_not_help_counts_as_a_failure(name: str) -> None:
    built = CASES[name]()
    record = follow_up(built)
    assert isinstance(record, Closed)
    assert record.helped is False
    before = built.state.failures.get(record.key, Failures(0, 0)).count
    assert fold([record], built.state).failures[record.key].count == before + 1


@pytest.mark.parametrize(
    "name", ["Undo written, as a person asked", "Do failed to write", "no intent, until passes, nobody asked"]
)
def test_what_says_nothing_of_the_action_counts_neither_way(name: str) -> None:
    record = follow_up(CASES[name]())
    assert isinstance(record, Closed)
    assert record.helped is None


def test_an_undo_puts_back_what_the_do_wrote() -> None:
    record = follow_up(CASES["deadline, did not help, reversible, free"]())
    assert isinstance(record, Intent)
    assert record.changes == (change(WEB, 5, 3),)


def test_an_undo_after_a_release_stage_puts_back_only_the_rest() -> None:
    record = follow_up(case(*step(Step.RELEASE, 1), said(Verb.UNDO)))
    assert isinstance(record, Intent)
    assert record.step is Step.UNDO
    assert record.changes == (change(WEB, 4, 3),)


def test_what_is_wholly_lifted_is_not_undone() -> None:
    record = follow_up(case(*step(Step.RELEASE, 2), said(Verb.ABORT)))
    assert isinstance(record, Closed)
    assert record.result is Result.DROPPED


def test_a_release_lifts_stage_by_stage_and_then_it_is_healed() -> None:
    first = follow_up(CASES["passed, stages left, hold over, free, not flapping"]())
    assert isinstance(first, Intent)
    assert (first.step, first.stage, first.changes) == (Step.RELEASE, 1, (change(WEB, 5, 4),))
    assert first.hold == 30.0
    lifted = [*passed(), first, outcome(first), Passed(first.at, first.key, first.number)]
    assert follow_up(case(*lifted, now=first.at + 29)) is None
    second = follow_up(case(*lifted, now=first.at + 30))
    assert isinstance(second, Intent)
    assert (second.stage, second.changes) == (2, (change(WEB, 4, 3),))
    end = [*lifted, second, outcome(second), Passed(second.at, second.key, second.number)]
    assert follow_up(case(*end, now=second.at)) == Closed(second.at, second.key, Result.HEALED, helped=True, objects=())


def test_every_redo_holds_twice_as_long_up_to_a_day() -> None:
    records: list[AnyRecord] = passed()
    now, holds = NOW, list[float]()
    for _ in range(14):
        built = case(*records, now=now)
        now = built.episode.outcome_at + built.intent.hold
        release = follow_up(later(built, now))
        assert isinstance(release, Intent)
        records += [release, outcome(release)]
        now = release.due
        redo = follow_up(case(*records, now=now))
        assert isinstance(redo, Intent)
        assert redo.step is Step.REDO
        assert redo.changes == (change(WEB, 4, 5),)
        records += [redo, outcome(redo), Passed(now, redo.key, redo.number)]
        holds.append(redo.hold)
    assert holds == [min(60.0 * 2**n, HOLD_MAX) for n in range(1, 15)]
    assert holds[-1] == HOLD_MAX


def later(built: Case, now: float) -> Case:
    """The same case at another time."""
    return Case(now, built.episode, built.until, built.policy, built.state, built.limits, built.gone)


def test_a_redo_never_holds_shorter_than_was_asked() -> None:
    long = scale_plan(WEB, hold=3 * HOLD_MAX)
    first = do(plan=long)
    release = do(plan=long, number=2, step=Step.RELEASE, changes=long.release, stage=1)
    redo = follow_up(case(first, outcome(first), Passed(NOW, first.key, 1), release, outcome(release), now=DUE))
    assert isinstance(redo, Intent)
    assert redo.hold == 3 * HOLD_MAX


@pytest.mark.parametrize(
    ("name", "rung"),
    [
        ("Undo written, a further rung is left", 1),
        ("a probe failed, a further rung is left", 1),
        ("deadline, did not help, a further rung is left", 1),
        ("deadline, did not help, attempts left", 0),
    ],
)
def test_a_failure_says_which_rung_is_next(name: str, rung: int) -> None:
    record = follow_up(CASES[name]())
    assert isinstance(record, Failed)
    assert record.rung == rung
    assert record.counts is ("probe" not in name)


def test_after_the_last_rung_there_is_no_further_one() -> None:
    first = do(LADDER, restart_plan(WEB), rung=1)
    assert row_of(case(first, outcome(first), of=LADDER, now=DUE)).when == "deadline, did not help, attempts left"
    look = do(LOOKING, look_plan(WEB), rung=1)
    assert row_of(case(look, outcome(look, found=(FAIL,)), of=LOOKING)).when == "before the initial delay"


def test_after_a_restart_the_deadline_runs_anew() -> None:
    records = [*done(), Led(NOW + 15, 2, "b")]
    assert row_of(case(*records, now=NOW + 19, until=PASS)).when == "before the initial delay"
    assert row_of(case(*records, now=NOW + 34)).when == "before the deadline"
    assert row_of(case(*records, now=NOW + 35)).when == "deadline, did not help, reversible, free"


def test_restarts_again_and_again_do_not_move_the_deadline_for_ever() -> None:
    records = [*done(), *(Led(NOW + 15 * n, n + 1, "b") for n in range(1, MOST_MOVES + 5))]
    last = NOW + 15 * MOST_MOVES + ONE.within
    assert row_of(case(*records, now=last - 1)).when == "before the deadline"
    assert row_of(case(*records, now=last)).when == "deadline, did not help, reversible, free"


def test_a_further_step_gets_its_own_time() -> None:
    records = [*done(), *(Led(NOW + n, n + 1, "b") for n in range(1, MOST_MOVES + 5)), *step(Step.UNDO)[2:3]]
    again = case(*records)
    assert (again.episode.moves, again.episode.moved_at) == (0, 0.0)


def test_a_leadership_before_the_intent_moves_nothing() -> None:
    assert row_of(case(*done(), now=NOW + 20)).when == "deadline, did not help, reversible, free"


def test_a_further_step_has_an_id_of_its_own() -> None:
    for name in ("passed, stages left, hold over, free, not flapping", "deadline, did not help, reversible, free"):
        built = CASES[name]()
        record = follow_up(built)
        assert isinstance(record, Intent)
        assert record.number == built.state.intents + 1


# --- for every case there is


verdicts = st.sampled_from(Verdict)
policies = st.sampled_from([ONE, LADDER, ASKING, RESTARTING, LOOKING])


@st.composite
def any_case(draw: st.DrawFn) -> Case:
    """Any episode that a trail could make, and many that none could."""
    of = draw(policies)
    key = Key(of.name, WEB.target)
    state = led(*draw(st.sampled_from([(), (of,)])))
    plans = [scale_plan(WEB, stages=STAGES), scale_plan(WEB, hold=0.0), restart_plan(WEB), look_plan(WEB)]
    plan = draw(st.sampled_from(plans))
    which = draw(st.sampled_from(Step))
    if which in (Step.RELEASE, Step.REDO):
        plan = plans[0]
    stage = {Step.DO: 0, Step.UNDO: len(plan.release), Step.RELEASE: draw(st.integers(1, 2)), Step.REDO: 1}[which]
    last_rung = len(of.rungs) - 1
    made = do(of, plan, number=5, step=which, stage=stage, rung=draw(st.integers(0, last_rung)))
    has_intent = draw(st.booleans())
    result = draw(st.none() | verdicts)
    episode = Episode(
        key,
        "e1",
        NOW - 100,
        of.hash,
        opened(of, WEB).evidence,
        rung=made.rung,
        attempts=int(has_intent),
        intent=made if has_intent else None,
        outcome=outcome(made, result, found=tuple(draw(st.lists(verdicts, max_size=2))))
        if has_intent and result
        else None,
        outcome_at=NOW,
        judged=draw(st.sampled_from([0, 4, 5])),
        redos=draw(st.integers(0, 2000)),
        moved_at=draw(st.sampled_from([0.0, NOW, NOW + 15])),
        wish=draw(st.none() | st.sampled_from([Verb.UNDO, Verb.ABORT])),
        needs_human=draw(st.booleans()),
    )
    state.episodes[key] = episode
    state.intents = 9
    state.frozen = draw(st.sampled_from(["", "fire"]))
    if draw(st.booleans()):
        state.failures[key] = Failures(draw(st.integers(1, 5)), NOW)
    if draw(st.booleans()):
        state.claims[str(WEB.target)] = draw(st.sampled_from([key, OTHER]))
    if draw(st.booleans()):
        request = Request(WEB.target, of.name, of.hash, draw(st.sampled_from([NOW - 1, NOW + 1000])))
        state.requests[key] = Said(NOW, "ann", Verb.ACT, "help", request=request)
    now = draw(st.sampled_from([NOW, EARLY, JUDGING, DUE, NOW + 70, NOW + 1e6]))
    return Case(now, episode, draw(verdicts), of, state, Limits(attempts=3), draw(st.booleans()))


MANY = settings(max_examples=400, deadline=None)


@MANY
@given(any_case())
def test_no_case_falls_through_and_each_ends_in_a_state(built: Case) -> None:
    record = follow_up(built)
    assert row_of(built).then.startswith(_in_words(record))
    if record is not None:
        assert record.key == built.episode.key
        built.state.apply(record)


@MANY
@given(any_case())
def test_unknown_never_reverses_and_is_never_a_success(built: Case) -> None:
    unknown = msgspec.structs.replace(built.episode, wish=None)
    record = follow_up(Case(built.now, unknown, UNKNOWN, built.policy, built.state, built.limits, built.gone))
    assert not isinstance(record, Passed)
    if isinstance(record, Intent):  # a success that was known before is lifted when its time is over
        assert record.step is Step.RELEASE
        assert unknown.intent is not None
        assert unknown.judged == unknown.intent.number
    if isinstance(record, Closed):
        assert record.result is not Result.RECOVERED
        if record.result is Result.HEALED:
            assert unknown.intent is not None
            assert unknown.judged == unknown.intent.number


@MANY
@given(any_case())
def test_nothing_is_written_while_frozen_or_while_another_is_at_it(built: Case) -> None:
    other = built.state.claims.get(str(WEB.target)) == OTHER
    record = follow_up(built)
    if built.state.frozen or (other and built.episode.intent and built.episode.intent.plan.changes):
        assert not isinstance(record, Intent)


@MANY
@given(any_case())
def test_nothing_of_ours_is_left_behind_silently(built: Case) -> None:
    """An end that leaves our value in force needs a person, or was a success, or was a person's word."""
    record = follow_up(built)
    intent_, outcome_ = built.episode.intent, built.episode.outcome
    if not isinstance(record, Closed) or intent_ is None or built.episode.needs_human:
        return
    assert outcome_ is not None
    in_force = outcome_.result is PASS and intent_.step is not Step.UNDO and built.reversible
    if in_force and record.result is not Result.NEEDS_HUMAN:
        assert built.passed
        assert not built.stages_left
    if outcome_.result is UNKNOWN:
        assert record.result is Result.NEEDS_HUMAN


@MANY
@given(any_case())
def test_a_failure_is_followed_by_at_most_as_many_attempts_as_allowed(built: Case) -> None:
    record = follow_up(built)
    before = built.state.failures.get(built.episode.key, Failures(0, 0)).count
    if isinstance(record, Failed) and record.counts:
        assert before + 1 < built.limits.attempts
    if isinstance(record, Closed) and record.helped is False and before + 1 >= built.limits.attempts:
        assert record.result is Result.NEEDS_HUMAN


@pytest.mark.parametrize(("which", "stage"), [(Step.UNDO, 0), (Step.RELEASE, 1), (Step.REDO, 0)])
def test_a_step_that_a_crash_kept_from_being_written_is_done_again_as_it_was(which: Step, stage: int) -> None:
    seen = case(*lost(which, stage))
    first, again = seen.intent, follow_up(seen)
    assert isinstance(again, Intent)
    assert again.number == first.number + 1
    assert (again.step, again.changes, again.plan, again.stage, again.hold) == (
        which,
        first.changes,
        first.plan,
        first.stage,
        first.hold,
    )


@pytest.mark.parametrize("result", [PASS, FAIL, UNKNOWN])
def test_what_a_person_is_asked_reaches_them_also_if_its_outcome_was_lost(result: Verdict) -> None:
    record = follow_up(case(*done(TELLING, Plan((), asks="web-1: OOMKilled"), result), of=TELLING))
    assert isinstance(record, Closed)
    assert (record.result, record.detail, record.objects) == (Result.NEEDS_HUMAN, "web-1: OOMKilled", ())
    assert record.helped is None  # nothing was tried


# --- what each condition of a line is for

BEGUN = [do()]
WAITS = "no outcome yet"


@pytest.mark.parametrize(
    ("when", "built"),
    [
        (WAITS, lambda: case(*asked(ONE, NOW), *BEGUN)),
        (WAITS, lambda: case(*BEGUN, until=PASS)),
        (WAITS, lambda: case(*BEGUN, until=UNKNOWN, gone=True)),
        (WAITS, lambda: case(*BEGUN, Loaded(NOW, ONE.name, ""))),
        (WAITS, lambda: case(*BEGUN, said(Verb.ABORT))),
        ("no intent", lambda: case(*asked(ONE, NOW + 60), until=PASS)),
        ("no intent", lambda: case(*asked(ONE, NOW + 60))),
    ],
)
def test_what_was_begun_is_not_dropped_and_what_a_person_asked_waits_for_its_time(
    when: str, built: Callable[[], Case]
) -> None:
    assert row_of(built()).when == when


def test_a_step_that_was_found_written_after_a_crash_is_verified_not_done_again() -> None:
    *before, further, _ = step(Step.RELEASE, 1)
    records = [*before, further, outcome(further, PASS, settled=True)]
    assert row_of(case(*records)).when == "before the initial delay"
    assert row_of(with_(case(*records), frozen="fire")).when == "before the initial delay"


def test_what_a_person_wants_undone_waits_while_nothing_may_be_written() -> None:
    assert row_of(with_(case(*done(), said(Verb.UNDO)), frozen="fire")).when == "before the initial delay"
    assert row_of(with_(case(*done(), said(Verb.UNDO)), claimed_by=OTHER)).when == "before the initial delay"


def test_a_release_waits_while_nothing_may_be_written_and_while_its_field_would_flap() -> None:
    waits = "passed, stages left"
    assert row_of(with_(case(*passed(), now=NOW + 60), frozen="fire")).when == waits
    flapping = case(*passed(), now=NOW + 60, spacing=3600.0)
    flapping.state.knobs[f"{WEB.target}#desired"] = Knob(NOW, up=True, turns=(NOW - 100, NOW), streak=2)
    assert row_of(flapping).when == waits


def test_a_release_need_not_wait_for_the_move_that_it_takes_back() -> None:
    held = case(*passed(), now=NOW + 60, spacing=3600.0)
    assert held.state.knobs[f"{WEB.target}#desired"].up is True
    assert row_of(held).when == "passed, stages left, hold over, free, not flapping"


@pytest.mark.parametrize(("which", "stage", "helped"), [(Step.UNDO, 0, False), (Step.RELEASE, 1, None)])
def test_a_refused_undo_followed_what_did_not_help_and_a_refused_release_what_did(
    which: Step, stage: int, helped: bool | None
) -> None:
    *before, further, _ = step(which, stage)
    record = follow_up(case(*before, further, outcome(further, FAIL)))
    assert isinstance(record, Closed)
    assert (record.result, record.helped) == (Result.NEEDS_HUMAN, helped)


def test_a_look_that_found_everything_well_healed_nothing() -> None:
    record = follow_up(case(*passed(LOOKING, look_plan(WEB)), of=LOOKING))
    assert isinstance(record, Closed)
    assert (record.result, record.helped) == (Result.HEALED, None)


def test_what_a_policy_gives_to_a_person_did_not_help() -> None:
    record = follow_up(CASES["deadline, did not help, the policy says Escalate"]())
    assert isinstance(record, Closed)
    assert record.helped is False


def test_no_rung_is_climbed_once_the_attempts_are_used_up() -> None:
    built = with_(case(*done(LADDER, restart_plan(WEB)), of=LADDER, now=DUE), failures=2)
    assert row_of(built).when == "deadline, did not help"


def test_a_ladder_is_climbed_only_where_the_policy_says_next() -> None:
    staying = policy("staying", actions=[LOOK, RESTART], onFailure="Rollback")
    assert row_of(case(*done(staying, look_plan(WEB)), of=staying, now=DUE)).when == (
        "deadline, did not help, attempts left"
    )


def test_what_has_no_stage_to_lift_is_still_put_back() -> None:
    built = case(*done(plan=scale_plan(WEB, hold=0)), now=DUE)
    assert row_of(built).when == "deadline, did not help, reversible, free"


@pytest.mark.parametrize(("attempts", "failures", "may"), [(1, 0, False), (2, 0, True), (2, 1, False), (3, 1, True)])
def test_the_failure_at_hand_counts_among_the_attempts(attempts: int, failures: int, may: bool) -> None:
    built = with_(case(*done()), failures=failures)
    assert replace(built, limits=replace(built.limits, attempts=attempts)).may_retry is may


def test_every_object_of_a_plan_must_be_free() -> None:
    other = Service("db", "---")
    plan = Plan((change(WEB), change(other)), undo=Undo.REVERSIBLE)
    built = case(*done(plan=plan))
    assert built.free
    built.state.claims[str(other.target)] = OTHER
    assert not built.free


def test_a_further_step_is_judged_as_late_as_the_first() -> None:
    record = follow_up(CASES["deadline, did not help, reversible, free"]())
    assert isinstance(record, Intent)
    assert (record.judge_at, record.due) == (DUE + ONE.initial_delay, DUE + ONE.within)


def test_a_release_of_one_stage_is_held_for_the_whole_hold() -> None:
    record = follow_up(case(*passed(plan=scale_plan(WEB, hold=60.0)), now=NOW + 60))
    assert isinstance(record, Intent)
    assert record.hold == 60.0
