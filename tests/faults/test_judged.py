"""F17, F19, F20, F22, F23, F24, with real processes and the bounds of the product: in doubt, hands off."""

import os
import signal
import time

import pytest

from actions.reason import Reason
from controller.core.records import Closed, Held, Intent, Loaded, Result, Step, Storm, Verb
from tests.faults.lab import Lab, lab
from tests.faults.matrix import check
from tests.faults.rig import restart_policy, scale_policy

QUIET = 1.5
"""Seconds, fifteen ticks, in which nothing may be started."""
SHOP = ("cart", "search", "checkout", "stock", "mail", "price")
BUSY = "busy"


def started(made: Lab) -> list[Intent]:
    return [record for record in made.records() if isinstance(record, Intent) and record.step is Step.DO]


def reasons(made: Lab) -> set[Reason]:
    return {record.reason for record in made.records() if isinstance(record, Held)}


def at_rest(made: Lab) -> bool:
    return not made.folded().episodes and all(made.well(name) for name in made.services)


@pytest.fixture
def shop():
    # five sick or unknown of six are a storm of their namespace; each policy is eager to act at once
    with lab(dict.fromkeys(SHOP, 1), {name: restart_policy(name) for name in SHOP}, facts_stale="1s") as made:
        made.product = True
        made.start_loop()
        made.view()
        yield made


def test_each_alone_is_healed_and_all_at_once_are_a_storm_in_which_nothing_is_done(shop):
    """F19."""
    for name in SHOP:
        before = shop.hang(name)
        shop.wait_for(lambda was=before: any(e["before"] == was for e in shop.accepted()), f"{name} alone is healed")
        shop.wait_for(lambda: at_rest(shop), "calm")
    healed, known = len(shop.accepted()), len(shop.records())
    os.kill(shop.loop.pid, signal.SIGSTOP)  # so that it shows in one tick, as when a switch dies
    slots = [shop.slots(name)[0] for name in SHOP]
    for name in SHOP:
        shop.hang(name)
    shop.until(lambda: not any(shop.slots(name)[0]["ready"] for name in SHOP), "all of them are seen to hang")
    shop.resume()
    storm = shop.wait_for(lambda: [r for r in shop.records() if isinstance(r, Storm)], "the storm is seen")[0]
    assert "6 of 6" in storm.why
    shop.wait_for(lambda: Reason.STORM in reasons(shop), "they are held")
    time.sleep(QUIET)
    assert not [record for record in shop.records()[known:] if isinstance(record, Intent)]
    assert any("Storm" in str(line) for line in shop.auto("why", f"shop/{SHOP[0]}", code=None).stdout.splitlines())
    for slot in slots:  # they come back in a ragged order, and that is no reason to act either
        os.kill(slot["pid"], signal.SIGCONT)
        time.sleep(0.1)
    shop.wait_for(lambda: at_rest(shop), "they recover by themselves")
    assert len(shop.accepted()) == healed
    check(shop)


def test_a_platform_that_falls_silent_starts_nothing_and_a_pause_is_obeyed_all_the_same(shop):
    """F17 and F24: of all targets at once nothing is known any more."""
    ill = shop.slots(SHOP[0])[0]["pid"]
    os.kill(shop.pid, signal.SIGSTOP)
    os.kill(ill, signal.SIGSTOP)  # what nobody can see; one of them is sick indeed
    try:
        silent = shop.wait_for(lambda: shop.view()["telemetry"]["silent"], "it is seen to be silent")
        assert "local" in silent
        time.sleep(1.0 + QUIET)  # older than facts may be
        assert not started(shop)
        shop.auto("pause", "--why", "the platform is silent")
    finally:
        os.kill(shop.pid, signal.SIGCONT)
    shop.wait_for(lambda: not shop.view()["telemetry"]["silent"], "it answers again")
    shop.wait_for(lambda: reasons(shop) & {Reason.PAUSED, Reason.STORM}, "the sick one is seen")
    time.sleep(QUIET)
    assert not started(shop)
    os.kill(ill, signal.SIGCONT)
    shop.wait_for(lambda: at_rest(shop), "calm")
    assert shop.accepted() == []


@pytest.fixture
def busy():
    policy = scale_policy(BUSY, verify={"initialDelay": "200ms", "within": "600ms"})
    with lab({BUSY: 1}, {BUSY: policy}) as made:
        made.product = True
        made.start_loop()
        made.view()
        yield made


def ack(made: Lab) -> None:
    """A person looked, and lets it try again."""
    for episode in made.folded().episodes.values():
        if episode.needs_human:
            made.ask_loop(say={"verb": Verb.ACK, "why": "looked", "about": episode.id})


