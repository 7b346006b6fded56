"""What can be asked of a string. Each question is asked once of each different string, and its answer is kept.

Regular expressions run in linear time by RE2, with so little memory that a pattern which would be slow is refused.
"""

from collections.abc import Callable
from importlib import import_module
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from telemetry.columns import Bools, Floats
from telemetry.words import WORDS

Entry = TypeVar("Entry", np.bool_, np.float64)
MAX_MEMORY = 16 * 1024
"""Bytes that RE2 may take for one pattern; what needs more is refused when it is loaded."""


class PatternError(ValueError):
    """A pattern that is not used, and why."""


def _matcher(pattern: str) -> Callable[[str], bool]:
    """A search by RE2.

    Raises:
        PatternError: it is no regular expression, too large a one, or there is no RE2 on this platform.
    """
    try:
        re2: Any = import_module("re2")  # there is no wheel for every platform; there only `matches` is missing
    except ImportError:
        hint = "RE2 is not installed here (package google-re2); startsWith, endsWith, contains and in do most of it"
        raise PatternError(hint) from None
    options = re2.Options()
    options.max_mem, options.log_errors = MAX_MEMORY, False
    try:
        compiled: Any = re2.compile(_utf8(pattern), options)
    except re2.error as error:
        said = error.args[0] if error.args else ""
        text = said.decode(errors="replace") if isinstance(said, bytes) else str(said)
        reason = "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)  # it repeats the pattern
        raise PatternError("it is too costly" if "too large" in reason else f"it is none: {reason}") from None
    return lambda word: compiled.search(_utf8(word)) is not None


def _utf8(text: str) -> bytes:
    return text.encode(errors="replace")


_MAKERS: dict[str, Callable[[str], Callable[[str], bool]]] = {
    "startsWith": lambda part: lambda word: word.startswith(part),
    "endsWith": lambda part: lambda word: word.endswith(part),
    "contains": lambda part: lambda word: part in word,
    "matches": _matcher,
}
MEMBERS = frozenset(_MAKERS)
"""Functions that are asked of a string: `target.name.startsWith("web")`."""


def predicate(name: str, part: str) -> Callable[[str], bool]:
    """The question `name(part)`.

    Raises:
        PatternError: it can not be asked.
    """
    return _MAKERS[name](part)


class Tables:
    """Answers by code, of every question and of the order of strings; they grow by new strings only.

    The last place of a table answers for what is unknown.
    """

    __slots__ = ("_answers", "_asked", "_ranks")

    def __init__(self) -> None:
        self._asked: dict[tuple[str, str], Callable[[str], bool]] = {}
        self._answers: dict[tuple[str, str], Bools] = {}
        self._ranks: Floats = np.full(1, np.nan)

    def answers(self, name: str, part: str, codes: Floats) -> Bools:
        """Whether each string is one of which `name(part)` is true; false where there is none."""
        question = (name, part)
        known = self._answers.get(question)
        if known is None or len(known) <= len(WORDS):
            known = self._answers[question] = self._grown(question, known)
        return _taken(known, codes)

    def ranked(self, a: Floats, b: Floats) -> tuple[Floats, Floats]:
        """The places of strings in the order of all by code point; NaN where there is none."""
        if len(self._ranks) <= len(WORDS):
            words = WORDS.since(0)
            ranks = np.full(len(words) + 1, np.nan)
            ranks[sorted(range(len(words)), key=words.__getitem__)] = np.arange(len(words), dtype=np.float64)
            self._ranks = ranks
        return _taken(self._ranks, a), _taken(self._ranks, b)

    def _grown(self, question: tuple[str, str], known: Bools | None) -> Bools:
        asked = self._asked.get(question) or self._asked.setdefault(question, predicate(*question))
        before = np.zeros(0, np.bool_) if known is None else known[:-1]
        new = np.fromiter((asked(word) for word in WORDS.since(len(before))), np.bool_)
        return np.concatenate([before, new, np.zeros(1, np.bool_)])


def _taken(table: NDArray[Entry], codes: Floats) -> NDArray[Entry]:
    """Entries by code; the last one where the code is unknown."""
    taken: NDArray[Entry] = np.take(table, np.nan_to_num(codes, nan=-1.0).astype(np.intp), mode="wrap")
    return taken
