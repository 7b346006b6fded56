"""Which rows of a snapshot a policy is about: indexes over the inventory, made once and shared by all policies."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray

from policies.policy import Policy, Selector
from telemetry.columns import Bools
from telemetry.inventory import Facts
from telemetry.snapshot import Snapshot
from telemetry.target import Target

Rows = NDArray[np.intp]
_Key = tuple[str | None, frozenset[str] | None, frozenset[str] | None, tuple[tuple[str, str], ...], int]


@dataclass(frozen=True, slots=True, eq=False)
class Selection:
    """The targets that a policy is about.

    Attributes:
        rows: of the snapshot, ascending; none if refused.
        refused: why the selection is not used at all; empty if it is.
        places: place in `rows` of each row of the snapshot, -1 where it is not selected; None if all are.
    """

    rows: Rows
    refused: str = ""
    places: NDArray[np.int32] | None = None

    def place(self, rows: Rows) -> Rows:
        """Where these rows stand in the selection; -1 where they do not."""
        return rows if self.places is None else self.places[rows].astype(np.intp)


class Catalog:
    """Finds the rows of selectors in one inventory; an index is made when first asked for."""

    def __init__(self, snapshot: Snapshot) -> None:
        self._targets, self._facts = snapshot.targets, snapshot.facts
        self._indexes: dict[str, Mapping[str, Rows]] = {}
        self._labels: tuple[list[Target], list[Mapping[str, str]]] | None = None
        self._selections: dict[_Key, Selection] = {}

    def still(self, snapshot: Snapshot) -> bool:
        """Whether it holds for this snapshot too; takes on its facts if so."""
        if snapshot.targets is not self._targets and snapshot.targets != self._targets:
            return False
        if self._labels is not None and snapshot.facts is not self._facts and self._labels != _labels(snapshot.facts):
            return False
        self._targets, self._facts = snapshot.targets, snapshot.facts
        return True

    def select(self, policy: Policy) -> Selection:
        """The rows of the targets that the policy is about; none at all if they are more than it allows."""
        chosen = policy.selector
        key = (chosen.namespace, chosen.kinds, chosen.names, tuple(sorted(chosen.labels.items())), chosen.max)
        if key not in self._selections:
            self._selections[key] = self._select(chosen)
        return self._selections[key]

    def _select(self, chosen: Selector) -> Selection:
        count = len(self._targets)
        mask = np.ones(count, np.bool_)
        if chosen.namespace is not None:
            mask &= self._any("namespace", {chosen.namespace}, lambda t: t.namespace)
        if chosen.kinds is not None:
            mask &= self._any("kind", chosen.kinds, lambda t: t.kind)
        if chosen.names is not None:
            mask &= self._any("name", chosen.names, lambda t: t.name)
        for label, value in chosen.labels.items():
            self._labels = self._labels or _labels(self._facts)
            mask &= self._any(f"label {label}", {value}, partial(self._label, label))
        rows = np.flatnonzero(mask)
        if len(rows) > chosen.max:
            nothing = np.empty(0, np.intp)
            places = np.full(count, -1, np.int32)
            return Selection(nothing, f"selects {len(rows)} targets, targets.max allows {chosen.max}", places)
        if len(rows) == count:
            return Selection(rows)
        places = np.full(count, -1, np.int32)
        places[rows] = np.arange(len(rows), dtype=np.int32)
        return Selection(rows, "", places)

    def _label(self, label: str, target: Target) -> str | None:
        return self._facts[target].labels.get(label)

    def _any(self, name: str, values: set[str] | frozenset[str], read: Callable[[Target], str | None]) -> Bools:
        """The rows that have one of these values."""
        if name not in self._indexes:
            rows: dict[str, list[int]] = {}
            for row, target in enumerate(self._targets):
                if (value := read(target)) is not None:
                    rows.setdefault(value, []).append(row)
            self._indexes[name] = {value: np.array(of, np.intp) for value, of in rows.items()}
        mask = np.zeros(len(self._targets), np.bool_)
        for value in values:
            if (found := self._indexes[name].get(value)) is not None:
                mask[found] = True
        return mask


def _labels(facts: Mapping[Target, Facts]) -> tuple[list[Target], list[Mapping[str, str]]]:
    return list(facts), [known.labels for known in facts.values()]


def selected(policy: Policy, snapshot: Snapshot) -> Selection:
    """The rows of the targets that the policy is about; none at all if they are more than it allows."""
    return Catalog(snapshot).select(policy)
