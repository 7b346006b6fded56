"""The supervisor with real processes: what it keeps, replaces, stops, refuses and remembers."""

import json
import os
import resource
import signal
import socket
import stat
import subprocess
import sys
import threading
import time
import urllib.request
from itertools import pairwise
from pathlib import Path

import psutil
import pytest

from actions.plan import Change
from actions.platforms.local.lifecycle import reload, start_detached, stop
from actions.platforms.local.process import LOG_BYTES, bound
from actions.platforms.local.supervisor import CannotStartError
from telemetry.verdict import Verdict

from ..services.local import HEAD, Local, local, service  # noqa: TID252  no package named tests


@pytest.fixture(scope="module")
def rig():
    with local(service()) as rig:
        yield rig


@pytest.fixture
def ready(rig):
    """Two ready instances, whatever the test before left."""
    rig.write(service())
    rig.ask(op="reload")
    if rig.listing()["desired"] != 2:
        scale(rig, 2)
    rig.until_settled(2)
    return rig


def scale(rig, to, intent="i1"):
    listing = rig.listing()
    return rig.ask(
        op="apply", intent=intent, target=listing["target"], path="desired", before=listing["desired"], after=to
    )


def restart(rig, slot, after="newer", intent="i2"):
    listing = rig.listing()
    before = listing["slots"][slot]["incarnation"]
    request = {"target": listing["target"], "path": f"slots/{slot}/incarnation", "before": before, "after": after}
    return rig.ask(op="apply", intent=intent, **request)


def pids(rig):
    return [slot["pid"] for slot in rig.slots()]


def alive(pid):
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def test_instances_get_their_sockets_and_nothing_of_our_environment(monkeypatch):
    monkeypatch.setenv("SECRET_TOKEN", "s3cret")
    with local(service(env={"GREETING": "hello"})) as rig:
        rig.until_ready(2)
        environment = dict(line.split("=", 1) for line in rig.get("/env").splitlines())
    assert environment.keys() - {"LC_CTYPE"} <= {
        *("PATH", "HOME", "LANG", "GREETING", "LISTEN_FDS", "LISTEN_PID", "LISTEN_FDNAMES")
    }
    assert (environment["GREETING"], environment["LISTEN_FDS"]) == ("hello", "2")


def test_everything_in_the_state_directory_is_the_owners_alone(ready):
    assert stat.S_IMODE((ready.state / "supervisor.sock").stat().st_mode) == 0o600
    assert stat.S_IMODE((ready.state / "effects.jsonl").stat().st_mode) == 0o600
    assert stat.S_IMODE((ready.state / "supervisor.json").stat().st_mode) == 0o600
    assert stat.S_IMODE((ready.state / "logs").stat().st_mode) == 0o700
    assert "serving" in (ready.state / "logs" / "shop.checkout.0.log").read_text()


@pytest.mark.parametrize("hang", ["SIGSTOP", "loop"])
def test_a_hung_instance_is_seen_although_its_sibling_answers_and_alone_is_replaced(ready, hang):
    """Its own socket tells; TERM does nothing to a stopped process, KILL after the grace does."""
    first, second = pids(ready)
    if hang == "SIGSTOP":
        os.kill(first, signal.SIGSTOP)
    else:
        ask_private(first, "/loop")
    ready.until(lambda: [slot["ready"] for slot in ready.slots()] == [False, True], "one sick, one ready")
    assert ready.get("/") == str(second)
    assert restart(ready, 0)["verdict"] == "Pass"
    ready.until(lambda: pids(ready)[0] not in (0, first), "a new process")
    ready.until_ready(2)
    assert pids(ready)[1] == second
    assert not alive(first)


def ask_private(pid, path):
    """Send a request to the instance's own socket and do not wait for the answer."""
    ports = {c.laddr.port for c in psutil.Process(pid).net_connections("tcp") if c.status == "LISTEN"}
    shared = {
        c.laddr.port
        for other in psutil.Process(psutil.Process(pid).ppid()).children()
        if other.pid != pid
        for c in other.net_connections("tcp")
        if c.status == "LISTEN"
    }
    (port,) = ports - shared
    with socket.create_connection(("127.0.0.1", port), timeout=5) as connection:
        connection.sendall(f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode())


