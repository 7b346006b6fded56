"""docs/mutation.md from the results of a run."""

import json
from collections import Counter, defaultdict
from collections.abc import Collection
from pathlib import Path

from tests.mutation.survivors import reason

KILLED = ("killed", "timeout")
LEFT_OUT = "impossible"
"""Of a mutant that is no program, e.g. because it would need another closure."""
PAGE = Path("docs/mutation.md")
HEAD = """# Mutation check

What the tests of the two rooms that must not be wrong are worth: in the decision (`controller/core`) and the journal
(`audit`) one mistake after the other is made (a condition turned round or left out, a bound moved by one, a call or an
assignment dropped, a keyword left away, another member of an enum), and the tests that run through that line are run,
the quickest first, until one fails. Each mutant is a fork of one pytest process in which everything is collected; only
the code of one function is another, so tests that start processes of their own see no mutant in them. Constants of
modules, defaults of parameters and texts for people are not changed.

    python -m tests.mutation --results FILE            # every mutant; goes on where it was stopped
    python -m tests.mutation --results FILE --again    # those that survived anew, with new tests
    python -m tests.mutation --results FILE --write    # renews this page

"""


def fates(results: Path) -> dict[str, str]:
    """What became of each mutant, by name; a later run of the same counts."""
    return {made["name"]: made["fate"] for made in _made(results)}


def _made(results: Path) -> list[dict[str, str]]:
    lines = results.read_text().splitlines() if results.exists() else []
    again = results.with_suffix(".again.jsonl")
    lines += again.read_text().splitlines() if again.exists() else []
    return [json.loads(line) for line in lines]


def write(results: Path, all_: Collection[str], day: str) -> int:
    """Renew the page.

    Args:
        results: of a run, and beside it those of a run of the survivors.
        all_: the names of all mutants that there are; results of others are of a line that is another now.
        day: of the run.
    """
    found = fates(results)
    known = {name: fate for name, fate in found.items() if fate != LEFT_OUT and name in all_}
    by_module: dict[str, Counter[str]] = defaultdict(Counter)
    for name, fate in known.items():
        by_module[name.partition(" | ")[0]]["killed" if fate in KILLED else "survived"] += 1
    killed = sum(counts["killed"] for counts in by_module.values())
    share = 100 * killed / len(known)
    rest = "the others are no programs, or stand in lines that are newer than the run"
    tried = f"Run on {day}: {len(known):,} of {len(all_):,} mutants were tried ({rest}), "
    tried += f"{killed:,} were noticed: **{share:.1f} %**."
    lines = [
        tried,
        "",
        "| module | mutants | killed | survived |",
        "|---|---:|---:|---:|",
    ]
    for module, counts in sorted(by_module.items()):
        lines.append(f"| `{module}` | {counts.total()} | {counts['killed']} | {counts['survived']} |")
    lines += ["", "## Those that survived, and why", ""]
    left = sorted(name for name, fate in known.items() if fate not in KILLED)
    for module in dict.fromkeys(name.partition(" | ")[0] for name in left):
        lines += [f"### {module}", "", "| line | changed | why it stands |", "|---|---|---|"]
        for name in left:
            where, _, rest = name.partition(" | ")
            if where == module:
                source, _, change = rest.rpartition(" | ")
                lines.append(f"| {_cell(source, 70)} | {_cell(change, 120)} | {reason(name)} |")
        lines.append("")
    PAGE.write_text(HEAD + "\n".join(lines).rstrip() + "\n")
    return 0


def _cell(text: str, most: int) -> str:
    """Code in a cell of a table: nothing in it may end the cell or the code."""
    short = text if len(text) <= most else f"{text[: most - 1]}…"
    return f"`{short.replace('|', '¦').replace('`', chr(39))}`"
