"""What a source makes of what its reflectors know, at times that a test chooses."""

import json
import math

import msgspec
import numpy as np
import pytest

from telemetry.inventory import By
from telemetry.sources.kubernetes import source as timing
from telemetry.sources.kubernetes.bounds import bound, scaler, selects
from telemetry.sources.kubernetes.objects import HorizontalPodAutoscaler, LabelSelector, PodDisruptionBudget, Workload
from telemetry.sources.kubernetes.ownership import changed_at, owners, writers
from telemetry.sources.kubernetes.source import KubernetesSource
from telemetry.sources.kubernetes.workloads import known, quantity

from . import samples
from .samples import NOW, at


class Listed:
    """An API server that lists these objects, by the last part of their path."""

    def __init__(self, **objects):
        self.objects, self.version = objects, 1000

    def read(self, path, kind, query=None):
        self.version += 1
        version = {"metadata": {"resourceVersion": str(self.version)}}
        items = [samples.merged(thing, version) for thing in self.objects.get(path.rsplit("/", 1)[-1], ())]
        return msgspec.json.decode(samples.page(*items, rv=str(self.version)), type=kind)

    def watch(self, path, query, idle):
        raise AssertionError(path)


class Rig:
    """A source without threads; its clock stands until a test moves it."""

    def __init__(self, **objects):
        self.clock = 100.0
        self.api = Listed(**objects)
        self.source = KubernetesSource(self.api, clock=lambda: self.clock)
        self.beat()

    def beat(self):
        self.source._beat_at = self.clock

    def list(self, *names):
        for each in self.source.reflectors:
            if not names or each.resource.name.partition(".")[0] in names:
                each._list()
                each.standing.following = True
        return self

    def read(self, after=0.0):
        """Time passes; every watch that is open, and the heartbeat, go on."""
        self.clock += after
        self.beat()
        return self.source.read(NOW + self.clock - 100.0)

    def facts(self, after=0.0):
        (facts,) = self.read(after).facts.values()
        return facts

    def column(self, name, after=0.0):
        block = self.read(after).blocks[0]
        return float(block.columns[name][0])

    def reflector(self, name):
        return next(each for each in self.source.reflectors if each.resource.name.partition(".")[0] == name)


def web(**more):
    objects = {
        "deployments": [samples.deployment()],
        "replicasets": [samples.replicaset()],
        "pods": [samples.pod("web-1-a"), samples.pod("web-1-b")],
    }
    return Rig(**(objects | more)).list()


def decoded(thing, kind):
    return msgspec.json.decode(json.dumps(thing).encode(), type=kind)


# --- what is whole


def test_nothing_is_told_before_everything_was_listed():
    rig = web()
    rig.reflector("pods").standing.synced = False
    reading = rig.read()
    assert (reading.facts, reading.blocks, reading.error) == ({}, (), "pods: not listed yet")
    rig.reflector("pods").standing.synced = True
    assert len(rig.read().facts) == 1


def test_what_only_protects_need_not_be_known():
    rig = web()
    rig.reflector("services").standing.synced = False
    assert rig.read().error == ""


@pytest.mark.parametrize("order", [("pods", "replicasets", "deployments"), ("deployments", "pods", "replicasets")])
def test_pods_find_their_workload_in_whatever_order_they_come(order):
    rig = Rig(
        deployments=[samples.deployment()], replicasets=[samples.replicaset()], pods=[samples.pod(), samples.pod("b")]
    )
    for name in order:
        rig.list(name)
    rig.list()
    assert rig.facts().ready == 2


def test_pods_of_nobody_and_of_jobs_add_no_target():
    job = [{"kind": "Job", "name": "j", "uid": "j-1", "controller": True}]
    stray = samples.pod("stray", metadata={"ownerReferences": []})
    rig = web(pods=[stray, samples.pod("job", metadata={"ownerReferences": job})])
    assert rig.facts().instances == ()


def test_a_watch_that_is_away_for_a_moment_is_no_trouble_and_then_it_is():
    rig = web()
    rig.read()
    pods = rig.reflector("pods")
    pods.standing.following, pods.standing.current_at, pods.standing.why = False, rig.clock, "pods: reset"
    rig.list("deployments")  # that one goes on, and something happened
    reading = rig.read(timing.GRACE - 0.5)
    assert reading.error == ""
    (facts,) = reading.facts.values()
    assert facts.seen_at == NOW  # no fresher than the watch that is away
    reading = rig.read(1.0)
    assert (reading.error, len(reading.facts), reading.blocks) == ("pods: reset", 1, ())


