"""Where the demo of the operator plays: a cluster of its own, the chart in it, and the controller beside its pod."""

import contextlib
import os
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from controller.core.records import Intent, Outcome
from controller.demo.screen import WIDEST
from controller.demo.stage import BIN, Stage
from policies.library import __file__ as library
from telemetry.verdict import Verdict
from tests.helm.charts import CHART
from tests.helm.installed import ACCOUNT, DISK, controller, token
from tests.project.docs import ROOT, blocks

from .build import folder
from .cluster import Cluster, running
from .metrics import measured
from .workloads import path, workload

SHOP = "shop"
SEARCH_LIMIT = 500
"""Millicores that each pod of search may use."""
_OWN = {"remediationpolicies/status", "clusterremediationpolicies/status", "episodes", "episodes/status", "events"}
_ASKS = {"authentication.k8s.io", "authorization.k8s.io"}
"""Groups of questions that are sent like objects; nothing is kept of them."""
_POD = "authentication.kubernetes.io/pod-name"


@dataclass(frozen=True, slots=True)
class Write:
    """What the API server's audit log says of one request of the controller's account, its own objects left out.

    Attributes:
        id: the Audit-ID that came with it; its end is the intent's.
        pod: to which the token was bound.
        what: `create pods/eviction checkout-1`.
        code: that was answered.
        replicas: that a scale asked for; 0 for everything else.
    """

    id: str
    pod: str
    what: str
    code: int
    replicas: int

    @property
    def intent(self) -> str:
        """By its id in the trail."""
        return self.id.rpartition("-")[2]


