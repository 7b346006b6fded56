"""`make bench`: every benchmark of this folder, as one table; names as arguments choose some of them."""

import os
import platform
import sys
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from importlib import import_module
from pathlib import Path

from controller.clock import Clock
from tests.benchmarks.rows import Row, table


def benches() -> Mapping[str, Callable[[], list[Row]]]:
    """Each `bench_<name>.py` of this folder has a `run() -> list[Row]`."""
    names = sorted(path.stem for path in Path(__file__).parent.glob("bench_*.py"))
    return {name.removeprefix("bench_"): import_module(f"tests.benchmarks.{name}").run for name in names}


def machine() -> str:
    """Where it was measured."""
    model = next((line.split(":", 1)[1].strip() for line in _cpu() if line.startswith("model name")), "unknown CPU")
    return f"{os.cpu_count()} x {model}, Linux {platform.release()}, Python {platform.python_version()}"


def _cpu() -> list[str]:
    return Path("/proc/cpuinfo").read_text().splitlines()


def main(chosen: list[str]) -> int:
    """Run and print; 1 if something that must be is not."""
    every = benches()
    unknown = [name for name in chosen if name not in every]
    if unknown:
        print(f"no benchmark {', '.join(unknown)}; there are: {', '.join(every)}", file=sys.stderr)
        return 2
    rows = []
    for name in chosen or every:
        print(f"{name} …", file=sys.stderr, flush=True)
        rows += every[name]()
    print(f"{datetime.fromtimestamp(Clock().now(), UTC):%Y-%m-%d}, {machine()}, `make bench`\n\n{table(rows)}")
    return int(any(row.met is False for row in rows))


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
