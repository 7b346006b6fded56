"""A small world for tests of the decision: policies from documents, snapshots from readiness, states from records.

Everything is real: policies are compiled, plans are planned, states are folded. Only time is chosen.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from itertools import pairwise
from typing import Any

import numpy as np

from actions import health_check, restart
from actions.plan import Change, Plan, Undo
from actions.registry import ACTIONS
from controller.core.guards import GUARDS
from controller.core.records import (
    AnyRecord,
    Evidence,
    Intent,
    Key,
    Led,
    Loaded,
    Opened,
    Outcome,
    Step,
)
from controller.core.state import State, fold
from controller.core.tick import tick
from controller.core.wish import Guard, Limits, Proposal, Rulebook
from policies.policy import Policy, compile_policy
from telemetry.columns import COLUMNS, Column
from telemetry.inventory import Facts, Instance, Value
from telemetry.snapshot import Snapshot
from telemetry.target import Target
from telemetry.verdict import Verdict

NOW = 1_000_000.0
SURE = Evidence(1.0, 1.0, 1.0, 1.0, samples=1000.0)


@dataclass(frozen=True, slots=True)
class Service:
    """A service as a test describes it.

    Attributes:
        readiness: one character per instance: `+` ready, `-` sick, `?` not known, `.` not running.
        columns: values that replace those that follow from readiness; None is unknown.
        blind: every column is unknown.
        seen: seconds ago that the platform was heard of it.
        more: facts that replace those that follow from the rest.
    """

    name: str
    readiness: str = "+++"
    desired: int | None = None
    minimum: int = 0
    maximum: int = 10
    namespace: str = "shop"
    uid: str = "u1"
    labels: Mapping[str, str] = field(default_factory=dict)
    protected: str = ""
    columns: Mapping[str, float | None] = field(default_factory=dict)
    blind: bool = False
    seen: float = 0.0
    fixed: bool = False
    more: Mapping[str, Any] = field(default_factory=dict)

    @property
    def target(self) -> Target:
        return Target("memory", "Service", self.namespace, self.name, self.uid)

    def facts(self, now: float) -> Facts:
        ready = {"+": True, "-": False, "?": None, ".": None}
        instances = tuple(
            Instance(str(n), "" if c == "." else f"{100 + n}@5.0", ready[c], 5.0) for n, c in enumerate(self.readiness)
        )
        count = len(self.readiness) if self.desired is None else self.desired
        fields: dict[str, Value] = {} if self.fixed else {"desired": count}
        for instance in instances:
            fields[restart.path(instance.slot)] = instance.incarnation
            fields[health_check.path(instance.slot)] = None
        facts = Facts(
            seen_at=now - self.seen,
            desired=count,
            ready=self.readiness.count("+"),
            minimum=self.minimum,
            maximum=self.maximum,
            fields=fields,
            instances=instances,
            labels=self.labels,
            protected=self.protected,
        )
        return replace(facts, **self.more)

    def cells(self) -> Mapping[str, float | None]:
        if self.blind:
            return {}
        desired = len(self.readiness) if self.desired is None else self.desired
        sick = self.readiness.count("-")
        known = "?" not in self.readiness
        return {
            "probe.ok": float(sick == 0) if known else None,
            "instances.sick": sick / max(1, len(self.readiness)) if known else None,
            "active.count": float(len(self.readiness) - self.readiness.count(".")),
            "replicas.desired": float(desired),
            "replicas.ready": float(self.readiness.count("+")),
            **self.columns,
        }


def snapshot(*services: Service, now: float = NOW, silent: Mapping[str, str] | None = None) -> Snapshot:
    """What is true of these services, and of nothing else."""
    ordered = sorted(services, key=lambda service: service.target)
    targets = tuple(service.target for service in ordered)
    cells = [service.cells() for service in ordered]
    columns = {}
    for name, spec in COLUMNS.items():
        values = np.array([_number(row.get(name)) for row in cells], np.float64)
        columns[name] = Column(
            spec, values, np.where(np.isnan(values), np.inf, 0.0), np.where(np.isnan(values), 0.0, 100.0)
        )
    return Snapshot(
        now,
        targets,
        columns,
        {service.target: service.facts(now) for service in ordered},
        {target: row for row, target in enumerate(targets)},
        silent or {},
    )


def _number(value: float | None) -> float:
    return np.nan if value is None else value


SCALE = {"type": "Scale", "scale": {"by": "+2"}, "hold": "60s"}
RESTART = {"type": "Restart"}
RESTART_ALL = {"type": "Restart", "restart": {"instances": "All"}}
LOOK = {"type": "HealthCheck"}


def policy(name: str = "heal", /, **spec: Any) -> Policy:
    """A policy that acts by itself, at once and on everything, except for what `spec` says."""
    return _policy(name, json.dumps(spec, sort_keys=True))


@cache
def _policy(name: str, spec: str) -> Policy:
    given = json.loads(spec)
    namespace = given.pop("namespace", None)
    base: dict[str, Any] = {
        "mode": "Enforce",
        "targets": {"allowAll": True},
        "when": "!probe.ok",
        "for": "0s",
        "minConfidencePercent": 0,
        "throttle": {"cooldown": "0s", "maxConcurrent": 1000, "maxUnavailable": "100%"},
        "verify": {"initialDelay": "5s", "within": "20s"},
    }
    base["throttle"].update(given.pop("throttle", {}))
    if "actions" not in given:
        base["action"] = SCALE
    base.update(given)
    document = {
        "apiVersion": "gyrostat.dev/v1alpha1",
        "kind": "RemediationPolicy" if namespace else "ClusterRemediationPolicy",
        "metadata": {"name": name, **({"namespace": namespace} if namespace else {})},
        "spec": base,
    }
    return compile_policy(json.dumps(document))


CALM: Mapping[str, Any] = {"storm_share": 1.0, "own_failures": 6, "turn_spacing": 0.0}
"""No storm ever begins, and no field is ever said to flap."""


def rules(
    *policies: Policy,
    guards: Mapping[str, Guard] = GUARDS,
    limits: Limits | None = None,
    paused: str = "",
    frozen: str = "",
) -> Rulebook:
    """Go by these; wide limits unless given."""
    wide = Limits(max_concurrent=1000, warmup=0.0, attempts=3, backoff_first=100.0, backoff_max=1000.0, **CALM)
    return Rulebook({p.hash: p for p in policies}, ACTIONS, guards, limits or wide, paused, frozen)


def proposal(of: Policy, service: Service, evidence: Evidence = SURE, by: str = "") -> Proposal:
    """What an agent would say of it."""
    return Proposal(Key(of.name, service.target), of.hash, evidence, by)


def loaded(*policies: Policy, at: float = NOW - 1000) -> list[Loaded]:
    """They are in force."""
    return [Loaded(at, p.name, p.hash, p.content) for p in policies]


def led(*policies: Policy, epoch: int = 1, at: float = NOW - 1000) -> State:
    """The state of a controller that leads, with these policies in force."""
    return fold([Led(at, epoch, "test"), *loaded(*policies, at=at)])


def opened(of: Policy, service: Service, number: int = 1, at: float = NOW - 100) -> Opened:
    """An episode began."""
    return Opened(at, Key(of.name, service.target), f"e{number}", of.hash, SURE)


def change(service: Service, before: Value = 3, after: Value = 5, path: str = "desired") -> Change:
    return Change(service.target, path, before, after)


def scale_plan(service: Service, hold: float = 60.0, stages: Sequence[int] = (3,)) -> Plan:
    """3 → 5, and back over these stages."""
    stops = (5, *stages)
    release = tuple(change(service, a, b) for a, b in pairwise(stops))
    return Plan((change(service),), undo=Undo.REVERSIBLE, hold=hold, release=release if hold else ())


def restart_plan(service: Service) -> Plan:
    return Plan((change(service, "100@5.0", "newer", "slots/0/incarnation"),), disrupts=1)


def look_plan(service: Service) -> Plan:
    return Plan((), probes=(change(service, None, 1, "slots/0/healthy"),))


def intent(of: Policy, service: Service, plan: Plan, *, at: float = NOW - 50, **given: Any) -> Intent:
    """A start; `given` replaces what follows from the plan."""
    values: dict[str, Any] = {
        "number": 1,
        "step": Step.DO,
        "rung": 0,
        "action": of.rungs[0].action,
        "changes": plan.changes,
        "plan": plan,
        "judge_at": at + of.initial_delay,
        "due": at + of.within,
        "hold": plan.hold,
    }
    return Intent(at, Key(of.name, service.target), **{**values, **given})


def outcome(of: Intent, result: Verdict = Verdict.PASS, *, at: float | None = None, **given: Any) -> Outcome:
    return Outcome(of.at if at is None else at, of.key, of.number, result, **given)


@dataclass
class Run:
    """A decision repeated over time; effects succeed at once unless told otherwise.

    Attributes:
        trail: every record so far.
        answer: what becomes of an intent.
    """

    rules: Rulebook
    state: State
    now: float = NOW
    trail: list[AnyRecord] = field(default_factory=list)
    answer: Verdict | None = Verdict.PASS

    def take(self, *records: AnyRecord) -> None:
        for record in records:
            self.state.apply(record)
            self.trail.append(record)

    def turn(self, seen: Snapshot, *proposals: Proposal, after: float = 1.0) -> list[AnyRecord]:
        """One tick, `after` seconds later; returns its records, without the outcomes."""
        self.now += after
        records = tick(self.now, at(seen, self.now), self.state, proposals, self.rules)
        self.take(*records)
        if self.answer is not None:
            self.take(*(outcome(r, self.answer, at=self.now) for r in records if isinstance(r, Intent)))
        return records


def at(seen: Snapshot, now: float) -> Snapshot:
    """The same at another time, as fresh as it was."""
    moved = now - seen.at
    facts = {target: replace(f, seen_at=f.seen_at + moved) for target, f in seen.facts.items()}
    return replace(seen, at=now, facts=facts)


def kinds(records: Iterable[AnyRecord]) -> list[str]:
    """Their kinds, in order."""
    return [type(record).__name__ for record in records]
