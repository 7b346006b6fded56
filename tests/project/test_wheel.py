"""What is installed is what is in the rooms: code, schemas, examples and the demo's files, and nothing else."""

import subprocess
import tomllib
import zipfile
from pathlib import Path

import pytest

from tests.needs import need

from .docs import ROOT
from .test_code import ROOMS

UV = ROOT / ".uv" / "bin" / "uv"


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> set[str]:
    """The names of the files in a wheel built from this tree."""
    out = tmp_path_factory.mktemp("dist")
    need(UV.exists(), "needs .uv/bin/uv, which `make` sets up")
    command = [UV, "build", "-q", "--wheel", "--out-dir", out]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=120)
    need(done.returncode == 0, f"needs the build backend, from a cache or the package registry: {done.stderr[-500:]}")
    (built,) = out.glob("*.whl")
    with zipfile.ZipFile(built) as archive:
        return {name for name in archive.namelist() if ".dist-info/" not in name}


def _files(room: str) -> set[str]:
    found = (path for path in (ROOT / room).rglob("*") if path.is_file() and "__pycache__" not in path.parts)
    return {str(path.relative_to(ROOT)) for path in found}


def test_the_wheel_holds_every_file_of_every_room_and_no_other(wheel: set[str]) -> None:
    expected = {name for room in ROOMS for name in _files(room)}
    assert expected - wheel == set()
    assert {name.split("/")[0] for name in wheel} == set(ROOMS)


@pytest.mark.parametrize(
    "name",
    [
        "audit/stores/sqlite/001_journal.sql",
        "controller/cli/examples/services.yaml",
        "controller/cli/examples/policies/restart-hung.yaml",
        "controller/cli/examples/hello.py",
        "controller/demo/files/services.yaml",
        "controller/demo/service.py",
        "telemetry/py.typed",
    ],
)
def test_the_wheel_holds_what_the_program_reads(wheel: set[str], name: str) -> None:
    assert name in wheel


def test_the_commands_are_those_of_the_readme() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    one = "controller.cli:main"
    assert project["project"]["scripts"] == {
        "auto": one,
        "gyrostat": one,
        "kubectl-gyrostat": "controller.cli.plugin:main",  # kubectl finds it by this name on the PATH
    }
    assert project["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"] == list(ROOMS)
    assert Path(ROOT / project["project"]["readme"]).is_file()
