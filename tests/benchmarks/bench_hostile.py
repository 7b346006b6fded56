"""The most hostile policies that still load: as many divisions as a set may have, shared by none (P27)."""

import tempfile
from pathlib import Path
from statistics import median
from time import process_time

from controller.core.agents import PolicyAgent
from controller.core.records import Led, Loaded
from controller.core.state import State
from controller.core.wish import Limits
from policies.load import load_folder, together
from telemetry.expression import MAX_OPERATIONS_OF_A_SET
from telemetry.processor import Processor
from tests.benchmarks.rows import Row
from tests.benchmarks.world import NOW, fill
from tests.policies.make import costly

TARGETS = 10_000
TICKS = 12
INTERVAL = 1_000.0
"""Milliseconds between two ticks, by default."""


def run() -> list[Row]:
    """Milliseconds to load the set, and of a tick in which nothing holds."""
    with tempfile.TemporaryDirectory() as name:
        whole = f"allowAll: true, max: {TARGETS}"
        for number in range(MAX_OPERATIONS_OF_A_SET // 252):
            (Path(name) / f"{number:03}.yaml").write_text(costly(number).replace("allowAll: true", whole))
        began = process_time()
        loaded = load_folder(Path(name))
        load = (process_time() - began) * 1e3
    processor, agent, state = Processor(), PolicyAgent(), State()
    fill(processor, TARGETS, 0.0, NOW)
    state.apply(Led(NOW - 3600, 1, "bench"))
    for policy in loaded.policies:
        state.apply(Loaded(NOW - 3600, policy.name, policy.hash, policy.content))
    took = []
    for n in range(TICKS):
        now = NOW + n * 0.04
        began = process_time()
        agent.propose(now, processor.snapshot(now), loaded.policies, state, Limits())
        took.append((process_time() - began) * 1e3)
    operations = together(loaded.policies)
    return [
        Row(f"hostile policies: {len(loaded.policies)} of {operations:,} operations, loaded", load, "ms"),
        Row(f"… judged over {TARGETS:,} targets in a tick", median(took), "ms", INTERVAL),
    ]