def test_facts_that_do_not_change_are_seen_again_all_the_same():
    rig = web()
    first = rig.read().facts
    assert rig.read(1.0).facts is first
    (facts,) = rig.read(timing.STAMP).facts.values()
    assert facts.seen_at == NOW + 1.0 + timing.STAMP


def test_an_event_that_was_missed_is_noticed_by_the_controllers_own_count_and_everything_is_listed_again():
    rig = web()
    rig.read()
    rig.api.objects["deployments"] = [samples.deployment(status={"readyReplicas": 1})]
    rig.list("deployments")  # the controller tells of a pod that is not ready any more; its own event never came
    rig.read()
    rig.read(timing.ODD - 1.0)
    assert rig.reflector("pods").standing.synced
    rig.read(2.0)
    whys = {each.resource.name.partition(".")[0]: each.standing.synced for each in rig.source.reflectors}
    assert {name for name, synced in whys.items() if not synced} == {"pods", "replicasets", "deployments"}
    assert "an event was missed" in rig.reflector("pods").standing.why
    rig.list()  # it was no event after all: the controller itself is behind
    rig.read(timing.ODD_WAIT - 1.0)
    assert rig.reflector("pods").standing.synced
    rig.read(2.0)
    assert not rig.reflector("pods").standing.synced
    rig.list()
    rig.read(timing.ODD_WAIT + 1.0)
    assert rig.reflector("pods").standing.synced  # it waits twice as long now


def test_a_count_that_agrees_again_was_only_late():
    rig = web(deployments=[samples.deployment(status={"readyReplicas": 1})])
    rig.read(timing.ODD - 1.0)
    rig.api.objects["deployments"] = [samples.deployment()]
    rig.list("deployments")
    rig.read(timing.ODD)
    assert rig.reflector("pods").standing.synced


# --- time alone


def starting(**over):
    state = {"running": {"startedAt": at(0)}}
    return samples.pod("web-1-a", containers=[samples.container(ready=False, started=True, state=state)], **over)


def test_what_never_gets_ready_turns_sick_by_time_alone():
    one = [samples.deployment(status={"readyReplicas": 1})]
    rig = web(pods=[starting(), samples.pod("web-1-b")], deployments=one)
    assert math.isnan(rig.column("probe.ok"))
    assert rig.column("probe.ok", after=119.0) != 0.0
    assert rig.column("probe.ok", after=2.0) == 0.0
    assert rig.column("instances.sick") == 0.5


def test_a_crash_loop_is_over_when_it_ran_long_enough():
    run = samples.container(restarts=5, state={"running": {"startedAt": at(0)}}, last=samples.ended())
    rig = web(pods=[samples.pod("web-1-a", containers=[run]), samples.pod("web-1-b")])
    assert rig.column("crashloop") == 1.0
    assert rig.column("crashloop", after=299.0) == 1.0
    assert rig.column("crashloop", after=2.0) == 0.0


def test_a_change_is_recent_for_half_an_hour():
    rig = web()
    assert (rig.column("change.recent"), rig.column("change.age")) == (0.0, 86400.0)
    managed = samples.deployment()["metadata"]["managedFields"]
    managed[0]["time"] = at(-1799)
    rig = web(deployments=[samples.deployment(metadata={"managedFields": managed})])
    assert rig.column("change.recent") == 1.0
    assert rig.column("change.recent", after=2.0) == 0.0


def test_restarts_are_counted_over_pods_that_go():
    def crashed(name, restarts):
        return samples.pod(
            name, containers=[samples.container(restarts=restarts)], metadata={"creationTimestamp": at(-60)}
        )

    rig = web(pods=[crashed("a", 2), crashed("b", 0)])
    assert (rig.column("restarts.count"), rig.column("restarts.rate")) == (2.0, 2.0)
    rig.api.objects["pods"] = [crashed("c", 1), crashed("b", 3)]
    rig.list("pods")
    assert (rig.column("restarts.count", after=60.0), rig.column("restarts.rate")) == (6.0, 6.0)
    assert rig.column("restarts.rate", after=3550.0) == 4.0
    assert rig.column("restarts.count") == 6.0


# --- bounds and owners


