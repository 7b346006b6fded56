"""Unknown is neither true nor false, and nothing makes it either."""

from collections.abc import Callable
from itertools import product

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings

from telemetry.columns import Column, Floats
from telemetry.expression import ExpressionError, Truth, compile_condition
from telemetry.expression.condition import spec_of
from telemetry.verdict import Verdict

from .support import CONDITIONS, ROWS, SPECS, Tree, column, columns_of, table

T, F, U = Verdict.PASS, Verdict.FAIL, Verdict.UNKNOWN
CELL = {T: 1.0, F: 0.0, U: None}


def _verdicts(source: str, columns: dict[str, Column]) -> list[Verdict]:
    truth = compile_condition(source, SPECS).evaluate(columns)
    return [truth.at(row) for row in range(len(truth.true))]


def _numbers(source: str, *cells: float | None) -> list[Verdict]:
    return _verdicts(source, table(n_a=cells))


def _not(a: Verdict) -> Verdict:
    return {T: F, F: T, U: U}[a]


def _and(a: Verdict, b: Verdict) -> Verdict:
    return F if F in (a, b) else U if U in (a, b) else T


def _or(a: Verdict, b: Verdict) -> Verdict:
    return _not(_and(_not(a), _not(b)))


def _same(a: Verdict, b: Verdict) -> Verdict:
    return U if U in (a, b) else T if a == b else F


@pytest.mark.parametrize(
    ("source", "law"),
    [
        ("b.a && b.b", _and),
        ("b.a || b.b", _or),
        ("b.a == b.b", _same),
        ("b.a != b.b", lambda a, b: _not(_same(a, b))),
        ("!(b.a && b.b)", lambda a, b: _or(_not(a), _not(b))),
        ("!(b.a || b.b)", lambda a, b: _and(_not(a), _not(b))),
        ("b.a && !b.a || b.b", lambda a, b: _or(_and(a, _not(a)), b)),
        ("b.a ? b.b : !b.b", lambda a, b: U if a is U else b if a is T else _not(b)),
        ("b.a ? true : b.b", lambda a, b: U if a is U else T if a is T else b),
        ("!(b.a ? b.b : false)", lambda a, b: U if a is U else _not(b) if a is T else T),
    ],
)
def test_logic_is_kleenes(source: str, law: Callable[[Verdict, Verdict], Verdict]) -> None:
    cases = list(product((T, F, U), repeat=2))
    columns = table(b_a=[CELL[a] for a, _ in cases], b_b=[CELL[b] for _, b in cases])
    assert _verdicts(source, columns) == [law(a, b) for a, b in cases]


LAWS = [
    ("{0} && {1}", "{1} && {0}"),
    ("{0} || {1}", "{1} || {0}"),
    ("!({0} && {1})", "!{0} || !{1}"),
    ("!!{0}", "{0}"),
    ("{0} && ({1} || {0})", "{0}"),
    ("{0} && false", "false"),
    ("{0} || true", "true"),
    ("{0} ? {1} : {1}", "({0} || !{0}) ? {1} : {1}"),
]


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(a=CONDITIONS, b=CONDITIONS, rows=ROWS)
def test_the_laws_hold_for_any_conditions(a: Tree, b: Tree, rows: list[dict[str, tuple[float | None, float]]]) -> None:
    columns = columns_of(rows)
    for left, right in LAWS:
        try:
            verdicts = [_verdicts(side.format(a.text(), b.text()), columns) for side in (left, right)]
        except ExpressionError:
            return
        assert verdicts[0] == verdicts[1], (left, right)


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(tree=CONDITIONS, rows=ROWS)
def test_no_row_is_both_true_and_false(tree: Tree, rows: list[dict[str, tuple[float | None, float]]]) -> None:
    try:
        condition = compile_condition(tree.text(), SPECS)
    except ExpressionError:
        return
    columns = columns_of(rows)
    truth = condition.evaluate(columns)
    assert not (truth.true & truth.false).any()
    assert truth.true.shape == truth.false.shape == (len(rows),)
    margin = condition.margin(columns)
    assert ((margin >= 0) & (margin <= 1) | np.isnan(margin)).all()
    assert (np.isnan(margin) == ~(truth.true | truth.false)).all()
    for row in range(len(rows)):
        shown = condition.explain(columns, row)
        if shown and len(shown[0][0]) >= len(tree.text()) - 2:  # the whole but for its parentheses
            assert shown[0][1] == CELL[truth.at(row)]


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(tree=CONDITIONS, rows=ROWS)
def test_knowing_more_never_turns_an_answer_around(
    tree: Tree, rows: list[dict[str, tuple[float | None, float]]]
) -> None:
    """Without known(), age() and count(), hiding a cell can only make the answer unknown."""
    source = tree.text()
    if any(ask in source for ask in ("known(", "age(", "count(", "has(", " in labels", " in target.labels")):
        return
    try:
        condition = compile_condition(source, SPECS)
    except ExpressionError:
        return
    columns = columns_of(rows)
    full = condition.evaluate(columns)
    for name in condition.columns:
        less = condition.evaluate({**columns, name: column(spec_of(name, SPECS), [None] * len(rows))})
        assert not (less.true & ~full.true).any()
        assert not (less.false & ~full.false).any()


