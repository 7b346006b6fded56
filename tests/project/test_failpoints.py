"""A released build has no way to switch a failpoint on: boundaries are an argument that only tests give."""

import ast
import inspect
import os
import subprocess
import sys
from pathlib import Path

import pytest

from controller.compose import leading_loop
from controller.executor import no_fault
from controller.loop import Parts
from controller.settings import Keys
from tests.project.docs import ROOT
from tests.project.test_code import MODULES

FORBIDDEN = ("fault.json", "fired.jsonl", "FAILPOINT", "failpoint", "run_loop")
"""What the harness goes by; none of it may stand in the product, nor a name for the same thing."""


def _calls(tree: ast.AST) -> list[ast.Call]:
    return [node for node in ast.walk(tree) if isinstance(node, ast.Call)]


def _name(call: ast.Call) -> str:
    return call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_no_module_hands_over_a_boundary_or_knows_the_harness(path: Path) -> None:
    text = path.read_text()
    found = [word for word in FORBIDDEN if word in text]
    assert not found
    makers = {"leading_loop": 1, "Executor": 3, "Parts": None}
    if path.name == "compose.py":  # passes on what it was given, which by default is nothing
        return
    for call in _calls(ast.parse(text)):
        if _name(call) in makers:
            assert not [word.arg for word in call.keywords if word.arg == "boundary"], ast.unparse(call)
            most = makers[_name(call)]
            assert most is None or len(call.args) <= most, ast.unparse(call)


def test_by_default_a_boundary_does_nothing() -> None:
    assert inspect.signature(leading_loop.__wrapped__).parameters["boundary"].default is no_fault  # type: ignore[attr-defined]
    assert Parts.__dataclass_fields__["boundary"].default is no_fault
    (statement,) = ast.parse(inspect.getsource(no_fault)).body[0].body  # type: ignore[attr-defined]
    assert isinstance(statement, ast.Expr), "nothing but the docstring"
    assert isinstance(statement.value, ast.Constant)


def test_no_setting_and_no_flag_is_about_faults() -> None:
    words = ("fault", "fail_", "boundary", "inject", "kill", "chaos", "debug")
    assert [name for name in Keys.model_fields if any(word in name for word in words)] == []


@pytest.mark.parametrize("variable", ["FAILPOINT", "GYROSTAT_FAILPOINT"])
def test_no_variable_switches_one_on(variable: str, tmp_path: Path) -> None:
    """A loop that is told to die at every boundary by it ends well, or refuses a setting that does not exist."""
    command = [str(Path(sys.executable).with_name("auto")), "--state", str(tmp_path), "loop", "--once", "--otlp", "off"]
    environment = os.environ | {variable: "plan:kill"}
    (tmp_path / "fault.json").write_text('{"id": "1", "at": "plan", "nth": 1, "after": null, "how": "kill"}')
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == (2 if variable.startswith("GYROSTAT_") else 0), done
    assert (tmp_path / "fault.json").exists()
