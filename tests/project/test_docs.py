"""Docs are written from the code where they can be, and checked against it everywhere else."""

import re
import sys
from collections.abc import Mapping
from pathlib import Path

from controller.core.follow_up import TABLE

ROOT = Path(__file__).parents[2]


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


GENERATED: Mapping[str, tuple[str, object]] = {"docs/concepts.md": ("follow_up table", follow_up_table)}


def _with_block(text: str, name: str, block: str) -> str:
    head, rest = text.split(f"<!-- {name}: begin", 1)
    mark, rest = rest.split("-->\n", 1)
    tail = rest.split(f"<!-- {name}: end -->", 1)[1]
    return f"{head}<!-- {name}: begin{mark}-->\n{block}\n<!-- {name}: end -->{tail}"


def test_the_table_in_the_docs_is_the_table_in_the_code() -> None:
    for file, (name, render) in GENERATED.items():
        text = (ROOT / file).read_text()
        assert _with_block(text, name, render()) == text, f"run: python -m tests.project.test_docs --write ({file})"


def test_every_link_between_docs_leads_somewhere() -> None:
    pages = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
    links = [(page, link) for page in pages for link in re.findall(r"\]\(([^)#:\s]+)(?:#[^)]*)?\)", page.read_text())]
    assert [f"{page.name}: {link}" for page, link in links if not (page.parent / link).exists()] == []


if __name__ == "__main__" and "--write" in sys.argv:
    for file, (name, render) in GENERATED.items():
        path = ROOT / file
        path.write_text(_with_block(path.read_text(), name, render()))
