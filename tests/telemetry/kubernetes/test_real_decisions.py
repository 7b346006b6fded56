"""Rows of docs/kubernetes-decisions.md on a real control plane: what is seen, decided, really written, and healed.

The policies are the library's with shorter times; where a row needs a workload that nobody changed for long, our clock
is an hour ahead. The API server's audit log says what was really written.
"""

import time
from dataclasses import replace

import pytest

from actions.platforms.kubernetes.platform import KubernetesPlatform
from actions.registry import ACTIONS
from controller.core.agents import PolicyAgent, together
from controller.core.guards import GUARDS
from controller.core.records import Closed, Held, Intent, Led, Loaded, Outcome, Result
from controller.core.state import fold
from controller.core.tick import tick
from controller.core.wish import Limits, Rulebook
from controller.executor import Committed, Executor
from policies.library import load_library
from policies.policy import Mode

from ...controlplane.workloads import autoscaler, budget, workload  # noqa: TID252  importlib mode has no package named tests
from .watching import client, now, watching

NAMES = ("crash-loop", "bad-revision", "out-of-memory", "stuck-rollout", "overload", "autoscaler-limit")
WITHIN = 60.0
HOUR = 3600.0


class Live:
    """The real source, the real decision, the real executor and platform; only the loop around them is the test's."""

    def __init__(self, watched, cluster, namespace, ahead=0.0):
        self.watched, self.cluster, self.namespace, watched.ahead = watched, cluster, namespace, ahead
        found = {p.name: p for p in load_library().policies}
        chosen = [self._quick(found[name]) for name in NAMES]
        self.platform = KubernetesPlatform(client(cluster), self.now, trail=f"{namespace}-")
        self.executor = Executor({"kubernetes": self.platform}, 2, lambda _epoch: "")
        at = self.now()
        self.state = fold([Led(at - 60, 1, "test"), *(Loaded(at, p.name, p.hash, p.content) for p in chosen)])
        self.rules = Rulebook({p.hash: p for p in chosen}, ACTIONS, GUARDS, Limits(storm_targets=10_000))
        self.agent, self.intents, self.closed, self.held = PolicyAgent(), [], [], {}

    def _quick(self, policy):
        """It acts by itself, in this namespace only, and its times are seconds."""
        selector = replace(policy.selector, namespace=self.namespace)
        times = {"delay": 1.5, "initial_delay": 4.0, "within": 12.0, "min_confidence": 0.3}
        return replace(policy, mode=Mode.ENFORCE, selector=selector, **times)

    def now(self):
        return now() + self.watched.ahead

    def turn(self):
        at = self.now()
        self.watched.processor.ingest(self.watched.source.read(at))
        seen = self.watched.processor.snapshot(at)
        while not self.executor.done.empty():
            answer = self.executor.done.get()
            done = answer.intent
            self.state.apply(Outcome(at, done.key, done.number, answer.result, answer.detail, answer.found))
        found = self.agent.propose(at, seen, list(self.rules.policies.values()), self.state, self.rules.limits)
        for record in tick(at, seen, self.state, together([], found), self.rules):
            self.state.apply(record)
            if isinstance(record, Intent):
                self.intents.append(record)
                self.executor.perform(Committed(record, 1))
            if isinstance(record, Closed):
                self.closed.append(record)
            if isinstance(record, Held):
                self.held[record.reason.value] = record.detail

    def until(self, condition, what):
        deadline = time.monotonic() + WITHIN
        while not (found := condition()):
            if time.monotonic() > deadline:
                raise AssertionError(f"{what}: {self.actions}, {self.closed}, {self.held}")
            self.turn()
            time.sleep(0.3)
        return found

    @property
    def actions(self):
        return [intent.action for intent in self.intents]

    def written(self):
        """What the API server's audit log says that we wrote."""
        ours = [e for e in self.cluster.audit() if e["auditID"].startswith(f"{self.namespace}-")]
        return [
            f"{e['verb']} {e['objectRef'].get('subresource', '')}" for e in ours if e["responseStatus"]["code"] < 300
        ]


@pytest.fixture
def live(cluster, namespace):
    made = []

    def make(ahead=0.0):
        live = Live(stack.enter_context(watching(cluster)), cluster, namespace, ahead)
        made.append(live)
        return live

    from contextlib import ExitStack

    with ExitStack() as stack:
        yield make
        for each in made:
            each.executor.close()


