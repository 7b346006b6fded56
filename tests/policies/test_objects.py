"""A policy as an object of the cluster's API means what it means as a file, and is refused with the same words."""

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from policies.load import load_files
from policies.objects import compile_object, document_of, load_objects, name_of
from policies.policy import Mode
from telemetry.documents import DocumentError, parse
from telemetry.expression import MAX_OPERATIONS_OF_A_SET

from .make import policy, text

BAD = sorted((Path(__file__).parent / "bad").glob("*.yaml"))
EXPECT = "# expect: "
ADDED = {
    "uid": "6f1c", "resourceVersion": "17", "generation": 3, "creationTimestamp": "2026-11-22T07:00:00Z",
    "labels": {"team": "shop"}, "annotations": {"note": "x" * 5000}, "managedFields": [{"manager": "kubectl"}],
}  # fmt: skip


def made(source: str = "", **spec: Any) -> dict[str, Any]:
    """The object that the API server would hand out for this YAML."""
    data = yaml.safe_load(source or text(**spec))
    data["metadata"] = data.get("metadata", {}) | ADDED
    return data | {"status": {"conditions": [{"type": "Ready", "status": "True"}]}}


def told(of: dict[str, Any]) -> list[str]:
    with pytest.raises(DocumentError) as error:
        compile_object(of)
    return [str(problem) for problem in error.value.problems]


def test_an_object_is_the_policy_that_its_file_is_whatever_the_api_server_adds():
    assert compile_object(made()) == policy()
    assert compile_object(made(mode="Enforce")).mode is Mode.ENFORCE
    whole = compile_object(made(namespace=None))
    assert (whole.name, whole.namespace) == ("hung", None)


def _plain(path: Path) -> bool:
    """Whether a file is wrong as a policy and not as YAML, so that an object can have the same fault."""
    try:
        data = parse(path.read_bytes(), path.name).data
    except DocumentError:
        return False
    return isinstance(data, dict) and set(data) <= {"apiVersion", "kind", "metadata", "spec"} and "cut" not in path.stem


SAME = [path for path in BAD if _plain(path)]
WITHIN = re.compile(":[0-9]+:[0-9]+$")


def test_most_of_the_corpus_can_be_wrong_as_an_object_too():
    assert len(SAME) > 80


@pytest.mark.parametrize("path", SAME, ids=lambda path: path.stem)
def test_what_a_file_is_refused_for_an_object_is_refused_for_in_the_same_words(path: Path):
    data = parse(path.read_bytes(), path.name).data
    extra = set(data.get("metadata") or {}) - {"name", "namespace"}
    expected = {str(p).partition(": ")[2] for p in load_files([path]).problems}
    if extra:  # the API server's own fields stand there, so nothing in metadata is unknown
        expected = {line for line in expected if not line.startswith("metadata.")}
        if not expected:
            compile_object(data)
            return
    with pytest.raises(DocumentError) as error:
        compile_object(data)
    found = set()
    for problem in error.value.problems:
        assert problem.line == problem.column == 0
        found.add(str(replace(problem, file="", path=WITHIN.sub("", problem.path))).removeprefix(": "))
    assert found == expected


def test_a_problem_names_object_and_field_and_the_place_within_a_condition():
    assert told(made(when="probe.ok && probe.okey")) == [
        "RemediationPolicy shop/hung: spec.when:1:13: unknown column `probe.okey` (did you mean `probe.ok`?)"
    ]
    choices = "did you mean Enforce? allowed: Observe, Recommend, Approve, Enforce"
    assert told(made(mode="enforce", for_="5")) == [
        f"RemediationPolicy shop/hung: spec.mode: 'enforce' is not allowed ({choices})",
        "RemediationPolicy shop/hung: spec.for: 5 is not a duration (like 30s, 5m, 1h30m or 1d; units d h m s ms)",
    ]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"spec": None}, "spec: has no value"),
        ({"spec": "x"}, "spec: must be a mapping, not 'x'"),
        ({"kind": "ConfigMap"}, "kind: 'ConfigMap' is not allowed"),
        ({"apiVersion": "gyrostat.dev/v1"}, "apiVersion: 'gyrostat.dev/v1' is not allowed"),
        ({"metadata": {"name": "x" * 200, "namespace": "shop"}}, "metadata.name"),
        ({"metadata": {"name": "a.b", "namespace": "shop"}}, "metadata.name: 'a.b' is not allowed"),
    ],
)
def test_an_object_of_another_form_is_refused_and_never_crashes(change: dict[str, Any], said: str):
    assert any(said in line for line in told(made() | change))


def test_an_object_has_the_limits_of_a_file():
    deep: Any = "x"
    for _ in range(40):
        deep = [deep]
    hostile = made()
    hostile["spec"] = hostile["spec"] | {"when": deep}
    assert any("nested too deeply" in line for line in told(hostile))
    hostile["spec"] = hostile["spec"] | {"when": "x" * 2_000_000}
    assert any("too large" in line for line in told(hostile))
    hostile["spec"] = hostile["spec"] | {"when": "probe.ok \u202e"}
    assert told(hostile)[0].startswith("RemediationPolicy shop/hung: spec.when: holds the hidden character")


def test_one_wrong_object_does_no_harm_to_the_others():
    good, bad = made(), made(when="nothing.there > 1")
    bad["metadata"] = {"name": "bad", "namespace": "shop"}
    result = load_objects([bad, good])
    assert list(result.policies) == [name_of(good)]
    assert list(result.problems) == [name_of(bad)]


def test_a_name_that_a_file_has_stays_the_files():
    result = load_objects([made()], taken={"shop/hung": policy()})
    assert result.policies == {}
    (problem,) = result.problems[name_of(made())]
    assert str(problem) == (
        "RemediationPolicy shop/hung: metadata.name: shop/hung is already given by a policy file of the controller "
        "(rename one)"
    )


def test_the_last_objects_are_refused_when_all_together_cost_more_than_a_tick_may():
    def costly(number: int) -> dict[str, Any]:
        of = made(when=" && ".join(f"cpu.ratio > 0.{number:03}{term:03}" for term in range(120)))
        of["metadata"] = {"name": f"p{number:03}", "namespace": "shop"}
        return of

    every = [costly(number) for number in range(200)]
    result = load_objects(every)
    kept = [name for name in map(name_of, every) if name in result.policies]
    assert kept == [name_of(one) for one in every][: len(kept)]
    assert 10 < len(kept) < 200
    assert f"more than {MAX_OPERATIONS_OF_A_SET}" in str(result.problems[name_of(every[-1])][0])
    assert load_objects(every[: len(kept) + 1]).problems.keys() == {name_of(every[len(kept)])}


def test_the_document_of_an_object_has_only_what_its_author_wrote():
    assert document_of(made()).data.keys() == {"apiVersion", "kind", "metadata", "spec"}
    assert document_of(made()).data["metadata"] == {"name": "hung", "namespace": "shop"}
