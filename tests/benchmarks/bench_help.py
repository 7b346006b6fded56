"""The command line: how long the shortest command takes, as a whole process."""

import subprocess
import sys
from pathlib import Path
from statistics import median
from time import perf_counter

from tests.benchmarks.rows import Row

AUTO = Path(sys.executable).parent / "auto"
RUNS = 9


def run() -> list[Row]:
    """`auto --help`, the median of some runs behind a warm-up."""
    times = [_once() for _ in range(RUNS + 1)][1:]
    return [Row(f"auto --help, median of {RUNS}", median(times), "s", must=0.35)]


def _once() -> float:
    began = perf_counter()
    subprocess.run([AUTO, "--help"], stdout=subprocess.DEVNULL, check=True)
    return perf_counter() - began