def test_a_crash_is_repaired_and_counted_and_logged_as_nobodys_wish(ready):
    before = ready.listing()
    victim = before["slots"][1]["pid"]
    os.kill(victim, signal.SIGKILL)
    ready.until(lambda: ready.listing()["crashes"] == before["crashes"] + 1, "one more crash")
    ready.until_ready(2)
    events = [e for e in ready.effects() if e.get("pid") == victim]
    assert [(e["event"], e["cause"]) for e in events][-1] == ("exited", "crashed")
    assert events[-1]["status"] == -signal.SIGKILL
    started = [e for e in ready.effects() if e["event"] == "started"][-1]
    assert (started["cause"], "intent" in started) == ("crashed", False)


def test_a_crash_loop_backs_off():
    broken = service("broken", command=[sys.executable, "-S", "-E", "-c", "raise SystemExit(3)"], probe=None)
    with local(broken) as rig:
        rig.until(lambda: rig.listing("broken")["crashes"] >= 6, "three crashes of each instance")
        starts = [e["at"] for e in rig.effects() if e["event"] == "started" and e["slot"] == 0]
        gaps = [later - earlier for earlier, later in pairwise(starts)]
        assert gaps[0] >= 0.2
        assert gaps[1] >= 0.4
        slot = rig.slots("broken")[0]
        assert slot["incarnation"] == "" or slot["ready"] is None


def test_scaling_down_stops_the_highest_slots_and_loses_no_connection(ready):
    scale(ready, 4)
    ready.until_ready(4)
    before, failures, done = pids(ready), [], threading.Event()
    port = json.loads((ready.state / "ports.json").read_bytes())["shop/checkout"]["http"]

    def load():
        while not done.is_set():
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=10) as answer:
                    assert answer.status == 200
            except ConnectionResetError:
                pass  # accepted by the instance that was told to end: the test's service drops what it is serving
            except OSError as error:
                failures.append(repr(error))

    clients = [threading.Thread(target=load) for _ in range(2)]
    for client in clients:
        client.start()
    assert scale(ready, 2)["verdict"] == "Pass"
    ready.until(lambda: not any(alive(pid) for pid in before[2:]), "the end of the highest")
    done.set()
    for client in clients:
        client.join()
    assert [f for f in failures if "refused" in f] == []
    assert pids(ready) == before[:2]


def test_a_graceful_restart_of_all_is_rolled_one_at_a_time(ready):
    scale(ready, 3)
    ready.until_ready(3)
    since = len(ready.effects())
    before = pids(ready)
    for slot in range(3):
        assert restart(ready, slot, intent="roll")["verdict"] == "Pass"
    ready.until(lambda: not set(pids(ready)) & set(before), "three new processes")
    ready.until_ready(3)
    down = most = 0
    for event in ready.effects()[since:]:
        down += {"stopped": 1, "started": -1}.get(event["event"], 0)
        most = max(most, down)
    assert most == 1
    assert {e["intent"] for e in ready.effects()[since:] if e["event"] == "stopped"} == {"roll"}


def test_a_forceful_restart_asks_nobody(ready):
    pid = ready.slots()[0]["pid"]
    assert restart(ready, 0, "newer!")["verdict"] == "Pass"
    ready.until_settled(2)
    assert [e["signal"] for e in ready.effects() if e["event"] == "stopped" and e["pid"] == pid] == ["KILL"]


def test_every_accepted_change_is_logged_before_what_it_causes(ready):
    since = len(ready.effects())
    scale(ready, 3, intent="i77")
    ready.until_ready(3)
    accepted, started = [e for e in ready.effects()[since:] if e.get("intent") == "i77"]
    assert {"event": "accepted", "path": "desired", "before": 2, "after": 3}.items() <= accepted.items()
    assert accepted["target"] == ready.listing()["target"]
    assert (started["event"], started["slot"], started["cause"]) == ("started", 2, "asked")


