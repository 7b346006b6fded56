"""`make demo-kubernetes`: the operator on a real control plane, which is broken for real and healed while you watch.

Every command is a real one; every line with a tick is checked against the cluster: its objects, and the API server's
own audit log, which the controller can not write.
"""

import shutil
import sys
import time

from actions.reason import Reason
from controller.core.records import AnyRecord, Closed, Held, Passed, Result
from controller.demo.play import play
from controller.demo.screen import WIDEST, Screen
from controller.demo.steps import healed
from controller.demo.walk import FailedError, Walk
from tests.helm.installed import ACCOUNT, may_evict

from .build import BuildError, build, missing
from .demo_stage import SEARCH_LIMIT, SHOP, ClusterStage, Write

TITLE = "Gyrostat in a cluster: a real control plane, its workloads broken and healed while you watch"
TOOLS = {"openssl": "openssl", "setpriv": "util-linux"}
"""Programs that the control plane needs, and the packages that have them."""
WITHIN = 120.0  # seconds for anything: a busy machine has patience
CHECKOUT, PAYMENT, SEARCH = f"{SHOP}/checkout", f"{SHOP}/payment", f"{SHOP}/search"
SICK, REVISION, OVERLOAD = f"{SHOP}/sick", f"{SHOP}/bad-revision", f"{SHOP}/overload"
EVICT = ("kubectl", "auth", "can-i", "create", "pods", "--subresource=eviction", "-n", SHOP, "--as", ACCOUNT)
RUSH, QUIET = 960, 100
"""Millicores that all pods of search use together when they are overloaded, and when they are not."""


def main() -> int:
    """Build what is not there yet, then play.

    Returns:
        0 if everything that was said really happened, 1 if something did not, 2 if a program is missing, 128 + signal.
    """
    lacking = [f"needs {tool} (apt-get install {name})" for tool, name in TOOLS.items() if shutil.which(tool) is None]
    if shutil.which("go") is None and missing():
        lacking.append(missing())
    if lacking:
        print("\n".join(lacking), file=sys.stderr)
        return 2
    try:
        build(lambda line: print(line, flush=True))
    except BuildError as error:
        print(error, file=sys.stderr)
        return 1
    return play(Walk(ClusterStage(), Screen(WIDEST)), TITLE, STEPS)


def install(walk: Walk) -> None:
    """A cluster, the chart in it, and the controller beside its pod."""
    stage, screen = walk.stage, walk.screen
    with screen.waiting("etcd, API server, controllers, scheduler, nodes"):
        stage.start_cluster()
    nodes, version = stage.cluster.get("/api/v1/nodes")["items"], stage.cluster.get("/version")
    screen.fact(
        f"etcd, kube-apiserver {version['major']}.{version['minor']}, controllers and scheduler are the real ones; "
        f"kwok stands for the kubelets of {len(nodes)} nodes"
    )
    walk.run("kubectl", "apply", "-f", "shop.yaml", comment="checkout, payment, search")
    words = ("--namespace", "gyrostat-system", "--create-namespace", "--wait")
    walk.run("helm", "install", "gyrostat", "./helm", *words)
    screen.command("auto loop &", "the real controller; kwok's pod of it is only a picture")
    stage.start_controller()
    account, pod = stage.who()
    walk.insist(account == ACCOUNT and pod.startswith("gyrostat-"), f"it has the token of pod {pod}", (account, pod))
    said = walk.run(*EVICT, codes=(1,)).out.strip()
    walk.insist(said == "no", "the API server says no: it may evict nothing there", said)


def watch(walk: Walk) -> None:
    """One pod falls into a crash loop; the policy only watches."""
    stage, screen, since = walk.stage, walk.screen, walk.seq()
    walk.run("kubectl", "apply", "-f", "sick.yaml", comment="the policy of docs/kubernetes.md, in seconds")
    in_force(walk, "sick")
    before = all_ready(walk, "checkout", 3)
    sick = min(before)
    walk.run("kubectl", "set", "image", f"pod/{sick}", "app=registry.test/checkout:crash", "-n", SHOP)
    walk.until(lambda: stage.crashing(sick), WITHIN, f"{sick} is in a crash loop", lambda: str(stage.pods("checkout")))
    screen.fact(f"its status in the cluster: {stage.crashing(sick)}")
    walk.follow(_only_watches, WITHIN, f"{CHECKOUT} is held: Mode", since=since, target=CHECKOUT, policy=SICK)
    shown = walk.auto("why", CHECKOUT, comment="what would be done, and why it is not").out
    screen.block(line for line in shown.splitlines() if line)
    walk.insist(f"plan      Restart: restart instance {sick}\n" in shown, "it would evict that pod and no other", shown)
    same = {name: uid for name, (uid, _) in stage.pods("checkout").items()}
    walk.insist(
        not stage.written() and same == {name: uid for name, (uid, _) in before.items()},
        "nothing was done: no write in the API server's audit log, every pod is the one it was",
        stage.written() or same,
    )


