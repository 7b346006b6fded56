from dataclasses import replace

from actions.escalate import Escalate, EscalateParams, words

from .helpers import TARGET, facts


def told(**more):
    return words(replace(facts("+--"), **more))


def test_it_writes_nothing_and_asks_a_person():
    plan = Escalate().plan(TARGET, EscalateParams(), facts("+--"), None)
    assert (plan.changes, plan.probes, plan.disrupts, plan.undo_changes()) == ((), (), 0, ())
    assert plan.asks == "1 of 3 instances are ready"


def test_a_person_is_told_what_is_wrong_and_what_was_changed_last_by_whom():
    said = told(
        troubles=("web-1: OOMKilled, exit code 137, 3 restarts, memory limit 256 MiB",),
        revision="7",
        changed_at=1_795_334_400.0,
        writers={"spec": "kubectl-set", "desired": "someone"},
    )
    assert said == (
        "web-1: OOMKilled, exit code 137, 3 restarts, memory limit 256 MiB; 1 of 3 instances are ready; "
        "revision 7, changed 2026-11-22 08:00:00Z by kubectl-set"
    )


def test_what_is_not_known_is_left_out():
    assert told(revision="7") == "1 of 3 instances are ready; revision 7"
    assert told(changed_at=1_795_334_400.0).endswith("; its spec, changed 2026-11-22 08:00:00Z")


def test_it_is_never_more_than_a_person_reads():
    assert len(told(troubles=("x" * 900, "y" * 900))) == 1000
