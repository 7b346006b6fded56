"""P23, P28: no shell, no code made from data, no template, no address from data, no measured value in an action.

The rules are about code, so they are checked in the code; each is also shown a snippet that breaks it.
"""

import ast
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from .docs import ROOT
from .test_code import MODULES

DEMO = ROOT / "controller" / "demo"
"""The demo breaks and asks services as a person would; no part of the controller imports it but its own command."""

API_SERVER = ROOT / "telemetry" / "sources" / "kubernetes" / "client.py"
"""Asks one API server, which the pod's environment or a person's kubeconfig names, and follows no redirect."""

CODE_FROM_DATA = {"eval", "exec", "compile", "__import__"}
MODULES_OF_CODE_FROM_DATA = {"pickle", "marshal", "shelve", "dill", "code", "runpy"}
TEMPLATES = {"jinja2", "mako", "chevron", "pystache"}
CLIENTS = {"urllib.request", "http.client", "requests", "httpx", "urllib3", "aiohttp", "ftplib", "smtplib", "xmlrpc"}
SHELLS = {
    "os.system",
    "os.popen",
    "subprocess.getoutput",
    "subprocess.getstatusoutput",
    "asyncio.create_subprocess_shell",
}

Rule = Callable[[ast.AST], Iterator[str]]


def _dotted(node: ast.AST) -> str:
    if isinstance(node, ast.Attribute):
        return f"{_dotted(node.value)}.{node.attr}"
    return node.id if isinstance(node, ast.Name) else ""


def _imports(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def _imported(tree: ast.AST, forbidden: set[str]) -> Iterator[str]:
    for name in _imports(tree):
        yield from (bad for bad in forbidden if name == bad or name.startswith(f"{bad}."))


def _calls(tree: ast.AST) -> Iterator[tuple[str, ast.Call]]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            yield _dotted(node.func), node


def shell(tree: ast.AST) -> Iterator[str]:
    """A program is started by a list of arguments only."""
    yield from _imported(tree, SHELLS)
    for name, call in _calls(tree):
        if name in SHELLS:
            yield name
        yield from ("shell=" for word in call.keywords if word.arg == "shell")
        if (
            name.startswith(("subprocess.", "Popen"))
            and call.args
            and isinstance(call.args[0], ast.JoinedStr | ast.Constant)
        ):
            yield f"{name} of one string"


def code_from_data(tree: ast.AST) -> Iterator[str]:
    """No data becomes code."""
    yield from _imported(tree, MODULES_OF_CODE_FROM_DATA)
    yield from (name for name, _ in _calls(tree) if name in CODE_FROM_DATA)
    yield from (name for name, _ in _calls(tree) if name in ("yaml.load", "yaml.unsafe_load", "yaml.full_load"))


def template(tree: ast.AST) -> Iterator[str]:
    """No text with placeholders is filled in from data: `str.format` on a variable is such a template too."""
    yield from _imported(tree, TEMPLATES | {"string.Template"})
    for node in ast.walk(tree):
        if (
            (
                isinstance(node, ast.Call)
                and isinstance(node.func, ast.Attribute)
                and node.func.attr in ("format", "format_map")
            )
            and not isinstance(node.func.value, ast.Constant)
            and _dotted(node.func) != "msgspec.json.format"
        ):
            yield f"{ast.unparse(node.func)}()"


def client(tree: ast.AST) -> Iterator[str]:
    """Nothing opens a URL, but one module that of the API server: probes use sockets that the supervisor made."""
    yield from _imported(tree, CLIENTS)


def measured(tree: ast.AST) -> Iterator[str]:
    """A plan is made from a target, its parameters and the platform's facts: no column, sample or snapshot."""
    yield from _imported(
        tree, {"telemetry.columns", "telemetry.snapshot", "telemetry.processor", "telemetry.inventory.Sample"}
    )


PLANNING = [path for path in MODULES if path.parent == ROOT / "actions"]
RULES: dict[str, tuple[Rule, list[Path]]] = {
    "shell": (shell, MODULES),
    "code from data": (code_from_data, MODULES),
    "template": (template, MODULES),
    "client": (client, [path for path in MODULES if not path.is_relative_to(DEMO) and path != API_SERVER]),
    "measured": (measured, PLANNING),
}


@pytest.mark.parametrize("name", RULES)
def test_no_module_breaks_the_rule(name: str) -> None:
    rule, modules = RULES[name]
    found = {str(p.relative_to(ROOT)): hits for p in modules if (hits := list(rule(ast.parse(p.read_text()))))}
    assert found == {}
    assert len(modules) >= 5


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("shell", "import os\nos.system(f'kill {pid}')"),
        ("shell", "import subprocess\nsubprocess.run(argv, shell=True)"),
        ("shell", "import subprocess\nsubprocess.run(f'kill {pid}')"),
        ("shell", "from os import popen"),
        ("code from data", "eval(text)"),
        ("code from data", "import pickle"),
        ("code from data", "import yaml\nyaml.load(text)"),
        ("template", "from string import Template"),
        ("template", "message.format(**data)"),
        ("client", "from urllib.request import urlopen"),
        ("client", "import http.client"),
        ("measured", "from telemetry.inventory import Facts, Sample"),
        ("measured", "from telemetry.snapshot import Snapshot"),
    ],
)
def test_the_rule_notices(name: str, text: str) -> None:
    assert list(RULES[name][0](ast.parse(text)))


def test_nothing_but_its_own_command_knows_the_demo() -> None:
    users = {
        str(path.relative_to(ROOT))
        for path in MODULES
        if not path.is_relative_to(DEMO) and any(_imported(ast.parse(path.read_text()), {"controller.demo"}))
    }
    assert users == {"controller/cli/commands/start.py"}
