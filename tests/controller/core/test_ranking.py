"""Masks hold what cannot start whatever its plan is, each for its own reason; and the choice is fair."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from actions.reason import Reason
from controller.core.guards.human import APPROVAL_LASTS
from controller.core.ranking import GOLDEN, Masks, considered
from controller.core.records import OWN_STORM, Held, Key, Said, Storm, Verb
from controller.core.state import State, fold
from policies.policy import Mode, Policy

from .world import NOW, Service, led, opened, policy, rules

WEB = Service("web", "---")
LIMITS = rules().limits
ENFORCING, ASKING, WATCHING = policy(), policy(mode="Approve"), policy(mode="Observe")
SHUT = policy(activeWindows=[{"schedule": "0 3 * * *", "duration": "1h"}])
OPEN = policy(blackouts=[{"schedule": "0 3 * * *", "duration": "1h"}])


def state_of(of: Policy, *records: object) -> State:
    return fold([opened(of, WEB), *records], led(of))  # type: ignore[list-item]


def reason(of: Policy, *records: object, cap: Mode = Mode.ENFORCE, person: bool = False, **changes: str) -> object:
    state = state_of(of, *records)
    for name, value in changes.items():
        setattr(state, name, value)
    masks = Masks(NOW, state, replace(LIMITS, mode_cap=cap))
    return masks.reason(of, state.episodes[Key(of.name, WEB.target)], by_person=person)


def storm(group: str) -> Storm:
    return Storm(NOW - 5, group, "much")


def approved(seconds: float) -> Said:
    return Said(NOW - seconds, "ann", Verb.APPROVE, "go", "e1")


@pytest.mark.parametrize(
    ("held", "ask"),
    [
        (None, lambda: reason(ENFORCING)),
        (Reason.FROZEN, lambda: reason(ENFORCING, frozen="fire")),
        (Reason.PAUSED, lambda: reason(ENFORCING, paused="deploy")),
        (Reason.FROZEN, lambda: reason(ENFORCING, frozen="fire", paused="deploy")),
        (Reason.PAUSED, lambda: reason(WATCHING, storm("memory"), paused="deploy")),
        (Reason.STORM, lambda: reason(ENFORCING, storm("memory/shop"))),
        (None, lambda: reason(ENFORCING, storm("memory/billing"))),
        (Reason.STORM, lambda: reason(ENFORCING, storm("memory"), person=True)),
        (Reason.OWN_STORM, lambda: reason(ENFORCING, storm(OWN_STORM))),
        (Reason.OWN_STORM, lambda: reason(WATCHING, storm(OWN_STORM))),
        (Reason.MODE, lambda: reason(WATCHING)),
        (Reason.MODE, lambda: reason(policy(mode="Recommend"))),
        (Reason.MODE, lambda: reason(ENFORCING, cap=Mode.RECOMMEND)),
        (Reason.WINDOW, lambda: reason(SHUT)),
        (None, lambda: reason(OPEN)),
        (Reason.NEEDS_APPROVAL, lambda: reason(ASKING)),
        (Reason.NEEDS_APPROVAL, lambda: reason(ENFORCING, cap=Mode.APPROVE)),
        (None, lambda: reason(ASKING, person=True)),
        (None, lambda: reason(ASKING, approved(APPROVAL_LASTS - 1))),
        (Reason.NEEDS_APPROVAL, lambda: reason(ASKING, approved(APPROVAL_LASTS))),
    ],
)
def test_a_mask_says_what_the_first_guard_that_holds_would_say(held: Reason | None, ask: Callable[[], object]) -> None:
    assert ask() is held


@pytest.mark.parametrize(
    ("records", "person", "told"),
    [
        ((), False, False),
        ((Held(NOW, Key("heal", WEB.target), Reason.NEEDS_APPROVAL),), False, True),
        ((Held(NOW, Key("heal", WEB.target), Reason.COOLDOWN),), False, False),
        ((Held(NOW, Key("heal", WEB.target), Reason.NEEDS_APPROVAL),), True, False),
        ((Held(NOW, Key("heal", WEB.target), Reason.NEEDS_APPROVAL), approved(1)), False, False),
    ],
)
def test_only_what_was_told_its_present_reason_is_passed_over(
    records: tuple[object, ...], person: bool, told: bool
) -> None:
    state = state_of(ASKING, *records)
    episode = state.episodes[Key("heal", WEB.target)]
    assert Masks(NOW, state, LIMITS).told(ASKING, episode, by_person=person) is told
    free = state_of(ENFORCING)
    assert not Masks(NOW, free, LIMITS).told(ENFORCING, free.episodes[Key("heal", WEB.target)])


def test_as_many_as_there_is_room_for_are_all_considered_as_they_are() -> None:
    waiting = [1, 2, 3]
    assert considered(waiting, 3, NOW) is waiting


def test_the_best_half_stands_and_the_other_half_moves_on_evenly() -> None:
    """By the formula, and by what it is for: in 34 seconds each of the others had its turn, none much more often."""
    seen = [0] * 13
    for second in range(34):
        now = NOW + second
        picked = considered(list(range(13)), 5, now)
        start = int(now * GOLDEN % 1.0 * 11)
        assert picked == [0, 1, *(2 + (start + n) % 11 for n in range(3))]
        for place in picked:
            seen[place] += 1
    assert seen[:2] == [34, 34]
    assert min(seen[2:]) >= 8
    assert max(seen[2:]) <= 11
