"""What the Kubernetes platform does beyond the contract: in which form it writes, and what it leaves alone."""

from contextlib import contextmanager

import pytest

from actions import health_check, restart
from actions.plan import Change
from actions.platforms import Denied
from actions.platforms.kubernetes.platform import KubernetesPlatform
from actions.restart import NEWER, NEWER_AT_ONCE, ROLLOUT
from actions.scale import MINIMUM
from telemetry.sources.kubernetes.client import Client
from telemetry.target import Target
from telemetry.verdict import Verdict

from ..controlplane.cluster import MERGE  # noqa: TID252  importlib mode has no package named tests
from ..controlplane.rig import NOON, KubernetesRig, access, platform  # noqa: TID252
from ..controlplane.workloads import autoscaler, budget, path, workload  # noqa: TID252

PASS, FAIL, UNKNOWN = Verdict.PASS, Verdict.FAIL, Verdict.UNKNOWN


@pytest.fixture(scope="module")
def shared(cluster):
    with cluster.namespace("platform") as namespace:
        yield KubernetesRig(cluster, namespace, "Deployment")


@pytest.fixture
def rig(shared):
    shared.settle()
    return shared


@pytest.fixture
def scaled(rig):
    """The same, owned by an autoscaler from 2 to 4."""
    rig.cluster.apply(autoscaler(rig.namespace, "checkout", 2, 4))
    yield path("HorizontalPodAutoscaler", rig.namespace, "checkout")
    rig.cluster.do("DELETE", path("HorizontalPodAutoscaler", rig.namespace, "checkout"))
    rig.other_writer(2)


@contextmanager
def budgeted(rig, **spec):
    """A budget that the controllers have counted."""
    of = path("PodDisruptionBudget", rig.namespace, "checkout")
    rig.cluster.apply(budget(rig.namespace, "checkout", **spec))
    rig.cluster.until(lambda: rig.cluster.get(of).get("status", {}).get("currentHealthy") == 2, "the budget's count")
    yield
    rig.cluster.do("DELETE", of)


def where(rig, *more):
    return "/".join((path("Deployment", rig.namespace, "checkout"), *more))


def desired(rig, after=3):
    return Change(rig.target, "desired", rig.facts().desired, after)


def anew(rig, slot=0, after=NEWER):
    instance = rig.facts().instances[slot]
    return Change(rig.target, restart.path(instance.slot), instance.incarnation, after)


def rollout(rig, before=None):
    return Change(rig.target, ROLLOUT, before, NEWER)


def restarted(rig):
    template = rig.cluster.get(where(rig))["spec"]["template"]["metadata"]
    return template.get("annotations", {}).get("gyrostat.dev/restarted-at")


class Racing(Client):
    """Somebody is faster, between our read and our write."""

    def __init__(self, cluster, first):
        super().__init__(access(cluster), 10.0)
        self.first, self.writes = first, 0

    def write(self, what, audit_id=""):
        self.writes += 1
        self.first(self.writes)
        return super().write(what, audit_id)


# --- how it is written


@pytest.mark.parametrize(
    ("change", "verb", "code"),
    [
        (desired, "patch/scale", 200),
        (anew, "create/eviction", 201),
        (lambda rig: anew(rig, 1, NEWER_AT_ONCE), "delete", 200),
        (lambda rig: rollout(rig, restarted(rig)), "patch", 200),
    ],
)
def test_every_write_is_found_in_the_cluster_s_own_log_by_the_intent_s_id(rig, change, verb, code):
    made, intent = change(rig), f"i-{verb}"
    assert rig.platform.apply(made, intent) is PASS
    (entry,) = rig.cluster.audit(id=f"{rig.namespace}-{intent}")
    assert [entry["responseStatus"]["code"]] == [code]
    assert rig.cluster.audit(id=f"{rig.namespace}-{intent}", verb=verb)
    assert entry["userAgent"] == "gyrostat"
    assert rig.platform.holds(made) is PASS
    rig.other_writer(2)