def test_what_somebody_else_takes_back_twice_is_left_alone_and_why_says_so(busy):
    """F20: each time it is scaled, somebody sets it back at once."""
    busy.ill(BUSY, ill=True)

    def fights_back() -> None:
        busy.reset(BUSY)
        ack(busy)

    busy.wait_for(lambda: Reason.CONTESTED in reasons(busy), "hands off", fights_back)
    ups = [effect["after"] for effect in busy.accepted()]
    assert ups == [2, 2]
    time.sleep(QUIET)
    assert [effect["after"] for effect in busy.accepted()] == ups
    assert busy.slots(BUSY)[0]["pid"]  # and it still runs, as somebody wanted it
    said = busy.auto("why", f"shop/{BUSY}", code=None).stdout
    assert "Contested" in said
    assert "somebody else changed desired 2 times" in said
    assert sum("somebody else changed it" in getattr(record, "detail", "") for record in busy.records()) >= 2


def test_what_makes_it_no_better_is_put_back_by_its_deadline_and_not_moved_to_and_fro(busy):
    """F22: more instances do not help, and it stays ill."""
    busy.ill(BUSY, ill=True)
    busy.wait_for(lambda: len(busy.accepted()) == 2, "it is tried and put back")
    busy.wait_for(lambda: Reason.FLAPPING in reasons(busy), "the next try waits", lambda: ack(busy))
    time.sleep(QUIET)
    assert [(effect["before"], effect["after"]) for effect in busy.accepted()] == [(1, 2), (2, 1)]
    done, undone = [record for record in busy.records() if isinstance(record, Intent)]
    assert undone.step is Step.UNDO
    assert undone.at - done.due < 1.0


HELD = 5.0
"""Seconds for which the action is held: policy files are looked at every two, and read when they stood still."""


@pytest.fixture
def held():
    """Two services that were scaled a moment ago, and are held so; (lab, their intents)."""
    names = ("edited", "deleted")
    action = {"type": "Scale", "scale": {"by": "+1", "max": 4}, "hold": f"{HELD:g}s"}
    with lab(dict.fromkeys(names, 1), {name: scale_policy(name) | {"action": action} for name in names}) as made:
        made.product = True
        made.start_loop()
        made.view()
        for name in names:
            made.ill(name, ill=True)
        made.wait_for(lambda: len(made.accepted()) == 2, "both are scaled")
        for name in names:
            made.ill(name, ill=False)
        yield made, {intent.key.target.name: intent for intent in started(made)}


def ends_as_it_was_begun(made: Lab, begun: dict[str, Intent]) -> None:
    """Released after the hold that was planned, by the plan that was recorded."""
    made.wait_for(lambda: at_rest(made), "both are released")
    for name, intent in begun.items():
        assert [(effect["before"], effect["after"]) for effect in made.accepted(name)] == [(1, 2), (2, 1)]
        released = [r for r in made.records() if isinstance(r, Intent) and r.key == intent.key][-1]
        assert (released.step, released.plan) == (Step.RELEASE, intent.plan)
        assert HELD <= released.at - intent.at < HELD + 10
        assert [r.result for r in made.records() if isinstance(r, Closed) and r.key == intent.key] == [Result.HEALED]
    check(made)


def test_what_was_begun_ends_as_it_was_begun_though_its_policy_was_edited_or_deleted_meanwhile(held):
    """F23."""
    made, begun = held
    path = made.state / "policies" / "edited.yaml"
    path.write_text(path.read_text().replace(f"{HELD:g}s", "1h"))
    (made.state / "policies" / "deleted.yaml").unlink()
    old = {r.policy: r.hash for r in made.records() if isinstance(r, Loaded)}
    made.wait_for(lambda: list(made.folded().in_force) == ["shop/edited"], "one is gone")
    assert made.folded().in_force != old
    assert len(made.accepted()) == 2  # both are still under way
    ends_as_it_was_begun(made, begun)


def test_what_was_begun_ends_as_it_was_begun_though_its_policy_was_made_invalid_meanwhile(held):
    """F23: the last good set stays in force, and status shows the error with its place."""
    made, begun = held
    path = made.state / "policies" / "edited.yaml"
    path.write_text(path.read_text().replace('"Enforce"', '"Enforced"'))
    before = made.folded().in_force
    problems = made.wait_for(lambda: made.view()["loop"]["policy_problems"], "status shows it")
    assert "edited.yaml:1:" in problems[0]
    assert "Enforced" in problems[0]
    assert len(made.accepted()) == 2  # both are still under way
    ends_as_it_was_begun(made, begun)
    assert made.folded().in_force == before
