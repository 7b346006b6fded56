"""What the supervisor says becomes facts and samples; tested against a real one."""

import os
import signal
import threading

import pytest

from telemetry.columns import CLUSTERED, COLUMNS, SENT, USUAL
from telemetry.processor import Processor
from telemetry.sources.host import HostSource
from telemetry.sources.supervisor import SupervisorSource
from telemetry.sources.unix_rpc import Server

from ..services.local import local, service  # noqa: TID252  importlib mode has no package named tests


@pytest.fixture(scope="module")
def rig():
    limits = {"memory": "1Gi", "cpu": 0.5}
    with local(
        service(labels={"tier": "web"}, limits=limits, protected="not this one"),
        service("quiet", listen="none", probe=None, replicas={"desired": 1}),
    ) as rig:
        rig.until_ready(2)
        yield rig


def read(rig, now=1000.0, name="checkout"):
    reading = rig.source.read(now)
    assert reading.error == ""
    target = next(target for target in reading.facts if target.name == name)
    return reading, target, {s.column: s for s in reading.samples if s.target == target}


def test_facts_say_what_is_desired_and_what_runs(rig):
    reading, target, _ = read(rig)
    facts = reading.facts[target]
    assert (target.platform, target.kind, target.ref) == ("local", "Service", "shop/checkout")
    assert target.uid
    assert (facts.seen_at, facts.desired, facts.ready, facts.minimum, facts.maximum) == (1000.0, 2, 2, 1, 6)
    assert (facts.labels, facts.protected, facts.changed_at) == ({"tier": "web"}, "not this one", 0.0)
    listed = rig.slots()
    assert [(i.slot, i.incarnation, i.ready, i.started_at) for i in facts.instances] == [
        (s["slot"], s["incarnation"], True, s["started_at"]) for s in listed
    ]
    assert rig.source.limits[target] == (1 << 30, 0.5)


def test_samples_are_stamped_by_the_readers_clock_and_no_fresher_than_the_oldest_probe(rig):
    _, _, samples = read(rig, now=5000.0)
    assert samples.keys() <= COLUMNS.keys()
    assert samples["active.count"].at == 5000.0
    assert 4990.0 < samples["probe.ok"].at <= 5000.0
    assert (samples["probe.ok"].value, samples["probe.ok"].count) == (1.0, 2)
    assert (samples["instances.sick"].value, samples["probe.failures"].value) == (0.0, 0.0)
    assert samples["up.duration"].value > 0
    assert samples["change.recent"].value == 0.0
    assert "change.age" not in samples


def test_a_service_without_a_probe_is_neither_well_nor_sick(rig):
    reading, target, samples = read(rig, name="quiet")
    assert not samples.keys() & {"probe.ok", "probe.failures", "instances.sick"}
    assert samples["active.count"].value == 1.0
    assert reading.facts[target].instances[0].ready is None
    assert not any(path.endswith("/healthy") for path in reading.facts[target].fields)


def test_one_hung_instance_of_two_is_half_sick(rig):
    pid = rig.slots()[1]["pid"]
    os.kill(pid, signal.SIGSTOP)
    try:
        rig.until(lambda: read(rig)[2]["instances.sick"].value == 0.5, "half of it sick")
        reading, target, samples = read(rig)
        assert samples["probe.ok"].value == 0.0
        assert samples["probe.failures"].value >= 2
        assert samples["active.count"].value == 2.0
        assert reading.facts[target].ready == 1
        assert [i.ready for i in reading.facts[target].instances] == [True, False]
    finally:
        os.kill(pid, signal.SIGCONT)
    rig.until_ready(2)


def test_crashes_are_counted(rig):
    before = read(rig)[2]["restarts.count"].value
    os.kill(rig.slots()[0]["pid"], signal.SIGKILL)
    rig.until(lambda: read(rig)[2]["restarts.count"].value == before + 1, "one more")
    assert read(rig)[2]["restarts.rate"].value >= 1.0
    rig.until_ready(2)


def test_everything_fits_the_processor_and_the_host_measures_the_same_processes(rig):
    processor, host = Processor(), HostSource(rig.source)
    for now in (1000.0, 1001.0):
        processor.ingest(rig.source.read(now))
        processor.ingest(host.read(now))
    counts = processor.counts()
    assert counts["received"] == counts["accepted"] > 0
    snapshot = processor.snapshot(1001.0)
    row = next(row for target, row in snapshot.rows.items() if target.name == "checkout")
    unknown = {name for name, column in snapshot.columns.items() if not column.known[row]}
    assert unknown == {"change.age", "telemetry.age", *SENT, *USUAL, *CLUSTERED}
    assert 0 < snapshot.columns["memory.ratio"].values[row] < 0.1


def test_an_edit_is_a_recent_change(rig):
    rig.write(
        service(labels={"tier": "web", "edited": "yes"}), service("quiet", listen="none", probe=None, replicas={})
    )
    assert rig.ask(op="reload")["ok"]
    _, _, samples = read(rig)
    assert samples["change.recent"].value == 1.0
    assert 0 <= samples["change.age"].value < 60


def test_an_end_keeps_the_last_facts_and_says_so():
    with local(service()) as rig:
        rig.until_ready(2)
        before = rig.source.read(1000.0)
        os.kill(rig.pid, signal.SIGKILL)
        silent = rig.until(lambda: (reading := rig.source.read(1001.0)).error and reading, "the end to be noticed")
        assert silent.facts == before.facts
        assert silent.samples == ()
        rig.start()


def test_nobody_there_is_an_error_and_no_facts(tmp_path):
    reading = SupervisorSource(tmp_path).read(1.0)
    assert (reading.platform, reading.facts, reading.samples) == ("local", {}, ())
    assert "nobody answers" in reading.error


@pytest.mark.parametrize("reply", [{}, {"at": 1.0, "services": [{"target": None}]}, {"at": "x", "services": []}])
def test_an_answer_of_another_version_is_an_error(tmp_path, reply):
    server = Server(tmp_path / "supervisor.sock", lambda request, peer: reply)
    try:
        reading = SupervisorSource(tmp_path).read(1.0)
    finally:
        server.close()
    assert "speaks another version" in reading.error
    assert reading.facts == {}


def test_a_slow_answer_is_cut_and_tells_nothing(tmp_path):
    go = threading.Event()
    server = Server(tmp_path / "supervisor.sock", lambda request, peer: {"late": go.wait(10)})
    try:
        assert "no reply" in SupervisorSource(tmp_path, timeout=0.2).read(1.0).error
    finally:
        go.set()
        server.close()
