"""Numbers of different units never meet."""

import pytest

from telemetry.columns import ColumnSpec, Kind
from telemetry.expression import ExpressionError, compile_condition
from telemetry.expression.units import parse_unit

SPECS = {
    name: ColumnSpec(name, kind, unit, "for tests")
    for name, kind, unit in (
        ("memory.bytes", Kind.NUMBER, "byte"),
        ("memory.slope", Kind.NUMBER, "byte/s"),
        ("cpu.ratio", Kind.NUMBER, "ratio"),
        ("queue.depth", Kind.NUMBER, "1"),
        ("requests.rate", Kind.NUMBER, "1/s"),
        ("errors.rate", Kind.NUMBER, "1/s"),
        ("restarts.rate", Kind.NUMBER, "1/h"),
        ("change.age", Kind.DURATION, ""),
        ("up.duration", Kind.DURATION, ""),
        ("probe.ok", Kind.BOOL, ""),
    )
}


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("memory.bytes > cpu.ratio", "`memory.bytes` is in byte, `cpu.ratio` is a plain number"),
        ("memory.bytes + queue.depth > 1", "`memory.bytes` is in byte, `queue.depth` is a plain number"),
        ("restarts.rate > requests.rate", "`restarts.rate` is in 1/h, `requests.rate` is in 1/s"),
        ("memory.slope > memory.bytes", "`memory.slope` is in byte/s, `memory.bytes` is in byte"),
        ("memory.bytes * memory.bytes > memory.bytes", "`memory.bytes * memory.bytes` is in byte^2"),
        ("memory.bytes / memory.slope > memory.slope", "`memory.bytes / memory.slope` is in s"),
        ("min(memory.bytes, 1, cpu.ratio) > 5", "`memory.bytes` is in byte, `cpu.ratio` is a plain number"),
        ("(probe.ok ? memory.bytes : cpu.ratio) > 5", "`memory.bytes` is in byte, `cpu.ratio` is a plain number"),
        ("memory.bytes == count(memory.bytes)", "`count(memory.bytes)` is a plain number"),
        ("-memory.bytes < cpu.ratio", "`-memory.bytes` is in byte"),
        ("requests.rate * change.age > up.duration", "`requests.rate` is in 1/s, which can not scale a duration"),
        ("change.age / memory.bytes > up.duration", "`memory.bytes` is in byte, which can not scale a duration"),
        ("change.age / up.duration > memory.bytes", "`change.age / up.duration` is a plain number"),
        ("1 / requests.rate > requests.rate", "`1 / requests.rate` is in s, `requests.rate` is in 1/s"),
    ],
)
def test_different_units_are_refused(source: str, message: str) -> None:
    with pytest.raises(ExpressionError) as caught:
        compile_condition(source, SPECS)
    assert len(caught.value.problems) == 1
    assert message in caught.value.problems[0].message
    assert caught.value.problems[0].hint


@pytest.mark.parametrize(
    "source",
    [
        "memory.bytes > 5e9",
        "memory.bytes - 1e6 > 2 * memory.bytes / 3",
        "errors.rate / requests.rate > cpu.ratio",
        "cpu.ratio > queue.depth / 10",
        "memory.bytes / memory.slope < 1 / requests.rate",
        "max(memory.bytes, 1e9) * cpu.ratio > memory.bytes",
        "change.age * cpu.ratio > up.duration * 2",
        "change.age / up.duration + cpu.ratio > 1",
        "(probe.ok ? memory.bytes : 0) > 5",
        "restarts.rate > 3",
    ],
)
def test_literals_take_their_neighbours_unit(source: str) -> None:
    compile_condition(source, SPECS)


def test_units_are_read_as_a_fraction() -> None:
    assert parse_unit("byte/s") == (("byte", 1), ("s", -1))
    assert parse_unit("1/h") == (("h", -1),)
    assert parse_unit("1") == parse_unit("ratio") == parse_unit("") == ()
