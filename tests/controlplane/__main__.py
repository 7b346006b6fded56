"""`python -m tests.controlplane`: build the programs once; `… run` keeps a cluster up until Ctrl-C."""

import signal
import sys
import tempfile
from pathlib import Path

from .build import build
from .cluster import running


def main(words: list[str]) -> int:
    if words not in ([], ["run"]):
        print("usage: python -m tests.controlplane [run]", file=sys.stderr)
        return 2
    folder = build(lambda line: print(line, file=sys.stderr))
    print(folder)
    if words:
        with tempfile.TemporaryDirectory(prefix="controlplane-") as state, running(folder, Path(state)) as cluster:
            print(f"export KUBECONFIG={cluster.kubeconfig} PATH={folder}:$PATH", flush=True)
            signal.sigwait({signal.SIGINT, signal.SIGTERM})
    return 0


sys.exit(main(sys.argv[1:]))
