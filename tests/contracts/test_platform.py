"""What every platform must do; a new platform is one more rig here."""

from dataclasses import replace

import pytest

from actions import health_check, restart
from actions.plan import Change
from actions.platforms.dry_run import DryRun
from actions.platforms.local.platform import LocalPlatform
from actions.platforms.memory import MemoryPlatform
from telemetry.verdict import Verdict

from ..controlplane.rig import KubernetesRig  # noqa: TID252  importlib mode has no package named tests
from ..services.local import Local, service  # noqa: TID252

PASS, FAIL, UNKNOWN = Verdict.PASS, Verdict.FAIL, Verdict.UNKNOWN


class MemoryRig:
    """Two instances of `shop/checkout`, from 1 to 6."""

    writes = True

    def __init__(self):
        self.memory = MemoryPlatform()
        self.platform = self.memory
        self.target = self.memory.add("shop", "checkout", 2, bounds=(1, 6))
        self.guarded = self.memory.add("shop", "guarded", 1, bounds=(1, 6), protected="the database")

    def facts(self, target=None):
        return self.memory.facts()[target or self.target]

    def other_writer(self, desired):
        self.memory.edit(self.target, desired)

    def recreate(self):
        self.memory.remove(self.target)
        self.target = self.memory.add("shop", "checkout", 2, bounds=(1, 6))

    def settle(self):
        self.memory.step(5)
        self.memory.step(5)

    def unreachable(self):
        self.memory.reachable = False
        return self.platform

    def close(self):
        pass


class DryRig(MemoryRig):
    writes = False

    def __init__(self):
        super().__init__()
        self.platform = DryRun(self.memory)


class LocalRig:
    writes = True

    def __init__(self):
        self.local = Local(service(), service("guarded", protected="the database"))
        self.platform = self.local.platform
        self.local.start()
        self.local.until_ready(2)
        self.target, self.guarded = self.local.target(), self.local.target("guarded")

    def facts(self, target=None):
        return self.local.facts(target or self.target)

    def other_writer(self, desired):
        slots = self.local.listing()["desired"]
        fields = {"op": "apply", "target": self.local.listing()["target"], "path": "desired", "before": slots}
        assert self.local.ask(**fields, after=desired)["verdict"] == "Pass"

    def recreate(self):
        self.local.write(service("guarded", protected="the database"))
        assert self.local.ask(op="reload")["removed"] == ["shop/checkout"]
        self.local.write(service(), service("guarded", protected="the database"))
        assert self.local.ask(op="reload")["added"] == ["shop/checkout"]
        self.target = self.local.target()
        self.settle()

    def settle(self):
        self.local.until_settled(self.local.listing()["desired"])

    def unreachable(self):
        return LocalPlatform(self.local.state / "nobody")

    def close(self):
        self.local.close()


@pytest.fixture(scope="module")
def local_rig():
    rig = LocalRig()
    yield rig
    rig.close()


@pytest.fixture(scope="module")
def deployment_rig(cluster):
    with cluster.namespace("contract") as namespace:
        yield KubernetesRig(cluster, namespace, "Deployment")


@pytest.fixture(scope="module")
def stateful_set_rig(cluster):
    with cluster.namespace("contract") as namespace:
        yield KubernetesRig(cluster, namespace, "StatefulSet")


pytestmark = pytest.mark.cluster
SHARED = ["local", "deployment", "stateful_set"]


def the_rig(request):
    if request.param in SHARED:
        shared = request.getfixturevalue(f"{request.param}_rig")
        shared.settle()
        return shared
    return {"memory": MemoryRig, "dry_run": DryRig}[request.param]()


@pytest.fixture(params=["memory", "dry_run", *SHARED])
def rig(request):
    return the_rig(request)


@pytest.fixture(params=["memory", *SHARED])
def writing_rig(request):
    """A dry run asks the plan about bounds and owners: it can only read whether `before` holds."""
    return the_rig(request)


def desired(rig, step=1):
    now = rig.facts().desired
    return Change(rig.target, "desired", now, now + step)


def restarting(rig, slot=0, after=restart.NEWER):
    instance = rig.facts().instances[slot]
    return Change(rig.target, restart.path(instance.slot), instance.incarnation, after)


def untouched(rig, before):
    after = rig.facts()
    return (after.desired, [i.incarnation for i in after.instances]) == (
        before.desired,
        [i.incarnation for i in before.instances],
    )


def test_a_change_is_written_once_and_is_then_in_force(rig):
    change = desired(rig)
    assert rig.platform.holds(change) is FAIL
    assert rig.platform.apply(change, "i1") is PASS
    assert rig.platform.holds(change) is PASS
    assert rig.platform.apply(change, "i1") is FAIL
    assert rig.facts().desired == (change.after if rig.writes else change.before)
    assert rig.platform.apply(change.inverse(), "i2") is PASS


def test_the_inverse_undoes(rig):
    before, change = rig.facts(), desired(rig)
    rig.platform.apply(change, "i1")
    assert rig.platform.apply(change.inverse(), "i2") is PASS
    assert rig.platform.holds(change.inverse()) is PASS
    assert rig.platform.holds(change) is FAIL
    assert rig.facts().desired == before.desired


