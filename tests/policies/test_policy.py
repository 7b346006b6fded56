import hashlib
import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from actions.health_check import HealthCheckParams
from actions.registry import ACTIONS
from actions.restart import How, Instances, RestartParams
from actions.scale import ScaleParams
from policies.model import KINDS, ActionEntry
from policies.policy import (
    Limit,
    Mode,
    OnFailure,
    Rung,
    Severity,
    Throttle,
    allowed_unavailable,
    compile_policy,
)
from telemetry.columns import COLUMNS
from telemetry.documents import Amount, DocumentError, parse
from telemetry.inventory import Facts

from .make import policy, snapshot, target, text


def test_a_policy_reads_in_one_breath_because_the_defaults_are_careful():
    made = policy()
    assert (made.name, made.namespace) == ("shop/hung", "shop")
    assert made.mode is Mode.OBSERVE
    assert (made.delay, made.min_samples, made.min_confidence) == (30.0, 0, 0.7)
    assert (made.severity, made.priority) == (Severity.WARNING, 50)
    assert made.rungs == (Rung("Restart", RestartParams()),)
    assert made.throttle == Throttle(600.0, (), 1, Amount(1))
    assert (made.initial_delay, made.within, made.on_failure) == (10.0, 300.0, OnFailure.ROLLBACK)
    assert made.selector.max == 500
    assert (made.active_windows, made.blackouts) == ((), ())


def test_every_key_of_the_spec_reaches_the_policy():
    made = policy(
        namespace=None,
        mode="Approve",
        targets="{kinds: [Service, Deployment], selector: {matchLabels: {tier: web}}, names: [checkout], max: 7}",
        when="probe.failures > 2",
        until="probe.ok",
        for_="2m",
        minSamples="100",
        minConfidencePercent="85",
        severity="Critical",
        priority="99",
        action=None,
        actions="""
    - {type: Restart, restart: {how: Forceful, instances: All}}
    - {type: Scale, scale: {by: "+50%"}, hold: 30m}""",
        throttle="{cooldown: 0s, limits: [{max: 3, per: 1h}], maxConcurrent: 2, maxUnavailable: 10%}",
        activeWindows='[{schedule: "0 9 * * *", duration: 8h, timeZone: Europe/Berlin}]',
        blackouts='[{schedule: "0 12 * * *", duration: 1h}]',
        verify="{initialDelay: 20s, within: 4m}",
        onFailure="Next",
    )
    assert (made.name, made.namespace) == ("hung", None)
    assert made.mode is Mode.APPROVE
    chosen = made.selector
    assert (chosen.kinds, chosen.names, chosen.max) == ({"Service", "Deployment"}, {"checkout"}, 7)
    assert (made.when.source, made.until.source) == ("probe.failures > 2", "probe.ok")
    assert (made.delay, made.min_samples, made.min_confidence) == (120.0, 100, 0.85)
    assert (made.severity, made.priority) == (Severity.CRITICAL, 99)
    assert made.rungs == (
        Rung("Restart", RestartParams(how=How.FORCEFUL, instances=Instances.ALL)),
        Rung("Scale", ScaleParams(by="+50%"), 1800.0),
    )
    assert made.throttle == Throttle(0.0, (Limit(3, 3600.0),), 2, Amount(10, percent=True))
    assert [(w.schedule, w.duration, w.zone.key) for w in made.active_windows] == [
        ("0 9 * * *", 28800.0, "Europe/Berlin")
    ]
    assert [(w.schedule, w.duration, w.zone.key) for w in made.blackouts] == [("0 12 * * *", 3600.0, "UTC")]
    assert (made.initial_delay, made.within, made.on_failure) == (20.0, 240.0, OnFailure.NEXT)