def accepted(rig: Local) -> int:
    """How many changes were accepted so far; ends of processes may still be written down meanwhile."""
    return sum(event["event"] == "accepted" for event in rig.effects())


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"before": 1}, "before"),
        ({"before": True}, "before"),
        ({"after": 7}, "bounds"),
        ({"after": 0}, "bounds"),
        ({"after": "3"}, "bounds"),
        ({"after": True}, "bounds"),
        ({"path": "image"}, "mechanism"),
        ({"path": "slots/0/incarnation", "after": "older"}, "mechanism"),
        ({"path": "slots/0/incarnation", "before": "1@1.00", "after": "newer"}, "before"),
        ({"path": "slots/-1/incarnation", "after": "newer"}, "mechanism"),
        ({"path": "slots/00/incarnation", "after": "newer"}, "mechanism"),  # another name of slots/0 (found by fuzzing)
        ({"path": "slots/\N{ARABIC-INDIC DIGIT ZERO}/incarnation", "after": "newer"}, "mechanism"),
        ({"path": ["desired"]}, "mechanism"),
        ({"target": None}, "uid"),
        ({"target": {"namespace": "shop", "name": "checkout"}}, "uid"),
    ],
)
def test_a_refusal_says_why_and_leaves_no_trace(ready, change, reason):
    since = accepted(ready)
    request = {"target": ready.listing()["target"], "path": "desired", "before": 2, "after": 3} | change
    reply = ready.ask(op="apply", **request)
    assert (reply["verdict"], reply["reason"]) == ("Fail", reason)
    assert reply["detail"]
    assert accepted(ready) == since
    assert ready.listing()["desired"] == 2


def all_stopped(pid: int) -> bool:
    """Whether no thread of it runs any more; a signal takes a moment to reach them all."""
    tasks = Path(f"/proc/{pid}/task").iterdir()
    return all((task / "stat").read_text().rpartition(")")[2].split()[0] == "T" for task in tasks)


def test_a_request_whose_sender_has_gone_is_not_carried_out(ready):
    """A controller that died after sending must not act through its successor's back."""
    change = Change(ready.target(), "desired", 2, 3)
    os.kill(ready.pid, signal.SIGSTOP)
    ready.until(lambda: all_stopped(ready.pid), "each of its threads to stand still")
    try:
        ready.platform._timeout = 0.3
        assert ready.platform.apply(change, "i1") is Verdict.UNKNOWN
        assert ready.platform.holds(change) is Verdict.UNKNOWN
    finally:
        os.kill(ready.pid, signal.SIGCONT)
        ready.platform._timeout = 3.0
    ready.ask(op="ping")
    time.sleep(0.2)
    assert ready.platform.holds(change) is Verdict.FAIL
    assert ready.listing()["desired"] == 2


def test_what_cannot_be_logged_is_not_done_and_what_happened_is_logged_later(ready):
    """A full disk, as a limit on the size of files of the running supervisor."""
    victim = pids(ready)[1]
    limits = resource.prlimit(ready.pid, resource.RLIMIT_FSIZE)
    size = (ready.state / "effects.jsonl").stat().st_size
    resource.prlimit(ready.pid, resource.RLIMIT_FSIZE, (size + 20, limits[1]))  # half a line would fit
    try:
        reply = scale(ready, 3, intent="unlogged")
        assert (reply["verdict"], reply["reason"]) == ("Fail", "log")
        assert ready.listing()["desired"] == 2
        os.kill(victim, signal.SIGKILL)
        ready.until(lambda: pids(ready)[1] not in (0, victim), "the crash to be repaired all the same")
        assert (ready.state / "effects.jsonl").stat().st_size == size
        ready.effects()  # every line is whole
    finally:
        resource.prlimit(ready.pid, resource.RLIMIT_FSIZE, limits)
    ready.until(lambda: any(e.get("pid") == victim and e["event"] == "exited" for e in ready.effects()), "the event")
    assert scale(ready, 3, intent="logged")["verdict"] == "Pass"
    assert [e["intent"] for e in ready.effects() if e["event"] == "accepted"][-1] == "logged"
    assert not any(e.get("intent") == "unlogged" for e in ready.effects())


