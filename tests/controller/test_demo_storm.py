"""The demo's storm, with the demo's own policies, services and settings: alone each would have been acted on."""

from dataclasses import replace
from pathlib import Path

import pytest

from actions.platforms.local.services import load as load_services
from actions.reason import Reason
from controller.core.agents import PolicyAgent
from controller.core.records import AnyRecord, Closed, Held, Intent, Result, Storm
from controller.demo import run as demo
from controller.demo.evidence import held_by_storm
from controller.settings import load as load_settings
from policies.load import load_folder

from .core.world import NOW, Run, Service, led, rules, snapshot

FILES = Path(demo.__file__).parent / "files"
SERVICES = load_services(FILES / "services.yaml")
TICK, SPELL = 0.25, 6.0  # seconds: between two looks, and for which services hang


def history(*sick: str, storms: bool = True) -> list[AnyRecord]:
    """What the controller writes down while these hang and for a while after, with or without the rule of storms."""
    limits = load_settings(config=FILES / "gyrostat.yaml").limits
    limits = limits if storms else replace(limits, storm_targets=10_000)
    policies = load_folder(FILES / "policies").policies
    going = Run(rules(*policies, limits=limits), led(*policies))
    agent = PolicyAgent()
    for turn in range(int((SPELL + 2) / TICK)):
        now = NOW + turn * TICK
        hangs = now < NOW + SPELL
        seen = snapshot(
            *(
                Service(s.name, ("-" if s.ref in sick and hangs else "+") * s.replicas.desired, labels=s.labels)
                for s in SERVICES.values()
            ),
            now=now,
        )
        proposals = agent.propose(now, seen, policies, going.state, limits)
        going.turn(seen, *proposals, after=TICK if turn else 0.0)
    return going.trail


@pytest.mark.parametrize("name", sorted(SERVICES))
def test_each_service_alone_is_acted_on(name: str) -> None:
    records = history(name)

    assert {record.key.target.ref for record in records if isinstance(record, Intent)} == {name}
    assert not any(isinstance(record, Storm) for record in records)


def test_all_of_them_at_once_are_held_and_nothing_is_done() -> None:
    records = history(*SERVICES)

    assert not any(isinstance(record, Intent) for record in records)
    assert held_by_storm(records) == SERVICES.keys()
    assert {record.reason for record in records if isinstance(record, Held)} == {Reason.STORM}
    closed = [record for record in records if isinstance(record, Closed)]
    assert {record.key.target.ref for record in closed} == SERVICES.keys()
    assert {record.result for record in closed} == {Result.RECOVERED}


def test_without_the_rule_the_same_failure_is_acted_on() -> None:
    records = history(*SERVICES, storms=False)

    assert any(isinstance(record, Intent) for record in records)


def test_one_fewer_than_a_storm_takes_is_acted_on_one_by_one() -> None:
    few = sorted(SERVICES)[:4]

    records = history(*few)

    started = [record.key.target.ref for record in records if isinstance(record, Intent)]
    assert len(started) == 1  # the first is not verified yet, and the policy lets one be under way
    assert {record.reason for record in records if isinstance(record, Held)} == {Reason.CONCURRENCY}
    assert not held_by_storm(records)
