"""F1: kill -9 at every named boundary of every step, and what must hold afterwards.

A path is a story of the world: which service is ill, and until when. Its faults are all boundaries that the story
passes. Every run goes on in the same state directory, so each check holds the whole trail against the whole log.
"""

import contextlib
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

from actions.reason import Reason
from audit.stores.sqlite import SqliteStore
from audit.verify import verify
from controller.core.records import Closed, Failed, Held, Intent, Outcome, Passed
from controller.core.state import dump, fold, load
from controller.settings import STORE
from tests.faults.checker import findings
from tests.faults.rig import WITHIN, Rig, restart_policy, rig, scale_policy, words

RIVAL = "rival"
"""A service that hangs while no loop runs: so something new is wanted at the first tick after a crash."""


@dataclass(frozen=True, slots=True)
class Story:
    """What happens to a service.

    Attributes:
        ill: whether it is ill, from (effects accepted so far, verifications passed so far); None: it hangs instead.
        steps: the kinds of steps that the story passes, in order.
    """

    name: str
    policy: dict
    ill: Callable[[int, int], bool] | None
    steps: tuple[str, ...]


STORIES = {
    story.name: story
    for story in (
        Story("hung", restart_policy("hung"), None, ("Do",)),
        Story(
            "lasting",  # the first restart does not help, the second does
            restart_policy("lasting", verify={"initialDelay": "200ms", "within": "600ms"}),
            lambda effects, _: effects < 2,
            ("Do", "Failed"),
        ),
        Story("busy", scale_policy("busy"), lambda effects, _: effects < 1, ("Do", "Release")),
        Story(
            "worse",  # more instances do not help: put back, and then it is well
            scale_policy("worse", verify={"initialDelay": "200ms", "within": "600ms"}),
            lambda effects, _: effects < 2,
            ("Do", "Undo"),
        ),
        Story(
            "relapse",  # ill again when released: once more, held longer, released again
            scale_policy("relapse", verify={"initialDelay": "200ms", "within": "1s"}),
            lambda effects, passed: effects in (0, 2) or (effects == 1 and passed > 0),
            ("Do", "Release", "Redo"),
        ),
    )
}


@dataclass(frozen=True, slots=True)
class Fault:
    """One run of the matrix: where in which story."""

    story: str
    at: str
    after: str | None = None
    how: str = "kill"
    nth: int = 1

    def __str__(self) -> str:
        return f"{self.story}: {self.how} at {self.at}" + (f" after {self.after}" if self.after else "")


def around(story: str, step: str) -> list[Fault]:
    """Every boundary of one step, from its commit to its outcome."""
    write = [Fault(story, f"{place} {step}") for place in ("commit", "committed", "precheck", "call", "called")]
    return [*write, *(Fault(story, f"{place} Outcome", f"called {step}") for place in ("commit", "committed"))]


def both(story: str, kind: str, after: str) -> list[Fault]:
    """Before and after the append of a judgement."""
    return [Fault(story, f"{place} {kind}", after) for place in ("commit", "committed")]


RESTART = [
    *around("hung", "Do"),
    *both("hung", "Passed", "called Do"),
    *both("hung", "Closed", "called Do"),
    Fault("hung", "plan", "committed Do"),
    Fault("hung", "checkpoint", "committed Do"),
    *both("lasting", "Failed", "called Do"),
]
RELEASE = [
    *around("busy", "Do"),
    *both("busy", "Passed", "called Do"),
    *around("busy", "Release"),
    *both("busy", "Passed", "called Release"),
    *both("busy", "Closed", "called Release"),
    Fault("busy", "plan", "committed Release"),
    Fault("busy", "checkpoint", "committed Do"),
]
UNDO = [*around("worse", "Undo"), *both("worse", "Closed", "called Undo")]
REDO = [*around("relapse", "Redo"), *both("relapse", "Passed", "called Redo")]


def services(*stories: str) -> dict[str, int]:
    """The services of these stories."""
    return {RIVAL: 1} | {name: 2 if STORIES[name].ill is None else 1 for name in stories}


