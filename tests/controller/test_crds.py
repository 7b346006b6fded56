"""The kinds of the cluster's API: what they take, what they refuse, and that their rules agree with the models."""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from controller.cluster.crds import PLURALS, crds
from controller.cluster.structural import RULES, structural
from policies.objects import compile_object
from telemetry.documents import DocumentError, parse, parse_all

from ..needs import need  # noqa: TID252 - importlib mode has no package named tests

try:
    from cel_expr_python import cel
except ImportError:
    cel = None

ROOT = Path(__file__).parents[2]
CRDS = crds()
POLICIES = ("RemediationPolicy", "ClusterRemediationPolicy")
FENCE = re.compile(r"```yaml\n(.*?)```", re.DOTALL)
BAD = sorted((ROOT / "tests" / "policies" / "bad").glob("*.yaml"))


def schema(kind: str) -> dict[str, Any]:
    (version,) = CRDS[kind]["spec"]["versions"]
    return version["schema"]["openAPIV3Schema"]


def nodes(node: Mapping[str, Any], path: str = "") -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Every schema in a schema."""
    yield path, node
    for name, inner in node.get("properties", {}).items():
        yield from nodes(inner, f"{path}.{name}")
    for key in ("items", "additionalProperties"):
        if key in node:
            yield from nodes(node[key], f"{path}[{key}]")


def unknown(value: Any, node: Mapping[str, Any], path: str = "") -> Iterator[str]:
    """Fields that the API server refuses as unknown, or would silently drop."""
    if isinstance(value, dict) and "properties" in node:
        for key, inner in value.items():
            if key in node["properties"]:
                yield from unknown(inner, node["properties"][key], f"{path}.{key}")
            else:
                yield f"{path}.{key}"
    if isinstance(value, list) and "items" in node:
        for index, inner in enumerate(value):
            yield from unknown(inner, node["items"], f"{path}[{index}]")


def broken(value: Any, node: Mapping[str, Any], path: str = "") -> Iterator[str]:
    """CEL rules that do not hold, as the API server runs them; by Google's own CEL."""
    for rule in node.get(RULES, ()):
        result = google(rule["rule"], value)
        if result is not True:
            yield f"{path}: {rule['message']}"
    for key, inner in node.get("properties", {}).items():
        if isinstance(value, dict) and key in value:
            yield from broken(value[key], inner, f"{path}.{key}")
    if isinstance(value, list) and "items" in node:
        for index, one in enumerate(value):
            yield from broken(one, node["items"], f"{path}[{index}]")


def google(rule: str, value: Any) -> Any:
    need(cel is not None, "needs the cel-expr-python wheel (x86_64 or aarch64 glibc)")
    return cel.NewEnv(variables={"self": cel.Type.DYN}).compile(rule).eval(data={"self": value}).value()


def pruned(value: Any) -> Any:
    """The API server leaves out what is null and may not be."""
    if isinstance(value, dict):
        return {key: pruned(inner) for key, inner in value.items() if inner is not None}
    return [pruned(inner) for inner in value] if isinstance(value, list) else value


def filled(value: Any, node: Mapping[str, Any]) -> Any:
    """With the defaults that the API server writes in, before it looks at rules."""
    if isinstance(value, list):
        return [filled(one, node.get("items", {})) for one in value]
    if not isinstance(value, dict) or "properties" not in node:
        return value
    given = {key: filled(inner, node["properties"].get(key, {})) for key, inner in value.items()}
    return {key: part["default"] for key, part in node["properties"].items() if "default" in part} | given


def refusals(made: Any) -> list[str]:
    """What the API server would say; schema first, and rules only where the schema holds."""
    made = pruned(made)
    node = schema(made.get("kind")) if made.get("kind") in POLICIES else schema(POLICIES[0])
    said = [error.message for error in jsonschema.Draft202012Validator(node).iter_errors(made)]
    said += [f"{field} is unknown" for field in unknown(made, node)]
    return said or list(broken(filled(made, node), node))


def examples() -> Iterator[Any]:
    """Every policy that we ship or show."""
    for path in (*ROOT.glob("policies/library/*.yaml"), *ROOT.glob("controller/**/policies/*.yaml")):
        yield pytest.param(yaml.safe_load(path.read_text()), id=path.name)
    for page in sorted(ROOT.glob("docs/*.md")):
        for number, text in enumerate(FENCE.findall(page.read_text())):
            if "RemediationPolicy" in text and text.startswith("apiVersion"):
                for document in parse_all(text, page.name):
                    yield pytest.param(document.data, id=f"{page.name}-{number}")


@pytest.mark.parametrize("made", [*examples()])
def test_what_the_models_take_the_api_server_takes(made: Any):
    compile_object(made)
    assert refusals(made) == []


