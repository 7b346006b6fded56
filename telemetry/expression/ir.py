"""The intermediate representation: equal sub-expressions are one node, and what is constant is computed here."""

import math
from collections.abc import Callable, Iterable
from enum import StrEnum
from typing import NamedTuple


class Op(StrEnum):
    """What a node computes. Numbers and durations (seconds) are float64; NaN is unknown."""

    CONST = "const"
    TRUTH = "truth"  # a constant bool
    COLUMN = "column"
    FLAG = "flag"  # a bool column, over its COLUMN
    KNOWN = "known"
    AGE = "age"
    COUNT = "count"
    NOT = "not"
    AND = "and"
    OR = "or"
    LESS = "less"
    AT_MOST = "at most"
    EQUAL = "equal"
    SAME = "same"  # == of bools
    ADD = "add"
    SUBTRACT = "subtract"
    MULTIPLY = "multiply"
    DIVIDE = "divide"
    NEGATE = "negate"
    MIN = "min"
    MAX = "max"
    CHOICE = "choice"  # ?: of numbers
    EITHER = "either"  # ?: of bools
    WORD = "word"  # a constant string; strings are numbers to the kernel: their codes
    IS = "is"  # == of strings
    BEFORE = "before"  # < of strings
    NOT_AFTER = "not after"  # <= of strings
    TEXT = "text"  # a question about a string: startsWith, matches, ...
    AMONG = "among"  # in a list of constants
    DEFINED = "defined"  # whether a signal is known


READS = frozenset({Op.COLUMN, Op.KNOWN, Op.AGE, Op.COUNT})
"""Operations whose payload is the name of a column."""
BOOLS = frozenset(
    {
        *(Op.TRUTH, Op.FLAG, Op.KNOWN, Op.NOT, Op.AND, Op.OR, Op.LESS, Op.AT_MOST, Op.EQUAL, Op.SAME, Op.EITHER),
        *(Op.IS, Op.BEFORE, Op.NOT_AFTER, Op.TEXT, Op.AMONG, Op.DEFINED),
    }
)
"""Operations whose result is a bool: planes, not values."""
_FREE = frozenset({Op.CONST, Op.WORD, Op.TRUTH, Op.COLUMN, Op.FLAG})
Payload = float | str | bool | tuple[float | str, ...] | None


class Node(NamedTuple):
    """One node.

    Attributes:
        op: what it computes.
        payload: a constant, a column's name, the members of a list, function and argument of a question about a
            string, or for a comparison which argument is the threshold (0 or 1).
        args: places of its arguments, all before its own.
    """

    op: Op
    payload: Payload
    args: tuple[int, ...]


