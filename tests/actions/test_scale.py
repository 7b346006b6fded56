import dataclasses

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from actions.plan import Plan, Refusal, Undo
from actions.reason import Reason
from actions.registry import ACTIONS
from actions.scale import HOLD, ScaleParams

from .helpers import TARGET, facts

SCALE = ACTIONS["Scale"]


def plan(document, facts_, hold=None):
    return SCALE.plan(TARGET, ScaleParams.model_validate(document), facts_, hold)


def stages(changes):
    return [(c.before, c.after) for c in changes]


@pytest.mark.parametrize(
    ("by", "now", "after"),
    [
        ("+2", 3, 5),
        ("-1", 3, 2),
        ("+50%", 4, 6),
        ("+50%", 3, 5),  # 1.5 is rounded away from zero
        ("+1%", 3, 4),
        ("-25%", 4, 3),
        ("-25%", 5, 3),  # 1.25 too
        ("-100%", 4, 1),  # a step never reaches zero
        ("-9", 4, 1),
        ("+999", 4, 10),  # the platform's bound
    ],
)
def test_a_step_is_rounded_away_from_zero_and_kept_inside_the_bounds(by, now, after):
    made = plan({"by": by}, facts("+" * now))
    assert stages(made.changes) == [(now, after)]
    assert made.changes[0].path == "desired"
    assert made.undo is Undo.REVERSIBLE


@pytest.mark.parametrize(
    ("document", "limits", "now"),
    [
        ({"by": "+2", "max": 4}, {}, 4),
        ({"by": "+2"}, {"maximum": 4}, 4),
        ({"by": "-1", "min": 3}, {}, 3),
        ({"by": "-1"}, {"minimum": 3}, 3),
        ({"by": "-1"}, {}, 1),
        ({"to": 9}, {"maximum": 4}, 4),
        ({"to": 0}, {"minimum": 1}, 4),
    ],
)
def test_a_step_that_the_bounds_reduce_to_nothing_is_at_its_limit(document, limits, now):
    refusal = plan(document, facts("+" * now, **limits))
    assert isinstance(refusal, Refusal)
    assert refusal.reason is Reason.AT_LIMIT
    assert str(now) in refusal.detail


@pytest.mark.parametrize(("document", "now"), [({"by": "+2", "max": 4}, 6), ({"by": "-1", "min": 5}, 3)])
def test_a_bound_never_turns_a_step_round(document, now):
    assert plan(document, facts("+" * now)).reason is Reason.AT_LIMIT


def test_zero_is_reached_only_when_said_and_left_only_when_said():
    assert stages(plan({"to": 0}, facts("++")).changes) == [(2, 0)]
    assert plan({"by": "+2"}, facts("")).reason is Reason.NOTHING_TO_DO
    assert stages(plan({"to": 2}, facts("")).changes) == [(0, 2)]


def test_the_wanted_number_is_nothing_to_do():
    assert plan({"to": 3}, facts("+++")).reason is Reason.NOTHING_TO_DO


def test_without_the_field_there_is_no_mechanism():
    bare = dataclasses.replace(facts("+++"), fields={})
    assert plan({"by": "+1"}, bare).reason is Reason.NO_MECHANISM


def test_scaling_up_expires_by_itself_and_scaling_down_only_when_asked():
    up = plan({"by": "+2"}, facts("++++"))
    assert (up.hold, stages(up.release), up.disrupts) == (HOLD, [(6, 4)], 0)
    down = plan({"by": "-2"}, facts("++++"))
    assert (down.hold, down.release) == (0, ())
    held = plan({"by": "-2"}, facts("++++"), hold=60)
    assert (held.hold, stages(held.release)) == (60, [(2, 4)])
    kept = plan({"by": "+2"}, facts("++++"), hold=0)
    assert (kept.hold, kept.release) == (0, ())


@pytest.mark.parametrize(
    ("step", "expected"),
    [
        (None, [(8, 4)]),
        (1, [(8, 7), (7, 6), (6, 5), (5, 4)]),
        (3, [(8, 5), (5, 4)]),
        (100, [(8, 4)]),
        ("50%", [(8, 6), (6, 4)]),
        ("30%", [(8, 6), (6, 4)]),
        ("100%", [(8, 4)]),
    ],
)
def test_a_release_is_staged_by_its_step(step, expected):
    document = {"by": "+4"} if step is None else {"by": "+4", "releaseStep": step}
    assert stages(plan(document, facts("++++")).release) == expected


def test_scaling_down_disrupts_the_ready_instances_among_the_highest_slots():
    assert plan({"by": "-2"}, facts("++-+")).disrupts == 1
    assert plan({"by": "-2"}, facts("-?++")).disrupts == 2
    assert plan({"by": "-1"}, facts("+" * 9 + "-")).disrupts == 0
    unseen = dataclasses.replace(facts("++++"), instances=())
    assert plan({"by": "-3"}, unseen).disrupts == 3


