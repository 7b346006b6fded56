"""docs/first-service.md, run as it stands: its files, its commands, a real app with the real OpenTelemetry SDK.

Only the two port numbers are others, so that nothing else on the machine is in the way; and `pip install` is not run.
"""

import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import psutil
import pytest

from tests.needs import need
from tests.project.docs import ROOT, blocks

PAGE = ROOT / "docs" / "first-service.md"
TEXT = PAGE.read_text()
BIN = Path(sys.executable).parent
SEEN = 120.0  # seconds: two windows
LOOK = 2.0  # seconds between two times that a command is typed
HEALED = 200.0  # seconds: `for`, `initialDelay`, and as much again


def files() -> dict[str, str]:
    """Each file of the page by its name, which is the last one that is named before it."""
    found = {}
    lines = TEXT.splitlines()
    for block in blocks(PAGE):
        if block.language in ("python", "yaml"):
            before = "\n".join(lines[: block.line - 1])
            found[re.findall(r"`([\w/-]+\.(?:py|yaml))`", before)[-1]] = block.text
    return found


def commands() -> list[str]:
    """What is typed, block by block."""
    return [block.text for block in blocks(PAGE) if block.language == "sh"]


def packages() -> list[str]:
    """What the page lets a user install."""
    install = re.search(r"^\$ pip install (.+)$", TEXT, re.MULTILINE)
    assert install
    return install[1].split()


def missing() -> list[str]:
    found = []
    for name in packages():
        try:
            version(name)
        except PackageNotFoundError:
            found.append(name)
    return found


class Shell:
    """A terminal in which a user types: what was started with `&` stays a job of it."""

    def __init__(self, folder: Path) -> None:
        environment = {k: v for k, v in os.environ.items() if not k.startswith(("GYROSTAT_", "OTEL_", "PYTEST_"))}
        self._shell = subprocess.Popen(
            ["bash"],
            cwd=folder,
            env=environment | {"PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}", "COLUMNS": "120"},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )

    def type(self, text: str, codes: tuple[str, ...] = ("0",)) -> str:
        """Type it; what is answered until the last command has ended, with one of these codes."""
        assert self._shell.stdin
        assert self._shell.stdout
        mark = f"--{time.monotonic_ns()}--"
        self._shell.stdin.write(f"{text}\necho {mark} $?\n")
        self._shell.stdin.flush()
        said = ""
        for line in self._shell.stdout:
            head, found, code = line.partition(mark)
            said += head
            if found:
                assert code.strip() in codes, said
                return said
        raise AssertionError(said)

    def close(self) -> None:
        for process in psutil.Process(self._shell.pid).children(recursive=True):
            process.kill()
        self._shell.kill()
        self._shell.communicate()


@pytest.fixture
def shell() -> Iterator[Shell]:
    """In a folder with the files of the page."""
    need(not missing(), f"needs {', '.join(missing())} (make installs them)")
    need(shutil.which("curl"), "needs curl (apt-get install curl)")
    with tempfile.TemporaryDirectory(prefix="first-", dir="/tmp") as name:
        folder = Path(name)
        for file, text in files().items():
            (folder / file).parent.mkdir(exist_ok=True)
            (folder / file).write_text(_with_our_ports(text))
        shell = Shell(folder)
        try:
            yield shell
        finally:
            shell.close()
            subprocess.run([BIN / "auto", "local", "down"], cwd=folder, capture_output=True, check=False)
        assert [p for p in psutil.process_iter() if _stands_in(p, folder)] == []


def _stands_in(process: psutil.Process, folder: Path) -> bool:
    try:
        return process.cwd() == str(folder)
    except psutil.Error:
        return False


PORTS: dict[str, str] = {}


def _with_our_ports(text: str) -> str:
    for port in ("4318", "8000"):
        if port not in PORTS:
            with socket.create_server(("127.0.0.1", 0)) as free:
                PORTS[port] = str(free.getsockname()[1])
        text = text.replace(port, PORTS[port])
    return text


def eventually(look: Callable[[], str], within: float, want: str) -> str:
    """What is answered once it matches."""
    deadline = time.monotonic() + within
    while True:
        said = look()
        if re.search(want, said, re.MULTILINE):
            return said
        assert time.monotonic() < deadline, f"/{want}/ was not seen in {within:g} s; the last answer:\n{said}"
        time.sleep(LOOK)


def test_the_page_is_whole() -> None:
    assert list(files()) == ["app.py", "visitor.py", "services.yaml", "policies/restart-failing.yaml"]
    assert len(commands()) == 6
    shown = [block.text for block in blocks(PAGE) if block.language == "text"]
    assert len(shown) == 3


def test_a_new_user_sees_the_service_breaks_it_and_finds_it_healed(shell: Shell) -> None:
    start, status, break_it, why, trail, clean_up = map(_with_our_ports, commands())
    otlp = PORTS["4318"]

    shell.type(f"export GYROSTAT_OTLP=127.0.0.1:{otlp}")  # where the page's 4318 is the default
    shell.type(start)
    well = r"^default/hello +ok +0\.\d+ \w+ +1/1 +\S+ +[1-9][0-9.]* +0% +\S+ +-$"
    said = eventually(lambda: shell.type(status, ("0", "3")), SEEN, well)  # 3: it is not up yet
    assert f"OTLP at http://127.0.0.1:{otlp}: " in said
    assert "no platform lists it" not in said

    assert "every visitor gets an error" in shell.type(break_it)
    said = eventually(lambda: shell.type(why), SEEN, r"^  holds +Pass \(errors\.ratio 0\.\d+\)$")
    assert said.startswith("default/hello is ok\n")  # its probe sees nothing
    assert "default/restart-failing (Enforce)" in said

    said = eventually(lambda: shell.type(trail), HEALED, r"restart-failing on default/hello ended: Healed$")
    for step in ("e1 opened: ", "i1 Do Restart on default/hello", "i1 written", "i1 verified: it helped default/hello"):
        assert step in said
    assert re.search(r"^default/hello +ok +.* 1/1 .* 0% ", shell.type(status), re.MULTILINE)

    shell.type(clean_up)
