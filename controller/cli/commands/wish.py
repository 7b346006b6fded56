"""act, approve, undo, abort, ack: what people ask of a running loop.

A wish never waits in the dark: without a loop it is refused.
"""

from enum import StrEnum
from typing import Annotated, Any

import typer

from controller.cli import client
from controller.cli.app import app, group
from controller.cli.errors import bad_input
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


def _ask(session: Session, target: str, action: dict[str, Any], why: str) -> None:
    seq = client.say(session.settings().state, "act", why, act={"target": target, "action": action})
    _said(session, seq, f"{action['type']} of {target} is asked for; `auto episodes` shows how far it is")


def _said(session: Session, seq: int, line: str) -> None:
    session.emit(Answer(data={"seq": seq, "message": line}, notes=[line]))


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
    seq = client.say(session.settings().state, verb, why, about=episode)
    _said(session, seq, f"{verb} {episode}: the trail has it; `auto episodes` shows what follows")
