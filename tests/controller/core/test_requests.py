"""What a person asks for is done once."""

import json

from controller.core.agents import people
from controller.core.records import Closed, Key, Loaded, Request, Result, Said, Verb
from controller.core.records import Opened as OpenedRecord
from controller.core.state import fold
from controller.core.tick import tick
from controller.core.wish import Rulebook
from controller.inbox import _document
from policies.policy import compile_policy

from .world import ACTIONS, GUARDS, NOW, Limits, Service, snapshot

SERVICE = Service("checkout")


def _asked_for() -> tuple:
    act = {"type": "Scale", "scale": {"by": "+1"}, "hold": "1m"}
    policy = compile_policy(json.dumps(_document("act-1", SERVICE.target, act)))
    request = Request(SERVICE.target, policy.name, policy.hash, NOW + 60)
    said = Said(NOW, "ada", Verb.ACT, "more traffic", request=request)
    state = fold([Loaded(NOW, policy.name, policy.hash, policy.content, once=True), said])
    return policy, state, Key(policy.name, SERVICE.target)


def test_a_request_that_ends_in_a_tick_is_not_begun_again_in_the_same_tick() -> None:
    policy, state, key = _asked_for()
    rules = Rulebook({policy.hash: policy}, ACTIONS, GUARDS, Limits(warmup=0))
    proposals = people(state, rules.policies)
    late = NOW + 61
    state.apply(OpenedRecord(NOW, key, "e1", policy.hash, proposals[0].evidence))
    records = tick(late, snapshot(SERVICE, now=late), state, proposals, rules)
    assert [type(record) for record in records] == [Closed]
    assert records[0].result is Result.DROPPED


def test_a_policy_that_served_a_request_is_forgotten_when_it_ends() -> None:
    policy, state, key = _asked_for()
    proposal = people(state, {policy.hash: policy})[0]
    state.apply(OpenedRecord(NOW, key, "e1", policy.hash, proposal.evidence))
    state.apply(Closed(NOW + 1, key, Result.HEALED))
    assert (state.policies, state.requests, state.episodes) == ({}, {}, {})
