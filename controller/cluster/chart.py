"""The files of the chart that are made from code: the kinds, and what may be granted."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from actions.registry import ACTIONS
from controller.cluster.crds import PLURALS, crds
from controller.cluster.rbac import PARTS, of_actions, rules

_MADE = "# Made by `python -m controller.cluster helm`; not written by hand.\n"
_KEEP = """  labels: {app.kubernetes.io/part-of: gyrostat}
  {{- if .Values.crds.keep }}
  annotations: {helm.sh/resource-policy: keep}
  {{- end }}
"""


_OF_THE_CHART = (
    "state",
    "services",
    "policies",
    "signals",
    "metrics",
    "otlp",
    "kubernetes",
    "namespaces",
    "log_format",
)
"""Settings that the chart gives itself."""
SCHEMA = "values.schema.json"


def files(chart: Path) -> Mapping[str, str]:
    """Their content, by path in the chart; in the schema of its values only actions and settings are made anew."""
    kinds = {f"templates/crds/{PLURALS[kind]}.yaml": _template(made) for kind, made in crds().items()}
    granted = {name: rules(permissions) for name, permissions in PARTS.items()} | {"actions": of_actions()}
    return kinds | {"files/permissions.yaml": _MADE + text(granted), SCHEMA: _values((chart / SCHEMA).read_text())}


def _values(there: str) -> str:
    """The schema of the values, with the actions and the settings that there are."""
    from controller.schemas import schemas  # noqa: PLC0415 - only who makes the chart pays for them

    schema = json.loads(there)
    (acts,) = schema["properties"]["mayAct"]["patternProperties"].values()
    acts["items"]["enum"] = list(ACTIONS)
    known = schemas()["settings"]["properties"]
    schema["properties"]["settings"]["properties"] = {
        name: {key: value for key, value in part.items() if key != "default"}
        for name, part in known.items()
        if name not in _OF_THE_CHART
    }
    return json.dumps(schema, indent=2, ensure_ascii=False) + "\n"


def write(chart: Path) -> list[Path]:
    """Write them, and say which."""
    written = []
    for name, content in files(chart).items():
        path = chart / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
        written.append(path)
    return written


def _template(crd: dict[str, Any]) -> str:
    """A kind as a template: it is installed where the values say so, and kept if they say so."""
    head, body = text(crd).split("spec:\n", 1)
    return f"{_MADE}{{{{- if .Values.crds.enabled }}}}\n{head}{_KEEP}spec:\n{body}{{{{- end }}}}\n"


def text(data: Any) -> str:
    """YAML without anchors, in the order that was given."""
    plain = json.loads(json.dumps(data))  # what is the same object twice would become an anchor
    return yaml.safe_dump(plain, sort_keys=False, width=110, allow_unicode=True)
