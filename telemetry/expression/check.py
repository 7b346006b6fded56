"""Names, types and units of a syntax tree, and its lowering to the intermediate representation."""

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass

from telemetry.columns import ColumnSpec, Kind
from telemetry.expression.hints import column_hint, duration_literal, function_hint
from telemetry.expression.ir import Graph, Node, cost
from telemetry.expression.mismatch import type_problem
from telemetry.expression.overloads import ASKS, CHAINS, FUNCTIONS, OVERLOADS, VARIADIC, Overload, Type
from telemetry.expression.parse import Form, Syntax, parse
from telemetry.expression.problem import ExpressionError, Problem
from telemetry.expression.units import Units

MAX_OPERATIONS = 256
"""Most operations over whole columns that one expression may take."""
_MOST_PROBLEMS = 20
_EXACT = 2**53
_TOO_LARGE = 10**300  # an int that float() can not take
_OF_KIND = {Kind.NUMBER: Type.NUMBER, Kind.DURATION: Type.DURATION, Kind.BOOL: Type.BOOL}
_PART = re.compile(r"([0-9]+(?:\.[0-9]*)?|\.[0-9]+)(h|ms|m|s|us|µs|ns)")
_SECONDS = {"h": 3600.0, "m": 60.0, "s": 1.0, "ms": 1e-3, "us": 1e-6, "µs": 1e-6, "ns": 1e-9}
_LONGEST = 315_576_000_000.0  # CEL's range: ten thousand years


@dataclass(frozen=True, slots=True)
class Checked:
    """A meaningful expression.

    Attributes:
        tree: its syntax.
        nodes: the intermediate representation.
        places: place of each syntax node in it.
    """

    tree: tuple[Syntax, ...]
    nodes: tuple[Node, ...]
    places: tuple[int, ...]

    @property
    def root(self) -> int:
        """Place of the whole expression."""
        return self.places[-1]


def check(source: str, columns: Mapping[str, ColumnSpec]) -> Checked:
    """Parse and check one condition.

    Raises:
        ExpressionError: with the syntax error, or with every unknown name and wrong type or unit.
    """
    return _Checker(source, columns).run()


