from fnmatch import fnmatchcase

import pytest
from pydantic import BaseModel

from actions.action import Params
from actions.registry import ACTIONS

from .helpers import TARGET, facts


def test_each_action_stands_under_its_own_name_and_nobody_can_change_the_registry():
    assert {name: action.name for name, action in ACTIONS.items()} == {name: name for name in ACTIONS}
    with pytest.raises(TypeError):
        ACTIONS["Other"] = ACTIONS["Scale"]


@pytest.mark.parametrize("name", sorted(ACTIONS))
def test_parameters_forbid_unknown_keys_and_document_themselves(name):
    model = ACTIONS[name].params
    assert issubclass(model, Params)
    assert issubclass(model, BaseModel)
    assert model.model_config["extra"] == "forbid"
    assert "Attributes:" in (model.__doc__ or "")


@pytest.mark.parametrize(
    ("name", "document"),
    [
        ("Scale", {"by": "+1"}),
        ("Scale", {"to": 0}),
        ("Restart", {"instances": "All"}),
        ("HealthCheck", {}),
        ("Escalate", {}),
    ],
)
def test_an_action_writes_only_what_it_declares(name, document):
    action = ACTIONS[name]
    made = action.plan(TARGET, action.params.model_validate(document), facts("+-+"), None)
    written = [*made.changes, *made.release, *made.undo_changes()]
    assert all(any(fnmatchcase(c.path, p) for p in action.writes) for c in written)
    assert all(c.object == TARGET for c in [*written, *made.probes])
    assert bool(made.changes) == bool(action.writes)


@pytest.mark.parametrize("name", sorted(ACTIONS))
def test_what_an_action_needs_in_a_cluster_names_resources_and_gives_no_power_beyond_them(name):
    rules = ACTIONS[name].permissions
    assert bool(rules) == bool(ACTIONS[name].writes)  # who writes nothing needs nothing
    assert len({(rule.group, rule.resource) for rule in rules}) == len(rules)
    for rule in rules:
        assert "*" not in (rule.group, rule.resource, *rule.verbs)
        assert set(rule.verbs) <= {"get", "create", "patch", "delete"}
        assert rule.resource.split("/")[-1] not in {"secrets", "exec", "attach", "portforward", "ephemeralcontainers"}
        assert rule.group in {"", "apps", "autoscaling"}


def test_only_a_restart_may_make_pods_go_away():
    def taking(rule):
        return (rule.resource.startswith("pods") and set(rule.verbs) - {"get"}) or "delete" in rule.verbs

    assert {name for name, action in ACTIONS.items() if any(map(taking, action.permissions))} == {"Restart"}
