"""What is wrong with an expression, said so that its author can mend it."""

from dataclasses import dataclass

_SHOWN = 100
"""Characters of a long line that are shown around a problem."""


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong.

    Attributes:
        offset: where it starts, in code points into the source.
        length: how many code points it covers; 0 at the end of the source.
        message: what is wrong and why.
        hint: what to write instead; empty when we have no good guess.
    """

    offset: int
    length: int
    message: str
    hint: str = ""


class ExpressionError(ValueError):
    """An expression that does not mean anything; it is refused when it is loaded, never half used.

    Attributes:
        source: the expression.
        problems: what is wrong with it, by position; at least one.
    """

    def __init__(self, source: str, problems: tuple[Problem, ...]) -> None:
        super().__init__(source, problems)
        self.source = source
        self.problems = tuple(sorted(problems, key=lambda problem: problem.offset))

    def __str__(self) -> str:
        return "\n".join(_show(self.source, problem) for problem in self.problems)


def position(source: str, offset: int) -> tuple[int, int]:
    """Line and column, both from 1, of a place in the source; columns count code points."""
    before = source[:offset]
    return before.count("\n") + 1, offset - (before.rfind("\n") + 1) + 1


def _show(source: str, problem: Problem) -> str:
    line, column = position(source, problem.offset)
    start = problem.offset - (column - 1)
    end = source.find("\n", problem.offset)
    end = len(source) if end < 0 else end
    cut = max(start, problem.offset - _SHOWN // 2)
    text = "".join(
        c if c.isprintable() else " " if c == "\t" else "\ufffd" for c in source[cut : min(end, cut + _SHOWN)]
    )
    lead = problem.offset - cut
    caret = "^" * max(1, min(problem.length, len(text) - lead))
    lines = [f"{line}:{column}: {problem.message}", f"  | {text}", f"  | {' ' * lead}{caret}"]
    return "\n".join([*lines, f"  {problem.hint}"] if problem.hint else lines)