@pytest.mark.parametrize(
    ("selector", "chosen"),
    [
        (None, False),
        ({}, True),
        ({"matchLabels": {"app": "web"}}, True),
        ({"matchLabels": {"app": "db"}}, False),
        ({"matchExpressions": [{"key": "app", "operator": "In", "values": ["web", "db"]}]}, True),
        ({"matchExpressions": [{"key": "app", "operator": "NotIn", "values": ["web"]}]}, False),
        ({"matchExpressions": [{"key": "tier", "operator": "NotIn", "values": ["web"]}]}, True),
        ({"matchExpressions": [{"key": "app", "operator": "Exists"}]}, True),
        ({"matchExpressions": [{"key": "app", "operator": "DoesNotExist"}]}, False),
        ({"matchLabels": {"app": "web"}, "matchExpressions": [{"key": "tier", "operator": "Exists"}]}, False),
    ],
)
def test_a_selector_chooses_as_the_api_server_does(selector, chosen):
    read = None if selector is None else decoded(selector, LabelSelector)
    assert selects(read, {"app": "web"}) is chosen


def budget(**over):
    base = {
        "metadata": {"name": "web", "namespace": "shop", "uid": "b", "resourceVersion": "1", "generation": 2},
        "spec": {"selector": {"matchLabels": {"app": "web"}}},
        "status": {"observedGeneration": 2, "disruptionsAllowed": 1, "currentHealthy": 2, "desiredHealthy": 1},
    }
    return bound(decoded(samples.merged(base, over), PodDisruptionBudget))


def test_a_budget_leaves_the_room_that_its_controller_counted_for_this_version_of_it():
    assert (budget().room, budget().sick_free) == (1, True)
    assert (budget(status={"observedGeneration": 1}).room, budget(status={"observedGeneration": 1}).sick_free) == (
        0,
        False,
    )
    assert budget(status={"currentHealthy": 0}).sick_free is False
    assert budget(status={"desiredHealthy": 0}).sick_free is False
    assert budget(status={"currentHealthy": 0}, spec={"unhealthyPodEvictionPolicy": "AlwaysAllow"}).sick_free is True


def hpa(name="web", **meta):
    head = {"name": name, "namespace": "shop", "uid": f"h-{name}", "resourceVersion": "1"}
    spec = {"scaleTargetRef": {"kind": "Deployment", "name": "web"}, "maxReplicas": 9}
    return {"metadata": head | meta, "spec": spec, "status": {"conditions": None, "currentMetrics": None}}


def test_an_autoscaler_without_a_minimum_has_one_and_that_of_keda_is_kedas():
    assert scaler(decoded(hpa(), HorizontalPodAutoscaler)).minimum == 1
    keda = [{"kind": "ScaledObject", "name": "web", "uid": "s", "controller": True}]
    facts = web(horizontalpodautoscalers=[hpa(ownerReferences=keda)]).facts()
    assert {path: owner.by for path, owner in facts.owners.items()} == dict.fromkeys(
        ("desired", "autoscaler/minimum"), By.KEDA
    )


def test_of_two_autoscalers_none_can_be_written():
    facts = web(horizontalpodautoscalers=[hpa(), hpa("other")]).facts()
    assert {"desired", "autoscaler/minimum"} & facts.fields.keys() == set()


ENTRY = {"manager": "argocd-controller", "operation": "Update", "time": at(-60)}
REPLICAS = {"fieldsV1": {"f:spec": {"f:replicas": {}}}}
MANIFEST = {"kubectl.kubernetes.io/last-applied-configuration": json.dumps({"spec": {"replicas": 2}})}


def written(*entries, annotations=None):
    return decoded(
        samples.deployment(metadata={"managedFields": list(entries), "annotations": annotations or {}}), Workload
    )


@pytest.mark.parametrize(
    ("entry", "annotations", "owner"),
    [
        (ENTRY | REPLICAS | {"operation": "Apply"}, {}, "argocd-controller applies it"),
        (ENTRY | REPLICAS | {"operation": "Apply", "manager": "helm"}, {}, "helm applies it"),
        (ENTRY | {"operation": "Apply", "fieldsV1": {"f:spec": {"f:template": {}}}}, {}, None),
        (ENTRY | REPLICAS | {"operation": "Apply", "manager": "gyrostat"}, {}, None),
        (ENTRY | REPLICAS, MANIFEST, "argocd-controller applies it"),
        (ENTRY | REPLICAS, {}, None),
        (ENTRY | REPLICAS | {"manager": "kubectl-client-side-apply"}, MANIFEST, None),
        (ENTRY | REPLICAS | {"operation": "Apply"}, {"gyrostat.dev/may-write": "replicas"}, None),
        (
            ENTRY | REPLICAS | {"operation": "Apply"},
            {"gyrostat.dev/may-write": "image"},
            "argocd-controller applies it",
        ),
    ],
)
def test_who_declares_the_number_owns_it_and_who_only_wrote_it_does_not(entry, annotations, owner):
    found = owners(written(entry, annotations=annotations))
    assert (found["desired"].name if found else None) == owner