def test_what_was_read_is_a_condition_of_every_write(rig):
    uid, pod = rig.target.uid, rig.facts().instances[0]
    rig.platform.apply(desired(rig), "fence-scale")
    rig.platform.apply(anew(rig), "fence-evict")
    (scale,) = rig.cluster.audit(id=f"{rig.namespace}-fence-scale")
    (evict,) = rig.cluster.audit(id=f"{rig.namespace}-fence-evict")
    sent = scale["requestObject"]["metadata"]
    assert sent["uid"] == uid
    assert sent["resourceVersion"]
    conditions = evict["requestObject"]["deleteOptions"]["preconditions"]
    assert conditions["uid"] == pod.incarnation
    assert conditions["resourceVersion"]
    rig.other_writer(2)


def test_a_change_of_status_between_read_and_write_is_read_again_and_written(rig):
    where_status = where(rig, "status")

    def status(number):
        if number == 1:
            rig.cluster.do("PATCH", where_status, {"status": {"collisionCount": 7}}, MERGE)

    racing = Racing(rig.cluster, status)
    assert KubernetesPlatform(racing, lambda: NOON).apply(desired(rig), "i1") is PASS
    assert racing.writes == 2
    rig.other_writer(2)


def test_another_writer_between_read_and_write_is_not_overwritten(rig):
    made = desired(rig)
    racing = Racing(rig.cluster, lambda _: rig.other_writer(4))
    assert KubernetesPlatform(racing, lambda: NOON).apply(made, "i1") is FAIL
    assert racing.writes == 1
    assert rig.facts().desired == 4
    rig.other_writer(2)


def test_a_workload_that_never_stays_the_same_is_left_alone_after_three_tries(rig):
    def label(number):
        rig.cluster.do("PATCH", where(rig), {"metadata": {"labels": {"number": str(number)}}}, MERGE)

    racing = Racing(rig.cluster, label)
    assert KubernetesPlatform(racing, lambda: NOON).apply(desired(rig), "i1") is FAIL
    assert racing.writes == 3
    assert rig.facts().desired == 2


# --- an autoscaler is told, not fought


def test_what_an_autoscaler_owns_is_not_written_beside_it(rig, scaled):
    assert rig.platform.apply(desired(rig), "i1") is FAIL
    assert rig.facts().desired == 2


def test_an_autoscaler_s_minimum_is_raised_within_its_bounds_and_put_back(rig, scaled):
    up = Change(rig.target, MINIMUM, 2, 4)
    assert rig.platform.holds(up) is FAIL
    assert rig.platform.apply(Change(rig.target, MINIMUM, 2, 5), "over-maximum") is FAIL
    assert rig.cluster.audit(id=f"{rig.namespace}-over-maximum") == []  # not even asked for
    assert rig.platform.apply(Change(rig.target, MINIMUM, 3, 4), "i1") is FAIL  # not what it says
    assert rig.platform.apply(Change(rig.target, MINIMUM, 2, 0), "i1") is FAIL
    assert rig.platform.apply(up, "i1") is PASS
    assert rig.platform.apply(up, "i1") is FAIL
    assert rig.platform.holds(up) is PASS
    rig.cluster.until(lambda: rig.facts().desired == 4, "the autoscaler's own scaling")
    assert rig.platform.apply(up.inverse(), "i2") is PASS
    assert rig.cluster.get(scaled)["spec"]["minReplicas"] == 2


def test_an_autoscaler_that_somebody_else_keeps_is_left_alone(rig, scaled):
    keda = {
        "apiVersion": "keda.sh/v1alpha1",
        "kind": "ScaledObject",
        "name": "checkout",
        "uid": "4711",
        "controller": True,
    }
    rig.cluster.do("PATCH", scaled, {"metadata": {"ownerReferences": [keda]}}, MERGE)
    up = Change(rig.target, MINIMUM, 2, 3)
    assert rig.platform.apply(up, "i1") is FAIL
    assert rig.cluster.get(scaled)["spec"]["minReplicas"] == 2


def test_two_autoscalers_of_one_workload_are_left_alone(rig, scaled):
    second = autoscaler(rig.namespace, "checkout", 2, 4)
    second["metadata"]["name"] = "second"
    rig.cluster.apply(second)
    assert rig.platform.apply(Change(rig.target, MINIMUM, 2, 3), "i1") is FAIL
    rig.cluster.do("DELETE", path("HorizontalPodAutoscaler", rig.namespace, "second"))


# --- restarts


