"""A cluster with the chart installed in it, and the controller run beside it under exactly the rights of its pod."""

import contextlib
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from controller.cluster.crds import PLURALS
from tests.controlplane.build import folder
from tests.controlplane.cluster import Cluster, kubeconfig, running
from tests.controlplane.workloads import workload

from .charts import CHART, NAMESPACE

ACCOUNT = f"system:serviceaccount:{NAMESPACE}:gyrostat"
API = "/apis/gyrostat.dev/v1alpha1"
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
