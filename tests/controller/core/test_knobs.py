"""P12 by itself: whatever is asked for, a field turns at most twice an hour."""

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