def test_what_an_operator_made_is_its_own_and_so_is_the_template():
    made = samples.deployment(
        metadata={"ownerReferences": [{"kind": "Kafka", "name": "events", "uid": "k", "controller": True}]}
    )
    found = owners(decoded(made, Workload))
    assert {path: (owner.by, owner.name) for path, owner in found.items()} == dict.fromkeys(
        ("desired", "rollout"), (By.CONTROLLER, "Kafka events keeps it")
    )
    made["metadata"]["ownerReferences"][0]["controller"] = False
    assert owners(decoded(made, Workload)) == {}


def test_the_last_writer_is_the_one_of_the_subresource_which_carries_no_time():
    scale = {"manager": "hpa", "operation": "Update", "subresource": "scale"} | REPLICAS
    meta = written(ENTRY | REPLICAS, scale, ENTRY | REPLICAS | {"manager": "gyrostat", "time": at(0)}).metadata
    assert writers(meta) == {"desired": "hpa", "spec": "argocd-controller"}
    assert changed_at(meta) == NOW - 60


def test_what_the_server_does_not_remember_was_changed_when_it_was_made():
    assert changed_at(written().metadata) == NOW - 86400


@pytest.mark.parametrize(
    ("text", "number"),
    [
        *(("250m", 0.25), ("1", 1.0), ("1.5", 1.5), ("64Mi", 64 * 2**20), ("1G", 1e9), ("2Ki", 2048)),
        *(("12345n", 1.2345e-5), (2, 2.0), ("", 0.0), ("many", 0.0), ("1e3", 1000.0), ("2E", 2e18)),
    ],
)
def test_a_quantity_is_a_number(text, number):
    assert quantity(text) == pytest.approx(number)


def test_use_is_told_against_limits_and_unknown_where_there_are_none():
    rig = web()
    rig.source._meter.latest = (rig.clock, {("shop", "web-1-a"): {"app": (0.4, 64 * 2**20)}, ("shop", "web-1-b"): {}})
    used = rig.read().blocks[1].columns
    assert [float(used[name][0]) for name in ("cpu.ratio", "memory.ratio", "memory.bytes")] == [0.8, 0.25, 64 * 2**20]
    bare = samples.deployment()
    bare["spec"]["template"]["spec"]["containers"][0]["resources"] = {}
    rig = web(deployments=[bare])
    rig.source._meter.latest = (rig.clock, {("shop", "web-1-a"): {"app": (0.4, 64 * 2**20)}})
    used = rig.read().blocks[1].columns
    assert np.isnan([used["cpu.ratio"][0], used["memory.ratio"][0]]).all()
    assert used["memory.bytes"][0] == 64 * 2**20


def test_a_stateful_set_that_is_rolled_only_in_part_is_complete_at_its_partition():
    status = {"currentRevision": "a", "updateRevision": "b", "updatedReplicas": 1, "observedGeneration": 1}
    strategy = {"type": "RollingUpdate", "rollingUpdate": {"partition": 1}}
    made = samples.deployment(spec={"updateStrategy": strategy}, status=status)
    assert not known("StatefulSet")(decoded(made, Workload)).rollout.progressing
    made["spec"]["updateStrategy"]["rollingUpdate"]["partition"] = 0
    assert known("StatefulSet")(decoded(made, Workload)).rollout.progressing


def test_a_workload_whose_pods_are_replaced_by_hand_has_no_rollout_to_begin():
    rolled = samples.deployment(spec={"updateStrategy": {"type": "RollingUpdate"}})
    by_hand = samples.deployment(spec={"updateStrategy": {"type": "OnDelete"}})
    for made, has in ((rolled, True), (by_hand, False)):
        rig = web(deployments=(), replicasets=(), statefulsets=[made])
        assert ("rollout" in rig.facts().fields) is has
