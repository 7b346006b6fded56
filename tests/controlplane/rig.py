"""Workloads of a real cluster, as the contract of platforms wants them: `checkout` of two pods, `guarded` of one."""

from actions import health_check, restart
from actions.platforms.kubernetes.platform import PLATFORM, KubernetesPlatform
from actions.scale import PATH as DESIRED
from telemetry.inventory import Facts, Instance
from telemetry.sources.kubernetes.access import Access
from telemetry.sources.kubernetes.client import Client
from telemetry.target import Target

from .cluster import MERGE, Cluster
from .workloads import path, workload

NOON = 1_795_348_800.0  # 2026-11-22T12:00:00Z


def access(cluster: Cluster, token: str = "", server: str = "") -> Access:
    """The administrator's way to a cluster, or that of another token, or through a proxy."""
    return Access(server or cluster.server, lambda: f"Bearer {token or cluster.token}", ca_file=str(cluster.ca))


def platform(cluster: Cluster, timeout: float = 10.0, **given) -> KubernetesPlatform:
    """The platform in the administrator's hands."""
    return KubernetesPlatform(Client(access(cluster), timeout), lambda: NOON, **given)


class KubernetesRig:
    """One kind of workload in a namespace of its own."""

    writes = True

    def __init__(self, cluster: Cluster, namespace: str, kind: str):
        self.cluster, self.namespace, self.kind = cluster, namespace, kind
        self.platform = platform(cluster, trail=f"{namespace}-")
        self._seen: dict[str, int] = {}  # pods in the order in which they came
        guarded = workload(namespace, "guarded", kind=kind, replicas=1, **{"gyrostat.dev/disabled": "the database"})
        cluster.apply(guarded)
        self._create()

    def _create(self):
        bounds = {"gyrostat.dev/min-replicas": "1", "gyrostat.dev/max-replicas": "6"}
        self.cluster.apply(workload(self.namespace, "checkout", kind=self.kind, **bounds))
        self.target, self.guarded = self.find("checkout"), self.find("guarded")
        self.settle()

    def find(self, name):
        found = self.cluster.get(path(self.kind, self.namespace, name))
        return Target(PLATFORM, self.kind, self.namespace, name, found["metadata"]["uid"])

    def pods(self, name="checkout"):
        """Those that are there to stay, in the order in which they came."""
        found = self.cluster.get(path("Pod", self.namespace) + f"?labelSelector=app%3D{name}")["items"]
        found.sort(key=lambda pod: (pod["metadata"]["creationTimestamp"], pod["metadata"]["name"]))
        for pod in found:
            self._seen.setdefault(pod["metadata"]["uid"], len(self._seen))
        staying = [pod for pod in found if "deletionTimestamp" not in pod["metadata"]]
        return sorted(staying, key=lambda pod: self._seen[pod["metadata"]["uid"]])

    def facts(self, target=None):
        target = target or self.target
        found = self.cluster.get(path(self.kind, self.namespace, target.name))
        annotations, desired = found["metadata"]["annotations"], found["spec"]["replicas"]
        instances, fields = [], {DESIRED: desired}
        for pod in self.pods(target.name):
            name, uid = pod["metadata"]["name"], pod["metadata"]["uid"]
            ready = any(c["type"] == "Ready" and c["status"] == "True" for c in pod["status"].get("conditions", []))
            instances.append(Instance(name, uid, ready))
            fields |= {restart.path(name): uid, health_check.path(name): int(ready)}
        return Facts(
            seen_at=NOON,
            desired=desired,
            ready=sum(instance.ready for instance in instances),
            minimum=1,
            maximum=6,
            fields=fields,
            instances=tuple(instances),
            protected=annotations.get("gyrostat.dev/disabled", ""),
        )

    def other_writer(self, desired):
        where = path(self.kind, self.namespace, "checkout")
        self.cluster.do("PATCH", f"{where}/scale", {"spec": {"replicas": desired}}, MERGE)

    def recreate(self):
        self.cluster.kubectl("delete", self.kind, "checkout", "-n", self.namespace, "--wait", "--cascade=foreground")
        self._create()

    def settle(self):
        """All that is wanted is there and ready, and nothing else."""

        def settled():
            found = self.cluster.get(path(self.kind, self.namespace, "checkout"))
            every = self.cluster.get(path("Pod", self.namespace) + "?labelSelector=app%3Dcheckout")["items"]
            ready = [i for i in self.facts().instances if i.ready]
            seen = found["status"].get("observedGeneration") == found["metadata"]["generation"]
            return seen and len(every) == len(ready) == found["spec"]["replicas"]

        self.cluster.until(settled, f"all pods of checkout in {self.namespace}")

    def unreachable(self):
        access = Access("https://127.0.0.1:1", ca_file=str(self.cluster.ca))
        return KubernetesPlatform(Client(access, 2.0), lambda: NOON)

    def close(self):
        pass
