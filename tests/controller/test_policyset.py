"""Policies come into force from files, the last good set stays, and open episodes keep what they began with."""

from pathlib import Path

from controller.core.records import Evidence, Key, Loaded, Opened
from controller.core.state import State, fold
from controller.policyset import CHECK_EVERY, PolicySet
from telemetry.target import Target

from .shell import policy

TARGET = Target("memory", "Service", "shop", "checkout", "u1")


def in_force(made: PolicySet, now: float, state: State) -> list[str]:
    made.refresh(now)
    fold(made.changes(now, state), state)
    return sorted(p.name for p in made.in_force(state))


def test_what_the_files_say_is_in_force_and_is_said_once(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text(policy("one"))
    made, state = PolicySet(tmp_path), State()
    assert in_force(made, 0.0, state) == ["one"]
    assert made.changes(1.0, state) == []


def test_a_file_that_went_takes_its_policy_along(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text(policy("one"))
    (tmp_path / "b.yaml").write_text(policy("two"))
    made, state = PolicySet(tmp_path), State()
    in_force(made, 0.0, state)
    (tmp_path / "b.yaml").unlink()
    in_force(made, CHECK_EVERY, state)
    assert in_force(made, 2 * CHECK_EVERY, state) == ["one"]
    assert list(state.policies) == list(state.in_force.values())


def test_a_change_is_read_once_it_has_stood_still_for_a_look(tmp_path: Path) -> None:
    file = tmp_path / "a.yaml"
    file.write_text(policy("one"))
    made, state = PolicySet(tmp_path), State()
    in_force(made, 0.0, state)
    file.write_text(policy("two"))
    assert in_force(made, CHECK_EVERY, state) == ["one"]
    assert in_force(made, 2 * CHECK_EVERY, state) == ["two"]


def test_files_that_are_wrong_leave_the_last_good_set_in_force_over_a_restart_too(tmp_path: Path) -> None:
    file = tmp_path / "a.yaml"
    file.write_text(policy("one"))
    state = State()
    in_force(PolicySet(tmp_path), 0.0, state)
    file.write_text("spec: [")
    again = PolicySet(tmp_path)
    assert in_force(again, 0.0, state) == ["one"]
    assert "a.yaml" in again.problems[0]


def test_an_open_episode_keeps_the_content_it_began_with(tmp_path: Path) -> None:
    file = tmp_path / "a.yaml"
    file.write_text(policy("one", mode="Enforce"))
    made, state = PolicySet(tmp_path), State()
    in_force(made, 0.0, state)
    (before,) = state.in_force.values()
    state.apply(Opened(1.0, Key("one", TARGET), "e1", before, Evidence(1, 1, 1, 1)))
    file.write_text(policy("one", mode="Observe"))
    in_force(made, CHECK_EVERY, state)
    in_force(made, 2 * CHECK_EVERY, state)
    assert set(made.by_hash(state)) == {before, *state.in_force.values()}
    assert made.by_hash(state)[before].mode.label == "Enforce"


def test_a_content_of_the_trail_that_cannot_be_read_is_left_out_and_named() -> None:
    state = fold([Loaded(1.0, "one", "h1", '{"kind":"FromTheFuture"}')])
    made = PolicySet(None)
    assert made.by_hash(state) == {}
    assert "FromTheFuture" in made.unreadable["h1"]


def test_without_a_path_nothing_is_brought_into_force(tmp_path: Path) -> None:
    made, state = PolicySet(None), State()
    assert in_force(made, 0.0, state) == []
