"""The numpy kernel: a schedule of nodes over all rows at once.

A number is a vector whose NaN is unknown. A bool is two planes, surely true and surely false, and only those
planes are computed that somebody needs: `!` costs nothing, and a comparison with NaN is in neither plane without any
mask. Never write `~true` for false: it is "not known to be true".
"""

from collections.abc import Callable, Mapping
from typing import NamedTuple

import numpy as np

from telemetry.columns import Bools, Column, Floats
from telemetry.expression.ir import BOOLS, Node, Op
from telemetry.expression.text import Tables
from telemetry.words import WORDS

TRUE, FALSE, VALUE = 1, 2, 4
BOTH = TRUE | FALSE
Numbers = Floats | float


class Step(NamedTuple):
    """Compute one node: which of its planes, and whose memory is free afterwards."""

    place: int
    wanted: int
    frees: tuple[int, ...]


def schedule(nodes: tuple[Node, ...], wants: Mapping[int, int], *, keep: bool) -> tuple[Step, ...]:
    """Steps that compute the wanted planes of the given nodes, and of what they need, arguments first.

    Args:
        nodes: the program.
        wants: planes to compute and keep, by place.
        keep: keep the planes of every node, for evidence.
    """
    wanted = dict(wants)
    last: dict[int, int] = {}
    for place in range(len(nodes) - 1, -1, -1):
        if place not in wanted:
            continue
        for arg, planes in _needs(nodes[place], wanted[place]):
            wanted[arg] = wanted.get(arg, 0) | planes
            last.setdefault(arg, place)
    frees: dict[int, list[int]] = {}
    for arg, place in last.items():
        if not keep and arg not in wants:
            frees.setdefault(place, []).append(arg)
    return tuple(Step(place, wanted[place], tuple(frees.get(place, ()))) for place in sorted(wanted))


def _needs(node: Node, wanted: int) -> tuple[tuple[int, int], ...]:
    """Which planes of its arguments a node needs."""
    if node.op is Op.NOT:
        swapped = (TRUE if wanted & FALSE else 0) | (FALSE if wanted & TRUE else 0)
        return ((node.args[0], swapped),)
    if node.op in (Op.AND, Op.OR):
        return tuple((arg, wanted) for arg in node.args)
    if node.op in (Op.SAME, Op.DEFINED):
        return tuple((arg, BOTH) for arg in node.args)
    if node.op is Op.EITHER:
        return ((node.args[0], BOTH), (node.args[1], wanted), (node.args[2], wanted))
    if node.op is Op.CHOICE:
        return ((node.args[0], BOTH), (node.args[1], VALUE), (node.args[2], VALUE))
    return tuple((arg, VALUE) for arg in node.args)


class Frame:
    """The planes of one evaluation, by place."""

    __slots__ = ("columns", "false", "rows", "tables", "true", "values")

    def __init__(self, columns: Mapping[str, Column], tables: Tables) -> None:
        self.columns = columns
        self.tables = tables
        self.rows = next((len(column.values) for column in columns.values()), 0)
        self.values: dict[int, Numbers] = {}
        self.true: dict[int, Bools] = {}
        self.false: dict[int, Bools] = {}

    def run(self, nodes: tuple[Node, ...], steps: tuple[Step, ...]) -> "Frame":
        """Compute every step."""
        with np.errstate(all="ignore"):  # NaN and infinity are values here, not surprises
            for place, wanted, frees in steps:
                node = nodes[place]
                if node.op not in BOOLS:
                    self.values[place] = _VALUES[node.op](self, node)
                else:
                    if wanted & TRUE:
                        self.true[place] = _TRUE[node.op](self, node)
                    if wanted & FALSE:
                        self.false[place] = _FALSE[node.op](self, node)
                for free in frees:
                    self.values.pop(free, None)
                    self.true.pop(free, None)
                    self.false.pop(free, None)
        return self

    def full(self, value: float) -> Floats:
        """The same value in every row."""
        return np.full(self.rows, value, dtype=np.float64)

    def operands(self, node: Node) -> list[Numbers]:
        """Values of a node's arguments."""
        return [self.values[arg] for arg in node.args]


