"""The health score and its four states (S2-30 to S2-34)."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from telemetry.signals.load import load_signals

from .support import value

IDEAL = {"completion.ratio": 1.0, "active.count": 5.0, "queue.depth": 0.0, "requests.volume": 20.0}


def _formula(values: dict[str, float]) -> float:
    return (
        0.4 * values["completion.ratio"]
        + 0.3 * min(values["active.count"] / 5, 1)
        + 0.2 * max(0, 1 - values["queue.depth"] / 10)
        + 0.1 * min(values["requests.volume"] / 20, 1)
    )


def test_everything_ideal_is_exactly_one() -> None:
    assert value("health.score", IDEAL) == 1.0
    assert value("health.state", IDEAL) == "optimal"


@given(
    st.fixed_dictionaries({
        "completion.ratio": st.floats(0, 1),
        "active.count": st.integers(0, 20).map(float),
        "queue.depth": st.integers(0, 100).map(float),
        "requests.volume": st.integers(0, 1000).map(float),
    })
)  # fmt: skip
def test_the_score_is_the_formula(values: dict[str, float]) -> None:
    assert value("health.score", dict(values)) == pytest.approx(_formula(values), abs=1e-12)


@pytest.mark.parametrize(("values", "score", "state"), [
    ({"completion.ratio": 0.0, "active.count": 5.0, "queue.depth": 10.0, "requests.volume": 0.0}, 0.3, "degraded"),
    ({"completion.ratio": 0.0, "active.count": 4.99, "queue.depth": 10.0, "requests.volume": 0.0}, None, "critical"),
    ({"completion.ratio": 0.75, "active.count": 5.0, "queue.depth": 10.0, "requests.volume": 0.0}, 0.6, "healthy"),
    ({"completion.ratio": 0.7499, "active.count": 5.0, "queue.depth": 10.0, "requests.volume": 0.0}, None, "degraded"),
    ({"completion.ratio": 1.0, "active.count": 5.0, "queue.depth": 0.0, "requests.volume": 0.0}, 0.9, "optimal"),
    ({"completion.ratio": 0.999, "active.count": 5.0, "queue.depth": 0.0, "requests.volume": 0.0}, None, "healthy"),
    ({"completion.ratio": 0.0, "active.count": 0.0, "queue.depth": 99.0, "requests.volume": 0.0}, 0.0, "critical"),
])  # fmt: skip
def test_each_state_begins_at_its_edge(values: dict[str, float], score: float | None, state: str) -> None:
    if score is not None:
        assert value("health.score", dict(values)) == score
    assert value("health.state", dict(values)) == state


@pytest.mark.parametrize("missing", ["completion.ratio", "active.count", "requests.volume"])
@pytest.mark.parametrize("stale", [True, False])
def test_an_unknown_part_makes_the_score_unknown(missing: str, *, stale: bool) -> None:
    values: dict[str, float | None] = {**IDEAL}
    del values[missing]
    if stale:
        values[missing] = None
    assert value("health.score", values) is None
    assert value("health.state", values) is None


def test_who_never_reported_a_queue_has_none() -> None:
    assert value("health.score", {name: v for name, v in IDEAL.items() if name != "queue.depth"}) == 1.0


def test_a_queue_that_is_no_longer_reported_makes_the_score_unknown() -> None:
    assert value("health.score", {**IDEAL, "queue.depth": None}) is None


def test_weights_and_references_are_the_users(tmp_path: Path) -> None:
    head = "apiVersion: gyrostat.dev/v1alpha1\nkind: Signals\n"
    (tmp_path / "mine.yaml").write_text(head + "constants: {completion_weight: 1, queue_weight: 0, active_weight: 0, "
        "volume_weight: 0, degraded_from: 0.5}\n")  # fmt: skip
    found = load_signals(tmp_path)
    assert found.problems == ()
    worst = {"completion.ratio": 0.45, "active.count": 0.0, "queue.depth": 50.0, "requests.volume": 0.0}
    assert value("health.score", {**worst}, signals=found.signals) == 0.45
    assert value("health.state", {**worst}, signals=found.signals) == "critical"
    assert value("health.state", {**worst}) == "critical"
    assert value("health.state", {**worst, "completion.ratio": 0.5}, signals=found.signals) == "degraded"


def test_a_whole_signal_can_be_replaced(tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text(
        "apiVersion: gyrostat.dev/v1alpha1\nkind: Signals\nsignals:\n"
        "  health.score: {kind: number, unit: ratio, meaning: m, is: 'known(cpu.ratio) ? cpu.ratio : 1'}\n"
    )
    mine = load_signals(tmp_path).signals
    assert value("health.score", {}, signals=mine) == 1.0
    assert value("health.state", {}, signals=mine) == "optimal"
