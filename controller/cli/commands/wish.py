"""act, approve, undo, abort, ack: what people ask of a running loop.

A wish never waits in the dark: without a loop it is refused.
"""

from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path
from time import monotonic, sleep
from typing import Annotated, Any

import typer

from controller.cli import client
from controller.cli.app import app, group
from controller.cli.errors import FINDINGS, bad_input
from controller.cli.options import EpisodeId, TargetName, Why
from controller.cli.output import Answer
from controller.cli.session import Session

_act = group("act", "Ask for a restart, scale or check, guarded like a policy's.")


class How(StrEnum):
    """How an instance is stopped."""

    GRACEFUL = "graceful"
    FORCEFUL = "forceful"


class Which(StrEnum):
    """Which instances."""

    SICK = "sick"
    ALL = "all"


@_act.command()
def restart(
    ctx: typer.Context,
    target: TargetName,
    why: Why,
    how: Annotated[How, typer.Option(help="Stop signal and grace first, or KILL at once.")] = How.GRACEFUL,
    instances: Annotated[Which, typer.Option(help="Those that fail their probe, or all.")] = Which.SICK,
) -> None:
    """Restart the sick instances, or all."""
    params = {"how": how.value.capitalize(), "instances": instances.value.capitalize()}
    _ask(ctx.obj, target, {"type": "Restart", "restart": params}, why)


@_act.command()
def scale(
    ctx: typer.Context,
    target: TargetName,
    why: Why,
    by: Annotated[str | None, typer.Option(metavar="STEP", help="+2, -1, +50% or -25%.")] = None,
    to: Annotated[str | None, typer.Option(metavar="N", help="The number itself.")] = None,
    hold: Annotated[str | None, typer.Option(metavar="TIME", help="Back to the number before after this.")] = None,
) -> None:
    """Change how many instances there are.

    More than before is lifted again after a hold.
    """
    if (by is None) == (to is None):
        raise bad_input("say either --by (a step) or --to (a number), and only one of them")
    params: dict[str, Any] = {"by": by} if by is not None else {"to": _number(str(to))}
    _ask(ctx.obj, target, {"type": "Scale", "scale": params} | ({"hold": hold} if hold else {}), why)


def _number(text: str) -> int:
    from controller.cli.options import whole

    return whole(0, 1_000_000)(text)


@_act.command()
def check(
    ctx: typer.Context,
    target: TargetName,
    why: Why,
    then_restart: Annotated[bool, typer.Option("--then-restart", help="Restart the instances that fail.")] = False,
) -> None:
    """Probe every instance now; writes nothing."""
    params = {"then": "Restart"} if then_restart else {}
    _ask(ctx.obj, target, {"type": "HealthCheck", "healthCheck": params}, why)


STARTS_WITHIN = 5.0
"""Seconds, beside two ticks, in which an act has either started or been held."""


def _ask(session: Session, target: str, action: dict[str, Any], why: str) -> None:
    settings = session.settings()
    reply = client.say(settings.state, "act", why, act={"target": target, "action": action})
    row = _what_came(settings.state, str(reply.get("policy")), STARTS_WITHIN + 2 * settings.interval)
    what = f"{action['type']} of {target}"
    if row is None:
        _said(session, reply, f"{what} is asked for; `auto episodes` shows how far it is")
    elif row["held"]:
        notes = [f"{what} is held: {row['held']}: {row['detail']}", "it starts if that changes within a minute"]
        session.emit(Answer(data={"seq": reply["seq"], "episode": row["episode"], "held": row["held"]}, notes=notes))
        raise typer.Exit(FINDINGS)
    else:
        line = (
            f"{row['episode']}: {what} has begun ({row['changes'] or 'it only looks'}); `auto episodes` shows the rest"
        )
        session.emit(Answer(data={"seq": reply["seq"], "episode": row["episode"], "message": line}, notes=[line]))


def _what_came(state: Path, policy: str, seconds: float) -> dict[str, Any] | None:
    """The open episode of an act once it has begun or is held; None where neither showed in time."""
    end = monotonic() + seconds
    while monotonic() < end:
        shown = client.view(state, "episodes") or {}
        for row in shown.get("episodes", ()):
            if row["policy"] == policy and (row["attempts"] or row["held"]):
                return dict(row)
        sleep(0.1)
    return None


def _said(session: Session, reply: Mapping[str, Any], line: str) -> None:
    session.emit(Answer(data={"seq": reply["seq"], "message": line}, notes=[line]))


@app.command()
def approve(ctx: typer.Context, episode: EpisodeId, why: Why) -> None:
    """Say yes to what an episode waits to do."""
    _about(ctx.obj, "approve", episode, why)


@app.command()
def undo(ctx: typer.Context, episode: EpisodeId, why: Why) -> None:
    """Put back what an episode changed."""
    _about(ctx.obj, "undo", episode, why)


@app.command()
def abort(ctx: typer.Context, episode: EpisodeId, why: Why) -> None:
    """End an episode; what can be put back is put back."""
    _about(ctx.obj, "abort", episode, why)


@app.command()
def ack(ctx: typer.Context, episode: EpisodeId, why: Why) -> None:
    """Take over what needs a human."""
    _about(ctx.obj, "ack", episode, why)


def _about(session: Session, verb: str, episode: str, why: str) -> None:
    reply = client.say(session.settings().state, verb, why, about=episode)
    _said(session, reply, f"{verb} {episode}: the trail has it; `auto episodes` shows what follows")
