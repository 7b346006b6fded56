"""Each pattern fires where it must, not beside it, and is unknown where it can not be told."""

import pytest

from .support import value

SPIKE = {"requests.count": 50.0, "errors.ratio": 0.06, "errors.ratio_baseline": 0.01}
SLOW = {"latency.p99": 0.31, "latency.p99_baseline": 0.2, "latency.p99_mad": 0.01}
DROP = {"requests.rate": 4.0, "requests.rate_baseline": 10.0}
SILENT = {"telemetry.age": 121.0, "replicas.ready": 2.0, "requests.rate_baseline": 0.2}
LEAK = {"memory.slope": 100_000.0, "memory.bytes": 800e6, "memory.ratio": 0.85}


@pytest.mark.parametrize(("name", "values", "counts", "answer"), [
    ("error_spike", SPIKE, {}, True),
    ("error_spike", {**SPIKE, "requests.count": 49.0}, {}, False),
    ("error_spike", {**SPIKE, "errors.ratio": 0.05}, {}, False),
    ("error_spike", {**SPIKE, "errors.ratio_baseline": 0.02}, {}, False),
    ("error_spike", {**SPIKE, "errors.ratio_baseline": 0.0}, {}, True),
    ("error_spike", {**SPIKE, "errors.ratio_baseline": None}, {}, None),
    ("error_spike", {"requests.count": 3.0}, {}, False),
    ("error_spike", {}, {}, None),
    ("latency_increase", SLOW, {"latency.p99": 100.0}, True),
    ("latency_increase", SLOW, {"latency.p99": 99.0}, False),
    ("latency_increase", {**SLOW, "latency.p99": 0.3}, {"latency.p99": 100.0}, False),
    ("latency_increase", {**SLOW, "latency.p99_mad": 0.05}, {"latency.p99": 100.0}, False),
    ("latency_increase", {**SLOW, "latency.p99_baseline": None}, {"latency.p99": 100.0}, None),
    ("throughput_drop", DROP, {}, True),
    ("throughput_drop", {**DROP, "requests.rate": 5.0}, {}, False),
    ("throughput_drop", {"requests.rate": 0.0, "requests.rate_baseline": 1.0}, {}, False),
    ("throughput_drop", {**DROP, "requests.rate": None}, {}, None),
    ("silence", SILENT, {}, True),
    ("silence", {**SILENT, "telemetry.age": 120.0}, {}, False),
    ("silence", {**SILENT, "replicas.ready": 0.0}, {}, False),
    ("silence", {**SILENT, "requests.rate_baseline": 0.1}, {}, False),
    ("silence", {**SILENT, "requests.rate_baseline": None}, {}, None),
    ("silence", {"replicas.ready": 2.0}, {}, None),  # it never said anything, so nobody knows that it should
    ("saturation", {"cpu.ratio": 0.91, "memory.ratio": 0.1}, {}, True),
    ("saturation", {"memory.ratio": 0.96}, {}, True),
    ("saturation", {"queue.depth": 81.0, "queue.limit": 100.0}, {}, True),
    ("saturation", {"cpu.ratio": 0.9, "memory.ratio": 0.95, "queue.depth": 80.0, "queue.limit": 100.0}, {}, False),
    ("saturation", {"cpu.ratio": 0.1, "memory.ratio": 0.1}, {}, False),
    ("saturation", {"cpu.ratio": 0.1, "memory.ratio": 0.1, "queue.depth": 1.0, "queue.limit": None}, {}, None),
    ("leak", LEAK, {}, True),
    ("leak", {**LEAK, "memory.slope": 78_000.0}, {}, False),
    ("leak", {**LEAK, "memory.slope": 0.0}, {}, False),
    ("leak", {**LEAK, "memory.slope": -1e6}, {}, False),
    ("leak", {**LEAK, "memory.ratio": None}, {}, None),
])  # fmt: skip
def test_a_pattern(
    name: str, values: dict[str, float | None], counts: dict[str, float], *, answer: bool | None
) -> None:
    assert value(f"pattern.{name}", values, counts) is answer