def test_modes_and_severities_are_ordered_and_have_the_names_of_the_document():
    assert Mode.OBSERVE < Mode.RECOMMEND < Mode.APPROVE < Mode.ENFORCE
    assert Severity.INFO < Severity.WARNING < Severity.CRITICAL
    assert [mode.label for mode in Mode] == ["Observe", "Recommend", "Approve", "Enforce"]
    assert [policy(mode=mode.label).mode for mode in Mode] == list(Mode)
    assert [policy(severity=severity.label).severity for severity in Severity] == list(Severity)


def test_a_ladder_goes_on_by_itself_unless_a_failed_look_does():
    ladder = "[{type: Restart}, {type: Restart, restart: {how: Forceful}}]"
    assert policy(action=None, actions=ladder).on_failure is OnFailure.NEXT
    assert policy(action=None, actions="[{type: Restart}]").on_failure is OnFailure.ROLLBACK
    looks = "[{type: HealthCheck}, {type: Restart}]"
    assert policy(action=None, actions=looks, onFailure="Escalate").on_failure is OnFailure.ESCALATE


def test_a_look_that_says_then_is_two_rungs():
    made = policy(action="{type: HealthCheck, healthCheck: {then: Restart}}")
    assert made.rungs == (Rung("HealthCheck", HealthCheckParams(then="Restart")), Rung("Restart", RestartParams()))
    assert made.on_failure is OnFailure.ROLLBACK


@pytest.mark.parametrize("name", ACTIONS)
def test_every_action_of_the_registry_has_its_parameters_under_its_own_name(name: str):
    key = name[0].lower() + name[1:]
    assert key in ActionEntry.model_fields
    assert f"'{name}'" in str(ActionEntry.model_fields["type"].annotation)


def test_the_hash_is_of_the_content_and_not_of_how_it_is_written():
    same = policy()
    other = compile_policy(parse(text().replace("{type: Restart}", "\n    # a comment\n    'type': \"Restart\""), "x"))
    assert (same.hash, same.content) == (other.hash, other.content)
    assert same == other
    assert len({same, other, policy(for_="31s")}) == 2
    assert same.hash == hashlib.sha256(same.content.encode()).hexdigest()
    assert same.content == json.dumps(json.loads(same.content), sort_keys=True, separators=(",", ":"))


_names = st.from_regex(r"[a-z][a-z0-9]{0,8}", fullmatch=True)


@given(
    st.fixed_dictionaries(
        {},
        optional={
            "for": st.integers(0, 10**6).map(lambda n: f"{n}s"),
            "minSamples": st.integers(0, 10**9),
            "mode": st.sampled_from([mode.label for mode in Mode]),
            "until": st.sampled_from(["probe.ok", "probe.ok // été 😀\n", "probe.failures < 1 &&\tprobe.ok"]),
            "throttle": st.builds(lambda n: {"maxUnavailable": f"{n}%"}, st.integers(0, 100)),
        },
    ),
    st.dictionaries(_names, _names, min_size=1, max_size=3),
)
@settings(max_examples=50)
def test_a_policy_compiles_again_from_its_content_alone(extra: dict[str, object], labels: dict[str, str]):
    document = {
        "apiVersion": "gyrostat.dev/v1alpha1",
        "kind": "RemediationPolicy",
        "metadata": {"name": "p", "namespace": "n"},
        "spec": {
            "targets": {"selector": {"matchLabels": labels}},
            "when": "probe.failures > 2",
            "action": {"type": "Restart"},
            **extra,
        },
    }
    made = compile_policy(parse(json.dumps(document, ensure_ascii=False), "p.yaml"))
    again = compile_policy(made.content, "trail")
    assert (again.hash, again.content, again.name) == (made.hash, made.content, made.name)
    assert (again.rungs, again.throttle, again.selector) == (made.rungs, made.throttle, made.selector)
    assert (again.when.source, again.until.source) == (made.when.source, made.until.source)


@pytest.mark.parametrize(
    "content", ["", "[]", "{}", "null", "5", '{"kind": 5}', '{"kind": "RemediationPolicy"}', "[" * 5000, "{"]
)
def test_a_content_that_is_no_policy_is_a_document_error_with_the_name_of_its_source(content: str):
    with pytest.raises(DocumentError, match=r"^trail:"):
        compile_policy(content, "trail")


