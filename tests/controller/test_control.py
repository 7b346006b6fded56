"""The control socket: read by views, spoken to by statements, heard from its own user only."""

import os
import pwd
import tempfile
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from threading import Thread

import pytest

from controller.control import SOCKET, Control
from controller.core.records import Verb
from controller.inbox import Ask, Waiting
from controller.loop import HEARD_AT_ONCE
from controller.views import VIEWS
from telemetry.sources.unix_rpc import call

from .shell import Shell, policy, shell


@pytest.fixture
def place() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(dir="/tmp") as folder:
        yield Path(folder)


@pytest.fixture
def made(tmp_path: Path) -> Iterator[Shell]:
    with shell(tmp_path, policy()) as made:
        made.world.add("shop", "checkout", 3)
        yield made


def test_before_the_first_turn_it_says_so(made: Shell, place: Path) -> None:
    with closing(Control(place, made.loop, VIEWS)):
        assert "first turn" in call(place / SOCKET, {"view": "status"})["refused"]


def test_a_view_is_answered_from_the_board_and_an_unknown_one_is_named(made: Shell, place: Path) -> None:
    made.turns(2)
    with closing(Control(place, made.loop, VIEWS)):
        status = call(place / SOCKET, {"view": "status"})
        assert status["telemetry"]["targets"] == 1
        assert "there are: status" in call(place / SOCKET, {"view": "stats"})["refused"]


def test_who_speaks_is_what_the_kernel_says_not_what_they_say(made: Shell, place: Path) -> None:
    made.turns(2)
    me = pwd.getpwuid(os.getuid()).pw_name
    answers = []
    request = {"say": {"verb": "pause", "why": "test", "who": "the boss"}}
    with closing(Control(place, made.loop, VIEWS)):
        asking = Thread(target=lambda: answers.append(call(place / SOCKET, request, timeout=10)))
        asking.start()
        while asking.is_alive():
            made.turns(1, seconds=0.01)
            asking.join(0.05)
    assert "seq" in answers[0]
    assert made.trail.state.paused == f"{me}: test"


def test_a_statement_of_the_wrong_shape_is_refused_with_the_verbs(made: Shell, place: Path) -> None:
    made.turns(1)
    with closing(Control(place, made.loop, VIEWS)):
        for wrong in ({"verb": "explode", "why": "x"}, {"verb": "act"}, "pause", None, {"verb": 1, "why": "x"}):
            assert "verbs: pause" in call(place / SOCKET, {"say": wrong})["refused"]


def test_the_socket_is_its_users_own(made: Shell, place: Path) -> None:
    with closing(Control(place, made.loop, VIEWS)):
        assert (place / SOCKET).stat().st_mode & 0o777 == 0o600


def test_a_turn_hears_so_many_and_ends(made: Shell) -> None:
    """Who asks again at every answer keeps the inbox full; the turn must end all the same."""
    made.turns(1)
    waiting = [Waiting(Ask("ann", Verb.RESUME, f"word {n}")) for n in range(3 * HEARD_AT_ONCE)]
    for each in waiting:
        made.loop.inbox.put(each)
    for turn in (1, 2, 3):
        made.turns(1)
        assert sum(not each.answer.empty() for each in waiting) == turn * HEARD_AT_ONCE


def test_a_loop_that_does_not_turn_delays_no_reader_for_ever(
    made: Shell, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("controller.control.ANSWER_WITHIN", 0.2)
    made.turns(1)
    with closing(Control(place, made.loop, VIEWS)):
        reply = call(place / SOCKET, {"say": {"verb": "pause", "why": "x"}})
        assert "did not come round in time" in reply["refused"]


@pytest.mark.parametrize("view", ["status", "analyze", "episodes", "why"])
@pytest.mark.parametrize("args", [[1], "shop", 3, True])
def test_arguments_that_are_no_object_are_refused_in_words(made: Shell, place: Path, view: str, args: object) -> None:
    """Found by fuzzing: they came out as the AttributeError of a view."""
    made.turns(2)
    with closing(Control(place, made.loop, VIEWS)):
        assert "args" in call(place / SOCKET, {"view": view, "args": args})["refused"]
