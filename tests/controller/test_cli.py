"""The command line in this process: what people mistype, and what they are told."""

import json
import os
import shlex
from pathlib import Path

import pytest
import yaml

from actions.platforms.local.services import load as load_services
from controller.cli.app import _SECTIONS, app
from controller.cli.entry import global_first, run
from policies.library import FOLDER
from policies.load import load_folder


@pytest.fixture(autouse=True)
def _clean(monkeypatch, tmp_path):
    for name in list(os.environ):
        if name.upper().startswith("GYROSTAT_"):
            monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)


LIBRARY = sorted(path.stem for path in FOLDER.glob("*.yaml"))
BAD_COUNTS = ("-1", "0", "1e9", "x", "9999999999999999999", "1.5", "nan")
BAD_TIMES = ("0", "nan", "inf", "-1", "1y", "61s", "1e3")
BAD = [
    # words, exit code, what stderr holds
    ("statu", 2, "No such command 'statu'. Did you mean 'status'?"),
    ("audit lst", 2, "No such command 'lst'. Did you mean 'list'?"),
    ("status --naemspace x", 2, "No such option: --naemspace"),
    ("status extra", 2, "unexpected extra argument"),
    ("-o tabel status", 2, "'tabel' is not allowed (table, wide, json, yaml, jsonl, name)"),
    ("status -o", 2, "requires an argument"),
    ("settings -o name --config nowhere.yaml", 2, "nowhere.yaml:1:1: cannot be read: no such file or directory"),
    ("settings --config .", 2, "is a directory"),
    ("settings --config pipe", 2, "is a pipe"),
    ("settings --config huge.yaml", 2, "huge.yaml:1:1: is too large"),
    ("settings --config bad.yaml", 2, "did you mean interval?"),
    ("--state '' settings", 2, "--state: '' is not allowed (a path)"),
    *((f"execute --max {n}", 2, f"{n!r} is not allowed (a whole number from 1 to 100)") for n in BAD_COUNTS),
    *((f"loop --interval {t}", 2, f"--interval: {t!r} is not allowed (from 50ms to 1m") for t in BAD_TIMES),
    ("loop --mode enforce", 2, "--mode: 'enforce' is not allowed (did you mean Enforce?"),
    ("loop --metrics 0.0.0.0:1", 2, "is no loopback address"),
    ("execute --wait forever", 2, "'forever' is not allowed (verified, closed)"),
    ("demo --mode watch", 2, "--mode: 'watch' is not allowed"),
    ("pause", 2, "Missing option '--why'"),
    ("pause --why ''", 2, "must not be empty"),
    ("pause --why '   '", 2, "must not be empty"),
    (f"freeze --why {'x' * 501}", 2, "has 501 characters (500 are allowed)"),
    ("ack --why x", 2, "Missing argument 'EPISODE'"),
    ("ack e1 --why x", 1, "auto ack needs a running loop, and none answers"),
    ("approve e1 --why x", 1, "auto approve needs a running loop"),
    ("undo e1 --why x", 1, "auto undo needs a running loop"),
    ("abort e1 --why x", 1, "auto abort needs a running loop"),
    ("act restart shop/checkout --why x", 1, "auto act needs a running loop"),
    ("act restart shop/checkout --why x --how hard", 2, "Invalid value for '--how'"),
    ("act scale shop/checkout --why x", 2, "say either --by (a step) or --to (a number)"),
    ("act scale shop/checkout --why x --by +1 --to 3", 2, "say either --by (a step) or --to (a number)"),
    ("act scale shop/checkout --why x --to many", 2, "'many' is not allowed (a whole number from 0 to 1000000)"),
    ("act scale shop/checkout --why x --to -1", 2, "'-1' is not allowed"),
    ("audit list", 1, "no trail in .gyrostat"),
    ("audit list --last 0", 2, "'0' is not allowed (a whole number from 1 to 1000000)"),
    ("audit show x", 2, "'x' is not allowed"),
    ("policy lint", 2, "which policies?"),
    ("policy lint nowhere", 2, "nowhere:1:1: cannot be read"),
    ("policy lint bad.yaml", 2, "bad.yaml: "),
    ("local up", 2, "which services?"),
    ("local up nowhere.yaml", 2, "nowhere.yaml:1:1: cannot be read"),
    ("local up bad.yaml", 2, "bad.yaml is not used"),
    ("local reload", 1, "no supervisor answers in .gyrostat"),
    ("local status", 1, "no supervisor answers in .gyrostat"),
]


