"""`auto execute` acts once, on so much and no more, and waits until it is verified or undone."""

from pathlib import Path
from threading import Event

from controller.core.records import Led, Passed
from controller.core.state import fold
from controller.execute import Report, execute

from .core import world
from .shell import Shell, policy, shell


class Ticking(Event):
    """An event whose waiting lets the world of a test go on instead."""

    def __init__(self, made: Shell) -> None:
        super().__init__()
        self.made = made

    def wait(self, timeout: float | None = None) -> bool:
        self.made.time += 1.0
        self.made.world.step(1.0)
        self.made.processor.ingest(self.made.world.read(self.made.time))
        return False


def begin(made: Shell) -> Ticking:
    ticking = Ticking(made)
    ticking.wait()
    return ticking


def test_it_starts_as_many_as_asked_for_and_waits_until_they_are_verified(tmp_path: Path) -> None:
    with shell(tmp_path, policy(throttle={"cooldown": "0s", "maxConcurrent": 10})) as made:
        for name in ("a", "b", "c"):
            made.world.sicken(made.world.add("shop", name, 2), 0)
        report = execute(made.loop, 1.0, 2, wait_closed=True, stop=begin(made))
        assert len(report.started) == 2
        assert report.open == []
        assert len(made.world.effects) == 2


def test_a_success_that_is_held_stays_in_the_trail_for_the_next_start(tmp_path: Path) -> None:
    scale = {"type": "Scale", "scale": {"by": "+1"}, "hold": "1h"}
    with shell(tmp_path, policy(action=scale, when="replicas.desired < 4", until="replicas.desired >= 4")) as made:
        made.world.add("shop", "a", 3)
        report = execute(made.loop, 1.0, 1, wait_closed=False, stop=begin(made))
        assert (len(report.started), report.open) == (1, [])
        (episode,) = made.trail.state.episodes.values()
        assert episode.intent is not None
        assert episode.judged == episode.intent.number
        assert [change.after for change in episode.intent.plan.release] == [3]
        assert [effect.change.after for effect in made.world.effects] == [4]


def test_what_an_earlier_leadership_began_is_no_start_of_this_call_and_not_waited_for() -> None:
    web, of = world.Service("web", "---"), world.policy()
    do = world.intent(of, web, world.scale_plan(web))
    held = [world.opened(of, web), do, world.outcome(do), Passed(world.NOW - 40, do.key, do.number)]
    ours, earlier = Report(), Report()
    ours.note(fold(held, world.led(of)))
    state = fold([*held, Led(world.NOW - 20, 2, "b")], world.led(of))
    earlier.note(state)
    assert (ours.started, earlier.started) == (["e1"], [])
    assert ours.waits(state, wait_closed=True)
    assert not earlier.waits(state, wait_closed=True)
