"""Real processes, killed, starved and lied to by the kernel. P17, P18, F2, F12."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from audit.stores.sqlite import SqliteStore
from audit.verify import verify

from ..needs import need  # noqa: TID252  importlib mode has no package named tests
from .journals import NAME, entries

HERE = Path(__file__).parent
WRITER = [sys.executable, str(HERE / "writer.py")]
STRACE = "needs strace with ptrace (apt-get install strace)"


def acknowledged(output: str) -> list[int]:
    return [int(number) for number in re.findall(r"^ack (\d+)$", output, re.MULTILINE)]


def must_hold(path: Path, acks: list[int]) -> None:
    with closing(SqliteStore(path)) as store:
        found = {record.seq for record in store.after(0)}
        assert set(acks) <= found
        head = store.head()[0]
        assert store.append(entries(1), epoch=None) == head + 1  # and it goes on
    report = verify(path)
    assert report.ok, report.problem
    assert report.records == head + 1


def test_what_was_acknowledged_survives_kill_9_in_the_middle_of_appending(tmp_path):
    acks: list[int] = []
    for _ in range(3):
        with subprocess.Popen([*WRITER, str(tmp_path), "100000"], stdout=subprocess.PIPE, text=True) as process:
            lines = [process.stdout.readline() for _ in range(40)]
            process.send_signal(signal.SIGKILL)
            lines.append(process.stdout.read())
        acks += acknowledged("".join(lines))
        assert process.returncode == -signal.SIGKILL
    assert len(acks) >= 3 * 39
    assert acks == sorted(set(acks))
    must_hold(tmp_path / NAME, acks)


def strace(*arguments: str) -> list[str]:
    need(shutil.which("strace"), STRACE)
    probe = subprocess.run(["strace", "-o", "/dev/null", "true"], check=False, capture_output=True)
    need(probe.returncode == 0, STRACE)
    return ["strace", "-f", "-qq", *arguments]


@pytest.mark.parametrize("nth", [1, 2, 3, 4, 5, 6, 7, 9, 12, 17, 23, 31, 40, 60])
def test_what_was_acknowledged_survives_kill_9_at_each_sync(tmp_path, nth):
    trace = strace(
        "-o",
        str(tmp_path / "trace"),
        "-e",
        "trace=fdatasync,fsync",
        "-e",
        f"inject=fdatasync,fsync:signal=KILL:when={nth}",
    )
    run = subprocess.run([*trace, *WRITER, str(tmp_path / "state"), "100"], check=False, capture_output=True, text=True)
    assert run.returncode in (-signal.SIGKILL, 128 + signal.SIGKILL), run.stderr
    acks = acknowledged(run.stdout)
    assert len(acks) >= nth - 20
    must_hold(tmp_path / "state" / NAME, acks)


def test_the_log_is_synced_before_an_append_returns(tmp_path):
    SqliteStore(tmp_path / NAME).close()
    trace = strace("-y", "-s", "64", "-o", str(tmp_path / "trace"), "-e", "trace=pwrite64,fdatasync,fsync,write")
    run = subprocess.run([*trace, *WRITER, str(tmp_path), "20"], check=True, capture_output=True, text=True)
    assert len(acknowledged(run.stdout)) == 20
    unsynced, acks, writes = False, 0, 0
    for line in (tmp_path / "trace").read_text().splitlines():
        if "-wal>" in line and "pwrite64" in line:
            unsynced, writes = True, writes + 1
        elif "-wal>" in line and "sync(" in line:
            unsynced = False
        elif '"ack ' in line:
            acks += 1
            assert not unsynced, f"acknowledged before it was synced: {line}"
    assert acks == 20
    assert writes >= 20


FAILING = """
import sys
from pathlib import Path
from audit.journal import Entry, Full, JournalError
from audit.stores.sqlite import SqliteStore
store = SqliteStore(Path(sys.argv[1]) / "trail.db")
for number in range(40):
    try:
        print("ack", store.append([Entry(1.0, "a", "k", "s", b"x")], epoch=None), flush=True)
    except JournalError as error:
        print("refused", type(error).__name__, store._connection is None, error, flush=True)
