"""F21 and F24, ambiguous answers, and budgets over restarts: what must not be done is not done. P2, P5, P9, P13."""

import os
import shutil
import signal
import time

import pytest

from actions.reason import Reason
from controller.compose import STORE
from controller.core.records import Closed, Intent, Outcome, Result, Step
from telemetry.verdict import Verdict
from tests.faults.matrix import check
from tests.faults.rig import Rig, restart_policy, rig, scale_policy

QUIET = 1.0
"""Seconds, ten ticks, in which nothing may be started."""
FIRST, OTHER, BUSY = "cart", "search", "checkout"


@pytest.fixture(scope="module")
def shop():
    policies = {FIRST: restart_policy(FIRST), OTHER: restart_policy(OTHER)}
    with rig({FIRST: 1, OTHER: 1}, policies) as made:
        made.start_loop()
        made.view()
        yield made


def calm(rig: Rig) -> None:
    rig.wait_for(lambda: not rig.folded().episodes and all(rig.well(name) for name in rig.services), "calm")
    rig.forget()
    check(rig)


def hang_while_it_stands(rig: Rig, at: str, first: str) -> None:
    """One service hangs and the loop is stopped at the boundary; then a second service hangs."""
    order = rig.order(at, how="stop", after=None if at != "plan" else "committed Do")
    rig.hang(first)
    rig.wait_for(lambda: rig.fired(order), f"the loop comes to {at}")
    rig.await_stop()
    rig.hang(OTHER)
    rig.until(lambda: rig.slots(OTHER)[0]["ready"] is False, "the supervisor sees the second hang")


def dos(rig: Rig, name: str) -> int:
    return sum(isinstance(r, Intent) and r.step is Step.DO and r.key.target.name == name for r in rig.records())


BOUNDARIES = ["plan", *(f"{place} Do" for place in ("commit", "committed", "precheck", "call", "called"))]


@pytest.mark.parametrize("at", [*BOUNDARIES, "commit Outcome", "committed Passed", "commit Closed"])
def test_a_pause_stops_every_new_start_within_a_tick_and_what_runs_is_finished(shop, at):
    before = dos(shop, OTHER)
    hang_while_it_stands(shop, at, FIRST)
    (shop.state / "paused").write_text("a person: look at it\n")
    shop.resume()
    shop.wait_for(lambda: shop.well(FIRST), "what was under way is finished")
    shop.wait_for(lambda: shop.view()["remediation"]["paused"] == "a person: look at it", "status says so")
    time.sleep(QUIET)
    assert dos(shop, OTHER) == before
    assert shop.folded().episodes, "nothing new was wanted: the pause proved nothing"
    assert all(e.held is Reason.PAUSED for e in shop.folded().episodes.values())
    (shop.state / "paused").unlink()
    calm(shop)
    assert dos(shop, OTHER) == before + 1


@pytest.mark.parametrize("at", [*BOUNDARIES, "commit Outcome"])
def test_a_freeze_stops_every_write_even_of_what_was_just_begun(shop, at):
    before = len(shop.accepted())
    hang_while_it_stands(shop, at, FIRST)
    done = len(shop.accepted()) - before
    (shop.state / "frozen").write_text("a person: hands off\n")
    shop.resume()
    time.sleep(QUIET)
    written = len(shop.accepted()) - before - done
    assert written <= (at == "call Do"), "only the write whose last check was already over may go on"
    shop.wait_for(lambda: shop.folded().episodes, "something new is wanted")
    time.sleep(QUIET / 2)
    assert len(shop.accepted()) == before + done + written
    (shop.state / "frozen").unlink()
    calm(shop)


@pytest.mark.parametrize(("verb", "flag"), [("pause", "paused"), ("freeze", "frozen")])
def test_a_stop_survives_kill_9_and_a_store_that_is_gone(shop, verb, flag):
    before = len(shop.accepted())
    away = shop.state / "away"
    away.mkdir(exist_ok=True)
    files = [path for path in shop.state.iterdir() if path.name.startswith(STORE)]
    for path in files:
        path.rename(away / path.name)
    said = shop.auto(verb, "--why", "the store is gone")
    assert "by the flag file only" in said.stderr
    assert not (shop.state / STORE).exists()  # no second trail begins in place of the one that is missed
    for path in files:
        (away / path.name).rename(path)
    shop.hang(FIRST)
    shop.wait_for(lambda: shop.folded().episodes, "something new is wanted")
    shop.kill_loop()
    shop.start_loop()
    shop.view()
    time.sleep(QUIET)
    assert len(shop.accepted()) == before
    assert "the store is gone" in shop.view()["remediation"][flag]
    shop.auto({"pause": "resume", "freeze": "unfreeze"}[verb], "--why", "it is back")
    calm(shop)
    assert len(shop.accepted()) == before + 1


def test_a_stop_said_in_the_trail_alone_survives_kill_9(shop):
    shop.auto("pause", "--why", "in the trail")
    (shop.state / "paused").unlink()
    before = len(shop.accepted())
    shop.hang(FIRST)
    shop.wait_for(lambda: shop.folded().episodes, "something new is wanted")
    shop.kill_loop()
    shop.start_loop()
    shop.view()
    time.sleep(QUIET)
    assert len(shop.accepted()) == before
    shop.auto("resume", "--why", "enough")
    calm(shop)
    assert len(shop.accepted()) == before + 1


