"""docs/operations.md says of settings and metrics what the code says."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from controller.instrumentation import Instruments
from controller.settings import Keys, allowed
from telemetry.documents.quantities import format_duration

PAGE = Path(__file__).parents[2] / "docs" / "operations.md"


def default(value: object) -> str:
    match value:
        case None:
            return "-"
        case bool():
            return f"`{value}`".lower()
        case float():
            return f"`{format_duration(value)}`"
        case _:
            return f"`{value}`"


def settings() -> Iterator[str]:
    yield "| key | default | allowed | meaning | why this default |"
    yield "|---|---|---|---|---|"
    for name, field in Keys.model_fields.items():
        why = field.json_schema_extra["why"]
        yield f"| `{name}` | {default(field.default)} | {allowed(name)} | {field.description} | {why} |"


def metrics() -> Iterator[str]:
    yield "| metric | labels | meaning |"
    yield "|---|---|---|"
    registry = Instruments(1.0).registry
    for metric in registry.collect():
        name = metric.name + ("_total" if metric.type == "counter" else "")
        labels = registry._names_to_collectors[name]._labelnames
        yield f"| `{name}` | {', '.join(labels) or '-'} | {metric.documentation} |"


@pytest.mark.parametrize("table", [settings, metrics], ids=lambda table: table.__name__)
def test_the_page_lists_exactly_what_there_is(table):
    text = PAGE.read_text()
    name = table.__name__
    found = text.split(f"<!-- {name} -->\n")[1].split(f"<!-- /{name} -->")[0].strip().splitlines()
    wanted = list(table())
    assert found == wanted, "put this into docs/operations.md:\n" + "\n".join(wanted)
