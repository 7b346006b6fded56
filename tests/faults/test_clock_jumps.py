"""F13: the clock of a real loop jumps by an hour, ten days, to 2200 and back, while it runs and between two starts."""

import http.client
import time
from datetime import UTC, datetime, timedelta

import pytest

from actions.reason import Reason
from controller.clock import Clock
from controller.compose import STORE
from controller.core.records import Held, Intent, Led, Step
from controller.settings import load
from tests.faults.lab import DAY, HOUR, Y2200, Lab, lab
from tests.faults.matrix import check
from tests.faults.rig import restart_policy, scale_policy
from tests.telemetry.otlp.messages import traces

FREE, COOLING, LIMITED, OFFICE, HELD = "free", "cooling", "limited", "office", "held"
REAL = Clock()
JUMPS = {"an hour on": HOUR, "an hour back": -HOUR, "ten days back": -10 * DAY, "to 2200": Y2200 - REAL.now()}
QUIET = 1.0
"""Seconds, ten ticks, in which what waits must not start."""
ZONE = timedelta(hours=14)
"""Of Pacific/Kiritimati, where no day is as here, and no clock is ever changed."""


def day(offset: float) -> str:
    """A schedule that opens at midnight in that zone, of the day which it is there so many seconds from now."""
    there = datetime.fromtimestamp(REAL.now() + offset, UTC) + ZONE
    return f"0 0 {there.day} {there.month} *"


def policies() -> dict[str, dict]:
    later = {"schedule": day(10 * DAY), "duration": "47h", "timeZone": "Pacific/Kiritimati"}
    held = {"type": "Scale", "scale": {"by": "+1", "max": 4}, "hold": "1h"}
    return {
        FREE: restart_policy(FREE),
        COOLING: restart_policy(COOLING, throttle={"cooldown": "1h"}),
        LIMITED: restart_policy(LIMITED, throttle={"cooldown": "0s", "limits": [{"max": 1, "per": "1h"}]}),
        OFFICE: restart_policy(OFFICE, activeWindows=[later]),
        HELD: scale_policy(HELD) | {"action": held},
    }


@pytest.fixture(scope="module")
def shop():
    """Everything that waits: a cooldown and a limit that are used up, a hold for an hour, a window of another day."""
    with lab(dict.fromkeys((FREE, COOLING, LIMITED, OFFICE, HELD), 1), policies(), otlp="127.0.0.1:0") as made:
        made.fake_clock()
        made.start_loop()
        made.view()
        made.ill(HELD, ill=True)
        for name in (COOLING, LIMITED):
            made.hang(name)
        made.wait_for(lambda: len(made.accepted()) == 3, "each has had its start")
        made.ill(HELD, ill=False)
        made.wait_for(lambda: len(made.folded().episodes) == 1, "only the hold is left")
        for name in (COOLING, LIMITED):
            made.until_ready(1, name)
        for name in (COOLING, LIMITED, OFFICE):
            made.hang(name)
        made.wait_for(lambda: waiting(made) == WAITS, "they wait")
        yield made


WAITS = {COOLING: Reason.COOLDOWN, LIMITED: Reason.RATE_LIMIT, OFFICE: Reason.WINDOW}


def waiting(made: Lab) -> dict[str, Reason]:
    return {e.key.target.name: e.held for e in made.folded().episodes.values() if e.held and not e.intent}


def nothing_came_early(made: Lab) -> None:
    """What waits goes on waiting, the loop goes on turning, and heals what may be healed."""
    before, hung = len(made.accepted()), made.hang(FREE)
    made.wait_for(lambda: any(e["before"] == hung for e in made.accepted(FREE)), "what may be healed is healed")
    made.wait_for(lambda: made.well(FREE), "it is well")
    time.sleep(QUIET)
    assert len(made.accepted()) == before + 1, made.accepted()[before:]
    assert waiting(made) == WAITS
    times = [record.at for record in made.records()]
    assert times == sorted(times)
    made.auto("audit", "verify")


