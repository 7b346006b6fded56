"""The controller under exactly the chart's rights: policies as objects, and what it says of them in the cluster."""

import re
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.controlplane.cluster import Cluster
from tests.controlplane.workloads import workload

from .installed import ACCOUNT, API, controller

POLICIES = f"{API}/namespaces/shop/remediationpolicies"
EPISODES = f"{API}/namespaces/shop/episodes"
WITHIN = 180.0


def policy(name: str, **spec: Any) -> dict[str, Any]:
    base = {"targets": {"names": ["nobody"]}, "when": "instances.sick > 0", "for": "1s", "action": {"type": "Restart"}}
    metadata = {"name": name, "namespace": "shop"}
    kind = {"apiVersion": "gyrostat.dev/v1alpha1", "kind": "RemediationPolicy"}
    return {**kind, "metadata": metadata, "spec": base | spec}


def until(condition: Callable[[], Any], what: str) -> Any:
    deadline = time.monotonic() + WITHIN
    while not (found := condition()):
        assert time.monotonic() < deadline, what
        time.sleep(0.2)
    return found


def status(cluster: Cluster, name: str) -> dict[str, Any]:
    return dict(cluster.get(f"{POLICIES}/{name}").get("status", {}))


def ready(cluster: Cluster, name: str) -> tuple[str, str, int]:
    """Status, message and generation of the condition."""
    conditions = status(cluster, name).get("conditions", [{}])
    found = conditions[0]
    return found.get("status", ""), found.get("message", ""), found.get("observedGeneration", 0)


def episodes(cluster: Cluster, name: str) -> list[dict[str, Any]]:
    """The status of each Episode of a policy."""
    found = [one.get("status", {}) for one in cluster.get(EPISODES)["items"]]
    return [one for one in found if one.get("policy") == f"shop/{name}"]


def events(cluster: Cluster, target: str) -> dict[str, str]:
    """Notes by reason of the Events of ours on a Deployment."""
    found = cluster.get("/apis/events.k8s.io/v1/namespaces/shop/events")["items"]
    ours = [one for one in found if one.get("reportingController") == "gyrostat.dev/controller"]
    return {one["reason"]: one["note"] for one in ours if one["regarding"]["name"] == target}


