"""The library for Kubernetes: docs/kubernetes-decisions.md, row by row, on objects as the API sends them."""

from functools import cache

import pytest

from controller.core.records import Result
from policies.library import load_library
from policies.policy import Mode, Policy

from ..telemetry.kubernetes import samples  # noqa: TID252  importlib mode has no package named tests
from .cluster import tell

MINUTE, HOUR = 60.0, 3600.0
NAMES = ("crash-loop", "bad-revision", "out-of-memory", "stuck-rollout", "overload", "autoscaler-limit")


@cache
def _library() -> dict[str, Policy]:
    return {policy.name: policy for policy in load_library().policies}


def _all() -> list[Policy]:
    return [_library()[name] for name in NAMES]


def web(*pods, changed=-HOUR * 24, **over):
    """The deployment `shop/web`, its ReplicaSet and these pods, last changed by `kubectl-set` then."""
    managed = samples.deployment()["metadata"]["managedFields"]
    managed[0] = managed[0] | {"time": samples.at(changed), "manager": "kubectl-set"}
    ready = sum(all(c["ready"] for c in pod["status"]["containerStatuses"]) for pod in pods)
    status = {"readyReplicas": ready, **over.pop("status", {})}
    metadata = {"managedFields": managed} | over.pop("metadata", {})
    found = samples.deployment(replicas=len(pods), metadata=metadata, status=status, **over)
    return {"deployments": [found], "replicasets": [samples.replicaset()], "pods": list(pods)}


def well(name="web-1-a"):
    return samples.pod(name)


def crashing(name="web-1-b", restarts=6, **last):
    return samples.pod(name, containers=[samples.crashing(restarts, last=samples.ended(**({"ago": 20} | last)))])


def failing_image(name="web-1-b"):
    failing = samples.waiting("ImagePullBackOff", 'Back-off pulling image "web:8"')
    return samples.pod(name, containers=[failing], status={"phase": "Pending"})


def stuck(since=-HOUR):
    late = {"type": "Progressing", "status": "False", "reason": "ProgressDeadlineExceeded"}
    return {"updatedReplicas": 1, "conditions": [late | {"lastTransitionTime": samples.at(since)}]}


def hpa(limited=True):
    wants = {"type": "ScalingLimited", "status": "True" if limited else "False", "reason": "TooManyReplicas"}
    return {
        "horizontalpodautoscalers": [
            {
                "metadata": {"name": "web", "namespace": "shop", "uid": "h-1"},
                "spec": {"scaleTargetRef": {"kind": "Deployment", "name": "web"}, "minReplicas": 2, "maxReplicas": 4},
                "status": {"desiredReplicas": 4, "conditions": [wants]},
            }
        ]
    }


def using(cores, pods=("web-1-a", "web-1-b")):
    """What these pods use; their limit is half a core."""
    used = [{"name": "app", "usage": {"cpu": f"{cores * 1000:.0f}m", "memory": "64Mi"}}]
    return {"usage": [{"metadata": {"name": pod, "namespace": "shop"}, "containers": used} for pod in pods]}


def always(objects):
    return lambda _seconds: objects


def asked(told):
    """What a person was asked, of exactly one episode."""
    assert [closed.result for closed in told.closed] == [Result.NEEDS_HUMAN]
    return told.closed[0].detail


def test_a_crash_loop_without_a_change_is_evicted_once_and_then_a_person_is_asked():
    told = tell(_all(), always(web(well(), crashing())), 30)
    (first, restart), (second, _) = told.intents
    assert told.actions == ["Restart", "Escalate"]
    assert [change.path for change in restart.changes] == ["slots/web-1-b/incarnation"]
    assert 2 * MINUTE <= first <= 3 * MINUTE
    assert 10 * MINUTE <= second - first <= 11 * MINUTE
    assert "CrashLoopBackOff, last end Error, exit code 1, 6 restarts" in asked(told)


def test_a_crash_loop_that_an_eviction_ends_is_healed():
    def story(seconds):
        return web(well(), crashing() if seconds < 4 * MINUTE else well("web-1-c"))

    told = tell(_all(), story, 20)
    assert told.actions == ["Restart"]
    assert [closed.result for closed in told.closed] == [Result.HEALED]