class Load(dict[tuple[str, str], int]):
    """Millicores of whole workloads, which their ready pods share."""

    def __init__(self, cluster: Cluster) -> None:
        super().__init__()
        self._cluster = cluster

    def get(self, key: tuple[str, str], default: Any = 0) -> Any:
        """Of one pod of a workload."""
        if key not in self:
            return default
        status = self._cluster.get(path("Deployment", *key))["status"]
        return min(SEARCH_LIMIT, self[key] // max(1, status.get("readyReplicas", 0)))


class ClusterStage(Stage):
    """The folder, the cluster and the controller; `close` leaves nothing.

    Attributes:
        cluster: once started.
        load: what pods use.
        log, state: of the controller.
    """

    command_within = 180.0
    about = "a cluster of its own, thrown away at the end; every command is the real one"
    cluster: Cluster
    load: Load

    def __init__(self) -> None:
        super().__init__()
        self._open = contextlib.ExitStack()

    def open(self) -> None:
        """Make the folder: the chart, the shop and the policies as files."""
        self.folder = Path(tempfile.mkdtemp(prefix="gyrostat-demo-"))
        (self.folder / "helm").symlink_to(CHART)
        (self.folder / "cluster").mkdir()
        search = workload(SHOP, "search")
        resources = {"limits": {"cpu": f"{SEARCH_LIMIT}m"}}
        search["spec"]["template"]["spec"]["containers"][0]["resources"] = resources
        shop = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": SHOP}}
        self._write("shop", shop, workload(SHOP, "checkout", replicas=3), workload(SHOP, "payment"), search)
        self._write("sick", from_page())
        self._write("bad-revision", from_library("bad-revision", "payment"))
        quick = {"when": "cpu.ratio > 0.9 && !k8s.autoscaled", "verify": {"initialDelay": "1s", "within": "1m"}}
        self._write("overload", from_library("overload", "search", **quick))

    def _write(self, name: str, *objects: dict[str, Any]) -> None:
        (self.folder / f"{name}.yaml").write_text(yaml.safe_dump_all(objects, sort_keys=False))

    @property
    def state(self) -> Path:
        return self.folder / "controller" / "state"

    @property
    def log(self) -> Path:
        return self.folder / "controller" / "log"

    def environment(self) -> dict[str, str]:
        """The administrator's, with the programs of this cluster before those of the machine."""
        ours = {"PATH": f"{BIN}{os.pathsep}{folder()}{os.pathsep}{os.environ.get('PATH', os.defpath)}"}
        ours |= {
            "KUBECONFIG": str(self.folder / "cluster" / "admin.kubeconfig"),
            "GYROSTAT_STATE": str(self.state),
            "COLUMNS": str(WIDEST),
        }
        return super().environment() | ours

    def start_cluster(self) -> None:
        """The control plane, what pods use, and a disk for the trail."""
        state = self.folder / "cluster"
        self.cluster = self._open.enter_context(running(folder(), state))
        metrics = self._open.enter_context(measured(self.cluster, state))
        metrics.cpu = self.load = Load(self.cluster)
        self.cluster.apply(DISK)

    def start_controller(self) -> None:
        """A real one: kwok's pod of it is only a picture."""
        self.loop = self._open.enter_context(controller(self.cluster, self.folder / "controller"))

    def who(self) -> tuple[str, str]:
        """Account and pod of the controller's token, as the API server knows them."""
        asked = "/apis/authentication.k8s.io/v1/selfsubjectreviews"
        _, answer = self.cluster.call("POST", asked, {}, token=token(self.cluster))
        user = answer["status"]["userInfo"]
        return user["username"], user["extra"][_POD][0]

    def get(self, kind: str, name: str) -> dict[str, Any]:
        """An object of the shop."""
        return dict(self.cluster.get(path(kind, SHOP, name)))

    def pods(self, app: str) -> dict[str, tuple[str, bool]]:
        """Uid and readiness of each pod of a workload that is there to stay."""
        found = self.cluster.get(path("Pod", SHOP) + f"?labelSelector=app%3D{app}")["items"]
        staying = [pod for pod in found if "deletionTimestamp" not in pod["metadata"]]
        return {pod["metadata"]["name"]: (pod["metadata"]["uid"], _ready(pod)) for pod in staying}

    def crashing(self, pod: str) -> str | None:
        """What the cluster says of a pod in a crash loop; None while it is in none."""
        for state in self.get("Pod", pod)["status"].get("containerStatuses", []):
            if (reason := state["state"].get("waiting", {}).get("reason")) == "CrashLoopBackOff":
                return f"{reason}, restarts: {state['restartCount']}"
        return None

    def policy(self, name: str) -> dict[str, Any]:
        """The status of one."""
        at = f"/apis/gyrostat.dev/v1alpha1/namespaces/{SHOP}/remediationpolicies/{name}"
        return dict(self.cluster.get(at).get("status", {}))

    def written(self) -> list[Write]:
        """Everything that the account asked the API server to change, but for its own objects."""
        entries = self.cluster.audit(user=ACCOUNT)
        return [_write(e) for e in entries if _resource(e) not in _OWN and e["objectRef"].get("apiGroup") not in _ASKS]

    def intents(self) -> list[str]:
        """By the trail: what was written to the cluster, in order."""
        records = [record for _, record in self.records()]
        known = {record.number: record for record in records if isinstance(record, Intent)}
        done = [record.number for record in records if isinstance(record, Outcome) and record.result is Verdict.PASS]
        return [known[number].id for number in done if known[number].changes]

    def close(self, *, keep: bool) -> None:
        """End everything, newest first, whatever became of it."""
        with contextlib.suppress(Exception):  # what could not be tidied up ends with the cluster, or with us
            self._open.close()
        super().close(keep=keep)


def _ready(pod: dict[str, Any]) -> bool:
    return any(c["type"] == "Ready" and c["status"] == "True" for c in pod["status"].get("conditions", []))


def _resource(entry: dict[str, Any]) -> str:
    found = entry["objectRef"]
    return "/".join(filter(None, (found["resource"], found.get("subresource"))))


def _write(entry: dict[str, Any]) -> Write:
    pod = entry["user"].get("extra", {}).get(_POD, [""])[0]
    what = f"{entry['verb']} {_resource(entry)} {entry['objectRef'].get('name', '')}"
    replicas = entry.get("requestObject", {}).get("spec", {}).get("replicas", 0)
    return Write(entry["auditID"], pod, what, entry["responseStatus"]["code"], replicas)


def from_page() -> dict[str, Any]:
    """The policy of docs/kubernetes.md, after seconds instead of a minute."""
    (made,) = [yaml.safe_load(b.text) for b in blocks(ROOT / "docs" / "kubernetes.md") if b.language == "yaml"]
    made["spec"] |= {"for": "8s", "verify": {"initialDelay": "1s", "within": "1m"}}
    return dict(made)


def from_library(name: str, target: str, **spec: Any) -> dict[str, Any]:
    """One of the library, for one workload of the shop; it may act, and after seconds."""
    made = yaml.safe_load((Path(library).parent / f"{name}.yaml").read_text())
    made["kind"], made["metadata"]["namespace"] = "RemediationPolicy", SHOP
    made["spec"] |= {"mode": "Enforce", "targets": {"names": [target]}, "for": "3s", "minConfidencePercent": 40, **spec}
    if "scale" in made["spec"]["action"]:
        made["spec"]["action"]["hold"] = "5s"
    return dict(made)
