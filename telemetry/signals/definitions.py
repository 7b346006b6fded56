"""Signals in the order in which they need each other, checked."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter
from typing import Any

import numpy as np

from telemetry.columns import COLUMNS, Column, ColumnSpec, Kind
from telemetry.expression import Derived, ExpressionError, Length, Value, compile_value
from telemetry.expression.parse import Form, parse
from telemetry.reading import columns_at
from telemetry.snapshot import Snapshot

MAX_CHAIN = 16
"""Signals that may stand on each other."""
Tell = Callable[[str, str, str, int], None]
"""Takes a problem: signal, message, hint, offset in its expression or -1."""


@dataclass(frozen=True, slots=True)
class Definitions:
    """Signals that mean something.

    Attributes:
        derived: by name; one that needs another comes after it.
        values: the same, compiled.
    """

    derived: Mapping[str, Derived]
    values: Mapping[str, Value]

    def columns(self, snapshot: Snapshot, names: Iterable[str]) -> dict[str, Column]:
        """These signals over all targets. Their age is 0, because they are as old as what they read."""
        found: dict[str, Column] = {}
        for name in names:
            value = self.values.get(name)
            if value is not None:
                cells = value.evaluate(columns_at(snapshot, value.columns))
                found[name] = Column(value.spec, cells, np.zeros(len(cells)), (~np.isnan(cells)).astype(np.float64))
        return found

    def closure(self, names: Iterable[str]) -> dict[str, Derived]:
        """These signals and those that they need, in order."""
        wanted = set(names)
        for name in reversed([*self.derived]):
            if name in wanted:
                wanted |= needs(self.derived[name].source) & self.derived.keys()
        return {name: derived for name, derived in self.derived.items() if name in wanted}


NONE = Definitions({}, {})
"""No signals at all."""


def needs(source: str) -> frozenset[str]:
    """Every name in an expression; none of one that can not be parsed."""
    try:
        return frozenset(str(node.value) for node in parse(source) if node.form is Form.NAME)
    except ExpressionError:
        return frozenset()


def compile_definitions(derived: Mapping[str, Derived], tell: Tell) -> Definitions:
    """Order and check signals; what is wrong is told, and left out.

    Args:
        derived: by name, in any order.
        tell: called with each problem.
    """
    for name in derived.keys() & COLUMNS.keys():
        tell(name, "is already the name of a column", "choose another", -1)
    after = {name: needs(each.source) & derived.keys() for name, each in derived.items()}
    try:
        order = [*TopologicalSorter(after).static_order()]
    except CycleError as error:
        path = error.args[1][::-1]
        tell(
            path[0], f"needs itself: {' → '.join(path)}", "a signal reads columns, and signals that do not read it", -1
        )
        return Definitions({}, {})
    checked: dict[str, Derived] = {}
    values: dict[str, Value] = {}
    depth: dict[str, int] = {}
    for name in order:
        depth[name] = 1 + max((depth[inner] for inner in after[name]), default=0)
        if depth[name] > MAX_CHAIN:
            tell(name, f"stands on a chain of more than {MAX_CHAIN} signals", "write it flatter", -1)
            break
        if not after[name] <= checked.keys():
            continue  # what it needs is wrong, and told
        try:
            values[name] = compile_value(derived[name], COLUMNS, checked)
        except ExpressionError as error:
            for problem in error.problems:
                tell(name, problem.message, problem.hint, problem.offset)
        else:
            checked[name] = derived[name]
    return Definitions(checked, values)


def pack(derived: Mapping[str, Derived]) -> dict[str, Any]:
    """Signals as plain data, so that a policy in the trail means what it meant when it was loaded."""
    return {name: _packed(each) for name, each in derived.items()}


def _packed(each: Derived) -> dict[str, Any]:
    made: dict[str, Any] = {"kind": each.spec.kind.value, "unit": each.spec.unit, "is": each.source}
    if each.constants:
        made["constants"] = {
            name: {"seconds": float(value)} if isinstance(value, Length) else value
            for name, value in each.constants.items()
        }
    return made


def unpack(data: Mapping[str, Any]) -> Definitions:
    """Signals from plain data.

    Raises:
        ValueError: they mean nothing to this version; with the first problem.
    """
    try:
        derived = {name: _unpacked(name, each) for name, each in data.items()}
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise ValueError(f"these signals are none: {error!r}") from error

    def tell(name: str, message: str, hint: str, offset: int) -> None:
        del hint, offset
        raise ValueError(f"signal {name}: {message}")

    return compile_definitions(derived, tell)


def _unpacked(name: str, each: Mapping[str, Any]) -> Derived:
    constants = {
        key: Length(value["seconds"]) if isinstance(value, Mapping) else float(value)
        for key, value in each.get("constants", {}).items()
    }
    return Derived(ColumnSpec(name, Kind(each["kind"]), str(each["unit"]), ""), str(each["is"]), constants)
