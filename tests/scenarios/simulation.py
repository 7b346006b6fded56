"""A world that goes wrong in every way that a seed can choose, around the real loop, trail, executor and store.

One thread, no sleep: effects wait in a queue until the simulation lets them happen, time is a number, and a crash is an
exception that nothing in the program can catch. The same seed is the same history.
"""

import json
import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from actions.plan import Change
from actions.platforms.memory import Fault, MemoryPlatform
from audit.journal import Fenced, JournalError
from audit.stores.sqlite import SqliteStore
from controller import executor as executor_module
from controller import loop as loop_module
from controller.core.records import Said, Verb
from controller.core.state import dump
from controller.core.tick import tick
from controller.inbox import Ask, Waiting
from controller.trail import say
from telemetry.inventory import Sample
from telemetry.target import Target
from telemetry.verdict import Verdict

from .checker import Broken, Checker, Inputs
from .policies import documents
from .process import LIMITS, Controller, Quiet

START = 1_800_000_000.0
RATES = {Fault.REFUSED: 0.02, Fault.UNREACHABLE: 0.01, Fault.LOST_BEFORE: 0.08, Fault.LOST_AFTER: 0.08}


REPLAYED = 0.1
"""Share of the decisions that are made a second time from their recorded inputs."""

PEACE = 100
"""Turns of six seconds after the last fault, in which everything must be settled."""


class Crash(BaseException):
    """The process is gone, from one moment to the next."""


@dataclass(frozen=True, slots=True)
class Odds:
    """Probabilities per turn."""

    crash: float = 0.16
    takeover: float = 0.02
    store: float = 0.01
    stop: float = 0.02
    edit: float = 0.02
    blind: float = 0.15
    jump: float = 0.5  # per restart