def heal(walk: Walk) -> None:
    """Chart and policy let it act: the sick pod, and no other, is evicted."""
    stage, since, before = walk.stage, walk.seq(), walk.stage.pods("checkout")
    (sick,) = [name for name, (_, ready) in before.items() if not ready] or [""]
    may = ("--reuse-values", "--set", "mayAct.shop={Restart,Scale}")
    walk.run("helm", "upgrade", "gyrostat", "./helm", "-n", "gyrostat-system", *may)
    walk.until(
        lambda: may_evict(stage.cluster, SHOP) or None, WITHIN, "the new right is known", lambda: "it may not evict"
    )
    said = walk.run(*EVICT).out.strip()
    walk.insist(said == "yes", "the API server says yes: it may, in this namespace", said)
    walk.run("kubectl", "patch", "rmp", "sick", "-n", SHOP, "--type=merge", "-p", '{"spec":{"mode":"Enforce"}}')
    walk.follow(healed, WITHIN, f"{CHECKOUT} is healed", since=since, target=CHECKOUT, policy=SICK)
    after = all_ready(walk, "checkout", 3)
    stayed = {name for name in before if name in after and after[name][0] == before[name][0]}
    walk.insist(
        stayed == set(before) - {sick},
        f"3 pods are ready: {min(set(after) - stayed)} is new, the {len(stayed)} others are those that they were",
        f"{sorted(before)} became {sorted(after)}",
    )
    witnessed(walk, stage.written(), [f"create pods/eviction {sick}"])


def explain(walk: Walk) -> None:
    """A release that crashes: a person is told what changed, since when and by whom."""
    stage = walk.stage
    walk.run("kubectl", "apply", "-f", "bad-revision.yaml")
    in_force(walk, "bad-revision")
    before, since = all_ready(walk, "payment", 2), walk.seq()
    done = len(stage.written())
    walk.run("kubectl", "set", "image", "deployment/payment", "app=registry.test/payment:crash", "-n", SHOP)
    about = {"since": since, "target": PAYMENT, "began": time.monotonic()}
    seq = walk.follow(_asks, WITHIN, f"a person is asked about {PAYMENT}", policy=REVISION, **about)
    detail = dict(stage.records())[seq].detail
    made = stage.get("Deployment", "payment")
    revision = made["metadata"]["annotations"]["deployment.kubernetes.io/revision"]
    writers = {entry["manager"] for entry in made["metadata"]["managedFields"] if not entry.get("subresource")}
    who = detail.rpartition(" by ")[2]
    walk.insist(
        f"revision {revision}, changed" in detail and who in writers,
        f"the Deployment says the same: its revision is {revision}, and {who} wrote it",
        f"{detail}; revision {revision} by {sorted(writers)}",
    )
    walk.follow(_held, WITHIN, f"sick on {PAYMENT} is held", policy=SICK, **about)
    here = stage.pods("payment")
    walk.insist(
        len(stage.written()) == done and all(here.get(name) == pod for name, pod in before.items()),
        f"no pod was touched: nothing was written, the {len(before)} old pods are ready",
        stage.written()[done:] or here,
    )


