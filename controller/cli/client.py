"""Asks a running loop, through its control socket."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from controller.cli.errors import CliError, no_loop, refused

SOCKET = "control.sock"
"""The loop's name for it in the state directory."""
TIMEOUT = 10.0
"""Seconds; a statement waits for the next turn of the loop."""


def view(state: Path, name: str, **args: Any) -> dict[str, Any] | None:
    """What a running loop shows; None where no loop answers.

    Raises:
        CliError: the loop answers that it does not, and why.
    """
    from telemetry.sources.unix_rpc import NotDelivered

    try:
        return _ask(state, {"view": name, "args": args})
    except NotDelivered:
        return None


def say(state: Path, verb: str, why: str, about: str = "", act: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Say something to a running loop.

    Returns:
        Once it is durable: `seq`, the trail's last record, and for an act `policy`, the name its episode has.

    Raises:
        CliError: no loop runs, or it refuses; where nobody knows, the message says how to find out.
    """
    from telemetry.sources.unix_rpc import NotDelivered

    said = {"verb": verb, "why": why, "about": about} | ({"act": dict(act)} if act is not None else {})
    try:
        return _ask(state, {"say": said})
    except NotDelivered as error:
        raise no_loop(f"auto {verb}", str(error)) from error


def _ask(state: Path, request: Mapping[str, Any]) -> dict[str, Any]:
    from telemetry.sources.unix_rpc import MaybeDelivered, call

    try:
        reply = call(state / SOCKET, request, TIMEOUT)
    except MaybeDelivered as error:
        hint = "it may have been taken: `auto audit list` shows whether it was"
        raise CliError(f"the loop did not answer: {error}", "MaybeDelivered", hint=hint) from error
    if "refused" in reply:
        raise refused(str(reply["refused"]))
    return reply
