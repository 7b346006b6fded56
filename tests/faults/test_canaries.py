"""F32: secrets where users have them, a whole story (heal, refuse, fail, crash), and every output searched. P19."""

import gzip
import http.client
import json
import os
import re
import secrets
import signal
import sqlite3
import sys
import urllib.request
from contextlib import closing

import psutil
import pytest

from controller.clock import Clock
from controller.views import VIEWS
from tests.faults.lab import Lab
from tests.faults.rig import WORKER, restart_policy
from tests.services.local import service
from tests.telemetry.otlp.messages import traces

SERVICE = "cart"
SALT = secrets.token_hex(8)
MARK = re.compile(rf"canary-[a-z-]+-{SALT}")
WRITTEN = ("services.yaml", "services-bad.yaml", f"policies/{SERVICE}.yaml", "policies/bad.yaml", "settings-bad.yaml")
"""Files that the user wrote; all else in the state directory is ours."""


def canary(where: str) -> str:
    return f"canary-{where}-{SALT}"


ENVIRONMENT = {
    "DATABASE_URL": f"postgres://shop:{canary('process-url')}@db/shop",
    "OTEL_EXPORTER_OTLP_HEADERS": f"authorization=Bearer {canary('process-headers')}",
    "AWS_SECRET_ACCESS_KEY": canary("process-env"),
}


class Story(Lab):
    """A lab of one service, whose every secret is a canary; it keeps what was said to anybody."""

    def __init__(self) -> None:
        super().__init__({SERVICE: 1}, {SERVICE: restart_policy(SERVICE)}, otlp="127.0.0.1:0", metrics="127.0.0.1:0")
        path = self.state / "policies" / f"{SERVICE}.yaml"
        path.write_text(f"# {canary('policy-comment')}\n{path.read_text()}")
        self.environment |= ENVIRONMENT
        self.outputs: dict[str, str] = {}

    def describe(self, name: str, count: int = 1) -> str:
        path = f"/health?token={canary('probe-query')}"
        return service(
            name,
            command=[
                *(sys.executable, "-S", "-E", WORKER, str(self.state / f"ill-{name}")),
                f"--password={canary('service-argument')}",
            ],
            env={"TOKEN": canary("service-env")},
            replicas={"desired": count, "min": 1, "max": 4},
            probe={"http": path, "period": "100ms", "timeout": "150ms", "failures": 2},
            stop={"grace": "100ms"},
        )

    def keep(self, what: str, text: str | bytes) -> None:
        self.outputs[what] = text.decode(errors="replace") if isinstance(text, bytes) else text

    def tell(self, *words: str) -> None:
        done = self.auto(*words, code=None)
        self.keep(f"auto {' '.join(words)}", done.stdout + done.stderr)

    def look(self, when: str) -> None:
        """At everything that can be looked at."""
        for name in VIEWS:
            reply = self.ask_loop(view=name, args={"target": f"shop/{SERVICE}"})
            self.keep(f"{when}: view {name}", json.dumps(reply))
        self.keep(f"{when}: supervisor", json.dumps(self.ask(op="list")))
        status = self.ask_loop(view="status")
        if status and status["loop"]["metrics"]:
            with urllib.request.urlopen(f"http://{status['loop']['metrics']}/metrics", timeout=10) as answer:
                self.keep(f"{when}: metrics", answer.read())

    def send(self) -> None:
        """Telemetry with secrets in headers and attributes, good and bad."""
        address = self.view()["received"]["otlp"]["address"]
        request = traces(5, at=Clock().now(), name=SERVICE, **{"api.key": canary("otlp-resource")})
        traces(5, at=Clock().now(), name="stranger", request=request, token=canary("otlp-stranger"))
        for span in request.resource_spans[0].scope_spans[0].spans:
            attribute = span.attributes.add()
            attribute.key = "http.request.header.authorization"
            attribute.value.string_value = canary("otlp-attribute")
            span.status.message = canary("otlp-status")
            span.trace_state = f"k={canary('otlp-state')}"
        good = request.SerializeToString()
        bad = [good[:-3], b"\0" * 50 + canary("otlp-garbage").encode(), gzip.compress(good)]
        json_ = b'{"resourceSpans": [{"resource": "' + canary("otlp-json").encode() + b'"}]}'
        bodies = [("application/x-protobuf", body) for body in (good, *bad)] + [("application/json", json_)]
        for number, (kind, body) in enumerate(bodies):
            connection = http.client.HTTPConnection(address, timeout=10)
            headers = {"Content-Type": kind, "Authorization": f"Bearer {canary('otlp-header')}"}
            connection.request("POST", f"/v1/traces?token={canary('otlp-query')}", body, headers)
            self.keep(f"OTLP answer {number}", connection.getresponse().read())
            connection.close()

    def crash(self, at: str) -> None:
        """Something breaks inside a turn: the log has a traceback."""
        order = self.order(at, how="raise")
        self.wait_for(lambda: self.fired(order), "the loop fails")

    def found(self) -> dict[str, set[str]]:
        """Where which canary was found."""
        texts = dict(self.outputs)
        for path in self.state.rglob("*"):
            if path.is_file() and not path.is_symlink() and str(path.relative_to(self.state)) not in WRITTEN:
                texts[f"file {path.relative_to(self.state)}"] = path.read_bytes().decode(errors="replace")
        hits = {name: set(MARK.findall(text)) for name, text in texts.items()}
        return {name: marks for name, marks in hits.items() if marks}


