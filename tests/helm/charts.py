"""Rendering the chart as Helm does, with the Helm that is in the Python package of its SDK."""

from collections.abc import Mapping
from typing import Any

import yaml

from ..needs import need  # noqa: TID252 - importlib mode has no package named tests
from ..project.docs import ROOT  # noqa: TID252

try:
    import helm_python
except ImportError:
    helm_python = None

CHART = ROOT / "helm"
NAMESPACE = "gyrostat-system"
Values = Mapping[str, Any]


def sdk() -> Any:
    need(helm_python is not None, "needs helm-python-sdk (a wheel for x86_64 Linux; in the dev group)")
    return helm_python


class Refused(Exception):  # noqa: N818 - an answer, not only an error
    """Helm does not render it."""


def rendered(values: Values | None = None, name: str = "gyrostat") -> dict[str, str]:
    """The text of each template."""
    helm = sdk()
    with helm.Chart.load(str(CHART)) as chart:
        try:
            found = chart.render(dict(values or {}), name=name, namespace=NAMESPACE)
        except helm.HelmError as error:
            raise Refused(str(error)) from None
    return {path.partition("/templates/")[2]: text for path, text in found.items()}


def objects(values: Values | None = None, name: str = "gyrostat") -> list[dict[str, Any]]:
    """Every object, as the API server would be given it."""
    found = []
    for path, text in rendered(values, name).items():
        if path != "NOTES.txt":
            found += [one for one in yaml.safe_load_all(text) if one]
    return found


def one(kind: str, values: Values | None = None) -> dict[str, Any]:
    """The only object of this kind."""
    (found,) = [made for made in objects(values) if made["kind"] == kind]
    return found
