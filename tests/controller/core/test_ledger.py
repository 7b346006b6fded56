"""What the store is asked to check: the second lock, which must not be weaker than the first."""

from collections.abc import Sequence

import pytest

from controller.core.ledger import Spend, holder, ledger
from controller.core.records import AnyRecord, Closed, Failed, Held, Key, Passed, Result, Said, Step, Verb
from controller.core.state import State, fold

from .world import NOW, Service, intent, led, opened, outcome, policy, restart_plan, scale_plan

WEB = Service("web", "---")
THROTTLE = {"cooldown": "10m", "limits": [{"max": 3, "per": "1h"}, {"max": 9, "per": "1d"}]}
HEAL = policy(throttle=THROTTLE)
KEY = Key(HEAL.name, WEB.target)
HOLDER = f"heal|{WEB.target}"
OBJECT, FIELD = str(WEB.target), f"{WEB.target}#desired"
DO = intent(HEAL, WEB, scale_plan(WEB), at=NOW)
POLICIES = {HEAL.hash: HEAL}


def state(*records: AnyRecord) -> State:
    return fold([opened(HEAL, WEB), *records], led(HEAL))


def spends(records: Sequence[AnyRecord], before: State) -> dict[str, tuple[int, float]]:
    return {s.bucket: (s.limit, s.window) for s in ledger(records, before, POLICIES).spends}


def test_a_start_claims_what_it_touches_and_spends_from_every_budget() -> None:
    side = ledger([DO], state(), POLICIES)
    assert set(side.claims) == {(OBJECT, HOLDER), (FIELD, HOLDER)}
    assert side.releases == ()
    assert set(side.spends) == {
        Spend("policy:heal/3600s", NOW, 3, 3600.0),
        Spend("policy:heal/86400s", NOW, 9, 86400.0),
        Spend(f"cooldown:{HOLDER}", NOW, 1, 600.0),
    }


def test_the_holder_is_the_episodes_key() -> None:
    assert holder(KEY) == HOLDER


@pytest.mark.parametrize("step", [Step.UNDO, Step.RELEASE, Step.REDO])
def test_further_steps_claim_again_and_spend_nothing(step: Step) -> None:
    further = intent(HEAL, WEB, scale_plan(WEB), number=2, step=step, at=NOW)
    side = ledger([further], state(DO, outcome(DO)), POLICIES)
    assert set(side.claims) == {(OBJECT, HOLDER), (FIELD, HOLDER)}
    assert side.spends == ()


def test_a_restart_claims_the_object_only() -> None:
    side = ledger([intent(HEAL, WEB, restart_plan(WEB))], state(), POLICIES)
    assert side.claims == ((OBJECT, HOLDER),)


def test_a_further_attempt_of_an_episode_is_counted_but_not_refused_by_the_cooldown() -> None:
    again = intent(HEAL, WEB, scale_plan(WEB), number=2, at=NOW)
    limit, window = spends([again], state(DO, Failed(NOW, KEY, 1, 0)))[f"cooldown:{HOLDER}"]
    assert limit > 1_000
    assert window == 600.0


def test_an_episode_that_ends_and_opens_anew_in_one_tick_is_no_further_attempt() -> None:
    records = [
        Closed(NOW, KEY, Result.HEALED, helped=True),
        opened(HEAL, WEB, 2, at=NOW),
        intent(HEAL, WEB, scale_plan(WEB), number=2, at=NOW),
    ]
    before = state(DO, outcome(DO), Passed(NOW, KEY, 1))
    assert spends(records, before)[f"cooldown:{HOLDER}"] == (1, 600.0)
    assert ledger(records, before, POLICIES).releases == (("", HOLDER),)


def test_a_policy_without_a_cooldown_spends_none() -> None:
    hasty = policy("hasty")
    before = fold([opened(hasty, WEB)], led(hasty))
    assert ledger([intent(hasty, WEB, scale_plan(WEB))], before, {hasty.hash: hasty}).spends == ()


def test_a_success_releases_the_object_and_keeps_the_field() -> None:
    side = ledger([Passed(NOW, KEY, 1)], state(DO, outcome(DO)), POLICIES)
    assert side.releases == ((OBJECT, HOLDER),)


@pytest.mark.parametrize("end", [Failed(NOW, KEY, 1, 0), Closed(NOW, KEY, Result.UNDONE, helped=False)])
def test_an_end_releases_everything(end: AnyRecord) -> None:
    assert ledger([end], state(DO, outcome(DO)), POLICIES).releases == (("", HOLDER),)


def test_what_needs_a_human_stays_claimed_until_it_is_acknowledged() -> None:
    over = Closed(NOW, KEY, Result.NEEDS_HUMAN)
    before = state(DO, outcome(DO))
    assert ledger([over], before, POLICIES).releases == ()
    ack = Said(NOW, "ann", Verb.ACK, "looked", "e1")
    assert ledger([ack], before, POLICIES).releases == ()
    before.apply(over)
    assert ledger([ack], before, POLICIES).releases == (("", HOLDER),)


def test_other_records_touch_nothing() -> None:
    from actions.reason import Reason

    records = [opened(HEAL, WEB), Held(NOW, KEY, Reason.PAUSED), outcome(DO), Said(NOW, "ann", Verb.PAUSE, "why")]
    side = ledger(records, state(), POLICIES)
    assert (side.claims, side.releases, side.spends) == ((), (), ())


def test_what_opens_and_starts_in_one_tick_spends_by_its_policy() -> None:
    """Else the second lock would let through what the first one lost."""
    fresh = led(HEAL)
    assert spends([opened(HEAL, WEB), DO], fresh) == spends([DO], state())
    assert len(spends([DO], state())) == 3


def test_a_success_releases_its_own_objects_only() -> None:
    other = Service("db", "---")
    theirs = intent(HEAL, other, scale_plan(other), at=NOW, number=2)
    both = state(DO, outcome(DO), opened(HEAL, other, 2), theirs)
    assert ledger([Passed(NOW, KEY, 1)], both, POLICIES).releases == ((OBJECT, HOLDER),)


def test_an_attempt_of_a_policy_that_is_gone_spends_nothing_and_still_claims() -> None:
    side = ledger([DO], state(), {})
    assert side.spends == ()
    assert set(side.claims) == {(OBJECT, HOLDER), (FIELD, HOLDER)}


def test_a_cooldown_of_less_than_a_second_is_spent_too() -> None:
    short = policy(throttle={"cooldown": "500ms"})
    start = intent(short, WEB, scale_plan(WEB), at=NOW)
    before = fold([opened(short, WEB)], led(short))
    assert [s.window for s in ledger([start], before, {short.hash: short}).spends] == [0.5]