def test_a_freeze_keeps_a_hold_until_it_is_lifted():
    with rig({BUSY: 1}, {BUSY: scale_policy(BUSY)}) as made:
        made.start_loop()
        made.view()
        made.ill(BUSY, ill=True)
        made.wait_for(made.accepted, "it is scaled")
        (made.state / "frozen").touch()
        made.ill(BUSY, ill=False)
        time.sleep(0.5 + QUIET)
        assert [effect["after"] for effect in made.accepted()] == [2]
        (made.state / "frozen").unlink()
        calm(made)
        assert [effect["after"] for effect in made.accepted()] == [2, 1]


@pytest.mark.parametrize("at", ["committed Do", "precheck Do", "call Do"])
@pytest.mark.parametrize("action", ["Restart", "Scale"])
def test_a_service_created_again_under_the_same_name_is_not_touched(action, at):
    policy = {"Restart": restart_policy, "Scale": scale_policy}[action]
    with rig({FIRST: 1}, {FIRST: policy(FIRST)}) as made:
        made.start_loop()
        made.view()
        order = made.order(at, how="stop")
        made.hang(FIRST)
        made.wait_for(lambda: made.fired(order), f"the loop comes to {at}")
        made.await_stop()
        old = made.target(FIRST).uid
        made.write()
        made.ask(op="reload")
        made.write(made.describe(FIRST))
        made.ask(op="reload")
        made.until_ready(1, FIRST)
        fresh = made.slots(FIRST)
        made.resume()
        ended = lambda: any(isinstance(r, Closed) for r in made.records()) and not made.folded().episodes  # noqa: E731
        made.wait_for(ended, "the episode ends")
        assert made.target(FIRST).uid != old
        assert made.accepted() == []
        assert [s["incarnation"] for s in made.slots(FIRST)] == [s["incarnation"] for s in fresh]
        outcome = next(record for record in made.records() if isinstance(record, Outcome))
        assert outcome.result is Verdict.FAIL
        closed = next(record for record in made.records() if isinstance(record, Closed))
        assert closed.result is Result.DROPPED
        check(made)


@pytest.mark.parametrize("killed", [True, False], ids=["and the loop was killed", "and the loop waited"])
def test_a_call_that_was_not_answered_is_read_back_and_never_repeated_blindly(shop, killed):
    before, seq = len(shop.accepted()), len(shop.trail())
    order = shop.order("call Do", how="stop")
    incarnation = shop.hang(FIRST)
    shop.wait_for(lambda: shop.fired(order), "a call is about to be made")
    shop.await_stop()
    os.kill(shop.pid, signal.SIGSTOP)
    try:
        shop.resume()
        if killed:
            time.sleep(0.5)  # it has asked, and waits
            shop.kill_loop()
        else:
            time.sleep(2.5)  # its patience of 2 s is over
    finally:
        os.kill(shop.pid, signal.SIGCONT)
    if killed:
        shop.start_loop()
    shop.wait_for(lambda: shop.well(FIRST) and shop.slots(FIRST)[0]["incarnation"] != incarnation, "it is restarted")
    calm(shop)
    assert [effect["before"] for effect in shop.accepted()[before:]] == [incarnation]
    outcomes = [record for record in shop.records()[seq:] if isinstance(record, Outcome)]
    assert outcomes[0].settled is killed
    assert outcomes[0].result is not Verdict.UNKNOWN
    shop.auto("audit", "verify")


LIMITED, COOLING = "limited", "cooling"


def test_rate_limit_and_cooldown_survive_kill_9():
    throttles = {
        LIMITED: {"cooldown": "0s", "limits": [{"max": 2, "per": "1h"}]},
        COOLING: {"cooldown": "1h"},
    }
    policies = {name: restart_policy(name, throttle=throttle) for name, throttle in throttles.items()}
    with rig(dict.fromkeys(policies, 1), policies) as made:

        def again() -> None:
            made.kill_loop()
            made.start_loop()
            made.view()

        def healed(name: str, count: int) -> None:
            made.wait_for(lambda: len(made.accepted(name)) == count and made.well(name), f"{name} is healed")
            made.wait_for(lambda: not any(e.key.target.name == name for e in made.folded().episodes.values()), "over")

        made.start_loop()
        made.view()
        made.hang(LIMITED)
        made.hang(COOLING)
        healed(LIMITED, 1)
        healed(COOLING, 1)
        again()
        made.hang(LIMITED)
        healed(LIMITED, 2)
        again()
        made.hang(LIMITED)
        made.hang(COOLING)
        for _ in range(2):
            made.wait_for(lambda: len(_held(made)) == 2, "both are held")
            time.sleep(QUIET)
            assert (len(made.accepted(LIMITED)), len(made.accepted(COOLING))) == (2, 1)
            assert _held(made) == {LIMITED: Reason.RATE_LIMIT, COOLING: Reason.COOLDOWN}
            again()
        shutil.rmtree(made.state / "policies")  # nothing wants anything any more
        (made.state / "policies").mkdir()
        made.wait_for(lambda: not made.folded().episodes, "the episodes end with their policies")
        check(made)


def _held(rig: Rig) -> dict[str, Reason]:
    episodes = rig.folded().episodes.values()
    return {e.key.target.name: e.held for e in episodes if e.held is not None}
