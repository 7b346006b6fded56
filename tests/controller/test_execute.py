"""What `auto execute` counts as its own, and what it waits for."""

from controller.core.records import Closed, Led, Passed, Result
from controller.core.state import fold
from controller.execute import Report
from tests.controller.core.world import NOW, Service, intent, led, opened, outcome, policy, scale_plan

WEB = Service("web", "---")
OF = policy()
DO = intent(OF, WEB, scale_plan(WEB))
HELD = [opened(OF, WEB), DO, outcome(DO), Passed(NOW - 40, DO.key, DO.number)]


def test_what_this_call_began_is_a_start_and_is_waited_for_until_it_is_verified():
    report, state = Report(), fold([opened(OF, WEB), DO], led(OF))
    report.note(state)
    report.note(state)
    assert report.started == ["e1"]
    assert report.waits(state, wait_closed=False)
    verified = fold(HELD, led(OF))
    assert not report.waits(verified, wait_closed=False)
    assert report.waits(verified, wait_closed=True)
    over = fold([Closed(NOW - 5, DO.key, Result.HEALED)], verified)
    assert not report.waits(over, wait_closed=True)


def test_what_an_earlier_leadership_began_is_no_start_of_this_call_and_not_waited_for():
    report, state = Report(), fold([*HELD, Led(NOW - 20, 2, "b")], led(OF))
    report.note(state)
    assert report.started == []
    assert not report.waits(state, wait_closed=True)


def test_what_needs_a_human_is_not_waited_for():
    report, state = Report(), fold([opened(OF, WEB), DO], led(OF))
    report.note(state)
    left = fold([Closed(NOW - 5, DO.key, Result.NEEDS_HUMAN)], state)
    assert not report.waits(left, wait_closed=True)
