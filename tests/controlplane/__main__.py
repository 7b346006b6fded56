"""`python -m tests.controlplane`: build the programs once; `… run` keeps a cluster up until Ctrl-C; `… demo` plays."""

import signal
import sys
import tempfile
from pathlib import Path

from . import demo
from .build import BuildError, build
from .cluster import running


def main(words: list[str]) -> int:
    if words not in ([], ["run"], ["demo"]):
        print("usage: python -m tests.controlplane [run | demo]", file=sys.stderr)
        return 2
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        if words == ["demo"]:
            return demo.main()
        folder = build(lambda line: print(line, file=sys.stderr))
        print(folder, flush=True)
        if words:
            _run(folder)
    except BuildError as error:
        print(error, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        pass
    return 0


def _run(folder: Path) -> None:
    with tempfile.TemporaryDirectory(prefix="controlplane-") as state, running(folder, Path(state)) as cluster:
        print(f"export KUBECONFIG={cluster.kubeconfig} PATH={folder}:$PATH", flush=True)
        signal.pause()


sys.exit(main(sys.argv[1:]))