@pytest.mark.parametrize("operator", ["<", "<=", ">", ">=", "==", "!="])
def test_a_comparison_with_unknown_is_unknown_and_so_is_its_negation(operator: str) -> None:
    assert _numbers(f"n.a {operator} 1", None, np.nan, np.inf) == [U, U, U]
    assert _numbers(f"!(n.a {operator} 1)", None, np.nan, np.inf) == [U, U, U]


def test_comparisons_are_exact_at_the_threshold() -> None:
    assert _numbers("n.a > 1", 1.0, np.nextafter(1.0, 2.0)) == [F, T]
    assert _numbers("n.a >= 1", 1.0, np.nextafter(1.0, 0.0)) == [T, F]
    assert _numbers("n.a < 1", 1.0, 0.5) == [F, T]
    assert _numbers("n.a <= 1", 1.0, 1.5) == [T, F]
    assert _numbers("n.a == 1", 1.0, 1.5) == [T, F]
    assert _numbers("n.a != 1", 1.0, 1.5) == [F, T]
    assert _numbers("n.a == 0", -0.0) == [T]


def test_division_by_zero_is_unknown_never_infinite() -> None:
    columns = table(n_a=[1.0, 0.0, 1.0], n_b=[0.0, 0.0, 2.0])
    assert _verdicts("n.a / n.b > 1000", columns) == [U, U, F]
    assert _verdicts("!(n.a / n.b > 1000)", columns) == [U, U, T]
    assert _verdicts("1 / n.b > 1000", columns) == [U, U, F]
    assert _verdicts("d.a / n.b > d.a", {**columns, **table(d_a=[1.0] * 3)}) == [U, U, F]
    assert np.array_equal(columns["n.b"].values, [0.0, 0.0, 2.0]), "a snapshot's arrays are never written"


def test_overflow_is_infinite_and_ordered_but_its_difference_is_unknown() -> None:
    assert _numbers("n.a * 10 > 1", 1e308) == [T]
    assert _numbers("n.a * 10 - n.a * 10 == 0", 1e308) == [U]


def test_arithmetic_computes() -> None:
    assert _numbers("n.a * 2 + 1 - n.a / 2 == 7", 4.0, 5.0) == [T, F]
    assert _numbers("-n.a == 0 - n.a && -(-n.a) == n.a", 4.0) == [T]
    assert _numbers("min(n.a, 3, 10) == 3 && max(n.a, 3, 10) == 10 && min(n.a, n.a + 1) == n.a", 4.0) == [T]
    assert _numbers("min(n.a, n.b) < 5", 4.0) == [U], "the other might be less, but it might be no number"
    assert _numbers("(known(n.a) ? n.a : 7) == 7", 4.0, None) == [F, T]
    assert _numbers("(known(n.b) ? n.a : n.b) > 0", 4.0) == [U], "the branch taken is unknown"
    assert _numbers("(known(n.b) ? n.b : 7) == 7", 4.0) == [T]


def test_durations_are_seconds() -> None:
    columns = table(d_a=[5400.0, 5399.0], d_b=[60.0, 60.0])
    assert _verdicts("d.a >= duration('1h30m')", columns) == [T, F]
    assert _verdicts("d.a / d.b >= 90", columns) == [T, F]
    assert _verdicts("d.b * 90 <= d.a && 90 * d.b <= d.a && d.a / 90 >= d.b", columns) == [T, F]
    assert _verdicts("d.b - duration('1m') >= duration('0s') && -d.b < duration('-59.5s')", columns) == [T, T]
    assert _verdicts("d.b + duration('1500ms') < duration('61.501s')", columns) == [T, T]
    assert _verdicts(
        "duration('1us') < duration('1ms') && duration('1000ns') <= duration('1µs') && b.a || true", columns
    ) == [T, T]


