"""The services file: every key means something, and every error is at its place."""

import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actions.platforms.local.keeper import fingerprint
from actions.platforms.local.services import Listen, load
from telemetry.documents import DocumentError

HEAD = "apiVersion: gyrostat.dev/v1alpha1\nkind: Services\nservices:\n"
BARE = f"  - name: web\n    command: [{sys.executable}]\n"


def write(tmp_path, text):
    file = tmp_path / "services.yaml"
    file.write_text(text)
    return file


def refused(tmp_path, text):
    with pytest.raises(DocumentError) as caught:
        load(write(tmp_path, text))
    return [str(problem).removeprefix(f"{tmp_path}/") for problem in caught.value.problems]


def test_a_service_needs_only_a_name_and_a_command(tmp_path):
    (web,) = load(write(tmp_path, HEAD + BARE)).values()
    assert (web.ref, web.listen, web.probe, web.protected) == ("default/web", Listen.NONE, None, None)
    assert (web.replicas.min, web.replicas.desired, web.replicas.max) == (1, 1, 1)
    assert (web.stop.signal, web.stop.grace) == ("TERM", 10.0)
    assert Path(web.working_directory) == tmp_path


def test_every_key_is_read(tmp_path):
    (tmp_path / "sub").mkdir()
    text = f"""{HEAD}  - name: web
    namespace: shop
    labels: {{tier: web, team.example/owner: a}}
    command: [{sys.executable}, -V]
    env: {{A: b}}
    workingDirectory: sub
    replicas: {{desired: 3, min: 2, max: 9}}
    listen: each
    address: "::1"
    port: 9000
    probe: {{tcp: true, period: 2s, timeout: 500ms, failures: 4}}
    stop: {{signal: INT, grace: 1m}}
    limits: {{memory: 200Mi, cpu: 0.5}}
    protected: the owner said so
"""
    web = load(write(tmp_path, text))["shop/web"]
    assert (web.address, web.port, web.labels["tier"], web.env) == ("::1", 9000, "web", {"A": "b"})
    assert (web.replicas.min, web.replicas.desired, web.replicas.max) == (2, 3, 9)
    assert (web.probe.period, web.probe.timeout, web.probe.failures) == (2.0, 0.5, 4)
    assert (web.stop.signal, web.stop.grace) == ("INT", 60.0)
    assert (web.limits.memory, web.limits.cpu) == (200 << 20, 0.5)
    assert Path(web.working_directory) == tmp_path / "sub"
    assert web.protected == "the owner said so"


@pytest.mark.parametrize(
    ("replicas", "expected"),
    [
        ("{desired: 4}", (1, 4, 4)),
        ("{max: 4}", (1, 1, 4)),
        ("{min: 2, max: 4}", (2, 2, 4)),
        ("{desired: 0}", (0, 0, 1)),
    ],
)
def test_bounds_not_given_let_nothing_grow_unasked(tmp_path, replicas, expected):
    web = load(write(tmp_path, f"{HEAD}{BARE}    replicas: {replicas}\n"))["default/web"]
    assert (web.replicas.min, web.replicas.desired, web.replicas.max) == expected


@pytest.mark.parametrize(
    ("lines", "problem"),
    [
        ("prob: {http: /}", "6:5: services[0].prob: is an unknown key (did you mean probe?"),
        ("listen: shared", "6:13: services[0].listen: 'shared' is not allowed (allowed: inherit, each, none)"),
        ("port: 80", "has an address or a port, and does not listen (set listen to inherit or each)"),
        ("listen: inherit\n    port: 65536", "7:11: services[0].port: 65536 is out of bounds (must be <= 65535)"),
        ("listen: inherit\n    address: localhost", "'localhost' is not an IP address (like 127.0.0.1 or ::1)"),
        ("listen: each\n    port: 65530\n    replicas: {max: 7}", "port 65530 leaves no room for 7 instances"),
        ("probe: {http: /}", "has a probe, and does not listen"),
        ("listen: inherit\n    probe: {tcp: true}", "passes even where every instance hangs"),
        ("listen: each\n    probe: {}", "probes nothing, or twice (either `http: /path` or `tcp: true`)"),
        ("listen: each\n    probe: {tcp: true, http: /}", "probes nothing, or twice"),
        ("listen: each\n    probe: {tcp: false}", "7:18: services[0].probe.tcp"),
        ("listen: each\n    probe: {http: health}", "'health' is not allowed (a path like /health"),
        ('listen: each\n    probe: {http: "/a b"}', "is not allowed (a path like /health"),
        ('listen: each\n    probe: {http: "/\\r\\nX: y"}', "is not allowed (a path like /health"),
        ("listen: each\n    probe: {http: /, period: 5}", "7:30: services[0].probe.period: 5 is not a duration"),
        ("listen: each\n    probe: {http: /, period: 8s, timeout: 2s}", "period + timeout at most 9s"),
        ("replicas: {min: 3, max: 2}", "min 3, desired 3, max 2 (min <= desired <= max)"),
        ("replicas: {desired: 101}", "101 is out of bounds (must be <= 100)"),
        ('replicas: {desired: "3"}', "must be a whole number, not '3'"),
        ("stop: {signal: KILL}", "'KILL' is not allowed (allowed: TERM, INT, QUIT, HUP, USR1, USR2)"),
        ("limits: {memory: 200}", "200 is not a size"),
        ("limits: {cpu: 0}", "0 is out of bounds"),
        ("env: {LISTEN_FDS: '2'}", "sets LISTEN_FDS (the supervisor sets it)"),
        ("env: {A: 1}", "must be text, not 1 (put it in quotes)"),
        ("env: {A B: x}", "'A B' is not allowed"),
        ("labels: {tier: a b}", "'a b' is not allowed"),
        ("namespace: Shop", "'Shop' is not allowed (lower-case"),
        ("namespace: ../../etc", "is not allowed (lower-case"),
        ("workingDirectory: /nowhere/at/all", "/nowhere/at/all is no directory"),
        ("protected:", "has no value"),
        ("hooks: {}", "is an unknown key"),
    ],
)
def test_what_is_wrong_is_said_with_its_place_and_what_is_allowed(tmp_path, lines, problem):
    problems = refused(tmp_path, f"{HEAD}{BARE}    {lines}\n")
    assert any(problem in line for line in problems), problems
    assert all(line.startswith("services.yaml:") for line in problems)


