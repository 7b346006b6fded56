"""docs/signals.md is true of the code."""

import re
from pathlib import Path

import pytest

from telemetry.signals.definitions import MAX_CHAIN
from telemetry.signals.load import builtin, load_signals
from telemetry.signals.model import SignalSpec

PAGE = (Path(__file__).parents[3] / "docs" / "signals.md").read_text()
EXAMPLES = re.findall(r"^```yaml\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize("example", EXAMPLES)
def test_every_example_loads_and_has_an_effect(example: str, tmp_path: Path) -> None:
    (tmp_path / "example.yaml").write_text(example)
    found = load_signals(tmp_path)
    assert found.problems == ()
    assert found.signals.derived.keys() > builtin().derived.keys()
    assert found.signals.derived["health.score"] != builtin().derived["health.score"]


def test_every_signal_is_on_the_page() -> None:
    named = set(re.findall(r"^\| `([a-z_.]+)` \|", PAGE, re.MULTILINE))
    assert named == builtin().derived.keys() | {field.alias or name for name, field in SignalSpec.model_fields.items()}


def test_the_meaning_on_the_page_is_that_of_the_file() -> None:
    for name, derived in builtin().derived.items():
        if name.startswith("pattern.") and name != "pattern.leak":
            assert f"| `{name}` | bool | {derived.spec.meaning} |" in PAGE


def test_the_limit_on_the_page_is_that_of_the_code() -> None:
    assert f"at most {MAX_CHAIN} in a chain" in PAGE
