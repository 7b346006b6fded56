"""The demo: run as a user runs it, and its judgement tried on evidence that is wrong."""

import os
import pty
import re
import select
import signal
import socket
import subprocess
import sys
import tempfile
import termios
import time
from collections.abc import Iterator
from pathlib import Path

import msgspec
import psutil
import pytest

from actions.plan import Change, Plan
from controller.core.records import Intent, Key, Outcome, Step
from controller.demo import service as service_module
from controller.demo.evidence import Effect, Hung, harm, open_intents, read_effects
from controller.demo.load import Client, Count
from controller.demo.screen import WIDTH, Screen
from telemetry.target import Target
from telemetry.verdict import Verdict

CHECKOUT = Target("local", "Service", "shop", "checkout", "u1")
PATH = "slots/1/incarnation"
SICK = Hung("shop/checkout", "1", 7, "7@1.00")


def intent(number: int = 1, before: str = "7@1.00", at: float = 10.0) -> Intent:
    change = Change(CHECKOUT, PATH, before, "newer")
    return Intent(at, Key("p", CHECKOUT), number, Step.DO, 0, "Restart", (change,), Plan((change,)), at, at + 9)


def written(number: int = 1, result: Verdict = Verdict.PASS) -> Outcome:
    return Outcome(11.0, Key("p", CHECKOUT), number, result)


def restart(intent_id: str = "i1", before: str = "7@1.00", at: float = 10.1) -> Effect:
    return Effect(at, "accepted", "shop/checkout", intent_id, PATH, before, "newer")


def test_what_was_intended_written_and_needed_is_no_harm() -> None:
    assert harm([restart()], [intent(), written()], [SICK]) == []


@pytest.mark.parametrize(
    ("effects", "records", "said"),
    [
        ([restart()], [], "no intent"),
        ([restart(at=9.0)], [intent(), written()], "before its intent"),
        ([restart(before="8@1.00")], [intent(), written()], "not what its intent"),
        ([], [intent(), written()], "0 of 1"),
        ([restart()], [intent(), written(result=Verdict.FAIL)], "says not written, and was"),
        ([restart(before="8@1.00")], [intent(before="8@1.00"), written()], "was healthy"),
        ([restart(), restart("i2")], [intent(), written(), intent(2), written(2)], "restarted 2 times"),
        ([Effect(5.0, "exited", "shop/cart", cause="crashed", incarnation="9@1.00")], [], "nobody asked"),
        ([Effect(5.0, "stopped", "shop/cart", "i9", cause="asked", incarnation="9@1.00")], [], "nobody asked"),
    ],
)
def test_what_nobody_can_account_for_is_harm(effects: list[Effect], records: list, said: str) -> None:
    found = harm(effects, records, [SICK])

    assert found
    assert said in "; ".join(found)


def test_an_intent_without_an_outcome_is_open() -> None:
    assert open_intents([intent(), written(), intent(2)]) == [intent(2)]


def test_the_effect_log_is_read_as_the_supervisor_writes_it() -> None:
    line = {
        "at": 10.1,
        "event": "accepted",
        "intent": "i1",
        "target": {"kind": "Service", "namespace": "shop", "name": "checkout", "uid": "u1"},
        "path": PATH,
        "before": "7@1.00",
        "after": "newer",
    }

    assert read_effects(msgspec.json.encode(line) + b"\n") == [restart()]


def test_a_client_counts_what_nobody_answers() -> None:
    client = Client("127.0.0.1:9")  # discard: nobody listens

    client.request()

    assert (client.count.ok, client.count.failed) == (0, 1)


def test_a_client_counts_what_is_answered_too_late() -> None:
    with socket.create_server(("127.0.0.1", 0)) as hung:  # the system accepts for it; it never answers
        client = Client(f"127.0.0.1:{hung.getsockname()[1]}")
        client.request()

    assert client.count == Count(timeouts=1)


def test_a_service_without_sockets_says_who_hands_them_over() -> None:
    service = Path(service_module.__file__)
    run = subprocess.run([sys.executable, service, "cart"], capture_output=True, text=True, timeout=30, check=False)

    assert run.returncode == 1
    assert "auto local up" in run.stderr


