"""From the JSON Schema of a model to the structural schema that a custom resource must have.

An API server takes less than JSON Schema offers: no `$ref`, no `const`, no `additionalProperties: false`. What it does
not take is written as it likes it, or left to the validator that files pass, too.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

LONGEST = 1024
"""Characters of a text without a bound of its own: the cost of CEL rules is estimated from bounds."""
RULES = "x-kubernetes-validations"

Node = Mapping[str, Any]
Rules = Mapping[str, Sequence[Mapping[str, str]]]

_KEPT = (
    *("description", "type", "default", "enum", "pattern", "minLength", "maxLength", "minimum", "maximum"),
    *("minItems", "maxItems", "minProperties", "maxProperties", "required"),
)
_NOT_TAKEN = ("title", "additionalProperties", "patternProperties", "const", "anyOf", "$ref", "properties", "items")
"""What is written in another way below."""


def structural(node: Node, parts: Mapping[str, Node], rules: Rules) -> dict[str, Any]:
    """The same schema without references, and with CEL rules.

    Args:
        node: a JSON Schema of ours.
        parts: what it refers to, by name.
        rules: CEL rules by the name of the part that they are about.

    Raises:
        ValueError: it says something that has no structural form known here.
    """
    if "$ref" in node:
        name = node["$ref"].rpartition("/")[2]
        made = structural(parts[name], parts, rules) | {
            key: node[key] for key in ("description", "default") if key in node
        }
        return made | ({RULES: [dict(rule) for rule in rules[name]]} if name in rules else {})
    if unknown := node.keys() - {*_KEPT, *_NOT_TAKEN}:
        raise ValueError(f"has no structural form: {', '.join(sorted(unknown))}")
    made = {key: node[key] for key in _KEPT if key in node}
    if "const" in node:
        made["enum"] = [node["const"]]
    if "anyOf" in node:
        return made | _int_or_string(node["anyOf"])
    if made.get("type") == "string" and "enum" not in made:
        made.setdefault("maxLength", LONGEST)
    return made | _inside(node, lambda inner: structural(inner, parts, rules))


def _inside(node: Node, convert: Callable[[Node], dict[str, Any]]) -> dict[str, Any]:
    """The schemas of what is within a mapping or a list."""
    made: dict[str, Any] = {}
    if "properties" in node:
        made["properties"] = {name: convert(inner) for name, inner in node["properties"].items()}
    if "patternProperties" in node:  # the pattern of the keys is left to the validator
        (inner,) = node["patternProperties"].values()
        made["additionalProperties"] = convert(inner)
    if "items" in node:
        made["items"] = convert(node["items"])
    return made


def _int_or_string(choices: Sequence[Node]) -> dict[str, Any]:
    """A number or a text; the bounds of each hold for its own kind only."""
    if sorted(choice.get("type", "") for choice in choices) != ["integer", "string"]:
        raise ValueError(f"has no structural form: a choice of {choices}")
    bounds = {key: value for choice in choices for key, value in choice.items() if key != "type"}
    return {"anyOf": [{"type": "integer"}, {"type": "string"}], "x-kubernetes-int-or-string": True, **bounds}
