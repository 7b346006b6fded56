"""F29: each right to write that the chart grants is taken away in turn: it is named, nothing else stops, it comes back.

What an action lacks the right for is held before an intent is written, and the API server is not asked again and again.
"""

import contextlib
import itertools
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from controller.core.records import Held, Outcome
from telemetry.sources.kubernetes.rights import Right, review
from telemetry.verdict import Verdict
from tests.controlplane.cluster import MERGE, Cluster
from tests.controlplane.workloads import autoscaler, path, workload

from .books import at, read, trail
from .charts import objects
from .installed import ACCOUNT, API, controller, events, policy, ready, token, until
from .installed import path as ours
from .market import fall

SHOP = "shop"
VALUES: dict[str, Any] = {"mayAct": {SHOP: ["Restart", "Scale"]}}
READ = {"get", "list", "watch"}
SETTINGS = {"interval": "0.2", "max_concurrent": "20", "storm_targets": "1000", "namespaces": SHOP}
ALL = {"type": "Restart", "restart": {"instances": "All"}}
UP = {"when": "replicas.desired < 3 && probe.ok", "action": {"type": "Scale", "scale": {"by": "+1"}}}
ROOM = {"cooldown": "1s", "maxUnavailable": "100%"}
SOON = {"initialDelay": "1s", "within": "1m"}
ACTS: dict[tuple[str, str], tuple[str, str, dict[str, Any]]] = {
    ("create", "pods/eviction"): ("evicted", "Deployment", {"action": {"type": "Restart"}}),
    ("delete", "pods"): ("killed", "Deployment", {"action": {"type": "Restart", "restart": {"how": "Forceful"}}}),
    ("patch", "deployments"): ("rolled", "Deployment", {"action": ALL}),
    ("patch", "statefulsets"): ("rolled-set", "StatefulSet", {"action": ALL}),
    ("patch", "daemonsets"): ("rolled-daemon", "DaemonSet", {"action": ALL}),
    ("patch", "deployments/scale"): ("scaled", "Deployment", UP),
    ("patch", "statefulsets/scale"): ("scaled-set", "StatefulSet", UP),
    ("patch", "horizontalpodautoscalers"): ("raised", "Deployment", UP),
}
"""The rights that change targets: a workload for each, and what a policy does with it."""


@dataclass(frozen=True)
class Granted:
    """One right as the chart grants it, and in which role."""

    role: str
    group: str
    resource: str
    verb: str

    @property
    def where(self) -> str:
        return "" if self.resource.startswith("cluster") else SHOP

    @property
    def right(self) -> Right:
        return Right(self.verb, self.group, self.resource, self.where)


def writes() -> list[Granted]:
    """Every right in the rendered roles that is not only to read."""
    found = []
    for role in objects(VALUES):
        if role["kind"] in ("Role", "ClusterRole"):
            space = f"/namespaces/{role['metadata']['namespace']}" if role["kind"] == "Role" else ""
            where = f"/apis/rbac.authorization.k8s.io/v1{space}/{role['kind'].lower()}s/{role['metadata']['name']}"
            for rule in role["rules"]:
                parts = itertools.product(rule["apiGroups"], rule["resources"], sorted(set(rule["verbs"]) - READ))
                found += [Granted(where, *part) for part in parts]
    return found


@dataclass
class Shop:
    """The loop, and what it is told.

    Attributes:
        since: epoch seconds of its start.
    """

    cluster: Cluster
    process: "subprocess.Popen[bytes]"
    folder: Path
    since: float = field(default_factory=time.time)  # noqa: TID251
    numbers: Iterator[int] = field(default_factory=itertools.count)

    def log(self) -> str:
        return (self.folder / "log").read_text()

    def records(self, app: str) -> list[Any]:
        found = trail(self.folder / "state")[1]
        return [r for r in found if isinstance(r, Held | Outcome) and r.key.target.name == app]

    def canary(self) -> str:
        """A policy that watches what is always ill: it is in force, has an episode, an Event and a status."""
        name = f"canary-{next(self.numbers)}"
        self.cluster.apply(policy(name, targets={"names": ["ill"]}, throttle={"cooldown": "1s"}))
        until(lambda: f"policy shop/{name} in force" in self.log(), f"{name} is in force")
        return name

    def shown(self, name: str) -> bool:
        """Whether everything that is to be said of a canary is said."""
        found = self.cluster.get(ours("episodes"))["items"]
        mine = [one for one in found if one.get("status", {}).get("policy") == f"shop/{name}"]
        notes = self.cluster.get("/apis/events.k8s.io/v1/namespaces/shop/events")["items"]
        said = [one for one in notes if f"[policy shop/{name}]" in one.get("note", "")]
        return bool(mine) and bool(said) and ready(self.cluster, name)[0] == "True"

    def forbidden(self, granted: Granted) -> int:
        """How often the API server said no to our account, about this right."""
        log = self.cluster.audit(user=ACCOUNT)
        mine = [e for e in log if at(e) > self.since and e["responseStatus"]["code"] == 403]
        resource, _, sub = granted.resource.partition("/")
        refs = [(e["verb"], e["objectRef"]["resource"], e["objectRef"].get("subresource", "")) for e in mine]
        return refs.count((granted.verb, resource, sub))

    @contextlib.contextmanager
    def without(self, granted: Granted) -> Iterator[None]:
        """The right is taken away, and only it; and given back."""
        rules = self.cluster.get(granted.role)["rules"]
        fewer = [
            {**rule, "verbs": [verb for verb in rule["verbs"] if verb != granted.verb]}
            if granted.resource in rule["resources"] and granted.group in rule["apiGroups"]
            else rule
            for rule in rules
        ]
        assert fewer != rules
        self.cluster.do("PATCH", granted.role, {"rules": [rule for rule in fewer if rule["verbs"]]}, MERGE)
        until(lambda: not self.may(granted), "it is taken away")
        try:
            yield
        finally:
            self.cluster.do("PATCH", granted.role, {"rules": rules}, MERGE)

    def may(self, granted: Granted) -> bool:
        asked = review(granted.right)
        answer = self.cluster.call("POST", asked.path, asked.body, token=token(self.cluster))
        return bool(answer[1]["status"]["allowed"])