def ready(live, count, name="web"):
    live.watched.until(
        lambda: live.watched.column("replicas.ready", name, live.namespace) == count, f"{count} ready", WITHIN
    )
    live.watched.until(lambda: live.watched.column("rollout.progressing", name, live.namespace) == 0.0, "done", WITHIN)


def sicken(live, *places):
    """Give pods an image that crashes; what replaces them has the template's again."""
    instances = live.watched.facts("web", live.namespace).instances
    for place in places:
        pod = f"pod/{instances[place].slot}"
        live.cluster.kubectl("set", "image", pod, "app=registry.test/web:crash", "-n", live.namespace)
    live.watched.until(lambda: live.watched.column("crashloop", "web", live.namespace) == 1.0, "crash loop", WITHIN)
    return [instances[place] for place in places]


def test_one_pod_in_a_crash_loop_is_evicted_and_its_workload_healed(live, cluster, namespace):
    cluster.apply(workload(namespace, "web", replicas=4))
    live = live(ahead=HOUR)
    ready(live, 4)
    (sick,) = sicken(live, 0)
    live.until(lambda: live.closed, "the end")
    assert [closed.result for closed in live.closed] == [Result.HEALED]
    assert [change.path for intent in live.intents for change in intent.changes] == [f"slots/{sick.slot}/incarnation"]
    assert live.written() == ["create eviction"]


def test_a_crash_loop_that_an_eviction_does_not_end_reaches_a_person(live, cluster, namespace):
    cluster.apply(workload(namespace, "web", "crash", kind="StatefulSet", replicas=1))
    live = live(ahead=HOUR)
    live.until(lambda: live.closed, "the end")
    assert live.actions == ["Restart", "Escalate"]
    assert live.closed[0].result is Result.NEEDS_HUMAN
    assert "web-0, container app: " in live.closed[0].detail
    assert live.written() == ["create eviction"]


def test_a_bad_revision_is_named_and_nothing_is_written(live, cluster, namespace):
    cluster.apply(workload(namespace, "web", replicas=2))
    live = live()
    ready(live, 2)
    time.sleep(1.1)  # the server remembers whole seconds
    cluster.kubectl("set", "image", "deployment/web", "app=registry.test/web:crash", "-n", namespace)
    live.until(lambda: live.closed, "the end")
    assert live.actions == ["Escalate"]
    assert "CrashLoopBackOff" in live.closed[0].detail
    assert "2 of 2 instances are ready; revision 2, changed " in live.closed[0].detail
    assert live.closed[0].detail.endswith(" by kubectl-set")
    assert live.written() == []


def test_a_budget_without_room_holds_an_eviction_before_anything_is_sent(live, cluster, namespace):
    cluster.apply(workload(namespace, "web", replicas=3), budget(namespace, "web", minAvailable=3))
    live = live(ahead=HOUR)
    ready(live, 3)
    sicken(live, 0)
    live.until(lambda: "DisruptionBudget" in live.held, "it is held")
    assert live.held["DisruptionBudget"] == f"PodDisruptionBudget {namespace}/web leaves room for 0, it takes 1"
    assert (live.intents, live.written()) == ([], [])


def busy(live, *names, cores=0.49):
    """The metrics API says so: each pod uses nearly all of half a core."""
    pods = [i.slot for name in names for i in live.watched.facts(name, live.namespace).instances]
    used = {(live.namespace, pod): {"app": (cores, 1.0)} for pod in pods}
    live.watched.source._meter.latest = (time.monotonic(), used)


def limited(made):
    made["spec"]["template"]["spec"]["containers"][0]["resources"] = {"limits": {"cpu": "500m"}}
    return made


def test_an_overload_is_scaled_up_where_nobody_else_sets_the_number(live, cluster, namespace):
    own, scaled = limited(workload(namespace, "web")), limited(workload(namespace, "scaled"))
    cluster.apply(own, scaled, autoscaler(namespace, "scaled", 2, 4))
    live = live(ahead=HOUR)
    ready(live, 2)
    ready(live, 2, "scaled")

    def grown():
        busy(live, "web", "scaled")
        return live.watched.column("replicas.desired", "web", namespace) == 3.0

    live.until(grown, "one more")
    assert [(intent.key.target.name, intent.action) for intent in live.intents] == [("web", "Scale")]
    assert live.written() == ["patch scale"]
    ready(live, 3)
    found = live.until(lambda: cluster.get(f"/apis/apps/v1/namespaces/{namespace}/deployments/scaled"), "the other")
    assert found["spec"]["replicas"] == 2