@pytest.mark.parametrize(
    ("document", "message"),
    [
        ({}, "either `by`"),
        ({"by": "+1", "to": 3}, "only one of them"),
        ({"by": 2}, "stands in quotes"),
        ({"by": "2"}, "has a sign"),
        ({"by": "+0"}, "has a sign"),
        ({"by": "+1.5"}, "has a sign"),
        ({"by": "+1 "}, "has a sign"),
        ({"to": "3"}, "valid integer"),
        ({"to": True}, "valid integer"),
        ({"to": -1}, "greater than or equal to 0"),
        ({"to": 10**9}, "less than or equal to"),
        ({"to": 3, "max": 5}, "would mean nothing"),
        ({"by": "+1", "max": 0}, "greater than or equal to 1"),
        ({"by": "+1", "min": 2}, "goes up"),
        ({"by": "-1", "max": 2}, "goes down"),
        ({"by": "+1", "releaseStep": 0}, "from 1 up"),
        ({"by": "+1", "releaseStep": "0%"}, "from 1 up"),
        ({"by": "+1", "releaseStep": "101%"}, "from 1 up"),
        ({"by": "+1", "releaseStep": True}, "from 1 up"),
        ({"by": "+1", "upto": 3}, "Extra inputs"),
    ],
)
def test_wrong_parameters_are_refused_with_what_is_allowed(document, message):
    with pytest.raises(ValidationError, match=message):
        ScaleParams.model_validate(document)


@given(
    now=st.integers(0, 60),
    minimum=st.integers(0, 20),
    spread=st.integers(0, 40),
    document=st.one_of(
        st.fixed_dictionaries({"to": st.integers(0, 80)}),
        st.fixed_dictionaries({"by": st.from_regex(r"[+-][1-9][0-9]?%?", fullmatch=True)}),
        st.fixed_dictionaries({"by": st.just("+50%"), "max": st.integers(1, 60)}),
        st.fixed_dictionaries({"by": st.just("-3"), "min": st.integers(1, 60)}),
    ),
    step=st.one_of(st.none(), st.integers(1, 9), st.integers(1, 100).map(lambda n: f"{n}%")),
    hold=st.one_of(st.none(), st.integers(0, 100)),
)
def test_every_plan_stays_in_bounds_keeps_its_direction_and_leads_back_exactly(
    now, minimum, spread, document, step, hold
):
    maximum = minimum + spread
    before = facts("+" * now, minimum, maximum)
    made = plan(document | ({} if step is None else {"releaseStep": step}), before, hold)
    if isinstance(made, Refusal):
        return
    assert isinstance(made, Plan)
    (change,) = made.changes
    assert change.before == now != change.after
    if minimum <= now <= maximum:
        assert minimum <= change.after <= maximum
    if "by" in document:
        assert (change.after > now) == (document["by"][0] == "+")
        assert change.after >= 1
    assert change.after != 0 or document.get("to") == 0
    if made.release:
        chain = [change.after, *(c.after for c in made.release)]
        assert chain[-1] == now
        assert all(c.before == b for c, b in zip(made.release, chain, strict=False))
        assert chain in (sorted(set(chain)), sorted(set(chain), reverse=True))
        assert made.hold > 0
    assert [(c.before, c.after) for c in made.undo_changes()] == [(change.after, now)]


def autoscaled(lowest, highest, desired):
    """Facts of a workload whose number an autoscaler owns."""
    made = facts("+" * desired, minimum=lowest, maximum=highest)
    return dataclasses.replace(made, fields={"autoscaler/minimum": lowest})


@pytest.mark.parametrize(
    ("document", "after"), [({"by": "+50%"}, 6), ({"by": "+9"}, 8), ({"by": "+9", "max": 7}, 7), ({"to": 5}, 5)]
)
def test_an_autoscaler_s_minimum_is_raised_to_what_is_wanted_and_put_back(document, after):
    made = plan(document, autoscaled(2, 8, 4))
    assert [(c.path, c.before, c.after) for c in made.changes] == [("autoscaler/minimum", 2, after)]
    assert stages(made.release) == [(after, 2)]
    assert (made.undo, made.hold, made.disrupts) == (Undo.REVERSIBLE, HOLD, 0)


@pytest.mark.parametrize("document", [{"by": "-1"}, {"to": 3}, {"to": 2}])
def test_an_autoscaler_is_never_told_to_have_fewer(document):
    refused = plan(document, autoscaled(2, 8, 4))
    assert isinstance(refused, Refusal)
    assert refused.reason is Reason.NO_MECHANISM
    assert "minimum, 2" in refused.detail


def test_an_autoscaler_at_its_maximum_has_reached_its_limit():
    refused = plan({"by": "+1"}, autoscaled(2, 4, 4))
    assert (refused.reason, refused.detail) == (Reason.AT_LIMIT, "4 instances are desired, 4 is the most allowed")
