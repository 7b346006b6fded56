"""A cluster with the chart installed in it, and the controller run beside it under exactly the rights of its pod."""

import contextlib
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from controller.cluster.crds import PLURALS
from tests.controlplane.build import folder
from tests.controlplane.cluster import Cluster, kubeconfig, running
from tests.controlplane.workloads import workload

from .charts import CHART, NAMESPACE

ACCOUNT = f"system:serviceaccount:{NAMESPACE}:gyrostat"
API = "/apis/gyrostat.dev/v1alpha1"
WITHIN = 180.0
DISK = {
    "apiVersion": "v1",
    "kind": "PersistentVolume",
    "metadata": {"name": "disk"},
    "spec": {
        "capacity": {"storage": "2Gi"},
        "accessModes": ["ReadWriteOnce"],
        "hostPath": {"path": "/tmp/unused"},
        "storageClassName": "",
    },
}


def install(cluster: Cluster, verb: str, *values: str) -> str:
    sets = [word for value in values for word in ("--set", value)]
    if verb == "upgrade":
        sets.append("--force-conflicts")  # tests take rights away by hand, and Helm would leave those to them
    return cluster.helm(verb, "gyrostat", str(CHART), "-n", NAMESPACE, "--wait", "--timeout", "110s", *sets)


@contextlib.contextmanager
def with_chart(state: Path) -> Iterator[Cluster]:
    """A cluster of its own, for kinds belong to the whole of it; its namespace lets in restricted pods only."""
    with running(folder(), state) as cluster:
        for name in ("shop", "blog"):
            cluster.kubectl("create", "namespace", name)
            cluster.apply(workload(name, "checkout"))
        restricted = {"pod-security.kubernetes.io/enforce": "restricted"}
        cluster.do("POST", "/api/v1/namespaces", {"metadata": {"name": NAMESPACE, "labels": restricted}})
        cluster.apply(DISK)
        install(cluster, "install", "mayAct.shop={Restart,Scale}")
        kinds = [f"{API}/{plural}" for plural in PLURALS.values()]  # brand-new ones answer 429 for a moment
        cluster.until(lambda: all(cluster.call("GET", kind)[0] == 200 for kind in kinds), "the kinds are served")
        yield cluster


def token(cluster: Cluster) -> str:
    """That of the controller's own pod, as the kubelet would project it."""
    (pod,) = cluster.get(f"/api/v1/namespaces/{NAMESPACE}/pods?labelSelector=app.kubernetes.io/name=gyrostat")["items"]
    return cluster.bound_token(NAMESPACE, "gyrostat", pod["metadata"]["name"])


def may_evict(cluster: Cluster, namespace: str) -> bool:
    """Whether the API server would let the controller's account evict pods there."""
    asked = {"namespace": namespace, "verb": "create", "resource": "pods", "subresource": "eviction"}
    review = {"spec": {"user": ACCOUNT, "resourceAttributes": asked}}
    answer = cluster.do("POST", "/apis/authorization.k8s.io/v1/subjectaccessreviews", review)
    return bool(answer["status"]["allowed"])


@contextlib.contextmanager
def controller(cluster: Cluster, state: Path, **settings: str) -> Iterator["subprocess.Popen[bytes]"]:
    """A loop as the pod would run it; its log is in `state`/log."""
    state.mkdir(exist_ok=True)
    own = state / "own.kubeconfig"
    own.write_text(kubeconfig(cluster.server, cluster.ca, token(cluster)))
    given = {"kubernetes": str(own), "state": str(state / "state"), "warmup": "0", "otlp": "off", "interval": "0.5"}
    variables = {f"GYROSTAT_{name.upper()}": value for name, value in (given | settings).items()}
    with (state / "log").open("ab") as log:
        command = [str(Path(sys.executable).parent / "auto"), "loop"]
        process = subprocess.Popen(command, env=os.environ | variables, stdout=log, stderr=log)
        try:
            yield process
        finally:
            process.terminate()
            process.wait(timeout=30)


# --- policies as objects, and what the controller says of them


def path(kind: str, name: str = "", namespace: str = "shop") -> str:
    """Where objects of a kind of ours are, or one of them; `kind` in the plural."""
    return f"{API}/namespaces/{namespace}/{kind}" + (f"/{name}" if name else "")


def policy(name: str, namespace: str = "shop", **spec: Any) -> dict[str, Any]:
    base: dict[str, Any] = {"targets": {"names": ["nobody"]}, "when": "instances.sick > 0", "for": "1s"}
    base["action"] = {"type": "Restart"}
    metadata = {"name": name, "namespace": namespace}
    kind = {"apiVersion": "gyrostat.dev/v1alpha1", "kind": "RemediationPolicy"}
    if "actions" in spec:
        del base["action"]
    return {**kind, "metadata": metadata, "spec": base | spec}


def until(condition: Callable[[], Any], what: str) -> Any:
    deadline = time.monotonic() + WITHIN
    while not (found := condition()):
        assert time.monotonic() < deadline, what
        time.sleep(0.2)
    return found


def status(cluster: Cluster, name: str, namespace: str = "shop") -> dict[str, Any]:
    return dict(cluster.get(path("remediationpolicies", name, namespace)).get("status", {}))


def ready(cluster: Cluster, name: str, namespace: str = "shop") -> tuple[str, str, int]:
    """Status, message and generation of the condition."""
    conditions = status(cluster, name, namespace).get("conditions", [{}])
    found = conditions[0]
    return found.get("status", ""), found.get("message", ""), found.get("observedGeneration", 0)


def episodes(cluster: Cluster, name: str, namespace: str = "shop") -> list[dict[str, Any]]:
    """The status of each Episode of a policy."""
    found = [one.get("status", {}) for one in cluster.get(path("episodes", namespace=namespace))["items"]]
    return [one for one in found if one.get("policy") == f"{namespace}/{name}"]


def events(cluster: Cluster, target: str, namespace: str = "shop") -> dict[str, str]:
    """Notes by reason of the Events of ours on a workload."""
    found = cluster.get(f"/apis/events.k8s.io/v1/namespaces/{namespace}/events")["items"]
    ours = [one for one in found if one.get("reportingController") == "gyrostat.dev/controller"]
    return {one["reason"]: one["note"] for one in ours if one["regarding"]["name"] == target}
