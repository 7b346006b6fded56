"""The control plane is real: what tests of the operator rely on is done by Kubernetes itself."""

import pytest

from .cluster import MERGE, STRATEGIC
from .workloads import autoscaler, budget, path, workload


def pods(cluster, namespace, name="checkout"):
    found = cluster.get(path("Pod", namespace) + f"?labelSelector=app%3D{name}")["items"]
    return sorted(found, key=lambda pod: (pod["metadata"]["creationTimestamp"], pod["metadata"]["name"]))


def container(pod):
    return next(iter(pod["status"].get("containerStatuses", [])), {})


def waiting(pod):
    return container(pod).get("state", {}).get("waiting", {}).get("reason")


def condition(cluster, namespace, kind, name="checkout"):
    """The status and reason of one condition of a Deployment."""
    found = cluster.get(path("Deployment", namespace, name))["status"].get("conditions", [])
    return next(((each["status"], each["reason"]) for each in found if each["type"] == kind), None)


def available(cluster, namespace, name="checkout", count=2):
    def ready():
        deployment = cluster.get(path("Deployment", namespace, name))
        status = deployment["status"]
        seen = status.get("observedGeneration") == deployment["metadata"]["generation"]
        counts = {status.get(f"{which}Replicas", 0) for which in ("available", "updated")} | {status.get("replicas", 0)}
        return seen and counts == {count}

    cluster.until(ready, f"{count} available pods of {name}")


@pytest.fixture
def checkout(cluster, namespace):
    """A Deployment of two ready pods."""
    cluster.apply(workload(namespace, "checkout"))
    available(cluster, namespace)
    return path("Deployment", namespace, "checkout")


def set_image(cluster, namespace, tag, what="deployment/checkout"):
    cluster.kubectl("set", "image", what, f"app=registry.test/checkout:{tag}", "-n", namespace)


def test_a_deployment_becomes_available_by_real_controllers(cluster, namespace, checkout):
    assert condition(cluster, namespace, "Available") == ("True", "MinimumReplicasAvailable")
    first, second = pods(cluster, namespace)
    assert first["spec"]["nodeName"]
    assert first["status"]["podIP"] != second["status"]["podIP"]
    sets = cluster.get(path("ReplicaSet", namespace))["items"]
    assert [owner["uid"] for owner in first["metadata"]["ownerReferences"]] == [sets[0]["metadata"]["uid"]]


@pytest.mark.parametrize(("tag", "reason", "code"), [("crash", "Error", 1), ("oom", "OOMKilled", 137)])
def test_a_container_that_falls_is_restarted_again_and_again(cluster, namespace, tag, reason, code):
    cluster.apply(workload(namespace, "checkout", tag, replicas=1))

    def restarted():
        found = [container(pod) for pod in pods(cluster, namespace) if waiting(pod) == "CrashLoopBackOff"]
        return [each for each in found if each["restartCount"] >= 2]

    (found,) = cluster.until(restarted, "a second restart")
    ended = found["lastState"]["terminated"]
    assert (ended["reason"], ended["exitCode"]) == (reason, code)
    assert found["ready"] is False
    assert condition(cluster, namespace, "Available")[0] == "False"


def test_a_rollout_that_never_gets_ready_is_stuck_and_keeps_the_old_pods(cluster, namespace, checkout):
    cluster.do("PATCH", checkout, {"spec": {"progressDeadlineSeconds": 2}}, MERGE)
    set_image(cluster, namespace, "never-ready")
    stuck = ("False", "ProgressDeadlineExceeded")
    cluster.until(lambda: condition(cluster, namespace, "Progressing") == stuck, "the progress deadline")
    assert cluster.get(checkout)["status"]["availableReplicas"] == 2
    assert cluster.get(checkout)["status"]["updatedReplicas"] == 1
    cluster.kubectl("rollout", "undo", "deployment/checkout", "-n", namespace)
    available(cluster, namespace)


def test_an_image_that_is_not_there_is_not_pulled(cluster, namespace, checkout):
    set_image(cluster, namespace, "missing")
    cluster.until(lambda: "ImagePullBackOff" in map(waiting, pods(cluster, namespace)), "a failed pull")
    set_image(cluster, namespace, "2")
    available(cluster, namespace)


def test_a_slow_start_is_ready_in_its_own_time(cluster, namespace):
    slow = workload(namespace, "checkout", "slow", replicas=1)
    slow["spec"]["template"]["spec"]["containers"][0]["env"] = [{"name": "START_AFTER", "value": "3s"}]
    cluster.apply(slow)
    (pod,) = cluster.until(lambda: [p for p in pods(cluster, namespace) if container(p).get("started")], "a start")
    assert container(pod)["ready"] is False
    available(cluster, namespace, count=1)


def test_one_sick_pod_of_a_healthy_deployment_is_replaced_by_a_healthy_one(cluster, namespace, checkout):
    sick, other = (pod["metadata"]["name"] for pod in pods(cluster, namespace))
    set_image(cluster, namespace, "crash", f"pod/{sick}")
    cluster.until(lambda: "CrashLoopBackOff" in map(waiting, pods(cluster, namespace)), "a crash loop")
    cluster.kubectl("delete", "pod", sick, "-n", namespace)
    available(cluster, namespace)
    names = {pod["metadata"]["name"] for pod in pods(cluster, namespace)}
    assert other in names
    assert sick not in names


