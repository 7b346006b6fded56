import dataclasses

import pytest
from pydantic import ValidationError

from actions.health_check import HealthCheckParams
from actions.reason import Reason
from actions.registry import ACTIONS

from .helpers import TARGET, facts

CHECK = ACTIONS["HealthCheck"]


def plan(facts_):
    return CHECK.plan(TARGET, HealthCheckParams(), facts_, None)


def test_it_asks_every_instance_and_writes_nothing():
    made = plan(facts("+-?."))
    assert made.changes == ()
    assert [(c.path, c.before, c.after) for c in made.probes] == [(f"slots/{n}/healthy", None, 1) for n in range(4)]
    assert made.undo_changes() == ()


def test_no_instance_is_nothing_to_probe_and_no_probe_is_no_mechanism():
    assert plan(facts("")).reason is Reason.NOTHING_TO_DO
    assert plan(dataclasses.replace(facts("+"), fields={})).reason is Reason.NO_MECHANISM


def test_only_restart_can_follow():
    assert HealthCheckParams.model_validate({"then": "Restart"}).then == "Restart"
    with pytest.raises(ValidationError):
        HealthCheckParams.model_validate({"then": "Scale"})
