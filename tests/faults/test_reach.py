"""What looking sends, who is heard, and what is started: P15, P26, P28, from outside."""

import contextlib
import hashlib
import json
import os
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import psutil
import pytest

from controller.compose import STORE
from tests.faults.recorder import Recorder
from tests.faults.rig import AUTO, ROOT, WORKER, Rig, restart_policy, rig
from tests.needs import need

SERVICE = "cart"
LAUNCH = ROOT / "actions" / "platforms" / "local" / "launch.py"
LOOKS = [
    ["status"],
    ["analyze"],
    ["episodes", "--all"],
    ["why", f"shop/{SERVICE}"],
    ["audit", "list"],
    ["audit", "verify"],
]
READS = {"list", "holds", "ping"}
ALIVE = ("logs", "supervisor.log", "loop.log", "control.sock", "supervisor.sock")
"""What the supervisor and the harness themselves go on writing."""


def ops(recorder: Recorder) -> set[str]:
    return {request["op"] for request in recorder.requests}


def contents(state: Path) -> dict[str, str]:
    """A digest of every file of a state directory."""
    files = [path for path in sorted(state.rglob("*")) if path.is_file() and not path.is_symlink()]
    names = {str(path.relative_to(state)): path for path in files}
    kept = {name: path for name, path in names.items() if not name.startswith(ALIVE)}
    return {name: hashlib.sha256(path.read_bytes()).hexdigest() for name, path in kept.items()}


def sick(made: Rig) -> None:
    made.hang(SERVICE)
    made.until(lambda: made.slots(SERVICE)[0]["ready"] is False, "the supervisor sees it hang")


def test_looking_at_a_running_loop_changes_nothing():
    with rig({SERVICE: 1}, {SERVICE: restart_policy(SERVICE, mode="Observe")}) as made:
        made.start_loop()
        made.view()
        sick(made)
        made.wait_for(lambda: made.folded().episodes, "an episode is open")
        time.sleep(0.5)
        before = made.trail()
        with contextlib.closing(Recorder(made.state / "supervisor.sock")) as supervisor:
            with contextlib.closing(Recorder(made.state / "control.sock")) as control:
                for look in (*LOOKS, ["loop", "--dry-run", "--once"]):
                    made.auto(*look, code=None)
            assert {request["view"] for request in control.requests} == {"status", "analyze", "episodes", "why"}
            assert not any("say" in request for request in control.requests)
            assert ops(supervisor) == {"list"}
        assert made.trail() == before


def test_looking_without_a_loop_changes_nothing_and_leaves_nothing_behind():
    with rig({SERVICE: 1}, {SERVICE: restart_policy(SERVICE)}) as made:
        made.start_loop()
        made.view()
        assert made.stop_loop() == 0
        sick(made)
        with contextlib.closing(Recorder(made.state / "supervisor.sock")) as supervisor:
            before = contents(made.state)
            for look in LOOKS:
                made.auto(*look, code=None)
            assert contents(made.state) == before
            assert ops(supervisor) == {"list"}
            (made.state / STORE).unlink()  # and where there is no trail, looking makes none
            for look in LOOKS:
                made.auto(*look, code=None)
            assert contents(made.state) == {name: digest for name, digest in before.items() if name != STORE}
        assert made.accepted() == []


@pytest.mark.parametrize("command", [["loop"], ["execute", "--max", "1"]], ids=lambda words: words[0])
def test_a_dry_run_decides_as_always_and_writes_nothing(command):
    with rig({SERVICE: 1}, {SERVICE: restart_policy(SERVICE)}, call_timeout="1s") as made:
        made.start_loop()
        made.view()
        assert made.stop_loop() == 0
        sick(made)
        said = made.log.stat().st_size
        with contextlib.closing(Recorder(made.state / "supervisor.sock")) as supervisor:
            before = contents(made.state)
            made.start_loop(*command, "--dry-run")

            def decided() -> bool:
                text = made.log.read_bytes()[said:]
                return b'"Intent"' in text and b'"Outcome"' in text

            made.until(decided, "it decides")
            made.loop.terminate()
            made.loop.wait(20)
            assert contents(made.state) == before
            assert ops(supervisor) <= READS
            assert made.accepted() == []
            made.start_loop()  # and what is recorded here would have shown it
            made.wait_for(lambda: "apply" in ops(supervisor), "the real loop acts")


@pytest.fixture(scope="module")
def open_house():
    """Everything as a careless person starts it: no umask, by the command line."""
    home = Path(tempfile.mkdtemp(dir="/tmp", prefix="gy"))
    before = os.umask(0)
    environment = os.environ | {"GYROSTAT_STATE": str(home / "state")}
    loop = None

    def auto(*words: str) -> subprocess.CompletedProcess[str]:
        command = [*AUTO, *words]
        return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=True)

    try:
        services = {"name": SERVICE, "command": [sys.executable, "-c", "import time; time.sleep(600)"]}
        text = {"apiVersion": "gyrostat.dev/v1alpha1", "kind": "Services", "services": [services | {"listen": "none"}]}
        (home / "services.yaml").write_text(json.dumps(text))
        auto("local", "up", str(home / "services.yaml"))
        with (home / "log").open("wb") as log:
            loop = subprocess.Popen([*AUTO, "loop", "--interval", "0.1"], cwd=ROOT, env=environment, stderr=log)
        deadline = time.monotonic() + 20
        while '"running": true' not in auto_status(environment) and time.monotonic() < deadline:
            time.sleep(0.1)
        yield home / "state", loop
    finally:
        os.umask(before)
        if loop is not None:
            loop.terminate()
            loop.wait(20)
        auto("local", "down")
        shutil.rmtree(home)


