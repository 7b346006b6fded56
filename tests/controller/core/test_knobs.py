"""P12 by itself: whatever is asked for, a field turns at most twice an hour."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actions.plan import Change
from controller.core.knobs import DAY, HANDS_OFF, Knob, contested, moved, quiet, reverted, too_soon

from .world import NOW, Service

WEB = Service("web").target
HOUR = 3600.0


def step(before: int, by: int) -> Change:
    return Change(WEB, "desired", before, before + by)


@given(
    st.lists(
        st.tuples(st.floats(1, 3 * HOUR), st.sampled_from([-1, 1]), st.booleans(), st.booleans()),
        min_size=5,
        max_size=80,
    )
)
def test_whatever_is_asked_for_a_field_turns_at_most_twice_an_hour(
    asked: list[tuple[float, int, bool, bool]],
) -> None:
    """Each voluntary step may be followed by one that must not wait and takes it back."""
    knob, now, turns, last = None, NOW, list[float](), 0
    for wait, by, ours, back in asked:
        now += wait
        if too_soon(knob, step(5, by), now, HOUR, ours=ours):
            continue
        for way in (by, -by) if back else (by,):
            turns += [now] if last and way != last else []
            knob, last = moved(knob, step(5, way), now), way
            now += 60.0
    assert all(c - a >= HOUR for a, c in zip(turns, turns[2:], strict=False))


def test_the_quiet_time_doubles_up_to_a_day_and_is_forgiven() -> None:
    knob, now, waits = moved(None, step(5, 1), NOW), NOW, []
    for _ in range(8):
        wait = too_soon(knob, step(6, -1), now, HOUR, ours=False)
        waits.append(wait)
        now += wait
        knob = moved(moved(knob, step(6, -1), now), step(5, 1), now)
    assert waits == [1 * HOUR, 1 * HOUR, 2 * HOUR, 4 * HOUR, 8 * HOUR, 16 * HOUR, DAY, DAY]
    later = moved(knob, step(6, -1), now + 3 * DAY)
    assert quiet(later, HOUR) == HOUR


def test_the_same_way_again_is_free_and_what_is_no_number_never_flaps() -> None:
    knob = moved(None, step(5, 1), NOW)
    assert too_soon(knob, step(6, 1), NOW + 1, HOUR, ours=False) == 0
    restart = Change(WEB, "slots/0/incarnation", "1@5", "newer")
    assert too_soon(moved(None, restart, NOW), restart, NOW, HOUR, ours=False) == 0


def test_a_release_may_follow_its_own_move_and_another_policy_must_wait() -> None:
    knob = moved(None, step(5, 1), NOW)
    assert too_soon(knob, step(6, -1), NOW + 60, HOUR, ours=True) == 0
    assert too_soon(knob, step(6, -1), NOW + 60, HOUR, ours=False) == HOUR - 60


def test_hands_off_after_two_reverts_for_a_day() -> None:
    knob: Knob | None = None
    for n in range(HANDS_OFF):
        assert not contested(knob, NOW + n)
        knob = reverted(moved(knob, step(5, 1), NOW + n), NOW + n)
    assert contested(knob, NOW + 10)
    assert not contested(knob, NOW + DAY + 10)
    assert not contested(reverted(Knob(NOW, reverts=1), NOW + 2 * DAY), NOW + 2 * DAY)


UP, DOWN, NO_NUMBER = step(5, 1), step(6, -1), Change(WEB, "desired", None, 5)


@pytest.mark.parametrize("change", [NO_NUMBER, Change(WEB, "desired", 5, None), Change(WEB, "desired", 5, 5)])
def test_what_goes_no_way_turns_nothing_and_waits_for_nothing(change: Change) -> None:
    for up in (None, True, False):
        knob = Knob(NOW, up=up, turns=(NOW - 10, NOW - 5), streak=2)
        assert moved(knob, change, NOW + 1) == Knob(NOW + 1, up=up, turns=(NOW - 10, NOW - 5), streak=2)
        assert too_soon(knob, change, NOW, HOUR, ours=False) == 0
    assert moved(None, change, NOW) == Knob(NOW)


def test_a_field_that_was_only_taken_back_has_no_way_yet() -> None:
    knob = reverted(None, NOW)
    assert knob == Knob(NOW, reverts=1)
    assert too_soon(knob, UP, NOW, HOUR, ours=False) == 0
    assert moved(knob, DOWN, NOW + 5) == Knob(NOW + 5, up=False, reverts=1)


def test_a_move_the_same_way_is_remembered_with_its_time() -> None:
    assert moved(moved(None, UP, NOW), UP, NOW + 100) == Knob(NOW + 100, up=True)


def test_two_days_without_a_turn_are_forgiven_and_a_second_less_are_not() -> None:
    knob = Knob(NOW, up=True, turns=(NOW,), streak=4)
    assert moved(knob, DOWN, NOW + 2 * DAY - 1).streak == 5
    assert moved(knob, DOWN, NOW + 2 * DAY) == Knob(NOW + 2 * DAY, up=False, turns=(NOW, NOW + 2 * DAY), streak=1)


def test_reverts_count_within_a_day_of_each_other() -> None:
    knob = Knob(NOW, up=True, reverts=1)
    assert reverted(knob, NOW + DAY - 1) == Knob(NOW + DAY - 1, up=True, reverts=2)
    assert reverted(knob, NOW + DAY) == Knob(NOW + DAY, up=True, reverts=1)


def test_hands_are_off_for_less_than_a_day() -> None:
    knob = Knob(NOW, reverts=HANDS_OFF)
    assert contested(knob, NOW + DAY - 1)
    assert not contested(knob, NOW + DAY)


def test_quiet_doubles_with_every_second_turn() -> None:
    assert [quiet(Knob(NOW, streak=n), HOUR) / HOUR for n in range(8)] == [1, 1, 1, 2, 2, 4, 4, 8]


def test_going_on_waits_until_two_turns_are_an_hour_apart_from_it() -> None:
    two = Knob(NOW, up=True, turns=(NOW - 1000, NOW - 500), streak=2)
    assert too_soon(two, UP, NOW, HOUR, ours=False) == HOUR - 1000
    assert too_soon(two, UP, NOW + HOUR - 1000, HOUR, ours=False) == 0
    assert too_soon(two, UP, NOW + 2 * HOUR, HOUR, ours=False) == 0
    one = Knob(NOW, up=True, turns=(NOW - 500,), streak=1)
    assert too_soon(one, UP, NOW, HOUR, ours=False) == 0