class Simulation:
    """One history."""

    def __init__(self, seed: int, path: Path, services: int = 60, odds: Odds | None = None) -> None:
        self.seed, self.odds = seed, odds or Odds()
        self.random = random.Random(seed)
        self.dir, self.path, self.policies = path, path / "trail.db", path / "policies"
        self.wall, self.steady = START, 0.0
        self.count: Counter[str] = Counter()
        self.crashes: Counter[str] = Counter()
        self.fuse = 0
        self.calm = False
        self.edition = 0
        self.log = Quiet()
        self.tick = tick
        self.platform = MemoryPlatform(seed, RATES, startup=1.0)
        tiers = ("web", "db", "batch", "cache")
        for n in range(services):
            self.platform.add("shop", f"s{n}", 1 + n % 4, bounds=(0, 12), labels={"tier": tiers[n % 4]})
        self.load = dict.fromkeys(self.platform.workloads, 0.4)
        self.leak = dict.fromkeys(self.platform.workloads, 0.3)
        self.policies.mkdir()
        self.publish()
        self.checker = Checker(SqliteStore.open(self.path), LIMITS.max_concurrent)
        self.controller = self._new()
        self.stale: Controller | None = None

    # --- faults

    def boundary(self, name: str) -> None:
        """A step boundary: the fuse burns down."""
        if self.fuse > 0:
            self.fuse -= 1
            if self.fuse == 0:
                self.crashes[name] += 1
                self.count["crashes"] += 1
                self.checker.catch_up()
                books = self.checker.books
                self.count["crashes in flight"] += len(books.intents) > len(books.outcomes)
                raise Crash(name)

    def store_fault(self) -> str:
        if self.calm or self.random.random() >= self.odds.store:
            return ""
        fault = self.random.choice(("full", "lost before", "lost after"))
        self.count[f"store {fault}"] += 1
        return fault

    def apply(self, epoch: int, change: Change, intent_id: str) -> Verdict:
        self.checker.called(epoch, change, intent_id)
        workload = self.platform.workloads.get(change.object)
        was = workload.desired if workload else None
        before = len(self.platform.effects)
        verdict = self.platform.apply(change, intent_id)
        if len(self.platform.effects) > before:
            self.checker.written(change, was, intent_id)
        self.count["calls"] += 1
        self.count[f"call {verdict}"] += 1
        if verdict is Verdict.UNKNOWN and self.random.random() < 0.15:
            self.platform.reachable = False
        return verdict

    # --- the world

    def publish(self) -> None:
        """Write the policies, as a person edits them."""
        for name, spec in documents(self.edition).items():
            path = self.policies / f"{name}.yaml"
            if name == "spread" and self.edition % 5 == 4:
                path.unlink(missing_ok=True)
                continue
            document = {
                "apiVersion": "gyrostat.dev/v1alpha1",
                "kind": "ClusterRemediationPolicy",
                "metadata": {"name": name},
                "spec": spec,
            }
            path.write_text(json.dumps(document))
        self.edition += 1

    def reading(self, now: float) -> Any:
        """What the sources see, except of what is dark."""
        reading = self.platform.read(now)
        samples = [
            sample
            for target, facts in reading.facts.items()
            for sample in (
                Sample(target, "cpu.ratio", min(1.0, self.load[target] / max(1, facts.ready)), now),
                Sample(target, "memory.ratio", self.leak[target], now),
            )
        ]
        dark = self.dark
        kept = [
            sample
            for sample in (*reading.samples, *samples)
            if sample.target not in dark or (sample.column == "cpu.ratio" and dark[sample.target])
        ]
        return type(reading)(reading.at, reading.platform, reading.facts, kept, reading.error)

    @property
    def dark(self) -> dict[Target, bool]:
        """Targets of which no telemetry comes just now; True: some of it still does."""
        period = int(self.steady // 60)
        chance = 0 if self.calm else self.odds.blind
        places = {target: (n * 7 + period * 13) % 101 for n, target in enumerate(self.platform.workloads)}
        return {target: bool(place % 2) for target, place in places.items() if place < chance * 101}

    def pass_time(self) -> None:
        seconds = 6.0 if self.calm else self.random.choice((0.5, 1.0, 1.0, 2.0, 3.0))
        self.wall += seconds
        self.steady += seconds
        self.platform.step(seconds)
        if not self.platform.reachable and self.random.random() < 0.15:
            self.platform.reachable = True
        if self.calm:
            self.platform.reachable = True
            return
        for target in self.random.sample(sorted(self.platform.workloads), (len(self.platform.workloads) + 9) // 10):
            self._happens(target)

    def _happens(self, target: Target) -> None:
        """Something befalls a service."""
        workload, chance = self.platform.workloads[target], self.random
        what = chance.randrange(20)
        if what < 7 and workload.copies:
            for slot in chance.sample(sorted(workload.copies), chance.randint(1, len(workload.copies))):
                workload.copies[slot].sick = True
        elif what < 9:
            for copy in workload.copies.values():
                copy.sick = False
        elif what < 13:
            self.load[target] = chance.choice((0.2, 0.5, 1.0, 3.0, 5.0))
        elif what < 15:
            self.leak[target] = chance.choice((0.2, 0.4, 0.85, 0.95))
        elif what == 15:
            workload.broken = not workload.broken
        elif what == 16:
            self.count["other writers"] += 1
            before, after = workload.desired, chance.randint(1, 6)
            self.platform.edit(target, after)
            if after != before:  # a value that is as we left it cannot be told from ours
                self.checker.taken_over(target)
        elif what == 17 and chance.random() < 0.3:
            self._recreate(target)

    def _recreate(self, target: Target) -> None:
        """Deleted, and created again under the same name: another uid."""
        self.count["recreated"] += 1
        old = self.platform.workloads[target]
        self.platform.remove(target)
        self.checker.taken_over(target)
        again = self.platform.add(target.namespace, target.name, 2, bounds=(0, 12), labels=old.labels)
        self.load[again], self.leak[again] = self.load.pop(target), self.leak.pop(target)

    # --- people

    def people(self) -> None:
        """Somebody stops everything, or asks for something."""
        chance, verbs = self.random, list(Verb)
        if chance.random() < self.odds.stop:
            name = chance.choice(("paused", "frozen"))
            (self.dir / name).write_text("a drill\n")
            self.count[name] += 1
            self._note_flags()
        for name in ("paused", "frozen"):
            if (self.dir / name).exists() and chance.random() < 0.2:
                (self.dir / name).unlink()
                self._note_flags()
        if chance.random() < self.odds.stop:
            self._say(chance.choice((Verb.PAUSE, Verb.FREEZE)))
        stopped = self.checker.books.stopped
        for name, verb in (("paused", Verb.RESUME), ("frozen", Verb.UNFREEZE)):
            if stopped[name] and chance.random() < 0.2:
                self._say(verb)
        for _ in range(3):
            episodes = list(self.controller.trail.state.episodes.values())
            if not episodes:
                break
            episode, verb = chance.choice(episodes), chance.choice(verbs)
            if episode.needs_human:
                verb = Verb.ACK
            elif verb in (Verb.UNDO, Verb.ABORT) and chance.random() < 0.7:
                continue
            if verb in (Verb.UNDO, Verb.ABORT, Verb.ACK, Verb.APPROVE):
                self._ask(Ask("ann", verb, "a drill", episode.id))
        if chance.random() < 0.1:
            self._ask(self._act())

    def _act(self) -> Ask:
        target = self.random.choice(sorted(self.platform.workloads))
        scale = {"type": "Scale", "scale": {"by": "+1"}, "hold": "15s"}
        restart = {"type": "Restart", "restart": {"instances": "All"}}
        action = self.random.choice((scale, restart))
        return Ask("ann", Verb.ACT, "a drill", act={"target": target.ref, "action": action})

    def _ask(self, ask: Ask) -> None:
        self.count[f"asked {ask.verb}"] += 1
        self.controller.loop.inbox.put(Waiting(ask))

    def _say(self, verb: Verb) -> None:
        """From another process, by the trail."""
        self.count[f"said {verb}"] += 1
        say(self.checker.store, Said(self.controller.clock.now(), "bob", verb, "a drill"))

    def _note_flags(self) -> None:
        """What a controller that has turned since must obey."""
        self.checker.flags = {name: (self.dir / name).exists() for name in ("paused", "frozen")}

    # --- history

    def decide(self, now: float, snapshot: Any, state: Any, proposals: Sequence[Any], rules: Any) -> list[Any]:
        """The decision, watched."""
        replay = self.random.random() < REPLAYED
        inputs = Inputs(now, snapshot, dump(state) if replay else b"", proposals, rules)
        records = self.tick(now, snapshot, state, proposals, rules)
        self.checker.decided(inputs, records)
        return records

    def step(self) -> None:
        """One turn of the world."""
        self.count["turns"] += 1
        self.pass_time()
        if not self.calm:
            self.people()
            if self.random.random() < self.odds.edit:
                self.publish()
            if self.random.random() < self.odds.crash:
                self.fuse = self.random.randint(1, 40)
            if self.stale is None and self.random.random() < self.odds.takeover:
                self._take_over()
        try:
            self.controller.turn()
            self.checker.obeyed = bool(self.controller.trail.state.frozen)
            self.controller.work(1000 if self.calm else self.random.choice((0, 2, 10, 1000)))
            if self.stale and self.random.random() < 0.3:
                self._come_back(self.stale)
        except Crash:
            self._restart()
        self.checker.catch_up()
        if self.random.random() < 0.05:
            self.checker.survives()
            if self.controller.trail.seq == self.checker.link.seq:
                self.checker.same_state(self.controller.trail.state)

    def _restart(self) -> None:
        self.fuse = 0
        self.controller.close()
        self._jump()
        self.controller = self._new()

    def _new(self) -> Controller:
        """A controller that could be started: the store may break off while it starts."""
        while True:
            try:
                return Controller(self)
            except JournalError:
                self.count["failed starts"] += 1

    def _jump(self) -> None:
        if self.random.random() < self.odds.jump:
            hours = self.random.choice((-1, 1, -24, 30, -240, 2))
            self.wall += hours * 3600
            self.count["clock jumps"] += 1

    def _take_over(self) -> None:
        """The leader is stopped in the middle; another one leads."""
        self.count["takeovers"] += 1
        self.count["takeovers in flight"] += bool(self.controller.later.waiting)
        self.stale, self.controller = self.controller, self._new()

    def _come_back(self, stale: Controller) -> None:
        """The old leader goes on where it was stopped."""
        self.stale = None
        try:
            stale.work(self.random.choice((0, 1000)))
            stale.turn()
            stale.turn()
        except Fenced:
            self.count["fenced"] += 1
        finally:
            stale.close()

    def run(self, turns: int) -> None:
        """So many turns in trouble, and then peace until everything is settled."""
        patch = pytest.MonkeyPatch()
        patch.setattr(loop_module, "tick", self.decide)
        patch.setattr(loop_module, "log", self.log)
        patch.setattr(executor_module, "SETTLE_WITHIN", 0.0)  # one look, no sleep
        try:
            for _ in range(turns):
                self.step()
            self.peace()
        except (Exception, Broken) as error:
            error.add_note(f"seed {self.seed}, turn {self.count['turns']}, record {self.checker.link.seq}")
            raise
        finally:
            patch.undo()

    def peace(self) -> None:
        """No more faults, nobody stops anything; then everything must be settled."""
        self.calm, self.fuse = True, 0
        self.platform._rates = {}
        for name in ("paused", "frozen"):
            (self.dir / name).unlink(missing_ok=True)
        self._note_flags()
        self._say(Verb.RESUME)
        self._say(Verb.UNFREEZE)
        for target, workload in self.platform.workloads.items():
            self.load[target], self.leak[target], workload.broken = 0.1, 0.1, False
            for copy in workload.copies.values():
                copy.sick = False
        if self.stale:
            self._come_back(self.stale)
        for _ in range(PEACE):
            self.step()
        self.checker.same_state(self.controller.trail.state)
        self.checker.survives()
        self.checker.settled()

    def close(self) -> None:
        self.controller.close()
        if self.stale:
            self.stale.close()
        self.checker.store.close()

    def totals(self) -> Counter[str]:
        checker = self.checker
        more = Counter({f"record {kind}": n for kind, n in checker.kinds.items()})
        more.update({f"step {step}": n for step, n in checker.steps.items()})
        more.update({f"held {reason}": n for reason, n in checker.reasons.items()})
        more["records"] = sum(checker.kinds.values())
        more["intents and outcomes"] = checker.kinds["Intent"] + checker.kinds["Outcome"]
        more["replayed"] = checker.replayed
        return self.count + more