@pytest.mark.parametrize(
    ("command", "problem"),
    [
        ("[]", "5:14: services[0].command"),
        ("python3 x.py", "must be a list, not 'python3 x.py'"),
        ('[""]', "starts with nothing"),
        ("[no-such-program-anywhere]", "'no-such-program-anywhere' is no program that can be run"),
        ("[./not-there]", "'./not-there' is no program that can be run"),
    ],
)
def test_a_command_is_a_program_that_exists_and_never_a_shell_line(tmp_path, command, problem):
    (line,) = refused(tmp_path, f"{HEAD}  - name: web\n    command: {command}\n")
    assert problem in line


def test_a_program_beside_the_working_directory_is_found_there(tmp_path):
    program = tmp_path / "run.sh"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    assert load(write(tmp_path, f"{HEAD}  - name: web\n    command: [./run.sh]\n"))


def test_two_of_one_name_or_one_port_are_refused_together(tmp_path):
    listening = f"    command: [{sys.executable}]\n    listen: inherit\n    port: 8080\n"
    text = (
        f"{HEAD}  - name: web\n{listening}  - name: other\n{listening}  - name: web\n    command: [{sys.executable}]\n"
    )
    first, second = refused(tmp_path, text)
    assert first.endswith("services[1].port: port 8080 is taken by default/web in this file")
    assert second.endswith("services[2].name: default/web is defined twice")


def test_a_file_that_is_no_file_is_refused(tmp_path):
    for path in (tmp_path / "none.yaml", tmp_path):
        with pytest.raises(DocumentError, match="cannot be read"):
            load(path)


def test_no_service_at_all_is_a_file_that_keeps_nothing(tmp_path):
    assert load(write(tmp_path, HEAD.rstrip() + " []\n")) == {}


def test_what_an_instance_runs_decides_whether_it_is_replaced(tmp_path):
    web = load(write(tmp_path, HEAD + BARE))["default/web"]
    same = web.model_copy(update={"labels": {"a": "b"}, "protected": "why"})
    other = web.model_copy(update={"env": {"A": "b"}})
    assert web.fingerprint() == same.fingerprint() != other.fingerprint()


def test_what_is_remembered_of_a_definition_shows_an_edit_and_tells_nothing_else(tmp_path):
    web = load(write(tmp_path, HEAD + BARE))["default/web"].model_copy(update={"env": {"TOKEN": "hunter2"}})
    other = web.model_copy(update={"env": {"TOKEN": "hunter3"}})
    assert fingerprint(web, "u1") == fingerprint(web, "u1") != fingerprint(other, "u1")
    assert "hunter" not in fingerprint(web, "u1")
    assert fingerprint(web, "u1") != fingerprint(web, "u2")  # so that equal secrets do not show as equal


@given(
    minimum=st.one_of(st.none(), st.integers(0, 12)),
    desired=st.one_of(st.none(), st.integers(0, 12)),
    maximum=st.one_of(st.none(), st.integers(0, 12)),
)
def test_whatever_loads_has_its_desired_number_between_its_bounds(tmp_path_factory, minimum, desired, maximum):
    given_ = {"min": minimum, "desired": desired, "max": maximum}
    text = ", ".join(f"{key}: {value}" for key, value in given_.items() if value is not None)
    file = write(tmp_path_factory.mktemp("s"), f"{HEAD}{BARE}    replicas: {{{text}}}\n")
    least = 1 if minimum is None else minimum
    wanted = max(1, least) if desired is None else desired
    if not (min(1, wanted) if minimum is None else minimum) <= wanted <= (wanted if maximum is None else maximum):
        with pytest.raises(DocumentError, match="min <= desired <= max"):
            load(file)
        return
    replicas = load(file)["default/web"].replicas
    assert replicas.min <= replicas.desired == wanted <= replicas.max
    assert all(getattr(replicas, key) == value for key, value in given_.items() if value is not None)