class _Checker:
    def __init__(self, source: str, columns: Mapping[str, ColumnSpec]) -> None:
        self._source = source
        self._columns = columns
        self._tree = parse(source)
        self._graph = Graph()
        self._types: list[Type | None] = []  # None: its problem is already told
        self._places: list[int] = []
        self._problems: list[Problem] = []

    def run(self) -> Checked:
        units = Units(self._source, self._columns)
        for node in self._tree:
            kind, place = self._visit(node)
            self._types.append(kind)
            self._places.append(place)
            units.add(node, self._tree, self._types)
        problems = self._problems + units.problems
        root = self._types[-1]
        if root not in (None, Type.BOOL):
            hint = "compare it with a threshold, e.g. … > 0.9"
            problems.append(self._problem(self._tree[-1], f"a condition is true or false, and this is {root}", hint))
        if problems:
            first = sorted(problems, key=lambda problem: problem.offset)[:_MOST_PROBLEMS]
            raise ExpressionError(self._source, tuple(first))
        nodes = tuple(self._graph.nodes)
        operations = cost(nodes, self._places[-1])
        if operations > MAX_OPERATIONS:
            message = f"the expression takes {operations} operations, more than {MAX_OPERATIONS}"
            raise ExpressionError(self._source, (Problem(0, 0, message, "split it into several policies"),))
        return Checked(self._tree, nodes, tuple(self._places))

    def _visit(self, node: Syntax) -> tuple[Type | None, int]:
        if node.form is Form.CALL:
            return self._call(node)
        return self._name(node) if node.form is Form.NAME else self._literal(node)

    def _literal(self, node: Syntax) -> tuple[Type | None, int]:
        value = node.value
        if isinstance(value, bool):
            return Type.BOOL, self._graph.truth(value)
        if isinstance(value, str):
            return Type.STRING, self._graph.number(0)  # a string never reaches the graph: only duration() takes one
        if isinstance(value, float):
            return self._constant(node, Type.NUMBER, self._graph.number(value))
        return self._constant(node, Type.INTEGER, self._graph.number(value if value < _TOO_LARGE else math.inf))

    def _constant(self, node: Syntax, kind: Type, place: int) -> tuple[Type | None, int]:
        """Refuse a constant that float64 does not hold."""
        value = self._graph.constant(place)
        if value is not None and not math.isfinite(value):
            return self._refuse(node, "the number is too large")
        if kind is Type.INTEGER and value is not None and abs(value) >= _EXACT:
            hint = f"write it as a decimal, e.g. {value:.6g}, if that precision is enough"
            return self._refuse(node, "a whole number of 2^53 or more is not exact", hint)
        return kind, place

    def _name(self, node: Syntax) -> tuple[Type | None, int]:
        name = str(node.value)
        spec = self._columns.get(name)
        if spec is None:
            hint = column_hint(name, self._columns, FUNCTIONS) if len(self._problems) < _MOST_PROBLEMS else ""
            return self._refuse(node, f"unknown column `{name}`", hint)
        return _OF_KIND[spec.kind], self._graph.column(name, is_bool=spec.kind is Kind.BOOL)

    def _call(self, node: Syntax) -> tuple[Type | None, int]:
        function = str(node.value)
        if function not in FUNCTIONS:
            hint = function_hint(function, self._columns, FUNCTIONS) if len(self._problems) < _MOST_PROBLEMS else ""
            return self._refuse(node, f"unknown function `{function}`", hint)
        types = [self._types[arg] for arg in node.args]
        if function in CHAINS:
            return self._chain(node, types)
        if None in types:
            return None, 0
        if function == "duration":
            return self._duration(node)
        if function in ASKS and [self._tree[arg].form for arg in node.args] == [Form.NAME]:
            types = [Type.COLUMN]
        if function in VARIADIC and len(types) > 2:
            return self._fold(node)
        return self._apply(node, tuple(kind for kind in types if kind), tuple(self._places[arg] for arg in node.args))

    def _chain(self, node: Syntax, types: list[Type | None]) -> tuple[Type | None, int]:
        wrong = [arg for arg, kind in zip(node.args, types, strict=True) if kind not in (None, Type.BOOL)]
        for arg in wrong:
            text = f"`{str(node.value)[1:3]}` joins bools, and this is {self._types[arg]}"
            self._refuse(self._tree[arg], text, "compare it with a threshold")
        if wrong or None in types:
            return None, 0
        build = OVERLOADS[str(node.value), (Type.BOOL, Type.BOOL)].build
        return Type.BOOL, build(self._graph, *(self._places[arg] for arg in node.args))

    def _fold(self, node: Syntax) -> tuple[Type | None, int]:
        """`min(a, b, c)` is `min(min(a, b), c)`."""
        kind, place = self._types[node.args[0]], self._places[node.args[0]]
        for arg in node.args[1:]:
            other = self._types[arg]
            if kind is None or other is None:
                break
            kind, place = self._apply(node, (kind, other), (place, self._places[arg]))
        return kind, place

    def _apply(self, node: Syntax, types: tuple[Type, ...], places: tuple[int, ...]) -> tuple[Type | None, int]:
        function = str(node.value)
        overload: Overload | None = OVERLOADS.get((function, types))
        if overload is None:
            return self._refuse(node, *type_problem(function, types, compares=self._compares(node)))
        if function == "_/_" and self._graph.constant(places[1]) == 0.0:
            return self._refuse(node, "division by zero", "it would be unknown on every target")
        return self._constant(node, overload.result, overload.build(self._graph, *places))

    def _duration(self, node: Syntax) -> tuple[Type | None, int]:
        literal = self._tree[node.args[0]] if len(node.args) == 1 else None
        hint = "write e.g. duration('90s'), duration('1h30m') or duration('250ms')"
        if literal is None or literal.form is not Form.LITERAL or not isinstance(literal.value, str):
            return self._refuse(node, "duration() takes one literal in quotes", hint)
        seconds = _seconds(literal.value)
        if seconds is None:
            days = re.fullmatch(r"([0-9]{1,6})(d|min|sec)", literal.value)
            hint = f"write {duration_literal(days[1], days[2])}" if days else hint
            return self._refuse(literal, f"{literal.value!a} is not a duration", hint)
        if abs(seconds) > _LONGEST:
            return self._refuse(literal, "a duration is at most ten thousand years")
        return Type.DURATION, self._graph.number(seconds)

    def _compares(self, node: Syntax) -> bool:
        return any(str(self._tree[arg].value) in ("_<_", "_<=_", "_>_", "_>=_") for arg in node.args)

    def _problem(self, node: Syntax, message: str, hint: str = "") -> Problem:
        return Problem(node.offset, node.length, message, hint)

    def _refuse(self, node: Syntax, message: str, hint: str = "") -> tuple[None, int]:
        self._problems.append(self._problem(node, message, hint))
        return None, 0


def _seconds(text: str) -> float | None:
    """Seconds of a duration literal such as `1h30m`; None if it is none."""
    body = text[1:] if text[:1] in ("+", "-") else text
    sign = -1.0 if text[:1] == "-" else 1.0
    if body == "0":
        return 0.0
    parts = _PART.findall(body)
    if not parts or "".join(amount + unit for amount, unit in parts) != body:
        return None
    return sign * math.fsum(float(amount) * _SECONDS[unit] for amount, unit in parts)