def policies(*stories: str) -> dict[str, dict]:
    """Their policies."""
    return {RIVAL: restart_policy(RIVAL)} | {name: STORIES[name].policy for name in stories}


RAISES = [
    replace(fault, how="raise")
    for fault in (*around("hung", "Do"), *both("hung", "Closed", "called Do"), Fault("hung", "plan", "committed Do"))
]
"""The same places, but something breaks there and the process lives on."""


@dataclass(slots=True)
class Tally:
    """What the runs of one rig amounted to.

    Attributes:
        dirty: the last run did not end well; what it left would be held against the next.
    """

    runs: int = 0
    open_at_death: int = 0
    settled: int = 0
    held_for_recovery: int = 0
    slowest: float = 0.0
    dirty: bool = False
    results: dict[str, int] = field(default_factory=dict)


class Run:
    """One fault, from calm to calm."""

    def __init__(self, rig: Rig, story: str) -> None:
        self.rig, self.story, self.name = rig, STORIES[story], story
        self._effects = len(rig.accepted(self.name))
        self._seq = len(rig.trail())

    def play(self) -> None:
        """Tell the story to the world as far as it has come."""
        if self.story.ill is None:
            return
        effects = len(self.rig.accepted(self.name)) - self._effects
        news = self.rig.records()[self._seq :]
        passed = sum(isinstance(r, Passed) and r.key.target.name == self.name for r in news)
        self.rig.ill(self.name, ill=self.story.ill(effects, passed))

    def begin(self) -> None:
        """The world turns ill, with the fault waiting."""
        if self.story.ill is None:
            self.rig.hang(self.name)

    def help(self) -> None:
        """What asks for a person gets one, and with that the story is over."""
        for episode in self.rig.folded().episodes.values():
            if episode.needs_human and episode.key.target.name == self.name:
                self.rig.ill(self.name, ill=False)
                self._effects = -1000
                self.rig.ask_loop(say={"verb": "ack", "why": "test", "about": episode.id})  # heard, or said again

    def told(self) -> bool:
        """Something came of it."""
        return len(self.rig.records()) > self._seq or len(self.rig.accepted(self.name)) > self._effects

    def in_flight(self, at: str) -> bool:
        """Whether the trail at this moment shows an action of the story under way, or just now being committed."""
        records = [r for r in self.rig.records()[self._seq :] if getattr(r, "key", None) is not None]
        mine = [r for r in records if r.key.target.name == self.name]
        if at == "commit Do":  # nothing durable, nothing done: the tick that wanted it is lost with it
            return not any(isinstance(r, Intent) for r in mine) and len(self.rig.accepted(self.name)) == self._effects
        if at in ("committed Closed", "committed Failed"):
            return any(isinstance(r, Closed | Failed) for r in mine)
        return any(e.key.target.name == self.name and e.intent for e in self.rig.folded().episodes.values())


def over(rig: Rig, runs: Sequence[Run]) -> bool:
    """Every story has ended, and everything is well: what was just made ill is not, though no probe has seen it."""
    told = all(run.told() for run in runs)
    return told and rig.cured() and not rig.folded().episodes and all(rig.well(name) for name in rig.services)


def calm(rig: Rig, runs: Sequence[Run], after: object) -> None:
    """Go on until every story is over and everything is well, as it was at first."""

    def play() -> None:
        for run in runs:
            run.play()
            run.help()

    rig.wait_for(lambda: over(rig, runs), f"calm after {after}", play)
    for name in rig.services:
        rig.reset(name)
    rig.until(lambda: all(rig.well(name) for name in rig.services), "every service is well")


