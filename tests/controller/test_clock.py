"""Time never runs backwards in the trail, and a step of the system clock moves nothing."""

from controller.clock import Clock


def test_a_step_of_the_wall_clock_is_not_seen() -> None:
    wall, steady = [1000.0], [5.0]
    clock = Clock(lambda: wall[0], lambda: steady[0])
    wall[0] += 86_400 * 10
    steady[0] += 2
    assert clock.now() == 1002.0


def test_it_is_never_behind_the_trail() -> None:
    steady = [5.0]
    clock = Clock(lambda: 1000.0, lambda: steady[0])
    clock.never_behind(4600.0)
    steady[0] += 1
    assert clock.now() == 4601.0
    clock.never_behind(2000.0)
    assert clock.now() == 4601.0


def test_it_reads_back_from_the_trail_as_the_same_number() -> None:
    import msgspec

    for step in range(1000):
        now = Clock(lambda step=step: 1_763_784_000 + step / 7, lambda: 0.0).now()
        assert msgspec.json.decode(msgspec.json.encode(now)) == now
        assert round(now, 6) == now


def test_it_knows_how_far_it_is_off_the_wall() -> None:
    """Telemetry is stamped by the wall clock as it stands now; calendars go by it as it stood at the start."""
    wall, steady = [1000.0], [5.0]
    clock = Clock(lambda: wall[0], lambda: steady[0])
    assert (clock.ahead, clock.off_the_wall()) == (0, 0)
    clock.never_behind(4600.0)
    assert (clock.ahead, clock.off_the_wall()) == (3600, 3600)
    wall[0] += 7200
    assert (clock.ahead, clock.off_the_wall()) == (3600, -3600)
