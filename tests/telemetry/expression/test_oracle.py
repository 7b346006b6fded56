"""The same expressions on the same rows through Google's CEL, our operators declared from our own table."""

import datetime as dt
import math
from functools import cache
from types import ModuleType
from typing import Any

import pytest
from hypothesis import HealthCheck, event, example, given, settings
from hypothesis import strategies as st

from telemetry.columns import Kind
from telemetry.expression import ExpressionError
from telemetry.expression.overloads import ASKS, OVERLOADS, Type
from telemetry.verdict import Verdict

from ...needs import need  # noqa: TID252 - importlib mode has no package named tests
from .support import CELLS, CONDITIONS, NAMES, ROWS, SPECS, STALE, Cell, Tree, columns_of, compiled

try:
    from cel_expr_python import cel
except ImportError:
    cel = None

Row = dict[str, tuple[Cell, float]]
CEL_NAMES = {
    Type.NUMBER: "double",
    Type.INTEGER: "int",
    Type.DURATION: "duration",
    Type.BOOL: "bool",
    Type.STRING: "string",
}
MACROS = {"has"}
NATIVE = {"_&&_", "_||_", "!_", "duration", "_[_]", "startsWith", "endsWith", "contains", "matches"}
LISTS = (("double", "double"), ("double", "int"), ("int", "double"), ("int", "int"), ("string", "string"))


@pytest.fixture(autouse=True)
def _oracle() -> None:
    need(cel is not None, "needs the cel-expr-python wheel (x86_64 or aarch64 glibc)")


def _raise_if_nan(value: float) -> float:
    if math.isnan(value):
        raise ArithmeticError
    return value


PYTHON = {
    "_+_": lambda a, b: a + b,
    "_-_": lambda a, b: a - b,
    "_*_": lambda a, b: a * b,
    "_/_": lambda a, b: a / b,
    "-_": lambda a: -a,
    "min": min,
    "max": max,
    "sdiv": lambda a, b: a / b,
    "chk": _raise_if_nan,
}


def _builtin(function: str, args: tuple[str, ...]) -> bool:
    """Whether CEL's runtime has this one without any checker knowing."""
    if function in ("_<_", "_<=_", "_>_", "_>=_", "_==_", "_!=_", "_?_:_"):
        return True
    same = len(set(args)) == 1
    if args[0] == "duration":
        return function in ("_+_", "_-_") and same
    return same and function in ("_+_", "_-_", "_*_", "_/_", "-_")


def _declarations() -> list[tuple[str, tuple[str, ...], str]]:
    found = [
        (function, tuple(CEL_NAMES[arg] for arg in args), CEL_NAMES[overload.result])
        for (function, args), overload in OVERLOADS.items()
        if function not in NATIVE | ASKS | MACROS | {"@in"}
    ]
    found += [(name, ("double",) * 3, "double") for name in ("min", "max")]
    found += [("chk", (kind,), "double") for kind in ("double", "int")]
    found += [("sdiv", args, "double") for args in (("double", "double"), ("double", "int"), ("int", "double"))]
    return found


@cache
def _environment() -> Any:
    assert isinstance(cel, ModuleType)
    lines = [
        "stdlib:",
        "  include_macros: [has]",
        f"  include_functions: [{', '.join(f'{{name: {name!r}}}' for name in sorted(NATIVE))}]",
        "functions:",
    ]
    impls = {}
    by_name: dict[str, list[str]] = {}
    for at, (function, args, result) in enumerate(_declarations()):
        types = ", ".join(f"{{type_name: {arg}}}" for arg in args)
        by_name.setdefault(function, []).append(f"{{id: ours_{at}, args: [{types}], return: {{type_name: {result}}}}}")
        if not _builtin(function, args):
            impls[f"ours_{at}"] = PYTHON[function]
    members = ", ".join(
        f"{{id: in_{a}_{b}, args: [{{type_name: {a}}}, {{type_name: list, params: [{{type_name: {b}}}]}}], "
        "return: {type_name: bool}}"
        for a, b in LISTS
    )
    labels = (
        "{id: in_labels, args: [{type_name: string}, {type_name: map, params: [{type_name: string}, "
        "{type_name: string}]}], return: {type_name: bool}}"
    )
    lines += [f'  - {{name: "@in", overloads: [{members}, {labels}]}}']
    lines += [f'  - {{name: "{name}", overloads: [{", ".join(them)}]}}' for name, them in by_name.items()]
    kinds = {Kind.NUMBER: cel.Type.DOUBLE, Kind.DURATION: cel.Type.DURATION, Kind.BOOL: cel.Type.BOOL}
    kinds[Kind.STRING] = cel.Type.STRING
    variables = {name: kinds[spec.kind] for name, spec in SPECS.items()}
    labels = cel.Type.Map(cel.Type.STRING, cel.Type.STRING)
    variables |= {"target.name": cel.Type.STRING, "labels": labels, "target.labels": labels}
    for name in SPECS:
        asked = name.replace(".", "_")
        variables |= {
            f"known.{asked}": cel.Type.BOOL,
            f"age.{asked}": cel.Type.DURATION,
            f"count.{asked}": cel.Type.DOUBLE,
        }
    return cel.NewEnv(config=cel.NewEnvConfigFromYaml("\n".join(lines)), variables=variables, function_impls=impls)


