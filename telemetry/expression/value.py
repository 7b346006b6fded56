"""A compiled signal: a value for every target at once."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from telemetry.columns import Column, ColumnSpec, Floats
from telemetry.expression.check import Checked, Derived, Vocabulary, check
from telemetry.expression.ir import BOOLS, READS, cost, reachable
from telemetry.expression.kernel import BOTH, VALUE, Frame, Step, schedule
from telemetry.expression.text import Tables


@dataclass(frozen=True, slots=True)
class Value:
    """A checked expression with the kind and unit of its spec.

    Attributes:
        spec: what it means.
        columns: names of the columns that it reads or asks about.
    """

    spec: ColumnSpec
    columns: frozenset[str]
    _checked: Checked = field(repr=False, compare=False)
    _steps: tuple[Step, ...] = field(repr=False, compare=False)
    _tables: Tables = field(default_factory=Tables, repr=False, compare=False)

    def evaluate(self, columns: Mapping[str, Column]) -> Floats:
        """Its value on every row; NaN is unknown. Bools are 1.0 and 0.0, strings are codes, durations are seconds."""
        root = self._checked.root
        frame = Frame(columns, self._tables).run(self._checked.nodes, self._steps)
        if root in frame.true:
            return np.where(frame.true[root], 1.0, np.where(frame.false[root], 0.0, np.nan))
        return np.array(np.broadcast_to(frame.values[root], frame.rows), dtype=np.float64)

    def cost(self) -> int:
        """Operations over whole columns that one evaluation takes."""
        return cost(self._checked.nodes, self._checked.root)


def compile_value(derived: Derived, columns: Mapping[str, ColumnSpec], signals: Mapping[str, Derived]) -> Value:
    """Compile a signal over columns and other signals.

    Raises:
        ExpressionError: with every problem and its place; also if it has another kind or unit than it says.
    """
    checked = check(derived.source, Vocabulary(columns, signals, derived.constants), derived.spec)
    nodes, root = checked.nodes, checked.root
    names = frozenset(str(nodes[at].payload) for at in reachable(nodes, root) if nodes[at].op in READS)
    wants = {root: BOTH if nodes[root].op in BOOLS else VALUE}
    return Value(derived.spec, names, checked, schedule(nodes, wants, keep=False))
