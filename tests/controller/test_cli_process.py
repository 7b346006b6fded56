"""The installed command line in processes of its own: pipes, signals, locales, and a real loop over real services."""

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from controller.cli.client import view
from telemetry.sources.unix_rpc import call

AUTO = Path(sys.executable).with_name("auto")
POLICY = """
apiVersion: gyrostat.dev/v1alpha1
kind: RemediationPolicy
metadata: {name: restart-hung, namespace: default}
spec:
  mode: Enforce
  targets: {selector: {matchLabels: {app: hello}}}
  when: instances.sick > 0
  for: 500ms
  minConfidencePercent: 0
  action: {type: Restart}
  throttle: {cooldown: 0s}
  verify: {initialDelay: 500ms, within: 20s}
"""


class Done(NamedTuple):
    code: int
    out: str
    err: str


def environment(**extra: str) -> dict[str, str]:
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "TMPDIR") if name in os.environ}
    kept["PATH"] = f"{AUTO.parent}:{kept.get('PATH', '')}"
    return kept | extra


def auto(*words: str, at: Path, **extra: str) -> Done:
    done = subprocess.run(
        [AUTO, *words], cwd=at, env=environment(**extra), capture_output=True, text=True, timeout=60, check=False
    )
    return Done(done.returncode, done.stdout, done.stderr)


def data(*words: str, at: Path) -> dict:
    done = auto("--json", *words, at=at)
    assert "data" in done.out, done
    return json.loads(done.out)["data"]


def seen(name: str, at: Path) -> dict:
    """What the running loop shows, without a process for it; empty while nobody answers."""
    return view(at / ".gyrostat", name) or {}


def until(look: Callable[[], object], within: float = 30.0) -> object:
    """What `look` finds, once it is true."""
    deadline = time.monotonic() + within
    while not (found := look()):
        assert time.monotonic() < deadline, "it did not come"
        time.sleep(0.1)
    return found


def ready(at: Path) -> list[bool]:
    """What the supervisor says of each instance."""
    listing = call(at / ".gyrostat" / "supervisor.sock", {"op": "list"})
    return [slot["ready"] for service in listing["services"] for slot in service["slots"]]


@pytest.fixture
def folder() -> Iterator[Path]:
    """A short path, because sockets lie under it."""
    with tempfile.TemporaryDirectory(dir="/tmp", prefix="cli-") as made:
        yield Path(made)


@pytest.fixture
def services(folder: Path) -> Iterator[Path]:
    """The services that `auto init` writes, running, with short times."""
    assert auto("init", at=folder).code == 0
    file = folder / "services.yaml"
    file.write_text(
        file.read_text().replace("period: 1s, timeout: 1s, failures: 3", "period: 100ms, timeout: 300ms, failures: 2")
    )
    (folder / "policies" / "restart-hung.yaml").write_text(POLICY)
    done = auto("local", "up", "services.yaml", at=folder)
    assert done.code == 0, done
    try:
        until(lambda: all(ready(folder)))
        yield folder
    finally:
        assert auto("local", "down", at=folder).code == 0


@pytest.fixture
def loop(services: Path) -> Iterator[subprocess.Popen[bytes]]:
    with (services / "loop.log").open("wb") as log:
        process = subprocess.Popen(
            [AUTO, "loop", "--policies", "policies", "--interval", "100ms"],
            cwd=services,
            env=environment(GYROSTAT_WARMUP="0"),
            stdout=log,
            stderr=log,
        )
    try:
        until((services / ".gyrostat" / "control.sock").exists)
        until(lambda: seen("status", services))
        yield process
    finally:
        process.terminate()
        assert process.wait(20) == 0, (services / "loop.log").read_text()


def test_help_loads_nothing_heavy(folder):
    """The first screen must be there at once: what it imports is what it costs."""
    script = (
        "import sys\nfrom controller.cli.entry import run\nrun(['--help'])\n"
        "print(sorted({'numpy', 'pydantic', 'rich', 'yaml', 'msgspec', 'sqlite3', 'psutil'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", script], cwd=folder, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"


