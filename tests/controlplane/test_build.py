"""Where the programs come from, and what is said where they are not there."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.needs import need

from . import build
from .build import COMPONENTS, MODULE, BuildError, folder, missing


def test_the_folder_is_another_one_for_other_sources(tmp_path, monkeypatch):
    now = folder()
    for name in ("go.mod", "go.sum", "main.go"):
        (tmp_path / name).write_bytes((MODULE / name).read_bytes())
    monkeypatch.setattr(build, "MODULE", tmp_path)
    assert folder() == now
    (tmp_path / "go.sum").write_text("another")
    assert folder() != now
    assert folder().parent == now.parent


def test_the_cache_is_where_people_keep_theirs(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert folder().parent == tmp_path / "gyrostat-controlplane"


def test_what_is_missing_is_said_with_the_way_to_get_it(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert "`python -m tests.controlplane` builds it once" in missing()
    monkeypatch.setenv("PATH", str(tmp_path))
    assert missing().startswith("needs Go")
    with pytest.raises(BuildError, match="needs Go"):
        build.build(print)
    assert list(tmp_path.iterdir()) == []


def test_a_build_that_fails_says_why_and_leaves_nothing_that_looks_whole(monkeypatch, tmp_path):
    fake = tmp_path / "go"
    fake.write_text("#!/bin/sh\necho no such module >&2\nexit 1\n")
    fake.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    with pytest.raises(BuildError, match="no such module"):
        build.build(print)
    assert not folder().exists()


def test_the_multi_call_binary_is_what_it_is_called(tmp_path):
    why = missing()
    need(not why, why)
    assert all((folder() / name).exists() for name in (*COMPONENTS, "kwok", "helm"))
    shown = subprocess.run(
        [folder() / "kubectl", "version", "--client"], capture_output=True, text=True, timeout=60, check=False
    )
    assert "Client Version" in shown.stdout
    odd = subprocess.run([folder() / "controlplane"], capture_output=True, text=True, timeout=60, check=False)
    assert (odd.returncode, "link this binary as etcd" in odd.stderr) == (2, True)


def test_the_name_of_a_person_s_test_cluster_is_no_setting_of_the_program_s(tmp_path):
    code = "import tests.controlplane.fixture, os; from controller.settings import load; load(); print(*os.environ)"
    given = {"GYROSTAT_TEST_KUBECONFIG": "/x", "PATH": os.environ["PATH"], "GYROSTAT_STATE": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, "-c", code], env=given, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "_GYROSTAT_TEST_KUBECONFIG" in done.stdout.split()
    assert "GYROSTAT_TEST_KUBECONFIG" not in done.stdout.split()


def test_a_cluster_that_a_person_runs_ends_without_a_trace():
    why = missing()
    need(not why, why)
    command = [sys.executable, "-m", "tests.controlplane", "run"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as person:
        assert person.stdout is not None
        assert person.stdout.readline().strip() == str(folder())
        kubeconfig = Path(person.stdout.readline().split()[1].removeprefix("KUBECONFIG="))
        get = [folder() / "kubectl", f"--kubeconfig={kubeconfig}", "get", "nodes", "-o", "name"]
        nodes = subprocess.run(get, capture_output=True, text=True, timeout=60, check=True).stdout
        assert nodes.split() == ["node/node-0", "node/node-1", "node/node-2"]
        person.send_signal(signal.SIGTERM)
        assert person.wait(60) == 0
    assert not kubeconfig.parent.exists()
    left = [path for path in Path("/proc").glob("[0-9]*/cmdline") if str(kubeconfig.parent).encode() in _read(path)]
    assert left == []


def _read(path):
    try:
        return path.read_bytes()
    except OSError:  # it has ended meanwhile
        return b""
