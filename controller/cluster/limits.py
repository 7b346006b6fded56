"""How much is said: so many at once, so many a second, and the same not again and again."""

from collections import OrderedDict
from dataclasses import dataclass


@dataclass(slots=True)
class Bucket:
    """Lets `burst` through at once and `rate` a second after that.

    Attributes:
        rate: a second.
        burst: at once.
    """

    rate: float
    burst: float
    _left: float = -1.0
    _at: float = 0.0

    def take(self, now: float) -> bool:
        """Whether one more may go; a clock that went back frees nothing."""
        if self._left < 0:
            self._left, self._at = self.burst, now
        self._left = min(self.burst, self._left + max(0.0, now - self._at) * self.rate)
        self._at = max(self._at, now)
        if self._left < 1.0:
            return False
        self._left -= 1.0
        return True


class Recently:
    """Remembers what was said in the last `seconds`, and of that the newest `most`."""

    def __init__(self, seconds: float, most: int = 10_000) -> None:
        self._seconds, self._most = seconds, most
        self._said: OrderedDict[object, float] = OrderedDict()

    def again(self, what: object, now: float) -> bool:
        """Whether it was said; if not, it is now."""
        at = self._said.get(what)
        if at is not None and now - at < self._seconds:
            return True
        self._said[what] = now
        self._said.move_to_end(what)
        while len(self._said) > self._most:
            self._said.popitem(last=False)
        return False