def test_a_crash_loop_right_after_a_change_is_the_changes_and_no_pod_is_touched():
    told = tell(_all(), always(web(well(), crashing(), changed=-5 * MINUTE)), 10)
    assert told.actions == ["Escalate"]
    assert told.intents[0][1].key.policy == "bad-revision"
    assert "revision 7, changed 2026-11-22 07:55:00Z by kubectl-set" in asked(told)


def test_an_image_that_cannot_be_pulled_after_a_change_is_named_with_the_revision():
    told = tell(_all(), always(web(well(), failing_image(), changed=-5 * MINUTE)), 10)
    assert told.actions == ["Escalate"]
    assert 'ImagePullBackOff: Back-off pulling image "web:8"' in asked(told)
    assert "revision 7" in asked(told)


@pytest.mark.parametrize("changed", [-24 * HOUR, -5 * MINUTE])
def test_a_kill_for_memory_is_told_with_figures_and_no_pod_is_touched(changed):
    told = tell(_all(), always(web(well(), crashing(reason="OOMKilled", code=137), changed=changed)), 20)
    assert told.actions == ["Escalate"]
    assert told.intents[0][1].key.policy == "out-of-memory"
    assert "OOMKilled, exit code 137, 6 restarts, memory limit 256 MiB" in asked(told)


def test_a_kill_for_memory_long_ago_is_over():
    pod = samples.pod("web-1-b", containers=[samples.container(restarts=1, last=samples.ended("OOMKilled", 137, 2000))])
    assert tell(_all(), always(web(well(), pod)), 10).intents == []


def test_a_stuck_rollout_is_told_with_how_far_it_came():
    slow = samples.pod("web-1-b", containers=[samples.container(ready=False, started=True)])
    told = tell(_all(), always(web(well(), slow, changed=-20 * MINUTE, status=stuck(-10 * MINUTE))), 5)
    assert told.actions == ["Escalate"]
    assert told.intents[0][1].key.policy == "stuck-rollout"
    assert "its rollout is stuck: 1 of 2 instances have revision 7" in asked(told)


def test_what_is_stuck_because_it_crashes_is_told_once():
    told = tell(_all(), always(web(well(), crashing(), changed=-15 * MINUTE, status=stuck(-5 * MINUTE))), 10)
    assert told.actions == ["Escalate"]
    assert told.intents[0][1].key.policy == "bad-revision"


def test_an_old_rollout_that_is_stuck_and_crashes_is_told_and_not_restarted():
    told = tell(_all(), always(web(well(), crashing(), changed=-HOUR, status=stuck())), 30)
    assert told.actions == ["Escalate"]
    assert told.intents[0][1].key.policy == "stuck-rollout"


def test_an_autoscaler_at_its_maximum_is_told_with_its_bounds_as_advice():
    told = tell(_all(), always(web(well(), well("web-1-b")) | hpa()), 15)
    assert told.actions == ["Escalate"]
    assert "wants more than its maximum: its bounds are 2 to 4" in asked(told)
    assert tell(_all(), always(web(well()) | hpa(limited=False)), 15).intents == []


def busy(cores, **over):
    return always(web(well(), well("web-1-b"), **over) | using(cores))


def test_an_overload_without_an_autoscaler_gets_half_as_many_again_and_gives_them_back():
    told = tell(_all(), busy(0.49), 8)
    ((at, scale),) = told.intents
    (change,) = scale.changes
    assert (change.path, change.before, change.after) == ("desired", 2, 3)
    assert 3 * MINUTE <= at <= 4 * MINUTE
    assert scale.hold == 30 * MINUTE


@pytest.mark.parametrize(
    "story",
    [
        busy(0.4),
        busy(0.49, changed=-5 * MINUTE),
        always(web(well(), well("web-1-b")) | using(0.49) | hpa(limited=False)),
        always(web(well(), well("web-1-b"))),
    ],
    ids=["busy enough", "changed just now", "an autoscaler's own work", "nobody measures it"],
)
def test_what_is_no_overload_or_not_ours_is_not_scaled(story):
    assert tell(_all(), story, 8).intents == []