def scale(walk: Walk) -> None:
    """An overload gets one more pod, until its hold is over."""
    stage = walk.stage
    walk.run("kubectl", "apply", "-f", "overload.yaml")
    in_force(walk, "overload")
    all_ready(walk, "search", 2)
    since, done = walk.seq(), len(stage.written())
    stage.load[SHOP, "search"] = RUSH
    walk.screen.fact(f"the metrics API: 2 pods of search share {RUSH} millicores, each may use {SEARCH_LIMIT}")
    about = {"target": SEARCH, "policy": OVERLOAD, "began": time.monotonic()}
    helped = walk.follow(_helped, WITHIN, f"{SEARCH} is helped", since=since, **about)
    stage.load[SHOP, "search"] = QUIET
    walk.screen.fact(f"the rush is over: {QUIET} millicores")
    walk.follow(healed, WITHIN, f"{SEARCH} is released", since=helped, **about)
    new = stage.written()[done:]
    witnessed(walk, new, ["patch deployments/scale search"] * 2)
    replicas = [write.replicas for write in new]
    now = stage.get("Deployment", "search")["spec"]["replicas"]
    walk.insist(
        replicas == [3, 2] and now == 2, "2 pods became 3, and after the hold 2 again", f"{replicas}, now {now}"
    )


def prove(walk: Walk) -> None:
    """What it says of itself, what its trail says, and what the API server says."""
    stage = walk.stage
    counted = {"sick": "healed", "overload": "healed", "bad-revision": "needsHuman"}

    def known() -> bool | None:
        return all(stage.policy(name).get(count) == 1 for name, count in counted.items()) or None

    walk.until(known, WITHIN, "the status of each policy counts it", lambda: str([*map(stage.policy, counted)]))
    shown = walk.run("kubectl", "gyrostat", "status", "-n", SHOP, codes=(3,), comment="exit code 3: a person is needed")
    walk.screen.block(shown.out.splitlines())
    verified = walk.auto("audit", "verify").out
    walk.screen.block(verified.splitlines())
    walk.screen.fact("the API server's audit log of the controller's account: Audit-ID, answer, request")
    writes, intents = stage.written(), stage.intents()
    walk.screen.rows([(write.id, str(write.code), write.what) for write in writes])
    pods = {write.pod for write in writes}
    walk.insist(
        [write.intent for write in writes if write.code < 300] == intents and pods == {stage.who()[1]},
        f"the {len(intents)} intents of the trail are the {len(writes)} writes of the API server's audit log",
        f"intents {intents}, by {pods}",
    )
    walk.screen.note(f"{time.monotonic() - walk.began:.0f} s from the first command to here")


# --- what steps ask


def in_force(walk: Walk, name: str) -> None:
    """Wait until the controller has said so in the policy's status."""

    def look() -> bool | None:
        conditions = walk.stage.policy(name).get("conditions", [{}])
        return True if conditions[0].get("status") == "True" else None

    walk.until(look, WITHIN, f"policy {name} is in force", lambda: str(walk.stage.policy(name)))


def all_ready(walk: Walk, name: str, count: int) -> dict[str, tuple[str, bool]]:
    """The pods of a workload, once so many are there, and all of them are ready."""

    def look() -> dict[str, tuple[str, bool]] | None:
        pods = walk.stage.pods(name)
        return pods if len(pods) == count and all(ready for _, ready in pods.values()) else None

    return walk.until(look, WITHIN, f"{count} pods of {name} are ready", lambda: str(walk.stage.pods(name)))


def witnessed(walk: Walk, writes: list[Write], what: list[str]) -> None:
    """The API server's audit log has these writes, in this order, each with the id of an intent of the trail."""
    ids = walk.stage.intents()[-len(what) :]
    walk.insist(
        [(w.what, w.code < 300) for w in writes][-len(what) :] == [(each, True) for each in what]
        and [w.intent for w in writes][-len(what) :] == ids,
        f"the API server's audit log agrees: {'; '.join(dict.fromkeys(what))}, for {' and '.join(ids)}",
        writes,
    )


def _only_watches(record: AnyRecord) -> bool:
    return isinstance(record, Held) and record.reason is Reason.MODE


def _held(record: AnyRecord) -> bool:
    return isinstance(record, Held)


def _helped(record: AnyRecord) -> bool:
    return isinstance(record, Passed)


def _asks(record: AnyRecord) -> bool:
    if isinstance(record, Closed) and record.result is not Result.NEEDS_HUMAN:
        raise FailedError("the episode ends with a person", f"{record.result}: {record.detail}")
    return isinstance(record, Closed)


STEPS = (
    ("install", "a control plane, the chart, and a controller that can change nothing", install),
    ("watch", "a pod of checkout crashes; the policy only watches", watch),
    ("heal", "the chart lets it act in one namespace, and so does the policy", heal),
    ("explain", "somebody releases a payment that crashes", explain),
    ("scale", "search is overloaded", scale),
    ("prove", "who can prove it", prove),
)