@pytest.fixture(scope="module")
def told():
    """The whole story."""
    made = Story()
    try:
        made.start()
        made.until_ready(1, SERVICE)
        made.start_loop()
        made.view()
        made.send()
        heal(made)
        refuse(made)
        fail(made)
        yield made
    finally:
        made.close()


def heal(made: Story) -> None:
    before = made.hang(SERVICE)
    made.wait_for(lambda: [e for e in made.accepted() if e["before"] == before], "it is healed")
    made.until_ready(1, SERVICE)
    made.look("healed")


def refuse(made: Story) -> None:
    made.auto("pause", "--why", "to see")
    made.hang(SERVICE)
    made.wait_for(lambda: any(e.held for e in made.folded().episodes.values()), "it is held")
    made.look("refused")
    made.auto("resume", "--why", "seen")


def fail(made: Story) -> None:
    """Bad files, bad settings, a store that is gone, a turn that breaks, a service that can not start."""
    bad = {"apiVersion": "gyrostat.dev/v1alpha1", "kind": "RemediationPolicy", "metadata": {"name": "bad"}}
    text = json.dumps(bad | {"spec": {"password": canary("policy-unknown"), "headers": {"a": canary("policy-nested")}}})
    (made.state / "policies" / "bad.yaml").write_text(f"{text} # {canary('policy-tail')}")
    made.wait_for(lambda: made.view()["loop"]["policy_problems"], "the bad policy is seen")
    made.crash("plan")
    made.look("failed")
    made.tell("status", "-o", "wide")
    made.tell("why", f"shop/{SERVICE}")
    made.tell("local", "status", "-o", "json")
    made.tell("policy", "lint", str(made.state / "policies"))
    (made.state / "settings-bad.yaml").write_text(f"token: {canary('settings-unknown')}\ninterval: 1s\n")
    made.tell("--config", str(made.state / "settings-bad.yaml"), "status")
    env = f"{{TOKEN: [{canary('services-wrong')}], OTHER: {canary('services-other')}}}"
    broken = made.file.read_text() + f"  - {{name: broken, secret: {canary('services-unknown')}, env: {env}}}\n"
    (made.state / "services-bad.yaml").write_text(broken)
    good = made.file.read_text()
    made.file.write_text(broken)
    made.tell("local", "reload")
    made.file.write_text(good)
    os.environ["GYROSTAT_TOKEN"] = canary("settings-variable")
    try:
        made.tell("status")
    finally:
        del os.environ["GYROSTAT_TOKEN"]
    for form in ("jsonl", "csv"):
        made.tell("audit", "export", "--format", form)
    made.tell("audit", "list", "--last", "500", "-o", "json")
    made.tell("settings", "-o", "json")
    os.kill(made.loop.pid, signal.SIGABRT)
    made.loop.wait(20)
    made.tell("status", "-o", "json")
    made.tell("--debug", "audit", "verify")


def test_no_secret_is_found_anywhere(told):
    assert told.found() == {}


def test_the_story_was_told_and_the_search_finds_what_is_there(told):
    assert told.accepted()
    assert "Traceback" in told.log.read_text() or '"exception"' in told.log.read_text()
    assert all(told.outputs.values())
    wrote = "".join((told.state / name).read_text() for name in WRITTEN)
    assert len(set(MARK.findall(wrote))) >= 9
    running = psutil.Process(told.slots(SERVICE)[0]["pid"])
    assert running.environ()["TOKEN"] == canary("service-env")
    with closing(sqlite3.connect(told.state / "trail.db")) as trail:
        assert trail.execute("SELECT count(*) FROM entries WHERE kind = 'Loaded'").fetchone()[0]
    told.keep("planted", f"x {canary('planted')} y")
    assert told.found() == {"planted": {canary("planted")}}
    del told.outputs["planted"]
