"""F27: memory ends while an action is under way, by the kernel's hand or by refusal: nothing is lost, nothing twice."""

import contextlib
import os
import signal
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from tests.faults.lab import Lab, lab
from tests.faults.matrix import check
from tests.faults.rig import restart_policy
from tests.needs import need

SERVICE = "cart"
MIB = 1 << 20
BOUNDARIES = ["committed Do", "called Do"]


@pytest.fixture(scope="module")
def shop():
    with lab({SERVICE: 1}, {SERVICE: restart_policy(SERVICE)}) as made:
        yield made


@contextlib.contextmanager
def memory_group() -> Iterator[tuple[Path, str]]:
    """A control group for memory, and the name of the file of its limit.

    Version 2 holds processes only in groups without enabled children, so the group stands beside our own.
    """
    old, new = Path("/sys/fs/cgroup/memory"), Path("/sys/fs/cgroup")
    version_1 = (old / "memory.limit_in_bytes").exists()
    group = (old if version_1 else new) / f"gyrostat-{os.getpid()}"
    try:
        group.mkdir()
    except OSError as error:
        need(False, f"needs the right to make a memory control group: {error}")
    try:
        name = "memory.limit_in_bytes" if version_1 else "memory.max"
        need((group / name).exists(), "needs the memory controller of control groups")
        yield group, name
    finally:
        group.rmdir()


def begin(made: Lab, at: str) -> str:
    """An action under way, with the loop standing at this boundary; returns what hangs."""
    if not made.alive():
        made.start_loop()
        made.view()
    order = made.order(at, how="stop")
    hung = made.hang(SERVICE)
    made.wait_for(lambda: made.fired(order), f"the loop comes to {at}")
    made.await_stop()
    return hung


def healed(made: Lab) -> bool:
    return not made.folded().episodes and made.well(SERVICE)


def ends_well(made: Lab, hung: str) -> None:
    """It was restarted once and the books agree."""
    made.wait_for(lambda: healed(made), "it is healed")
    made.forget()
    check(made)
    assert [effect["before"] for effect in made.accepted()].count(hung) == 1


ASK = b'{"view": "status", "args": {"x": "' + b"x" * (MIB // 2) + b'"}}\n'


def talk(made: Lab) -> int:
    """Ask much at once, so that the loop needs memory for it; returns how many were not answered."""
    answered = 0
    with contextlib.ExitStack() as stack:
        clients = [stack.enter_context(socket.socket(socket.AF_UNIX)) for _ in range(14)]
        for client in clients:
            client.settimeout(1.0)
            with contextlib.suppress(OSError):
                client.connect(str(made.control))
                client.sendall(ASK)
        for client in clients:
            with contextlib.suppress(OSError):
                answered += client.recv(4096) != b""
    return len(clients) - answered


@pytest.mark.parametrize("at", BOUNDARIES)
def test_an_oom_kill_is_as_any_other_death(shop, at):
    with memory_group() as (group, limit):
        hung = begin(shop, at)
        before = shop.trail()
        (group / "cgroup.procs").write_text(str(shop.loop.pid))
        # what it has already is charged elsewhere: it may have this much more, which a few requests use up
        (group / limit).write_text(str(MIB))
        with contextlib.suppress(OSError):
            (group / "memory.swap.max").write_text("0")
        shop.resume()
        deadline = time.monotonic() + 20
        while shop.alive() and time.monotonic() < deadline:
            talk(shop)
        assert shop.loop.wait(10) == -signal.SIGKILL, shop.said()
    shop.start_loop()
    ends_well(shop, hung)
    assert shop.trail()[: len(before)] == before


@pytest.mark.parametrize("at", BOUNDARIES)
def test_address_space_that_may_not_grow_loses_nothing(shop, at):
    """Where a thread had to be born for an effect or a client, the loop or its socket hung here for ever."""
    hung = begin(shop, at)
    process = shop.process()
    soft, hard = process.rlimit(psutil.RLIMIT_AS)
    process.rlimit(psutil.RLIMIT_AS, (process.memory_info().vms // 2, hard))
    shop.resume()
    end = time.monotonic() + 1.5
    while shop.alive() and time.monotonic() < end:
        talk(shop)
    if shop.alive():
        process.rlimit(psutil.RLIMIT_AS, (soft, hard))
        assert talk(shop) == 0  # and everybody is answered again
    else:
        shop.start_loop()
    ends_well(shop, hung)
    shop.kill_loop()
