"""Pure views: from what a tick saw and decided to plain dicts that CLI and API show as they are.

`VIEWS` is what a running loop answers by its control socket; each takes the board and the arguments of the request.
"""

from collections.abc import Callable, Mapping, Sequence
from difflib import get_close_matches
from typing import Any, Protocol

from controller.core.state import State
from controller.core.wish import Proposal, Rulebook
from controller.views.analyze import analyze
from controller.views.episodes import open_episodes
from controller.views.status import status
from controller.views.why import why
from telemetry.signals.definitions import Definitions
from telemetry.snapshot import Snapshot
from telemetry.target import Target


class Seen(Protocol):
    """What a tick saw and decided; the loop's board is one, and so is what a cold run reads for itself."""

    @property
    def now(self) -> float:
        """Epoch seconds of the tick."""

    @property
    def snapshot(self) -> Snapshot:
        """What was true."""

    @property
    def state(self) -> State:
        """What was done, after the tick."""

    @property
    def rules(self) -> Rulebook:
        """What it went by."""

    @property
    def proposals(self) -> Sequence[Proposal]:
        """What agents would have done."""

    @property
    def problems(self) -> tuple[str, ...]:
        """What is wrong with the policy files."""

    @property
    def trouble(self) -> str:
        """Why the last tick failed; empty when it did not."""

    @property
    def epoch(self) -> int:
        """Number of the leadership; 0 when cold."""

    @property
    def metrics(self) -> str:
        """Where metrics are served."""

    @property
    def received(self) -> Mapping[str, Any]:
        """What workloads send: `otlp`, the receiver's view, and `unlisted`, who sends and is no target."""

    @property
    def signals(self) -> Definitions:
        """What the health score and the others mean."""


def _status(seen: Seen, args: Mapping[str, Any]) -> Mapping[str, Any]:
    loop = {
        "running": seen.epoch > 0,
        "epoch": seen.epoch,
        "metrics": seen.metrics,
        "trouble": seen.trouble,
        "policy_problems": list(seen.problems),
    }
    namespace = str(args.get("namespace") or "")
    shown = status(seen.snapshot, seen.state, seen.rules, namespace, signals=seen.signals)
    return shown | {"loop": loop, "received": dict(seen.received)}


def _analyze(seen: Seen, args: Mapping[str, Any]) -> Mapping[str, Any]:
    del args
    return analyze(seen.snapshot, seen.state, seen.rules, seen.proposals)


def _episodes(seen: Seen, args: Mapping[str, Any]) -> Mapping[str, Any]:
    del args
    return {"episodes": open_episodes(seen.now, seen.state)}


def _why(seen: Seen, args: Mapping[str, Any]) -> Mapping[str, Any]:
    target = find(str(args.get("target", "")), seen.snapshot.targets)
    if isinstance(target, str):
        return {"refused": target}
    return why(target, seen.snapshot, seen.state, seen.rules, seen.proposals)


def find(ref: str, targets: Sequence[Target]) -> Target | str:
    """The target called `namespace/name`, or `name` if that is unique; else what is wrong with the name."""
    found = [target for target in targets if ref in (target.ref, target.name)]
    if len(found) == 1:
        return found[0]
    if found:
        return f"more than one target is called {ref!r}: {', '.join(target.ref for target in found)}"
    names = [target.ref for target in targets]
    near = get_close_matches(ref, [*names, *(target.name for target in targets)], n=1, cutoff=0.6)
    if near:
        return f"no target is called {ref!r}; did you mean {near[0]}?"
    shown = ", ".join(names[:10]) + (f" and {len(names) - 10} more" if len(names) > 10 else "")
    return f"no target is called {ref!r}; there are: {shown or 'none'}"


VIEWS: Mapping[str, Callable[[Seen, Mapping[str, Any]], Mapping[str, Any]]] = {
    "status": _status,
    "analyze": _analyze,
    "episodes": _episodes,
    "why": _why,
}
"""By name."""
