"""What conditions read of the inventory: names, kinds and labels of targets."""

import numpy as np
import pytest

from telemetry.columns import COLUMNS, Column
from telemetry.expression import compile_condition
from telemetry.inventory import Facts
from telemetry.reading import columns_at, label_column, label_key
from telemetry.snapshot import Snapshot
from telemetry.target import Target
from telemetry.verdict import Verdict

TARGETS = tuple(Target("memory", kind, ns, name, "u") for ns, kind, name in (
    ("pay", "Service", "api"), ("shop", "Deployment", "web"), ("shop", "Service", "web-2"),
))  # fmt: skip
LABELS = ({"tier": "web"}, {}, {"tier": "db", "app.io/name": "x"})
SNAPSHOT = Snapshot(
    5.0,
    TARGETS,
    {"cpu.ratio": Column(COLUMNS["cpu.ratio"], np.array([0.1, 0.9, np.nan]), np.zeros(3), np.ones(3))},
    {target: Facts(5.0, 1, 1, labels=labels) for target, labels in zip(TARGETS, LABELS, strict=True)},
)


@pytest.mark.parametrize(("source", "answers"), [
    ("target.name == 'web'", "FPF"), ("target.name.startsWith('web')", "FPP"), ("target.kind != 'Service'", "FPF"),
    ("target.namespace in ['shop']", "FPP"), ("target.namespace < 'q'", "PFF"), ("labels.tier == 'web'", "PUF"),
    ("target.labels['tier'] != 'web'", "FUP"), ("labels['app.io/name'].contains('x')", "UUP"),
    ("has(labels.tier)", "PFP"), ("'app.io/name' in labels", "FFP"), ("!has(target.labels.tier)", "FPF"),
    ("labels.tier in ['db', 'web'] && cpu.ratio < 0.5", "PFU"), ("target.name == labels.tier", "FUF"),
    ("(has(labels.tier) ? labels.tier : target.name) == 'web'", "PPF"),
])  # fmt: skip
def test_a_condition_reads_the_inventory(source: str, answers: str) -> None:
    condition = compile_condition(source)
    letters = {Verdict.PASS: "P", Verdict.FAIL: "F", Verdict.UNKNOWN: "U"}
    truth = condition.evaluate(columns_at(SNAPSHOT, condition.columns))
    assert "".join(letters[truth.at(row)] for row in range(3)) == answers
    for rows in ([0, 2], [1, 2], [1], []):
        part = condition.evaluate(columns_at(SNAPSHOT, condition.columns, np.array(rows, np.intp)))
        assert "".join(letters[part.at(at)] for at in range(len(rows))) == "".join(answers[row] for row in rows)


def test_a_missing_label_is_unknown_and_not_empty() -> None:
    column = columns_at(SNAPSHOT, ['labels["tier"]'])['labels["tier"]']
    assert column.known.tolist() == [True, False, True]


def test_labels_are_columns_of_their_own() -> None:
    assert label_key(label_column("app.io/name").name) == "app.io/name"
    assert label_key("cpu.ratio") is None


def test_what_nobody_fills_is_left_out_but_rows_are_counted() -> None:
    found = columns_at(SNAPSHOT, ["files.count"], np.array([0, 1]))
    assert "files.count" not in found
    assert {len(column.values) for column in found.values()} == {2}


def test_explain_shows_text_as_text() -> None:
    condition = compile_condition("labels.tier == 'web' && target.name.startsWith('a') && cpu.ratio > 0.05")
    shown = dict(condition.explain(columns_at(SNAPSHOT, condition.columns), 0))
    assert shown["labels.tier"] == "web"
    assert shown["target.name"] == "api"
    assert shown["target.name.startsWith('a')"] == 1.0
    assert dict(condition.explain(columns_at(SNAPSHOT, condition.columns), 1))["labels.tier"] is None