def test_a_rollout_makes_all_pods_anew_at_the_workload_s_own_pace(rig):
    before, old = restarted(rig), {i.incarnation for i in rig.facts().instances}
    assert rig.platform.holds(rollout(rig, before)) is FAIL
    assert rig.platform.apply(rollout(rig, "another value"), "i1") is FAIL
    assert rig.platform.apply(rollout(rig, before), "i1") is PASS
    assert restarted(rig) == f"2026-11-22T12:00:00+00:00 {rig.namespace}-i1"
    assert rig.platform.apply(rollout(rig, before), "i1") is FAIL
    assert rig.platform.holds(rollout(rig, before)) is PASS
    rig.cluster.until(lambda: not old & {i.incarnation for i in rig.facts().instances}, "new pods only")
    rig.settle()


def test_a_paused_workload_is_not_rolled_out(rig):
    before = restarted(rig)
    rig.cluster.do("PATCH", where(rig), {"spec": {"paused": True}}, MERGE)
    assert rig.platform.apply(rollout(rig, before), "i1") is FAIL
    rig.cluster.do("PATCH", where(rig), {"spec": {"paused": False}}, MERGE)
    assert restarted(rig) == before


def test_an_eviction_respects_a_budget_and_a_forceful_restart_does_not(rig):
    with budgeted(rig, minAvailable=2):
        assert rig.platform.apply(anew(rig), "budget-graceful") is FAIL
        assert rig.platform.holds(anew(rig)) is FAIL
        assert rig.platform.apply(anew(rig, after=NEWER_AT_ONCE), "budget-forceful") is PASS
        (entry,) = rig.cluster.audit(id=f"{rig.namespace}-budget-forceful")
        assert entry["requestObject"]["gracePeriodSeconds"] == 1
        rig.settle()


def test_a_pod_of_another_workload_is_not_restarted(rig):
    foreign = rig.facts(rig.guarded).instances[0]
    assert rig.platform.apply(Change(rig.target, restart.path(foreign.slot), foreign.incarnation, NEWER), "i1") is FAIL
    assert rig.platform.holds(Change(rig.target, health_check.path(foreign.slot), None, 1)) is FAIL
    assert rig.facts(rig.guarded).instances[0] == foreign


def test_a_pod_that_is_sick_now_is_not_healthy_and_its_successor_is(rig):
    sick = rig.facts().instances[0]
    asked, change = Change(rig.target, health_check.path(sick.slot), None, 1), anew(rig)
    rig.cluster.kubectl("set", "image", f"pod/{sick.slot}", "app=registry.test/checkout:crash", "-n", rig.namespace)
    rig.cluster.until(lambda: rig.platform.holds(asked) is FAIL, "a sick pod")
    rig.cluster.until(lambda: rig.platform.apply(change, "i1") is PASS, "an eviction between two changes of its status")
    rig.settle()
    assert rig.platform.holds(change) is PASS
    assert [i.ready for i in rig.facts().instances] == [True, True]


# --- what is left alone


def test_an_opt_out_of_the_namespace_or_a_forbidden_namespace_stops_every_write(rig):
    of = f"/api/v1/namespaces/{rig.namespace}"
    rig.cluster.do("PATCH", of, {"metadata": {"annotations": {"gyrostat.dev/disabled": "true"}}}, MERGE)
    changes = [desired(rig), anew(rig), rollout(rig, restarted(rig))]
    assert [rig.platform.apply(change, "i1") for change in changes] == [FAIL] * 3
    rig.cluster.do("PATCH", of, {"metadata": {"annotations": {"gyrostat.dev/disabled": None}}}, MERGE)
    forbidding = platform(rig.cluster, forbidden=frozenset({rig.namespace}))
    assert [forbidding.apply(change, "i1") for change in changes] == [FAIL] * 3
    assert rig.platform.apply(changes[0], "i1") is PASS
    rig.other_writer(2)


@pytest.mark.parametrize("kind", ["Service", "ReplicaSet", "deployments", ""])
def test_only_workloads_are_written(rig, kind):
    target = Target("kubernetes", kind, rig.namespace, "checkout", rig.target.uid)
    assert rig.platform.apply(Change(target, "desired", 2, 3), "i1") is FAIL
    assert rig.platform.holds(Change(target, "desired", 2, 3)) is FAIL


