"""`python -m tests.benchmarks.kubernetes [DEPLOYMENTS]`: a real API server with thousands of workloads, watched.

Four pods each, on simulated nodes. What watches is a process of its own, so that its memory and CPU are its own.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from statistics import quantiles
from typing import Any

import psutil

from telemetry.processor import Processor
from telemetry.sources.kubernetes.access import Access
from telemetry.sources.kubernetes.client import MERGE, Client, Write
from telemetry.sources.kubernetes.source import KubernetesSource
from tests.benchmarks.rows import Row, table
from tests.controlplane.build import build
from tests.controlplane.cluster import Cluster, running
from tests.controlplane.workloads import path, workload

PODS_EACH, SPACES = 4, 20
STEADY = 130.0  # seconds: two watches of a minute, and a bit
EVENTS = 30
MIB = 1 << 20


class Counting(Client):
    """Counts what is asked, by verb."""

    def __init__(self, access: Access) -> None:
        super().__init__(access, timeout=30.0)
        self.asked: Counter[str] = Counter()

    def read(self, path: str, kind: type[Any], query: Mapping[str, str] | None = None) -> Any:
        """One list, or a heartbeat."""
        self.asked["heartbeat" if path == "/version" else "usage" if "metrics" in path else "list"] += 1
        return super().read(path, kind, query)

    def watch(self, path: str, query: Mapping[str, str], idle: float) -> Any:
        """One watch."""
        self.asked["watch"] += 1
        return super().watch(path, query, idle)


def watch(server: str, ca: str, token: str, pods: int) -> None:
    """The process that watches: says what it measured, a line of JSON each; reads commands from its input."""
    process = psutil.Process()
    before, began, cpu = process.memory_info().rss, time.perf_counter(), time.process_time()
    client = Counting(Access(server, lambda: f"Bearer {token}", ca))
    source, processor = KubernetesSource(client), Processor()
    source.start()
    why = source.wait(300)
    listed = time.perf_counter() - began
    processor.ingest(source.read(time.time()))  # noqa: TID251
    seen = processor.snapshot(time.time())  # noqa: TID251
    whole, used = time.perf_counter() - began, time.process_time() - cpu
    ready = sum(facts.ready for facts in seen.facts.values())
    assert not why, why
    assert ready == pods, (ready, pods)
    rss = process.memory_info().rss
    say({"listed": listed, "whole": whole, "cpu": used, "rss": rss, "more": rss - before, "targets": len(seen.targets)})
    _steady(client, source, processor)
    _events(source)
    say({"rss": process.memory_info().rss})
    source.close()


def _steady(client: Counting, source: KubernetesSource, processor: Processor) -> None:
    """Nothing happens: what is asked in a minute, and what a reading each second costs."""
    asked, cpu, began, costs = Counter(client.asked), time.process_time(), time.perf_counter(), []
    while time.perf_counter() - began < STEADY:
        at = time.thread_time()
        processor.ingest(source.read(time.time()))  # noqa: TID251
        processor.snapshot(time.time())  # noqa: TID251
        costs.append(time.thread_time() - at)
        time.sleep(1.0)
    minutes = (time.perf_counter() - began) / 60
    per_minute = {verb: (count - asked[verb]) / minutes for verb, count in client.asked.items()}
    say({"minute": per_minute, "cpu": (time.process_time() - cpu) / (60 * minutes), "read": quantiles(costs, n=100)})


def _events(source: KubernetesSource) -> None:
    """Tell when a workload is seen to have another number of ready pods: `namespace name count` a line."""
    for line in sys.stdin:
        namespace, name, count = line.split()
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            facts = source.read(time.time()).facts  # noqa: TID251
            found = next((f for t, f in facts.items() if (t.namespace, t.name) == (namespace, name)), None)
            if found is not None and found.ready == int(count):
                break
        say({"seen": time.time()})  # noqa: TID251


def say(what: Mapping[str, Any]) -> None:
    """One line."""
    print(json.dumps(what), flush=True)


def fill(cluster: Cluster, deployments: int) -> None:
    """Create them with their pods, ready; the controllers are stopped, for they would take hours on a busy machine."""
    spaces = [f"bench-{number}" for number in range(SPACES)]
    for space in spaces:
        cluster.do("POST", "/api/v1/namespaces", {"metadata": {"name": space}})
    for space in spaces:
        account = f"/api/v1/namespaces/{space}/serviceaccounts/default"
        cluster.until(lambda account=account: cluster.call("GET", account)[0] == 200, account)
    for name in ("kwok", "kube-scheduler", "kube-controller-manager"):
        cluster.kill(name)
    client = Client(Access(cluster.server, lambda: f"Bearer {cluster.token}", str(cluster.ca)), timeout=60.0)
    done = 0
    with ThreadPoolExecutor(4) as pool:
        for _ in pool.map(lambda number: create(client, spaces[number % SPACES], f"web-{number}"), range(deployments)):
            done += 1
            if done % 100 == 0:
                print(f"{done} of {deployments}", file=sys.stderr, flush=True)


def create(client: Client, space: str, name: str) -> None:
    """A Deployment as its controllers and a kubelet would leave it."""
    made = workload(space, name, replicas=PODS_EACH)
    uid = _post(client, path("Deployment", space), made)
    counts = dict.fromkeys(("replicas", "updatedReplicas", "readyReplicas", "availableReplicas"), PODS_EACH)
    done = {"type": "Progressing", "status": "True", "reason": "NewReplicaSetAvailable"}
    status = {"observedGeneration": 1, "conditions": [done], **counts}
    _status(client, path("Deployment", space, name), status)
    template = made["spec"]["template"]
    owner = [{"apiVersion": "apps/v1", "kind": "Deployment", "name": name, "uid": uid, "controller": True}]
    head = {"name": f"{name}-1", "ownerReferences": owner}
    spec = {"replicas": PODS_EACH, "selector": made["spec"]["selector"], "template": template}
    made = {"apiVersion": "apps/v1", "kind": "ReplicaSet", "metadata": head, "spec": spec}
    uid = _post(client, path("ReplicaSet", space), made)
    owner = [{"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": f"{name}-1", "uid": uid, "controller": True}]
    for number in range(PODS_EACH):
        head = {"name": f"{name}-1-{number}", "labels": {"app": name}, "ownerReferences": owner}
        pod = {"metadata": head, "spec": template["spec"] | {"nodeName": f"node-{number % 3}"}}
        _post(client, path("Pod", space), pod)
        _status(client, path("Pod", space, head["name"]), pod_status(ready=True))


def pod_status(*, ready: bool) -> dict[str, Any]:
    """What a kubelet says of a pod."""
    at = datetime.fromtimestamp(int(time.time()), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")  # noqa: TID251
    state = {"running": {"startedAt": at}}
    container = {"name": "app", "image": "web:1", "imageID": "", "ready": ready, "started": True, "restartCount": 0}
    conditions = [{"type": "PodScheduled", "status": "True"}, {"type": "Ready", "status": str(ready)}]
    for each in conditions:
        each["lastTransitionTime"] = at
    return {
        "phase": "Running",
        "startTime": at,
        "conditions": conditions,
        "containerStatuses": [container | {"state": state}],
    }


def _post(client: Client, where: str, what: dict[str, Any]) -> str:
    answer = client.write(Write("POST", where, what))
    assert answer.ok, answer.body
    uid: str = json.loads(answer.body)["metadata"]["uid"]
    return uid


def _status(client: Client, where: str, status: dict[str, Any]) -> None:
    answer = client.write(Write("PATCH", f"{where}/status", {"status": status}, MERGE))
    assert answer.ok, answer.body


def latencies(cluster: Cluster, child: "subprocess.Popen[str]") -> Iterator[float]:
    """Seconds from the answer of a pod's patch to the reading that tells of it."""
    assert child.stdin is not None
    client = Client(Access(cluster.server, lambda: f"Bearer {cluster.token}", str(cluster.ca)), timeout=60.0)
    for number in range(EVENTS):
        space, name = f"bench-{number % SPACES}", f"web-{number}"
        for ready in (False, True):
            child.stdin.write(f"{space} {name} {PODS_EACH - 1 + ready}\n")
            child.stdin.flush()
            time.sleep(0.05)
            _status(client, path("Pod", space, f"{name}-1-0"), pod_status(ready=ready))
            answered = time.time()  # noqa: TID251
            yield max(0.0, _line(child)["seen"] - answered)


