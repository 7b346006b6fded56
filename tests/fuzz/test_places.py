"""Any value at any place of what is right: a fuzzer of bytes seldom writes a whole list where a word belongs."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from controller.settings import Keys
from policies.policy import compile_policy
from tests.fuzz.targets import control, policies, settings
from tests.fuzz.test_fuzz import CORPUS

VALUES: tuple[Any, ...] = (
    *(None, True, 0, -1, 1.5, 10**17, 1e308, "", "x", "1h", "50%", "\x1b[2J"),
    *([], [1], [[]], [None], {}, {"x": 1}, {"type": []}, {"x": {"x": [{}]}}),
)

POLICY = {
    "apiVersion": "gyrostat.dev/v1alpha1",
    "kind": "RemediationPolicy",
    "metadata": {"name": "all", "namespace": "shop"},
    "spec": {
        "mode": "Enforce",
        "targets": {"kinds": ["Service"], "names": ["web"], "selector": {"matchLabels": {"tier": "web"}}, "max": 5},
        "when": "cpu.ratio > 0.9",
        "until": "cpu.ratio < 0.5",
        "for": "1m",
        "minSamples": 10,
        "minConfidencePercent": 50,
        "severity": "Critical",
        "priority": 10,
        "actions": [
            {"type": "HealthCheck", "healthCheck": {"then": "Restart"}},
            {"type": "Restart", "restart": {"how": "Graceful", "instances": "Sick"}},
            {"type": "Scale", "scale": {"by": "+50%", "max": 20}, "hold": "30m"},
        ],
        "throttle": {
            "cooldown": "10m",
            "limits": [{"max": 3, "per": "1h"}],
            "maxConcurrent": 1,
            "maxUnavailable": "10%",
        },
        "activeWindows": [{"schedule": "0 9 * * 1-5", "duration": "8h", "timeZone": "Europe/Berlin"}],
        "blackouts": [{"schedule": "0 9 * * 1-5", "duration": "8h", "timeZone": "UTC"}],
        "verify": {"initialDelay": "60s", "within": "5m"},
        "onFailure": "Next",
    },
}
REQUESTS = [
    path.read_bytes()
    for folder in (CORPUS / "control",)
    for path in sorted(folder.iterdir())
    if path.name.startswith(("loop-", "supervisor-", "reply"))
]


def replaced(data: Any) -> Iterator[Any]:
    """The same data with each of the values at each place, and with a key more at each mapping."""
    yield from VALUES
    if isinstance(data, dict):
        for key, value in data.items():
            yield from ({**data, key: other} for other in replaced(value))
            yield {name: data[name] for name in data if name != key}
        yield from ({**data, key: 1} for key in ("x", "", "\u202e", "a" * 300))
    if isinstance(data, list):
        for place, value in enumerate(data):
            yield from ([*data[:place], other, *data[place + 1 :]] for other in replaced(value))
        yield [*data, *data]


def test_any_value_at_any_place_of_a_policy_keeps_the_rules() -> None:
    assert compile_policy(json.dumps(POLICY)).name == "shop/all"
    count = 0
    for count, data in enumerate(replaced(POLICY), start=1):  # noqa: B007 - the number of the last is asked below
        policies.check(json.dumps(data).encode())
    assert count > 1000


@pytest.mark.parametrize("name", Keys.model_fields)
def test_any_value_of_a_setting_keeps_the_rules(name: str) -> None:
    for value in VALUES:
        settings.check(json.dumps({name: value}).encode())
        text = str(value).replace("\x00", "").encode()
        settings.check(b"\x1eGYROSTAT_" + name.upper().encode() + b"=" + text)
        settings.check(b"\x1e--" + name.encode() + b"=" + text)


@pytest.mark.parametrize("request_", REQUESTS)
def test_any_value_at_any_place_of_a_request_keeps_the_rules(request_: bytes) -> None:
    whom, line = request_[:1], request_[1:]
    try:
        said = json.loads(line)
    except ValueError:
        return
    for data in replaced(said):
        control.check(whom + json.dumps(data).encode())
