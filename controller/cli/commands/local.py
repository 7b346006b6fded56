"""local: the supervisor that keeps the processes of this machine. Killing the controller kills no service."""

from pathlib import Path
from typing import Annotated, Any

import typer

from controller.cli.app import group
from controller.cli.errors import FINDINGS, CliError, bad_input
from controller.cli.output import Answer, Field, tell
from controller.cli.session import Session

_local = group("local", "Start and keep the services of this machine.")
_File = Annotated[Path | None, typer.Argument(metavar="SERVICES", help="Services file [the setting `services`].")]


@_local.command()
def up(ctx: typer.Context, services: _File = None) -> None:
    """Start the supervisor and its services.

    They outlive this command and the controller.
    """
    settings = ctx.obj.settings(services=services)
    if settings.services is None:
        raise bad_input("which services? give the file", hint="`auto init` writes one to start with")
    pid = start(settings.services, settings.state)
    line = f"supervisor {pid} keeps the services of {settings.services}; `auto local status` shows them"
    ctx.obj.emit(Answer(data={"pid": pid, "services": str(settings.services)}, notes=[line]))


def start(services: Path, state: Path) -> int:
    """Start a supervisor; returns its pid.

    Raises:
        CliError: it did not start, in its own words.
    """
    from actions.platforms.local.lifecycle import start_detached
    from actions.platforms.local.services import load
    from actions.platforms.local.supervisor import CannotStartError
    from telemetry.documents import DocumentError

    try:
        load(services)
        return start_detached(services, state)
    except DocumentError as error:
        raise bad_input(f"{services} is not used:", *map(str, error.problems)) from error
    except CannotStartError as error:
        raise CliError(f"the supervisor did not start: {error}", "CannotStart") from error


def running(state: Path) -> dict[str, Any] | None:
    """What the supervisor lists; None where none answers.

    Raises:
        CliError: it was asked, and did not answer in time.
    """
    return _call(state, "list")


def _call(state: Path, op: str) -> dict[str, Any] | None:
    from telemetry.sources.supervisor import SOCKET
    from telemetry.sources.unix_rpc import MaybeDelivered, NotDelivered, call

    try:
        return call(state / SOCKET, {"op": op})
    except NotDelivered:
        return None
    except MaybeDelivered as error:
        raise CliError(f"the supervisor does not answer: {error}", "NoAnswer") from error


def _none_runs(state: Path) -> CliError:
    hint = "start one with `auto local up services.yaml`, or say which with --state"
    return CliError(f"no supervisor answers in {state}", "NoSupervisor", hint=hint)


@_local.command()
def status(ctx: typer.Context) -> None:
    """Every instance, with its process.

    Exit 3 if one is not ready.
    """
    state = ctx.obj.settings().state
    listing = running(state)
    if listing is None:
        raise _none_runs(state)
    rows = [_row(service, slot, listing["at"]) for service in listing["services"] for slot in service["slots"]]
    answer = Answer(
        data={"services": listing["services"], "instances": rows},
        rows=rows,
        fields=(
            Field("INSTANCE", lambda r: r["instance"]),
            Field("READY", lambda r: {True: "ok", False: "sick", None: "unknown"}[r["ready"]]),
            Field("PID", lambda r: r["pid"] or "-", right=True),
            Field("UP", lambda r: _span(r["up_seconds"]), right=True),
            Field("FAILURES", lambda r: r["failures"], right=True),
            Field("ADDRESS", lambda r: r["address"]),
            Field("INCARNATION", lambda r: r["incarnation"], wide=True),
        ),
        name="instance",
        empty="no instances",
    )
    ctx.obj.emit(answer)
    raise typer.Exit(0 if all(row["ready"] for row in rows) else FINDINGS)


def _row(service: dict[str, Any], slot: dict[str, Any], at: float) -> dict[str, Any]:
    identity = service["target"]
    return {
        "instance": f"{identity['namespace']}/{identity['name']}/{slot['slot']}",
        "ready": slot["ready"],
        "pid": slot["pid"],
        "up_seconds": max(0.0, at - slot["started_at"]) if slot["incarnation"] else None,
        "failures": slot["failures"],
        "address": _address(service["ports"], slot["slot"]),
        "incarnation": slot["incarnation"],
    }


def _address(ports: dict[str, Any], slot: str) -> str:
    """Where the instance takes connections: at the socket it shares, or at its own port."""
    port = ports.get("http") or ports.get("instances", {}).get(slot)
    return f"{ports['address']}:{port}" if port else ""


def _span(seconds: float | None) -> str:
    from controller.views.words import span

    return "-" if seconds is None else span(seconds)


@_local.command()
def reload(ctx: typer.Context) -> None:
    """Read the services file again.

    All of it comes into force, or nothing.
    """
    from actions.platforms.local.lifecycle import reload as reload_supervisor
    from telemetry.sources.unix_rpc import MaybeDelivered, NotDelivered

    state = ctx.obj.settings().state
    try:
        outcome = reload_supervisor(state)
    except NotDelivered as error:
        raise _none_runs(state) from error
    except MaybeDelivered as error:
        raise CliError(f"the supervisor does not answer: {error}", "NoAnswer") from error
    if outcome.get("problems"):
        raise bad_input("the services file is not used, the old set stays:", *outcome["problems"])
    words = [f"{word} {', '.join(outcome[word])}" for word in ("added", "removed", "changed") if outcome.get(word)]
    ctx.obj.emit(Answer(data=outcome, notes=["; ".join(words) or "nothing changed"]))


@_local.command()
def down(ctx: typer.Context) -> None:
    """Stop every service, and the supervisor."""
    session: Session = ctx.obj
    state = session.settings().state
    from actions.platforms.local.lifecycle import stop

    if _call(state, "ping") is None:
        session.emit(Answer(data={"stopped": False}, notes=[f"no supervisor runs in {state}"]))
        return
    tell("stopping the services ...")
    if not stop(state):
        hint = "`auto local down` again kills what is left"
        raise CliError("the supervisor still stops its services", "Slow", hint=hint)
    session.emit(Answer(data={"stopped": True}, notes=["all services are stopped"]))
