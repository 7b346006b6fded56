import os
import re
import socket
from contextlib import closing
from dataclasses import fields
from pathlib import Path

import pytest

from controller import settings
from controller.core.wish import Limits
from controller.instrumentation import HealthServer, Instruments
from controller.settings import PREFIX, Keys, Settings, SettingsError, allowed, load
from policies.library import FOLDER


@pytest.fixture(autouse=True)
def _clean(monkeypatch, tmp_path):
    for name in list(os.environ):
        if name.upper().startswith(PREFIX):
            monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)


def problems(flags=None, config=None) -> tuple[str, ...]:
    with pytest.raises(SettingsError) as caught:
        load(flags or {}, config)
    return caught.value.problems


def write(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def test_without_anything_every_key_has_its_default():
    settings = load()
    assert settings.state == Path(".gyrostat")
    assert settings.interval == 1.0
    assert {settings.origin(name) for name in Keys.model_fields} == {"default"}


def test_a_flag_beats_the_environment_beats_the_file_beats_the_default(monkeypatch, tmp_path):
    file = write(tmp_path / "s.yaml", "interval: 4s\nattempts: 4\nmax_concurrent: 4\n")
    monkeypatch.setenv("GYROSTAT_INTERVAL", "3s")
    monkeypatch.setenv("GYROSTAT_ATTEMPTS", "5")
    settings = load({"interval": "2s", "attempts": None}, file)
    assert (settings.interval, settings.attempts, settings.max_concurrent) == (2.0, 5, 4)
    found = [settings.origin(name) for name in ("interval", "attempts", "max_concurrent", "warmup")]
    assert found == ["flag", "environment", "file", "default"]


def test_the_file_in_the_state_directory_is_found_by_itself(tmp_path):
    write(tmp_path / ".gyrostat" / "gyrostat.yaml", "attempts: 7\n")
    write(tmp_path / "other" / "gyrostat.yaml", "attempts: 8\n")
    assert load().attempts == 7
    assert load({"state": "other"}).attempts == 8


def test_the_environment_can_name_the_file(monkeypatch, tmp_path):
    monkeypatch.setenv("GYROSTAT_CONFIG", str(write(tmp_path / "s.yaml", "attempts: 9\n")))
    assert load().attempts == 9


def test_the_word_library_means_the_policies_of_the_build(monkeypatch, tmp_path):
    assert load({"policies": "library"}).policies == FOLDER
    monkeypatch.setenv("GYROSTAT_POLICIES", "library")
    assert load().policies == FOLDER
    monkeypatch.delenv("GYROSTAT_POLICIES")
    assert load({}, write(tmp_path / "s.yaml", "policies: library\n")).policies == FOLDER
    assert load({"policies": "./library"}).policies == Path("library")
    assert (FOLDER / "hang.yaml").is_file()


def test_paths_of_a_file_are_relative_to_it(tmp_path):
    file = write(tmp_path / "deep" / "s.yaml", "services: services.yaml\npolicies: /etc/policies\n")
    settings = load({}, file)
    assert settings.services == tmp_path / "deep" / "services.yaml"
    assert settings.policies == Path("/etc/policies")


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ({"interval": "0"}, "--interval: '0' is not allowed (from 50ms to 1m; a bare number is seconds)"),
        ({"interval": "nan"}, "--interval: 'nan' is not allowed (from 50ms to 1m; a bare number is seconds)"),
        ({"interval": "inf"}, "--interval: 'inf' is not allowed (from 50ms to 1m; a bare number is seconds)"),
        ({"interval": "-1"}, "--interval: '-1' is not allowed (from 50ms to 1m; a bare number is seconds)"),
        ({"interval": "5 s"}, "--interval: '5 s' is not allowed (from 50ms to 1m; a bare number is seconds)"),
        ({"interval": float("nan")}, "--interval: nan is not allowed (from 50ms to 1m; a bare number is seconds)"),
        ({"max_concurrent": "0"}, "--max-concurrent: '0' is not allowed (a whole number from 1 to 100)"),
        ({"max_concurrent": "1e9"}, "--max-concurrent: '1e9' is not allowed (a whole number from 1 to 100)"),
        ({"dry_run": "perhaps"}, "--dry-run: 'perhaps' is not allowed (true or false)"),
        ({"state": ""}, "--state: '' is not allowed (a path)"),
        (
            {"mode_cap": "observe"},
            "--mode: 'observe' is not allowed (did you mean Observe? allowed: Observe, Recommend, Approve, Enforce)",
        ),
        ({"intervall": "1"}, "intervall: is no setting (did you mean interval? "),
        (
            {"backoff_first": "2d", "backoff_max": "1d"},
            "backoff_first: 2d is longer than backoff_max, 1d",
        ),
        ({"dry_run_server": True, "dry_run": True}, "dry_run_server: it is a part of a dry run in a cluster"),
        (
            {"dry_run_server": True, "kubernetes": "in-cluster"},
            "dry_run_server: it is a part of a dry run in a cluster",
        ),
    ],
)
def test_a_bad_flag_says_what_is_allowed(flags, message):
    (problem,) = problems(flags)
    assert problem.startswith(message)


def test_a_bad_variable_is_named_by_its_full_name(monkeypatch):
    monkeypatch.setenv("GYROSTAT_ATTEMPTS", "many")
    assert problems() == ("GYROSTAT_ATTEMPTS: 'many' is not allowed (a whole number from 1 to 100)",)


def test_a_misspelt_variable_is_an_error(monkeypatch):
    monkeypatch.setenv("GYROSTAT_ATEMPTS", "3")
    monkeypatch.setenv("GYROSTAT_QQQ", "3")
    assert problems() == (
        "GYROSTAT_ATEMPTS: is no setting (did you mean GYROSTAT_ATTEMPTS?)",
        "GYROSTAT_QQQ: is no setting (`auto settings` lists them all)",
    )