class Bench:
    """A rig for many runs; a new one after a run that did not end well."""

    def __init__(self, *stories: str) -> None:
        self._stories, self._stack = stories, contextlib.ExitStack()
        self._rig: Rig | None = None
        self.tally = Tally()

    def play(self, fault: Fault) -> None:
        """One run; see `kill_and_recover`."""
        if self._rig is None or self.tally.dirty:
            self._stack.close()
            made = rig(services(*self._stories), policies(*self._stories), checkpoint_records=10)
            self._rig = self._stack.enter_context(made)
        kill_and_recover(self._rig, fault, self.tally)

    def close(self) -> None:
        """End everything."""
        self._stack.close()


def kill_and_recover(rig: Rig, fault: Fault, tally: Tally) -> None:
    """One run: from calm, through death at the boundary, to calm, and then the checks."""
    tally.dirty = True
    run = Run(rig, fault.story)
    if not rig.alive():
        rig.start_loop()
        rig.view()
    if fault.at == "checkpoint":  # one is due a second after the last: then the very next news brings it
        time.sleep(1.2)
    order = rig.order(fault.at, nth=fault.nth, after=fault.after, how=fault.how)
    run.begin()
    if fault.how == "raise":
        _survive(run, fault, order)
        tally.runs, tally.dirty = tally.runs + 1, False
        return
    rig.until(lambda: run.play() or not rig.alive(), f"the fault to fire: {fault}")
    rig.await_death()
    assert rig.fired(order), f"{fault}: the loop died of something else: {rig.said()}"
    at_death = rig.trail()
    assert run.in_flight(fault.at), f"{fault}: nothing was in flight: {words(rig.records()[-5:])}"
    unsettled = [e for e in rig.folded().episodes.values() if e.intent and e.outcome is None]
    rival = rig.hang(RIVAL)
    rig.until(lambda: rig.slots(RIVAL)[0]["ready"] is False, "the rival is seen to hang")
    rig.start_loop()
    began = time.monotonic()
    calm(rig, [run], fault)
    rig.forget()
    check(rig)
    assert rig.trail()[: len(at_death)] == at_death, "I6: what was acknowledged before the crash changed"
    restarts = [e for e in rig.accepted(RIVAL) if e["before"] == rival]
    assert len(restarts) == 1, f"the rival was to be restarted once: {restarts}"
    news = rig.records()[len(at_death) :]
    tally.runs += 1
    tally.open_at_death += len(unsettled)
    settled = [r for r in news if isinstance(r, Outcome) and r.settled]
    tally.settled += len(settled)
    assert {r.number for r in settled} == {e.intent.number for e in unsettled if e.intent}
    if unsettled:
        held = [r for r in news if isinstance(r, Held) and r.reason is Reason.RECOVERING]
        assert held, "nothing new was wanted while the open intent was unsettled: the order proves nothing"
        tally.held_for_recovery += len(held)
    tally.slowest = max(tally.slowest, time.monotonic() - began)
    for record in news:
        if isinstance(record, Closed) and record.key.target.name == run.name:
            tally.results[record.result] = tally.results.get(record.result, 0) + 1
    assert time.monotonic() - began < WITHIN
    tally.dirty = False


def _survive(run: Run, fault: Fault, order: str) -> None:
    """Something broke at the boundary: the same process goes on, and accounts for everything."""
    pid = run.rig.loop.pid
    run.rig.wait_for(lambda: run.rig.fired(order), f"{fault} to fire", run.play)
    calm(run.rig, [run], fault)
    assert run.rig.alive()
    assert run.rig.loop.pid == pid
    check(run.rig)


def check(rig: Rig) -> None:
    """I1, I2, I3, I6 and I12 over everything that was ever done here; everything is at rest."""
    found = findings(rig.records(), rig.accepted())
    assert not found, words(found)
    report = verify(rig.state / STORE)
    assert report.ok, f"I6: {report}"
    with contextlib.closing(SqliteStore.open(rig.state / STORE, read_only=True)) as store:
        saved = store.checkpoint()
        if saved is not None:
            tail = [record for seq, _, record in rig.trail() if seq > saved.seq]
            whole = dump(fold(rig.records()))
            assert dump(fold(tail, load(saved.state))) == whole, "I12: checkpoint and tail fold to something else"
