"""The fixture `cluster`: one control plane for all tests of a session, over all its workers.

Tests keep apart by namespaces. A test that stops a component, or counts all objects, starts a cluster of its own with
`running`. `GYROSTAT_TEST_KUBECONFIG=FILE` takes an existing cluster instead, never `KUBECONFIG`: these tests destroy.
"""

import base64
import contextlib
import fcntl
import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.needs import need

from .build import folder, missing
from .cluster import Cluster, running

_EXISTING = "GYROSTAT_TEST_KUBECONFIG"
_HIDDEN = "_" + _EXISTING

if _EXISTING in os.environ:
    # the program refuses GYROSTAT_* names that are no setting of its own; workers and children of tests inherit this
    os.environ[_HIDDEN] = os.environ.pop(_EXISTING)


@pytest.fixture(scope="session")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """A ready cluster."""
    if named := os.environ.get(_HIDDEN):
        with existing(Path(named), tmp_path_factory.mktemp("cluster")) as found:
            yield found
        return
    why = missing()
    need(not why, why)
    base = tmp_path_factory.getbasetemp()
    worker = "PYTEST_XDIST_WORKER" in os.environ
    with _shared(base.parent / "controlplane" if worker else base / "controlplane") as found:
        yield found


@pytest.fixture
def namespace(cluster: Cluster) -> Iterator[str]:
    """A namespace of the test's own."""
    with cluster.namespace() as name:
        yield name


@contextlib.contextmanager
def _shared(state: Path) -> Iterator[Cluster]:
    """The first worker starts the cluster, others use it, and it ends when none does any more."""
    state.mkdir(exist_ok=True)
    described = state / "cluster.json"
    with contextlib.ExitStack() as stack:
        start = stack.enter_context((state / "start.lock").open("w"))
        users = stack.enter_context((state / "users.lock").open("w"))
        fcntl.flock(start, fcntl.LOCK_EX)
        if described.exists():
            found = _attached(described)
        else:
            found = stack.enter_context(running(folder(), state))
            described.write_text(json.dumps({"server": found.server, "token": found.token}))
        fcntl.flock(users, fcntl.LOCK_SH)
        fcntl.flock(start, fcntl.LOCK_UN)
        try:
            yield found
        finally:
            fcntl.flock(start, fcntl.LOCK_EX)
            fcntl.flock(users, fcntl.LOCK_EX if found.processes else fcntl.LOCK_UN)  # its starter waits for all others
            if found.processes:
                described.unlink()


def _attached(described: Path) -> Cluster:
    state = described.parent
    return Cluster(
        kubeconfig=state / "admin.kubeconfig",
        ca=state / "apiserver.crt",
        binaries=folder(),
        audit_log=state / "audit.log",
        **json.loads(described.read_text()),
    )


@contextlib.contextmanager
def existing(kubeconfig: Path, state: Path) -> Iterator[Cluster]:
    """Somebody else's cluster, as its file says; `kubectl` and `helm` are those of the PATH."""
    command = ["kubectl", "config", "view", "--raw", "--minify", "--flatten", "-o", "json"]
    command.append(f"--kubeconfig={kubeconfig}")
    shown = json.loads(subprocess.run(command, check=True, capture_output=True, timeout=60).stdout)
    named, user = shown["clusters"][0]["cluster"], shown["users"][0]["user"]
    need("token" in user, f"{_EXISTING} has to name a user with a token: {kubeconfig} has {sorted(user)}")
    ca = state / "ca.crt"
    ca.write_bytes(base64.b64decode(named["certificate-authority-data"]))
    yield Cluster(kubeconfig, named["server"], ca, user["token"])
