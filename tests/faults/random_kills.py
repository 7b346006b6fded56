"""F1 at random: `python -m tests.faults.random_kills N --seed S` until N runs had an action in flight when they died.

Each run tells one to three stories at once, kills the loop at a random boundary or moment, and in one of three runs
kills it once more while it recovers. A run is repeated alone by `--only NUMBER` with the same seed. One JSON line each.
"""

import argparse
import contextlib
import json
import random
import sys
import time
from dataclasses import dataclass

from tests.faults.matrix import STORIES, Run, calm, check, over, policies, services
from tests.faults.rig import WITHIN, Rig, rig

WRITES = ("commit", "committed", "precheck", "call", "called")
EVERY = {"plan", "checkpoint", *(f"{place} {kind}" for place in WRITES[:2] for kind in ("Outcome", "Passed", "Closed"))}
PATIENCE = 8.0
"""Seconds in which a boundary must be hit; else the run was told to die where its stories never come."""


@dataclass(frozen=True, slots=True)
class Chance:
    """What one run does."""

    stories: tuple[str, ...]
    at: str
    nth: int
    second: float | None

    @classmethod
    def draw(cls, seed: int, number: int) -> "Chance":
        """The same for the same seed and number."""
        dice = random.Random(f"{seed}:{number}")
        stories = tuple(dice.sample(sorted(STORIES), dice.choice([1, 1, 2, 3])))
        steps = {step for story in stories for step in STORIES[story].steps}
        places = sorted(EVERY | {f"{place} {step}" for place in WRITES for step in steps})
        at = dice.choice([*places, *(f"after {dice.uniform(0.2, 2.0):.2f} s" for _ in range(len(places) // 4))])
        return cls(stories, at, dice.choice([1, 1, 1, 2]), dice.uniform(0.3, 2.0) if dice.random() < 1 / 3 else None)


def play(made: Rig, chance: Chance) -> bool:
    """One run; whether an action was in flight when the loop died."""
    if not made.alive():
        made.start_loop()
        made.view()
    runs = [Run(made, story) for story in chance.stories]
    by_time = chance.at.startswith("after ")
    patience = float(chance.at.split()[1]) if by_time else PATIENCE
    if not by_time:
        made.order(chance.at, nth=chance.nth)
    for run in runs:
        run.begin()
    deadline = time.monotonic() + patience
    while made.alive() and time.monotonic() < deadline and not over(made, runs):
        for run in runs:
            run.play()
            run.help()
        time.sleep(0.02)
    hit = by_time or not made.alive()
    made.kill_loop()
    made.cancel()
    at_death = made.trail()
    in_flight = hit and any(run.in_flight(chance.at) for run in runs)
    if chance.second is not None:
        made.start_loop()
        time.sleep(chance.second)
        made.kill_loop()
    made.start_loop()
    began = time.monotonic()
    calm(made, runs, chance)
    assert time.monotonic() - began < WITHIN
    made.forget()
    check(made)
    assert made.trail()[: len(at_death)] == at_death, "I6: what was acknowledged before the crash changed"
    return in_flight


def main() -> int:
    """Returns 0 if nothing was violated."""
    parser = argparse.ArgumentParser(prog="tests.faults.random_kills", description=__doc__)
    parser.add_argument("runs", type=int, help="how many with an action in flight")
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(10**6))
    parser.add_argument("--only", type=int, help="this one alone")
    options = parser.parse_args()
    numbers = iter([options.only]) if options.only is not None else iter(range(100 * options.runs))
    done = idle = violated = 0
    stack = contextlib.ExitStack()
    made: Rig | None = None
    with stack:
        while done < options.runs and (number := next(numbers, None)) is not None:
            chance = Chance.draw(options.seed, number)
            line = {"fault": "F1", "seed": options.seed, "run": number, "stories": chance.stories, "at": chance.at}
            began = time.monotonic()
            try:
                if made is None:
                    made = stack.enter_context(rig(services(*STORIES), policies(*STORIES), checkpoint_records=10))
                in_flight = play(made, chance)
                done, idle = done + in_flight, idle + (not in_flight)
                line |= {"nth": chance.nth, "in_flight": in_flight, "seconds": round(time.monotonic() - began, 2)}
            except AssertionError as error:
                violated += 1
                done += 1
                line |= {"violated": str(error)}
                stack.close()
                made = None
            sys.stdout.write(json.dumps(line) + "\n")
            sys.stdout.flush()
    sys.stdout.write(json.dumps({"seed": options.seed, "runs": done, "idle": idle, "violated": violated}) + "\n")
    return 1 if violated or not done else 0


if __name__ == "__main__":
    sys.exit(main())
