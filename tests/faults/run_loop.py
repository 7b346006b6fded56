"""The real loop with faults: `python -m tests.faults.run_loop STATE`. The product knows nothing of this.

It composes what `auto loop` composes, and hands it a boundary function that reads orders from `STATE/fault.json`:

    {"id": "7", "at": "call Do", "nth": 1, "after": "committed Do", "how": "kill"}

At the n-th hit of `at` (counted from the first hit of `after`, if given) it marks durably in `STATE/fired.jsonl` that
it fired, takes the order away, and then kills this process (`kill`), stops it (`stop`), or raises (`raise`).
"""

import json
import os
import signal
import sys
import threading
from contextlib import closing
from dataclasses import replace
from pathlib import Path

from controller.compose import leading_loop
from controller.control import Control
from controller.instrumentation import configure_logging
from controller.settings import load
from controller.views import VIEWS

ORDER, FIRED = "fault.json", "fired.jsonl"
SIGNALS = {"kill": signal.SIGKILL, "stop": signal.SIGSTOP}


class FaultError(Exception):
    """What a boundary raises when ordered to."""


class Faults:
    """The boundary function: called by the loop's thread and by those of the executor."""

    def __init__(self, state: Path) -> None:
        self._order, self._fired = state / ORDER, state / FIRED
        self._lock = threading.Lock()
        self._counted = ("", 0, False)  # order, hits, whether `after` was seen

    def __call__(self, name: str) -> None:
        with self._lock:
            order = self._due(name)
        if order is None:
            return
        if order["how"] == "raise":
            raise FaultError(f"ordered at {name}")
        # to this very thread: else another one takes the signal, and this one runs on for a moment
        signal.pthread_kill(threading.get_ident(), SIGNALS[order["how"]])

    def _due(self, name: str) -> dict | None:
        try:
            order = json.loads(self._order.read_bytes())
        except FileNotFoundError:
            return None
        known, hits, open_ = self._counted
        if known != order["id"]:
            hits, open_ = 0, order["after"] is None
        due = open_ and name == order["at"] and hits + 1 == order["nth"]
        self._counted = (order["id"], hits + (open_ and name == order["at"]), open_ or name == order["after"])
        if not due:
            return None
        line = json.dumps(order | {"pid": os.getpid()}) + "\n"
        descriptor = os.open(self._fired, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        os.write(descriptor, line.encode())
        os.fsync(descriptor)
        os.close(descriptor)
        self._order.unlink()
        return order


def main(state: Path) -> None:
    """As `auto loop` does it."""
    settings = load({"state": state})
    bounds = replace(settings.limits, storm_targets=1_000_000, own_failures=1_000_000, turn_spacing=0.0)
    # a controller that scales, undoes and is reverted all day long, as on purpose here, would be stopped by these
    type(settings).limits = property(lambda _: bounds)  # type: ignore[assignment]
    configure_logging("info", "json")
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    with leading_loop(settings, Faults(state)) as loop, closing(Control(settings.state, loop, VIEWS)):
        loop.run(settings.interval, stop)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
