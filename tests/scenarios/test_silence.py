"""F17: telemetry stops, of one target, of a group, of all: it is unknown within two windows, and nothing is done."""

import json

import numpy as np
import pytest

from actions.registry import ACTIONS
from controller.core.agents import PolicyAgent
from controller.core.guards import GUARDS
from controller.core.records import Intent, Led, Loaded
from controller.core.state import State
from controller.core.tick import tick
from controller.core.wish import Limits, Rulebook
from policies.policy import compile_policy
from telemetry.batch import Batch, Requests
from telemetry.inventory import Facts, Instance
from telemetry.origins import Origin
from telemetry.processor import Processor
from telemetry.sources import Reading
from telemetry.target import Target

T0 = 1_800_000_000.0
TARGETS = [Target("memory", "Service", f"team-{n % 3}", f"s{n}", f"u{n}") for n in range(9)]
CONDITIONS = (
    "requests.rate < 0.5 * requests.rate_baseline",
    "latency.p99 > 2 * latency.p99_baseline",
    "errors.ratio > 0.2 || errors.rate > 5 * errors.rate_baseline + 1",
    "completion.ratio < 0.5",
    "instances.silent > 0",
)
WELL = {"rate": 20, "took": 0.1}
OF_FIVE = {"rate": 100, "took": 0.1}  # seconds
BURST = {"rate": 200, "took": 0.1}


class World:
    """Services that send once a second, a processor, and ticks by a clock of our own."""

    def __init__(self):
        self.processor, self.agent, self.state, self.now = Processor(), PolicyAgent(), State(), T0
        made = [compile_policy(json.dumps(document(n, when))) for n, when in enumerate(CONDITIONS)]
        self.policies = made
        self.rules = Rulebook({policy.hash: policy for policy in made}, ACTIONS, GUARDS, Limits())
        self.state.apply(Led(T0, 1, "test"))
        for policy in made:
            self.state.apply(Loaded(T0, policy.name, policy.hash, policy.content))
        self.started = []

    def second(self, sends, step=1):
        """One second, or step: those that send do, `rate` requests of `took` seconds each; then a tick."""
        self.now += step
        self.processor.ingest(Reading(self.now, "memory", {target: facts(self.now) for target in TARGETS}))
        for target, how in sends.items():
            self.processor.take(batch(target, self.now, **how), self.now)
        self.processor.refresh(self.now)
        snapshot = self.processor.snapshot(self.now)
        found = self.agent.propose(self.now, snapshot, self.policies, self.state, self.rules.limits)
        for record in tick(self.now, snapshot, self.state, found, self.rules):
            self.state.apply(record)
            if isinstance(record, Intent):
                self.started.append(record)
        return snapshot


def document(n, when):
    return {
        "apiVersion": "gyrostat.dev/v1alpha1",
        "kind": "ClusterRemediationPolicy",
        "metadata": {"name": f"p{n}"},
        "spec": {
            "mode": "Enforce",
            "targets": {"allowAll": True},
            "when": when,
            "for": "5s",
            "minConfidencePercent": 0,
            "action": {"type": "Scale", "scale": {"by": "+1"}},
        },
    }


def facts(now):
    instances = tuple(Instance(str(n), f"{n}@5.0", ready=True, started_at=5.0) for n in range(2))
    fields = {"desired": 2} | {f"slots/{one.slot}/incarnation": one.incarnation for one in instances}
    return Facts(now, 2, 2, 1, 5, fields, instances)


def batch(target, now, rate, took):
    ended = np.full(rate, round((now - 0.5) * 1e9), np.uint64)
    requests = Requests(np.arange(rate) % 2, ended - np.uint64(round(took * 1e9)), ended, np.zeros(rate, bool))
    origins = [Origin(target.name, target.namespace, instance) for instance in "ab"]
    return Batch(origins, [rate - rate // 2, rate // 2], requests)


def settled():
    """A world after twelve minutes of good traffic: it is known what is usual."""
    world = World()
    for _ in range(12 * 12):
        snapshot = world.second(dict.fromkeys(TARGETS, OF_FIVE), step=5)
    assert snapshot.columns["requests.rate_baseline"].known.all()
    assert world.started == []
    return world


@pytest.mark.parametrize("silent", [TARGETS[:1], TARGETS[::3], TARGETS], ids=["one", "group", "all"])
def test_telemetry_that_stops_is_unknown_in_two_windows_and_nothing_is_done(silent):
    world = settled()
    speak = dict.fromkeys((target for target in TARGETS if target not in silent), WELL)
    for _ in range(125):
        snapshot = world.second(speak)
    rows = [snapshot.rows[target] for target in silent]
    for name in ("requests.rate", "errors.ratio", "latency.p99", "completion.ratio", "instances.silent"):
        known = snapshot.columns[name].known
        assert not known[rows].any()
        assert known.sum() == len(speak)
    assert (snapshot.columns["telemetry.age"].values[rows] > 120).all()
    assert world.started == []


def test_a_batch_in_time_that_comes_late_does_not_look_like_a_drop():
    world = settled()
    for second in range(60):
        world.second(dict.fromkeys(TARGETS, BURST) if second % 10 == 9 else {})
    assert world.started == []


@pytest.mark.parametrize("sick", [{"rate": 5, "took": 0.1}, {"rate": 20, "took": 0.5}], ids=["drop", "slow"])
def test_what_really_happens_is_seen(sick):
    """So that the tests above can fail."""
    world = settled()
    for _ in range(70):
        world.second(dict.fromkeys(TARGETS[1:], WELL) | {TARGETS[0]: sick})
    assert {intent.key.target for intent in world.started} == {TARGETS[0]}
