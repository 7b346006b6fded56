"""Policies and signals from files: in force together, or not at all."""

from pathlib import Path

from controller.core.state import State
from controller.policyset import CHECK_EVERY, PolicySet
from telemetry.signals.load import builtin

POLICY = """apiVersion: gyrostat.dev/v1alpha1
kind: ClusterRemediationPolicy
metadata: {name: low}
spec:
  targets: {allowAll: true}
  when: health.score < 0.3
  action: {type: Restart}
"""
SIGNALS = "apiVersion: gyrostat.dev/v1alpha1\nkind: Signals\nconstants: {queue_reference: %s}\n"


def _set(tmp_path: Path) -> PolicySet:
    (tmp_path / "policies").mkdir()
    (tmp_path / "signals").mkdir()
    (tmp_path / "policies" / "low.yaml").write_text(POLICY)
    (tmp_path / "signals" / "mine.yaml").write_text(SIGNALS % 10)
    return PolicySet(tmp_path / "policies", tmp_path / "signals")


def _look(found: PolicySet, now: float) -> None:
    """Files are read once they stood still for a look."""
    found.refresh(now)
    found.refresh(now + CHECK_EVERY)


def test_a_change_of_a_signal_changes_the_policies_that_read_it(tmp_path: Path):
    found, state = _set(tmp_path), State()
    _look(found, 0.0)
    (first,) = found.changes(0.0, state)
    state.apply(first)
    assert found.changes(0.0, state) == []
    (tmp_path / "signals" / "mine.yaml").write_text(SIGNALS % 200)
    _look(found, 10.0)
    assert found.problems == ()
    (second,) = found.changes(10.0, state)
    assert (second.policy, first.policy) == ("low", "low")
    assert second.hash != first.hash
    state.apply(second)
    assert found.in_force(state)[0].hash == second.hash


def test_wrong_signals_leave_the_last_good_set_in_force(tmp_path: Path):
    found = _set(tmp_path)
    _look(found, 0.0)
    before = found.signals
    (tmp_path / "signals" / "mine.yaml").write_text(SIGNALS % "[1]")
    (tmp_path / "policies" / "low.yaml").write_text(POLICY.replace("0.3", "0.4"))
    _look(found, 10.0)
    assert "is no constant" in found.problems[0]
    assert found.signals is before
    (loaded,) = found.changes(10.0, State())
    assert "health.score < 0.3" in loaded.content


def test_signals_are_read_without_policies_too(tmp_path: Path):
    (tmp_path / "mine.yaml").write_text(SIGNALS % 10)
    found = PolicySet(None, tmp_path)
    _look(found, 0.0)
    assert found.problems == ()
    assert found.signals is not builtin()
    assert found.changes(0.0, State()) == []


def test_without_a_folder_the_signals_are_those_of_the_build():
    found = PolicySet(None)
    found.refresh(0.0)
    assert found.signals is builtin()
