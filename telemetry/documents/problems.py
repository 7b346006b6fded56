"""What is wrong with a document, and where."""

from collections.abc import Iterable
from dataclasses import dataclass
from difflib import get_close_matches

Path = tuple[str | int, ...]
"""Where a value stands in a document: keys and list indexes from the top."""

MAX_PROBLEMS = 100
"""Of one document: nobody corrects more in one go, and finding their places costs time."""
_SHOWN = 60  # characters of a value that a message repeats
_LONGEST_NAME = 4096  # characters of a path, which is a file's name only if it is whole


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing to correct.

    Attributes:
        file: as the user named it.
        line, column: from 1, in characters; 1:1 where the place is the whole file; 0:0 where there are no lines,
            because it is an object of a cluster's API, whose place is the path.
        path: e.g. `spec.targets.kinds[0]`; empty for the whole file.
        message: what is wrong.
        hint: what is allowed, or what was probably meant; may be empty.
    """

    file: str
    line: int
    column: int
    path: str
    message: str
    hint: str = ""

    def __str__(self) -> str:
        file = legible(self.file)
        where = f"{file}:{self.line}:{self.column}: " if self.line else f"{file}: "
        path = f"{self.path}: " if self.path else ""
        hint = f" ({self.hint})" if self.hint else ""
        return f"{where}{path}{self.message}{hint}"


class DocumentError(ValueError):
    """A document that is not used at all, with everything found wrong in it.

    Attributes:
        problems: in the order of the file; never empty.
    """

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = tuple(sorted(problems, key=lambda problem: (problem.file, problem.line, problem.column)))
        super().__init__("\n".join(str(problem) for problem in self.problems))


def legible(name: str) -> str:
    """The name of a file or variable as a message repeats it; it is whoever made it who chose its characters."""
    text = name if name.isprintable() else ascii(name)[1:-1]
    return text if len(text) <= _LONGEST_NAME else f"{text[:_LONGEST_NAME]}..."


def dotted(path: Path) -> str:
    """A path as a person writes it; a key that is no plain word stands in brackets."""
    text = ""
    for part in path:
        if isinstance(part, int):
            text += f"[{part}]"
        elif part.isascii() and part.replace("_", "").replace("-", "").isalnum() and len(part) <= _SHOWN:
            text += f".{part}" if text else part
        else:
            text += f"[{shown(part)}]"
    return text


def shown(value: object) -> str:
    """A value as a message repeats it: short, and in ASCII so that it can hide nothing and break no line."""
    match value:
        case bool():
            return "true" if value else "false"
        case str():
            return ascii(value) if len(value) <= _SHOWN else f"{value[:_SHOWN]!a}... ({len(value)} characters)"
        case None:
            return "null"
        case dict():
            return "a mapping"
        case list():
            return "a list"
        case _:
            return ascii(value)[:_SHOWN]


def one_of(allowed: Iterable[str], meant: object = None, *, cutoff: float = 0.6) -> str:
    """A hint that lists what is allowed, and before it what was probably meant.

    Args:
        allowed: every choice.
        meant: what was written.
        cutoff: how near, 0..1, a choice must be to be suggested.
    """
    names = list(allowed)
    text = f"allowed: {', '.join(names)}" if names else ""
    lowered = {name.lower(): name for name in reversed(names)}
    near = get_close_matches(meant.lower(), lowered, n=1, cutoff=cutoff) if isinstance(meant, str) else []
    return f"did you mean {lowered[near[0]]}? {text}" if near else text
