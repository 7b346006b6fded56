"""Names, types and units of a syntax tree, and its lowering to the intermediate representation."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from telemetry.columns import ColumnSpec, Kind
from telemetry.expression.hints import column_hint, function_hint
from telemetry.expression.ir import Graph, Node, cost
from telemetry.expression.mismatch import type_problem
from telemetry.expression.overloads import ASKS, CHAINS, FUNCTIONS, OVERLOADS, VARIADIC, Overload, Type
from telemetry.expression.parse import Form, Syntax, parse
from telemetry.expression.problem import ExpressionError, Problem
from telemetry.expression.special import SPECIAL, label_of, read_label
from telemetry.expression.text import MEMBERS
from telemetry.expression.units import Units, parse_unit, unit_text
from telemetry.reading import LABEL_MAPS, TEXTS

MAX_OPERATIONS = 256
"""Most operations over whole columns that one expression may take."""
_MOST_PROBLEMS = 20
_EXACT = 2**53
_TOO_LARGE = 10**300  # an int that float() can not take
_OF_KIND = {Kind.NUMBER: Type.NUMBER, Kind.DURATION: Type.DURATION, Kind.BOOL: Type.BOOL, Kind.STRING: Type.STRING}


class Length(float):
    """A constant that is a duration, in seconds."""


@dataclass(frozen=True, slots=True)
class Derived:
    """A signal: a name for an expression.

    Attributes:
        spec: what it means; its kind and unit are those of the expression.
        source: the expression, checked before.
        constants: numbers that it names; those that are durations say so by their type.
    """

    spec: ColumnSpec
    source: str
    constants: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """The names that an expression may use, beside the inventory's own.

    Attributes:
        columns: by name.
        signals: by name; one that needs another comes after it.
        constants: by name; like literals they have no unit of their own.
    """

    columns: Mapping[str, ColumnSpec]
    signals: Mapping[str, Derived] = field(default_factory=dict)
    constants: Mapping[str, float] = field(default_factory=dict)

    def specs(self) -> Mapping[str, ColumnSpec]:
        """What every name means."""
        derived = {name: signal.spec for name, signal in self.signals.items()}
        return {**TEXTS, **self.columns, **derived}


@dataclass(frozen=True, slots=True)
class Checked:
    """A meaningful expression.

    Attributes:
        tree: its syntax.
        nodes: the intermediate representation.
        places: place of each syntax node in it.
        types: type of each syntax node.
    """

    tree: tuple[Syntax, ...]
    nodes: tuple[Node, ...]
    places: tuple[int, ...]
    types: tuple[Type | None, ...]

    @property
    def root(self) -> int:
        """Place of the whole expression."""
        return self.places[-1]


def check(source: str, words: Vocabulary, wanted: ColumnSpec | None = None) -> Checked:
    """Parse and check one expression.

    Args:
        source: its text.
        words: what it may name.
        wanted: kind and unit that it must have; a condition if not given.

    Raises:
        ExpressionError: with the syntax error, or with every unknown name and wrong type or unit.
    """
    return _Checker(source, words, words.specs(), Graph(), {}).run(wanted)


class _Checker:
    """Visits the tree from its leaves; `special` sees the public attributes."""

    def __init__(
        self,
        source: str,
        words: Vocabulary,
        specs: Mapping[str, ColumnSpec],
        graph: Graph,
        inlined: dict[str, int],
    ) -> None:
        self.tree = parse(source)
        self.graph = graph
        self.types: list[Type | None] = []  # None: its problem is already told
        self.places: list[int] = []
        self._source = source
        self._words = words
        self._specs = specs
        self._inlined = inlined
        self._problems: list[Problem] = []
        self._units = Units(source, specs)

    def run(self, wanted: ColumnSpec | None) -> Checked:
        self.visit_all()
        problems = self._problems + self._units.problems
        if not problems:
            problems += self._root(wanted)
        if problems:
            first = sorted(problems, key=lambda problem: problem.offset)[:_MOST_PROBLEMS]
            raise ExpressionError(self._source, tuple(first))
        nodes = tuple(self.graph.nodes)
        operations = cost(nodes, self.places[-1])
        if operations > MAX_OPERATIONS:
            message = f"the expression takes {operations} operations, more than {MAX_OPERATIONS}"
            raise ExpressionError(self._source, (Problem(0, 0, message, "split it into several policies"),))
        return Checked(self.tree, nodes, tuple(self.places), tuple(self.types))

    def visit_all(self) -> None:
        for node in self.tree:
            kind, place = self._visit(node)
            self.types.append(kind)
            self.places.append(place)
            self._units.add(node, self.tree, self.types)

    def _root(self, wanted: ColumnSpec | None) -> list[Problem]:
        """What is wrong with the whole: its type, or its unit."""
        node, kind = self.tree[-1], self.types[-1]
        if wanted is None:
            hint = "compare it with a threshold, e.g. … > 0.9"
            text = f"a condition is true or false, and this is {kind}"
            return [] if kind is Type.BOOL else [self._problem(node, text, hint)]
        expected = _OF_KIND[wanted.kind]
        if kind is not expected and (expected, kind) != (Type.NUMBER, Type.INTEGER):
            return [self._problem(node, f"the signal is declared as {expected}, and this is {kind}")]
        unit = self._units.root
        if expected is Type.NUMBER and unit is not None and unit != parse_unit(wanted.unit):
            text = f"the signal is declared as {unit_text(parse_unit(wanted.unit))}, and this is {unit_text(unit)}"
            return [self._problem(node, text)]
        return []

    def _visit(self, node: Syntax) -> tuple[Type | None, int]:
        if node.form in (Form.CALL, Form.MEMBER):
            return self._call(node)
        return self._name(node) if node.form is Form.NAME else self._literal(node)

    def _literal(self, node: Syntax) -> tuple[Type | None, int]:
        value = node.value
        if isinstance(value, bool):
            return Type.BOOL, self.graph.truth(value)
        if isinstance(value, str):
            return Type.STRING, self.graph.word(value)
        if isinstance(value, float):
            return self._constant(node, Type.NUMBER, self.graph.number(value))
        return self._constant(node, Type.INTEGER, self.graph.number(value if value < _TOO_LARGE else math.inf))

    def _constant(self, node: Syntax, kind: Type, place: int) -> tuple[Type | None, int]:
        """Refuse a constant that float64 does not hold."""
        value = self.graph.constant(place)
        if value is not None and not math.isfinite(value):
            return self.refuse(node, "the number is too large")
        if kind is Type.INTEGER and value is not None and abs(value) >= _EXACT:
            hint = f"write it as a decimal, e.g. {value:.6g}, if that precision is enough"
            return self.refuse(node, "a whole number of 2^53 or more is not exact", hint)
        return kind, place

    def _name(self, node: Syntax) -> tuple[Type | None, int]:
        name = str(node.value)
        spec = self._specs.get(name)
        if name in self._words.constants:
            value = self._words.constants[name]
            return Type.DURATION if isinstance(value, Length) else Type.NUMBER, self.graph.number(value)
        if spec is None:
            return self._no_column(node, name)
        kind = _OF_KIND[spec.kind]
        if name in self._words.signals:
            return kind, self._inline(name)
        return kind, self.graph.column(name, is_bool=spec.kind is Kind.BOOL)

    def _no_column(self, node: Syntax, name: str) -> tuple[Type | None, int]:
        if name in LABEL_MAPS:
            return Type.LABELS, 0
        key = label_of(name)
        if key is not None and "." not in key:
            return Type.STRING, read_label(self, key)
        hint = f'write labels["{key}"]' if key else ""
        if not hint and len(self._problems) < _MOST_PROBLEMS:
            hint = column_hint(name, self._specs, FUNCTIONS)
        return self.refuse(node, f"unknown column `{name}`", hint)

    def _inline(self, name: str) -> int:
        """The place of a signal's expression: what two policies read through it is computed once."""
        if name not in self._inlined:
            derived = self._words.signals[name]
            words = replace(self._words, constants=derived.constants)
            inner = _Checker(derived.source, words, self._specs, self.graph, self._inlined)
            inner.visit_all()
            self._inlined[name] = inner.places[-1]
        return self._inlined[name]

    def _call(self, node: Syntax) -> tuple[Type | None, int]:
        function = str(node.value)
        if function not in FUNCTIONS and function not in SPECIAL:
            hint = function_hint(function, self._specs, FUNCTIONS) if len(self._problems) < _MOST_PROBLEMS else ""
            return self.refuse(node, f"unknown function `{function}`", hint)
        return self._known_call(node, function)

    def _known_call(self, node: Syntax, function: str) -> tuple[Type | None, int]:
        if node.form is Form.MEMBER and function not in MEMBERS:
            return self.refuse(node, f"{function} is asked of nothing", f"write {function}(…)")
        types = [self.types[arg] for arg in node.args]
        if function in CHAINS:
            return self._chain(node, types)
        if None in types:
            return None, 0
        if function in SPECIAL:
            return SPECIAL[function](self, node)
        return self._typed_call(node, function, types)

    def _typed_call(self, node: Syntax, function: str, types: list[Type | None]) -> tuple[Type | None, int]:
        if function in ASKS and [self.tree[arg].form for arg in node.args] == [Form.NAME]:
            return self._ask(node, function)
        if function in VARIADIC and len(types) > 2:
            return self._fold(node)
        return self._apply(node, tuple(kind for kind in types if kind), tuple(self.places[arg] for arg in node.args))

    def _ask(self, node: Syntax, function: str) -> tuple[Type | None, int]:
        """`known`, `age` or `count` of a column; of a signal only whether it is known."""
        name = str(self.tree[node.args[0]].value)
        place = self.places[node.args[0]]
        if name in self._words.signals:
            if function == "known":
                return Type.BOOL, self.graph.defined(place)
            return self.refuse(node, f"a signal has no {function}", "ask about one of the columns that it reads")
        if name not in self._words.columns:
            hint = "write has(labels.tier)" if name in LABEL_MAPS or label_of(name) else "it is always known"
            return self.refuse(node, f"{function}() asks about a measured column, and `{name}` is none", hint)
        return self._apply(node, (Type.COLUMN,), (place,))

    def _chain(self, node: Syntax, types: list[Type | None]) -> tuple[Type | None, int]:
        wrong = [arg for arg, kind in zip(node.args, types, strict=True) if kind not in (None, Type.BOOL)]
        for arg in wrong:
            text = f"`{str(node.value)[1:3]}` joins bools, and this is {self.types[arg]}"
            self.refuse(self.tree[arg], text, "compare it with a threshold")
        if wrong or None in types:
            return None, 0
        build = OVERLOADS[str(node.value), (Type.BOOL, Type.BOOL)].build
        return Type.BOOL, build(self.graph, *(self.places[arg] for arg in node.args))

    def _fold(self, node: Syntax) -> tuple[Type | None, int]:
        """`min(a, b, c)` is `min(min(a, b), c)`."""
        kind, place = self.types[node.args[0]], self.places[node.args[0]]
        for arg in node.args[1:]:
            other = self.types[arg]
            if kind is None or other is None:
                break
            kind, place = self._apply(node, (kind, other), (place, self.places[arg]))
        return kind, place

    def _apply(self, node: Syntax, types: tuple[Type, ...], places: tuple[int, ...]) -> tuple[Type | None, int]:
        function = str(node.value)
        overload: Overload | None = OVERLOADS.get((function, types))
        if overload is None:
            return self.refuse(node, *type_problem(function, types, compares=self._compares(node)))
        if function == "_/_" and self.graph.constant(places[1]) == 0.0:
            return self.refuse(node, "division by zero", "it would be unknown on every target")
        return self._constant(node, overload.result, overload.build(self.graph, *places))

    def _compares(self, node: Syntax) -> bool:
        return any(str(self.tree[arg].value) in ("_<_", "_<=_", "_>_", "_>=_") for arg in node.args)

    def _problem(self, node: Syntax, message: str, hint: str = "") -> Problem:
        return Problem(node.offset, node.length, message, hint)

    def refuse(self, node: Syntax, message: str, hint: str = "") -> tuple[None, int]:
        """Tell a problem; the node has no type then, and what is made of it is not told again."""
        self._problems.append(self._problem(node, message, hint))
        return None, 0