@pytest.mark.parametrize(("words", "code", "told"), BAD, ids=[words[:60] for words, _, _ in BAD])
def test_bad_input_is_told_in_a_line(capsys, tmp_path, words, code, told):
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "huge.yaml").write_text("#" * (2 << 20))
    (tmp_path / "bad.yaml").write_text("intervall: 1s\n")
    assert run(shlex.split(words)) == code
    out, err = capsys.readouterr()
    assert told in err
    assert "Traceback" not in err
    assert out == ""
    assert err.startswith("error: ")


@pytest.mark.parametrize("words", ["statu", "pause --why ''", "ack e1 --why x", "settings --config nowhere.yaml"])
def test_an_error_is_json_where_json_was_asked_for(capsys, words):
    code = run([*shlex.split(words), "--json"])
    out, err = capsys.readouterr()
    error = json.loads(out)["error"]
    assert set(error) == {"code", "message", "details"}
    assert error["message"]
    assert err == ""
    assert code in (1, 2)


def test_a_misspelt_variable_stops_every_command_that_reads_settings(capsys, monkeypatch):
    monkeypatch.setenv("GYROSTAT_INTERVALL", "1")
    assert run(["status"]) == 2
    assert "did you mean GYROSTAT_INTERVAL?" in capsys.readouterr().err


def test_an_unforeseen_error_is_one_line_and_a_file(capsys, monkeypatch):
    def broken(*_: object, **__: object) -> None:
        raise ZeroDivisionError("boom")

    monkeypatch.setattr("controller.cli.session.read_settings", broken)
    assert run(["settings"]) == 1
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("error: unexpected ZeroDivisionError: boom\nhint: this is a bug; the details are in ")
    path = Path(err.rstrip().rsplit(" ", 1)[1])
    assert "ZeroDivisionError: boom" in path.read_text()
    assert path.stat().st_mode & 0o777 == 0o600
    path.unlink()


def test_debug_shows_the_traceback(monkeypatch):
    def broken(*_: object, **__: object) -> None:
        raise ZeroDivisionError("boom")

    monkeypatch.setattr("controller.cli.session.read_settings", broken)
    with pytest.raises(ZeroDivisionError):
        run(["settings", "--debug"])


def test_without_a_command_the_help_is_shown(capsys):
    assert run([]) == 0
    assert "Usage: auto [OPTIONS] COMMAND" in capsys.readouterr().out


def test_every_command_is_in_a_section_of_the_help(capsys):
    import typer

    names = set(typer.main.get_command(app).commands)
    assert names == {name for section in _SECTIONS.values() for name in section}
    run(["--help"])
    help_ = capsys.readouterr().out
    for name in names:
        assert f"\n  {name} " in help_
    assert "..." not in help_.replace("[ARGS]...", "")
    assert max(map(len, help_.splitlines())) <= 80


def test_the_version_is_shown(capsys):
    assert run(["--version"]) == 0
    assert capsys.readouterr().out.startswith("gyrostat 0.")


def test_global_options_may_stand_anywhere():
    words = ["status", "--json", "-n", "x", "--state=a", "--config", "c", "--", "--json"]
    assert global_first(words) == ["--json", "--state=a", "--config", "c", "status", "-n", "x", "--", "--json"]


def test_settings_show_where_a_value_comes_from(capsys, monkeypatch):
    monkeypatch.setenv("GYROSTAT_ATTEMPTS", "5")
    assert run(["settings", "-o", "json"]) == 0
    rows = {row["key"]: row for row in json.loads(capsys.readouterr().out)["data"]["settings"]}
    assert (rows["attempts"]["value"], rows["attempts"]["from"]) == (5, "environment")
    assert (rows["interval"]["value"], rows["interval"]["from"]) == ("1s", "default")


def test_init_writes_files_that_work(capsys, tmp_path):
    assert run(["init", "here"]) == 0
    services = load_services(tmp_path / "here" / "services.yaml")
    result = load_folder(tmp_path / "here" / "policies")
    assert list(services) == ["default/hello"]
    assert result.problems == ()
    (policy,) = result.policies
    assert policy.mode.label == "Observe"
    assert policy.selector.labels.items() <= services["default/hello"].labels.items()
    assert "cd here && auto local up services.yaml" in capsys.readouterr().out


