"""State is fold(Trail), whatever the trail says and wherever it is cut."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from actions.reason import Reason
from controller.core.knobs import Knob
from controller.core.records import (
    EFFECTS,
    OWN_STORM,
    AnyRecord,
    Closed,
    Crowded,
    Failed,
    Held,
    Key,
    Led,
    Loaded,
    Passed,
    Request,
    Result,
    Said,
    Step,
    Storm,
    Verb,
    claims_of,
    decode,
    encode,
)
from controller.core.state import LONGEST_WINDOW, Episode, Failures, State, Track, age, dump, fold, load
from telemetry.verdict import Verdict

from .strategies import records, trails
from .world import NOW, Service, intent, led, opened, outcome, policy, restart_plan, scale_plan

POLICY = policy()
WEB = Service("web", "---")
KEY = Key(POLICY.name, WEB.target)
OBJECT = str(WEB.target)
FIELD = f"{OBJECT}#desired"


def acting(**given_intent: object) -> State:
    state = led(POLICY)
    return fold([opened(POLICY, WEB), intent(POLICY, WEB, scale_plan(WEB), **given_intent)], state)


@given(records)
def test_every_record_reads_back_as_itself(record: AnyRecord) -> None:
    assert decode(encode(record)) == record
    assert encode(decode(encode(record))) == encode(record)


@given(trails)
def test_a_checkpoint_reads_back_as_the_same_state(trail: list[AnyRecord]) -> None:
    state = fold(trail)
    assert load(dump(state)) == state
    assert dump(load(dump(state))) == dump(state)


@given(trails, st.data())
def test_a_restart_anywhere_gives_the_live_state(trail: list[AnyRecord], data: st.DataObject) -> None:
    cut = data.draw(st.integers(0, len(trail)))
    restarted = load(dump(fold(trail[:cut])))
    for record in trail[cut:]:
        restarted.apply(decode(encode(record)))
    assert restarted == fold(trail)


@given(trails, trails)
def test_a_draft_never_changes_its_original(before: list[AnyRecord], after: list[AnyRecord]) -> None:
    state = fold(before)
    image = dump(state)
    draft = state.fork()
    assert draft == state
    fold(after, draft)
    assert dump(state) == image


@given(trails)
def test_time_never_runs_backwards(trail: list[AnyRecord]) -> None:
    state, last = State(), 0.0
    for record in trail:
        state.apply(record)
        assert state.at >= max(last, record.at)
        last = state.at


@given(trails)
def test_every_claim_has_an_open_episode(trail: list[AnyRecord]) -> None:
    state = fold(trail)
    assert set(state.claims.values()) <= set(state.episodes)


@given(trails)
def test_every_open_episode_keeps_its_policy_content(trail: list[AnyRecord]) -> None:
    state = State()
    for record in trail:
        known = set(state.policies)
        state.apply(record)
        forgotten = known - set(state.policies)
        assert not forgotten & {episode.policy_hash for episode in state.episodes.values()}
        assert not forgotten & set(state.in_force.values())


def test_junk_is_no_record_and_no_checkpoint() -> None:
    for junk in (b"", b"{}", b'{"kind":"nothing","at":1}', b'{"kind":"led","at":"x"}'):
        with pytest.raises(msgspec.DecodeError):
            decode(junk)
        with pytest.raises(msgspec.DecodeError):
            load(junk)


def test_statements_are_no_effects() -> None:
    assert not {Said, Loaded} & set(EFFECTS)


def test_an_intent_claims_its_object_and_its_fields() -> None:
    assert set(claims_of(intent(POLICY, WEB, scale_plan(WEB)))) == {OBJECT, FIELD}
    assert set(acting().claims) == {OBJECT, FIELD}


def test_a_restart_claims_no_field() -> None:
    assert claims_of(intent(POLICY, WEB, restart_plan(WEB))) == (OBJECT,)


def test_a_passed_attempt_holds_its_field_only() -> None:
    assert set(fold([Passed(NOW, KEY, 1)], acting()).claims) == {FIELD}


@pytest.mark.parametrize("result", [r for r in Result if r is not Result.NEEDS_HUMAN])
def test_the_end_frees_everything(result: Result) -> None:
    state = fold([Closed(NOW, KEY, result)], acting())
    assert not state.claims
    assert not state.episodes


def test_what_needs_a_human_stays_claimed_until_it_is_acknowledged() -> None:
    state = fold([Closed(NOW, KEY, Result.NEEDS_HUMAN, "look", helped=False)], acting())
    assert set(state.claims) == {OBJECT, FIELD}
    assert state.episodes[KEY].needs_human
    assert not state.under_way()
    fold([Said(NOW, "ann", Verb.ACK, "looked", "e1")], state)
    assert not state.claims
    assert not state.episodes
    assert not state.failures


def test_an_episode_that_needs_no_human_cannot_be_acknowledged_away() -> None:
    state = fold([Said(NOW, "ann", Verb.ACK, "why not", "e1")], acting())
    assert KEY in state.episodes


@pytest.mark.parametrize("held", [Reason.ATTEMPTS_EXHAUSTED, Reason.BACKOFF, None])
@pytest.mark.parametrize("verb", [Verb.ACK, Verb.APPROVE, Verb.ABORT])
def test_only_an_ack_frees_what_is_exhausted(verb: Verb, held: Reason | None) -> None:
    state = fold([opened(POLICY, WEB), *([Held(NOW, KEY, held)] if held else [])], led(POLICY))
    state.failures[KEY] = Failures(5, NOW)
    fold([Said(NOW, "ann", verb, "looked", "e1")], state)
    freed = verb is Verb.ACK and held is Reason.ATTEMPTS_EXHAUSTED
    assert (KEY in state.failures) is not freed
    assert KEY in state.episodes


def test_an_outcome_of_an_earlier_step_is_not_taken_for_the_present_one() -> None:
    state = acting()
    first = state.episodes[KEY].intent
    assert first is not None
    undo = intent(POLICY, WEB, first.plan, number=2, step=Step.UNDO, changes=first.plan.undo_changes())
    fold([outcome(first), undo, outcome(first)], state)
    assert state.episodes[KEY].outcome is None
    fold([outcome(undo)], state)
    assert state.episodes[KEY].outcome is not None


def test_the_first_outcome_of_a_step_stands() -> None:
    state = acting()
    first = state.episodes[KEY].intent
    assert first is not None
    fold([outcome(first, at=NOW), outcome(first, Verdict.FAIL, at=NOW + 9)], state)
    assert state.episodes[KEY].outcome == outcome(first, at=NOW)
    assert state.episodes[KEY].outcome_at == NOW


def test_only_the_present_step_passes_or_fails() -> None:
    state = acting(number=7)
    fold([Passed(NOW, KEY, 6), Failed(NOW, KEY, 6, 1)], state)
    assert state.episodes[KEY].under_way
    assert not state.failures


def test_an_intent_of_an_older_leadership_is_unsettled_until_its_outcome() -> None:
    state = acting()
    assert not state.unsettled()
    fold([Led(NOW, 2, "b")], state)
    assert [episode.key for episode in state.unsettled()] == [KEY]
    present = state.episodes[KEY].intent
    assert present is not None
    fold([outcome(present)], state)
    assert not state.unsettled()


def test_starts_are_remembered_for_the_longest_window_only() -> None:
    state = acting(at=NOW - LONGEST_WINDOW)
    assert len(state.starts) == 1
    fold([intent(POLICY, WEB, scale_plan(WEB), at=NOW, number=2)], state)
    assert [start.at for start in state.starts] == [NOW]


def test_only_a_do_is_a_start() -> None:
    state = acting()
    for number, step in enumerate((Step.RELEASE, Step.REDO, Step.UNDO), start=2):
        fold([intent(POLICY, WEB, scale_plan(WEB), number=number, step=step)], state)
    assert len(state.starts) == 1
    assert state.episodes[KEY].attempts == 1
    assert state.intents == 4


def test_failures_count_in_a_row_until_one_helps() -> None:
    state = fold([Failed(NOW, KEY, 1, 0)], acting())
    assert state.failures[KEY] == Failures(1, NOW)
    fold([intent(POLICY, WEB, scale_plan(WEB), number=2), Closed(NOW + 1, KEY, Result.UNDONE, helped=False)], state)
    assert state.failures[KEY] == Failures(2, NOW + 1)
    assert state.track[POLICY.name, "Scale"] == Track(0, 2)
    fold([opened(POLICY, WEB), intent(POLICY, WEB, scale_plan(WEB), number=3)], state)
    fold([Closed(NOW + 2, KEY, Result.HEALED, helped=True)], state)
    assert KEY not in state.failures
    assert state.track[POLICY.name, "Scale"] == Track(1, 2)


def test_a_look_that_finds_something_is_no_failure() -> None:
    state = fold([Failed(NOW, KEY, 1, 1, counts=False)], acting())
    assert not state.failures
    assert state.episodes[KEY].rung == 1


def test_failures_of_targets_long_gone_are_forgotten() -> None:
    old = Key(POLICY.name, Service("old").target)
    state = acting()
    recent = Key(POLICY.name, Service("recent").target)
    state.failures[old] = Failures(3, NOW - LONGEST_WINDOW - 1)
    state.failures[recent] = Failures(3, NOW - LONGEST_WINDOW + 1)
    fold([Failed(NOW, KEY, 1, 0)], state)
    assert set(state.failures) == {KEY, recent}


def test_a_crowd_that_is_gone_leaves_no_trace() -> None:
    state = fold([Crowded(NOW, "p", 8), Crowded(NOW, "p", 0)])
    assert not state.crowded


def test_an_approval_is_used_up_by_one_start() -> None:
    state = fold([opened(POLICY, WEB), Said(NOW, "ann", Verb.APPROVE, "go", "e1")], led(POLICY))
    assert state.episodes[KEY].approved_at == NOW
    fold([intent(POLICY, WEB, scale_plan(WEB)), Failed(NOW, KEY, 1, 1)], state)
    assert state.episodes[KEY].approved_at == 0


def test_a_wish_for_an_end_outlives_the_undo_that_it_asks_for() -> None:
    state = fold([Said(NOW, "ann", Verb.UNDO, "no", "e1")], acting())
    fold([intent(POLICY, WEB, scale_plan(WEB), number=2, step=Step.UNDO)], state)
    assert state.episodes[KEY].wish is Verb.UNDO


def test_what_is_over_takes_no_wish() -> None:
    state = fold([Closed(NOW, KEY, Result.NEEDS_HUMAN), Said(NOW, "ann", Verb.UNDO, "no", "e1")], acting())
    assert state.episodes[KEY].wish is None


def test_pause_and_freeze_hold_until_taken_back() -> None:
    state = fold([Said(NOW, "ann", Verb.PAUSE, "deploy"), Said(NOW, "bob", Verb.FREEZE, "fire")])
    assert (state.paused, state.frozen) == ("ann: deploy", "bob: fire")
    restarted = load(dump(state))
    assert (restarted.paused, restarted.frozen) == ("ann: deploy", "bob: fire")
    fold([Said(NOW, "ann", Verb.RESUME, "done"), Said(NOW, "bob", Verb.UNFREEZE, "out")], restarted)
    assert (restarted.paused, restarted.frozen) == ("", "")


def test_the_content_of_a_policy_stays_while_an_episode_needs_it() -> None:
    state = fold([Loaded(NOW, POLICY.name, "other", "{}")], acting())
    assert set(state.policies) == {POLICY.hash, "other"}
    fold([Closed(NOW, KEY, Result.UNDONE)], state)
    assert set(state.policies) == {"other"}
    fold([Loaded(NOW, POLICY.name, "")], state)
    assert not state.policies
    assert not state.in_force


def test_the_content_that_is_in_force_outlives_every_episode() -> None:
    state = fold([Closed(NOW, KEY, Result.HEALED)], acting())
    assert set(state.policies) == {POLICY.hash}


def test_an_answer_to_nothing_that_was_begun_changes_nothing() -> None:
    state = fold([opened(POLICY, WEB)], led(POLICY))
    before = dump(state)
    fold([outcome(intent(POLICY, WEB, scale_plan(WEB)), at=state.at)], state)
    assert dump(state) == before


def test_the_policy_of_a_request_goes_with_its_episode() -> None:
    once = policy("act-1")
    request = Request(WEB.target, once.name, once.hash, NOW + 60)
    state = fold([Loaded(NOW, once.name, once.hash, once.content, once=True)])
    fold([Said(NOW, "ann", Verb.ACT, "help", request=request), opened(once, WEB)], state)
    assert once.name not in state.in_force
    assert set(state.policies) == {once.hash}
    assert set(state.requests) == {Key(once.name, WEB.target)}
    fold([Closed(NOW, Key(once.name, WEB.target), Result.DROPPED)], state)
    assert not state.policies
    assert not state.requests


def test_a_held_reason_goes_with_the_start() -> None:
    state = fold([opened(POLICY, WEB), Held(NOW, KEY, Reason.PAUSED, "p")], led(POLICY))
    assert state.episodes[KEY].held is Reason.PAUSED
    fold([intent(POLICY, WEB, scale_plan(WEB))], state)
    assert state.episodes[KEY].held is None


def test_records_of_an_episode_that_is_over_change_nothing() -> None:
    state = led(POLICY)
    image = dump(state)
    one = intent(POLICY, WEB, scale_plan(WEB), at=state.at)
    fold([Held(state.at, KEY, Reason.PAUSED), one, outcome(one), Passed(state.at, KEY, 1)], state)
    fold([Failed(state.at, KEY, 1, 0), Closed(state.at, KEY, Result.HEALED, helped=True)], state)
    assert dump(state) == image


def test_a_time_in_the_future_just_happened() -> None:
    assert age(10.0, 4.0) == 6.0
    assert age(4.0, 10.0) == 0.0


@pytest.mark.parametrize("damage", [b'{"kind":"\xff"}', b"[" * 100_000, b"{}", b'{"kind":"opened","at":1e400}'])
def test_bytes_that_are_no_record_and_no_state_are_one_kind_of_error(damage: bytes) -> None:
    """Found by fuzzing: what is no UTF-8, or nests too deep, came out as an error that no reader expects."""
    with pytest.raises(msgspec.DecodeError):
        decode(damage)
    with pytest.raises(msgspec.DecodeError):
        load(damage)


def test_a_value_that_nests_too_deep_is_no_record() -> None:
    body = encode(intent(POLICY, WEB, scale_plan(WEB)))
    deep = body.replace(b'"after":5', b'"after":' + b"[" * 100_000, 1)
    assert deep != body
    with pytest.raises(msgspec.DecodeError, match="nest"):
        decode(deep)


# --- each field by itself


def fields_of(episode: Episode) -> dict[str, object]:
    return msgspec.structs.asdict(episode)


def test_a_further_step_takes_over_what_belongs_to_the_attempt_and_nothing_else() -> None:
    """Every field of an episode with a past, after a Do, a Release, a Redo and an Undo."""
    first = intent(POLICY, WEB, scale_plan(WEB), at=NOW, rung=0)
    past = fold(
        [
            opened(POLICY, WEB),
            first,
            outcome(first, at=NOW + 1),
            Led(NOW + 2, 2, "b"),
            Held(NOW + 3, KEY, Reason.PAUSED, "p"),
            Said(NOW + 4, "ann", Verb.APPROVE, "go", "e1"),
            Said(NOW + 5, "ann", Verb.UNDO, "no", "e1"),
        ],
        led(POLICY),
    )
    before = fields_of(past.episodes[KEY])
    assert (before["moved_at"], before["moves"], before["held"], before["held_detail"]) == (
        NOW + 2,
        1,
        Reason.PAUSED,
        "p",
    )
    always = {"outcome": None, "epoch": 2, "moved_at": 0.0, "moves": 0, "held": None, "held_detail": ""}
    for step, changes in {
        Step.DO: {"rung": 1, "last_rung": 1, "attempts": 2, "redos": 0, "approved_at": 0.0, "wish": None},
        Step.RELEASE: {"rung": 1, "redos": 0, "wish": None},
        Step.REDO: {"rung": 1, "redos": 1, "wish": None},
        Step.UNDO: {"rung": 1, "redos": 0},
    }.items():
        further = intent(POLICY, WEB, scale_plan(WEB), at=NOW + 6, number=2, step=step, rung=1)
        state = fold([further], past.fork())
        assert fields_of(state.episodes[KEY]) == before | always | {"intent": further} | changes
        assert state.intents == 2
    again = intent(POLICY, WEB, scale_plan(WEB), at=NOW + 6, number=2, step=Step.REDO)
    assert fold([again, intent(POLICY, WEB, scale_plan(WEB), number=3, step=Step.DO)], past).episodes[KEY].redos == 0


def test_a_failed_attempt_leaves_the_episode_at_its_next_rung_with_nothing_claimed() -> None:
    state = acting()
    fold([outcome(state.episodes[KEY].intent), Failed(NOW, KEY, 1, 1, "no help")], state)  # type: ignore[arg-type]
    episode = state.episodes[KEY]
    assert (episode.intent, episode.outcome, episode.rung, episode.detail) == (None, None, 1, "no help")
    assert (state.claims, state.acting) == ({}, {})


def test_what_needs_a_person_says_why_and_what_is_over_acts_no_more() -> None:
    state = fold([Closed(NOW, KEY, Result.NEEDS_HUMAN, "look")], acting())
    assert state.episodes[KEY].detail == "look"
    assert list(state.acting) == [KEY]
    fold([Said(NOW, "ann", Verb.ACK, "done", "e1")], state)
    assert (state.acting, state.episodes) == ({}, {})


def test_only_its_own_claims_go_with_an_episode() -> None:
    other = Service("db", "---")
    state = fold(
        [opened(POLICY, other, 2), intent(POLICY, other, scale_plan(other), number=2)],
        acting(),
    )
    fold([Passed(NOW, KEY, 1)], state)
    assert sorted(state.claims) == sorted([FIELD, str(other.target), f"{other.target}#desired"])
    fold([Closed(NOW, KEY, Result.HEALED)], state)
    assert sorted(state.claims) == sorted([str(other.target), f"{other.target}#desired"])


@pytest.mark.parametrize(
    ("step", "result", "taken", "knob"),
    [
        (Step.DO, Verdict.PASS, False, Knob(NOW, up=True)),
        (Step.DO, Verdict.UNKNOWN, False, Knob(NOW, up=True)),
        (Step.DO, Verdict.FAIL, False, None),
        (Step.RELEASE, Verdict.FAIL, True, Knob(NOW + 7, reverts=1)),
        (Step.RELEASE, Verdict.FAIL, False, None),
        (Step.UNDO, Verdict.PASS, False, Knob(NOW, up=True)),
    ],
)
def test_a_knob_remembers_which_way_it_was_moved_and_who_took_it_back(
    step: Step, result: Verdict, taken: bool, knob: Knob | None
) -> None:
    one = intent(POLICY, WEB, scale_plan(WEB), at=NOW, step=step)
    state = fold([opened(POLICY, WEB), one, replace(outcome(one, result, at=NOW + 7), taken=taken)], led(POLICY))
    assert state.knobs == ({} if knob is None else {FIELD: knob})


def test_what_can_not_be_put_back_is_no_knob() -> None:
    one = intent(POLICY, WEB, restart_plan(WEB), at=NOW)
    assert not fold([opened(POLICY, WEB), one, outcome(one)], led(POLICY)).knobs


def test_knobs_are_forgotten_with_the_longest_window() -> None:
    state = led(POLICY)
    state.knobs = {"old": Knob(NOW - LONGEST_WINDOW), "new": Knob(NOW - LONGEST_WINDOW + 1)}
    fold([opened(POLICY, WEB), intent(POLICY, WEB, scale_plan(WEB), at=NOW)], state)
    assert list(state.knobs) == ["new"]


def test_a_failure_at_the_edge_of_the_longest_window_is_forgotten() -> None:
    state = acting()
    state.failures = {
        Key("old", WEB.target): Failures(1, NOW - LONGEST_WINDOW),
        Key("new", WEB.target): Failures(1, NOW),
    }
    fold([Failed(NOW, KEY, 1, 0)], state)
    assert [key.policy for key in state.failures] == ["new", POLICY.name]


def test_of_the_last_results_five_are_remembered() -> None:
    state = led(POLICY)
    for number, helped in enumerate((True, False, False, True, True, False, True), 1):
        one = intent(POLICY, WEB, scale_plan(WEB), number=number)
        fold([opened(POLICY, WEB, number), one, outcome(one), Closed(NOW, KEY, Result.HEALED, helped=helped)], state)
    assert state.results == [False, True, True, False, True]
    assert state.opened == 7


def test_statements_are_counted_and_only_an_ack_of_our_own_storm_ends_it() -> None:
    state = led(POLICY)
    state.results = [False, False, False]
    fold([Storm(NOW, OWN_STORM, "3 of 3", until=NOW + 9)], state)
    for verb, about in ((Verb.ACK, "e1"), (Verb.APPROVE, OWN_STORM), (Verb.UNDO, OWN_STORM)):
        fold([Said(NOW, "ann", verb, "why", about)], state)
    assert (list(state.storms), state.results, state.said) == ([OWN_STORM], [False, False, False], 3)
    fold([Said(NOW, "ann", Verb.ACK, "looked", OWN_STORM)], state)
    assert (state.storms, state.results, state.said) == ({}, [], 4)


def test_people_name_an_episode_by_its_own_id() -> None:
    other = Service("db", "---")
    state = fold([opened(POLICY, WEB, 1), opened(POLICY, other, 2)], led(POLICY))
    assert state.by_id("e2") is state.episodes[Key(POLICY.name, other.target)]
    assert state.by_id("e3") is None


def test_the_newest_time_stands_and_records_have_names_that_people_use() -> None:
    state = fold([Held(NOW, KEY, Reason.PAUSED), Held(NOW - 50, KEY, Reason.PAUSED)])
    assert state.at == NOW
    assert str(KEY) == f"{POLICY.name}:{WEB.target.ref}"
    assert intent(POLICY, WEB, scale_plan(WEB), number=7).id == "i7"


def test_a_state_with_something_of_everything_reads_back_as_itself() -> None:
    request = Request(WEB.target, POLICY.name, POLICY.hash, NOW + 60)
    other = Service("db", "---")
    state = fold(
        [
            Said(NOW, "ann", Verb.PAUSE, "p"),
            Said(NOW, "ann", Verb.FREEZE, "f"),
            Said(NOW, "ann", Verb.ACT, "help", request=request),
            Crowded(NOW, POLICY.name, 7),
            Storm(NOW, "memory", "much"),
            opened(POLICY, other, 2),
            Failed(NOW, KEY, 1, 0),
        ],
        fold([outcome(intent(POLICY, WEB, scale_plan(WEB)))], acting()),
    )
    state.results, state.ahead = [True, False], 3.0
    state.failures[KEY], state.track[POLICY.name, "Scale"] = Failures(2, NOW), Track(3, 4)
    fold([intent(POLICY, WEB, scale_plan(WEB), number=2)], state)
    empty = [name for name in state.__struct_fields__ if not getattr(state, name)]
    assert empty == []
    back = load(dump(state))
    assert {n: getattr(back, n) for n in back.__struct_fields__} == {
        n: getattr(state, n) for n in state.__struct_fields__
    }