def test_all_errors_of_a_file_come_together_with_their_places(tmp_path):
    file = write(tmp_path / "s.yaml", "atempts: 3\ninterval: 100s\nmetrics: 0.0.0.0:1\nmax_concurrent: '3'\n")
    found = problems({}, file)
    assert [text.removeprefix(f"{file}:").split(": ")[0] for text in found] == ["1:1", "2:11", "3:10", "4:17"]
    assert "did you mean attempts?" in found[0]
    assert "from 50ms to 1m" in found[1]
    assert "without authentication" in found[2]


@pytest.mark.parametrize("make", ["missing", "directory", "fifo", "unreadable", "huge", "empty"])
def test_a_file_that_is_no_readable_file_is_refused_at_once(tmp_path, make):
    file = tmp_path / "s.yaml"
    match make:
        case "directory":
            file.mkdir()
        case "fifo":
            os.mkfifo(file)
        case "unreadable":
            file.symlink_to(file)
        case "huge":
            file.write_text("# " + "x" * (2 << 20))
        case "empty":
            file.touch()
    (problem,) = problems({}, file)
    assert problem.startswith(f"{file}:1:1: ")


def test_the_found_file_may_not_move_the_directory_it_lies_in(tmp_path):
    write(tmp_path / ".gyrostat" / "gyrostat.yaml", "state: elsewhere\n")
    assert "state: stands in the file that was found by it" in problems()[0]


@pytest.mark.parametrize(
    "address", ["0.0.0.0:9464", "10.0.0.1:1", "example.org:80", ":9464", "127.0.0.1", "127.0.0.1:99999", "[::]:1"]
)
def test_metrics_are_served_on_loopback_only(address):
    assert "loopback" in problems({"metrics": address})[0]


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("off", None),
        ("127.0.0.1:0", ("127.0.0.1", 0)),
        ("localhost:9464", ("127.0.0.1", 9464)),
        ("[::1]:80", ("::1", 80)),
        ("everywhere:9464", ("::" if socket.has_dualstack_ipv6() else "0.0.0.0", 9464)),
    ],
)
def test_a_metrics_address_is_taken_apart(text, address):
    assert load({"metrics": text}).metrics_address == address


def test_to_be_reached_from_elsewhere_takes_the_word_for_it():
    """Nothing but `everywhere` listens beyond loopback, and it is nobody's default."""
    assert [name for name, field in Keys.model_fields.items() if "everywhere" in str(field.default)] == []
    with closing(HealthServer(load({"metrics": "everywhere:0"}).metrics_address, Instruments(1.0))) as server:
        client = socket.create_connection(("127.0.0.1", server.address[1]), timeout=5)
        with closing(client):
            client.sendall(b"GET /healthz HTTP/1.0\r\n\r\n")
            assert b" 200 " in client.recv(1000)


@pytest.mark.parametrize("text", ["Shop", "shop,", "a b", "*", "shop,,blog"])
def test_namespaces_are_names_with_commas(text):
    assert "is no name of a namespace" in problems({"namespaces": text})[0]
    assert load({"namespaces": "shop,blog"}).namespaces == "shop,blog"


def test_a_duration_may_be_bare_seconds_in_flags_environment_and_code(monkeypatch):
    monkeypatch.setenv("GYROSTAT_WARMUP", "1.5")
    assert load({"interval": "0.5"}).warmup == 1.5
    assert Settings(interval=0.25).interval == 0.25


def test_settings_are_frozen():
    with pytest.raises(ValueError, match="frozen"):
        load().attempts = 5


@pytest.mark.parametrize("name", sorted(Keys.model_fields))
def test_every_key_says_what_it_means_why_and_what_is_allowed(name):
    field = Keys.model_fields[name]
    assert field.description
    assert field.json_schema_extra["why"]
    assert allowed(name)


@pytest.mark.parametrize("name", sorted(Keys.model_fields))
def test_every_key_is_read_by_somebody(name):
    """A key without a reader would be a promise without an effect."""
    room = Path(settings.__file__).parent
    code = "".join(file.read_text() for file in room.rglob("*.py") if file.name != "settings.py")
    by_way_of = {"metrics": "settings.metrics_address", "otlp": "settings.otlp_address"}
    bounds = {field.name for field in fields(Limits)}
    assert name in bounds or re.search(rf"{by_way_of.get(name, f'settings.{name}')}\b", code)


def test_the_bounds_reach_the_decision():
    limits = load({"max_concurrent": "7", "mode_cap": "Approve", "facts_stale": "3s"}).limits
    assert (limits.max_concurrent, limits.mode_cap.label, limits.facts_stale) == (7, "Approve", 3.0)


@pytest.mark.parametrize("name", ["GYROSTAT_INTER\udcafVAL", "GYROSTAT_\x1b[2J", "GYROSTAT_A\nB"])
def test_the_name_of_a_variable_can_not_speak_to_the_terminal(monkeypatch, name):
    """Found by fuzzing: it stood in the message as it was."""
    monkeypatch.setenv(name, "1")
    assert [problem.isprintable() for problem in problems()] == [True]


def test_a_state_directory_whose_name_is_too_long_or_hidden_is_a_problem_and_no_traceback(monkeypatch, tmp_path):
    """Found by fuzzing: looking for the settings file in it was an OSError."""
    assert "too long" in problems({"state": "a" * 5000})[0]
    monkeypatch.setenv("GYROSTAT_STATE", "b" * 300)
    assert "too long" in problems()[0]