def _asked(text: str) -> str:
    """`known(n.a)` becomes the variable `known.n_a`: CEL has no way to ask about an absent variable."""
    for name in SPECS:
        for ask in ASKS:
            text = text.replace(f"{ask}({name})", f"{ask}.{name.replace('.', '_')}")
    return text


def _activation(row: Row) -> dict[str, object]:
    data: dict[str, object] = {}
    tier = row['labels["tier"]'][0]
    data["labels"] = data["target.labels"] = {"other": "x"} | ({} if tier is None else {"tier": tier})
    data["target.name"] = row["target.name"][0]
    for name, (value, age) in row.items():
        if name not in SPECS:
            continue
        known = value is not None and age <= STALE
        asked = name.replace(".", "_")
        data |= {f"known.{asked}": known, f"age.{asked}": dt.timedelta(seconds=age)}
        data[f"count.{asked}"] = 0.0 if value is None else 3.0
        if known and value is not None:
            data[name] = _value(SPECS[name].kind, value)
    return data


def _value(kind: Kind, value: float | str) -> object:
    if isinstance(value, str):
        return value
    return dt.timedelta(seconds=value) if kind is Kind.DURATION else bool(value) if kind is Kind.BOOL else value


def _verdict(program: Any, data: dict[str, object]) -> Verdict:
    assert isinstance(cel, ModuleType)
    answer = program.eval(data=data)
    if answer.type() == cel.Type.ERROR:
        return Verdict.UNKNOWN
    value = answer.value()
    assert isinstance(value, bool)
    return Verdict.PASS if value else Verdict.FAIL


def _accepted(source: str) -> Any:
    try:
        program = _environment().compile(_asked(source))
    except RuntimeError:
        return None
    return program if program.return_type() == cel.Type.BOOL else None


LITERAL_PROBLEMS = {"division by zero", "the number is too large"}
OURS_REFUSES = {"n . a > 1", "duration(10) > d.a"}
"""CEL allows blanks inside a name, and finds out at run time that duration() takes text."""
TOKENS = st.tuples(
    st.sampled_from(["n.a", "n.b", "2.0", "-n.a", "3", "b.a", "!b.b", "true", "d.a", "- d.b", "known(n.a)"]),
    st.sampled_from(["+", "-", "*", "/", "<", ">=", "==", "!=", "&&", "||", "&&", "||", "?", ":"]),
)
SOUP = st.lists(TOKENS, min_size=1, max_size=14).map(
    lambda tokens: " ".join(f"{operand} {operator}" for operand, operator in tokens).rpartition(" ")[0]
)


def _joined(parts: st.SearchStrategy[str], *operators: str) -> st.SearchStrategy[str]:
    """Parts with operators between them, and no parentheses."""
    pairs = st.lists(st.tuples(parts, st.sampled_from(operators)), min_size=1, max_size=4)
    return pairs.map(lambda pairs: " ".join(f"{part} {operator}" for part, operator in pairs).rpartition(" ")[0])


SUMS = _joined(st.sampled_from(["n.a", "n.b", "2.0", "-n.a", "n.power", "0.5"]), "+", "-", "*", "/")
RELATIONS = st.tuples(SUMS, st.sampled_from(["<", "<=", ">", ">=", "==", "!="]), SUMS).map(" ".join)
LOGIC = _joined(RELATIONS | st.sampled_from(["b.a", "!b.b"]) | RELATIONS.map(lambda text: f"{text} == b.a"), "&&", "||")
CHOICES = st.tuples(LOGIC, LOGIC, LOGIC).map(lambda parts: "{} ? {} : {}".format(*parts))
FIXED_ROW: Row = {name: (None if name in ("n.b", "b.b", "s.a", "s.b") else 0.0, 0.0) for name in SPECS}
FIXED_ROW |= {"target.name": ("web", 0.0), 'labels["tier"]': (None, 0.0)}
DIVISION = Tree("({} > 1)", "", (Tree("(n.a / n.power)", "chk(sdiv(n.a, n.power))"),))


