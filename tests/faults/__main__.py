"""Every row of the fault matrix: `python -m tests.faults` runs all, `… F13 F15` some, `… --list` shows them.

`… N` instead runs N random kills (F1), each with an action in flight. Every row appends one JSON line to the results
file, of which the table in the docs is made: row, outcome, tests, seconds, commit, date. Ends with 1 if any failed.
"""

import argparse
import json
import re
import shlex
import subprocess
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

from controller.clock import Clock
from tests.faults.rig import ROOT
from tests.faults.rows import ROWS, Row

RESULTS = ROOT / "fault-results.jsonl"
COUNTS = re.compile(r"(\d+) (passed|failed|skipped|error)")


def commit() -> str:
    """What was tested."""
    done = subprocess.run(
        ["git", "describe", "--always", "--dirty"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    return done.stdout.strip() or "unknown"


def today() -> str:
    return datetime.fromtimestamp(Clock().now(), UTC).isoformat(timespec="seconds")


def keep(line: dict[str, object], results: Path) -> None:
    """Append a result."""
    with results.open("a") as file:
        file.write(json.dumps(line) + "\n")


def run(row: Row, results: Path) -> bool:
    """Run the tests of one row; a row of which nothing ran, or something was skipped, is not shown."""
    began, counts, failed = time.monotonic(), dict.fromkeys(("passed", "failed", "skipped", "error"), 0), []
    for words in row.tests:
        command = [sys.executable, "-m", "pytest", "-q", "--no-header", *shlex.split(words)]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
        found = COUNTS.findall(done.stdout.splitlines()[-1] if done.stdout else "")
        for count, what in found:
            counts[what] += int(count)
        if done.returncode or not found:
            failed.append(words)
            sys.stdout.write(done.stdout[-4000:] + done.stderr[-2000:])
    outcome = "failed" if failed else "skipped" if counts["skipped"] else "held"
    line = {"row": row.id, "fault": row.fault, "shows": row.shows, "outcome": outcome, "tests": counts["passed"]}
    line |= {"seconds": round(time.monotonic() - began, 1), "commit": commit(), "at": today()}
    keep(line, results)
    sys.stdout.write(f"{row.id:4} {outcome:8} {counts['passed']:4} tests {line['seconds']:7} s  {row.fault}\n")
    sys.stdout.flush()
    return outcome == "held"


def kills(count: int, seed: int | None, results: Path) -> int:
    """Random kills; the last line of them is the result of the row."""
    command = [sys.executable, "-m", "tests.faults.random_kills", str(count)]
    command += ["--seed", str(seed)] if seed is not None else []
    began, last = time.monotonic(), "{}"
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        for last in process.stdout:
            sys.stdout.write(last)
            sys.stdout.flush()
    found = json.loads(last)
    outcome = "held" if process.returncode == 0 and found.get("runs", 0) >= count else "failed"
    line = {"row": "F1", "fault": "kill -9 at random", "outcome": outcome} | found
    keep(line | {"seconds": round(time.monotonic() - began, 1), "commit": commit(), "at": today()}, results)
    return outcome != "held"


def show(rows: list[Row]) -> None:
    """Each row with what shows it."""
    for row in rows:
        sys.stdout.write(f"{row.id:4} {row.fault}: {row.shows}\n")
        for line in row.tests or (f"waits for {row.waits}",):
            sys.stdout.write(f"       {line}\n")


def main() -> int:
    parser = argparse.ArgumentParser(prog="tests.faults", description=__doc__)
    parser.add_argument("what", nargs="*", help="rows, e.g. F13; or a number of random kills")
    parser.add_argument("--list", action="store_true", help="show the rows and run nothing")
    parser.add_argument("--seed", type=int, help="of random kills")
    parser.add_argument("--results", type=Path, default=RESULTS)
    options = parser.parse_args()
    if len(options.what) == 1 and options.what[0].isdecimal():
        return kills(int(options.what[0]), options.seed, options.results)
    known = {row.id: row for row in ROWS}
    if unknown := [name for name in options.what if name not in known]:
        parser.error(f"no row {', '.join(unknown)}; there are: {', '.join(known)}")
    rows = [known[name] for name in options.what] or list(ROWS)
    if options.list:
        show(rows)
        return 0
    held = [run(row, options.results) for row in rows if row.tests]
    for row in rows:
        if not row.tests:
            sys.stdout.write(f"{row.id:4} waits for {row.waits}\n")
    return 0 if all(held) else 1


if __name__ == "__main__":
    sys.exit(main())
