"""From what is seen of a cluster, by the plans of the actions, to what is done in it: both ends mean the same words."""

from dataclasses import replace

import pytest

from actions import health_check
from actions.plan import Change, Plan, Refusal
from actions.reason import Reason
from actions.registry import ACTIONS
from telemetry.verdict import Verdict

from ..controlplane.rig import KubernetesRig  # noqa: TID252  importlib mode has no package named tests
from ..controlplane.workloads import autoscaler, path  # noqa: TID252
from ..telemetry.kubernetes.watching import watching  # noqa: TID252

PASS, FAIL = Verdict.PASS, Verdict.FAIL


class Seen(KubernetesRig):
    """A workload whose facts are those of the source that watches the cluster."""

    def __init__(self, cluster, namespace, kind, watched):
        super().__init__(cluster, namespace, kind)
        self.watched, self.number = watched, 0

    def seen(self, condition=lambda facts: True, name="checkout"):
        """The facts, as soon as they say so, and all pods are ready."""

        def found():
            facts = self.watched.facts(name, self.namespace)
            known = facts is not None and all(i.ready for i in facts.instances)
            return facts if known and len(facts.instances) == facts.desired and condition(facts) else None

        return self.watched.until(found, f"{name} as wanted", within=60.0)

    def plan(self, action, facts, **params):
        kind = ACTIONS[action]
        return kind.plan(self.target, kind.params.model_validate(params), facts, None)

    def do(self, changes):
        self.number += 1
        return [self.platform.apply(change, f"i{self.number}") for change in changes]


@pytest.fixture(scope="module", params=["Deployment", "StatefulSet"])
def rig(request, cluster):
    with cluster.namespace("plans") as namespace, watching(cluster, namespaces=[namespace]) as watched:
        yield Seen(cluster, namespace, request.param, watched)


def test_every_field_that_is_seen_holds_its_value(rig):
    facts = rig.seen(lambda facts: not facts.rollout)
    assert rig.watched.target("checkout", rig.namespace) == rig.target
    expected = {"desired", "rollout"} | {
        f"slots/{i.slot}/{f}" for i in facts.instances for f in ("incarnation", "healthy")
    }
    assert set(facts.fields) == expected
    for where, value in facts.fields.items():
        assert rig.platform.holds(Change(rig.target, where, None, value)) is PASS, where


def test_more_instances_are_planned_made_seen_and_released(rig):
    facts = rig.seen()
    made = rig.plan("Scale", facts, by="+50%")
    assert isinstance(made, Plan)
    assert rig.do(made.changes) == [PASS]
    rig.seen(lambda facts: facts.desired == facts.ready == 3)
    assert rig.do(made.release) == [PASS]
    rig.seen(lambda facts: facts.desired == facts.ready == 2)
    assert rig.do(made.undo_changes()) == [FAIL]  # it is back already


def test_the_bounds_that_are_planned_within_are_those_that_are_written_within(rig):
    facts = rig.seen()
    assert (facts.minimum, facts.maximum) == (1, 6)
    made = rig.plan("Scale", facts, by="+9")
    assert [change.after for change in made.changes] == [6]
    assert rig.plan("Scale", facts, to=0).reason is Reason.AT_LIMIT
    guarded = rig.seen(name="guarded")
    assert guarded.protected == "the database"


def test_the_sick_pod_alone_is_planned_and_replaced(rig):
    sick, other = rig.seen().instances
    rig.cluster.kubectl("set", "image", f"pod/{sick.slot}", "app=registry.test/checkout:crash", "-n", rig.namespace)

    def found():
        facts = rig.watched.facts("checkout", rig.namespace)
        return facts if [i.slot for i in facts.instances if i.ready is False] == [sick.slot] else None

    made = rig.plan("Restart", rig.watched.until(found, "one sick pod", within=60.0))
    assert [(c.path, c.before) for c in made.changes] == [(f"slots/{sick.slot}/incarnation", sick.incarnation)]
    rig.watched.until(lambda: rig.do(made.changes) == [PASS], "an eviction between two changes of its status")
    after = rig.seen(lambda facts: sick.incarnation not in {i.incarnation for i in facts.instances})
    assert other.incarnation in {i.incarnation for i in after.instances}


def test_all_pods_are_planned_as_one_rollout_that_is_seen_to_its_end(rig):
    facts = rig.seen(lambda facts: not facts.rollout)
    old = {i.incarnation for i in facts.instances}
    made = rig.plan("Restart", facts, instances="All")
    assert [change.path for change in made.changes] == ["rollout"]
    assert rig.do(made.changes) == [PASS]
    after = rig.seen(lambda facts: not old & {i.incarnation for i in facts.instances} and not facts.rollout)
    assert after.fields["rollout"] != facts.fields["rollout"]
    assert rig.do(made.changes) == [FAIL]
    assert after.changed_at == facts.changed_at  # our own restart is no change by its people


def test_readiness_is_asked_of_every_pod(rig):
    facts = rig.seen()
    made = rig.plan("HealthCheck", facts)
    assert {probe.path for probe in made.probes} == {health_check.path(i.slot) for i in facts.instances}
    assert [rig.platform.holds(probe) for probe in made.probes] == [PASS] * 2


def test_an_autoscaler_is_told_and_what_it_makes_of_it_is_seen(rig):
    rig.cluster.apply(autoscaler(rig.namespace, "checkout", 2, 4, rig.kind))
    facts = rig.seen(lambda facts: facts.autoscaler is not None)
    stale = replace(facts, fields={"desired": facts.desired})  # as it was seen before the autoscaler came
    assert rig.do(rig.plan("Scale", stale, by="+1").changes) == [FAIL]
    made = rig.plan("Scale", facts, by="+50%")
    assert [(c.path, c.before, c.after) for c in made.changes] == [("autoscaler/minimum", 2, 3)]
    assert rig.do(made.changes) == [PASS]
    facts = rig.seen(lambda facts: facts.desired == 3 == facts.fields["autoscaler/minimum"])
    assert isinstance(rig.plan("Scale", facts, by="-1"), Refusal)
    assert rig.do(made.undo_changes()) == [PASS]
    rig.seen(lambda facts: facts.fields["autoscaler/minimum"] == 2)
    rig.cluster.do("DELETE", path("HorizontalPodAutoscaler", rig.namespace, "checkout"))
