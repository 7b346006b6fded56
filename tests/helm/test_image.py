"""The Dockerfile does what it says: its steps are performed in empty directories, and what they make runs.

Docker is not needed: each stage is a directory, and the paths of the image are paths below it.
"""

import json
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, field
from fnmatch import fnmatch
from pathlib import Path

import pytest

from tests.needs import need

from ..project.docs import ROOT  # noqa: TID252 - importlib mode has no package named tests
from .charts import one

BASE = "docker.io/library/python:3.13-slim@sha256:" + "0" * 64
OF_THE_BUILDER = re.compile(r"HOME|PATH|XDG_CACHE_HOME|SSL_\w+|PIP_\w+|UV_(?!PROJECT)\w+|\w+_proxy", re.IGNORECASE)
"""Variables of the machine that builds: its mirrors, caches and certificates."""
IMAGE_PATHS = re.compile(r"(?<![\w/.])(/opt/gyrostat|/src)")


def instructions() -> Iterator[tuple[str, str]]:
    """Each instruction of the Dockerfile with its arguments on one line."""
    text = re.sub(r"\\\n", " ", (ROOT / "Dockerfile").read_text())
    for line in text.splitlines():
        if line.strip() and not line.startswith("#"):
            word, _, rest = line.partition(" ")
            yield word, rest.strip()


def sent(name: str) -> bool:
    """Whether a file of the repository reaches the builder."""
    kept = False
    for line in (ROOT / ".dockerignore").read_text().splitlines():
        pattern = line.lstrip("!")
        if (
            line
            and not line.startswith("#")
            and (fnmatch(name, pattern) or fnmatch(name.split("/", maxsplit=1)[0], pattern))
        ):
            kept = line.startswith("!")
    return kept


@dataclass
class Stage:
    """One stage, performed below a directory."""

    root: Path
    base: str
    workdir: str = "/"
    variables: dict[str, str] = field(default_factory=dict)
    user: str = ""
    entrypoint: list[str] = field(default_factory=list)
    command: list[str] = field(default_factory=list)

    def path(self, name: str) -> Path:
        return self.root / (name if name.startswith("/") else f"{self.workdir}/{name}").lstrip("/")

    def moved(self, text: str) -> str:
        """Paths of the image are below the directory; those of the machine stay."""
        return IMAGE_PATHS.sub(lambda found: f"{self.root}{found[1]}", text)

    def environment(self) -> dict[str, str]:
        kept = {name: value for name, value in os.environ.items() if OF_THE_BUILDER.fullmatch(name)}
        return kept | {name: self.moved(value) for name, value in self.variables.items()}

    def run(self, command: str) -> "subprocess.CompletedProcess[str]":
        folder = self.path(".")
        folder.mkdir(parents=True, exist_ok=True)
        shell = ["sh", "-euc", self.moved(command)]
        return subprocess.run(
            shell, cwd=folder, env=self.environment(), capture_output=True, text=True, check=False, timeout=280
        )

    def copy(self, words: list[str], stages: dict[str, "Stage"]) -> None:
        *sources, target = words
        if sources[0].startswith("--from="):
            other = stages[sources.pop(0).partition("=")[2]]
            for source in sources:
                shutil.copytree(other.path(source), self.path(target), symlinks=True)
            return
        for source in sources:
            assert sent(source), f"{source} is copied, and .dockerignore keeps it from the builder"
            found = ROOT / source
            place = self.path(f"{target}/{source}" if target in ("./", ".") else target)
            place.parent.mkdir(parents=True, exist_ok=True)
            if found.is_dir():
                shutil.copytree(found, place, ignore=shutil.ignore_patterns("__pycache__"))
            else:
                shutil.copy(found, place)


def perform(folder: Path, arguments: dict[str, str]) -> Stage:
    """Every instruction in its order; the last stage."""
    stages: dict[str, Stage] = {}
    stage: Stage | None = None
    for word, rest in instructions():
        if word == "FROM":
            image, _, name = rest.partition(" AS ")
            stage = Stage(folder / (name or "final"), image.replace("${BASE}", arguments["BASE"]))
            stages[name or "final"] = stage
        elif word == "ARG":
            if stage is not None:
                stage.variables[rest] = arguments[rest]
        else:
            assert stage is not None
            step(stage, word, rest, stages)
    assert stage is not None
    return stage


