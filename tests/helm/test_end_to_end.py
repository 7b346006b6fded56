"""docs/kubernetes-decisions.md on a real control plane: the real loop, as the chart's account, watching, then acting.

After each test the API server's audit log is held against the trail. One namespace, one loop, everything wrong at once:
the tests stand in the order in which things happen.
"""

import contextlib
import os
import re
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from controller.core.records import AnyRecord, Closed, Held, Intent, Opened, Outcome, Result, Step
from telemetry.verdict import Verdict
from tests.controlplane.cluster import Cluster
from tests.controlplane.metrics import Metrics, measured
from tests.controlplane.workloads import path

from .books import Books, at, lies, read, trail
from .installed import controller, episodes, events, install, ready, status, until
from .market import CPU, MARKET, RECENT, fall, library, meanwhile, pods, release, replicas, workloads

VALUES: dict[str, Any] = {"mayAct": {"shop": ["Restart", "Scale"]}}
MAY_ACT = {"mayAct": {**VALUES["mayAct"], MARKET: ["Restart", "Scale"]}}
ELSEWHERE = "blog"
SETTINGS = {"interval": "0.1", "max_concurrent": "20", "storm_targets": "1000"}
"""So much at once is a storm, and would be left alone: that has its own tests."""
WATCHED = {
    "healed": ("crash-loop", "Mode"),
    "doomed": ("crash-loop", "Mode"),
    "guarded": ("crash-loop", "Mode"),
    "quiet": ("crash-loop", "Protected"),
    "leaky": ("out-of-memory", "Mode"),
    "bad": ("bad-revision", "Mode"),
    "absent": ("bad-revision", "Mode"),
    "stuck": ("stuck-rollout", "Mode"),
    "busy": ("overload", "Mode"),
    "fought": ("overload", "Mode"),
    "limited": ("autoscaler-limit", "Mode"),
    "scaled": ("raise-minimum", "Mode"),
}
"""By workload, the policy that finds it, and what holds it as long as policies only watch."""