@pytest.fixture(scope="module")
def running(own: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    with controller(own, tmp_path_factory.mktemp("controller")):
        yield own
        own.kubectl("delete", "rmp", "--all", "-n", "shop")


def test_an_object_is_in_force_and_says_so(running: Cluster):
    running.apply(policy("plain"))
    until(lambda: ready(running, "plain")[0] == "True", "in force")
    found = status(running, "plain")
    assert found["observedGeneration"] == 1
    assert (found["open"], found["wouldAct"], found["held"], found["healed"]) == (0, 0, [], 0)
    assert found["conditions"][0]["reason"] == "InForce"
    since = found["conditions"][0]["lastTransitionTime"]
    running.apply(policy("plain", mode="Enforce"))
    until(lambda: ready(running, "plain")[1:] == ("in force: its mode is Enforce", 2), "the new mode")
    assert status(running, "plain")["conditions"][0]["lastTransitionTime"] == since  # it was ready before, too
    columns = running.kubectl("get", "rmp", "plain", "-n", "shop", "--no-headers").split()
    assert columns[:4] == ["plain", "Enforce", "True", "0"]


def test_an_object_that_the_schema_lets_through_is_refused_by_field_and_mended(running: Cluster):
    running.apply(policy("typo", when="instances.sik > 0"))
    state, message, generation = until(lambda: (found := ready(running, "typo"))[0] == "False" and found, "refused")
    assert "spec.when:1:1: unknown column `instances.sik`" in message
    assert "did you mean `instances.sick`" in message
    assert "stays in force" not in message
    assert (state, generation) == ("False", 1)
    running.apply(policy("typo"))
    until(lambda: ready(running, "typo")[0] == "True", "mended")


def test_of_an_object_that_becomes_wrong_the_last_good_one_stays(running: Cluster):
    running.apply(policy("spoilt"))
    until(lambda: ready(running, "spoilt")[0] == "True", "in force")
    before = status(running, "spoilt")["hash"]
    running.apply(policy("spoilt", when="nonsense"))
    until(lambda: ready(running, "spoilt")[0] == "False", "refused")
    assert ready(running, "spoilt")[1].endswith("The last good one stays in force.")
    assert status(running, "spoilt")["hash"] == before != ""


def test_what_is_wrong_is_seen_under_observe_and_counted_and_nothing_is_done(running: Cluster):
    running.apply(workload("shop", "loud"))
    until(
        lambda: running.get("/apis/apps/v1/namespaces/shop/deployments/loud")["status"].get("readyReplicas") == 2, "up"
    )
    running.apply(policy("watch", targets={"names": ["loud"]}))
    until(lambda: ready(running, "watch")[0] == "True", "in force")
    (first, *_) = running.get("/api/v1/namespaces/shop/pods?labelSelector=app%3Dloud")["items"]
    running.kubectl("set", "image", f"pod/{first['metadata']['name']}", "app=registry.test/loud:crash", "-n", "shop")
    until(lambda: episodes(running, "watch"), "an Episode")
    until(lambda: status(running, "watch").get("open") == 1, "it is counted")
    (found,) = episodes(running, "watch")
    assert found["target"] == "Deployment/loud"
    assert found["held"]
    until(lambda: any(reason.startswith("Held") for reason in events(running, "loud")), "an Event says why not")
    until(lambda: status(running, "watch")["held"], "held by reason")
    running.kubectl("delete", "rmp", "watch", "-n", "shop")
    until(lambda: episodes(running, "watch")[0].get("result") == "Dropped", "its episode ends with its policy")


def test_under_enforce_a_sick_pod_is_evicted_and_that_it_helped_is_said(running: Cluster):
    running.apply(workload("shop", "cart"))
    until(
        lambda: running.get("/apis/apps/v1/namespaces/shop/deployments/cart")["status"].get("readyReplicas") == 2, "up"
    )
    how = {"mode": "Enforce", "minConfidencePercent": 10, "verify": {"initialDelay": "1s", "within": "1m"}}
    running.apply(policy("heal", targets={"names": ["cart"]}, **how))
    until(lambda: ready(running, "heal")[0] == "True", "in force")
    (first, *_) = running.get("/api/v1/namespaces/shop/pods?labelSelector=app%3Dcart")["items"]
    sick = first["metadata"]["name"]
    running.kubectl("set", "image", f"pod/{sick}", "app=registry.test/cart:crash", "-n", "shop")
    until(lambda: status(running, "heal").get("healed") == 1, "healed")
    until(lambda: running.call("GET", f"/api/v1/namespaces/shop/pods/{sick}")[0] == 404, "it is gone")
    found = until(lambda: {"Do", "Verified", "Healed"} <= (e := events(running, "cart")).keys() and e, "Events")
    assert "Do Restart on shop/cart" in found["Do"]
    assert "[policy shop/heal]" in found["Do"]
    until(
        lambda: [one.get("result") for one in episodes(running, "heal")] == ["Healed"], "the Episode says how it ended"
    )


def test_nothing_else_was_ever_written_by_the_account(running: Cluster):
    """P24: what the API server's own audit log says of the controller's account."""
    ours = {"remediationpolicies/status", "clusterremediationpolicies/status", "episodes", "episodes/status", "events"}
    found = running.audit(user=ACCOUNT)
    assert len(found) > 10
    touched = set()
    for entry in found:
        what = entry["objectRef"]
        name = "/".join(filter(None, (what["resource"], what.get("subresource"))))
        if name not in ours:
            assert re.fullmatch(r"\w{8}-i[0-9]+", entry["auditID"])  # the intent in our trail, and which trail
            touched.add((what["namespace"], name, entry["verb"]))
    assert touched == {("shop", "pods/eviction", "create")}


def test_a_right_that_is_missing_is_said_and_stops_nothing_else(own: Cluster, tmp_path: Path):
    role = "/apis/rbac.authorization.k8s.io/v1/clusterroles/gyrostat"
    rules = own.get(role)["rules"]
    fewer = [rule for rule in rules if "remediationpolicies/status" not in rule["resources"]]
    assert len(fewer) == len(rules) - 1
    own.do("PATCH", role, {"rules": fewer}, "application/merge-patch+json")
    own.apply(policy("unsaid", mode="Recommend"))
    with controller(own, tmp_path / "fewer") as process:
        log = tmp_path / "fewer" / "log"
        until(lambda: "needs the right to PATCH" in log.read_text(), "it says what it needs")
        until(lambda: "policy shop/unsaid in force" in log.read_text(), "the policy is in force all the same")
        assert process.poll() is None
        own.do("PATCH", role, {"rules": rules}, "application/merge-patch+json")
        until(lambda: ready(own, "unsaid")[0] == "True", "as soon as it may, it says so")
    own.kubectl("delete", "rmp", "--all", "-n", "shop")
