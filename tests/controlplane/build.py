"""Builds the programs of the control plane from Go modules, once for each go.mod, go.sum and main.go."""

import fcntl
import hashlib
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

MODULE = Path(__file__).with_name("go")
COMPONENTS = ("etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler", "kubectl")
"""Names under which the one binary is found; it looks at the name it was called by."""
PROGRAMS = {"controlplane": ".", "kwok": "sigs.k8s.io/kwok/cmd/kwok", "helm": "helm.sh/helm/v4/cmd/helm"}
BUILD = "python -m tests.controlplane"
"""What a person types to have them built."""


class BuildError(Exception):
    """The programs could not be built; the message says why."""


def folder() -> Path:
    """Where this version of the programs is, or will be."""
    key = hashlib.sha256()
    for name in ("go.mod", "go.sum", "main.go"):
        key.update((MODULE / name).read_bytes())
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return cache / "gyrostat-controlplane" / key.hexdigest()[:16]


def missing() -> str:
    """Why the programs cannot be used now, and how to get them; empty when they are there."""
    if folder().is_dir():
        return ""
    if shutil.which("go") is None:
        return f"needs Go for a Kubernetes control plane (apt-get install golang-go), then `{BUILD}` once"
    return f"needs a Kubernetes control plane: `{BUILD}` builds it once, in about ten minutes"


def build(say: Callable[[str], None]) -> Path:
    """The folder with the programs, built if it is not there; another process that builds it is waited for.

    Raises:
        BuildError: there is no Go, or it failed.
    """
    final = folder()
    if shutil.which("go") is None and not final.is_dir():
        raise BuildError(missing())
    final.parent.mkdir(parents=True, exist_ok=True)
    with (final.parent / f"{final.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if final.is_dir():
            return final
        started = time.monotonic()
        say("building a Kubernetes control plane, once: about ten minutes on two cores")
        with tempfile.TemporaryDirectory(dir=final.parent, prefix=f"{final.name}.") as temporary:
            made = Path(temporary) / "bin"
            _compile(made)
            made.rename(final)  # a folder of this name is whole, whenever the build was cut
        say(f"built in {time.monotonic() - started:.0f} s")
    return final


def _compile(into: Path) -> None:
    into.mkdir()
    settings = {"CGO_ENABLED": "0", "GOFLAGS": "-p=2 -mod=readonly -buildvcs=false", "GOTOOLCHAIN": "local"}
    command = ["nice", "-n", "10", "go", "build", "-trimpath", "-ldflags=-s -w", "-o", f"{into}/", *PROGRAMS.values()]
    done = subprocess.run(command, cwd=MODULE, env=os.environ | settings, capture_output=True, text=True, check=False)
    if done.returncode:
        raise BuildError(f"`go build` in {MODULE} failed:\n{done.stderr[-2000:]}")
    for name in COMPONENTS:
        (into / name).symlink_to("controlplane")
