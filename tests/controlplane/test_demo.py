"""The demo of the operator, run as a person runs it: what it says is what happened, and it leaves nothing behind."""

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

from tests.needs import need
from tests.project.docs import ROOT, blocks

from .build import missing
from .demo import STEPS

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(900)]
COMMAND = [sys.executable, "-m", "tests.controlplane", "demo"]
WITHIN = 600.0  # seconds on a busy machine; two minutes on an idle one
INTENT = r"\w{8}-i\d+"
POD = r"[\w-]+"

LINES = [  # in this order; what stands between them changes from run to run
    rf"✓ it has the token of pod gyrostat-{POD}",
    r"✓ the API server says no: it may evict nothing there",
    r"· its status in the cluster: CrashLoopBackOff, restarts: \d",
    r"held sick on shop/checkout: Mode \(the mode is Observe\)",
    rf"plan Restart: restart instance checkout-{POD}",
    r"✓ it would evict that pod and no other",
    r"✓ nothing was done: no write in the API server's audit log, every pod is the one it was",
    r"\$ helm upgrade gyrostat ./helm -n gyrostat-system --reuse-values --set 'mayAct.shop=\{Restart,Scale\}'",
    r"✓ the API server says yes: it may, in this namespace",
    rf"i1 Do Restart on shop/checkout: restart instance checkout-{POD}",
    r"sick on shop/checkout ended: Healed",
    rf"✓ 3 pods are ready: checkout-{POD} is new, the 2 others are those that they were",
    rf"✓ the API server's audit log agrees: create pods/eviction checkout-{POD}, for i1",
    r"bad-revision on shop/payment ended: NeedsHuman",
    r"✓ the Deployment says the same: its revision is 2, and kubectl-set wrote it",
    r"held sick on shop/payment: RolloutInProgress",
    r"✓ no pod was touched: nothing was written, the 2 old pods are ready",
    r"i3 Do Scale on shop/search: instances 2 → 3",
    r"overload on shop/search ended: Healed",
    r"✓ the API server's audit log agrees: patch deployments/scale search, for i3 and i4",
    r"✓ 2 pods became 3, and after the hold 2 again",
    r"shop/bad-revision: 1 needs a person",
    r"records chain without a fault",
    rf"{INTENT} 201 create pods/eviction checkout-{POD}",
    rf"{INTENT} 200 patch deployments/scale search",
    r"✓ the 3 intents of the trail are the 3 writes of the API server's audit log",
]


@contextmanager
def playing(temporary: Path) -> Iterator["subprocess.Popen[str]"]:
    """The demo, with its files in a folder of the test's; nothing of it may be left when it has ended."""
    why = missing()
    need(not why, why)
    environment = os.environ | {"TMPDIR": str(temporary), "PYTHONUNBUFFERED": "1"}
    process = subprocess.Popen(COMMAND, cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True)
    try:
        yield process
    finally:
        process.kill()
        process.wait()
    assert [*temporary.iterdir()] == []
    left = [p for p in psutil.process_iter(["environ"]) if (p.info["environ"] or {}).get("TMPDIR") == str(temporary)]
    assert left == []


def until(process: "subprocess.Popen[str]", said: str) -> str:
    """What it said, as soon as it said this."""
    seen = ""
    assert process.stdout is not None
    for line in process.stdout:
        seen += line
        if said in line:
            return seen
    raise AssertionError(f"it ended without {said!r}:\n{seen}")


def ended(process: "subprocess.Popen[str]") -> tuple[str, int]:
    """The rest of what it says, and its exit code."""
    out, _ = process.communicate(timeout=WITHIN)
    return out, process.returncode


def test_what_it_tells_happens_from_the_first_line_to_the_last(tmp_path: Path) -> None:
    with playing(tmp_path) as process:
        out, code = ended(process)
    assert code == 0, out
    assert "✗" not in out
    said, at = re.sub(r"\s+", " ", out), 0
    for pattern in LINES:
        found = re.compile(pattern).search(said, at)
        assert found, f"{pattern!r} does not come after {said[max(0, at - 200) : at]!r} in\n{out}"
        at = found.end()
    assert [line[3:] for line in out.splitlines() if re.match(r"\d  ", line)] == [says for _, says, _ in STEPS]


def test_the_page_shows_what_it_says() -> None:
    (shown,) = [b.text for b in blocks(ROOT / "docs" / "kubernetes.md") if "make demo-kubernetes" in b.text]
    headings = [says for _, says, _ in STEPS]
    shows = [line[3:] for line in shown.splitlines() if re.match(r"\d  ", line)]
    assert [says for says in headings if says in shows] == shows != []
    ticks = [line.strip() for line in shown.splitlines() if line.strip().startswith("✓")]
    assert len(ticks) > 5
    assert [tick for tick in ticks if not any(re.fullmatch(pattern, tick) for pattern in LINES)] == []


def test_ctrl_c_ends_it_and_all_that_it_started(tmp_path: Path) -> None:
    with playing(tmp_path) as process:
        until(process, "it has the token")
        process.send_signal(signal.SIGINT)
        out, code = ended(process)
    assert code == 128 + signal.SIGINT
    assert "stopped by SIGINT" in out


def test_what_does_not_happen_is_said_with_what_was_seen_and_the_exit_code(tmp_path: Path) -> None:
    with playing(tmp_path) as process:
        until(process, "$ kubectl apply -f sick.yaml")
        (loop,) = [p for p in psutil.Process(process.pid).children() if p.cmdline()[-1:] == ["loop"]]
        loop.kill()
        out, code = ended(process)
    assert code == 1
    assert "✗ step 2 (watch) did not end as it must" in out
    assert "seen: the controller ended with -9" in out


def test_without_its_programs_it_says_what_to_install_and_starts_nothing(tmp_path: Path) -> None:
    environment = os.environ | {"PATH": str(tmp_path), "TMPDIR": str(tmp_path), "XDG_CACHE_HOME": str(tmp_path)}
    done = subprocess.run(COMMAND, cwd=ROOT, env=environment, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 2
    assert done.stdout == ""
    assert [line.split()[1] for line in done.stderr.splitlines()] == ["openssl", "setpriv", "Go"]
    assert [*tmp_path.iterdir()] == []