def _column(frame: Frame, node: Node) -> Floats:
    column = frame.columns.get(str(node.payload))
    if column is None:
        return frame.full(np.nan)
    if column.age.max(initial=0.0) <= column.spec.stale_after and not np.isinf(column.values).any():
        return column.values  # what is not known is NaN there already
    return np.where(column.known, column.values, np.nan)


def _known(frame: Frame, node: Node) -> Bools:
    column = frame.columns.get(str(node.payload))
    return np.zeros(frame.rows, dtype=np.bool_) if column is None else column.known


def _age(frame: Frame, node: Node) -> Floats:
    """Infinite where never sampled: silence is then longer than any threshold."""
    column = frame.columns.get(str(node.payload))
    return frame.full(np.inf) if column is None else np.where(np.isnan(column.age), np.inf, column.age)


def _count(frame: Frame, node: Node) -> Floats:
    column = frame.columns.get(str(node.payload))
    return frame.full(0.0) if column is None else np.where(np.isnan(column.count), 0.0, column.count)


def _divide(frame: Frame, node: Node) -> Numbers:
    """A ratio over nothing is unknown, not infinite."""
    above, below = frame.operands(node)
    ratio = np.asarray(np.true_divide(above, below))
    if not isinstance(below, float):
        ratio[below == 0.0] = np.nan
    return ratio


def _choice(frame: Frame, node: Node) -> Floats:
    condition, then, otherwise = node.args
    rest = np.where(frame.false[condition], frame.values[otherwise], np.nan)
    return np.where(frame.true[condition], frame.values[then], rest)


def _constant(_frame: Frame, node: Node) -> float:
    return node.payload if isinstance(node.payload, float) else 0.0


def _word(_frame: Frame, node: Node) -> float:
    return WORDS.code(str(node.payload))


_BINARY: dict[Op, Callable[[Numbers, Numbers], Numbers]] = {
    Op.ADD: np.add,
    Op.SUBTRACT: np.subtract,
    Op.MULTIPLY: np.multiply,
    Op.MIN: np.minimum,
    Op.MAX: np.maximum,
}


def _binary(frame: Frame, node: Node) -> Numbers:
    return _BINARY[node.op](*frame.operands(node))


def _negate(frame: Frame, node: Node) -> Numbers:
    return -frame.values[node.args[0]]


_VALUES: dict[Op, Callable[[Frame, Node], Numbers]] = {
    Op.CONST: _constant,
    Op.COLUMN: _column,
    Op.AGE: _age,
    Op.COUNT: _count,
    Op.DIVIDE: _divide,
    Op.NEGATE: _negate,
    Op.CHOICE: _choice,
    Op.WORD: _word,
    **dict.fromkeys(_BINARY, _binary),
}


def _compare(test: Callable[[Numbers, Numbers], Bools]) -> Callable[[Frame, Node], Bools]:
    return lambda frame, node: test(*frame.operands(node))


def _apart(frame: Frame, node: Node) -> Bools:
    a, b = frame.operands(node)
    return np.less(a, b) | np.greater(a, b)


def _flag(value: float) -> Callable[[Frame, Node], Bools]:
    return lambda frame, node: np.equal(frame.values[node.args[0]], value)


def _truth(value: bool) -> Callable[[Frame, Node], Bools]:
    return lambda frame, node: np.full(frame.rows, bool(node.payload) is value, dtype=np.bool_)


def _all(planes: str) -> Callable[[Frame, Node], Bools]:
    return lambda frame, node: np.logical_and.reduce([getattr(frame, planes)[arg] for arg in node.args])


def _any(planes: str) -> Callable[[Frame, Node], Bools]:
    return lambda frame, node: np.logical_or.reduce([getattr(frame, planes)[arg] for arg in node.args])


def _agree(frame: Frame, node: Node) -> Bools:
    a, b = node.args
    return (frame.true[a] & frame.true[b]) | (frame.false[a] & frame.false[b])