def shown(screen: Screen) -> None:
    screen.title("title", ["a line"])
    screen.step(1, "a step")
    screen.command("auto status", "a comment")
    with screen.waiting("a while"):
        screen.event(1.5, "it happened " * 10)
    screen.good("well")
    screen.bad("not well")
    screen.block(["NAME   READY"])
    screen.rows([("healed", "3", "of 3"), ("harm", "0", "none")])


def test_a_terminal_shows_the_words_of_a_pipe_in_color(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.delenv("NO_COLOR", raising=False)
    master, slave = pty.openpty()
    termios.tcsetwinsize(slave, (50, WIDTH))
    said = {}
    with (
        os.fdopen(master, "rb", buffering=0) as reader,
        os.fdopen(slave, "w") as terminal,
        (tmp_path / "pipe").open("w+") as pipe,
    ):
        for stream in (terminal, pipe):
            monkeypatch.setattr(sys, "stdout", stream)
            shown(Screen())
            stream.flush()
        monkeypatch.undo()
        pipe.seek(0)
        said["pipe"] = pipe.read()
        terminal_said = b""
        while b"none" not in terminal_said:  # the last word; a terminal gives what it has, in pieces
            terminal_said += reader.read(1 << 16)
        terminal.flush()
        while select.select([reader], [], [], 0.2)[0]:
            terminal_said += reader.read(1 << 16)
        said["terminal"] = terminal_said.decode()

    assert "\x1b" not in said["pipe"]
    assert "\x1b[1;36m" in said["terminal"]
    without_codes = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", said["terminal"])
    words = [line for line in without_codes.replace("\r", "\n").split("\n") if line.strip() and "a while" not in line]
    assert words == [line for line in said["pipe"].split("\n") if line.strip()]


@pytest.fixture
def place() -> Iterator[Path]:
    """Where the demo makes its folder; nothing of it may be left, and no process that stands in it."""
    with tempfile.TemporaryDirectory(prefix="demo-test-", dir="/tmp", ignore_cleanup_errors=True) as name:
        place = Path(name)
        yield place
        left = standing_in(place)
        for process in left:
            process.kill()
        assert left == []
        assert list(place.iterdir()) == []


def standing_in(place: Path) -> list[psutil.Process]:
    found = []
    for process in psutil.process_iter():
        try:
            where = process.cwd()
        except psutil.Error:
            continue
        if where.startswith(str(place)):
            found.append(process)
    return found


def begin(place: Path, *words: str) -> "subprocess.Popen[str]":
    auto = Path(sys.executable).with_name("auto")
    return subprocess.Popen(
        [auto, "demo", *words],
        env=os.environ | {"TMPDIR": str(place), "PYTHONWARNINGS": ""},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )


def test_it_heals_and_ends_well_and_is_plain_in_a_pipe(place: Path) -> None:
    demo = begin(place)
    out, _ = demo.communicate(timeout=120)

    assert demo.returncode == 0, out
    assert "\x1b" not in out
    assert "\r" not in out
    assert max(map(len, out.splitlines())) <= WIDTH
    assert re.search(r"^ +healed +3 ", out, re.MULTILINE)
    assert re.search(r"^ +released +2 ", out, re.MULTILINE)
    assert re.search(r"^ +undone +1 ", out, re.MULTILINE)
    assert re.search(r"^ +storm +6 ", out, re.MULTILINE)
    assert re.search(r"^ +harm +0 ", out, re.MULTILINE)


def test_under_observe_it_fails_and_names_the_step(place: Path) -> None:
    demo = begin(place, "--mode", "Observe")
    out, _ = demo.communicate(timeout=90)

    assert demo.returncode == 1
    assert "step 2 (heal)" in out
    assert "the mode is Observe" in out


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_it_and_leaves_nothing(place: Path, number: signal.Signals) -> None:
    demo = begin(place)
    assert demo.stdout is not None
    for line in demo.stdout:
        if line.startswith("2  "):
            break
    time.sleep(0.5)
    assert len(standing_in(place)) > 10

    demo.send_signal(number)
    demo.communicate(timeout=30)

    assert demo.returncode == 128 + number