ONLY_THE_VALIDATOR_TELLS = {
    *("when-", "until-", "window-", "yaml-"),  # an expression must be compiled, a calendar known
    "head-",  # here an API server has rules of its own
    *("cooldown-over-memory", "duration-overflow", "duration-zero-where-not-allowed"),  # CEL knows no days
    *("on-failure-ladder-unreachable", "irreversible-nothing"),  # needs to know what actions do
    *("action-params-null", "key-given-no-value"),  # an API server takes null for nothing
}
"""By what the names of the files begin with."""


def test_most_mistakes_are_told_when_they_are_applied():
    """What is left needs expressions compiled, calendars, or arithmetic of units."""
    told, left = set(), set()
    for path in BAD:
        try:
            made = parse(path.read_bytes(), path.name).data
        except DocumentError:
            continue  # it is wrong as YAML
        if isinstance(made, dict) and isinstance(made.get("spec"), dict) and made.get("kind") in POLICIES:
            (told if refusals(made) else left).add(path.stem)
    assert [name for name in sorted(left) if not name.startswith(tuple(ONLY_THE_VALIDATOR_TELLS))] == []
    assert len(told) > 50


@pytest.mark.parametrize("kind", CRDS)
def test_a_schema_is_structural(kind: str):
    for path, node in nodes(schema(kind)):
        integer_or_string = node.get("x-kubernetes-int-or-string")
        assert integer_or_string or "type" in node, path
        assert not (integer_or_string and "type" in node), path
        assert node.get("type") != "number", f"{path}: no floats in an API"
        assert not node.keys() & {"$ref", "const", "title", "oneOf", "allOf", "not", "patternProperties"}, path
        assert not ("properties" in node and "additionalProperties" in node), path
        if "default" in node:
            jsonschema.validate(node["default"], dict(node))
        for rule in node.get(RULES, ()):
            assert rule["message"]
            assert "messageExpression" not in rule  # costs more than the rule


@pytest.mark.parametrize("kind", CRDS)
def test_what_rules_read_is_bounded(kind: str):
    """The cost of a rule is estimated from bounds; without them an API server refuses the whole kind."""
    for path, node in nodes(schema(kind)):
        if node.get("type") == "array":
            assert "maxItems" in node, path
        if node.get("type") == "string" and path.startswith(".spec"):
            assert "maxLength" in node or "enum" in node, path


@pytest.mark.parametrize("kind", CRDS)
def test_every_column_shows_a_field_that_exists(kind: str):
    (version,) = CRDS[kind]["spec"]["versions"]
    fields = {path for path, _ in nodes(schema(kind))} | {".metadata.creationTimestamp"}
    for column in version["additionalPrinterColumns"]:
        path = re.sub(r"\[\?\(@\.type==\"Ready\"\)\]", "[items]", column["jsonPath"])
        assert path in fields
    assert version["subresources"] == {"status": {}}


def test_names_are_short_and_clash_with_none_of_the_cluster():
    short = [name for made in CRDS.values() for name in made["spec"]["names"]["shortNames"]]
    taken = {"po", "deploy", "sts", "ds", "rs", "ep", "ev", "cm", "ns", "no", "svc", "hpa", "pdb", "sa", "pv", "pvc"}
    assert len(set(short)) == len(CRDS)
    assert not set(short) & taken
    assert PLURALS.keys() == CRDS.keys()


def test_what_the_server_fills_in_changes_nothing():
    """Defaults of the kind are those of the model, or an object would mean something else than its file."""

    spec: dict[str, Any] = {
        "targets": {"names": ["a"]},
        "when": "probe.ok",
        "action": {"type": "Restart", "restart": {}},
    }
    spec |= {"throttle": {}, "verify": {}, "activeWindows": [{"schedule": "0 9 * * *", "duration": "8h"}]}
    made = {"apiVersion": "gyrostat.dev/v1alpha1", "kind": POLICIES[0], "metadata": {"name": "a", "namespace": "b"}}
    whole = {**made, "spec": filled(spec, schema(POLICIES[0])["properties"]["spec"])}
    assert whole["spec"]["mode"] == "Observe"
    assert whole["spec"]["throttle"]["cooldown"] == "10m"
    before, after = compile_object({**made, "spec": spec}), compile_object(whole)
    different = {"hash", "content", "when", "until"}
    for name in before.__dataclass_fields__.keys() - different:
        assert getattr(before, name) == getattr(after, name), name


@pytest.mark.parametrize(
    "node", [{"oneOf": []}, {"type": "string", "uniqueItems": True}, {"anyOf": [{"type": "null"}]}]
)
def test_a_schema_without_a_structural_form_is_not_made(node: dict[str, Any]):
    with pytest.raises(ValueError, match="has no structural form"):
        structural(node, {}, {})
