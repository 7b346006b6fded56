"""A big world: many targets in namespaces, a hundred policies, and as many sick as is asked for."""

import json

import numpy as np

from actions.platforms.memory import MemoryPlatform
from policies.policy import Policy, compile_policy
from telemetry.columns import COLUMNS, Kind
from telemetry.inventory import Facts, Instance
from telemetry.processor import Processor
from telemetry.sources import Reading
from telemetry.target import Target

NOW = 1_800_000_000.0
TIERS = ("web", "db", "batch", "cache")
CONDITIONS = (
    "!probe.ok",
    "probe.failures > {n}",
    "instances.sick > 0.{n}",
    "cpu.ratio > 0.9{n}",
    "memory.ratio > 0.9{n} && !change.recent",
    "errors.ratio > 0.0{n}",
    "latency.p99 > duration('{n}s') || errors.ratio > 0.1",
    "requests.rate > 10 && latency.p90 > duration('{n}s')",
    "restarts.rate > {n} && up.duration < duration('5m')",
    "threads.count > 1{n}00 || files.ratio > 0.9{n}",
)
"""Each is true of every sick target and of no other."""
SICK = {
    "probe.ok": (1, 0),
    "probe.failures": (0, 20),
    "instances.sick": (0, 1),
    "cpu.ratio": (0.4, 0.999),
    "memory.ratio": (0.4, 0.999),
    "errors.ratio": (0.0, 0.9),
    "latency.p90": (0.05, 30.0),
    "latency.p99": (0.1, 40.0),
    "requests.rate": (100, 100),
    "restarts.rate": (0, 60),
    "up.duration": (90_000, 20),
    "threads.count": (50, 9_000),
    "files.ratio": (0.1, 0.999),
    "change.recent": (0, 0),
    "replicas.ready": (3, 0),
}
"""Well and sick values by column; of the other columns any value does."""


def policies(most: int) -> list[Policy]:
    """A hundred: a quarter watches only, a quarter asks; some read labels, kinds or one namespace only."""
    return [compile_policy(json.dumps(_document(n, most))) for n in range(100)]


def _document(n: int, most: int) -> dict[str, object]:
    mode = ("Enforce", "Enforce", "Observe", "Approve")[n % 4]
    targets = (
        {"allowAll": True},
        {"kinds": ["Service"], "allowAll": True},
        {"selector": {"matchLabels": {"tier": TIERS[n % 4]}}},
    )[n % 3]
    return {
        "apiVersion": "gyrostat.dev/v1alpha1",
        "kind": "ClusterRemediationPolicy",
        "metadata": {"name": f"policy-{n:02}"},
        "spec": {
            "mode": mode,
            "targets": {**targets, "max": most},
            "when": CONDITIONS[n % 10].format(n=n // 10 or 1),
            "for": "200ms" if n % 2 else "400ms",
            "severity": ("Warning", "Critical")[n % 2],
            "priority": n,
            "action": {"type": "Restart"} if n % 2 else {"type": "Scale", "scale": {"by": "+1"}},
            "verify": {"initialDelay": "2m", "within": "10m"},
        },
    }


def _targets(count: int) -> list[Target]:
    return [Target("memory", "Service", f"team-{n % 50:02}", f"service-{n:06}", f"u{n}") for n in range(count)]


def _facts(target: Target, n: int, now: float, *, sick: bool) -> Facts:
    instances = tuple(Instance(str(i), f"{n}{i}@5.0", not sick, 5.0) for i in range(3))
    fields = {"desired": 3} | {f"slots/{i.slot}/incarnation": i.incarnation for i in instances}
    return Facts(now, 3, 0 if sick else 3, 0, 12, fields, instances, {"tier": TIERS[n % 4]})


def fill(processor: Processor, count: int, share: float, now: float) -> None:
    """Let the processor know them all; this share of them, spread evenly, is sick. As sources do, but in arrays."""
    every = _targets(count)
    generator = np.random.default_rng(1)
    sick = dict(zip(every, (generator.random(count) < share).tolist(), strict=True))
    facts = {target: _facts(target, n, now, sick=sick[target]) for n, target in enumerate(every)}
    processor.ingest(Reading(now, "memory", facts))
    order = processor.snapshot(now).targets
    ill = np.array([sick[target] for target in order])
    rows = np.arange(count)
    for spec in COLUMNS.values():
        if spec.name not in processor._cells or spec.name in ("replicas.desired", "replicas.min", "replicas.max"):
            continue
        well, bad = SICK.get(spec.name, (0.0, 0.0) if spec.kind is Kind.BOOL else (1.0, 1.0))
        noise = 0 if spec.kind is Kind.BOOL else generator.random(count) * 1e-6
        values = np.where(ill, float(bad), float(well)) + noise
        cells = (values, np.full(count, now), np.full(count, 50.0))
        processor._cells[spec.name].put_many(spec, rows, cells)
    processor._last[:] = now


def memory_platform(count: int) -> MemoryPlatform:
    """The simulator with so many workloads, all well."""
    platform = MemoryPlatform()
    for n in range(count):
        platform.add(f"team-{n % 20:02}", f"service-{n:04}", 2, bounds=(0, 12), labels={"tier": TIERS[n % 4]})
    return platform