def test_errors_of_conditions_and_of_the_schema_are_reported_together():
    bad = text(when="probe.failurs > 2", until="x", mode="enforce", priority="-1")
    with pytest.raises(DocumentError) as caught:
        compile_policy(parse(bad, "p"))
    assert [problem.path for problem in caught.value.problems] == [
        "spec.when",
        "spec.until",
        "spec.mode",
        "spec.priority",
    ]


def test_a_namespaced_policy_selects_its_namespace_only_and_a_cluster_policy_every_one():
    here, there = target("checkout"), target("checkout", "blog")
    facts = Facts(0, 1, 1)
    assert [policy().selects(t, facts) for t in (here, there)] == [True, False]
    assert [policy(namespace=None).selects(t, facts) for t in (here, there)] == [True, True]


@pytest.mark.parametrize(
    ("targets", "chosen"),
    [
        ("{allowAll: true}", "abcd"),
        ("{kinds: [Service], allowAll: true}", "abc"),
        ("{kinds: [Service, Deployment], allowAll: true}", "abcd"),
        ("{names: [a, d, x]}", "ad"),
        ("{kinds: [Service], names: [a, d]}", "a"),
        ("{selector: {matchLabels: {tier: web}}}", "ab"),
        ("{selector: {matchLabels: {tier: web, zone: eu}}}", "b"),
        ("{selector: {matchLabels: {tier: web}}, names: [a, c]}", "a"),
        ("{selector: {matchLabels: {zone: ''}}}", "c"),
        ("{kinds: [StatefulSet], allowAll: true}", ""),
    ],
)
def test_what_is_given_must_all_match(targets: str, chosen: str):
    labels = {"a": {"tier": "web"}, "b": {"tier": "web", "zone": "eu"}, "c": {"zone": ""}, "d": {}}
    made = policy(targets=targets)
    kinds = {"d": "Deployment"}
    found = [
        n for n in "abcd" if made.selects(target(n, kind=kinds.get(n, "Service")), Facts(0, 1, 1, labels=labels[n]))
    ]
    assert "".join(found) == chosen


def test_it_may_start_inside_an_active_window_and_outside_every_blackout():
    nine = 9 * 3600
    made = policy(
        activeWindows='[{schedule: "0 9 * * *", duration: 8h}, {schedule: "0 20 * * *", duration: 1h}]',
        blackouts='[{schedule: "0 12 * * *", duration: 1h}]',
    )
    hours = [hour for hour in range(24) if made.open_at(20_000 * 86400 + hour * 3600)]
    assert hours == [9, 10, 11, 13, 14, 15, 16, 20]
    assert policy().open_at(nine)
    only = policy(blackouts='[{schedule: "0 12 * * *", duration: 1h}]')
    assert [hour for hour in range(24) if not only.open_at(hour * 3600)] == [12]


def test_a_share_of_unavailable_instances_is_rounded_down():
    assert [allowed_unavailable(Amount(30, percent=True), desired) for desired in (0, 3, 4, 10)] == [0, 0, 1, 3]
    assert allowed_unavailable(Amount(2), 1) == 2


def test_without_until_the_condition_must_be_surely_false_to_be_over():
    made = policy(when="probe.failures > 2 // three in a row")
    now = snapshot([target("a"), target("b"), target("c")], probe_failures=[3, 0, float("nan")])
    truth = made.until.evaluate(now.columns)
    assert truth.true.tolist() == [False, True, False]
    assert truth.false.tolist() == [True, False, False]


def test_the_schema_can_be_written_down_for_editors():
    for name, model in KINDS.items():
        schema = model.model_json_schema(by_alias=True)
        assert schema["properties"]["kind"]["const"] == name
        assert schema["additionalProperties"] is False
    assert "probe.failures" in COLUMNS
