"""The steps, in order. Each either ends as it must, or raises FailedError."""

import os
import re
import signal
import time
from collections.abc import Callable

from actions.reason import Reason
from controller.cli.errors import FINDINGS
from controller.core.records import AnyRecord, Closed, Held, Intent, Led, Outcome, Result, Said
from controller.demo.evidence import accepted, open_intents, restarts_of
from controller.demo.tamper import flip
from controller.demo.walk import POLICY, FailedError, Walk
from telemetry.verdict import Verdict

RATE = 150.0  # requests per second, all services together
HEAL = 15.0  # seconds in which a hung worker must be healed
HEALTHY = 20.0  # seconds in which everything must be well when nobody breaks it
QUIET = 3.0  # seconds for which a paused controller is watched
SENT = 0.3  # seconds after its intent in which a change has surely been sent
CHECKOUT, CART, SEARCH = "shop/checkout", "shop/cart", "shop/search"


def start(walk: Walk) -> None:
    """Services, load and the controller."""
    walk.auto("local", "up", "services.yaml")
    walk.stage.start_load(RATE)
    walk.start_loop()
    walk.healthy(HEALTHY)
    walk.screen.block(walk.auto("status").out.splitlines())


def heal(walk: Walk) -> None:
    """One worker hangs: it alone is restarted."""
    before, since, done = walk.incarnations(), walk.seq(), len(accepted(walk.stage.effects()))
    worker = walk.hang(CHECKOUT, "1")
    walk.follow(healed, HEAL, f"{CHECKOUT} is healed", since=since, target=CHECKOUT, policy=POLICY)
    after, new = walk.incarnations(), accepted(walk.stage.effects())[done:]
    walk.insist(
        [(e.service, e.path) for e in new] == [(CHECKOUT, worker.path)],
        f"the supervisor's log agrees: one change, {worker.path} of {CHECKOUT}",
        [f"{e.service} {e.path}" for e in new],
    )
    replaced = [slot for slot, incarnation in before.items() if after.get(slot) != incarnation]
    walk.insist(
        replaced == [(CHECKOUT, "1")],
        f"{len(before) - 1} other workers kept their process; pid {worker.pid} became {walk.worker(CHECKOUT, '1').pid}",
        f"replaced: {replaced}",
    )


def act(walk: Walk) -> None:
    """A person scales up for a while."""
    since, done = walk.seq(), len(accepted(walk.stage.effects()))
    walk.auto("act", "scale", CHECKOUT, "--by", "+1", "--hold", "6s", "--why", "a sale begins")
    policy = walk.until(lambda: _asked(walk, since), 5.0, "the request is in the trail", lambda: "no request")
    walk.follow(healed, 30.0, f"{CHECKOUT} is released", since=since, target=CHECKOUT, policy=policy)
    new = [(e.path, e.before, e.after) for e in accepted(walk.stage.effects())[done:]]
    walk.insist(
        new == [("desired", 3, 4), ("desired", 4, 3)],
        "the supervisor's log agrees: 3 workers became 4, and after the hold 3 again",
        new,
    )
    walk.healthy(HEALTHY)


def pause(walk: Walk) -> None:
    """A person pauses: nothing starts; then it goes on."""
    walk.auto("pause", "--why", "we look at it ourselves")
    since, done = walk.seq(), len(accepted(walk.stage.effects()))
    worker = walk.hang(CART, "0")
    walk.follow(_paused, HEAL, f"{CART} is held: Paused", since=since, target=CART, policy=POLICY)
    with walk.screen.waiting("nothing may start"):
        time.sleep(QUIET)
    new = accepted(walk.stage.effects())[done:]
    walk.insist(not new, f"for {QUIET:g} s nothing was started", new)
    since = walk.seq()
    walk.auto("resume", "--why", "seen enough")
    walk.follow(healed, HEAL, f"{CART} is healed", since=since, target=CART, policy=POLICY)
    count = len(restarts_of(walk.stage.effects(), worker))
    walk.insist(count == 1, f"one restart of pid {worker.pid}, no other", f"{count} restarts")


