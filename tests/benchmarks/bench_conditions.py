"""Conditions over all targets at once, against Google's CEL row by row: the same rules, the same data, one process.

The rules are of the shapes that people write. In CEL a column is a variable of the row, absent where it is unknown, and
our operators are declared as in the differential test; known() and age() have no counterpart there, so no rule asks.
"""

import math
from collections.abc import Mapping
from time import process_time

import numpy as np
from cel_expr_python import cel

from telemetry.columns import COLUMNS, Column, Floats, Kind
from telemetry.expression import Program, Truth, compile_condition
from tests.benchmarks.rows import Row

TARGETS = 10_000
ORACLE_ROWS = 500
"""Rows that CEL evaluates; its time is proportional to them, and 10,000 would take seconds."""
ROUNDS = 50
RULES = tuple(
    shape.format(n=n, x=0.5 + n / 20, y=0.02 * (n + 1), d=30 * (n + 1))
    for n in range(4)
    for shape in (
        "cpu.ratio > {x} && replicas.ready >= {n}.0 && !change.recent",
        "errors.ratio > {y} && errors.ratio > 3.0 * max(errors.ratio_baseline, 0.005) && requests.rate > {n}.0",
        "memory.ratio > {x} || files.ratio > {x} || cpu.ratio > 0.95",
        "latency.p99 > duration('{d}s') && requests.rate >= 0.5 * requests.rate_baseline",
        "0.4 * completion.ratio + 0.3 * min(replicas.ready / replicas.desired, 1.0) < {x} && !probe.ok",
    )
)
"""Twenty."""
_NUMBERS = ("<", "<=", ">", ">=")
_CEL = {Kind.NUMBER: cel.Type.DOUBLE, Kind.DURATION: cel.Type.DURATION, Kind.BOOL: cel.Type.BOOL}


def data() -> dict[str, Column]:
    """Columns as they are on a bad day: a tenth of the cells unknown."""
    random = np.random.default_rng(1)
    names = {name for rule in RULES for name in compile_condition(rule).columns}
    return {name: _column(name, random) for name in sorted(names)}


def _column(name: str, random: np.random.Generator) -> Column:
    spec = COLUMNS[name]
    values: Floats = random.uniform(0.0, 1.2, TARGETS)
    if spec.kind is Kind.DURATION:
        values = random.uniform(0.0, 200.0, TARGETS)
    elif spec.kind is Kind.BOOL:
        values = (values > 0.6).astype(np.float64)
    elif spec.unit != "ratio":
        values = np.floor(values * 10)
    values[random.uniform(size=TARGETS) < 0.1] = np.nan
    return Column(spec, values, np.zeros(TARGETS), np.ones(TARGETS))


def _oracle(columns: Mapping[str, Column]) -> cel.Env:
    config = cel.NewEnvConfigFromYaml(
        "stdlib: {include_macros: []}\n"
        "functions:\n"
        + "".join(
            f"  - {{name: {name}, overloads: [{{id: ours_{name}, args: [{{type_name: double}}, {{type_name: double}}], "
            "return: {type_name: double}}]}\n"
            for name in ("min", "max")
        )
    )
    variables = {name: _CEL[column.spec.kind] for name, column in columns.items()}
    return cel.NewEnv(config=config, variables=variables, function_impls={"ours_min": min, "ours_max": max})


def _rows(columns: Mapping[str, Column]) -> list[dict[str, object]]:
    import datetime as dt

    rows: list[dict[str, object]] = []
    for at in range(ORACLE_ROWS):
        row: dict[str, object] = {}
        for name, column in columns.items():
            value = float(column.values[at])
            if not math.isnan(value):
                kind = column.spec.kind
                whole = dt.timedelta(seconds=value) if kind is Kind.DURATION else value
                row[name] = bool(value) if kind is Kind.BOOL else whole
        rows.append(row)
    return rows


def _agree(truths: Mapping[str, Truth], answers: Mapping[str, list[bool | None]]) -> int:
    """How many of CEL's answers are ours; x / 0 is an error to us and infinite to CEL."""
    same = 0
    for rule, column in answers.items():
        for at, answer in enumerate(column):
            ours = True if truths[rule].true[at] else False if truths[rule].false[at] else None
            same += ours == answer or (ours is None and "/" in rule)
    return same


def run() -> list[Row]:
    """Milliseconds of both for 20 rules over 10,000 targets, and the ratio."""
    columns = data()
    program = Program({rule: compile_condition(rule) for rule in RULES})
    truths = program.run(columns)
    took = []
    for _ in range(ROUNDS):
        began = process_time()
        truths = program.run(columns)
        took.append(process_time() - began)
    ours = sorted(took)[ROUNDS // 2] * 1e3
    env, rows = _oracle(columns), _rows(columns)
    compiled = {rule: env.compile(rule) for rule in RULES}
    activations = [env.Activation(row) for row in rows]
    began = process_time()
    values = {rule: [one.eval(activation) for activation in activations] for rule, one in compiled.items()}
    theirs = (process_time() - began) * 1e3 * TARGETS / ORACLE_ROWS
    answers = {
        rule: [None if value.type() == cel.Type.ERROR else bool(value.value()) for value in found]
        for rule, found in values.items()
    }
    same = _agree(truths, answers)
    cells = len(RULES) * ORACLE_ROWS
    return [
        Row(f"20 rules x {TARGETS:,} targets, both planes, shared ({program.cost} operations)", ours, "ms"),
        Row(f"… Google's CEL row by row (measured on {ORACLE_ROWS} rows)", theirs, "ms"),
        Row("… ratio", theirs / ours, "x", 500.0, least=True),
        Row(f"… answers that agree, of {cells:,}", same / cells * 100, "%", 100.0, least=True),
    ]
