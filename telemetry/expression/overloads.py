"""The language's one table: which function takes what, gives what, and becomes what. The rest does not exist."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from itertools import product

from telemetry.expression.ir import Graph, Op
from telemetry.expression.text import MEMBERS


class Type(StrEnum):
    """The type of an expression, in the words of an error message."""

    NUMBER = "a number"
    INTEGER = "a whole number"  # literals only; stands wherever a number does
    DURATION = "a duration"
    BOOL = "a bool"
    STRING = "a string"
    COLUMN = "a column"  # not its value: what known(), age() and count() ask about
    LIST = "a list"  # of constants, behind `in` only
    LABELS = "the labels"


Build = Callable[..., int]


@dataclass(frozen=True, slots=True)
class Overload:
    """One way to call a function.

    Attributes:
        function: its name as in CEL, e.g. `_<_`.
        args: types of its arguments. `_&&_` and `_||_` take two or more; so do `min` and `max`, two at a time.
        result: type of its result.
        build: makes the node from a Graph and the arguments' places.
    """

    function: str
    args: tuple[Type, ...]
    result: Type
    build: Build


_N, _I, _D, _B, _S = Type.NUMBER, Type.INTEGER, Type.DURATION, Type.BOOL, Type.STRING
_NUMBERS = tuple(product((_N, _I), repeat=2))
VARIADIC = frozenset({"min", "max"})
"""Functions of two or more arguments, applied from the left."""
CHAINS = frozenset({"_&&_", "_||_"})
"""Operators that take a whole chain at once."""
ASKS = frozenset({"known", "age", "count"})
"""Total functions: they ask about a column and always have an answer."""


def _arithmetic(op: Op) -> Build:
    return lambda graph, *args: graph.arithmetic(op, *args)


def _ask(op: Op) -> Build:
    return lambda graph, column: graph.make(op, payload=graph.nodes[column].payload)


def _comparisons() -> Iterator[Overload]:
    orders = {"_<_": Graph.less, "_<=_": Graph.at_most, "_>_": Graph.more, "_>=_": Graph.at_least}
    for function, build in orders.items():
        yield from (Overload(function, args, _B, build) for args in (*_NUMBERS, (_D, _D)))
    yield Overload("_<_", (_S, _S), _B, lambda graph, a, b: graph.before(a, b, strictly=True))
    yield Overload("_<=_", (_S, _S), _B, lambda graph, a, b: graph.before(a, b, strictly=False))
    yield Overload("_>_", (_S, _S), _B, lambda graph, a, b: graph.before(b, a, strictly=True))
    yield Overload("_>=_", (_S, _S), _B, lambda graph, a, b: graph.before(b, a, strictly=False))
    yield Overload("_==_", (_S, _S), _B, Graph.equal_text)
    yield Overload("_!=_", (_S, _S), _B, Graph.different_text)
    for function, numbers, bools in (("_==_", Graph.equal, Graph.same), ("_!=_", Graph.different, Graph.unlike)):
        yield from (Overload(function, args, _B, numbers) for args in _NUMBERS)
        yield Overload(function, (_B, _B), _B, bools)


def _arithmetics() -> Iterator[Overload]:
    both = {"_+_": Op.ADD, "_-_": Op.SUBTRACT, "min": Op.MIN, "max": Op.MAX}
    for function, op in both.items():
        for args in _NUMBERS:
            yield Overload(function, args, _I if args == (_I, _I) else _N, _arithmetic(op))
        yield Overload(function, (_D, _D), _D, _arithmetic(op))
    for args in _NUMBERS:
        yield Overload("_*_", args, _I if args == (_I, _I) else _N, _arithmetic(Op.MULTIPLY))
        if args != (_I, _I):  # 7 / 2 is 3 in CEL and 3.5 to most people: it does not exist
            yield Overload("_/_", args, _N, _arithmetic(Op.DIVIDE))
    for number in (_N, _I):
        yield Overload("_*_", (number, _D), _D, _arithmetic(Op.MULTIPLY))
        yield Overload("_*_", (_D, number), _D, _arithmetic(Op.MULTIPLY))
        yield Overload("_/_", (_D, number), _D, _arithmetic(Op.DIVIDE))
    yield Overload("_/_", (_D, _D), _N, _arithmetic(Op.DIVIDE))
    yield from (Overload("-_", (kind,), kind, _arithmetic(Op.NEGATE)) for kind in (_N, _I, _D))


def _logic() -> Iterator[Overload]:
    yield Overload("_&&_", (_B, _B), _B, Graph.conjunction)
    yield Overload("_||_", (_B, _B), _B, Graph.disjunction)
    yield Overload("!_", (_B,), _B, Graph.negation)
    yield from (Overload("_?_:_", (_B, *args), _N, Graph.choice) for args in _NUMBERS)
    yield Overload("_?_:_", (_B, _D, _D), _D, Graph.choice)
    yield Overload("_?_:_", (_B, _S, _S), _S, Graph.choice)
    yield Overload("_?_:_", (_B, _B, _B), _B, Graph.either)
    yield Overload("known", (Type.COLUMN,), _B, _ask(Op.KNOWN))
    yield Overload("age", (Type.COLUMN,), _D, _ask(Op.AGE))
    yield Overload("count", (Type.COLUMN,), _N, _ask(Op.COUNT))


def _built(_graph: Graph, *args: int) -> int:
    return args[0]  # never asked: `special` builds these


def _special() -> Iterator[Overload]:
    """What the checker builds itself, because it looks at more than types."""
    yield Overload("duration", (_S,), _D, _built)
    yield from (Overload("@in", (kind, Type.LIST), _B, _built) for kind in (_N, _I, _S))
    yield Overload("@in", (_S, Type.LABELS), _B, _built)
    yield Overload("_[_]", (Type.LABELS, _S), _S, _built)
    yield Overload("has", (Type.COLUMN,), _B, _built)
    yield from (Overload(function, (_S, _S), _B, _built) for function in sorted(MEMBERS))


OVERLOADS: dict[tuple[str, tuple[Type, ...]], Overload] = {
    (overload.function, overload.args): overload
    for overload in (*_comparisons(), *_arithmetics(), *_logic(), *_special())
}
"""Every overload, by function and argument types."""
FUNCTIONS = frozenset(function for function, _ in OVERLOADS)
"""Every function and operator."""