def _line(child: "subprocess.Popen[str]") -> Any:
    assert child.stdout is not None
    line = child.stdout.readline()
    assert line, "the process that watches ended"
    return json.loads(line)


def main(deployments: int) -> int:
    """Measure and print."""
    programs = build(lambda line: print(line, file=sys.stderr))
    with tempfile.TemporaryDirectory(prefix="gyrostat-bench-") as state, running(programs, Path(state)) as cluster:
        fill(cluster, deployments)
        pods = PODS_EACH * deployments
        words = [cluster.server, str(cluster.ca), cluster.token, str(pods)]
        command = [sys.executable, "-m", "tests.benchmarks.kubernetes", "watch", *words]
        child = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        try:
            sync, steady = _line(child), _line(child)
            late = sorted(latencies(cluster, child))
            assert child.stdin is not None
            child.stdin.close()
            end = _line(child)
        finally:
            child.kill()
            child.wait()
    what = f"{deployments:,} Deployments, {pods:,} pods"
    share = deployments / 5000
    minute = steady["minute"]
    rows = [
        Row(f"{what}: cold sync, to the first snapshot", sync["whole"], "s", must=10 * max(1.0, share)),
        Row("the same, CPU", sync["cpu"], "s"),
        Row("memory with all of it, after the events", end["rss"] / MIB, "MiB", must=250),
        Row("of that, what the cluster takes", sync["more"] / MIB, "MiB"),
        Row("steady: lists a minute", minute.get("list", 0.0), "1/min", must=0),
        Row("steady: watches a minute", minute.get("watch", 0.0), "1/min"),
        Row("steady: heartbeats a minute", minute.get("heartbeat", 0.0), "1/min"),
        Row("steady: share of a core, one reading and snapshot a second", steady["cpu"] * 100, "%"),
        Row("one reading and snapshot, CPU, median", steady["read"][49] * 1000, "ms"),
        Row("pod's event to reading, median", late[len(late) // 2] * 1000, "ms"),
        Row("pod's event to reading, 95th percentile", late[int(len(late) * 0.95)] * 1000, "ms"),
    ]
    print(f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}\n\n{table(rows)}")
    return int(any(row.met is False for row in rows))


if __name__ == "__main__":
    if sys.argv[1:2] == ["watch"]:
        watch(*sys.argv[2:5], int(sys.argv[5]))
    else:
        raise SystemExit(main(int(sys.argv[1]) if sys.argv[1:] else 2000))
