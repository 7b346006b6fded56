"""The steps, in order. Each either ends as it must, or raises FailedError."""

import os
import re
import signal
import time
from collections.abc import Callable

from actions.reason import Reason
from controller.cli.errors import FINDINGS
from controller.core.records import AnyRecord, Closed, Held, Intent, Led, Outcome, Passed, Result, Said, Storm
from controller.demo.evidence import accepted, held_by_storm, open_intents, restarts_of
from controller.demo.tamper import flip
from controller.demo.walk import POLICY, SCALE, FailedError, Walk
from controller.views.words import sentence
from telemetry.verdict import Verdict

RATE = 120.0  # requests per second, all services together
SURGE, USERS = 60.0, 16  # more requests per second on one service, and of how many users at most
HEAL = 15.0  # seconds in which a hung worker must be healed
HEALTHY = 20.0  # seconds in which everything must be well when nobody breaks it
QUIET = 2.0  # seconds for which a controller that must do nothing is watched
SENT = 0.3  # seconds after its intent in which a change has surely been sent
CHECKOUT, CART, SEARCH = "shop/checkout", "shop/cart", "shop/search"
PAYMENT, STOCK = SLOW = "shop/payment", "shop/stock"
SCALED = 20.0  # seconds in which a surge must show, be answered and judged


def start(walk: Walk) -> None:
    """Services, load and the controller."""
    walk.auto("local", "up", "services.yaml")
    walk.stage.start_load(RATE)
    walk.start_loop()
    walk.tell_services()
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
    walk.auto("act", "scale", CHECKOUT, "--by", "+1", "--hold", "4s", "--why", "a sale begins")
    policy = walk.until(lambda: _asked(walk, since), 5.0, "the request is in the trail", lambda: "no request")
    walk.follow(healed, 30.0, f"{CHECKOUT} is released", since=since, target=CHECKOUT, policy=policy)
    new = [(e.path, e.before, e.after) for e in accepted(walk.stage.effects())[done:]]
    walk.insist(
        new == [("desired", 3, 4), ("desired", 4, 3)],
        "the supervisor's log agrees: 3 workers became 4, and after the hold 3 again",
        new,
    )
    walk.healthy(HEALTHY)


def slow(walk: Walk) -> None:
    """Two services become slow under load, and get two more workers each: one for lack of them, one not."""
    since, done = walk.seq(), len(accepted(walk.stage.effects()))
    surges = {name: walk.stage.start_load(SURGE, [name], "--users", str(USERS), "--keep", "1") for name in SLOW}
    walk.screen.fact(f"{SURGE:g} more requests per second on {PAYMENT}, and as many on {STOCK}")
    about = {"policy": SCALE, "began": time.monotonic()}
    helped = walk.follow(_helped, SCALED, f"{PAYMENT} is helped", since=since, **about)
    surges[PAYMENT].end()
    walk.screen.fact(f"the surge on {PAYMENT} is over, the one on {STOCK} goes on")
    ended: list[str] = []
    walk.follow(lambda r: _as_they_must(ended, r), SCALED, "both are back", since=helped, **about)
    surges[STOCK].end()
    new = accepted(walk.stage.effects())[done:]
    found = {name: [(e.path, e.before, e.after) for e in new if e.service == name] for name in SLOW}
    there_and_back = [("desired", 1, 3), ("desired", 3, 1)]
    walk.insist(
        all(changes == there_and_back for changes in found.values()) and len(new) == 4,
        "the supervisor's log agrees: 1 worker became 3, and 3 became 1, of each",
        found,
    )


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
    walk.tell_services()
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


def storm(walk: Walk) -> None:
    """Everything hangs at once: nothing is started, for the cause is not where it shows."""
    since, done = walk.seq(), len(accepted(walk.stage.effects()))
    before = walk.incarnations()
    pids = walk.stop_everything()
    names = {name for name, _ in before}
    walk.until(
        lambda: held_by_storm(walk.news(since)) == names or None,
        HEAL,
        f"all {len(names)} services are held: Storm",
        lambda: f"held by a storm: {sorted(held_by_storm(walk.news(since))) or 'none'}",
    )
    for record in walk.news(since):
        if isinstance(record, Storm):
            walk.screen.fact(sentence(record))
    walk.screen.fact(f"held: Storm for each of {', '.join(sorted(name.partition('/')[2] for name in names))}")
    with walk.screen.waiting("nothing may start"):
        time.sleep(QUIET)
    acted = [record for record in walk.news(since) if isinstance(record, Intent)]
    new = accepted(walk.stage.effects())[done:]
    walk.insist(not new and not acted, f"for {QUIET:g} s nothing was started", [*new, *acted])
    walk.go_on(pids)
    walk.healthy(HEALTHY)
    new = accepted(walk.stage.effects())[done:]
    walk.insist(
        not new and walk.incarnations() == before,
        f"all {len(before)} workers answer again, and each is the process that it was",
        new or "other processes",
    )


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


def _helped(record: AnyRecord) -> bool:
    """The two more workers are what payment lacked."""
    return isinstance(record, Passed) and record.key.target.ref == PAYMENT


def _as_they_must(ended: list[str], record: AnyRecord) -> bool:
    """Payment was held and released, and stock, which was not helped, was put back.

    Args:
        ended: names of those that it saw end; it adds to them.
        record: the next one.

    Raises:
        FailedError: one of them ended otherwise.
    """
    must = {PAYMENT: Result.HEALED, STOCK: Result.UNDONE}
    if not isinstance(record, Closed) or record.key.target.ref in ended:
        return False
    name = record.key.target.ref
    if record.result is not must[name]:
        raise FailedError(f"{name} ends {must[name]}", sentence(record))
    ended.append(name)
    return len(ended) == len(must)


def _paused(record: AnyRecord) -> bool:
    return isinstance(record, Held) and record.reason is Reason.PAUSED


def _asked(walk: Walk, since: int) -> str | None:
    """The name of the policy that a person's request became."""
    said = [record for seq, record in walk.stage.records() if seq > since and isinstance(record, Said)]
    return next((record.request.policy for record in said if record.request is not None), None)


STEPS: tuple[tuple[str, str, Callable[[Walk], None]], ...] = (
    ("start", "six real services under load, and a controller that watches them", start),
    ("heal", "one worker of checkout hangs", heal),
    ("act", "a person asks for one more worker, for four seconds", act),
    ("slow", "payment and stock are slow under load", slow),
    ("pause", "a person pauses, and a worker of cart hangs", pause),
    ("crash", "the controller is killed in the middle of an action", crash),
    ("storm", "every worker of every service hangs at once", storm),
    ("prove", "somebody changes one bit of the trail", prove),
)
"""Name, what a person sees, what is done."""
