"""What the chart says of kinds and permissions is what the code says."""

from pathlib import Path

import pytest
import yaml

from actions.registry import ACTIONS
from controller.cluster.chart import SCHEMA, files, write
from controller.cluster.rbac import CLUSTER, READS, WRITES

from .docs import ROOT

CHART = ROOT / "helm"


@pytest.mark.parametrize("name", files(CHART))
def test_a_generated_file_of_the_chart_is_up_to_date(name: str) -> None:
    assert (CHART / name).read_text() == files(CHART)[name], "run: python -m controller.cluster helm"


def test_there_is_no_other_kind_in_the_chart() -> None:
    there = {f"templates/crds/{path.name}" for path in (CHART / "templates" / "crds").iterdir()}
    assert there == {name for name in files(CHART) if name.startswith("templates/crds/")}


def test_writing_says_what_was_written(tmp_path: Path) -> None:
    (tmp_path / SCHEMA).write_text((CHART / SCHEMA).read_text())
    written = write(tmp_path)
    assert {str(path.relative_to(tmp_path)) for path in written} == set(files(CHART))
    assert all(path.read_text() == files(CHART)[str(path.relative_to(tmp_path))] for path in written)


def test_a_default_install_reads_targets_and_writes_only_what_says_something() -> None:
    assert {verb for rule in READS for verb in rule.verbs} == {"get", "list", "watch"}
    ours = {(rule.group, rule.resource) for rule in (*WRITES, *CLUSTER) if set(rule.verbs) - {"get", "list", "watch"}}
    assert {group for group, _ in ours} == {"gyrostat.dev", "events.k8s.io"}
    for rule in (*READS, *WRITES, *CLUSTER):
        assert "*" not in (rule.group, rule.resource, *rule.verbs)
        assert rule.resource.split("/")[0] not in {"secrets", "configmaps", "serviceaccounts", "roles"}


def test_the_permissions_of_each_action_are_in_the_chart() -> None:
    granted = yaml.safe_load((CHART / "files" / "permissions.yaml").read_text())["actions"]
    for name, action in ACTIONS.items():
        said = {(r["apiGroups"][0], r["resources"][0], *r["verbs"]) for r in granted[name]}
        assert said == {(p.group, p.resource, *p.verbs) for p in action.permissions}
    assert granted.keys() == ACTIONS.keys()
