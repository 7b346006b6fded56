"""The expression front-end: any text as a condition over columns, and what compiles on a few rows."""

import numpy as np

from telemetry.columns import COLUMNS, Column, ColumnSpec, Kind
from telemetry.expression import Derived, ExpressionError, Program, compile_condition, compile_value, one_line
from telemetry.expression.overloads import FUNCTIONS
from telemetry.expression.parse import MAX_BYTES
from telemetry.signals.load import builtin
from telemetry.words import WORDS as STRINGS
from tests.fuzz.rules import bounded, grown, plain, require

_CELLS = np.array([np.nan, 0.0, -0.0, 1.0, -1.0, 0.5, 1e308, -1e308, 5e-324, np.inf])
_AGES = np.array([np.nan, 0.0, 1.0, 1e9, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0])
_STRINGS = [STRINGS.code(word) for word in ("", "web", "\U0001f600")]
_SIGNALS = builtin().derived
_OPERATORS = ("&&", "||", " ? ", " : ", "==", "!=", "<=", " in [", 'duration("1h")', "labels.", "r'(a+)+$'")
_CALLS = ("known(", "age(", "count(", "has(", ".matches(", ".startsWith(", "target.labels[")
WORDS = sorted({*COLUMNS, *FUNCTIONS, *_SIGNALS, *_OPERATORS, *_CALLS})


def _column(name: str, number: int) -> Column:
    spec = COLUMNS[name]
    values = np.roll(_CELLS, number)
    if spec.kind is Kind.BOOL:
        values = np.where(np.isnan(values), np.nan, values > 0)
    if spec.kind is Kind.STRING:
        values = np.where(np.isnan(values), np.nan, (values > 0) * _STRINGS[1])
    return Column(spec, values, np.where(np.isnan(values), np.nan, _AGES), np.where(np.isnan(values), 0.0, 3.0))


_SPECS = tuple(
    ColumnSpec("fuzz", kind, unit, "", 60.0)
    for kind, unit in (
        (Kind.NUMBER, "1"),
        (Kind.NUMBER, "ratio"),
        *((kind, "") for kind in (Kind.DURATION, Kind.BOOL, Kind.STRING)),
    )
)
_TABLE = {name: _column(name, number) for number, name in enumerate(sorted(COLUMNS))}


def check(data: bytes) -> None:
    """It is refused at a place of the text, or evaluates without surprise; it means the same on one line."""
    source = grown(data).decode(errors="surrogateescape")
    with bounded():
        try:
            condition = compile_condition(source, signals=_SIGNALS)
        except ExpressionError as error:
            _explained(source, error)
            condition = None
        try:
            derived = Derived(_SPECS[len(source) % len(_SPECS)], source, {"limit": 2.0})
            value = compile_value(derived, COLUMNS, _SIGNALS)
        except ExpressionError as error:
            _explained(source, error)
        else:
            require(value.evaluate(_TABLE).shape == _CELLS.shape, "a signal with other rows")
        if condition is not None:
            _evaluated(source, condition)


def _explained(source: str, error: ExpressionError) -> None:
    require(error.problems, "an error without a problem")
    for problem in error.problems:
        plain(problem.message)
        require(not problem.hint or problem.hint.isprintable(), f"a hint breaks its line: {problem.hint!r}")
        require(0 <= problem.offset <= len(source), f"a problem at {problem.offset} of {len(source)}")
        require(0 <= problem.length <= len(source) - problem.offset, f"a problem of {problem.length} characters")
    for line in str(error).split("\n"):
        plain(line)


def _evaluated(source: str, condition) -> None:
    require(len(source.encode(errors="surrogatepass")) <= MAX_BYTES, "an expression over the limit")
    truth = condition.evaluate(_TABLE)
    require(not np.any(truth.true & truth.false), "true and false at once")
    margin = condition.margin(_TABLE)
    require(np.all(np.isnan(margin) | ((margin >= 0) & (margin <= 1))), f"a margin outside 0 to 1: {margin}")
    require(np.array_equal(np.isnan(margin), ~(truth.true | truth.false)), "a margin where nothing is known, or none")
    for row in range(len(_CELLS)):
        condition.explain(_TABLE, row)
    require(condition.evaluate({}).true.shape == (0,), "rows from nowhere")
    line = compile_condition(one_line(source), signals=_SIGNALS)
    require(line.program == condition.program, "one line means something else")
    together = Program({"a": condition, "b": line}).run(_TABLE)
    for one in together.values():
        require(np.array_equal(one.true, truth.true), "true differs in a set of conditions")
        require(np.array_equal(one.false, truth.false), "false differs in a set of conditions")
