"""One process of a fuzzer: instruments the rooms, then feeds a target until its time is over.

`python -m tests.fuzz` starts it; libFuzzer ends the process by itself, so it has to be one of its own.
"""

import hashlib
import importlib
import sys
import traceback
from collections.abc import Callable
from pathlib import Path

ROOMS = ("telemetry", "actions", "policies", "audit", "controller")
_SHOWN = 3
"""Frames of a finding that tell it from another one."""


class Findings:
    """Keeps one input for each different way to fail, and lets the fuzzer go on."""

    def __init__(self, check: Callable[[bytes], None], folder: Path) -> None:
        self._check, self._folder = check, folder
        self._known: set[tuple[object, ...]] = set()

    def __call__(self, data: bytes) -> None:
        """Try one input."""
        try:
            self._check(data)
        except Exception as error:  # noqa: BLE001 - whatever comes out is a finding
            frames = traceback.extract_tb(error.__traceback__)
            place = tuple((frame.filename, frame.lineno) for frame in frames[-_SHOWN:])
            if (type(error), place) in self._known:
                return
            self._known.add((type(error), place))
            path = self._folder / hashlib.sha256(data).hexdigest()[:12]
            path.write_bytes(data)
            sys.stderr.write(f"FINDING {path}\n{''.join(traceback.format_exception(error)[-12:])}\n")


def main() -> None:
    """`drive TARGET FINDINGS [libFuzzer's own arguments]`."""
    import atheris

    name, findings = sys.argv[1], Path(sys.argv[2])
    with atheris.instrument_imports(include=[*ROOMS]):
        target = importlib.import_module(f"tests.fuzz.targets.{name}")
    arguments = atheris.Setup([sys.argv[0], *sys.argv[3:]], Findings(target.check, findings))
    del arguments
    atheris.Fuzz()


if __name__ == "__main__":
    main()
