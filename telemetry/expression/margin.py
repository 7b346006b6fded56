"""How decisively a condition holds: the m of a proposal's confidence."""

from collections.abc import Mapping

import numpy as np

from telemetry.columns import ColumnSpec, Floats, Kind
from telemetry.expression.ir import Node, Op
from telemetry.expression.kernel import Frame

SCALE_FLOORS: Mapping[str, float] = {
    "1": 1.0,
    "ratio": 0.01,
    "1/s": 0.1,
    "1/h": 1.0,
    "byte": 2.0**20,
    "byte/s": 2.0**10,
}
"""Smallest distance that counts as decisive, by unit: half of a threshold of zero is nothing."""
_DURATION_FLOOR = 1.0
_OTHER_FLOOR = 1.0


def margins(nodes: tuple[Node, ...], frame: Frame, specs: Mapping[str, ColumnSpec], root: int) -> Floats:
    """Per row 0..1, NaN where the root is unknown.

    A comparison's margin is its distance to the threshold over half of the threshold, or over the largest scale floor
    of the columns it reads where that is more. It is signed by its truth on the way up, so that `||` takes the best of
    what is true and `&&` the worst.

    Args:
        nodes: the program.
        frame: its planes, all of them kept.
        specs: what the columns mean.
        root: place of the condition.
    """
    signed: dict[int, Floats] = {}
    floors: list[float] = []
    with np.errstate(all="ignore"):
        for place, node in enumerate(nodes):
            floors.append(_floor(node, floors, specs))
            if place in frame.true and place in frame.false:
                signed[place] = _signed(place, node, frame, signed, floors)
    return np.abs(signed[root])


def _floor(node: Node, floors: list[float], specs: Mapping[str, ColumnSpec]) -> float:
    if node.op is Op.COUNT:
        return SCALE_FLOORS["1"]
    if node.op is Op.AGE:
        return _DURATION_FLOOR
    if node.op is Op.COLUMN:
        spec = specs[str(node.payload)]
        return _DURATION_FLOOR if spec.kind is Kind.DURATION else SCALE_FLOORS.get(spec.unit, _OTHER_FLOOR)
    return max((floors[arg] for arg in node.args), default=0.0)


def _signed(place: int, node: Node, frame: Frame, signed: dict[int, Floats], floors: list[float]) -> Floats:
    true, false = frame.true[place], frame.false[place]
    if node.op is Op.NOT:
        return -signed[node.args[0]]
    if node.op in (Op.AND, Op.OR):
        worst = np.fmin.reduce if node.op is Op.AND else np.fmax.reduce
        return np.where(true | false, worst([signed[arg] for arg in node.args]), np.nan)
    size: Floats | float = 1.0
    if node.op in (Op.LESS, Op.AT_MOST):
        size = _distance(node, frame, floors[place])
    elif node.op is Op.EQUAL:
        size = np.where(true, 1.0, _distance(node, frame, floors[place]))
    elif node.op is Op.SAME:
        size = np.minimum(*(np.abs(signed[arg]) for arg in node.args))
    elif node.op is Op.EITHER:
        condition, then, otherwise = (np.abs(signed[arg]) for arg in node.args)
        size = np.minimum(condition, np.where(frame.true[node.args[0]], then, otherwise))
    return np.where(true, size, np.where(false, np.negative(size), np.nan))


def _distance(node: Node, frame: Frame, floor: float) -> Floats:
    a, b = frame.operands(node)
    threshold = np.asarray(b if node.payload else a)
    scale = np.maximum(0.5 * np.abs(threshold), floor)
    distance = np.abs(np.subtract(a, b)) / scale
    # an infinite threshold has no half: what lies beside it is as far off as can be
    return np.minimum(np.where(np.isnan(distance), np.where(np.equal(a, b), 0.0, 1.0), distance), 1.0)
