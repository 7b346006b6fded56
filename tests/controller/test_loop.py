"""The loop: what is durable is done, what is not is not, and what goes wrong is said."""

import math
from dataclasses import replace
from pathlib import Path
from queue import SimpleQueue

import pytest

from actions.platforms.memory import Fault
from audit.journal import Claim, Fenced, Full, Unavailable
from audit.stores.sqlite import SqliteStore
from controller.core.records import Result, Verb
from controller.core.state import dump, fold
from controller.inbox import Ask, Waiting
from controller.trail import Trail
from telemetry.verdict import Verdict
from tests.controller.core.world import Service, snapshot

from .shell import CHECK_EVERY, Shell, a_world, one_sick, policy, shell


def ask(made: Shell, verb: Verb, **given: object) -> dict:
    waiting = Waiting(Ask("ada", verb, str(given.pop("why", "because")), **given))
    made.loop.inbox.put(waiting)
    made.turns()
    return dict(waiting.answer.get_nowait())


def test_a_sick_instance_is_restarted_verified_and_healed(tmp_path: Path) -> None:
    with shell(tmp_path, policy()) as made:
        one_sick(made.world)
        kinds = made.turns(8)
        assert [k for k in kinds if k != "Loaded"] == ["Opened", "Intent", "Outcome", "Passed", "Closed"]
        assert [effect.change.path for effect in made.world.effects] == ["slots/1/incarnation"]


def test_a_turn_says_what_is_under_way_and_how_bad_it_is(tmp_path: Path) -> None:
    with shell(tmp_path, policy()) as made:
        metric = made.loop._parts.instruments.registry.get_sample_value
        assert metric("gyrostat_leader_epoch") == made.trail.epoch
        one_sick(made.world)
        seen = []
        for _ in range(8):
            made.turns()
            seen.append(metric("gyrostat_active_remediations"))
        assert max(seen) == 1
        assert seen[-1] == 0
        assert math.isnan(metric("gyrostat_health_score"))  # nobody sent any telemetry
        board = made.loop.board
        columns = dict.fromkeys(("completion.ratio", "requests.volume", "active.count"), 0.0)
        scored = snapshot(Service("checkout", columns=columns))
        made.loop.board = replace(board, snapshot=scored)
        made.loop._show()
        assert metric("gyrostat_health_score") == 0.2  # no queue is all that is well


