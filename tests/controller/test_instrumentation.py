import io
import json
import socket
import time
import urllib.error
import urllib.request

import pytest
import structlog

from actions.plan import Change, Plan
from actions.reason import Reason
from controller.core.records import Closed, Held, Intent, Key, Outcome, Result, Step
from controller.instrumentation import HealthServer, Instruments, configure_logging
from telemetry.target import Target
from telemetry.verdict import Verdict

TARGET = Target("local", "Service", "shop", "checkout", "u1")
KEY = Key("restart-hung", TARGET)


class Ticking:
    """A clock that stands until it is moved."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture
def served():
    clock = Ticking()
    instruments = Instruments(1.0, clock)
    server = HealthServer(("127.0.0.1", 0), instruments)
    yield clock, instruments, server
    server.close()


@pytest.fixture
def logged():
    yield
    structlog.reset_defaults()


def get(server: HealthServer, path: str) -> tuple[int, str]:
    host, port = server.address
    try:
        with urllib.request.urlopen(f"http://{host}:{port}{path}", timeout=5) as reply:
            return reply.status, reply.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode()


def value(instruments: Instruments, name: str, **labels: str) -> float | None:
    return instruments.registry.get_sample_value(f"gyrostat_{name}", labels)


def test_healthz_fails_once_the_loop_stands_still(served):
    clock, instruments, server = served
    with instruments.turn(1.0):
        clock.now += 1
    clock.now += 4.9
    assert get(server, "/healthz") == (200, "last tick 4.9s ago, 5s are allowed\n")
    clock.now += 0.2
    assert get(server, "/healthz") == (503, "last tick 5.1s ago, 5s are allowed\n")
    with instruments.turn(2.0):
        pass
    assert get(server, "/healthz")[0] == 200


def test_a_slow_loop_is_allowed_three_intervals():
    clock = Ticking()
    instruments = Instruments(10.0, clock)
    clock.now += 29.9
    assert instruments.healthz()[0]
    clock.now += 0.2
    assert not instruments.healthz()[0]


def test_a_tick_that_raises_is_progress_too():
    clock = Ticking()
    instruments = Instruments(1.0, clock)
    clock.now += 10
    with pytest.raises(ValueError, match="x"), instruments.turn(5.0):
        raise ValueError("x")
    assert instruments.healthz()[0]
    assert value(instruments, "ticks_total") == 1
    assert value(instruments, "last_tick_timestamp_seconds") == 5.0


def test_sick_targets_never_fail_healthz(served):
    _, instruments, server = served
    instruments.seen(open_episodes=100, active=3, unknown=100, worst_score=0.0)
    instruments.trouble("Full")
    assert get(server, "/healthz")[0] == 200


def test_readyz_says_why_not(served):
    _, instruments, server = served
    assert get(server, "/readyz") == (503, "starting\n")
    instruments.ready()
    assert get(server, "/readyz") == (200, "leading and recovered\n")
    instruments.not_ready("fenced by epoch 8")
    assert get(server, "/readyz") == (503, "fenced by epoch 8\n")


def test_other_paths_and_methods_are_refused(served):
    _, _, server = served
    assert get(server, "/etc/passwd")[0] == 404
    host, port = server.address
    request = urllib.request.Request(f"http://{host}:{port}/healthz", data=b"x", method="POST")
    with pytest.raises(urllib.error.HTTPError) as caught:
        urllib.request.urlopen(request, timeout=5)
    with caught.value:
        assert caught.value.code == 501


def test_every_record_is_counted_by_what_it_says():
    instruments = Instruments(1.0)
    plan = Plan(changes=(Change(TARGET, "desired", 1, 2),))
    for record in (
        Held(1.0, KEY, Reason.PAUSED),
        Held(2.0, KEY, Reason.PAUSED),
        Intent(3.0, KEY, 1, Step.DO, 0, "Scale", plan.changes, plan, 4.0, 5.0),
        Outcome(4.0, KEY, 1, Verdict.UNKNOWN),
        Closed(5.0, KEY, Result.HEALED),
    ):
        instruments.observe(record)
    assert value(instruments, "held_total", reason="Paused") == 2
    assert value(instruments, "records_total", kind="Held") == 2
    assert value(instruments, "intents_total", action="Scale", step="Do") == 1
    assert value(instruments, "outcomes_total", result="Unknown") == 1
    assert value(instruments, "episodes_closed_total", result="Healed") == 1


def test_metrics_show_samples_limits_trouble_and_lateness(served):
    _, instruments, server = served
    instruments.samples({"received": 3, "accepted": 2, "unmatched": 1})
    instruments.samples({"received": 7, "accepted": 5, "unmatched": 2})
    instruments.limit("snapshot")
    instruments.trouble("Full")
    instruments.late(3)
    instruments.leads(7)
    instruments.seen(open_episodes=4, active=2, unknown=1, worst_score=0.25)
    text = get(server, "/metrics")[1]
    for line in (
        "gyrostat_samples_accepted_total 5.0",
        'gyrostat_samples_refused_total{reason="unmatched"} 2.0',
        'gyrostat_limit_refused_total{limit="snapshot"} 1.0',
        'gyrostat_trouble_total{kind="Full"} 1.0',
        "gyrostat_ticks_late_total 3.0",
        "gyrostat_open_episodes 4.0",
        "gyrostat_active_remediations 2.0",
        "gyrostat_health_score 0.25",
        "gyrostat_leader_epoch 7.0",
        "gyrostat_unknown_targets 1.0",
    ):
        assert line in text.splitlines()


def test_connections_above_the_bound_are_cut_and_counted(served):
    _, instruments, server = served
    idle = [socket.create_connection(server.address) for _ in range(16)]
    try:
        deadline = time.monotonic() + 5
        while not value(instruments, "limit_refused_total", limit="metrics_connections"):
            with socket.create_connection(server.address) as extra:
                extra.settimeout(5)
                extra.sendall(b"GET /healthz HTTP/1.0\r\n\r\n")
            assert time.monotonic() < deadline
    finally:
        for connection in idle:
            connection.close()


def test_a_taken_address_is_named():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(OSError, match=f"metrics can not be served at 127.0.0.1:{port}"):
            HealthServer(("127.0.0.1", port), Instruments(1.0))


def test_the_address_served_at_is_known(served):
    _, instruments, server = served
    assert instruments.address == f"127.0.0.1:{server.address[1]}"


def test_log_lines_are_json_in_a_pipe(logged):
    stream = io.StringIO()
    configure_logging("info", "auto", stream)
    log = structlog.get_logger()
    log.debug("unseen")
    log.warning("store is full", path="/var\nfake")
    (line,) = stream.getvalue().splitlines()
    entry = json.loads(line)
    assert (entry["level"], entry["message"], entry["path"]) == ("warning", "store is full", "/var\nfake")
    assert entry["time"].endswith("Z")


def test_log_lines_are_for_people_on_a_terminal(logged, monkeypatch):
    monkeypatch.delenv("NO_COLOR", raising=False)
    stream = Terminal()
    configure_logging("info", "auto", stream)
    structlog.get_logger().info("hello", a=1)
    assert "\x1b[" in stream.getvalue()
    assert not stream.getvalue().startswith("{")


def test_no_color_is_respected(logged, monkeypatch):
    monkeypatch.setenv("NO_COLOR", "1")
    stream = Terminal()
    configure_logging("info", "console", stream)
    structlog.get_logger().info("hello", a=1)
    assert "\x1b" not in stream.getvalue()


@pytest.mark.parametrize("style", ["json", "console"])
def test_an_exception_in_the_log_shows_no_variables(logged, style):
    stream = io.StringIO()
    configure_logging("info", style, stream)
    password = "hunter2hunter2"
    try:
        _ = len(password) / 0
    except ZeroDivisionError:
        structlog.get_logger().exception("bad")
    assert "ZeroDivisionError" in stream.getvalue()
    assert "hunter2" not in stream.getvalue()
