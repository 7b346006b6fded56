"""The whole tick: snapshot → conditions → proposals → decision → fold, without store and effects.

The worst case: a sick target is sick in the eyes of all hundred policies. Each size and share is a process of its own,
so that its memory is its own.
"""

import gc
import json
import resource
import subprocess
import sys
from statistics import median
from time import process_time

from actions.registry import ACTIONS
from controller.core.agents import PolicyAgent
from controller.core.guards import GUARDS
from controller.core.records import Intent, Led, Loaded, Outcome
from controller.core.state import State
from controller.core.tick import tick
from controller.core.wish import Limits, Rulebook
from telemetry.processor import Processor
from telemetry.verdict import Verdict
from tests.benchmarks.rows import Row
from tests.benchmarks.world import NOW, fill, policies

STEP = 0.04
"""Seconds between ticks: all of them within the time that samples and facts stay fresh."""
SHARES = (0.001, 0.01, 0.1, 1.0)
MUST = {10_000: (100.0, None), 100_000: (1_000.0, 1_536.0)}
"""By targets: milliseconds of the median tick, MiB of the process."""
TICKS = {10_000: 220, 100_000: 60}


def measure(count: int, share: float) -> dict[str, float]:
    """Milliseconds of a tick (median, worst), and the peak of this process in MiB."""
    processor, agent, state = Processor(), PolicyAgent(), State()
    fill(processor, count, share, NOW)
    made = policies(count)
    rules = Rulebook({p.hash: p for p in made}, ACTIONS, GUARDS, Limits())
    state.apply(Led(NOW - 3600, 1, "bench"))
    for policy in made:
        state.apply(Loaded(NOW - 3600, policy.name, policy.hash, policy.content))
    took, records = [], 0
    gc.collect()
    gc.freeze()
    for n in range(TICKS[count]):
        now = NOW + n * STEP
        began = process_time()
        snapshot = processor.snapshot(now)
        found = agent.propose(now, snapshot, made, state, rules.limits)
        decided = tick(now, snapshot, state, found, rules)
        for record in decided:
            state.apply(record)
            if isinstance(record, Intent):
                state.apply(Outcome(now, record.key, record.number, Verdict.PASS))
        took.append((process_time() - began) * 1e3)
        records += len(decided)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return {
        "median": median(took[1:]),
        "worst": max(took[1:]),
        "first": took[0],
        "peak": peak,
        "open": len(state.episodes),
        "intents": state.intents,
        "records": records,
        "storms": len(state.storms),
    }


def run() -> list[Row]:
    """Median and worst tick by size and share, and memory."""
    rows = []
    for count, (must, memory) in MUST.items():
        peak = 0.0
        for share in SHARES:
            argv = [sys.executable, "-m", "tests.benchmarks.bench_tick", str(count), str(share)]
            out = json.loads(subprocess.run(argv, capture_output=True, text=True, check=True).stdout)
            what = f"tick, {count:,} targets x 100 policies, {share:.1%} sick"
            rows.append(Row(what, out["median"], "ms", must))
            rows.append(Row(f"… worst of {TICKS[count]}, {out['open']:.0f} episodes open", out["worst"], "ms"))
            peak = max(peak, out["peak"])
        rows.append(Row(f"… memory of the process at its peak, {count:,} targets", peak, "MiB", memory))
    return rows


if __name__ == "__main__":
    print(json.dumps(measure(int(sys.argv[1]), float(sys.argv[2]))))
