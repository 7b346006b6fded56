"""A compiled condition: what a policy asks of every target at once."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from telemetry.columns import COLUMNS, Bools, Column, ColumnSpec, Floats
from telemetry.expression.check import Checked, Derived, Vocabulary, check
from telemetry.expression.ir import BOOLS, READS, Node, Op, cost, reachable
from telemetry.expression.kernel import BOTH, VALUE, Frame, Step, schedule
from telemetry.expression.margin import margins
from telemetry.expression.overloads import Type
from telemetry.expression.parse import Form
from telemetry.expression.text import Tables
from telemetry.reading import TEXTS, label_column, label_key
from telemetry.verdict import Verdict
from telemetry.words import WORDS


@dataclass(frozen=True, slots=True)
class Truth:
    """The answer per row: surely true, surely false, or neither, which is unknown; never both."""

    true: Bools
    false: Bools

    def at(self, row: int | None) -> Verdict:
        """The verdict of one row; UNKNOWN where there is no row."""
        if row is None:
            return Verdict.UNKNOWN
        return Verdict.of(true=bool(self.true[row]), false=bool(self.false[row]))


@dataclass(frozen=True, slots=True)
class Condition:
    """A checked expression that is true, false or unknown for every target.

    Attributes:
        source: what its author wrote.
        columns: names of the columns that it reads or asks about, those that its signals read among them.
        read: those whose values it reads; of the others it only asks `known`, `age` or `count`, which always answer.
        signals: names of the signals in it.
    """

    source: str
    columns: frozenset[str]
    read: frozenset[str]
    signals: frozenset[str]
    _checked: Checked = field(repr=False, compare=False)
    _specs: Mapping[str, ColumnSpec] = field(repr=False, compare=False)
    _steps: tuple[Step, ...] = field(repr=False, compare=False)
    _tables: Tables = field(default_factory=Tables, repr=False, compare=False)

    @property
    def program(self) -> tuple[tuple[Node, ...], int]:
        """Its intermediate representation, and the place of its answer in it."""
        return self._checked.nodes, self._checked.root

    def evaluate(self, columns: Mapping[str, Column]) -> Truth:
        """Its truth on every row.

        Args:
            columns: by name, of one length. One that is missing is wholly unknown; with none at all there are no rows.
        """
        frame = Frame(columns, self._tables).run(self._checked.nodes, self._steps)
        return Truth(frame.true[self._checked.root], frame.false[self._checked.root])

    def margin(self, columns: Mapping[str, Column]) -> Floats:
        """How far each row is from the other answer: 0 on the threshold, 1 beyond half of it, NaN where unknown.

        The least over what `&&` joins, the most over what `||` joins and makes it true; 1 for a bool column.
        """
        root, nodes = self._checked.root, self._checked.nodes
        steps = schedule(nodes, self._wants(reachable(nodes, root)), keep=True)
        frame = Frame(columns, self._tables).run(nodes, steps)
        return margins(nodes, frame, self._specs, root)

    def explain(self, columns: Mapping[str, Column], row: int) -> tuple[tuple[str, float | str | bool | None], ...]:
        """Text and value of each sub-expression in one row, outermost first.

        Durations are seconds (the age of what was never sampled is infinite); None is unknown.
        Literals and repetitions are left out.
        """
        single = {name: _row(column, row) for name, column in columns.items()}
        nodes = self._checked.nodes
        steps = schedule(nodes, self._wants(self._checked.places), keep=True)
        frame = Frame(single, self._tables).run(nodes, steps)
        shown: dict[str, float | str | bool | None] = {}
        for start, end, at in self._spans():
            value = _single(frame, self._checked.places[at])
            is_text = self._checked.types[at] is Type.STRING and value is not None
            shown.setdefault(self.source[start:end], WORDS.word(value) if is_text and value is not None else value)
        return tuple(shown.items())

    def cost(self) -> int:
        """Operations over whole columns that one evaluation takes."""
        return cost(self._checked.nodes, self._checked.root)

    def _wants(self, places: tuple[int, ...]) -> dict[int, int]:
        nodes = self._checked.nodes
        return {place: BOTH if nodes[place].op in BOOLS else VALUE for place in places}

    def _spans(self) -> list[tuple[int, int, int]]:
        tree = self._checked.tree
        hidden = {arg for node in tree if node.form is Form.CALL and node.value in _OPAQUE for arg in node.args}
        spans = [
            (node.offset, node.offset + node.length, at)
            for at, node in enumerate(tree)
            if at not in hidden and node.form is not Form.LITERAL and node.value not in _CONSTANT
        ]
        return sorted(spans, key=lambda span: (span[0], -span[1]))


_CONSTANT = frozenset({"duration", "[]"})
_OPAQUE = frozenset({"known", "age", "count", "duration", "has", "_[_]", "[]"})
"""Functions whose argument is no value of its own."""
NO_SIGNALS: Mapping[str, Derived] = {}


def compile_condition(
    source: str, columns: Mapping[str, ColumnSpec] = COLUMNS, signals: Mapping[str, Derived] = NO_SIGNALS
) -> Condition:
    """Compile a condition over the given columns and signals.

    Raises:
        ExpressionError: with every problem and its place, when the source does not mean anything.
    """
    checked = check(source, Vocabulary(columns, signals))
    nodes = checked.nodes
    reads = [node for node in nodes if node.op in READS]
    specs = {name: spec_of(name, columns) for name in (str(node.payload) for node in reads)}
    used = [nodes[at] for at in reachable(nodes, checked.root) if nodes[at].op in READS]
    names = frozenset(str(node.payload) for node in used)
    read = frozenset(str(node.payload) for node in used if node.op is Op.COLUMN)
    named = frozenset(str(node.value) for node in checked.tree if node.form is Form.NAME) & frozenset(signals)
    steps = schedule(nodes, {checked.root: BOTH}, keep=False)
    return Condition(source, names, read, named, checked, specs, steps)


def spec_of(name: str, columns: Mapping[str, ColumnSpec]) -> ColumnSpec:
    """What a column means, be it measured or the inventory's own."""
    key = label_key(name)
    return label_column(key) if key is not None else columns.get(name) or TEXTS[name]


def _row(column: Column, row: int) -> Column:
    cell = slice(row, row + 1)
    return Column(column.spec, column.values[cell], column.age[cell], column.count[cell])


def _single(frame: Frame, place: int) -> float | bool | None:
    if place in frame.true:
        true, false = bool(frame.true[place][0]), bool(frame.false[place][0])
        return True if true else False if false else None
    value = float(np.ravel(frame.values[place])[0])
    return None if np.isnan(value) else value
