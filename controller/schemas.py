"""JSON Schema of every kind of file, so that an editor completes them and marks mistakes while they are made.

The schemas come from the models that load the files. They know names, types and bounds; what needs more (expressions,
units, names of columns) is told by `auto policy lint`.
"""

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import UnionType
from typing import Annotated, Any, Union, get_args, get_origin

from pydantic import BaseModel, TypeAdapter

from telemetry.documents.quantities import format_duration

_ATTRIBUTE = re.compile(r"^ {4}(\w+(?:, \w+)*): (.*)$")
_DIALECT = "https://json-schema.org/draft/2020-12/schema"


def schemas() -> Mapping[str, dict[str, Any]]:
    """By kind of file: `policy`, `services`, `signals`, `settings`."""
    from actions.platforms.local.services import ServicesFile  # noqa: PLC0415 - only who wants schemas pays for these
    from controller.settings import Keys  # noqa: PLC0415
    from policies.model import ClusterRemediationPolicy, RemediationPolicy  # noqa: PLC0415
    from telemetry.signals.model import SignalsFile  # noqa: PLC0415

    return {
        "policy": _schema("A policy", RemediationPolicy, ClusterRemediationPolicy),
        "services": _schema("The services of one machine", ServicesFile),
        "signals": _schema("Signals", SignalsFile),
        "settings": _schema("Settings", Keys),
    }


def write(folder: Path) -> None:
    """One file for each, in a folder that is made if it is not there; beside it lies what others may not read."""
    folder.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    folder.mkdir(exist_ok=True)
    for name, schema in schemas().items():
        (folder / f"{name}.json").write_text(text(schema))


def text(schema: dict[str, Any]) -> str:
    """As it is written to a file."""
    return json.dumps(schema, indent=2, ensure_ascii=False) + "\n"


def _schema(title: str, *models: type[BaseModel]) -> dict[str, Any]:
    wanted: Any = models[0] if len(models) == 1 else Union[models]  # noqa: UP007 - the models are not known to the type checker
    made = TypeAdapter(wanted).json_schema(by_alias=True, ref_template="#/$defs/{model}")
    parts = made.get("$defs", {}) | {models[0].__name__: made}
    for model in dict.fromkeys(part for each in models for part in _models(each)):
        _describe(parts.get(model.__name__, {}), model)
    return {"$schema": _DIALECT, "title": title, **_plain(made)}


def _plain(node: Any) -> Any:
    """Only what a file can say: no null, no titles that repeat names, defaults as they would be written."""
    if isinstance(node, list):
        return [_plain(item) for item in node]
    if not isinstance(node, dict):
        return node
    is_schema = not isinstance(node.get("title"), dict)
    kept = {key: _plain(value) for key, value in node.items() if not (is_schema and key in ("title", "why"))}
    choices = [choice for choice in kept.get("anyOf", ()) if choice != {"type": "null"}]
    if "anyOf" in kept:
        kept["anyOf"] = choices
    if len(choices) == 1:
        kept = {**choices[0], **{key: value for key, value in kept.items() if key != "anyOf"}}
    if "patternProperties" in kept:
        kept["additionalProperties"] = False  # a name of another form is an error
    return _with_default(kept)


def _with_default(node: dict[str, Any]) -> dict[str, Any]:
    default = node.get("default")
    if isinstance(default, float) and node.get("type") != "number":
        return node | {"default": format_duration(default)}
    if default is None or isinstance(default, dict):
        return {key: value for key, value in node.items() if key != "default"}
    return node


def _describe(schema: dict[str, Any], model: type[BaseModel]) -> None:
    """Say of each key what the docstring says of its attribute, and of the whole its first line."""
    lines = (model.__doc__ or "").splitlines()
    schema["description"] = lines[0] if lines else ""
    said = {name: line for names, line in _attributes(lines) for name in names.split(", ")}
    for name, field in model.model_fields.items():
        known = schema.get("properties", {}).get(field.alias or name)
        if known is not None and (meaning := field.description or said.get(name) or said.get(name.rstrip("_"))):
            known["description"] = meaning


def _attributes(lines: list[str]) -> Iterator[tuple[str, str]]:
    """Names and meaning of the section Attributes of a docstring."""
    names, meaning = "", ""
    for line in lines:
        if found := _ATTRIBUTE.match(line.removeprefix("    ")):
            if names:
                yield names, meaning
            names, meaning = found[1], found[2]
        elif names and line.strip():
            meaning += f" {line.strip()}"
    if names:
        yield names, meaning


def _models(annotation: Any) -> Iterator[type[BaseModel]]:
    """The models inside an annotation, and inside those."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
        for field in annotation.model_fields.values():
            yield from _models(field.annotation)
    elif get_origin(annotation) in (Union, UnionType, Annotated, list, tuple, dict, frozenset):
        for argument in get_args(annotation):
            yield from _models(argument)