def test_init_never_overwrites(capsys, tmp_path):
    (tmp_path / "services.yaml").write_text("mine\n")
    assert run(["init", "--json"]) == 0
    data = json.loads(capsys.readouterr().out)["data"]
    assert data["kept"] == ["services.yaml"]
    assert (tmp_path / "services.yaml").read_text() == "mine\n"
    assert run(["init"]) == 0
    assert "wrote" not in capsys.readouterr().out


def test_init_where_nothing_can_be_written(capsys, tmp_path):
    (tmp_path / "file").touch()
    assert run(["init", "file"]) == 2
    assert "can not be written" in capsys.readouterr().err


def test_policy_list_names_the_library_and_your_own(capsys, monkeypatch):
    run(["init"])
    capsys.readouterr()
    assert run(["policy", "list", "-o", "name"]) == 0
    names = capsys.readouterr().out.split()
    assert names == LIBRARY
    monkeypatch.setenv("GYROSTAT_POLICIES", "policies")
    assert run(["policy", "list", "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)["data"]["policies"]
    assert {row["policy"]: row["from"] for row in rows}["default/restart-hung"] == "policies"


def test_policy_show_writes_a_file_that_lints(capsys, tmp_path):
    assert run(["policy", "show", "slow"]) == 0
    (tmp_path / "slow.yaml").write_text(capsys.readouterr().out)
    assert run(["policy", "lint", "slow.yaml", "-o", "name"]) == 0
    assert capsys.readouterr().out == "slow\n"


@pytest.mark.parametrize("name", LIBRARY)
def test_policy_explain_says_what_it_does(capsys, name):
    assert run(["policy", "explain", name]) == 0
    shown = capsys.readouterr().out
    assert shown.startswith(f"{name}\n  mode       Observe: it only writes down")
    for heading in ("watches", "when", "over when", "does", "if sure", "at most", "helped if", "reads", "costs"):
        assert f"\n  {heading} " in shown


def test_policy_explain_has_everything_as_data(capsys):
    assert run(["policy", "explain", "leak", "--json"]) == 0
    data = json.loads(capsys.readouterr().out)["data"]
    names = [column["name"] for column in data["columns"]]
    assert names == ["memory.bytes", "memory.ratio", "memory.slope", "up.duration"]
    assert data["signals"][0]["is"].endswith("memory.slope < 1800")
    assert data["operations"]["when"] == 11


@pytest.mark.parametrize("verb", ["show", "explain"])
def test_policy_that_is_not_there(capsys, verb):
    assert run(["policy", verb, "none"]) == 1
    assert "no policy is called 'none'; there are: autoscaler-limit" in capsys.readouterr().err


def test_policy_explain_reads_a_file(capsys):
    run(["init"])
    capsys.readouterr()
    assert run(["policy", "explain", "policies/restart-hung.yaml"]) == 0
    assert "every target in namespace default with app=hello" in capsys.readouterr().out


def test_signals_that_are_wrong_are_told(capsys, tmp_path, monkeypatch):
    (tmp_path / "signals").mkdir()
    (tmp_path / "signals" / "s.yaml").write_text("kind: Signals\n")
    monkeypatch.setenv("GYROSTAT_SIGNALS", "signals")
    assert run(["policy", "list"]) == 2
    assert "signals/s.yaml:1:1: apiVersion: is required" in capsys.readouterr().err


def test_policy_lint_lists_what_is_right(capsys):
    run(["init"])
    capsys.readouterr()
    assert run(["policy", "lint", "policies", "-o", "yaml"]) == 0
    (row,) = yaml.safe_load(capsys.readouterr().out)["data"]["policies"]
    assert (row["policy"], row["actions"]) == ("default/restart-hung", ["Restart"])


def test_policy_lint_tells_everything_that_is_wrong(capsys, tmp_path):
    (tmp_path / "p.yaml").write_text(
        "apiVersion: gyrostat.dev/v1alpha1\nkind: RemediationPolicy\nmetadata: {name: a, namespace: b}\n"
        "spec:\n  mod: Enforce\n  when: probe.okk\n  targets: {allowAll: true}\n  action: {type: Restart}\n"
    )
    assert run(["policy", "lint", "p.yaml", "--json"]) == 2
    problems = json.loads(capsys.readouterr().out)["error"]["details"]["problems"]
    assert [text.split(": ")[0] for text in problems] == ["p.yaml:5:3", "p.yaml:6:9"]


@pytest.mark.parametrize("group", ["local", "act", "audit", "policy"])
def test_the_help_of_a_group_cuts_no_sentence(capsys, group):
    assert run([group, "--help"]) == 0
    assert "..." not in capsys.readouterr().out.replace("[ARGS]...", "")
