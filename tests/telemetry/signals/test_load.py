"""Signals files: what is wrong is told with its place, and what is right keeps its order."""

from pathlib import Path

import pytest

from telemetry.expression import Program, compile_condition
from telemetry.signals.definitions import pack, unpack
from telemetry.signals.load import builtin, load_signals

HEAD = "apiVersion: gyrostat.dev/v1alpha1\nkind: Signals\n"


def _signal(name: str, is_: str, kind: str = "number", unit: str = "ratio") -> str:
    unit = f"unit: {unit}, " if kind == "number" else ""
    return f'  {name}: {{kind: {kind}, {unit}meaning: m, is: "{is_}"}}\n'


def _load(tmp_path: Path, text: str, head: str = HEAD) -> list[str]:
    (tmp_path / "mine.yaml").write_text(head + text)
    return [str(problem).removeprefix(f"{tmp_path}/") for problem in load_signals(tmp_path).problems]


def test_those_of_the_build_are_right() -> None:
    assert load_signals().problems == ()
    assert {"health.score", "health.state"} <= builtin().derived.keys()
    assert max(value.cost() for value in builtin().values.values()) < 64


@pytest.mark.parametrize(("text", "problem"), [
    ("signals:\n" + _signal("my.a", "cpu.ratoi > 1"), "mine.yaml:4:54: signals['my.a'].is: unknown"),
    ("signals:\n" + _signal("my.a", "memory.bytes"), "the signal is declared as a plain number, and this is in byte"),
    ("signals:\n" + _signal("my.a", "probe.ok"), "the signal is declared as a number, and this is a bool"),
    ("signals:\n" + _signal("my.a", "target.name"), "declared as a number, and this is a string"),
    ("signals:\n" + _signal("my.a", "1 < 2 > 3"), "does not take"),
    ("signals:\n" + _signal("my.a", "my.b") + _signal("my.b", "my.a"), "needs itself: my."),
    ("signals:\n" + _signal("my.a", "my.a + 1"), "needs itself: my.a → my.a"),
    ("signals:\n" + _signal("cpu.ratio", "memory.ratio"), "is already the name of a column"),
    ("signals:\n" + _signal("plain", "memory.ratio"), "lower-case words with a dot between"),
    ("signals:\n" + _signal("my.a", "1") + _signal("my.a", "1"), "is given twice"),
    ("signals:\n  my.a: {kind: number, meaning: m}\n", "signals['my.a'].is: is required"),
    ("signals:\n  my.a: {kind: text, meaning: m, is: '1'}\n", "'text' is not allowed"),
    ("signals:\n  my.a: {kind: number, unit: km, meaning: m, is: '1'}\n", "'km' is not allowed"),
    ("signals:\n  my.a: {kind: number, meaning: m, is: '1', was: 2}\n", "is an unknown key"),
    ("constants: {x: yes}\n", "is true or false in YAML 1.1"),
    ("constants: {xx: [1]}\n", "a list is no constant"),
    ("constants: {xx: 5 parsecs}\n", "is not a duration"),
    ("constants: {Xx: 1}\n", "a lower-case word"),
    ("signals:\n" + _signal("my.a", "age(health.score) > duration('1s')", "bool"), "a signal has no age"),
    ("signals:\n" + _signal("my.a", "over + 1"), "unknown column `over`"),
])  # fmt: skip
def test_what_is_wrong_is_told(tmp_path: Path, text: str, problem: str) -> None:
    assert problem in " | ".join(_load(tmp_path, text))


def test_a_folder_that_is_not_there_is_told(tmp_path: Path) -> None:
    problems = load_signals(tmp_path / "none").problems
    assert [problem.message for problem in problems] == ["cannot be read: no such file or directory"]


def test_another_kind_of_file_is_told(tmp_path: Path) -> None:
    assert "'Policy' is not allowed" in _load(tmp_path, "", "apiVersion: gyrostat.dev/v1alpha1\nkind: Policy\n")[0]


def test_a_name_may_be_replaced_once(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text(HEAD + "signals:\n" + _signal("health.score", "cpu.ratio"))
    assert load_signals(tmp_path).problems == ()
    (tmp_path / "b.yaml").write_text(HEAD + "signals:\n" + _signal("health.score", "cpu.ratio"))
    assert "is already given in" in str(load_signals(tmp_path).problems[0])


def test_a_chain_of_more_than_16_is_refused(tmp_path: Path) -> None:
    chain = "".join(_signal(f"my.a{at}", f"my.a{at - 1}" if at else "cpu.ratio") for at in range(17))
    assert "stands on a chain of more than 16 signals" in _load(tmp_path, "signals:\n" + chain)[0]


def test_constants_may_be_durations(tmp_path: Path) -> None:
    text = "constants: {old: 1h30m}\nsignals:\n" + _signal("my.old", "up.duration > old", "bool")
    assert _load(tmp_path, text) == []


def test_a_condition_reads_through_signals() -> None:
    condition = compile_condition("health.score < 0.6 && !known(health.state)", signals=builtin().derived)
    assert condition.signals == {"health.score", "health.state"}
    assert condition.columns == {"completion.ratio", "active.count", "queue.depth", "requests.volume"}
    assert condition.read == condition.columns


def test_conditions_share_what_a_signal_computes() -> None:
    sources = [f"health.score < 0.{at}" for at in range(1, 10)]
    conditions = {source: compile_condition(source, signals=builtin().derived) for source in sources}
    assert Program(conditions).cost == builtin().values["health.score"].cost() + 9


def test_a_packed_signal_means_the_same(tmp_path: Path) -> None:
    text = "constants: {old: 1h, part: 0.5}\nsignals:\n" + _signal("my.old", "up.duration > old * part", "bool")
    assert _load(tmp_path, text) == []
    signals = load_signals(tmp_path).signals
    packed = pack(signals.closure(["my.old", "health.state"]))
    assert packed.keys() == {"my.old", "health.score", "health.state"}
    again = unpack(packed)
    source = "my.old && health.state == 'critical'"
    first = compile_condition(source, signals=signals.derived)
    second = compile_condition(source, signals=again.derived)
    assert first.program == second.program


@pytest.mark.parametrize("data", [
    {"x.y": 1}, {"x.y": {"kind": "number"}}, {"x.y": {"kind": "n", "unit": "", "is": "1"}},
    {"x.y": {"kind": "number", "unit": "1", "is": "x.y"}},
    {"x.y": {"kind": "number", "unit": "1", "is": "gone.column"}},
])  # fmt: skip
def test_a_packed_signal_that_means_nothing_is_an_error(data: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="signal"):
        unpack(data)