def _differ(frame: Frame, node: Node) -> Bools:
    a, b = node.args
    return (frame.true[a] & frame.false[b]) | (frame.false[a] & frame.true[b])


def _either(planes: str) -> Callable[[Frame, Node], Bools]:
    def plane(frame: Frame, node: Node) -> Bools:
        condition, then, otherwise = node.args
        source: dict[int, Bools] = getattr(frame, planes)
        return (frame.true[condition] & source[then]) | (frame.false[condition] & source[otherwise])

    return plane


def _ordered(test: Callable[[Numbers, Numbers], Bools]) -> Callable[[Frame, Node], Bools]:
    """Strings by their ranks, both of one table: a string that comes later moves the ranks of the others."""
    return lambda frame, node: test(*frame.tables.ranked(*(np.asarray(side) for side in frame.operands(node))))


def _answers(frame: Frame, node: Node) -> Bools:
    function, part = _pair(node)
    return frame.tables.answers(function, part, np.asarray(frame.values[node.args[0]]))


def _denies(frame: Frame, node: Node) -> Bools:
    return ~_answers(frame, node) & _there(frame, node)


def _there(frame: Frame, node: Node) -> Bools:
    """Where the argument is known."""
    there: Bools = ~np.isnan(np.asarray(frame.values[node.args[0]]))
    return there


def _pair(node: Node) -> tuple[str, str]:
    function, part = node.payload if isinstance(node.payload, tuple) else ("", "")
    return str(function), str(part)


def _among(frame: Frame, node: Node) -> Bools:
    """Members are few and sorted: halving them beats comparing with each."""
    payload = node.payload if isinstance(node.payload, tuple) else ()
    members = np.sort([WORDS.code(member) if isinstance(member, str) else member for member in payload])
    values = np.asarray(frame.values[node.args[0]])
    place = np.minimum(np.searchsorted(members, values), len(members) - 1)
    found: Bools = np.equal(members[place], values)
    return found


def _not_among(frame: Frame, node: Node) -> Bools:
    return ~_among(frame, node) & _there(frame, node)


def _defined(frame: Frame, node: Node) -> Bools:
    place = node.args[0]
    if place in frame.true:
        return frame.true[place] | frame.false[place]
    defined: Bools = ~np.isnan(np.broadcast_to(frame.values[place], frame.rows))
    return defined


_TRUE: dict[Op, Callable[[Frame, Node], Bools]] = {
    Op.TRUTH: _truth(True),
    Op.FLAG: _flag(1.0),
    Op.KNOWN: _known,
    Op.NOT: lambda frame, node: frame.false[node.args[0]],
    Op.AND: _all("true"),
    Op.OR: _any("true"),
    Op.LESS: _compare(np.less),
    Op.AT_MOST: _compare(np.less_equal),
    Op.EQUAL: _compare(np.equal),
    Op.SAME: _agree,
    Op.EITHER: _either("true"),
    Op.IS: _compare(np.equal),
    Op.BEFORE: _ordered(np.less),
    Op.NOT_AFTER: _ordered(np.less_equal),
    Op.TEXT: _answers,
    Op.AMONG: _among,
    Op.DEFINED: _defined,
}
_FALSE: dict[Op, Callable[[Frame, Node], Bools]] = {
    Op.TRUTH: _truth(False),
    Op.FLAG: _flag(0.0),
    Op.KNOWN: lambda frame, node: ~_known(frame, node),
    Op.NOT: lambda frame, node: frame.true[node.args[0]],
    Op.AND: _any("false"),
    Op.OR: _all("false"),
    Op.LESS: _compare(np.greater_equal),
    Op.AT_MOST: _compare(np.greater),
    Op.EQUAL: _apart,
    Op.SAME: _differ,
    Op.EITHER: _either("false"),
    Op.IS: _apart,
    Op.BEFORE: _ordered(np.greater_equal),
    Op.NOT_AFTER: _ordered(np.greater),
    Op.TEXT: _denies,
    Op.AMONG: _not_among,
    Op.DEFINED: lambda frame, node: ~_defined(frame, node),
}
