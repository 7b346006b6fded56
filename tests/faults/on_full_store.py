"""F12, run in a mount namespace of its own (`unshare -m`): the state directory on a tmpfs that is full, then freed.

The effect log lies elsewhere, so that it is the controller that must refuse, not the supervisor that cannot log.
"""

import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from controller.core.records import Intent
from tests.faults.matrix import check
from tests.faults.rig import Rig, restart_policy

SERVICE, OTHER = "cart", "search"


def main() -> None:
    outside = Path(tempfile.mkdtemp(dir="/tmp", prefix="gy"))
    rig = Rig({SERVICE: 1, OTHER: 1}, {name: restart_policy(name) for name in (SERVICE, OTHER)})
    try:
        shutil.copytree(rig.state, outside / "state")
        subprocess.run(["mount", "-t", "tmpfs", "-o", "size=640k", "none", str(rig.state)], check=True)
        shutil.copytree(outside / "state", rig.state, dirs_exist_ok=True)
        (rig.state / "effects.jsonl").symlink_to(outside / "effects.jsonl")
        rig.log = outside / "loop.log"
        rig.start()
        for name in rig.services:
            rig.until_ready(1, name)
        rig.start_loop()
        rig.view()
        nothing_starts_and_status_says_why(rig)
        what_was_done_is_recorded_once_there_is_space(rig)
        a_pause_is_obeyed_without_space(rig)
    finally:
        rig.kill_loop()
        rig.ask(op="down", atOnce=True)
        subprocess.run(["umount", "-l", str(rig.state)], check=True)
        shutil.rmtree(rig.state)
        shutil.rmtree(outside)


def fill(rig: Rig) -> None:
    """To the last byte."""
    with (rig.state / "ballast").open("wb", buffering=0) as file:
        for size in (1 << 12, 64):
            try:
                while True:
                    file.write(bytes(size))
            except OSError:
                continue


def free(rig: Rig) -> None:
    (rig.state / "ballast").unlink()


def trouble(rig: Rig) -> str:
    return rig.view()["loop"]["trouble"]


def intents(rig: Rig) -> int:
    return sum(isinstance(record, Intent) for record in rig.records())


def nothing_starts_and_status_says_why(rig: Rig) -> None:
    fill(rig)
    before = (intents(rig), len(rig.accepted()))
    incarnation = rig.hang(SERVICE)
    rig.wait_for(lambda: "no space left" in trouble(rig), "the loop says why")
    time.sleep(1.5)
    assert (intents(rig), len(rig.accepted())) == before, "something was started without a durable intent"
    assert rig.alive()
    said = rig.auto("status", code=3)
    assert "trouble: Full" in said.stdout + said.stderr, said
    free(rig)
    rig.wait_for(lambda: not rig.folded().episodes and rig.well(SERVICE), "it heals unaided")
    assert not trouble(rig)
    assert [effect["before"] for effect in rig.accepted()] == [incarnation]
    check(rig)


def what_was_done_is_recorded_once_there_is_space(rig: Rig) -> None:
    order = rig.order("called Do", how="stop")
    rig.hang(SERVICE)
    rig.wait_for(lambda: rig.fired(order), "a call is made")
    rig.await_stop()
    before = len(rig.accepted())
    fill(rig)
    rig.resume()
    rig.wait_for(lambda: "no space left" in trouble(rig), "the outcome finds no space")
    rig.hang(OTHER)
    time.sleep(1.0)
    assert len(rig.accepted()) == before, "something was started without a durable intent"
    free(rig)
    rig.wait_for(lambda: not rig.folded().episodes and rig.well(SERVICE) and rig.well(OTHER), "it heals unaided")
    assert len(rig.accepted()) == before + 1
    check(rig)


def a_pause_is_obeyed_without_space(rig: Rig) -> None:
    fill(rig)
    rig.auto("pause", "--why", "the disk is full")
    free(rig)
    before = len(rig.accepted())
    rig.hang(SERVICE)
    rig.wait_for(lambda: rig.view()["remediation"]["paused"], "the pause is seen")
    time.sleep(1.0)
    assert len(rig.accepted()) == before, "something was started while paused"
    rig.auto("resume", "--why", "there is space")
    rig.wait_for(lambda: not rig.folded().episodes and rig.well(SERVICE), "it goes on")
    check(rig)


if __name__ == "__main__":
    sys.exit(main())