def crash(walk: Walk) -> None:
    """The controller is killed while nobody knows whether its change was written."""
    walk.auto("pause", "--why", "to choose the moment")
    since = walk.seq()
    worker = walk.hang(SEARCH, "1")
    walk.follow(_paused, HEAL, f"{SEARCH} is held: Paused", since=since, target=SEARCH, policy=POLICY)
    since = walk.seq()
    supervisor = walk.stage.supervisor()
    walk.screen.command(f"kill -STOP {supervisor}", "the supervisor: it will not answer")
    os.kill(supervisor, signal.SIGSTOP)
    walk.auto("resume", "--why", "now")
    walk.follow(lambda r: isinstance(r, Intent), HEAL, "an intent", since=since, target=SEARCH, policy=POLICY)
    time.sleep(SENT)
    pid = walk.stage.loop.pid if walk.stage.loop else 0
    walk.screen.command(f"kill -KILL {pid}", "the controller, in the middle of it")
    walk.stage.kill_loop()
    left = open_intents([record for _, record in walk.stage.records()])
    walk.insist(
        [intent.key.target.ref for intent in left] == [SEARCH],
        f"at its death the trail held {left[0].id if left else 'no intent'} without an outcome",
        f"{len(left)} open intents",
    )
    since = walk.seq()
    walk.screen.command(f"kill -CONT {supervisor}")
    os.kill(supervisor, signal.SIGCONT)
    walk.start_loop()
    walk.follow(healed, 25.0, f"{SEARCH} is healed", since=since, target=SEARCH, policy=POLICY)
    new = [record for seq, record in walk.stage.records() if seq > since]
    order = [record for record in new if isinstance(record, Led | Outcome | Intent)]
    led, first = order[0], order[1]
    walk.insist(
        isinstance(led, Led) and isinstance(first, Outcome) and first.settled and first.number == left[0].number,
        f"{left[0].id} was settled by reading back before anything new was started: {_written(first)}",
        [type(record).__name__ for record in order],
    )
    count = len(restarts_of(walk.stage.effects(), worker))
    walk.insist(count == 1, f"one restart of pid {worker.pid} in all, crash or not", f"{count} restarts")


def _written(record: AnyRecord) -> str:
    return "written" if isinstance(record, Outcome) and record.result is Verdict.PASS else "not written"


def prove(walk: Walk) -> None:
    """One flipped byte in a copy is found."""
    walk.screen.block(walk.auto("audit", "verify").out.splitlines())
    seq, bit = flip(walk.stage.trail, walk.stage.folder / "copy")
    walk.screen.fact(f"a copy of the trail, with one bit of record {seq} flipped: {bit}")
    done = walk.auto("audit", "verify", "copy/trail.db", codes=(FINDINGS,))
    walk.screen.block(done.out.splitlines())
    named = re.findall(r"record (\d+)", done.out)
    walk.insist(named == [str(seq)], f"it names record {seq}, and no other", done.out)


def healed(record: AnyRecord) -> bool:
    """The episode ended, and our action helped.

    Raises:
        FailedError: it ended otherwise, so that there is nothing to wait for.
    """
    if isinstance(record, Closed) and record.result not in (Result.HEALED, Result.DROPPED):
        raise FailedError("the episode ends Healed", f"{record.result}: {record.detail}")
    return isinstance(record, Closed) and record.result is Result.HEALED


def _paused(record: AnyRecord) -> bool:
    return isinstance(record, Held) and record.reason is Reason.PAUSED


def _asked(walk: Walk, since: int) -> str | None:
    """The name of the policy that a person's request became."""
    said = [record for seq, record in walk.stage.records() if seq > since and isinstance(record, Said)]
    return next((record.request.policy for record in said if record.request is not None), None)


STEPS: tuple[tuple[str, str, Callable[[Walk], None]], ...] = (
    ("start", "three real services under load, and a controller that watches them", start),
    ("heal", "one worker of checkout hangs", heal),
    ("act", "a person asks for one more worker, for six seconds", act),
    ("pause", "a person pauses, and a worker of cart hangs", pause),
    ("crash", "the controller is killed in the middle of an action", crash),
    ("prove", "somebody changes one bit of the trail", prove),
)
"""Name, what a person sees, what is done."""
