"""Many conditions as one program: what several of them ask is computed once."""

from collections.abc import Hashable, Mapping
from typing import Generic, TypeVar

from telemetry.columns import Column
from telemetry.expression.condition import Condition, Truth
from telemetry.expression.ir import Graph, Node, Op, operations, reachable
from telemetry.expression.kernel import BOTH, Frame, schedule
from telemetry.expression.text import Tables

MAX_OPERATIONS_OF_A_SET = 20_000
"""Most operations over whole columns that all conditions together may take."""
Key = TypeVar("Key", bound=Hashable)
_COMMUTE = frozenset({Op.AND, Op.OR, Op.SAME, Op.IS, Op.ADD, Op.MULTIPLY, Op.MIN, Op.MAX})


class Program(Generic[Key]):
    """Conditions by key, compiled into one graph in which equal sub-expressions are one node.

    Attributes:
        columns: names of every column that one of them reads or asks about.
        cost: operations over whole columns that one run takes.
    """

    def __init__(self, conditions: Mapping[Key, Condition]) -> None:
        graph = Graph()
        self._roots = {key: _merge(graph, condition) for key, condition in conditions.items()}
        self._nodes = tuple(graph.nodes)
        self._steps = schedule(self._nodes, dict.fromkeys(self._roots.values(), BOTH), keep=False)
        self._tables = Tables()
        self.columns = frozenset(name for condition in conditions.values() for name in condition.columns)
        self.cost = sum(operations(node) for node in self._nodes)

    def run(self, columns: Mapping[str, Column]) -> dict[Key, Truth]:
        """The truth of each condition on every row."""
        frame = Frame(columns, self._tables).run(self._nodes, self._steps)
        return {key: Truth(frame.true[root], frame.false[root]) for key, root in self._roots.items()}


def _merge(graph: Graph, condition: Condition) -> int:
    """The place of a condition's root in the shared graph."""
    nodes, root = condition.program
    places: dict[int, int] = {}
    for place in reachable(nodes, root):
        node: Node = nodes[place]
        args = [places[arg] for arg in node.args]
        places[place] = graph.make(node.op, *(sorted(args) if node.op in _COMMUTE else args), payload=node.payload)
    return places[root]
