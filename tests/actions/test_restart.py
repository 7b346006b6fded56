import dataclasses

import pytest
from pydantic import ValidationError

from actions.plan import Undo
from actions.reason import Reason
from actions.registry import ACTIONS
from actions.restart import RestartParams

from .helpers import TARGET, facts

RESTART = ACTIONS["Restart"]


def plan(readiness, **document):
    return RESTART.plan(TARGET, RestartParams.model_validate(document), facts(readiness), None)


def slots(made):
    return [c.path.split("/")[1] for c in made.changes]


def test_only_the_sick_are_restarted_by_default_and_unknown_is_not_sick():
    made = plan("+-?-.")
    assert slots(made) == ["1", "3"]
    assert next((c.path, c.before, c.after) for c in made.changes) == ("slots/1/incarnation", "101@5.0", "newer")
    assert (made.disrupts, made.undo, made.hold) == (0, Undo.TRANSIENT, 0)
    assert made.undo_changes() == ()


def test_none_sick_is_nothing_to_do():
    assert plan("++?.").reason is Reason.NOTHING_TO_DO
    assert plan("...", instances="All").reason is Reason.NOTHING_TO_DO


def test_all_takes_every_running_instance_and_says_how_many_ready_ones_go_down_at_once():
    graceful = plan("++-?.", instances="All")
    assert (slots(graceful), graceful.disrupts) == (["0", "1", "2", "3"], 1)
    forceful = plan("++-?.", instances="All", how="Forceful")
    assert ({c.after for c in forceful.changes}, forceful.disrupts) == ({"newer!"}, 2)
    assert plan("-?", instances="All").disrupts == 0


def test_an_instance_that_cannot_be_restarted_by_itself_has_no_mechanism():
    bare = dataclasses.replace(facts("--"), fields={"slots/0/incarnation": "100@5.0"})
    refusal = RESTART.plan(TARGET, RestartParams(), bare, None)
    assert refusal.reason is Reason.NO_MECHANISM
    assert "slot 1" in refusal.detail


@pytest.mark.parametrize("document", [{"how": "graceful"}, {"instances": []}, {"instances": "some"}, {"slot": 1}])
def test_wrong_parameters_are_refused(document):
    with pytest.raises(ValidationError):
        RestartParams.model_validate(document)


@pytest.mark.parametrize("before", [None, "2026-11-22T12:00:00+00:00 i4"])
def test_all_at_their_own_pace_is_one_change_where_the_platform_rolls_out(before):
    found = facts("++-")
    found = dataclasses.replace(found, fields={**found.fields, "rollout": before})
    graceful = RESTART.plan(TARGET, RestartParams.model_validate({"instances": "All"}), found, None)
    assert [(c.path, c.before, c.after) for c in graceful.changes] == [("rollout", before, "newer")]
    assert (graceful.disrupts, graceful.undo_changes()) == (1, ())
    sick = RESTART.plan(TARGET, RestartParams(), found, None)
    forceful = RESTART.plan(TARGET, RestartParams.model_validate({"instances": "All", "how": "Forceful"}), found, None)
    assert (slots(sick), slots(forceful)) == (["2"], ["0", "1", "2"])
