"""A real loop over a real service: what the service sends is in the status, and who is no target only there."""

import contextlib
import socket

import pytest
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.trace import SpanKind

from controller.compose import leading_loop
from controller.settings import load
from controller.views import VIEWS
from tests.services.local import Local, service


@pytest.fixture(scope="module")
def local():
    made = Local(service()).start()
    try:
        made.until_ready(2)
        yield made
    finally:
        made.close()


@contextlib.contextmanager
def running(local, otlp="127.0.0.1:0"):
    flags = {"state": local.state, "metrics": "off", "interval": "0.1", "otlp": otlp}
    with leading_loop(load(flags)) as loop:
        loop.turn()
        yield loop


def status(loop):
    loop.turn()
    return VIEWS["status"](loop.board, {})


def send(address, name, count=15):
    tracing = TracerProvider(resource=Resource.create({"service.name": name}))
    tracing.add_span_processor(SimpleSpanProcessor(OTLPSpanExporter(endpoint=f"http://{address}/v1/traces")))
    for _ in range(count):
        with tracing.get_tracer("t").start_as_current_span("GET /", kind=SpanKind.SERVER):
            pass
    tracing.shutdown()


def test_a_service_with_an_sdk_is_seen_by_nothing_but_its_name(local):
    with running(local) as loop:
        address = status(loop)["received"]["otlp"]["address"]
        send(address, "checkout")
        send(address, "ghost\n\x1b[31m")

        def seen():
            shown = status(loop)
            (row,) = shown["targets"]
            return shown if row["requests_per_second"] and shown["received"]["unlisted"] else None

        shown = local.until(seen, "the service is seen")
        (row,) = shown["targets"]  # and no other: telemetry adds no target
        assert (row["target"], row["errors"]) == ("shop/checkout", 0.0)
        assert row["p99_seconds"] < 1
        (ghost,) = shown["received"]["unlisted"]
        assert ghost["name"] == "ghost\n\x1b[31m"
        assert ghost["requests_per_second"] == pytest.approx(1.5, abs=0.2)  # of a window of 50 to 60 s
        assert shown["received"]["otlp"]["items"]["spans"] == {"accepted": 15, "unmatched": 15}
        value = loop._parts.instruments.registry.get_sample_value
        assert value("gyrostat_otlp_items_total", {"item": "spans", "fate": "unmatched"}) == 15
        assert value("gyrostat_otlp_requests_total", {"outcome": "taken"}) == 30


def test_off_means_that_nobody_listens(local):
    with running(local, otlp="off") as loop:
        assert status(loop)["received"] == {"otlp": {"why": ""}, "unlisted": []}


def test_an_address_that_was_asked_for_must_be_free(local):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        with pytest.raises(OSError, match=f"OTLP can not be received at {address}"), running(local, address):
            pass


def test_where_the_usual_address_is_taken_healing_goes_on_and_says_so(local, monkeypatch):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        monkeypatch.setattr("controller.settings.Settings.otlp_address", ("127.0.0.1", int(address.split(":")[1])))
        with running(local, otlp=None) as loop:
            assert "can not be received" in status(loop)["received"]["otlp"]["why"]
            assert status(loop)["targets"][0]["health"] == "ok"