def test_what_the_store_does_not_take_is_not_done(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with shell(tmp_path, policy()) as made:
        made.turns(2)
        one_sick(made.world)
        with monkeypatch.context() as patch:
            patch.setattr(made.store, "append", lambda *_, **__: (_ for _ in ()).throw(Full("no space left")))
            made.turns(5)
            assert made.world.effects == []
            assert made.loop.board is not None
            assert "no space left" in made.loop.board.trouble
            assert not made.loop.board.trouble.startswith("Traceback")
        made.turns(8)
        assert len(made.world.effects) == 1
        assert made.loop.board.trouble == ""


def test_an_outcome_the_store_did_not_take_is_kept_for_the_next_turn(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with shell(tmp_path, policy()) as made:
        one_sick(made.world)
        while not made.world.effects:
            made.turns()
        with monkeypatch.context() as patch:
            patch.setattr(made.store, "append", lambda *_, **__: (_ for _ in ()).throw(Unavailable("locked")))
            made.turns(2)
        assert "Outcome" in made.turns()


def test_an_append_that_broke_off_after_it_was_kept_is_settled_not_repeated(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with shell(tmp_path, policy()) as made:
        one_sick(made.world)
        real = made.store.append

        def breaks_off(entries: list, **side: object) -> int:
            seq = real(entries, **side)
            if any(entry.kind == "Intent" for entry in entries):
                raise Unavailable("the answer was lost")
            return seq

        with monkeypatch.context() as patch:
            patch.setattr(made.store, "append", breaks_off)
            made.turns(2)
        assert made.world.effects == []  # kept, but never confirmed: so never begun
        kinds = made.turns(12)
        assert kinds[0] == "Outcome"  # read back: not in force
        assert len(made.world.effects) == 1
        assert made.trail.state.episodes == {}


def test_a_start_that_the_store_refuses_is_held_and_the_rest_stands(tmp_path: Path) -> None:
    with shell(tmp_path, policy()) as made:
        target = one_sick(made.world)
        made.store.append([_entry(made)], epoch=made.trail.epoch, claims=[Claim(str(target), "another|episode")])
        kinds = made.turns(3)
        assert "Held" in kinds
        assert "Intent" not in kinds
        assert made.world.effects == []
        (episode,) = made.trail.state.episodes.values()
        assert episode.held == "Claimed"
        assert "the store refused it" in episode.held_detail
        assert made.turns(3) == []  # said once


def _entry(made: Shell):
    from controller.core.records import Led
    from controller.trail import entry

    return entry(Led(made.time, made.trail.epoch, "test"))


def test_a_leader_that_was_superseded_does_nothing_more(tmp_path: Path) -> None:
    with shell(tmp_path, policy()) as made:
        made.turns(2)
        other = SqliteStore(tmp_path / "trail.db")
        other.lead("the new one")
        one_sick(made.world)
        with pytest.raises(Fenced):
            made.turns(3)
        assert made.world.effects == []
        other.close()


@pytest.mark.parametrize("flag", ["paused", "frozen"])
def test_a_flag_file_stops_within_a_turn_and_its_removal_goes_on(tmp_path: Path, flag: str) -> None:
    with shell(tmp_path, policy()) as made:
        made.turns(2)
        (tmp_path / flag).write_text("ada: not now")
        one_sick(made.world)
        made.turns(5)
        assert made.world.effects == []
        (episode,) = made.trail.state.episodes.values()
        assert episode.held == flag.capitalize()
        (tmp_path / flag).unlink()
        made.turns(3)
        assert len(made.world.effects) == 1


def test_a_restart_settles_what_was_open_and_live_state_is_the_folded_one(tmp_path: Path) -> None:
    world = a_world()
    with shell(tmp_path, policy(), world=world) as made:
        one_sick(world)
        world.faults.append(Fault.LOST_AFTER)
        made.executor.perform = lambda committed: world.apply(committed.intent.changes[0], committed.intent.id)
        while not world.effects:
            made.turns()
        made.trail.catch_up()
        live = dump(made.trail.state)
        folded = fold(Trail(made.store).state.episodes and _records(made))
        assert dump(folded) == live
    with shell(tmp_path, policy(), world=world) as again:
        kinds = again.turns(8)
        assert kinds[0] == "Outcome"
        (outcome,) = [r for r in _records(again) if type(r).__name__ == "Outcome"]
        assert outcome.settled
        assert outcome.result is Verdict.PASS
        assert len(world.effects) == 1
        assert [r.result for r in _records(again) if type(r).__name__ == "Closed"] == [Result.HEALED]


def _records(made: Shell) -> list:
    from controller.core.records import decode

    return [decode(stored.body) for stored in made.store.after(0)]


def test_a_changed_policy_file_comes_into_force_and_a_broken_one_does_not(tmp_path: Path) -> None:
    with shell(tmp_path, policy(mode="Observe")) as made:
        made.turns(2)
        file = tmp_path / "policies" / "0.yaml"
        file.write_text(policy(mode="Enforce") + "\nnonsense: [")
        made.turns(6, seconds=CHECK_EVERY)
        assert made.loop.board is not None
        assert "0.yaml" in made.loop.board.problems[0]
        assert [p.mode.label for p in made.loop.board.rules.policies.values()] == ["Observe"]
        file.write_text(policy(mode="Enforce"))
        made.turns(6, seconds=CHECK_EVERY)
        assert made.loop.board.problems == ()
        assert [p.mode.label for p in made.loop.board.rules.policies.values()] == ["Enforce"]


def test_a_person_acts_undoes_and_is_told_what_cannot_be(tmp_path: Path) -> None:
    with shell(tmp_path) as made:
        made.world.add("shop", "checkout", 3)
        made.turns(2)
        scale = {"target": "checkout", "action": {"type": "Scale", "scale": {"by": "+2"}, "hold": "10m"}}
        assert ask(made, Verb.ACT, act=scale)["policy"] == "shop/act-1"
        made.turns(8)
        (episode,) = made.trail.state.episodes.values()
        assert "nothing was done" not in str(ask(made, Verb.UNDO, about=episode.id))
        made.turns(3)
        desired = [effect.change.after for effect in made.world.effects]
        assert desired == [5, 3]
        assert "open: none" in ask(made, Verb.UNDO, about="e1")["refused"]
        assert "no target" in ask(made, Verb.ACT, act=scale | {"target": "nope"})["refused"]
        assert "why" in ask(made, Verb.PAUSE, why=" ")["refused"]
        assert "Scale" in ask(made, Verb.ACT, act=scale | {"action": {"type": "Pray"}})["refused"]


def test_a_restart_leaves_nothing_to_undo_and_says_so(tmp_path: Path) -> None:
    with shell(tmp_path, policy(verify={"initialDelay": "20s", "within": "60s"})) as made:
        one_sick(made.world)
        made.turns(3)
        (episode,) = made.trail.state.episodes.values()
        assert "leaves nothing to put back" in ask(made, Verb.UNDO, about=episode.id)["refused"]
        assert "does not wait for an approval" in ask(made, Verb.APPROVE, about=episode.id)["refused"]
        assert "does not need a human" in ask(made, Verb.ACK, about=episode.id)["refused"]
        assert "seq" in ask(made, Verb.ABORT, about=episode.id)
        made.turns(1)
        assert made.trail.state.episodes == {}


def test_what_goes_wrong_in_a_turn_is_said_and_the_next_turn_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with shell(tmp_path, policy()) as made:
        made.turns()
        one_sick(made.world)
        with monkeypatch.context() as patch:
            patch.setattr(made.processor, "snapshot", lambda _: 1 / 0)
            made.turns(2)
        assert made.loop.board is not None
        assert made.loop.board.trouble == "ZeroDivisionError: division by zero"
        assert made.world.effects == []
        made.turns(2)
        assert made.loop.board.trouble == ""
        assert len(made.world.effects) == 1


def test_no_more_starts_than_allowed_are_admitted(tmp_path: Path) -> None:
    with shell(tmp_path, policy(throttle={"cooldown": "0s", "maxConcurrent": 10})) as made:
        for name in ("a", "b", "c", "d"):
            made.world.sicken(made.world.add("shop", name, 2), 0)
        made.loop.allowance = 2
        made.turns(6)
        assert len(made.world.effects) == 2
        assert made.loop.allowance == 0


def test_a_queue_of_people_is_answered_in_one_turn(tmp_path: Path) -> None:
    with shell(tmp_path) as made:
        made.turns()
        answers: list[SimpleQueue] = []
        for verb in (Verb.PAUSE, Verb.RESUME, Verb.FREEZE):
            waiting = Waiting(Ask("ada", verb, "test"))
            answers.append(waiting.answer)
            made.loop.inbox.put(waiting)
        made.turns()
        assert all("seq" in answer.get_nowait() for answer in answers)
        assert made.trail.state.frozen == "ada: test"
