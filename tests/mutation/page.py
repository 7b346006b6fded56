"""docs/mutation.md from the results of a run."""

import json
from pathlib import Path


def fates(results: Path) -> dict[str, str]:
    """What became of each mutant, by name; a later run of the same counts."""
    lines = results.read_text().splitlines() if results.exists() else []
    return {made["name"]: made["fate"] for made in map(json.loads, lines)}


def write(results: Path) -> int:
    return 0