def test_a_stale_cell_is_unknown_except_to_known_age_and_count() -> None:
    columns = {"n.a": column(SPECS["n.a"], [9.0, 9.0, None], [180.0, 180.5, np.inf])}
    assert _verdicts("n.a > 5", columns) == [T, U, U]
    assert _verdicts("known(n.a)", columns) == [T, F, F]
    assert _verdicts("!known(n.a)", columns) == [F, T, T]
    assert _verdicts("age(n.a) > duration('3m')", columns) == [F, T, T]
    assert _verdicts("count(n.a) >= 3", columns) == [T, T, F]


def test_a_missing_column_is_wholly_unknown() -> None:
    columns = table(n_a=[1.0, 2.0])
    assert _verdicts("b.a", columns) == [U, U]
    assert _verdicts("b.a || n.a > 1.5", columns) == [U, T]
    assert _verdicts("known(b.a) || count(b.a) > 0 || age(b.a) < duration('9999h')", columns) == [F, F]
    assert _verdicts("age(b.a) > duration('9999h')", columns) == [T, T]


def test_broken_ages_and_counts_are_no_answer_in_favour() -> None:
    cell = Column(SPECS["n.a"], np.array([1.0]), np.array([np.nan]), np.array([np.nan]))
    assert _verdicts("known(n.a) || n.a > 0 && count(n.a) > 0", {"n.a": cell}) == [F]
    assert _verdicts("age(n.a) > duration('1h') && count(n.a) < 1", {"n.a": cell}) == [T]


def test_no_column_means_no_row() -> None:
    truth = compile_condition("b.a || true", SPECS).evaluate({})
    assert truth.true.shape == truth.false.shape == (0,)


def test_a_constant_answers_for_every_row() -> None:
    columns = table(n_a=[1.0, 2.0])
    assert _verdicts("1 < 2", columns) == [T, T]
    assert _verdicts("duration('1s') > duration('2s') ? true : 1 == 2", columns) == [F, F]
    assert _verdicts("(1 < 2) == (n.a > 1)", columns) == [F, T]


def test_a_bool_cell_that_is_no_bool_is_unknown() -> None:
    assert _verdicts("b.a", table(b_a=[0.5, 2.0, -1.0])) == [U, U, U]


def test_no_row_is_unknown() -> None:
    truth = Truth(np.array([True]), np.array([False]))
    assert truth.at(None) is U
    assert truth.at(0) is T


def test_a_long_and_deep_condition_evaluates_without_recursion() -> None:
    sums = " + ".join(["n.a * 2.5"] + [f"n.a * {at}.5" for at in range(100)])
    assert _numbers(f"{sums} > 0", 1.0, -1.0, None) == [T, F, U]


def test_evaluation_frees_what_it_no_longer_needs() -> None:
    from telemetry.expression.kernel import BOTH, Frame, schedule
    from telemetry.expression.text import Tables

    condition = compile_condition("n.a + 1 > 2 && n.a + 2 > 3 && n.a + 3 > 4", SPECS)
    nodes, root = condition._checked.nodes, condition._checked.root
    frame = Frame(table(n_a=[5.0]), Tables()).run(nodes, schedule(nodes, {root: BOTH}, keep=False))
    assert set(frame.true) == set(frame.false) == {root}
    assert not frame.values


def test_only_the_wanted_planes_are_computed() -> None:
    from telemetry.expression.kernel import TRUE, Frame, schedule
    from telemetry.expression.text import Tables

    condition = compile_condition("!(n.a > 1) && b.a", SPECS)
    nodes, root = condition._checked.nodes, condition._checked.root
    frame = Frame(table(n_a=[0.5], b_a=[1.0]), Tables()).run(nodes, schedule(nodes, {root: TRUE}, keep=True))
    assert frame.true[root].all()
    assert root not in frame.false
    assert len(frame.true) == 3
    assert len(frame.false) == 1, "the comparison under the `!`"


def test_a_column_is_read_not_copied_where_all_is_known() -> None:
    values: Floats = np.array([1.0, 2.0])
    values.flags.writeable = False
    cell = Column(SPECS["n.a"], values, np.zeros(2), np.ones(2))
    assert _verdicts("1 / n.a < n.a * 2 && -n.a < 0", {"n.a": cell}) == [T, T]
