"""One program for many conditions answers as each of them alone, and computes what they share once."""

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from telemetry.expression import Condition, ExpressionError, Program, compile_condition

from .support import CONDITIONS, ROWS, SPECS, Cell, Tree, columns_of, compiled, table


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(trees=st.lists(CONDITIONS, min_size=1, max_size=5), rows=ROWS)
def test_a_program_answers_as_its_conditions_alone(
    trees: list[Tree], rows: list[dict[str, tuple[Cell, float]]]
) -> None:
    found = [compiled(tree.text()) for tree in trees]
    conditions = {at: each for at, each in enumerate(found) if isinstance(each, Condition)}
    program = Program(conditions)
    columns = columns_of(rows)
    together = program.run(columns)
    for at, condition in conditions.items():
        alone = condition.evaluate(columns)
        assert np.array_equal(alone.true, together[at].true)
        assert np.array_equal(alone.false, together[at].false)
    assert program.cost <= sum(condition.cost() for condition in conditions.values())
    assert program.columns == {name for condition in conditions.values() for name in condition.columns}


def test_what_conditions_share_is_counted_once() -> None:
    sources = [f"n.a + n.b > 3 && n.a * 2 < {at}" for at in range(100)]
    program = Program({source: compile_condition(source, SPECS) for source in sources})
    assert sum(compile_condition(source, SPECS).cost() for source in sources) == 500
    assert program.cost == 3 + 100 + 100


def test_a_sum_is_shared_whichever_way_round_it_is_written() -> None:
    pair = {way: compile_condition(way, SPECS) for way in ("n.a + n.b > 1", "n.b + n.a > 1")}
    assert Program(pair).cost == 2


def test_an_empty_program_answers_nothing() -> None:
    assert Program({}).run(table(n_a=[1.0])) == {}


def test_a_hostile_set_can_be_counted_before_it_is_used() -> None:
    """256 divisions in each of 80 policies are more than a set may take."""
    conditions: dict[int, Condition] = {}
    for at in range(80):
        source = " + ".join(f"n.a / {at * 1000 + part + 1}.0" for part in range(127)) + " > 1"
        conditions[at] = compile_condition(source, SPECS)
    assert max(condition.cost() for condition in conditions.values()) <= 256
    assert Program(conditions).cost > 20_000
    with pytest.raises(ExpressionError):
        compile_condition(" + ".join(["n.a / n.b"] + [f"n.b / {part}.5" for part in range(140)]) + " > 1", SPECS)
