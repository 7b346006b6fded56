import re
from pathlib import Path

import pytest
from pydantic import BaseModel

from actions.registry import ACTIONS
from policies import model
from policies.load import load_files
from policies.policy import Mode, OnFailure, Severity
from telemetry.documents import Amount

PAGE = (Path(__file__).parents[2] / "docs" / "policies.md").read_text()
EXAMPLES = re.findall(r"^```yaml\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize("example", EXAMPLES)
def test_every_example_in_the_docs_loads(example: str, tmp_path: Path):
    path = tmp_path / "example.yaml"
    path.write_text(example)
    result = load_files([path])
    assert result.problems == ()
    assert len(result.policies) == 1


def test_the_docs_have_examples():
    assert len(EXAMPLES) >= 4


def _keys(part: type[BaseModel]) -> set[str]:
    return {field.alias or name for name, field in part.model_fields.items()}


@pytest.mark.parametrize(
    "part",
    [
        model.Spec,
        model.Targets,
        model.Throttle,
        model.WindowSpec,
        model.Verify,
        model.Limit,
        model.Selector,
        model.ActionEntry,
    ],
)
def test_every_key_is_documented(part: type[BaseModel]):
    text = re.sub(r"```.*?```", "", PAGE, flags=re.DOTALL)
    words = set(re.findall(r"[A-Za-z]+", " ".join(re.findall(r"`[^`]+`", text))))
    assert _keys(part) - words - {name[0].lower() + name[1:] for name in ACTIONS} == set()


def test_every_word_that_a_policy_can_choose_is_documented():
    choices = [*(m.label for m in Mode), *(s.label for s in Severity), *OnFailure, *ACTIONS, *model.KINDS]
    assert [word for word in choices if f"`{word}`" not in PAGE] == []


@pytest.mark.parametrize("name", ACTIONS)
def test_every_parameter_of_every_action_is_documented(name: str):
    row = next(line for line in PAGE.splitlines() if line.startswith(f"| `{name}` |"))
    assert [key for key in _keys(ACTIONS[name].params) if key not in row] == []


@pytest.mark.parametrize(
    ("part", "key", "value", "shown"),
    [
        (model.Spec, "mode", "Observe", "`Observe`"),
        (model.Spec, "for", 30.0, "`30s`"),
        (model.Spec, "minSamples", 0, "`0`"),
        (model.Spec, "minConfidencePercent", 70, "`70`"),
        (model.Spec, "severity", "Warning", "`Warning`"),
        (model.Spec, "priority", 50, "`50`"),
        (model.Spec, "allowIrreversible", False, "`false`"),
        (model.Spec, "verify", model.Verify(), "`10s`, `5m`"),
        (model.Throttle, "cooldown", 600.0, "`10m`"),
        (model.Throttle, "limits", None, "none"),
        (model.Throttle, "maxConcurrent", 1, "`1`"),
        (model.Throttle, "maxUnavailable", Amount(1), "`1`"),
    ],
)
def test_the_defaults_in_the_docs_are_those_of_the_model(part: type[BaseModel], key: str, value: object, shown: str):
    defaults = {field.alias: field.default for field in part.model_fields.values()}
    assert defaults[key] == value
    row = next(line for line in PAGE.splitlines() if line.startswith(f"| `{key}` |"))
    assert row.endswith(f"| {shown} |")
    assert (model.Verify().initial_delay, model.Verify().within) == (10.0, 300.0)