def test_an_edit_rolls_and_is_seen_and_keeps_the_uid(ready):
    before = ready.listing()
    ready.write(service(env={"COLOUR": "blue"}))
    assert reload(ready.state) == {"added": [], "removed": [], "changed": ["shop/checkout"]}
    old = {slot["pid"] for slot in before["slots"]}
    ready.until(lambda: not set(pids(ready)) & old, "new processes")
    ready.until_ready(2)
    after = ready.listing()
    assert "COLOUR=blue" in ready.get("/env")
    assert after["target"] == before["target"]
    assert after["changed_at"] > before["changed_at"]
    assert after["ports"] == before["ports"]
    assert {e["cause"] for e in ready.effects() if e["event"] == "stopped" and e["pid"] in old} == {"reload"}


def test_an_edit_that_does_not_come_up_stops_at_the_first(ready):
    before = pids(ready)
    ready.write(service(env={"BROKEN": "1"}))
    reload(ready.state)
    ready.until(lambda: ready.slots()[0]["ready"] is False, "the first new instance to be sick")
    time.sleep(0.3)
    assert pids(ready)[1] == before[1]
    assert ready.slots()[1]["ready"] is True


def test_an_edit_that_changes_nothing_that_runs_replaces_nothing(ready):
    before = ready.listing()
    ready.write(service(labels={"tier": "web"}))
    assert reload(ready.state)["changed"] == ["shop/checkout"]
    after = ready.listing()
    assert (after["labels"], after["slots"][0]["pid"]) == ({"tier": "web"}, before["slots"][0]["pid"])


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (HEAD + service(replicas={"desired": 9, "max": 3}), ":7:15: services[0].replicas: min 1, desired 9, max 3"),
        (HEAD + service() + service(), "defined twice"),
        ("kind: Services\n", "services: is required"),
        (None, "cannot be read"),
    ],
)
def test_a_wrong_edit_changes_nothing_and_says_where(ready, content, problem):
    before = ready.listing()
    if content is None:
        ready.file.unlink()
    else:
        ready.file.write_text(content)
    problems = reload(ready.state)["problems"]
    assert any(problem in line for line in problems), problems
    after = ready.listing()
    assert [after[key] for key in ("target", "desired", "changed_at")] == [
        before[key] for key in ("target", "desired", "changed_at")
    ]
    assert pids(ready) == [slot["pid"] for slot in before["slots"]]


def test_an_edit_that_wants_a_taken_port_changes_nothing(ready):
    before = ready.listing()
    with socket.create_server(("127.0.0.1", 0)) as taken:
        ready.write(service(port=taken.getsockname()[1], labels={"new": "yes"}), service("second"))
        (problem,) = reload(ready.state)["problems"]
    assert "already in use" in problem
    assert ready.listing()["labels"] == before["labels"]
    assert len(ready.ask(op="list")["services"]) == 1


def test_a_scaled_number_outlives_reload_and_restart_but_not_an_edit_of_it():
    with local(service()) as rig:
        rig.until_ready(2)
        uid = rig.listing()["target"]["uid"]
        scale(rig, 3)
        rig.write(service(labels={"a": "b"}))
        reload(rig.state)
        assert rig.listing()["desired"] == 3
        port = rig.listing()["ports"]
        assert stop(rig.state)
        rig.start()
        again = rig.until_ready(3)
        assert [slot["slot"] for slot in again] == ["0", "1", "2"]
        assert (rig.listing()["target"]["uid"], rig.listing()["ports"]) == (uid, port)
        rig.write(service(replicas={"desired": 1, "max": 2}))
        reload(rig.state)
        assert rig.listing()["desired"] == 1
        rig.until_ready(1)


