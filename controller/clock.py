"""The one place that reads the wall clock."""

from collections.abc import Callable
from time import monotonic, time  # noqa: TID251  the one place


class Clock:
    """Wall clock at start plus monotonic time since: a step of the system clock neither frees nor freezes anything.

    Attributes:
        ahead: seconds by which it ran ahead of the wall clock at the start, because the trail did; calendars do not.
    """

    def __init__(self, wall: Callable[[], float] = time, steady: Callable[[], float] = monotonic) -> None:
        self._wall, self._steady = wall, steady
        self._offset = wall() - steady()
        self.ahead = 0.0

    def now(self) -> float:
        """Epoch seconds, rounded to microseconds so that they read back from the trail as the same value."""
        return round(self._offset + self._steady(), 6)

    def never_behind(self, at: float) -> None:
        """Move on to `at` if that lies ahead: time in the trail never runs backwards over a restart."""
        behind = max(0.0, at - self.now())
        self._offset += behind
        self.ahead += behind

    def off_the_wall(self) -> float:
        """Seconds by which it is ahead of the wall clock as that stands now; negative when behind."""
        return self.now() - self._wall()