def heard(made: Lab) -> int:
    """Of five spans that a sender with the loop's wall clock sends, how many are taken."""
    received = made.view()["received"]["otlp"]
    before = received["items"].get("spans", {}).get("accepted", 0)
    skew = float((made.state / "faketime").read_text())
    body = traces(5, at=REAL.now() + skew, name=FREE).SerializeToString()
    connection = http.client.HTTPConnection(received["address"], timeout=10)
    connection.request("POST", "/v1/traces", body, {"Content-Type": "application/x-protobuf"})
    assert connection.getresponse().status == 200
    connection.close()
    return int(made.view()["received"]["otlp"]["items"]["spans"].get("accepted", 0)) - before


def logged_year(made: Lab) -> int:
    return int(made.log.read_text().rsplit('"time": "', 1)[1][:4])


@pytest.mark.parametrize("jump", ["ten days back", "to 2200"])
def test_a_jump_while_it_runs_frees_nothing_and_stops_nothing(shop, jump):
    shop.shift_clock(JUMPS[jump])
    nothing_came_early(shop)
    assert logged_year(shop) == (2200 if jump == "to 2200" else REAL_YEAR)  # it did see the jump
    shop.wait_for(lambda: heard(shop) == 5, "telemetry by the same clock is taken")
    shop.shift_clock(0)
    nothing_came_early(shop)
    shop.wait_for(lambda: heard(shop) == 5, "and after the way back")


REAL_YEAR = datetime.fromtimestamp(REAL.now(), UTC).year


@pytest.mark.parametrize("jump", ["an hour on", "an hour back"])
def test_a_jump_between_two_starts_frees_nothing(shop, jump):
    shop.kill_loop()
    shop.shift_clock(JUMPS[jump])
    shop.start_loop()
    shop.view()
    nothing_came_early(shop)
    shop.wait_for(lambda: heard(shop) == 5, "telemetry is taken")


def test_a_start_in_2200_and_the_way_back_frees_nothing_and_windows_go_by_the_day_it_is(shop):
    """The trail's time stays ahead for ever; the calendar must not."""
    shop.kill_loop()
    shop.shift_clock(JUMPS["to 2200"])
    shop.start_loop()
    shop.view()
    nothing_came_early(shop)
    shop.kill_loop()
    shop.shift_clock(0)
    shop.start_loop()
    shop.view()
    nothing_came_early(shop)
    shop.wait_for(lambda: heard(shop) == 5, "telemetry is taken")
    led = [record for record in shop.records() if isinstance(record, Led)][-1]
    assert led.at > Y2200
    shop.kill_loop()
    shop.shift_clock(10 * DAY)  # the day of the window comes
    shop.start_loop()
    shop.wait_for(lambda: shop.accepted(OFFICE), "it is healed in its window")
    assert {COOLING, LIMITED} <= set(waiting(shop))
    (held,) = [r for r in shop.records() if isinstance(r, Intent) and r.key.target.name == HELD]
    assert held.step is Step.DO  # and its hour is not over
    assert not [r for r in shop.records() if isinstance(r, Held) and r.reason is Reason.GUARD_ERROR]
    assert (shop.state / STORE).exists()
    assert load({"state": shop.state}).otlp == "127.0.0.1:0"


def test_the_books_agree(shop):
    """At last everything is given up, and effect log and trail are compared; their clocks are not the same here."""
    for path in (shop.state / "policies").iterdir():
        path.unlink()
    for episode in shop.folded().episodes.values():
        shop.ask_loop(say={"verb": "abort", "why": "enough", "about": episode.id})
    shop.wait_for(lambda: not shop.folded().episodes, "rest")
    at = {f"i{r.number}": r.at for r in shop.records() if isinstance(r, Intent)}
    effects = [effect | {"at": at[effect["intent"]]} for effect in shop.accepted()]
    shop.accepted = lambda name="": effects
    check(shop)