def test_a_number_that_a_manifest_declares_is_not_scaled():
    entry = {"manager": "argocd-controller", "operation": "Apply", "time": samples.at(-HOUR)}
    fields = {"fieldsV1": {"f:spec": {"f:replicas": {}}}}
    told = tell(_all(), busy(0.49, metadata={"managedFields": [entry | fields]}), 8)
    assert (told.intents, list(told.held)) == ([], ["OwnedByGitOps"])


def test_a_recommendation_says_the_same_words_and_asks_nobody_to_come():
    told = tell([_library()["autoscaler-limit"]], always(web(well()) | hpa()), 12, Mode.RECOMMEND)
    assert told.intents == []
    assert "its bounds are 2 to 4" in told.held["Mode"]


def starting(seconds):
    """A second pod that takes two minutes behind its startup probe."""
    state = {"running": {"startedAt": samples.at(0)}}
    ready = seconds > 2 * MINUTE
    return web(well(), samples.pod("web-1-b", containers=[samples.container(ready=ready, started=ready, state=state)]))


def rolling(seconds):
    """A rollout that advances: the controller says so."""
    going = {"type": "Progressing", "status": "True", "reason": "ReplicaSetUpdated"}
    status = {"updatedReplicas": 1, "conditions": [going]}
    return web(well(), well("web-1-b"), changed=-MINUTE, status=status)


@pytest.mark.parametrize(
    "story",
    [
        always(web(well(), well("web-1-b"))),
        starting,
        rolling,
        always(web()),
        always(web(samples.pod("web-1-b", containers=[], status={"phase": "Pending", "conditions": []}))),
    ],
    ids=["well", "slow start", "rolling", "zero replicas", "waits for a node"],
)
def test_what_is_no_failure_is_left_alone(story):
    told = tell(_all(), story, 15)
    assert (told.intents, told.held) == ([], {})


HELD = {
    "Protected": web(well(), crashing(), metadata={"annotations": {"gyrostat.dev/disabled": "true"}}),
    "RolloutPaused": web(well(), crashing(), spec={"paused": True}),
    "RolloutInProgress": web(
        well(),
        crashing(),
        status={"updatedReplicas": 1, "conditions": [{"type": "Progressing", "status": "True", "reason": "Going"}]},
    ),
}


@pytest.mark.parametrize("reason", HELD)
def test_what_stands_in_the_way_of_a_restart_is_named(reason):
    told = tell([_library()["crash-loop"]], always(HELD[reason]), 5)
    assert told.intents == []
    assert told.held.keys() == {reason}


@pytest.mark.parametrize(("healthy", "held"), [(1, True), (2, False)])
def test_a_budget_without_room_holds_the_eviction_of_a_sick_pod(healthy, held):
    budget = {
        "metadata": {"name": "web", "namespace": "shop", "uid": "b-1", "generation": 1},
        "spec": {"selector": {"matchLabels": {"app": "web"}}, "minAvailable": 2},
        "status": {"observedGeneration": 1, "disruptionsAllowed": 0, "currentHealthy": healthy, "desiredHealthy": 2},
    }
    objects = web(well(), crashing()) | {"poddisruptionbudgets": [budget]}
    told = tell([_library()["crash-loop"]], always(objects), 5)
    assert (told.held.keys() == {"DisruptionBudget"}, told.actions == ["Restart"]) == (held, not held)


def test_a_workload_that_is_deleted_ends_its_episode_and_another_of_its_name_is_another():
    other = web(well(), well("web-1-b"))
    other["deployments"][0]["metadata"]["uid"] = "d-2"

    def story(seconds):
        if seconds < 3 * MINUTE:
            return web(well(), crashing(), spec={"paused": True})  # held, so that nothing was begun
        return {} if seconds < 4 * MINUTE else other

    told = tell(_all(), story, 8)
    assert [(closed.result, closed.detail) for closed in told.closed] == [(Result.DROPPED, "the target is gone")]
