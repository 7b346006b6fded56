"""Equal sub-expressions are one node; what is constant costs nothing."""

import pytest

from telemetry.expression import compile_condition
from telemetry.expression.ir import Graph, Op

from .support import SPECS


def _nodes(source: str) -> set[tuple[Op, object]]:
    condition = compile_condition(source, SPECS)
    return {(node.op, node.payload) for node in condition._checked.nodes}


@pytest.mark.parametrize(
    ("source", "cost"),
    [
        ("b.a", 0),
        ("!b.a", 1),
        ("!!b.a", 0),
        ("n.a > 1", 1),
        ("n.a > 1 || n.a > 1", 1),
        ("n.a > 1 && 1 < n.a", 1),
        ("n.a + n.b > 1 && n.b + n.a > 2", 4),
        ("b.a && b.b || b.b && b.a", 1),
        ("b.a && (b.b && known(n.a))", 3),
        ("b.a && true", 0),
        ("b.a && false", 0),
        ("b.a == true", 0),
        ("b.a != true", 1),
        ("n.a > 2 * 3 + 1", 1),
        ("true ? n.a > 1 : n.b > 1", 1),
        ("(1 > 2 ? n.a : n.b) > 1", 1),
        ("n.a != 1 && n.a == 1", 3),
        ("min(n.a, n.b, 1) < max(n.b, n.a)", 4),
        ("b.a ? b.b : b.a", 2),
        ("age(n.a) > duration('1m') && known(n.a) && count(n.a) > 3", 7),
    ],
)
def test_cost_counts_shared_work_once(source: str, cost: int) -> None:
    assert compile_condition(source, SPECS).cost() == cost


def test_asking_twice_gives_the_same_node() -> None:
    graph = Graph()
    a, b = graph.column("n.a", is_bool=False), graph.column("n.b", is_bool=False)
    assert graph.arithmetic(Op.ADD, a, b) == graph.arithmetic(Op.ADD, b, a)
    assert graph.arithmetic(Op.SUBTRACT, a, b) != graph.arithmetic(Op.SUBTRACT, b, a)
    assert graph.equal(a, b) != graph.less(a, b)
    assert graph.number(0.0) == graph.number(-0.0)
    assert len(graph.nodes) == len(set(graph.nodes))


def test_a_folded_branch_is_not_read() -> None:
    assert compile_condition("b.a && true || false", SPECS).columns == {"b.a"}
    assert compile_condition("n.a > 1 && false || b.a", SPECS).columns == {"b.a"}
    assert compile_condition("known(n.a) || age(d.a) > duration('1s')", SPECS).columns == {"n.a", "d.a"}


def test_greater_becomes_less() -> None:
    operations = {op for op, _ in _nodes("n.a > 1 || n.b >= 2 || 3 > n.a")}
    assert {Op.LESS, Op.AT_MOST} <= operations