def auto_status(environment: dict[str, str]) -> str:
    command = [*AUTO, "status", "-o", "json"]
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False).stdout


def test_nobody_else_can_read_or_write_the_state_even_without_a_umask(open_house):
    state, _ = open_house
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in [state, *state.iterdir()]}
    assert modes[state.name] == 0o700
    private = {"control.sock", "supervisor.sock", STORE, f"{STORE}-wal", f"{STORE}-shm", "signing.key", "leader.lock"}
    private |= {"effects.jsonl", "supervisor.json"}
    assert {name: oct(modes[name]) for name in private} == dict.fromkeys(private, oct(0o600))


ASK = """
import json, os, socket, sys
os.setgid(65534)
os.setuid(65534)
with socket.socket(socket.AF_UNIX) as connection:
    connection.settimeout(5)
    try:
        connection.connect(sys.argv[1])
        connection.sendall(sys.argv[2].encode() + b"\\n")
    except OSError as error:
        print(type(error).__name__)
    try:
        print(connection.recv(4096).decode())
    except OSError:
        pass
"""


@pytest.mark.parametrize(
    ("name", "request_"),
    [("control.sock", {"say": {"verb": "pause", "why": "x"}}), ("supervisor.sock", {"op": "down", "atOnce": True})],
)
def test_another_user_is_kept_out_by_the_files_and_refused_by_the_server(open_house, name, request_):
    need(os.geteuid() == 0, "needs root, to become another user")
    state, loop = open_house
    path = state / name
    command = [sys.executable, "-S", "-E", "-c", ASK, str(path), json.dumps(request_)]

    def ask() -> str:
        return subprocess.run(command, capture_output=True, text=True, check=True, timeout=20).stdout

    assert "PermissionError" in ask()
    for folder in (state, state.parent):
        folder.chmod(0o755)
    path.chmod(0o666)
    try:
        assert "user 65534 may not use" in ask()
    finally:
        path.chmod(0o600)
        state.chmod(0o700)
        state.parent.chmod(0o700)
    assert loop.poll() is None
    assert not (state / "paused").exists()
    status = json.loads(auto_status(os.environ | {"GYROSTAT_STATE": str(state)}))["data"]
    assert status["remediation"]["paused"] == ""
    assert status["telemetry"]["silent"] == {}


def test_everything_that_listens_listens_on_loopback(open_house):
    state, loop = open_house
    supervisor = psutil.Process(int((state / "supervisor.lock").read_text()))
    family = [psutil.Process(loop.pid), supervisor, *supervisor.children(recursive=True)]
    addresses = [c.laddr.ip for p in family for c in p.net_connections("inet") if c.status == psutil.CONN_LISTEN]
    assert addresses  # the metrics at least
    assert set(addresses) <= {"127.0.0.1", "::1"}


def test_healing_starts_nothing_but_the_service_itself_and_no_shell():
    need(shutil.which("strace"), "needs strace (apt-get install strace)")
    with rig({SERVICE: 1}, {SERVICE: restart_policy(SERVICE)}) as made:
        made.start_loop("loop")
        made.view()
        out = made.state / "strace.txt"
        pids = [word for pid in (made.pid, made.loop.pid) for word in ("-p", str(pid))]
        command = ["strace", "-f", "-qq", "-v", "-s", "200", "-e", "trace=execve,execveat", "-o", str(out), *pids]
        with subprocess.Popen(command, stderr=subprocess.PIPE) as strace:

            def attached() -> bool:
                traced = [Path(f"/proc/{pid}/status").read_text() for pid in (made.pid, made.loop.pid)]
                return strace.poll() is not None or not any("TracerPid:\t0\n" in status for status in traced)

            made.until(attached, "strace to attach")
            need(strace.poll() is None, "needs strace with ptrace of a running process")
            before = made.hang(SERVICE)
            made.wait_for(lambda: made.accepted() and made.well(SERVICE), "it is healed")
            assert made.slots(SERVICE)[0]["incarnation"] != before
            strace.send_signal(signal.SIGINT)
        started = [line for line in out.read_text().splitlines() if "execve" in line and "resumed" not in line]
        worker = f'execve("{sys.executable}", ["{sys.executable}", "-S", "-E", "{WORKER}"'
        launch = f'execve("{sys.executable}", ["{sys.executable}", "-I", "-S", "{LAUNCH}"'  # hands over the sockets
        assert [line for line in started if worker not in line and launch not in line] == []
        assert any(worker in line for line in started)