class Graph:
    """Builds nodes; asked twice for the same, it answers with the first."""

    def __init__(self) -> None:
        self.nodes: list[Node] = []
        self._places: dict[Node, int] = {}

    def make(self, op: Op, *args: int, payload: Payload = None) -> int:
        """The place of a node, as it is given."""
        node = Node(op, payload, args)
        if node not in self._places:
            self._places[node] = len(self.nodes)
            self.nodes.append(node)
        return self._places[node]

    def constant(self, place: int) -> float | None:
        """The number a node always is, if it is a constant number."""
        node = self.nodes[place]
        return float(node.payload) if node.op is Op.CONST and isinstance(node.payload, float) else None

    def truth(self, value: bool) -> int:
        """A constant bool."""
        return self.make(Op.TRUTH, payload=bool(value))

    def number(self, value: float) -> int:
        """A constant number; -0.0 and 0.0 are one, since no operation of ours tells them apart."""
        return self.make(Op.CONST, payload=float(value))

    def word(self, value: str) -> int:
        """A constant string."""
        return self.make(Op.WORD, payload=value)

    def text(self, place: int) -> str | None:
        """The string a node always is, if it is a constant string."""
        node = self.nodes[place]
        return str(node.payload) if node.op is Op.WORD else None

    def column(self, name: str, *, is_bool: bool) -> int:
        """The value of a column."""
        values = self.make(Op.COLUMN, payload=name)
        return self.make(Op.FLAG, values, payload=name) if is_bool else values

    def negation(self, a: int) -> int:
        """`!a`."""
        node = self.nodes[a]
        if node.op is Op.NOT:
            return node.args[0]
        return self.truth(not node.payload) if node.op is Op.TRUTH else self.make(Op.NOT, a)

    def conjunction(self, *args: int) -> int:
        """`a && b && ...`."""
        return self._chain(Op.AND, args, neutral=True)

    def disjunction(self, *args: int) -> int:
        """`a || b || ...`."""
        return self._chain(Op.OR, args, neutral=False)

    def less(self, a: int, b: int) -> int:
        """`a < b`; what a person writes on the right is the threshold, unless the left alone is constant."""
        return self._ordered(Op.LESS, a, b, threshold=1)

    def at_most(self, a: int, b: int) -> int:
        """`a <= b`."""
        return self._ordered(Op.AT_MOST, a, b, threshold=1)

    def more(self, a: int, b: int) -> int:
        """`a > b`."""
        return self._ordered(Op.LESS, b, a, threshold=0)

    def at_least(self, a: int, b: int) -> int:
        """`a >= b`."""
        return self._ordered(Op.AT_MOST, b, a, threshold=0)

    def equal(self, a: int, b: int) -> int:
        """`a == b` of numbers."""
        return self._ordered(Op.EQUAL, min(a, b), max(a, b), threshold=1 if a < b else 0)

    def different(self, a: int, b: int) -> int:
        """`a != b` of numbers."""
        return self.negation(self.equal(a, b))

    def same(self, a: int, b: int) -> int:
        """`a == b` of bools."""
        for constant, other in ((a, b), (b, a)):
            node = self.nodes[constant]
            if node.op is Op.TRUTH:
                return other if node.payload else self.negation(other)
        return self.make(Op.SAME, min(a, b), max(a, b))

    def unlike(self, a: int, b: int) -> int:
        """`a != b` of bools."""
        return self.negation(self.same(a, b))

    def equal_text(self, a: int, b: int) -> int:
        """`a == b` of strings."""
        left, right = self.text(a), self.text(b)
        if left is not None and right is not None:
            return self.truth(left == right)
        return self.make(Op.IS, min(a, b), max(a, b))

    def different_text(self, a: int, b: int) -> int:
        """`a != b` of strings."""
        return self.negation(self.equal_text(a, b))

    def before(self, a: int, b: int, *, strictly: bool) -> int:
        """`a < b` or `a <= b` of strings, by code point."""
        left, right = self.text(a), self.text(b)
        if left is not None and right is not None:
            return self.truth(left < right or (left == right and not strictly))
        return self.make(Op.BEFORE if strictly else Op.NOT_AFTER, a, b)

    def among(self, value: int, members: Iterable[float | str]) -> int:
        """`value in [members]`."""
        chosen = sorted(set(members), key=lambda member: (str(type(member)), member))
        constant = self.constant(value) if self.text(value) is None else self.text(value)
        if constant is not None:
            return self.truth(constant in chosen)
        return self.make(Op.AMONG, value, payload=tuple(chosen))

    def defined(self, value: int) -> int:
        """`known(signal)`."""
        constant = self.nodes[value].op in (Op.CONST, Op.WORD, Op.TRUTH)
        return self.truth(True) if constant else self.make(Op.DEFINED, value)

    def arithmetic(self, op: Op, *args: int) -> int:
        """Arithmetic, `min`, `max`; constants are computed. A constant divisor must not be 0."""
        constants = [self.constant(arg) for arg in args]
        known = [constant for constant in constants if constant is not None]
        if len(known) == len(args):
            return self.number(_FOLD[op](*known))
        commutes = op in (Op.ADD, Op.MULTIPLY, Op.MIN, Op.MAX)
        return self.make(op, *(sorted(args) if commutes else args))

    def choice(self, condition: int, a: int, b: int) -> int:
        """`condition ? a : b` of numbers."""
        node = self.nodes[condition]
        if node.op is Op.TRUTH:
            return a if node.payload else b
        return self.make(Op.CHOICE, condition, a, b)

    def either(self, condition: int, a: int, b: int) -> int:
        """`condition ? a : b` of bools."""
        node = self.nodes[condition]
        if node.op is Op.TRUTH:
            return a if node.payload else b
        return self.make(Op.EITHER, condition, a, b)

    def _ordered(self, op: Op, a: int, b: int, threshold: int) -> int:
        left, right = self.constant(a), self.constant(b)
        if left is not None and right is not None:
            return self.truth(_COMPARE[op](left, right))
        if (left is None) != (right is None):
            threshold = 0 if right is None else 1
        return self.make(op, a, b, payload=float(threshold))

    def _chain(self, op: Op, args: Iterable[int], *, neutral: bool) -> int:
        flat: set[int] = set()
        for arg in args:
            node = self.nodes[arg]
            flat.update(node.args if node.op is op else (arg,))
        absorbing, neutral_place = self.truth(not neutral), self.truth(neutral)
        if absorbing in flat:
            return absorbing
        flat.discard(neutral_place)
        if not flat:
            return neutral_place
        return flat.pop() if len(flat) == 1 else self.make(op, *sorted(flat))


def reachable(nodes: tuple[Node, ...], root: int) -> tuple[int, ...]:
    """Places of the nodes that the root needs, arguments first."""
    needed = {root}
    for place in range(root, -1, -1):
        if place in needed:
            needed.update(nodes[place].args)
    return tuple(sorted(needed))


def cost(nodes: tuple[Node, ...], root: int) -> int:
    """Operations over whole columns that one evaluation takes; reading a column is free."""
    used = (nodes[place] for place in reachable(nodes, root))
    return sum(operations(node) for node in used)


def operations(node: Node) -> int:
    """What one node costs: reading is free, a chain of n is n - 1, and a list is searched by halves."""
    if node.op in _FREE:
        return 0
    if node.op is Op.AMONG and isinstance(node.payload, tuple):
        return len(node.payload).bit_length()
    return max(1, len(node.args) - 1)


def _divide(a: float, b: float) -> float:
    return a / b if b else math.nan


_FOLD: dict[Op, Callable[..., float]] = {
    Op.ADD: lambda a, b: a + b,
    Op.SUBTRACT: lambda a, b: a - b,
    Op.MULTIPLY: lambda a, b: a * b,
    Op.DIVIDE: _divide,
    Op.NEGATE: lambda a: -a,
    Op.MIN: min,
    Op.MAX: max,
}
_COMPARE: dict[Op, Callable[[float, float], bool]] = {
    Op.LESS: lambda a, b: a < b,
    Op.AT_MOST: lambda a, b: a <= b,
    Op.EQUAL: lambda a, b: a == b,
}
