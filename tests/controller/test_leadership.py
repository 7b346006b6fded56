import contextlib
import os
import re
import signal
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from controller.leadership import LOCK, AlreadyLeading, acquire

LEADER = """
import sys, time
from pathlib import Path
from controller.leadership import acquire
held = acquire(Path(sys.argv[1]))
print("leads", flush=True)
time.sleep(60)
"""


@contextlib.contextmanager
def another_leader(directory: Path):
    with subprocess.Popen([sys.executable, "-c", LEADER, str(directory)], stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout.readline() == "leads\n"
            yield process
        finally:
            process.kill()


def test_one_process_leads_and_the_other_is_told_who_and_what_to_do(tmp_path):
    with another_leader(tmp_path) as leader:
        with pytest.raises(AlreadyLeading) as refusal:
            acquire(tmp_path)
        assert (refusal.value.pid, refusal.value.path) == (leader.pid, tmp_path / LOCK)
        assert re.fullmatch(
            rf"process {leader.pid} \(started \d{{4}}-\d\d-\d\dT\d\d:\d\d:\d\d\+00:00\) leads already with this state "
            rf"directory \({tmp_path / LOCK}\): stop it first \(kill {leader.pid}\), "
            r"or give this one a --state of its own",
            str(refusal.value),
        )


def test_the_lock_dies_with_its_process_however_it_dies(tmp_path):
    with another_leader(tmp_path) as leader:
        leader.send_signal(signal.SIGKILL)
        leader.wait()
        acquire(tmp_path).close()


def test_a_paused_leader_still_holds_the_lock(tmp_path):
    with another_leader(tmp_path) as leader:
        leader.send_signal(signal.SIGSTOP)
        with pytest.raises(AlreadyLeading):
            acquire(tmp_path)


def test_a_child_that_outlives_its_parent_does_not_keep_the_lock(tmp_path):
    held = acquire(tmp_path)
    with subprocess.Popen(["sleep", "60"], close_fds=False) as child:
        try:
            held.close()
            acquire(tmp_path).close()
        finally:
            child.kill()


def test_letting_go_twice_is_fine_and_one_process_holds_it_once(tmp_path):
    with contextlib.closing(acquire(tmp_path)) as held:
        assert held.path == tmp_path / LOCK
        with pytest.raises(AlreadyLeading) as refusal:
            acquire(tmp_path)
        assert refusal.value.pid == os.getpid()
        held.close()
        acquire(tmp_path).close()


def test_the_file_is_for_its_owner_only_and_the_directory_is_made(tmp_path):
    with contextlib.closing(acquire(tmp_path / "a" / "b")) as held:
        assert stat.S_IMODE(held.path.stat().st_mode) == 0o600
        assert held.path.read_text().splitlines()[0] == str(os.getpid())


def test_a_lock_that_has_just_been_taken_is_named_without_a_pid(tmp_path):
    with contextlib.closing(acquire(tmp_path)) as held:
        os.truncate(held.path, 0)
        with pytest.raises(AlreadyLeading, match=r"^another process leads already .*: stop it first, or give"):
            acquire(tmp_path)


def test_whoever_removes_the_file_makes_no_lock_that_nobody_sees(tmp_path):
    """The lock that counts is that of the file at the path."""
    first = acquire(tmp_path)
    (tmp_path / LOCK).unlink()
    with contextlib.closing(first), contextlib.closing(acquire(tmp_path)), pytest.raises(AlreadyLeading):
        acquire(tmp_path)


def test_two_state_directories_have_two_leaders(tmp_path):
    with contextlib.closing(acquire(tmp_path / "a")), contextlib.closing(acquire(tmp_path / "b")):
        pass
