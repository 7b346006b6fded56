"""One dictionary of strings, so that conditions compare numbers: every string has a code, and keeps it.

A process sees few different names and labels, and many of each: what is asked of a string is asked once.
"""

import math
import threading
from collections.abc import Iterable

import numpy as np

from telemetry.columns import Floats


class Words:
    """Codes of strings: 0, 1, 2, … It only grows. Views read it from their own threads, hence the lock."""

    __slots__ = ("_codes", "_lock", "_words")

    def __init__(self) -> None:
        self._codes: dict[str, int] = {}
        self._words: list[str] = []
        self._lock = threading.Lock()

    def code(self, word: str) -> float:
        """The code of a string, a new one if it was never seen."""
        found = self._codes.get(word)
        if found is None:
            with self._lock:
                found = self._codes.setdefault(word, len(self._words))
                if found == len(self._words):
                    self._words.append(word)
        return float(found)

    def codes(self, words: Iterable[str | None]) -> Floats:
        """The codes of many strings; NaN, which is unknown, for None."""
        return np.array([math.nan if word is None else self.code(word) for word in words], dtype=np.float64)

    def word(self, code: float) -> str:
        """The string with this code."""
        return self._words[int(code)]

    def since(self, code: int) -> list[str]:
        """Every string from this code on, by code."""
        return self._words[code:]

    def __len__(self) -> int:
        return len(self._words)


WORDS = Words()
"""The one that all string columns and conditions share. It grows by each new string that a condition reads."""
