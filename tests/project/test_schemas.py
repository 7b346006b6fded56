"""The schemas in docs/schema are those of the models, accept what loads, and refuse what has another form."""

import re
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from controller.schemas import schemas, text, write

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "docs" / "schema"
HEADER = re.compile(r"# yaml-language-server: \$schema=(\S+)")
FILES = sorted(
    [
        *(ROOT / "policies" / "library").glob("*.yaml"),
        *(ROOT / "telemetry" / "signals").glob("*.yaml"),
        *(ROOT / "controller" / "demo" / "files").rglob("*.yaml"),
        *(ROOT / "controller" / "cli" / "examples").rglob("*.yaml"),
    ]
)
SCHEMAS = schemas()


def refusals(schema: dict[str, Any], value: Any, root: dict[str, Any], path: str = "") -> list[str]:
    """What a validator would say: as much of JSON Schema as our schemas use."""
    known = {"type", "enum", "const", "pattern", "anyOf", "$ref", "properties", "required", "items", "description"}
    known |= {"additionalProperties", "minimum", "maximum", "minLength", "maxLength", "minItems", "maxItems", "default"}
    known |= {"format", "$defs", "$schema", "title", "propertyNames", "maxProperties", "minProperties", "oneOf"}
    known |= {"exclusiveMinimum", "exclusiveMaximum", "uniqueItems", "patternProperties"}
    assert schema.keys() <= known, schema.keys() - known
    if "$ref" in schema:
        return refusals(root["$defs"][schema["$ref"].rpartition("/")[2]], value, root, path)
    if "anyOf" in schema:
        tries = [refusals(choice, value, root, path) for choice in schema["anyOf"]]
        return [] if not all(tries) else min(tries, key=len)
    kinds = {"object": dict, "array": list, "string": str, "integer": int, "number": (int, float), "boolean": bool}
    kind = schema.get("type")
    if kind and (not isinstance(value, kinds[kind]) or (isinstance(value, bool) and kind != "boolean")):
        return [f"{path}: {value!r} is no {kind}"]
    found = []
    if "const" in schema and value != schema["const"]:
        found.append(f"{path}: is not {schema['const']}")
    if "enum" in schema and value not in schema["enum"]:
        found.append(f"{path}: not in {schema['enum']}")
    if isinstance(value, str) and not re.search(schema.get("pattern", ""), value):
        found.append(f"{path}: {value!r} does not match")
    if isinstance(value, int | float) and not schema.get("minimum", value) <= value <= schema.get("maximum", value):
        found.append(f"{path}: {value} is out of bounds")
    if isinstance(value, list):
        for at, item in enumerate(value):
            found += refusals(schema.get("items", {}), item, root, f"{path}[{at}]")
    if isinstance(value, dict):
        found += _of_mapping(schema, value, root, path)
    return found


def _of_mapping(schema: dict[str, Any], value: dict[str, Any], root: dict[str, Any], path: str) -> list[str]:
    found = [f"{path}.{key} is required" for key in schema.get("required", ()) if key not in value]
    for key, item in value.items():
        named = (part for pattern, part in schema.get("patternProperties", {}).items() if re.search(pattern, key))
        part = schema.get("properties", {}).get(key) or next(named, schema.get("additionalProperties", True))
        if part is False:
            found.append(f"{path}.{key} is unknown")
        elif isinstance(part, dict):
            found += refusals(part, item, root, f"{path}.{key}")
    return found


@pytest.mark.parametrize("name", SCHEMAS)
def test_the_schema_in_the_docs_is_that_of_the_model(name: str):
    there = (FOLDER / f"{name}.json").read_text()
    assert there == text(SCHEMAS[name]), "run: python -m tests.project.test_schemas --write"


def test_there_is_no_other_schema():
    assert {path.stem for path in FOLDER.iterdir()} == set(SCHEMAS)


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_file_that_we_ship_names_its_schema_and_fits_it(path: Path):
    named = HEADER.match(path.read_text())
    assert named is not None
    name = Path(named[1]).stem
    if path.is_relative_to(ROOT / "controller"):
        assert ".gyrostat/schema/" in named[1]  # where `auto init` and the demo write them, beside the copy
    else:
        assert (path.parent / named[1]).resolve() == FOLDER / f"{name}.json"
    for document in yaml.safe_load_all(path.read_text()):
        assert refusals(SCHEMAS[name], document, SCHEMAS[name]) == []


@pytest.mark.parametrize(("name", "document", "said"), [
    ("policy", {"kind": "RemediationPolicy"}, "apiVersion is required"),
    ("signals", {"apiVersion": "gyrostat.dev/v1alpha1", "kind": "Signals", "x": 1}, "x is unknown"),
    ("signals", {"apiVersion": "gyrostat.dev/v1alpha1", "kind": "Signals", "constants": {"aa": [1]}}, "constants.aa"),
    ("signals", {"apiVersion": "gyrostat.dev/v1alpha1", "kind": "Signals", "constants": {"A": 1}}, "A is unknown"),
    ("settings", {"intervall": 1}, "intervall is unknown"),
    ("settings", {"interval": True}, "interval"),
    ("services", {"apiVersion": "gyrostat.dev/v1alpha1", "kind": "Services"}, "services is required"),
])  # fmt: skip
def test_what_has_another_form_is_refused(name: str, document: Any, said: str):
    assert said in " ".join(refusals(SCHEMAS[name], document, SCHEMAS[name]))


@pytest.mark.parametrize("document", [{"interval": 1}, {"interval": "2s"}, {"policies": "library", "attempts": 4}, {}])
def test_settings_that_load_fit(document: Any):
    assert refusals(SCHEMAS["settings"], document, SCHEMAS["settings"]) == []


def test_every_key_of_a_policy_is_described():
    properties = SCHEMAS["policy"]["$defs"]["Spec"]["properties"]
    assert [key for key, known in properties.items() if "description" not in known] == []
    assert properties["for"]["default"] == "30s"


if __name__ == "__main__" and "--write" in sys.argv:
    write(FOLDER)