def step(stage: Stage, word: str, rest: str, stages: dict[str, Stage]) -> None:
    match word:
        case "RUN":
            done = stage.run(rest)
            assert done.returncode == 0, f"RUN {rest}\n{done.stdout}{done.stderr}"
        case "COPY":
            stage.copy(rest.split(), stages)
        case "WORKDIR":
            stage.workdir = rest
        case "ENV":
            for pair in rest.split():
                name, _, value = pair.partition("=")
                stage.variables[name] = value.replace("$PATH", os.environ["PATH"])
        case "USER":
            stage.user = rest
        case "ENTRYPOINT":
            stage.entrypoint = json.loads(rest)
        case "CMD":
            stage.command = json.loads(rest)
        case _:
            raise AssertionError(f"{word} is no instruction that this test performs")


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Stage:
    need(shutil.which("python3"), "needs python3")
    return perform(tmp_path_factory.mktemp("image"), {"BASE": BASE})


def auto(image: Stage, *words: str, folder: Path) -> "subprocess.CompletedProcess[str]":
    command = [image.moved(image.entrypoint[0]), *words]
    environment = {"PATH": "/usr/bin:/bin", "HOME": str(folder), **{
        name: value for name, value in image.environment().items() if name.startswith("PYTHON")}}  # fmt: skip
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False, timeout=60)


def test_what_the_steps_make_runs_from_any_folder(image: Stage, tmp_path: Path):
    done = auto(image, "--version", folder=tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("gyrostat ")
    assert "loop" in auto(image, *image.command, "--help", folder=tmp_path).stdout
    assert auto(image, "policy", "list", folder=tmp_path).returncode == 0  # files of the packages are there


def test_it_holds_the_program_and_what_that_needs_and_no_tool_of_its_making(image: Stage):
    (packages,) = image.path("/opt/gyrostat/lib").glob("python3*/site-packages")
    there = {path.name.partition("-")[0] for path in packages.iterdir()}
    assert {"controller", "policies", "actions", "telemetry", "audit", "numpy", "msgspec"} <= there
    assert not there & {"pytest", "mypy", "ruff", "hypothesis", "helm_python", "uv"}
    assert not [path for path in packages.glob("*.pth") if str(ROOT) in path.read_text()]  # nothing leads back here
    assert {path.name for path in image.root.iterdir()} == {"opt"}


def test_it_needs_to_write_nowhere_but_in_its_state(image: Stage, tmp_path: Path):
    before = {path: path.stat().st_mtime_ns for path in image.path("/opt").rglob("*")}
    done = auto(image, "--state", str(tmp_path / "state"), "loop", "--once", "--otlp", "off", folder=tmp_path)
    assert done.returncode == 0, done.stderr
    assert {path: path.stat().st_mtime_ns for path in image.path("/opt").rglob("*")} == before
    assert (tmp_path / "state" / "trail.db").exists()


def test_it_is_run_as_the_user_and_by_the_words_of_the_chart(image: Stage):
    spec = one("Deployment")["spec"]["template"]["spec"]
    security = spec["securityContext"]
    assert image.user == f"{security['runAsUser']}:{security['runAsGroup']}"
    assert "command" not in spec["containers"][0]  # the entry point is the image's
    assert spec["containers"][0]["args"] == image.command


def test_both_stages_are_of_the_one_base_that_is_pinned(tmp_path: Path):
    assert [rest.split()[0] for word, rest in instructions() if word == "FROM"] == ["${BASE}", "${BASE}"]
    assert ("ARG", "BASE") in list(instructions())  # without a default: nobody builds on an image unawares
    checks = next(rest for word, rest in instructions() if word == "RUN")
    for base, fine in ((BASE, True), ("python:3.13-slim", False), ("", False)):
        done = Stage(tmp_path / "check", base, variables={"BASE": base}).run(checks)
        assert (done.returncode == 0) is fine
        assert fine or "must be pinned" in done.stderr


def test_only_what_is_copied_reaches_the_builder():
    copied = [source for word, rest in instructions() if word == "COPY" and "--from" not in rest
              for source in rest.split()[:-1]]  # fmt: skip
    kept = {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    assert kept == set(copied)
    assert not sent("tests/conftest.py")
    assert not sent(".git/config")
