"""Units of number columns, so that bytes are never compared with a share."""

from collections.abc import Mapping

from telemetry.columns import ColumnSpec, Kind
from telemetry.expression.overloads import Type
from telemetry.expression.parse import Form, Syntax
from telemetry.expression.problem import Problem

Unit = tuple[tuple[str, int], ...]
"""Base units with their exponents, sorted; empty for plain numbers: counts and ratios."""

_PLAIN = ("", "1", "ratio")
_SAME = frozenset({"_+_", "_-_", "_<_", "_<=_", "_>_", "_>=_", "_==_", "_!=_", "min", "max", "_?_:_"})
_FACTORS = {"_*_": 1, "_/_": -1}


def parse_unit(text: str) -> Unit:
    """`byte/s` and its kind; `1` and `ratio` are plain numbers. Hours are not seconds: 1/h is not 1/s."""
    above, _, below = text.partition("/")
    exponents = {part: sign for part, sign in ((above, 1), (below, -1)) if part not in _PLAIN}
    return tuple(sorted(exponents.items()))


def unit_text(unit: Unit) -> str:
    """It in words: `in byte/s`, `a plain number`."""
    above = "·".join(name if power == 1 else f"{name}^{power}" for name, power in unit if power > 0)
    below = "·".join(name if power == -1 else f"{name}^{-power}" for name, power in unit if power < 0)
    if not unit:
        return "a plain number"
    return f"in {above or '1'}" + (f"/{below}" if below else "")


def _combine(a: Unit | None, b: Unit | None, sign: int) -> Unit | None:
    if a is None and b is None:
        return None
    powers = dict(a or ())
    for name, power in b or ():
        powers[name] = powers.get(name, 0) + sign * power
    return tuple(sorted((name, power) for name, power in powers.items() if power))


class Units:
    """The unit of every node of a tree; None for literals, which take their neighbour's, and for what is no number."""

    def __init__(self, source: str, columns: Mapping[str, ColumnSpec]) -> None:
        self.problems: list[Problem] = []
        self._source = source
        self._columns = columns
        self._units: list[Unit | None] = []

    @property
    def root(self) -> Unit | None:
        """The unit of the last node."""
        return self._units[-1]

    def add(self, node: Syntax, tree: tuple[Syntax, ...], types: list[Type | None]) -> None:
        """Find the unit of the next node of the tree; `types` holds the types up to and with it."""
        self._units.append(self._unit(node, tree, types))

    def _unit(self, node: Syntax, tree: tuple[Syntax, ...], types: list[Type | None]) -> Unit | None:
        if node.form is Form.NAME:
            spec = self._columns.get(str(node.value))
            return parse_unit(spec.unit) if spec and spec.kind is Kind.NUMBER else None
        if node.form is Form.LITERAL or types[len(self._units)] is None:
            return None
        if node.value in _SAME:
            return self._same(node, tree)
        if node.value in _FACTORS:
            return self._product(node, tree, types)
        if node.value == "-_":
            return self._units[node.args[0]]
        return () if node.value == "count" else None

    def _same(self, node: Syntax, tree: tuple[Syntax, ...]) -> Unit | None:
        """Both sides must agree; the result has their unit (no matter for a bool)."""
        args = node.args[1:] if node.value == "_?_:_" else node.args
        first: int | None = None
        for arg in args:
            unit = self._units[arg]
            if unit is None:
                continue
            if first is None:
                first = arg
            elif unit != self._units[first]:
                self._mismatch(node, tree[first], tree[arg], (self._units[first] or (), unit))
                return None
        return None if first is None else self._units[first]

    def _product(self, node: Syntax, tree: tuple[Syntax, ...], types: list[Type | None]) -> Unit | None:
        left, right = node.args
        if Type.DURATION not in (types[left], types[right]):
            return _combine(self._units[left], self._units[right], _FACTORS[str(node.value)])
        for arg in (left, right):
            if self._units[arg]:
                text = self._quote(tree[arg])
                message = f"{text} is {unit_text(self._units[arg] or ())}, which can not scale a duration"
                hint = "multiply or divide durations by plain numbers only"
                self.problems.append(Problem(node.offset, node.length, message, hint))
        return () if types[left] is types[right] else None

    def _mismatch(self, node: Syntax, a: Syntax, b: Syntax, units: tuple[Unit, Unit]) -> None:
        message = f"{self._quote(a)} is {unit_text(units[0])}, {self._quote(b)} is {unit_text(units[1])}"
        hint = "only numbers of one unit can be compared, added or chosen between"
        self.problems.append(Problem(node.offset, node.length, message, hint))

    def _quote(self, node: Syntax) -> str:
        text = " ".join(self._source[node.offset : node.offset + node.length].split())
        return f"`{text}`" if len(text) <= 40 else f"`{text[:39]}…`"