def test_each_gets_a_port_of_its_own():
    with local(service(listen="each", probe={"tcp": True, "period": "100ms"})) as rig:
        slots = rig.until_ready(2)
        assert [rig.get("/", slot=n) for n in range(2)] == [str(slot["pid"]) for slot in slots]


def test_address_port_directory_and_stop_signal_are_as_written():
    with socket.create_server(("127.0.0.2", 0)) as picked:
        port = picked.getsockname()[1]
    shell = ["/bin/sh", "-c", "pwd; exec sleep 1000"]
    with local(
        service(address="127.0.0.2", port=port),
        service("shell", command=shell, listen="none", probe=None, workingDirectory="/usr", stop={"signal": "INT"}),
    ) as rig:
        rig.until_ready(2)
        with urllib.request.urlopen(f"http://127.0.0.2:{port}/health", timeout=5) as answer:
            assert answer.status == 200
        log = rig.state / "logs" / "shop.shell.1.log"
        rig.until(lambda: log.exists() and log.read_text() == "/usr\n", "the directory in the log")
        before = rig.slots("shell")[1]["pid"]
        rig.write(service(address="127.0.0.2", port=port))
        reload(rig.state)
        rig.until(lambda: any(e["event"] == "exited" and e["pid"] == before for e in rig.effects()), "its end")
        (end,) = [e for e in rig.effects() if e["event"] == "exited" and e["pid"] == before]
        assert (end["cause"], end["status"]) == ("reload", -signal.SIGINT)


def test_a_log_that_grows_too_large_is_emptied(tmp_path):
    log = tmp_path / "x.log"
    log.write_text("kept")
    bound(log)
    assert log.read_text() == "kept"
    os.truncate(log, LOG_BYTES + 1)
    bound(log)
    assert log.read_text() == ""
    bound(tmp_path / "none.log")


def test_an_edit_taken_back_before_its_turn_replaces_nothing(ready):
    """The first new one does not come up, so the second still waits; then the edit is taken back."""
    before = pids(ready)
    ready.write(service(env={"BROKEN": "1"}))
    reload(ready.state)
    ready.until(lambda: ready.slots()[0]["ready"] is False, "the first new instance to be sick")
    assert ready.slots()[1]["replacing"]
    ready.write(service())
    reload(ready.state)
    ready.until_settled(2)
    assert pids(ready)[1] == before[1]


def test_a_slow_start_is_unknown_and_then_ready_and_never_sick():
    late = service(env={"START_DELAY": "0.5"}, probe={"http": "/health", "period": "1s", "timeout": "200ms"})
    with local(late) as rig:
        seen = set()
        rig.until(lambda: seen.add(tuple(s["ready"] for s in rig.slots())) or (True, True) in seen, "ready")
        assert (None, None) in seen
        assert not any(False in verdicts for verdicts in seen)


def test_what_an_instance_started_ends_with_it():
    shell = ["/bin/sh", "-c", "sleep 1000 & echo child $! ; wait"]
    with local(service("parent", command=shell, listen="none", probe=None, replicas={"desired": 1})) as rig:
        log = rig.state / "logs" / "shop.parent.0.log"
        rig.until(lambda: log.exists() and "child" in log.read_text(), "the child's pid")
        child = int(log.read_text().split()[1])
        rig.write()
        reload(rig.state)
        rig.until(lambda: not alive(child), "the child's end")


def test_killing_the_supervisor_leaves_nobody_behind():
    rig = Local(service())
    try:
        rig.start()
        rig.until_ready(2)
        left = pids(rig)
        os.kill(rig.pid, signal.SIGKILL)
        deadline = time.monotonic() + 10
        while any(alive(pid) for pid in left) and time.monotonic() < deadline:
            time.sleep(0.02)
        assert not any(alive(pid) for pid in left)
        rig.start()  # the lock died with it, and its socket is replaced
        rig.until_ready(2)
    finally:
        rig.close()


