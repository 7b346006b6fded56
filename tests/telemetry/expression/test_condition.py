"""What a compiled condition says of itself and of a row."""

import math
import pickle

from telemetry.columns import COLUMNS
from telemetry.expression import ExpressionError, Problem, compile_condition

from .support import SPECS, column, table


def test_explain_shows_every_part_outermost_first() -> None:
    condition = compile_condition("n.a > 10 && (b.a || age(n.b) > duration('1m')) && n.a * 2 < 30", SPECS)
    columns = table(n_a=[1.0, 12.0], b_a=[1.0, None])
    assert condition.explain(columns, 1) == (
        ("n.a > 10 && (b.a || age(n.b) > duration('1m')) && n.a * 2 < 30", 1.0),
        ("n.a > 10", 1.0),
        ("n.a", 12.0),
        ("b.a || age(n.b) > duration('1m')", 1.0),
        ("b.a", None),
        ("age(n.b) > duration('1m')", 1.0),
        ("age(n.b)", math.inf),
        ("n.a * 2 < 30", 1.0),
        ("n.a * 2", 24.0),
    )
    assert condition.explain(columns, 0)[:2] == ((condition.source, 0.0), ("n.a > 10", 0.0))


def test_explain_shows_what_was_folded_away_too() -> None:
    condition = compile_condition("n.a > 10 && false || b.a == true || !!b.b", SPECS)
    shown = dict(condition.explain(table(n_a=[12.0], b_a=[0.0], b_b=[1.0]), 0))
    assert shown["n.a > 10"] == 1.0
    assert shown["n.a > 10 && false"] == 0.0
    assert shown["b.a == true"] == 0.0
    assert shown["!b.b"] == 0.0
    assert shown["!!b.b"] == 1.0


def test_explain_reads_one_row_even_without_its_columns() -> None:
    condition = compile_condition("b.a || n.a / n.b > 1", SPECS)
    assert condition.explain(table(d_a=[5.0]), 0)[0] == (condition.source, None)
    assert dict(condition.explain(table(n_a=[1.0], n_b=[0.0]), 0))["n.a / n.b"] is None


def test_a_condition_says_what_it_reads() -> None:
    condition = compile_condition("cpu.ratio > 0.9 && known(memory.bytes)")
    assert condition.source == "cpu.ratio > 0.9 && known(memory.bytes)"
    assert condition.columns == {"cpu.ratio", "memory.bytes"}


def test_conditions_are_equal_by_what_they_say() -> None:
    assert compile_condition("probe.ok") == compile_condition("probe.ok")
    assert len({compile_condition("probe.ok"), compile_condition("probe.ok"), compile_condition("!probe.ok")}) == 2
    assert "probe.ok" in repr(compile_condition("probe.ok"))


def test_a_condition_works_on_every_column_of_the_program() -> None:
    columns = {name: column(spec, [1.0]) for name, spec in COLUMNS.items()}
    for name in COLUMNS:
        assert compile_condition(f"known({name})").evaluate(columns).true.all()


def test_an_error_keeps_its_parts() -> None:
    error = ExpressionError("a b", (Problem(2, 1, "second"), Problem(0, 1, "first", "hint")))
    assert [problem.message for problem in error.problems] == ["first", "second"]
    copy = pickle.loads(pickle.dumps(error))
    assert (copy.source, copy.problems) == (error.source, error.problems)
