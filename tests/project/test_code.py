"""How the code is built: small modules and functions, layers in one direction, typed and documented."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from .docs import ROOT

ROOMS = ("telemetry", "actions", "policies", "audit", "controller")
MODULES = [path for room in ROOMS for path in sorted((ROOT / room).rglob("*.py"))]
LINES, BODY, PARAMETERS = 400, 40, 6

Function = ast.FunctionDef | ast.AsyncFunctionDef

PARAMETERS_ARE_FLAGS = ("controller/cli/",)
"""Where a function's parameters are the options of a command: typer reads them from its signature."""


def _name(path: Path) -> str:
    return str(path.relative_to(ROOT))


def _functions(path: Path) -> Iterator[Function]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, Function):
            yield node


def _parameters(function: Function) -> int:
    """How many a caller may have to think of; `self` and `cls` are none."""
    of = function.args
    names = [arg.arg for arg in (*of.posonlyargs, *of.args, *of.kwonlyargs)]
    return len([name for name in names if name not in ("self", "cls")])


def test_there_is_code_to_look_at() -> None:
    assert len(MODULES) > 80


def test_no_module_is_long() -> None:
    lengths = {_name(path): len(path.read_text().splitlines()) for path in MODULES}
    assert {name: length for name, length in lengths.items() if length > LINES} == {}


def test_most_modules_are_short() -> None:
    lengths = sorted(len(path.read_text().splitlines()) for path in MODULES)
    assert lengths[len(lengths) // 2] <= 150


def _body(function: Function) -> int:
    """Lines from `def` to the end, without the docstring: it is not what makes a function hard to follow."""
    assert function.end_lineno is not None
    lines = function.end_lineno - function.lineno + 1
    first = function.body[0]
    if ast.get_docstring(function) is not None and first.end_lineno is not None:
        lines -= first.end_lineno - first.lineno + 1
    return lines


def test_no_function_is_long() -> None:
    found = {f"{_name(p)}:{f.lineno} {f.name}": _body(f) for p in MODULES for f in _functions(p) if _body(f) > BODY}
    assert found == {}


def test_no_function_takes_many_parameters() -> None:
    found = {
        f"{_name(path)}:{function.lineno} {function.name}": _parameters(function)
        for path in MODULES
        if not _name(path).startswith(PARAMETERS_ARE_FLAGS)
        for function in _functions(path)
        if _parameters(function) > PARAMETERS
    }
    assert found == {}


def test_every_module_says_what_it_is_for() -> None:
    assert [_name(path) for path in MODULES if not ast.get_docstring(ast.parse(path.read_text()))] == []


@pytest.mark.parametrize("room", ROOMS)
def test_every_room_is_typed(room: str) -> None:
    assert (ROOT / room / "py.typed").is_file()
    assert (ROOT / room / "__init__.py").is_file()


def test_every_test_folder_is_a_package() -> None:
    """Else pytest could take one of them for a room of the same name."""
    folders = {path.parent for path in (ROOT / "tests").rglob("*.py")}
    assert [_name(folder) for folder in sorted(folders) if not (folder / "__init__.py").exists()] == []


def test_the_rooms_import_in_one_direction_only() -> None:
    tool = Path(sys.executable).parent / "lint-imports"
    done = subprocess.run([tool, "--no-cache"], cwd=ROOT, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stdout[-4000:]
    assert "0 broken" in done.stdout


def test_nothing_is_left_to_do_later() -> None:
    marks = ("TO" + "DO", "FIX" + "ME", "XX" + "X", "NotImplemented" + "Error")
    found = [f"{_name(path)}: {mark}" for path in MODULES for mark in marks if mark in path.read_text()]
    assert found == []