def test_without_a_loop_status_is_cold_and_says_what_is_unknown(services):
    before = sorted(path.name for path in (services / ".gyrostat").iterdir())
    done = auto("status", "--json", at=services)
    assert done.code == 0, done
    shown = json.loads(done.out)["data"]
    assert [row["health"] for row in shown["targets"]] == ["ok"]
    assert shown["loop"]["running"] is False
    assert done.err.startswith("cold: no loop is running; ")
    assert auto("analyze", at=services).code == 0
    assert auto("why", "hello", at=services).code == 0
    assert sorted(path.name for path in (services / ".gyrostat").iterdir()) == before


def test_a_target_that_does_not_exist_is_suggested_for_cold_and_warm(loop, services):
    done = auto("why", "helo", at=services)
    assert (done.code, done.out) == (1, "")
    assert "no target is called 'helo'; did you mean hello?" in done.err


def test_a_hung_instance_is_seen_held_while_paused_and_healed_after(loop, services):
    rows = [json.loads(line) for line in auto("local", "status", "-o", "jsonl", at=services).out.splitlines()]
    assert auto("pause", "--why", "we look", at=services).code == 0
    os.kill(rows[0]["pid"], signal.SIGSTOP)
    until(lambda: [e for e in seen("episodes", services)["episodes"] if e["held"] == "Paused"])
    status = auto("status", at=services)
    assert status.code == 3
    assert "held: Paused" in status.out
    assert "paused by" in status.out
    assert "held: Paused" in auto("why", "hello", at=services).out
    (decision,) = data("analyze", at=services)["decisions"]
    assert decision["result"] == "held: Paused"
    assert auto("resume", "--why", "seen", at=services).code == 0
    until(lambda: not seen("episodes", services)["episodes"])
    (ended,) = data("episodes", "--all", at=services)["history"]
    assert (ended["result"], ended["success"], ended["action"]) == ("Healed", True, "Restart")
    trail = auto("audit", "list", at=services).out
    assert "said pause: we look" in trail
    assert "restart-hung on default/hello ended: Healed" in trail
    verified = auto("audit", "verify", at=services)
    assert verified.code == 0, verified
    assert "chain without a fault" in verified.out


def test_a_person_scales_and_it_is_lifted_again(loop, services):
    done = auto("act", "scale", "hello", "--by", "+1", "--hold", "1s", "--why", "a sale", at=services)
    assert done.code == 0, done
    until(lambda: seen("status", services)["targets"][0]["desired"] == 3)
    until(lambda: seen("status", services)["targets"][0]["desired"] == 2)
    done = auto("act", "scale", "hello", "--by", "lots", "--why", "a sale", at=services)
    assert done.code == 1
    assert "a step has a sign" in done.err
    done = auto("act", "restart", "chekout", "--why", "x", at=services)
    assert (done.code, "no target is called 'chekout'" in done.err) == (1, True)
    done = auto("ack", "e99", "--why", "x", at=services)
    assert (done.code, "no open episode 'e99'" in done.err) == (1, True)


def test_a_second_loop_is_told_who_leads(loop, services):
    done = auto("loop", "--once", at=services)
    assert done.code == 1
    assert f"process {loop.pid}" in done.err
    assert "leads already" in done.err


def test_execute_heals_once_and_ends(services):
    rows = [json.loads(line) for line in auto("local", "status", "-o", "jsonl", at=services).out.splitlines()]
    os.kill(rows[0]["pid"], signal.SIGSTOP)
    until(lambda: not all(ready(services)))
    words = ("execute", "--max", "1", "--policies", "policies", "--interval", "100ms", "--json")
    done = auto(*words, at=services, GYROSTAT_WARMUP="0")
    assert done.code == 0, done
    assert json.loads(done.out)["data"] == {"started": ["e1"], "open": []}
    assert auto("local", "status", at=services).code == 0


def test_a_dry_run_leaves_no_trail(services):
    done = auto("loop", "--once", "--dry-run", "--policies", "policies", at=services)
    assert done.code == 0, done
    assert not (services / ".gyrostat" / "trail.db").exists()