@pytest.mark.parametrize("name", ["../deployments/checkout", "checkout/scale", "checkout?dryRun=All", "%63heckout"])
def test_a_name_never_becomes_another_path(rig, name):
    target = Target("kubernetes", "Deployment", rig.namespace, name, rig.target.uid)
    assert rig.platform.apply(Change(target, "desired", 2, 3), "i1") is FAIL
    assert rig.facts().desired == 2


def test_a_daemon_set_has_no_number_but_can_be_rolled_out(rig):
    rig.cluster.apply(workload(rig.namespace, "agent", kind="DaemonSet"))
    uid = rig.cluster.get(path("DaemonSet", rig.namespace, "agent"))["metadata"]["uid"]
    agent = Target("kubernetes", "DaemonSet", rig.namespace, "agent", uid)
    assert rig.platform.apply(Change(agent, "desired", None, 2), "i1") is FAIL
    assert rig.platform.apply(Change(agent, ROLLOUT, None, NEWER), "i1") is PASS
    assert rig.platform.holds(Change(agent, ROLLOUT, None, NEWER)) is PASS
    rig.cluster.do("DELETE", path("DaemonSet", rig.namespace, "agent"))


def test_a_workload_whose_pods_are_replaced_by_hand_is_not_rolled_out(rig):
    by_hand = workload(rig.namespace, "by-hand", kind="StatefulSet", replicas=1)
    by_hand["spec"]["updateStrategy"] = {"type": "OnDelete"}
    rig.cluster.apply(by_hand)
    uid = rig.cluster.get(path("StatefulSet", rig.namespace, "by-hand"))["metadata"]["uid"]
    change = Change(Target("kubernetes", "StatefulSet", rig.namespace, "by-hand", uid), ROLLOUT, None, NEWER)
    assert rig.platform.apply(change, "i1") is FAIL
    assert rig.platform.holds(change) is FAIL
    rig.cluster.do("DELETE", path("StatefulSet", rig.namespace, "by-hand"))


# --- rehearsal and rights


def test_a_dry_run_asks_the_server_for_everything_and_keeps_nothing(rig):
    dry = platform(rig.cluster, trail=f"{rig.namespace}-dry-", dry_run=True)
    before, mark = rig.facts(), restarted(rig)
    changes = [desired(rig), anew(rig), anew(rig, 1, NEWER_AT_ONCE), rollout(rig, mark)]
    assert [dry.apply(change, f"i{n}") for n, change in enumerate(changes)] == [PASS] * 4
    logged = [rig.cluster.audit(id=f"{rig.namespace}-dry-i{n}")[0] for n in range(4)]
    assert [entry["responseStatus"]["code"] for entry in logged] == [200, 201, 200, 200]
    assert rig.facts() == before
    assert restarted(rig) == mark
    with budgeted(rig, minAvailable=2):
        assert dry.apply(anew(rig), "i9") is FAIL


def test_rights_that_are_missing_write_nothing_and_tell_nothing(rig):
    pod = rig.facts().instances[0].slot
    token = rig.cluster.bound_token(rig.namespace, "default", pod)
    poor = KubernetesPlatform(Client(access(rig.cluster, token)), lambda: NOON)
    assert poor.apply(desired(rig), "i1") is FAIL
    assert poor.holds(desired(rig)) is UNKNOWN
    here = ["-n", rig.namespace, "reader"]
    kinds = "--resource=deployments.apps,replicasets.apps,pods,namespaces,horizontalpodautoscalers.autoscaling"
    rig.cluster.kubectl("create", "role", *here, "--verb=get,list", kinds)
    rig.cluster.kubectl("create", "rolebinding", *here, "--role=reader", f"--serviceaccount={rig.namespace}:default")
    rig.cluster.until(lambda: poor.holds(desired(rig)) is FAIL, "the right to read")
    for number, change in enumerate(
        [desired(rig), anew(rig), anew(rig, 1, NEWER_AT_ONCE), rollout(rig, restarted(rig))]
    ):
        with pytest.raises(Denied, match=r"forbidden: needs (patch|create|delete) "):
            poor.apply(change, f"poor-{number}")
        (entry,) = rig.cluster.audit(id=f"poor-{number}")
        assert entry["responseStatus"]["code"] == 403
