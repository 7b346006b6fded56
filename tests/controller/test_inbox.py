"""What a person asks becomes a statement, or is refused with what would be possible."""

from collections.abc import Mapping
from typing import Any

import pytest

from actions.reason import Reason
from controller.core.agents import people
from controller.core.records import (
    AnyRecord,
    Closed,
    Failed,
    Held,
    Intent,
    Key,
    Loaded,
    Result,
    Said,
    Step,
    Verb,
)
from controller.core.state import Failures, State, fold
from controller.core.tick import tick
from controller.inbox import ACT_EXPIRES, Ask, Refused, statements
from policies.policy import Policy, compile_policy

from .core.world import (
    NOW,
    RESTART,
    Service,
    intent,
    led,
    opened,
    outcome,
    policy,
    restart_plan,
    rules,
    scale_plan,
    snapshot,
)

WEB, DB = Service("web", "---"), Service("db", "+++", namespace="data")
SEEN = snapshot(WEB, DB)
HEAL, RESTARTING = policy(), policy("restarting", action=RESTART)
KEY = Key(HEAL.name, WEB.target)
DO = intent(HEAL, WEB, scale_plan(WEB), at=NOW)


def state(*records: AnyRecord, of: Policy = HEAL) -> State:
    return fold([opened(of, WEB), *records], led(of))


def ask(verb: Verb, about: str = "e1", why: str = "because", **more: Any) -> Ask:
    return Ask("ann", verb, why, about, **more)


def refusal(asked: Ask, of: State) -> str:
    with pytest.raises(Refused) as refused:
        statements(asked, NOW, of, SEEN)
    return str(refused.value)


@pytest.mark.parametrize("verb", Verb)
@pytest.mark.parametrize("why", ["", "  \n"])
def test_nothing_is_done_without_a_reason(verb: Verb, why: str) -> None:
    assert "say why" in refusal(ask(verb, why=why), state())


@pytest.mark.parametrize("verb", [Verb.PAUSE, Verb.RESUME, Verb.FREEZE, Verb.UNFREEZE])
def test_a_stop_is_always_heard(verb: Verb) -> None:
    assert statements(ask(verb, about=""), NOW, State(), snapshot()) == [Said(NOW, "ann", verb, "because")]


@pytest.mark.parametrize("verb", [Verb.UNDO, Verb.ABORT, Verb.APPROVE, Verb.ACK])
def test_an_episode_that_is_not_open_is_refused_with_those_that_are(verb: Verb) -> None:
    assert "no open episode 'e9'; open: e1" in refusal(ask(verb, "e9"), state())
    assert "open: none" in refusal(ask(verb, "e9"), led())


HUMAN = Closed(NOW, KEY, Result.NEEDS_HUMAN, "look", helped=False)
LOOKS: Mapping[str, tuple[Verb, State, str]] = {
    "undo before anything was done": (Verb.UNDO, state(), "nothing was done yet"),
    "undo of a restart": (
        Verb.UNDO,
        state(intent(RESTARTING, WEB, restart_plan(WEB)), of=RESTARTING),
        "a Restart leaves nothing to put back",
    ),
    "undo of what is over": (Verb.UNDO, state(DO, outcome(DO), HUMAN), "waits for `auto ack`"),
    "abort of what is over": (Verb.ABORT, state(DO, outcome(DO), HUMAN), "waits for `auto ack`"),
    "approval that nobody waits for": (Verb.APPROVE, state(), "does not wait for an approval (held: no)"),
    "approval of what is paused": (
        Verb.APPROVE,
        state(Held(NOW, KEY, Reason.PAUSED)),
        "does not wait for an approval (held: Paused)",
    ),
    "ack of what needs nobody": (Verb.ACK, state(DO), "does not need a human"),
}


@pytest.mark.parametrize("name", LOOKS)
def test_what_makes_no_sense_is_refused_with_why(name: str) -> None:
    verb, of, why = LOOKS[name]
    assert why in refusal(ask(verb), of)