@dataclass
class Market:
    """Everything that the tests look at.

    Attributes:
        values: of the chart, now.
        since: epoch seconds of the loop's start.
        sick: the pods that were made to fall.
    """

    cluster: Cluster
    metrics: Metrics
    state: Path
    values: dict[str, Any] = field(default_factory=lambda: VALUES)
    since: float = field(default_factory=time.time)  # noqa: TID251
    sick: dict[str, list[str]] = field(default_factory=dict)
    acked: int = 0

    def live(self) -> None:
        """Whatever pod `doomed` gets, it falls; more instances share a load; and somebody wants `fought` as it was."""
        fall(self.cluster, "doomed", most=2)
        for app in ("busy", "scaled", "fought"):
            if replicas(self.cluster, app) == 3:
                self.load(app, CPU // 2)
                if app == "fought":
                    self.cluster.kubectl("scale", f"deployment/{app}", "--replicas=2", "-n", MARKET)
        if len([r for r in self.records("fought", Closed) if r.result is Result.NEEDS_HUMAN]) > self.acked:
            self.acked += 1
            self.ack("fought")
            self.load("fought", CPU * 95 // 100)

    def load(self, app: str, millicores: int) -> None:
        self.metrics.cpu[MARKET, app] = millicores

    def books(self) -> Books:
        return read(self.cluster, self.state, self.values, MARKET, self.since)

    def records(self, app: str, kind: type[Any] | tuple[type[Any], ...] = object) -> list[Any]:
        return [r for r in trail(self.state)[1] if isinstance(r, kind) and about(r) == app]

    def held(self, app: str, reason: str) -> Held:
        found = until(lambda: [r for r in self.records(app, Held) if r.reason == reason], f"{app} held: {reason}")
        return found[-1]  # type: ignore[no-any-return]

    def ended(self, app: str, result: Result, count: int = 1) -> Closed:
        """How the episode of an enforced policy ended."""

        def found() -> list[Closed]:
            return [r for r in self.records(app, Closed) if r.result is result]

        return until(lambda: len(found()) >= count and found(), f"{app}: {result}")[-1]  # type: ignore[no-any-return]

    def asked(self, app: str) -> list[tuple[str, str]]:
        """What the API server was asked for a workload or its pods: verb and resource, of each request it granted."""
        done = [e for e in self.books().done if e["objectRef"]["name"].startswith(app)]
        return [(e["verb"], "/".join(filter(None, (e["objectRef"]["resource"], e["objectRef"].get("subresource")))))
                for e in done]  # fmt: skip

    def ack(self, app: str) -> None:
        """A person has looked."""
        name = self.records(app, Opened)[-1].episode
        command = [str(Path(sys.executable).parent / "auto"), "ack", name, "--why", "seen"]
        environment = os.environ | {"GYROSTAT_STATE": str(self.state)}
        subprocess.run(command, env=environment, check=True, capture_output=True, timeout=120)


def about(record: AnyRecord) -> str:
    key = getattr(record, "key", None)
    return key.target.name if key is not None else ""


@pytest.fixture(scope="module")
def watched(own: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Market]:
    """The namespace after half a minute of calm, and then everything wrong; the policies watch."""
    state = tmp_path_factory.mktemp("end-to-end")
    with contextlib.ExitStack() as stack:
        own.do("POST", "/api/v1/namespaces", {"metadata": {"name": MARKET}})
        stack.callback(own.kubectl, "delete", "namespace", MARKET, "--wait=false")
        metrics = stack.enter_context(measured(own, state))
        own.apply(*workloads())
        made = Market(own, metrics, state / "state")
        stack.enter_context(controller(own, state, **SETTINGS))
        own.apply(*library("Observe"))
        until(lambda: all(ready(own, name, MARKET)[0] == "True" for name in policies()), "every policy is in force")
        until(lambda: min(changed_ago(own, name) for name in WATCHED) > RECENT, "nothing was changed lately")
        stack.enter_context(meanwhile(made.live))
        for name in ("healed", "guarded", "quiet"):
            made.sick[name] = fall(own, name)
        made.sick["leaky"] = fall(own, "leaky", "oom")
        for name in fall(own, "checkout", namespace=ELSEWHERE):
            stack.callback(own.kubectl, "delete", "pod", name, "-n", ELSEWHERE, "--wait=false", "--ignore-not-found")
        for name in ("busy", "fought", "scaled"):
            made.load(name, CPU * 95 // 100)
        made.load("limited", CPU * 95 // 100 * 3)
        bring_out(own, 2)
        release(own, "stuck", "never-ready", 2)
        yield made
        install(own, "upgrade", "mayAct.shop={Restart,Scale}")


def refused(market: Market, app: str) -> list[Outcome]:
    return [r for r in market.records(app, Outcome) if r.result is Verdict.FAIL]


def app(episode: dict[str, Any]) -> str:
    """What an Episode is about."""
    return str(episode["target"].partition("/")[2])


def would_act(market: Market, name: str) -> int:
    return int(status(market.cluster, name, MARKET)["wouldAct"])


def policies() -> list[str]:
    return sorted({name for name, _ in WATCHED.values()})


def bring_out(cluster: Cluster, number: int) -> None:
    """Two bad releases: one crashes, the image of the other is nowhere."""
    release(cluster, "bad", "crash", number)
    release(cluster, "absent", "missing", number)


def changed_ago(cluster: Cluster, app: str) -> float:
    made = cluster.get(path("Deployment", MARKET, app))["metadata"]["creationTimestamp"]
    return time.time() - time.mktime(time.strptime(made, "%Y-%m-%dT%H:%M:%SZ")) + time.timezone  # noqa: TID251


@pytest.fixture(scope="module")
def enforced(watched: Market) -> Market:
    """The same, and policies that act in this one namespace, in which the chart now lets them."""
    watched.values = MAY_ACT
    install(watched.cluster, "upgrade", "mayAct.shop={Restart,Scale}", f"mayAct.{MARKET}={{Restart,Scale}}")
    bring_out(watched.cluster, 3)
    watched.cluster.apply(*library("Enforce"))
    return watched


@pytest.fixture(autouse=True)
def _the_books_agree(watched: Market) -> Iterator[None]:
    """I1, I10, I11, after each test."""
    yield
    assert watched.books().findings() == []


def test_while_policies_only_watch_everything_is_found_and_said_and_nothing_is_written(watched: Market):
    seen, most = dict[str, tuple[str, str]](), Counter[str]()  # a bad release is recent for half a minute only

    def look() -> bool:
        for name in policies():
            most[name] = max(most[name], would_act(watched, name))
            shown = [one for one in episodes(watched.cluster, name, MARKET) if one.get("held")]
            seen.update({app(one): (name, one["held"]) for one in shown if WATCHED[app(one)][0] == name})
        return seen == WATCHED and all(most[name] for name in policies())

    until(look, "each is found by its policy, held by its mode, and counted")
    for name, (_, reason) in WATCHED.items():
        assert f"Held{reason}" in events(watched.cluster, name, MARKET), name
    assert watched.books().effects == []
    assert not [record for record in trail(watched.state)[1] if isinstance(record, Intent)]


def test_a_crash_loop_is_healed_by_evicting_what_is_sick(enforced: Market):
    enforced.ended("healed", Result.HEALED)
    (sick,) = enforced.sick["healed"]
    assert enforced.asked("healed") == [("create", "pods/eviction")]
    assert enforced.cluster.call("GET", path("Pod", MARKET, sick))[0] == 404
    until(lambda: {"Do", "Verified", "Healed"} <= events(enforced.cluster, "healed", MARKET).keys(), "Events")


def test_a_bad_release_is_a_persons_and_named_once_and_no_pod_is_touched(enforced: Market):
    told = enforced.ended("bad", Result.NEEDS_HUMAN).detail
    assert re.search(r"container app: .*exit code 1", told)
    assert "revision 3, changed" in told
    assert "by kubectl" in told
    told = enforced.ended("absent", Result.NEEDS_HUMAN).detail
    assert re.search(r"container app: (ErrImagePull|ImagePullBackOff)", told)
    assert "revision 3, changed" in told
    for app in ("bad", "absent"):
        assert enforced.asked(app) == []
        changed = [e for e in enforced.books().log if e["verb"] == "patch" and e["objectRef"]["name"] == app]
        late = [r for r in enforced.records(app, Opened) if r.key.policy == f"{MARKET}/stuck-rollout"]
        assert all(any(r.at > at(e) + RECENT for e in changed) for r in late)
        enforced.cluster.kubectl("rollout", "undo", f"deployment/{app}", "--to-revision=1", "-n", MARKET)


def test_a_kill_for_memory_is_a_persons_with_the_figures(enforced: Market):
    told = enforced.ended("leaky", Result.NEEDS_HUMAN).detail
    assert re.search(r"container app: .*OOMKilled, exit code 137, \d+ restarts?, memory limit 64 MiB", told)
    assert enforced.asked("leaky") == []


def test_a_stuck_rollout_is_a_persons_and_says_how_far_it_came(enforced: Market):
    told = enforced.ended("stuck", Result.NEEDS_HUMAN).detail
    assert re.search(r"its rollout is stuck: 1 of 2 instances have revision 2, \d are ready", told)
    assert enforced.asked("stuck") == []


def test_an_autoscaler_at_its_maximum_is_told_with_its_bounds_and_not_touched(enforced: Market):
    told = enforced.ended("limited", Result.NEEDS_HUMAN).detail
    assert "HorizontalPodAutoscaler market/limited wants more than its maximum: its bounds are 1 to 2" in told
    assert enforced.asked("limited") == []


def test_a_budget_without_room_holds_an_eviction_and_nothing_is_sent(enforced: Market):
    held = enforced.held("guarded", "DisruptionBudget")
    assert held.detail.startswith("PodDisruptionBudget market/guarded leaves room for 0, it takes 1")
    assert enforced.asked("guarded") == []


def test_what_its_people_opted_out_is_left_alone_and_a_workload_that_goes_takes_its_episode_along(enforced: Market):
    assert enforced.held("quiet", "Protected").detail == "the shop team is at it"
    enforced.cluster.kubectl("delete", "deployment", "quiet", "-n", MARKET)
    until(lambda: "the target is gone" in [r.detail for r in enforced.records("quiet", Closed)], "it is dropped")
    assert enforced.asked("quiet") == []


def test_an_overload_is_scaled_and_held_and_released(enforced: Market):
    enforced.ended("busy", Result.HEALED)
    assert replicas(enforced.cluster, "busy") == 2
    assert enforced.asked("busy") == [("patch", "deployments/scale")] * 2
    up, down = enforced.records("busy", Intent)
    assert [(step.step, step.changes[0].before, step.changes[0].after) for step in (up, down)] == [
        (Step.DO, 2, 3),
        (Step.RELEASE, 3, 2),
    ]
    assert down.at - up.at >= 10


def test_where_an_autoscaler_is_its_minimum_is_raised_within_its_bounds_and_put_back(enforced: Market):
    enforced.ended("scaled", Result.HEALED)  # the load only falls where there are three
    up, down = enforced.records("scaled", Intent)
    assert [(step.changes[0].path, step.changes[0].after) for step in (up, down)] == [
        ("autoscaler/minimum", 3),
        ("autoscaler/minimum", 2),
    ]
    where = path("HorizontalPodAutoscaler", MARKET, "scaled")
    assert enforced.cluster.get(where)["spec"]["minReplicas"] == 2
    assert enforced.asked("scaled") == [("patch", "horizontalpodautoscalers")] * 2


def test_a_crash_loop_that_an_eviction_does_not_end_is_a_persons(enforced: Market):
    told = enforced.ended("doomed", Result.NEEDS_HUMAN).detail
    assert re.search(r"container app: .*exit code 1", told)
    actions = [(r.action, len(r.changes)) for r in enforced.records("doomed", Intent)]
    assert [name for name, _ in actions] == ["Restart", "Escalate"]
    assert enforced.asked("doomed") == [("create", "pods/eviction")] * actions[0][1]


def test_hands_off_what_somebody_else_takes_back_twice_and_who(enforced: Market):
    held = enforced.held("fought", "Contested")
    assert held.detail == "kubectl changed desired 2 times while we held it: hands off"
    assert enforced.asked("fought") == [("patch", "deployments/scale")] * 2
    assert all("somebody else changed it" in r.detail for r in refused(enforced, "fought"))
    assert len(refused(enforced, "fought")) == 2
    assert replicas(enforced.cluster, "fought") == 2


def test_a_policy_of_one_namespace_finds_nothing_in_another(enforced: Market):
    """P25: what is wrong there is the same."""
    (ill,) = [pod for pod in pods(enforced.cluster, "checkout", ELSEWHERE) if "crash" in str(pod["spec"])]
    assert ill["status"]["containerStatuses"][0]["restartCount"] > 3
    keys = [record.key for record in trail(enforced.state)[1] if hasattr(record, "key")]
    assert {key.target.namespace for key in keys} == {MARKET}


def test_the_comparison_names_every_lie(enforced: Market):
    """The honest books, and one thing changed in them."""
    honest = enforced.books()
    assert honest.findings() == []
    assert len(honest.done) >= 9
    for lie, told in lies(honest).items():
        found = told.findings()
        assert any(lie in finding for finding in found), (lie, found)
