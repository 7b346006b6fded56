"""The pages say what the code does: every example loads, every key of a model has its row and the other way round."""

import re
from pathlib import Path

import pytest
import yaml

from actions.platforms.local.services import Service, ServicesFile
from actions.reason import Reason
from actions.registry import ACTIONS
from telemetry.documents import parse, validate

DOCS = Path(__file__).parents[2] / "docs"


def examples(page):
    return re.findall(r"```yaml\n(.*?)```", (DOCS / page).read_text(), re.DOTALL)


def first_cells(section):
    return [row.split("|")[1] for row in section.splitlines() if row.startswith("| `")]


def keys(model, prefix=""):
    for name, field in model.model_fields.items():
        key = prefix + (field.alias or name)
        inner = [
            m for m in (field.annotation, *getattr(field.annotation, "__args__", ())) if hasattr(m, "model_fields")
        ]
        if inner:
            yield from keys(inner[0], f"{key}.")
        else:
            yield key


def test_the_services_example_is_a_services_file():
    (example,) = examples("services.md")
    (checkout,) = validate(parse(example, "services.md"), ServicesFile).services
    assert checkout.ref == "shop/checkout"


def test_every_key_of_a_service_is_documented_and_no_other():
    table = (DOCS / "services.md").read_text().split("## Listening")[0]
    documented = []
    for cell in first_cells(table):
        group = ""
        for name in re.findall(r"`([\w.]+)`", cell):
            group = name.rpartition(".")[0] or group
            documented.append(name if "." in name or not group else f"{group}.{name}")
    assert sorted(documented) == sorted(keys(Service))


@pytest.mark.parametrize("name", sorted(ACTIONS))
def test_every_action_has_an_example_and_every_parameter_is_named(name):
    section = (DOCS / "actions.md").read_text().split(f"## {name}\n")[1].split("\n## ")[0]
    (example,) = re.findall(r"```yaml\n(.*?)```", section, re.DOTALL)
    action = yaml.safe_load(example)["action"]
    model = ACTIONS[name].params
    assert action["type"] == name
    model.model_validate(action.get(name[0].lower() + name[1:], {}))  # one without parameters needs none
    for key in keys(model):
        assert f"`{key}`" in section or f"`{key}:" in section


def test_reasons_on_the_page_exist():
    named = re.findall(r"(?:refused\s+with|None sick:)\s+`(\w+)`", (DOCS / "actions.md").read_text())
    assert len(named) >= 3
    assert set(named) <= {reason.value for reason in Reason}
