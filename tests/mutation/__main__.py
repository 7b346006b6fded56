"""`python -m tests.mutation [--results FILE] [--only TEXT] [--sample N]`: make mistakes; does a test notice?

Results are kept in FILE as they come, so that a run that is stopped goes on where it was. Then `--write` renews
`docs/mutation.md` from them, with the reasons of `survivors.py`.
"""

import argparse
import os
import random
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parents[2]
ROOMS = ("controller/core", "audit")
JUDGED = tuple(f"tests/scenarios/test_{name}.py" for name in ("judgement", "promises_core", "silence"))
KEPT = ("test_every_kept_input_keeps_the_rules", "test_small_changes_of_what_is_right_keep_the_rules")
ATTACKS = ("tests/faults/test_trail_attacks.py", *(f"tests/fuzz/test_fuzz.py::{name}" for name in KEPT))
TESTS = ("tests/controller/core", "tests/audit", "tests/contracts/test_store.py", *JUDGED, *ATTACKS)
SEED = 5


def main() -> int:
    """Run, or write the page."""
    parser = argparse.ArgumentParser(prog="python -m tests.mutation")
    parser.add_argument("--results", type=Path, default=Path(tempfile.gettempdir(), "gyrostat-mutants.jsonl"))
    parser.add_argument("--only", default="", help="mutants whose name holds this text")
    parser.add_argument("--again", action="store_true", help="those that survived in the results, anew")
    parser.add_argument("--sample", type=int, default=0, help="so many, chosen by a fixed seed; 0 takes all")
    parser.add_argument("--budget", type=float, default=4.0, help="seconds of tests that a mutant gets")
    parser.add_argument("--jobs", type=int, default=2, help="forks at once")
    parser.add_argument("--write", action="store_true", help="renew docs/mutation.md from the results")
    parser.add_argument("--tests", nargs="+", default=TESTS, help="what is run")
    parser.add_argument("--day", default="today", help="of the run, for the page")
    given = parser.parse_args()
    os.chdir(ROOT)
    return run(given)


def run(given: argparse.Namespace) -> int:
    """Run the mutants, or write the page."""
    from tests.mutation.mutants import mutants
    from tests.mutation.page import fates, write
    from tests.mutation.run import SURVIVED, UNREACHED, How, Mutate, collect

    paths = [path for room in ROOMS for path in sorted((ROOT / room).rglob("*.py"))]
    found = [mutant for path in paths for mutant in mutants(path, ROOT) if given.only in mutant.name]
    if given.write:
        return write(given.results, {mutant.name for mutant in found}, given.day)
    if given.sample and given.sample < len(found):
        found = random.Random(SEED).sample(found, given.sample)
    if given.again:
        known = fates(given.results)
        found = [mutant for mutant in found if known.get(mutant.name) in (None, SURVIVED, UNREACHED)]
        given.results = given.results.with_suffix(".again.jsonl")
    return collect(given.tests, Mutate(found, ROOMS, ROOT, How(given.results, given.budget, given.jobs)))


if __name__ == "__main__":
    sys.exit(main())