@settings(max_examples=600, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(tree=CONDITIONS, rows=ROWS)
@example(tree=DIVISION, rows=[FIXED_ROW])
@example(tree=Tree("(!{})", "", (DIVISION,)), rows=[FIXED_ROW])
@example(tree=Tree("b.b ? n.a > 1 : n.a > 1"), rows=[FIXED_ROW])
def test_google_cel_agrees_on_every_row(tree: Tree, rows: list[Row]) -> None:
    source = tree.text()
    condition = compiled(source)
    if isinstance(condition, ExpressionError):
        assert {problem.message for problem in condition.problems} <= LITERAL_PROBLEMS, str(condition)
        event("refused for its literals")
        return
    truth = condition.evaluate(columns_of(rows))
    plain = _environment().compile(_asked(source))
    guarded = _environment().compile(_asked(tree.text(guarded=True)))
    for at, row in enumerate(rows):
        data = _activation(row)
        ours = truth.at(at)
        event(f"ours: {ours}")
        assert ours == _verdict(guarded, data), (source, row)
        if ours is not Verdict.UNKNOWN:  # x / 0 and NaN: where we know, plain CEL says the same
            assert ours == _verdict(plain, data), (source, row)


@pytest.mark.parametrize("source", [
    "n.a > 5", "5 < n.a", "2 * n.a >= 1", "n.a / 2 == 1.5", "1 - n.a != 0", "min(n.a, 1) < max(1, n.b)", "-n.a < 0",
    "b.a ? n.a > 1 : n.b > 1", "d.a > duration('1h30m')", "d.a * 2 < 3 * d.b", "d.a / 2 + d.b > -d.a", "d.a / d.b > 2",
    "b.a == b.b", "b.a != !b.b", "n.a < 1 == b.a", "a.b > 1", "n.a > ", "n.a > 'x'", "n.a > duration('1s')", "d.a > 5",
    "d.a == d.b", "7 / 2 > n.a", "n.a % 2 > 1.0", "b.a && n.a", "b.a || d.a", "!n.a", "-b.a", "b.a < b.b", "b.a + b.b",
    "n.a + d.a > n.a", "n.a / d.a > n.a", "d.a * d.b > n.a", "b.a ? n.a : d.a", "n.a ? b.a : b.b",
    "min(n.a, d.a) > 1.0",
    "n.a in [1.0]", "n.a > null", "n.a > 2u", "(n.a > 1", "n.a > 1)", "n.a > 1 && ", "&& b.a", "n.a = 1", "b.a and b.b",
    "n.a >< 1", "duration(10) > d.a", "duration('10 parsecs' + 'x') > d.a", "n.a > 1 // more\n && b.a", "n.a\t>\r\n1",
    "1 < n.a < 2", "!!b.a", "- -n.a < 1", "b.a ? b.b : b.a ? b.b : b.a", "b.a ? b.b ? b.a : b.b : b.a",
    "n.a > .5", "n.a > 1.",
    "n.a > 1e-3", "n.a > 1e", "n.a - 1 - 1 < 0", "n.a-1<0", "n . a > 1", "(b.a)", "((n.a)) > 1",
    "n.a.b > 1", "max() > 1",
])  # fmt: skip
def test_both_accept_or_both_refuse(source: str) -> None:
    ours = not isinstance(compiled(source), ExpressionError)
    theirs = _accepted(source) is not None
    assert ours == (theirs and source not in OURS_REFUSES)


@settings(max_examples=1000, deadline=None)
@given(source=SOUP | LOGIC | CHOICES, rows=st.lists(CELLS, min_size=1, max_size=4))
def test_text_without_parentheses_is_grouped_as_in_cel(source: str, rows: list[Row]) -> None:
    theirs = _accepted(source)
    condition = compiled(source)
    if isinstance(condition, ExpressionError):
        event("refused")
        assert theirs is None or condition.problems[0].message in LITERAL_PROBLEMS, str(condition)
        return
    event("accepted")
    assert theirs is not None
    truth = condition.evaluate(columns_of(rows))
    for at, row in enumerate(rows):
        if truth.at(at) is not Verdict.UNKNOWN:
            assert truth.at(at) == _verdict(theirs, _activation(row)), (source, row)


def test_the_oracle_knows_every_overload_of_the_table() -> None:
    names = {name for name, _, _ in _declarations()} | NATIVE | ASKS | MACROS | {"@in"}
    assert {function for function, _ in OVERLOADS} <= names
    assert NAMES[Kind.BOOL]