def test_pause_works_with_the_store_down(folder):
    (folder / ".gyrostat" / "trail.db").mkdir(parents=True)
    done = auto("pause", "--why", "no store", at=folder)
    assert done.code == 0, done
    assert "warning: paused by the flag file only" in done.err
    assert "no store" in (folder / ".gyrostat" / "paused").read_text()
    done = auto("resume", "--why", "go", at=folder)
    assert done.code == 1
    assert "still paused" in done.err


def test_pause_works_where_its_flag_can_not_say_why(folder):
    (folder / ".gyrostat" / "paused").mkdir(parents=True)  # it is there, so it stops; what it is does not matter
    done = auto("pause", "--why", "no flag", at=folder)
    assert done.code == 0, done
    assert "paused stops, but it may not say why" in done.err
    assert "said pause: no flag" in auto("audit", "list", at=folder).out


def test_a_closed_pipe_is_quiet(folder):
    command = f"{AUTO} settings -o yaml | true; echo ${{PIPESTATUS[0]}}"
    done = subprocess.run(
        ["bash", "-c", command], cwd=folder, env=environment(), capture_output=True, text=True, timeout=30, check=True
    )
    assert done.stderr == ""
    assert done.stdout.strip() in ("0", "141")


def test_a_full_output_is_said(folder):
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [AUTO, "settings"],
            cwd=folder,
            env=environment(),
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
    assert done.returncode == 1
    assert done.stderr == "error: the output can not be written: No space left on device\n"


@pytest.mark.parametrize("extra", [{"LC_ALL": "C", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0"}, {"LANG": "C"}])
def test_a_plain_locale_works(folder, extra):
    assert auto("pause", "--why", "Grüße →", at=folder, **extra).code == 0
    done = auto("audit", "list", at=folder, **extra)
    assert done.code == 0, done
    assert "said pause: Gr" in done.out
    assert "said pause: Grüße →" in auto("audit", "list", at=folder).out


def test_no_home_and_no_terminal_work(folder):
    done = subprocess.run(
        [AUTO, "settings"],
        cwd=folder,
        env={"PATH": os.environ["PATH"]},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, b"")


def test_a_damaged_trail_and_a_wrong_policy_are_told_and_nothing_crashes(folder):
    (folder / ".gyrostat").mkdir()
    (folder / ".gyrostat" / "trail.db").write_bytes(b"this is no database" * 1000)
    (folder / "p.yaml").write_text("mode: Enforce\n")
    done = auto("status", at=folder, GYROSTAT_POLICIES="p.yaml")
    assert done.code == 3, done
    assert "trouble: the trail can not be read" in done.out
    assert "policies not in force: p.yaml:1:1" in done.out
    done = auto("analyze", at=folder, GYROSTAT_POLICIES="p.yaml")
    assert done.code == 0, done
    assert "the trail can not be read" in done.err
    for words in (["audit", "list"], ["loop", "--once"], ["audit", "verify"]):
        done = auto(*words, at=folder)
        assert done.code in (1, 3), done
        assert "Traceback" not in done.err
        assert "bug" not in done.err


def test_ctrl_c_ends_a_watch_quietly(services):
    process = subprocess.Popen(
        [AUTO, "status", "-w"], cwd=services, env=environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    assert process.stdout is not None
    process.stdout.readline()
    time.sleep(0.2)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=20)
    assert process.returncode == 130
    assert b"Traceback" not in err


def test_ctrl_c_ends_a_loop_in_order(services):
    process = subprocess.Popen(
        [AUTO, "loop"], cwd=services, env=environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    until((services / ".gyrostat" / "control.sock").exists)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=20)
    assert process.returncode == 0, err
    assert b"Traceback" not in err
    assert not (services / ".gyrostat" / "control.sock").exists()


def test_a_read_only_state_directory_is_told(folder):
    (folder / ".gyrostat").write_text("a file")
    done = auto("loop", "--once", at=folder)
    assert done.code == 1
    assert done.err.count("\n") <= 3
    assert "Traceback" not in done.err