def test_undo_never_overwrites_another_writer(rig):
    change = desired(rig)
    rig.platform.apply(change, "i1")
    rig.other_writer(change.after + 2)
    assert rig.platform.holds(change) is FAIL
    assert rig.platform.apply(change.inverse(), "i2") is FAIL
    assert rig.facts().desired == change.after + 2
    rig.other_writer(change.before)


@pytest.mark.parametrize(
    "spoil",
    [
        lambda c: replace_(c, before=c.before + 1),
        lambda c: replace_(c, before=str(c.before)),
        lambda c: replace_(c, before=None),
        lambda c: replace_(c, object=uid_of(c.object, "other")),
        lambda c: replace_(c, object=uid_of(c.object, "")),
        lambda c: replace_(c, path="image"),
        lambda c: replace_(c, path="slots/0/healthy", before=1, after=0),
        lambda c: replace_(c, path="slots/77/incarnation"),
        lambda c: replace_(c, path=""),
    ],
)
def test_a_change_that_does_not_fit_exactly_is_refused_and_writes_nothing(rig, spoil):
    before = rig.facts()
    assert rig.platform.apply(spoil(desired(rig)), "i1") is FAIL
    assert untouched(rig, before)


def replace_(change, **fields):
    values = {name: getattr(change, name) for name in ("object", "path", "before", "after")}
    return Change(**(values | fields))


def uid_of(target, uid):
    return type(target)(target.platform, target.kind, target.namespace, target.name, uid)


def test_what_the_bounds_or_the_owner_forbid_is_refused_where_it_would_be_written(writing_rig):
    rig = writing_rig
    assert rig.platform.apply(desired(rig, 5), "i1") is FAIL
    assert rig.platform.apply(desired(rig, -2), "i1") is FAIL
    facts = rig.facts(rig.guarded)
    assert facts.protected == "the database"
    assert rig.platform.apply(Change(rig.guarded, "desired", facts.desired, facts.desired + 1), "i1") is FAIL


def test_a_restart_replaces_exactly_the_named_slot(rig):
    before, change = rig.facts(), restarting(rig, 1)
    assert rig.platform.holds(change) is FAIL
    assert rig.platform.apply(change, "i1") is PASS
    assert rig.platform.holds(change) is PASS
    assert rig.platform.apply(change, "i1") is FAIL
    rig.settle()
    assert rig.platform.holds(change) is PASS
    after = rig.facts()
    assert after.instances[0].incarnation == before.instances[0].incarnation
    assert (after.instances[1].incarnation != before.instances[1].incarnation) == rig.writes


def test_a_forceful_restart_replaces_it_too_and_follows_a_graceful_one(rig):
    change = restarting(rig, 0, restart.NEWER_AT_ONCE)
    assert rig.platform.apply(change, "i1") is PASS
    assert rig.platform.apply(change, "i1") is FAIL
    rig.settle()
    assert rig.platform.holds(change) is PASS


def test_an_incarnation_that_is_gone_is_not_restarted_again(rig):
    change = restarting(rig)
    rig.platform.apply(change, "i1")
    rig.settle()
    before = rig.facts()
    assert rig.platform.apply(change, "i2") is FAIL
    rig.settle()
    assert untouched(rig, before)


def test_a_re_created_target_is_another_one(rig):
    old, change, again = rig.target, desired(rig), restarting(rig)
    rig.recreate()
    assert rig.target != old
    assert (rig.target.namespace, rig.target.name) == (old.namespace, old.name)
    before = rig.facts()
    assert rig.platform.apply(change, "i1") is FAIL
    assert rig.platform.apply(again, "i1") is FAIL
    assert rig.platform.holds(change) is FAIL
    assert untouched(rig, before)


def test_a_probe_is_asked_freshly_and_never_written(rig):
    slot = rig.facts().instances[0].slot
    probe = Change(rig.target, health_check.path(slot), None, 1)
    assert rig.platform.holds(probe) is PASS
    assert rig.platform.apply(probe, "i1") is FAIL
    assert rig.platform.holds(replace_(probe, path="slots/77/healthy")) is FAIL


def test_nobody_there_writes_nothing_and_tells_nothing(rig):
    change = desired(rig)
    platform = rig.unreachable()
    assert platform.apply(change, "i1") is FAIL
    assert platform.holds(change) is UNKNOWN


def test_another_platforms_target_is_not_ours(rig):
    change = desired(rig)
    foreign = replace_(change, object=type(rig.target)("elsewhere", *[getattr(rig.target, n) for n in PARTS]))
    assert rig.platform.apply(foreign, "i1") is FAIL
    assert rig.platform.holds(foreign) is FAIL


PARTS = ("kind", "namespace", "name", "uid")


def test_facts_name_every_field_that_can_be_changed(rig):
    facts = rig.facts()
    assert facts.fields["desired"] == facts.desired == len(facts.instances)
    for instance in facts.instances:
        assert facts.fields[restart.path(instance.slot)] == instance.incarnation
        assert facts.fields[health_check.path(instance.slot)] in (0, 1, None)
    assert facts == replace(facts, ready=sum(i.ready is True for i in facts.instances))