def test_a_budget_without_room_refuses_an_eviction(cluster, namespace, checkout):
    cluster.apply(budget(namespace, "checkout", minAvailable=2))
    of = path("PodDisruptionBudget", namespace, "checkout")
    cluster.until(lambda: cluster.get(of).get("status", {}).get("currentHealthy") == 2, "the budget's count")
    name = pods(cluster, namespace)[0]["metadata"]["name"]
    eviction = {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": name}}
    status, answer = cluster.call("POST", path("Pod", namespace, name) + "/eviction", eviction)
    assert (status, answer["details"]["causes"][0]["reason"]) == (429, "DisruptionBudget")
    cluster.do("PATCH", of, {"spec": {"minAvailable": 1}}, MERGE)
    cluster.until(lambda: cluster.get(of)["status"]["disruptionsAllowed"] == 1, "room")
    assert cluster.call("POST", path("Pod", namespace, name) + "/eviction", eviction)[0] == 201
    cluster.until(lambda: name not in {pod["metadata"]["name"] for pod in pods(cluster, namespace)}, "its end")
    available(cluster, namespace)


def test_an_autoscaler_owns_the_number_between_its_bounds(cluster, namespace, checkout):
    cluster.apply(autoscaler(namespace, "checkout", 3, 5))
    available(cluster, namespace, count=3)
    cluster.do("PATCH", f"{checkout}/scale", {"spec": {"replicas": 9}}, MERGE)
    available(cluster, namespace, count=5)


def test_a_stateful_set_and_a_daemon_set_have_their_pods(cluster, namespace):
    cluster.apply(workload(namespace, "db", kind="StatefulSet"), workload(namespace, "agent", kind="DaemonSet"))
    cluster.kubectl("rollout", "status", "statefulset/db", "-n", namespace, "--timeout=60s")
    cluster.kubectl("rollout", "status", "daemonset/agent", "-n", namespace, "--timeout=60s")
    assert [pod["metadata"]["name"] for pod in pods(cluster, namespace, "db")] == ["db-0", "db-1"]
    nodes = {pod["spec"]["nodeName"] for pod in pods(cluster, namespace, "agent")}
    assert nodes == {node["metadata"]["name"] for node in cluster.get("/api/v1/nodes")["items"]}


def test_what_belongs_to_a_deleted_object_is_collected(cluster, namespace, checkout):
    cluster.do("DELETE", checkout)
    cluster.until(lambda: not cluster.get(path("ReplicaSet", namespace))["items"], "no ReplicaSet")
    cluster.until(lambda: not pods(cluster, namespace), "no pod")


def test_a_pod_that_is_not_restarted_succeeds(cluster, namespace):
    spec = {"restartPolicy": "Never", "containers": [{"name": "app", "image": "registry.test/hook:1"}]}
    cluster.do("POST", path("Pod", namespace), {"metadata": {"name": "hook"}, "spec": spec})
    cluster.until(lambda: cluster.get(path("Pod", namespace, "hook"))["status"]["phase"] == "Succeeded", "its end")


def test_every_write_is_in_the_audit_log_with_the_id_its_writer_gave(cluster, namespace, checkout):
    status, _ = cluster.call("PATCH", f"{checkout}/scale", {"spec": {"replicas": 3}}, MERGE, Audit_ID="intent-4711")
    assert status == 200
    (entry,) = cluster.audit(id="intent-4711")
    assert (entry["user"]["username"], entry["responseStatus"]["code"]) == ("admin", 200)
    assert entry["requestObject"] == {"spec": {"replicas": 3}}
    assert cluster.audit(namespace=namespace, user="system:serviceaccount:kube-system:deployment-controller")


def test_rights_are_those_of_roles_and_a_token_is_bound_to_its_pod(cluster, namespace, checkout):
    pod = pods(cluster, namespace)[0]["metadata"]["name"]
    token = cluster.bound_token(namespace, "default", pod)
    assert cluster.call("GET", checkout, token=token)[0] == 403
    here = ["-n", namespace, "reader"]
    cluster.kubectl("create", "role", *here, "--verb=get", "--resource=deployments.apps")
    cluster.kubectl("create", "rolebinding", *here, "--role=reader", f"--serviceaccount={namespace}:default")
    cluster.until(lambda: cluster.call("GET", checkout, token=token)[0] == 200, "the right to read")
    assert cluster.call("PATCH", checkout, {"metadata": {"labels": {"a": "b"}}}, STRATEGIC, token=token)[0] == 403
    review = {"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"}
    status, answer = cluster.call("POST", "/apis/authentication.k8s.io/v1/selfsubjectreviews", review, token=token)
    assert status == 201
    assert answer["status"]["userInfo"]["extra"]["authentication.kubernetes.io/pod-name"] == [pod]


def test_helm_installs_and_removes_a_chart(cluster, namespace, tmp_path):
    cluster.helm("create", str(tmp_path / "shop"))
    cluster.helm("install", "shop", str(tmp_path / "shop"), "-n", namespace, "--wait", "--timeout=60s")
    assert cluster.get(path("Deployment", namespace, "shop"))["status"]["availableReplicas"] == 1
    cluster.helm("uninstall", "shop", "-n", namespace, "--wait")
    assert cluster.call("GET", path("Deployment", namespace, "shop"))[0] == 404