@pytest.fixture(scope="module")
def shop(own: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    folder = tmp_path_factory.mktemp("rights")
    made = [workload(SHOP, app, kind=kind) for app, kind, _ in ACTS.values()]
    own.apply(*made, workload(SHOP, "ill"), autoscaler(SHOP, "raised", 2, 5))
    for each in made:
        where = path(each["kind"], SHOP, each["metadata"]["name"])
        until(lambda where=where: settled(own.get(where)["status"]), f"{where} is up")
    for app in ("ill", *(app for app, _, spec in ACTS.values() if spec is not UP)):
        assert fall(own, app, namespace=SHOP)
    with controller(own, folder, **SETTINGS) as process:
        running = Shop(own, process, folder)
        running.canary()
        yield running
        for kind in ("rmp", "crmp"):
            own.kubectl("delete", kind, "--all", *(["-n", SHOP] if kind == "rmp" else []))
        for each in [*made, workload(SHOP, "ill")]:
            own.kubectl("delete", each["kind"].lower(), each["metadata"]["name"], "-n", SHOP)
        own.kubectl("delete", "hpa", "raised", "-n", SHOP)


def settled(status: dict[str, Any]) -> bool:
    return int(status.get("readyReplicas", status.get("numberReady", 0))) >= 2


def test_the_table_names_every_right_that_changes_a_target():
    found = {(g.verb, g.resource) for g in writes() if "gyrostat.dev" not in g.group and g.group != "events.k8s.io"}
    assert found == ACTS.keys()
    assert len(writes()) == len(ACTS) + 6


@pytest.mark.parametrize(
    "granted", [g for g in writes() if (g.verb, g.resource) in ACTS], ids=lambda g: f"{g.verb}-{g.resource}"
)
def test_an_action_without_its_right_is_held_with_the_right_it_lacks(shop: Shop, granted: Granted):
    app, kind, spec = ACTS[granted.verb, granted.resource]
    spec |= {"mode": "Enforce", "minConfidencePercent": 10, "verify": SOON, "throttle": ROOM}
    with shop.without(granted):
        shop.cluster.apply(policy(app, targets={"names": [app], "kinds": [kind]}, **spec))
        needs = f"needs {granted.right}"
        until(lambda: [r for r in shop.records(app) if isinstance(r, Held) and r.detail == needs], needs)
        refused = [r for r in shop.records(app) if isinstance(r, Outcome)]
        assert [r.result for r in refused] == [Verdict.FAIL]  # once: then it is known
        assert refused[0].detail.endswith(f", forbidden: {needs}")
        until(lambda: events(shop.cluster, app).get("HeldForbidden", "").find(needs) > 0, "an Event says it")
        shop.canary()  # everything else goes on
        assert shop.forbidden(granted) == 1
        assert len([r for r in shop.records(app) if isinstance(r, Outcome)]) == 1
    until(lambda: [r for r in shop.records(app) if isinstance(r, Outcome) and r.result is Verdict.PASS], "it acts")
    assert shop.process.poll() is None


@pytest.mark.parametrize(
    "granted", [g for g in writes() if (g.verb, g.resource) not in ACTS], ids=lambda g: f"{g.verb}-{g.resource}"
)
def test_what_cannot_be_said_is_told_in_the_log_and_said_as_soon_as_it_may_be(shop: Shop, granted: Granted):
    with shop.without(granted):
        first = shop.canary()
        wide = policy("wide", targets={"names": ["nobody"]}) | {"kind": "ClusterRemediationPolicy"}
        shop.cluster.apply(wide | {"metadata": {"name": f"wide-{first}"}})
        stale = {"apiVersion": "gyrostat.dev/v1alpha1", "kind": "Episode", "metadata": {"name": f"of-the-past-{first}"}}
        shop.cluster.do("POST", ours("episodes"), stale)
        until(lambda: f"forbidden: needs {granted.right}" in shop.log(), f"it says that it needs {granted.right}")
        assert shop.forbidden(granted) == 1
    later = list[str]()  # it is noticed within seconds; what happened before that is in the trail, and has no Event

    def said() -> bool:
        later.append(shop.canary())
        return any(shop.shown(name) for name in later)

    until(said, "all is said again")
    crmp = f"{API}/clusterremediationpolicies/wide-{first}"
    until(lambda: shop.cluster.get(crmp).get("status", {}).get("conditions"), "of a policy of the whole cluster too")
    until(lambda: shop.cluster.call("GET", ours("episodes", f"of-the-past-{first}"))[0] == 404, "the past is deleted")
    assert shop.process.poll() is None


def test_the_books_agree_but_for_what_was_forbidden(shop: Shop):
    found = read(shop.cluster, shop.folder / "state", VALUES, SHOP, shop.since).findings()
    assert [finding for finding in found if not finding.endswith(": forbidden")] == []
    assert len(found) == len(writes())