"""


@pytest.mark.parametrize(
    ("call", "error", "kind", "closed"),
    [
        ("fdatasync", "EIO", "Unavailable", True),
        ("pwrite64", "EIO", "Unavailable", True),
        ("pwrite64", "EROFS", "Unavailable", True),
        ("pwrite64", "ENOSPC", "Full", False),
    ],
)
def test_an_io_error_refuses_one_append_closes_the_connection_and_the_process_goes_on(
    tmp_path, call, error, kind, closed
):
    SqliteStore(tmp_path / NAME).close()
    script = tmp_path / "script.py"
    script.write_text(FAILING)
    trace = strace("-o", str(tmp_path / "trace"), "-e", f"trace={call}", "-e", f"inject={call}:error={error}:when=25")
    run = subprocess.run(
        [*trace, sys.executable, str(script), str(tmp_path)], check=True, capture_output=True, text=True
    )
    refused = [line for line in run.stdout.splitlines() if line.startswith("refused")]
    assert len(refused) == 1, run.stdout
    assert refused[0].startswith(f"refused {kind} {closed} {tmp_path / NAME}")
    assert len(acknowledged(run.stdout)) == 39
    must_hold(tmp_path / NAME, acknowledged(run.stdout))


def test_a_full_disk_refuses_whole_appends_and_works_again_once_there_is_space(tmp_path):
    need(shutil.which("unshare"), "needs unshare (util-linux)")
    mounted = ["unshare", "-m", "sh", "-c", 'mount -t tmpfs -o size=640k none "$0" && exec "$@"', str(tmp_path)]
    probe = subprocess.run([*mounted, "true"], check=False, capture_output=True)
    need(probe.returncode == 0, "needs the right to mount a tmpfs in a mount namespace (root)")
    run = subprocess.run(
        [*mounted, sys.executable, str(HERE / "on_full_disk.py"), str(tmp_path)],
        check=True,
        capture_output=True,
        text=True,
    )
    found = json.loads(run.stdout)
    assert "no space left" in found["refusal"]
    assert found["acknowledged"] >= 21
    assert found["head"] == found["acknowledged"] + 1  # the second entry of the last whole append
    assert found["claims"] == found["head"] // 2
    assert (found["exported before"], found["checkpoint"], found["torn bytes"]) == (False, "full", 0)
    assert found["after"] == found["head"] + 1
    assert (found["records"], found["problem"]) == (found["head"] + 2, "")


def test_two_processes_append_to_one_chain_at_once(tmp_path):
    count = 150
    both = [
        subprocess.Popen([*WRITER, str(tmp_path), str(count), name], stdout=subprocess.PIPE, text=True)
        for name in ("a", "b")
    ]  # both also make the journal: one does
    acks = []
    for process in both:
        output, _ = process.communicate(timeout=60)
        assert process.returncode == 0
        acks.append(acknowledged(output))
    assert sorted(acks[0] + acks[1]) == list(range(1, 2 * count + 1))
    with closing(SqliteStore(tmp_path / NAME)) as store:
        actors = [record.actor for record in store.after(0)]
    assert (actors.count("a"), actors.count("b")) == (count, count)
    assert verify(tmp_path / NAME).ok


def test_a_power_cut_loses_no_acknowledged_record(tmp_path):
    """An ext4 file system is shut down without flushing its log: what was not synced is gone."""
    need(
        os.geteuid() == 0 and shutil.which("mkfs.ext4") and Path("/dev/loop-control").exists(),
        "needs root, e2fsprogs and loop devices",
    )
    image, mount = tmp_path / "image", tmp_path / "mount"
    mount.mkdir()
    run = subprocess.run(
        [
            "unshare",
            "-m",
            sys.executable,
            str(HERE / "on_power_cut.py"),
            str(image),
            str(mount),
            str(HERE / "writer.py"),
        ],
        check=False,
        capture_output=True,
        text=True,
    )
    need(run.returncode != 77, f"needs the right to loop-mount ext4: {run.stderr.strip()[-200:]}")
    assert run.returncode == 0, run.stderr
    found = json.loads(run.stdout.splitlines()[-1])
    assert found["acknowledged"] >= 50
    assert found["lost"] == []
    assert found["unsynced survived"] is False  # else nothing was cut
    assert found["problem"] == ""


def test_a_file_system_that_goes_read_only_is_named_and_its_return_is_noticed(tmp_path):
    need(
        os.geteuid() == 0 and shutil.which("mkfs.ext4") and Path("/dev/loop-control").exists(),
        "needs root, e2fsprogs and loop devices",
    )
    image, mount = tmp_path / "image", tmp_path / "mount"
    mount.mkdir()
    script = [sys.executable, str(HERE / "on_read_only.py"), str(image), str(mount)]
    run = subprocess.run(["unshare", "-m", *script], check=False, capture_output=True, text=True)
    need(run.returncode != 77, f"needs the right to break a loop-mounted ext4: {run.stderr.strip()[-200:]}")
    assert run.returncode == 0, run.stderr
    found = json.loads(run.stdout.splitlines()[-1])
    first, *refused, last = found["said"]
    assert (first, last) == (1, 2)
    assert len(refused) == 3
    for words in refused:
        assert re.match(rf"ReadOnly: {mount}/state/trail.db can not be (written|used).*read-only", words, re.IGNORECASE)
    assert found["problem"] == ""
