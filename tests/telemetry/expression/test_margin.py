"""How far a row is from the other answer."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from telemetry.columns import ColumnSpec, Kind
from telemetry.expression import compile_condition
from telemetry.expression.margin import SCALE_FLOORS

from .support import SPECS, column, table

NUMBERS = st.floats(-1e6, 1e6)


def _margin(source: str, **cells: list[float | None]) -> list[float | None]:
    found = compile_condition(source, SPECS).margin(table(**cells))
    return [None if np.isnan(value) else round(float(value), 6) for value in found]


def test_a_margin_is_the_distance_over_half_of_the_threshold() -> None:
    assert _margin("n.a > 10", n_a=[10.0, 11.0, 12.5, 15.0, 99.0]) == [0.0, 0.2, 0.5, 1.0, 1.0]
    assert _margin("n.a > 10", n_a=[9.0, 5.0, None]) == [0.2, 1.0, None]
    assert _margin("10 < n.a", n_a=[12.5]) == [0.5]
    assert _margin("!(n.a > 10)", n_a=[9.0]) == [0.2]
    assert _margin("d.a > duration('10m')", d_a=[750.0]) == [0.5]


def test_the_right_side_is_the_threshold_of_two_columns() -> None:
    assert _margin("n.a > 2 * n.b", n_a=[25.0], n_b=[10.0]) == [0.5]
    assert _margin("n.a < n.b", n_a=[15.0], n_b=[20.0]) == [0.5]


@pytest.mark.parametrize(("unit", "floor"), SCALE_FLOORS.items())
def test_a_threshold_of_zero_has_the_scale_floor_of_its_unit(unit: str, floor: float) -> None:
    specs = {"x.y": ColumnSpec("x.y", Kind.NUMBER, unit, "for tests")}
    found = compile_condition("x.y > 0", specs).margin({"x.y": column(specs["x.y"], [floor / 4, floor, 5 * floor])})
    assert found.tolist() == pytest.approx([0.25, 1.0, 1.0])


def test_durations_and_counts_have_a_floor_too() -> None:
    assert _margin("d.a > duration('0s')", d_a=[0.25, 9.0]) == [0.25, 1.0]
    assert _margin("count(n.a) > 0", n_a=[7.0]) == [1.0]
    assert _margin("age(n.a) >= duration('0s')", n_a=[7.0]) == [0.0]


def test_bools_are_decisive() -> None:
    assert _margin("b.a", b_a=[1.0, 0.0, None]) == [1.0, 1.0, None]
    assert _margin("known(b.a) && !b.b", b_a=[1.0], b_b=[0.0]) == [1.0]
    assert _margin("true", b_a=[1.0, None]) == [1.0, 1.0]


def test_and_is_as_weak_as_its_weakest_and_or_as_strong_as_its_strongest_truth() -> None:
    cells = {"n_a": [11.0, 11.0, 9.0, 9.0], "n_b": [12.5, 7.5, 12.5, 7.5]}
    assert _margin("n.a > 10 && n.b > 10", **cells) == [0.2, 0.5, 0.2, 0.2 + 0.3]
    assert _margin("n.a > 10 || n.b > 10", **cells) == [0.5, 0.2, 0.5, 0.2]


def test_what_is_false_does_not_lend_its_margin_to_what_is_true() -> None:
    assert _margin("n.a > 10 || b.a", n_a=[10.5], b_a=[0.0]) == [0.1]
    assert _margin("n.a > 10 || n.b > 10 && b.a", n_a=[10.5], n_b=[99.0], b_a=[None]) == [0.1]


def test_a_negation_takes_part_with_its_own_truth() -> None:
    assert _margin("!(n.a > 10) && n.b > 10", n_a=[8.0, 12.0], n_b=[10.5, 10.5]) == [0.1, 0.4]
    assert _margin("!(n.a > 10) || n.b > 10", n_a=[8.0, 12.0], n_b=[10.5, 10.5]) == [0.4, 0.1]


def test_unknown_parts_that_do_not_matter_do_not_count() -> None:
    assert _margin("n.a > 10 || b.a", n_a=[12.5], b_a=[None]) == [0.5]
    assert _margin("n.a > 10 && b.a", n_a=[7.5, 12.5], b_a=[None, None]) == [0.5, None]


def test_equality_is_exact_or_apart() -> None:
    assert _margin("n.a == 10", n_a=[10.0, 11.0]) == [1.0, 0.2]
    assert _margin("n.a != 10", n_a=[10.0, 11.0]) == [1.0, 0.2]
    assert _margin("(n.a > 10) == (n.b > 10)", n_a=[11.0, 11.0], n_b=[12.5, 9.5]) == [0.2, 0.1]


def test_a_choice_is_as_weak_as_what_it_rests_on() -> None:
    assert _margin("n.a > 10 ? n.b > 10 : b.a", n_a=[11.0, 5.0], n_b=[10.5, 10.5], b_a=[1.0, 1.0]) == [0.1, 1.0]
    assert _margin("(b.a ? n.a : n.b) > 10", b_a=[1.0, 0.0], n_a=[11.0, 1.0], n_b=[1.0, 12.5]) == [0.2, 0.5]


def test_an_infinite_age_is_decisive() -> None:
    assert _margin("age(b.b) > duration('1h')", n_a=[1.0]) == [1.0]
    assert _margin("age(b.b) > age(b.a)", n_a=[1.0]) == [0.0]
    assert _margin("duration('1h') < age(b.b) * 2", n_a=[1.0]) == [1.0]
    assert _margin("duration('1h') * n.a < age(b.b)", n_a=[1.0]) == [1.0]


@given(threshold=NUMBERS, a=NUMBERS, b=NUMBERS)
def test_further_on_the_true_side_is_never_less_decisive(threshold: float, a: float, b: float) -> None:
    near, far = sorted((a, b))
    margins = compile_condition(f"n.a > {threshold:.17g}", SPECS).margin(table(n_a=[near, far]))
    if near > threshold:
        assert margins[0] <= margins[1]
    if far <= threshold:
        assert margins[0] >= margins[1]


@given(a=NUMBERS, b=NUMBERS, less=st.floats(0, 1e6))
def test_a_weaker_part_never_makes_the_whole_stronger(a: float, b: float, less: float) -> None:
    cells = table(n_a=[a, a - less], n_b=[b, b])
    both = compile_condition("n.a > 10 && n.b > 10", SPECS)
    either = compile_condition("n.a > 10 || n.b > 10", SPECS)
    for condition in (both, either):
        truth, margin = condition.evaluate(cells), condition.margin(cells)
        if truth.true.all():
            assert margin[1] <= margin[0]