@pytest.mark.parametrize(
    ("verb", "of"),
    [
        (Verb.UNDO, state(DO)),
        (Verb.ABORT, state()),
        (Verb.ABORT, state(DO)),
        (Verb.APPROVE, state(Held(NOW, KEY, Reason.NEEDS_APPROVAL))),
        (Verb.APPROVE, state(Held(NOW, KEY, Reason.IRREVERSIBLE))),
        (Verb.ACK, state(DO, outcome(DO), HUMAN)),
        (Verb.ACK, state(Held(NOW, KEY, Reason.ATTEMPTS_EXHAUSTED))),
    ],
)
def test_what_makes_sense_is_said(verb: Verb, of: State) -> None:
    assert statements(ask(verb), NOW, of, SEEN) == [Said(NOW, "ann", verb, "because", "e1")]


def test_what_is_exhausted_goes_on_after_a_person_looked() -> None:
    """Else nobody could ever let it try again: there is no episode that needs a human."""
    of = state(Held(NOW, KEY, Reason.ATTEMPTS_EXHAUSTED))
    of.failures[KEY] = Failures(5, NOW - 9999)
    fold(statements(ask(Verb.ACK), NOW, of, SEEN), of)
    assert not of.failures
    assert KEY in of.episodes


# --- act


def acting(target: str = "web", **action: Any) -> Ask:
    return ask(Verb.ACT, "", act={"target": target, "action": {"type": "Scale", "scale": {"by": "+1"}, **action}})


def test_an_act_is_a_policy_of_its_own_that_serves_it_once() -> None:
    of = led(HEAL)
    loaded, said = statements(acting(), NOW, of, SEEN)
    assert isinstance(loaded, Loaded)
    assert isinstance(said, Said)
    assert loaded.once
    assert said.request is not None
    assert said.request.target == WEB.target
    assert said.request.expires == NOW + ACT_EXPIRES
    fold([loaded, said], of)
    made = compile_policy(loaded.content)
    assert made.hash == loaded.hash
    assert made.name not in of.in_force
    (wish,) = people(of, {made.hash: made})
    assert (wish.by_person, wish.key) == ("ann", Key(made.name, WEB.target))
    records = tick(NOW, SEEN, of, [wish], rules(made))
    assert [r.step for r in records if isinstance(r, Intent)] == [Step.DO]


def test_two_acts_have_two_names() -> None:
    of = led(HEAL)
    names = set()
    for _ in range(2):
        records = statements(acting(), NOW, of, SEEN)
        fold(records, of)
        names |= {record.policy for record in records if isinstance(record, Loaded)}
    assert len(names) == 2
    assert len(of.requests) == 2


def test_an_act_may_name_its_target_with_or_without_the_namespace() -> None:
    for ref in ("db", "data/db"):
        said = statements(acting(ref), NOW, led(), SEEN)[-1]
        assert isinstance(said, Said)
        assert said.request is not None
        assert said.request.target == DB.target


def test_a_target_that_is_not_there_or_not_the_only_one_is_refused() -> None:
    assert "ghost" in refusal(acting("ghost"), led())
    twin = Service("web", "+++", namespace="data")
    with pytest.raises(Refused, match="web"):
        statements(acting("web"), NOW, led(), snapshot(WEB, twin))


@pytest.mark.parametrize(
    "action",
    [{}, {"type": "Explode"}, {"type": "Scale"}, {"type": "Scale", "scale": {"by": "2"}}, {"type": "Scale", "x": 1}],
)
def test_an_action_that_is_wrong_is_refused_with_its_place(action: dict[str, Any]) -> None:
    asked = ask(Verb.ACT, "", act={"target": "web", "action": action})
    assert "spec.action" in refusal(asked, led())


def test_an_act_without_anything_is_refused() -> None:
    assert refusal(ask(Verb.ACT, ""), led())


def test_a_failed_act_counts_for_itself_only() -> None:
    of = led(HEAL)
    loaded, said = statements(acting(), NOW, of, SEEN)
    assert isinstance(loaded, Loaded)
    made = compile_policy(loaded.content)
    first = intent(made, WEB, scale_plan(WEB), at=NOW)
    fold([loaded, said, opened(made, WEB, at=NOW), first, outcome(first), Failed(NOW, first.key, 1, 0)], of)
    assert set(of.failures) == {first.key}


@pytest.mark.parametrize("action", [[1], "Scale", 3, None, True])
def test_an_action_that_is_no_object_is_refused_in_words(action):
    """Found by fuzzing: it came out as an AttributeError."""
    ask = Ask("me", Verb.ACT, "test", act={"target": "shop/web", "action": action})
    with pytest.raises(Refused, match="action"):
        statements(ask, NOW, State(), SEEN)