@pytest.mark.parametrize("how", ["TERM", "INT", "HUP", "down"])
def test_going_down_ends_everything_even_what_does_not_hear(how):
    with local(service(env={"IGNORE_TERM": "1"}, stop={"grace": "200ms"})) as rig:
        rig.until_ready(2)
        left = pids(rig)
        if how == "down":
            rig.ask(op="down")
        else:
            os.kill(rig.pid, getattr(signal, f"SIG{how}"))
        assert stop(rig.state, timeout=10)
        assert not any(alive(pid) for pid in left)
        assert not (rig.state / "supervisor.sock").exists()
        ended = [e for e in rig.effects() if e["event"] == "exited"]
        assert [(e["cause"], e["status"]) for e in ended] == [("down", -signal.SIGKILL)] * 2


@pytest.mark.parametrize("how", ["signal", "socket"])
def test_asked_firmly_it_does_not_wait_for_the_grace(how):
    with local(service(env={"IGNORE_TERM": "1"}, stop={"grace": "1h"})) as rig:
        rig.until_ready(2)
        if how == "socket":
            rig.ask(op="down", atOnce=True)
        else:
            os.kill(rig.pid, signal.SIGINT)
            rig.until(lambda: any(e["event"] == "stopped" for e in rig.effects()), "the first signal to be heard")
            os.kill(rig.pid, signal.SIGINT)
        assert stop(rig.state, timeout=10)


def test_while_it_goes_down_it_gives_no_answer_rather_than_an_empty_one():
    with local(service(env={"IGNORE_TERM": "1"}, stop={"grace": "1h"})) as rig:
        rig.until_ready(2)
        change = Change(rig.target(), "desired", 2, 3)
        before = rig.source.read(1.0)
        rig.ask(op="down")
        silent = rig.source.read(2.0)
        assert silent.facts == before.facts
        assert "going down" in silent.error
        assert rig.platform.apply(change, "i1") is Verdict.FAIL
        assert rig.platform.holds(change) is Verdict.UNKNOWN
        rig.ask(op="down", atOnce=True)


def test_one_supervisor_to_a_directory(ready):
    with pytest.raises(CannotStartError, match=rf"\(pid {ready.pid}\) already runs"):
        start_detached(ready.file, ready.state)
    assert ready.ask(op="ping")["pid"] == ready.pid


def test_a_wrong_file_is_told_to_who_starts(tmp_path):
    file = tmp_path / "services.yaml"
    file.write_text("apiVersion: gyrostat.dev/v1alpha1\nkind: Services\nservises: []\n")
    with pytest.raises(CannotStartError) as caught:
        start_detached(file, tmp_path / "state")
    assert f"{file}:3:1: servises: is an unknown key (did you mean services?" in str(caught.value)
    assert "Traceback" not in str(caught.value)


def test_a_damaged_memory_is_named_and_not_guessed_at(tmp_path):
    file = tmp_path / "services.yaml"
    file.write_text(HEAD + service())
    (tmp_path / "state").mkdir()
    (tmp_path / "state" / "supervisor.json").write_text('{"services": ')
    with pytest.raises(CannotStartError, match=r"supervisor\.json is damaged: .*move it away"):
        start_detached(file, tmp_path / "state")


def test_an_unknown_verb_is_refused(ready):
    with pytest.raises(OSError, match="'destroy' is unknown: ping, list, apply, holds, reload, down"):
        ready.ask(op="destroy")


def test_run_in_the_foreground_it_prints_what_is_wrong(tmp_path):
    run = [sys.executable, "-m", "actions.platforms.local.supervisor", str(tmp_path / "none.yaml"), "--state"]
    done = subprocess.run([*run, str(tmp_path)], capture_output=True, text=True, check=False, timeout=30)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == f"{tmp_path}/none.yaml:1:1: cannot be read: No such file or directory\n"


def test_the_supervisor_carries_nothing_heavy_that_it_does_not_need():
    """It outlives every controller, on machines where each megabyte is somebody's."""
    program = (
        "import sys, actions.platforms.local.supervisor; print(sorted({'numpy', 'kubernetes'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
