"""Policies and snapshots for tests."""

from collections.abc import Mapping, Sequence

import numpy as np

from policies.policy import Policy, compile_policy
from telemetry.columns import COLUMNS, Column
from telemetry.documents import parse
from telemetry.inventory import Facts
from telemetry.signals.load import builtin
from telemetry.snapshot import Snapshot
from telemetry.target import Target

HEAD = "apiVersion: gyrostat.dev/v1alpha1\nkind: {kind}\nmetadata: {{name: hung{namespace}}}\nspec:\n"
DEFAULTS = {"targets": "{kinds: [Service], allowAll: true}", "when": "probe.failures > 2", "action": "{type: Restart}"}


def text(*, namespace: str | None = "shop", **spec: str | None) -> str:
    """The YAML of a policy; keys of the spec in Python's spelling, `for_` for `for`, None leaves one out."""
    kind = "RemediationPolicy" if namespace else "ClusterRemediationPolicy"
    head = HEAD.format(kind=kind, namespace=f", namespace: {namespace}" if namespace else "")
    return head + "".join(f"  {key.rstrip('_')}: {value}\n" for key, value in (DEFAULTS | spec).items() if value)


def policy(**spec: str | None) -> Policy:
    return compile_policy(parse(text(**spec), "policy.yaml"), signals=builtin())


def target(name: str, namespace: str = "shop", kind: str = "Service", uid: str = "u1") -> Target:
    return Target("memory", kind, namespace, name, uid)


def snapshot(
    targets: Sequence[Target],
    at: float = 0.0,
    labels: Mapping[Target, Mapping[str, str]] | None = None,
    **columns: Sequence[float],
) -> Snapshot:
    """A snapshot whose columns have age 0 and count 1; `probe_failures=[1, 2]` is the column `probe.failures`."""
    rows = len(targets)
    cells = {name: np.full(rows, np.nan) for name in COLUMNS}
    cells |= {name.replace("_", ".", 1): np.array(values, float) for name, values in columns.items()}
    made = {name: Column(COLUMNS[name], values, np.zeros(rows), np.ones(rows)) for name, values in cells.items()}
    facts = {t: Facts(at, 1, 1, labels=(labels or {}).get(t, {})) for t in targets}
    return Snapshot(at, tuple(targets), made, facts, {t: row for row, t in enumerate(targets)})


def costly(number: int, terms: int = 126) -> str:
    """A policy whose condition divides as often as one may, and shares nothing with that of another number."""
    sums = " + ".join(f"cpu.ratio / {number * 1000 + part + 1}.0" for part in range(terms))
    return text(namespace=None, when=f'"{sums} > 1e6"').replace("name: hung", f"name: costly-{number:03}")
