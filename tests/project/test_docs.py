"""Docs are written from the code where they can be, and checked against it everywhere else."""

import math
import os
import re
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from actions.platforms.local import services
from actions.reason import Reason
from controller.core.follow_up import TABLE
from controller.core.guards import GUARDS
from policies.load import load_files
from telemetry.columns import COLUMNS
from telemetry.expression import ExpressionError, compile_condition
from telemetry.signals.load import builtin

from .docs import PAGES, ROOT, Block, blocks
from .test_commands import commands

BLOCKS = [block for page in PAGES for block in blocks(page) if block.language == "yaml"]


def follow_up_table() -> str:
    """The follow-up table as a diagram and a table."""
    lines = ["```mermaid", "stateDiagram-v2", "    [*] --> Open: when holds for as long as `for`"]
    lines += ["    Open --> Acting: every guard passes / Intent Do", "    Acting --> Written: Outcome"]
    lines += ["    Written --> Verifying: Outcome Pass of a Do, Release or Redo"]
    for row in TABLE:
        if row.then != "-":
            lines.append(f"    {row.place} --> {_next(row.then)}: {row.when} / {row.then}")
    lines += ["```", "", "| where it stands | case | what is recorded |", "|---|---|---|"]
    lines += [f"| {row.place} | {row.when} | {'waits' if row.then == '-' else row.then} |" for row in TABLE]
    return "\n".join(lines)


def _next(then: str) -> str:
    if then.startswith("Closed"):
        return "Over" if "NeedsHuman" in then else "[*]"
    return {"Passed": "Holding", "Failed": "Open"}.get(then.split(",", 1)[0], "Acting")


def command_table() -> str:
    """Every command with what it takes and what its help says."""
    lines = ["| command | takes | does |", "|---|---|---|"]
    lines += [f"| `{name}` | {_takes(command)} | {command.get_short_help_str(200)} |" for name, command in commands()]
    return "\n".join(lines)


def _takes(command: Any) -> str:
    options = [param for param in command.params if param.opts[0].startswith("-")]
    arguments = [str(param.metavar).strip("[]") for param in command.params if param not in options]
    flags = [max(option.opts, key=len) for option in options]
    return " ".join(f"`{name}`" for name in (*arguments, *flags)) or "-"


def column_table() -> str:
    """Every column that a condition can read."""
    lines = ["| column | type | unit | meaning | unknown after |", "|---|---|---|---|---|"]
    for spec in COLUMNS.values():
        stale = "never" if math.isinf(spec.stale_after) else f"{spec.stale_after:g} s"
        unit = spec.unit if spec.unit not in ("", "1") else "-"
        lines.append(f"| `{spec.name}` | {spec.kind} | {unit} | {spec.meaning} | {stale} |")
    return "\n".join(lines)


GENERATED: Mapping[tuple[str, str], Callable[[], str]] = {
    ("docs/concepts.md", "follow_up table"): follow_up_table,
    ("docs/operations.md", "commands"): command_table,
    ("docs/expressions.md", "columns"): column_table,
}


def _with_block(text: str, name: str, block: str) -> str:
    head, rest = text.split(f"<!-- {name}: begin", 1)
    mark, rest = rest.split("-->\n", 1)
    tail = rest.split(f"<!-- {name}: end -->", 1)[1]
    return f"{head}<!-- {name}: begin{mark}-->\n{block}\n<!-- {name}: end -->{tail}"


def test_the_tables_in_the_docs_are_those_of_the_code() -> None:
    for (file, name), render in GENERATED.items():
        text = (ROOT / file).read_text()
        assert _with_block(text, name, render()) == text, f"run: python -m tests.project.test_docs --write ({file})"


def test_every_link_between_docs_leads_somewhere() -> None:
    links = [(page, link) for page in PAGES for link in re.findall(r"\]\(([^)#:\s]+)(?:#[^)]*)?\)", page.read_text())]
    assert [f"{page.name}: {link}" for page, link in links if not (page.parent / link).exists()] == []


def _anchors(page: Path) -> set[str]:
    """The anchors of a page's headings, as GitHub makes them."""
    heads = re.findall(r"^#+ (.+)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", head.lower()).replace(" ", "-") for head in heads}


def test_every_link_to_a_heading_finds_it() -> None:
    links = [(page, *link) for page in PAGES for link in re.findall(r"\]\(([^)#:\s]*)#([^)]+)\)", page.read_text())]
    lost = [
        f"{page.name}: {file}#{anchor}"
        for page, file, anchor in links
        if anchor not in _anchors(page.parent / file if file else page)
    ]
    assert lost == []


def _of_kind(kind: str) -> list[Block]:
    return [block for block in BLOCKS if re.search(rf"^kind: {kind}", block.text, re.MULTILINE)]


@pytest.mark.parametrize("block", _of_kind("(Cluster)?RemediationPolicy"), ids=lambda b: f"{b.page}:{b.line}")
def test_every_policy_in_the_docs_loads(block: Block, tmp_path: Path) -> None:
    path = tmp_path / "example.yaml"
    path.write_text(block.text)
    assert load_files([path]).problems == ()


@pytest.mark.parametrize("block", _of_kind("Services"), ids=lambda b: f"{b.page}:{b.line}")
def test_every_services_file_in_the_docs_loads(block: Block, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    beside = str(Path(sys.executable).parent)  # docs/first-service.md runs a program of this environment
    monkeypatch.setenv("PATH", f"{beside}{os.pathsep}{os.environ['PATH']}")
    path = tmp_path / "services.yaml"
    path.write_text(block.text)
    assert services.load(path)


EXPRESSIONS = [block for block in blocks(ROOT / "docs" / "expressions.md") if not block.language]


@pytest.mark.parametrize("source", EXPRESSIONS[0].text.splitlines())
def test_every_condition_in_the_docs_compiles(source: str) -> None:
    assert compile_condition(source, signals=builtin().derived).columns


def test_the_error_in_the_docs_is_the_one_that_is_told() -> None:
    shown = EXPRESSIONS[1].text
    source = shown.splitlines()[1].removeprefix("  | ")
    with pytest.raises(ExpressionError) as told:
        compile_condition(source)
    assert str(told.value).strip() == shown.strip()


def test_no_yaml_in_the_readme_goes_unread() -> None:
    pages = [block.page for kind in ("RemediationPolicy", "Services") for block in _of_kind(kind)]
    assert [b for b in BLOCKS if b.page == "README.md" and b.page not in pages] == []
    assert "README.md" in pages


def test_every_reason_is_explained_in_one_row_and_every_guard_is_named() -> None:
    section = (ROOT / "docs" / "actions.md").read_text().split("## Why nothing happens")[1].split("\n## ")[0]
    rows = re.findall(r"^\| `(\w+)` \| (.*?) \| .+ \| .+ \|$", section, re.MULTILINE)
    assert sorted(name for name, _ in rows) == sorted(reason.value for reason in Reason)
    assert {guard for _, guards in rows for guard in re.findall(r"`(\w+)`", guards)} >= set(GUARDS)


def test_no_page_names_a_file_that_does_not_exist() -> None:
    named = [
        (page, name)
        for page in PAGES
        for name in re.findall(r"`((?:[a-z_]+/)+[\w.]+\.(?:py|yaml|sql))`", page.read_text())
    ]
    assert [f"{page.name}: {name}" for page, name in named if not (ROOT / name).exists()] == []


if __name__ == "__main__" and "--write" in sys.argv:
    for (file, name), render in GENERATED.items():
        path = ROOT / file
        path.write_text(_with_block(path.read_text(), name, render()))
