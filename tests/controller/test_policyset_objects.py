"""Policies from objects beside those from files: what comes into force, what stays, and what goes."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from controller.core.state import State
from controller.policyset import CHECK_EVERY, PolicySet
from policies.objects import ObjectsResult, load_objects
from policies.policy import Policy
from telemetry.signals.definitions import Definitions

SPEC = {"targets": {"names": ["a"]}, "when": "probe.ok", "action": {"type": "Restart"}}
FILE = """apiVersion: gyrostat.dev/v1alpha1
kind: RemediationPolicy
metadata: {name: NAME, namespace: shop}
spec: {targets: {names: [a]}, when: probe.ok, action: {type: Restart}}
"""


def made(name: str, **spec: Any) -> dict[str, Any]:
    kind = {"apiVersion": "gyrostat.dev/v1alpha1", "kind": "RemediationPolicy"}
    return {**kind, "metadata": {"name": name, "namespace": "shop"}, "spec": SPEC | spec}


class There:
    """What the API server has; None while nobody knows."""

    def __init__(self, *objects: dict[str, Any]) -> None:
        self.objects: list[dict[str, Any]] | None = list(objects)

    def look(self, signals: Definitions, taken: Mapping[str, Policy]) -> ObjectsResult | None:
        return None if self.objects is None else load_objects(self.objects, taken)


class Turns:
    """Turns of a loop, far enough apart that files are looked at."""

    def __init__(self, made: PolicySet) -> None:
        self.made, self.state, self.now = made, State(), 0.0

    def __call__(self) -> dict[str, str]:
        """Turn, and say what is in force, by its condition."""
        for _ in range(2):  # what changed is read once it has stood still
            self.now += CHECK_EVERY
            self.made.refresh(self.now)
            for record in self.made.changes(self.now, self.state):
                self.state.apply(record)
        return {policy.name: policy.when.source for policy in self.made.in_force(self.state)}


def test_objects_come_into_force_change_and_go():
    there = There(made("one"), made("two"))
    turn = Turns(PolicySet(None, objects=there))
    assert turn() == {"shop/one": "probe.ok", "shop/two": "probe.ok"}
    there.objects = [made("one", when="instances.sick > 0")]
    assert turn() == {"shop/one": "instances.sick > 0"}
    there.objects = []
    assert turn() == {}


def test_before_objects_are_known_nothing_that_is_in_force_goes():
    there = There(made("one"))
    first = Turns(PolicySet(None, objects=there))
    first()
    there.objects = None
    again = Turns(PolicySet(None, objects=there))  # the controller was started anew
    again.state = first.state
    assert again() == {"shop/one": "probe.ok"}
    there.objects = []
    assert again() == {}


def test_of_an_object_that_becomes_wrong_the_last_good_one_stays_also_over_a_restart():
    there = There(made("one"), made("two"))
    first = Turns(PolicySet(None, objects=there))
    first()
    there.objects = [made("one", when="nonsense"), made("two", when="cpu.ratio > 0.9")]
    assert first() == {"shop/one": "probe.ok", "shop/two": "cpu.ratio > 0.9"}
    assert [problem.partition(": ")[0] for problem in first.made.problems] == ["RemediationPolicy shop/one"]
    again = Turns(PolicySet(None, objects=there))
    again.state = first.state
    assert again() == {"shop/one": "probe.ok", "shop/two": "cpu.ratio > 0.9"}


def test_an_object_that_was_never_right_is_not_in_force():
    turn = Turns(PolicySet(None, objects=There(made("one", when="nonsense"))))
    assert turn() == {}
    assert len(turn.made.problems) == 1


def test_a_file_keeps_its_name_and_stands_beside_objects(tmp_path: Path):
    (tmp_path / "one.yaml").write_text(FILE.replace("NAME", "one"))
    there = There(made("one", when="cpu.ratio > 0.9"), made("two"))
    turn = Turns(PolicySet(tmp_path, objects=there))
    assert turn() == {"shop/one": "probe.ok", "shop/two": "probe.ok"}
    assert "already given by a policy file" in turn.made.problems[0]


def test_files_that_are_wrong_from_the_start_keep_no_object_from_coming_into_force(tmp_path: Path):
    (tmp_path / "one.yaml").write_text("kind: nonsense\n")
    there = There(made("two"))
    turn = Turns(PolicySet(tmp_path, objects=there))
    assert turn() == {"shop/two": "probe.ok"}
    there.objects = []
    assert turn() == {"shop/two": "probe.ok"}  # it may be one of the files': nobody knows
    (tmp_path / "one.yaml").write_text(FILE.replace("NAME", "one"))
    assert turn() == {"shop/one": "probe.ok"}
